//! How often each address does what an honest one does not, and when that is worth telling. Bounded in memory
//! and in what it tells, whatever a flood brings.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use crate::limits::{SECURITY_TABLE_MAX, SECURITY_TOLD_MAX, SECURITY_WINDOW};

/// Parts of the sliding window.
const SLICES: usize = 6;

/// Something worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Events of this kind and address within the window, this one included.
    pub count: u64,
    /// Tellings left out since the last one, because there were too many.
    pub left_out: u64,
}

/// The table of who did what how often; `Kind` tells apart what is counted apart.
#[derive(Debug)]
pub struct Patterns<Kind> {
    started: Instant,
    counts: HashMap<(Kind, IpAddr), Count>,
    /// Keys of `counts`, the longest known first.
    known: VecDeque<(Kind, IpAddr)>,
    told_since: Instant,
    told: u64,
    left_out: u64,
}

#[derive(Debug)]
struct Count {
    slices: [u64; SLICES],
    /// Number of the slice that was counted into last, since `started`.
    slice: u64,
    /// Told again from the first on after this.
    renews_at: Instant,
    /// The count that is told next.
    next: u64,
}

impl<Kind: Copy + Eq + std::hash::Hash> Patterns<Kind> {
    /// A table that knows nobody.
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            counts: HashMap::new(),
            known: VecDeque::new(),
            told_since: now,
            told: 0,
            left_out: 0,
        }
    }

    /// Counts one event. The first of an address, the tenth, the hundredth … of each window are told, and of
    /// all addresses together at most [`SECURITY_TOLD_MAX`].
    pub fn count(&mut self, kind: Kind, address: IpAddr, now: Instant) -> Option<Told> {
        let slice = slice_of(now.duration_since(self.started));
        let key = (kind, address);
        if !self.counts.contains_key(&key) {
            self.make_room();
            self.known.push_back(key);
        }
        let entry = self.counts.entry(key).or_insert(Count {
            slices: [0; SLICES],
            slice,
            renews_at: now + SECURITY_WINDOW,
            next: 1,
        });
        let count = entry.add(slice);
        if now >= entry.renews_at {
            entry.renews_at = now + SECURITY_WINDOW;
            entry.next = 1;
        }
        if count < entry.next {
            return None;
        }
        while entry.next <= count {
            entry.next = entry.next.saturating_mul(10);
        }
        self.tell(count, now)
    }

    fn tell(&mut self, count: u64, now: Instant) -> Option<Told> {
        if now.duration_since(self.told_since) >= SECURITY_WINDOW {
            self.told_since = now;
            self.told = 0;
        }
        if self.told >= SECURITY_TOLD_MAX {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(Told { count, left_out: std::mem::take(&mut self.left_out) })
    }

    fn make_room(&mut self) {
        if self.counts.len() >= SECURITY_TABLE_MAX
            && let Some(oldest) = self.known.pop_front()
        {
            self.counts.remove(&oldest);
        }
    }
}

impl Count {
    /// Counts into `slice`, forgets what is older than the window, returns what is in it.
    fn add(&mut self, slice: u64) -> u64 {
        let passed = slice.saturating_sub(self.slice).min(SLICES as u64);
        self.slices.rotate_right(usize::try_from(passed).unwrap_or(SLICES));
        self.slices.iter_mut().zip(0..passed).for_each(|(stale, _)| *stale = 0);
        self.slice = self.slice.max(slice);
        let [newest, ..] = &mut self.slices;
        *newest += 1;
        self.slices.iter().sum()
    }
}

fn slice_of(since: Duration) -> u64 {
    let length = SECURITY_WINDOW.as_millis() / SLICES as u128;
    u64::try_from(since.as_millis() / length.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    /// The counts told of `events` events of one address, `gap` apart.
    fn told(events: u32, gap: Duration) -> Vec<u64> {
        let start = Instant::now();
        let mut patterns = Patterns::new(start);
        let times = (0..events).map(|number| start + gap * number);
        times
            .filter_map(|now| patterns.count("x", address(1), now))
            .map(|told| told.count)
            .collect()
    }

    #[test]
    fn a_flood_is_told_at_powers_of_ten() {
        assert_eq!(told(25_000, Duration::from_micros(100)), [1, 10, 100, 1000, 10_000]);
    }

    #[test]
    fn what_goes_on_is_told_once_a_window() {
        // 12 a minute, for five minutes; the window moves in steps, so 11 are seen.
        assert_eq!(told(60, Duration::from_secs(5)), [1, 10, 11, 11, 11, 11]);
        assert_eq!(told(3, Duration::from_secs(61)), [1, 1, 1]);
    }

    #[test]
    fn ten_across_the_edge_of_a_window_are_ten() {
        let start = Instant::now();
        let mut patterns = Patterns::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut highest = 0;
        for second in [0, 50, 52, 54, 56, 58, 61, 63, 65, 67, 69] {
            let told = patterns.count("x", address(1), at(second));
            highest = highest.max(told.map_or(0, |told| told.count));
        }
        assert_eq!(highest, 10);
    }

    #[test]
    fn addresses_and_kinds_are_counted_apart() {
        let now = Instant::now();
        let mut patterns = Patterns::new(now);
        let mut first = |kind, number| patterns.count(kind, address(number), now).unwrap().count;
        assert_eq!([first("x", 1), first("y", 1), first("x", 2)], [1, 1, 1]);
    }

    #[test]
    fn many_addresses_fill_neither_memory_nor_the_log() {
        let now = Instant::now();
        let mut patterns = Patterns::new(now);
        let addresses = u32::try_from(SECURITY_TABLE_MAX * 2).unwrap();
        let told = (0..addresses).filter_map(|number| patterns.count((), address(number), now));
        assert_eq!(told.count() as u64, SECURITY_TOLD_MAX);
        assert_eq!(patterns.counts.len(), SECURITY_TABLE_MAX);
        assert_eq!(patterns.known.len(), SECURITY_TABLE_MAX);
        let later = patterns.count((), address(0), now + SECURITY_WINDOW).unwrap();
        assert_eq!(later.left_out, u64::from(addresses) - SECURITY_TOLD_MAX);
    }
}
