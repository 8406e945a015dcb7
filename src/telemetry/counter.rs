//! What counts: numbers behind relaxed atomics, and numbers by label behind a short lock that is never on the
//! per-update path.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes `n` away, which was added before.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A sum over all rooms.
#[derive(Clone, Debug, Default)]
pub struct Sum(Arc<AtomicU64>);

impl Sum {
    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// One room's part of it, nothing yet.
    pub fn share(&self) -> Share {
        Share { sum: self.clone(), mine: 0 }
    }
}

/// A room's part of a sum, taken back with the room.
#[derive(Debug)]
pub struct Share {
    sum: Sum,
    mine: u64,
}

impl Share {
    /// Replaces the part.
    pub fn set(&mut self, value: u64) {
        let before = std::mem::replace(&mut self.mine, value);
        if value > before {
            self.sum.0.fetch_add(value - before, Relaxed);
        } else if value < before {
            self.sum.0.fetch_sub(before - value, Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Counters told apart by one label. Labels are fixed strings of the code, so their number is bounded.
#[derive(Debug, Default)]
pub struct Labelled(Mutex<BTreeMap<&'static str, u64>>);

impl Labelled {
    /// Adds one to `label`.
    pub fn inc(&self, label: &'static str) {
        *self.0.lock().entry(label).or_default() += 1;
    }

    /// The present value of `label`.
    pub fn get(&self, label: &str) -> u64 {
        self.0.lock().get(label).copied().unwrap_or_default()
    }

    /// All labels with their present values.
    pub fn all(&self) -> Vec<(&'static str, u64)> {
        self.0.lock().iter().map(|(label, value)| (*label, *value)).collect()
    }
}
