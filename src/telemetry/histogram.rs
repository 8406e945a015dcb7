//! How long something takes, counted in classes, so that shares of it can be told and added over nodes.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use serde::Serialize;

/// Upper ends of the classes, in microseconds and as Prometheus is told them, in seconds. Longer is one class more.
pub const CLASSES: [(u64, &str); 14] = [
    (50, "0.00005"),
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
];

/// Counts of times; only grows.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; CLASSES.len() + 1],
    micros: AtomicU64,
}

/// All counts at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Of each class, and of what took longer.
    pub of_classes: [u64; CLASSES.len() + 1],
    /// All times together, in microseconds.
    pub micros: u64,
}

/// A class for people: how many times took so long at most, and longer than the class before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    /// Its upper end, in microseconds; `None` = there is none.
    pub up_to_us: Option<u64>,
    /// How many.
    pub count: u64,
}

impl Histogram {
    /// Counts one time.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = CLASSES.iter().take_while(|(end, _)| *end < micros).count();
        if let Some(count) = self.counts.get(class) {
            count.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(micros, Relaxed);
    }

    /// What is counted.
    pub fn counts(&self) -> Counts {
        let mut of_classes = [0; CLASSES.len() + 1];
        for (copy, count) in of_classes.iter_mut().zip(&self.counts) {
            *copy = count.load(Relaxed);
        }
        Counts { of_classes, micros: self.micros.load(Relaxed) }
    }

    /// What is counted, for people.
    pub fn classes(&self) -> Vec<Class> {
        let ends = CLASSES.iter().map(|(end, _)| Some(*end)).chain([None]);
        let counts = self.counts().of_classes;
        ends.zip(counts).map(|(up_to_us, count)| Class { up_to_us, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_class_that_holds_it() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 1_000_000, 1_000_001, u64::MAX / 2] {
            histogram.record(Duration::from_micros(micros));
        }
        let counted: Vec<_> =
            histogram.classes().into_iter().filter(|class| class.count > 0).collect();
        assert_eq!(
            counted.iter().map(|class| (class.up_to_us, class.count)).collect::<Vec<_>>(),
            [(Some(50), 2), (Some(100), 1), (Some(1_000_000), 1), (None, 2)]
        );
    }

    #[test]
    fn classes_are_told_to_prometheus_as_they_are() {
        for (micros, seconds) in CLASSES {
            let told = Duration::from_secs_f64(seconds.parse().unwrap());
            assert_eq!(told, Duration::from_micros(micros));
        }
        assert!(CLASSES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
