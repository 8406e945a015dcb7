//! The periodic line of what the engine does, for operators without a metrics server.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::metrics::Metrics;
use crate::limits::{PERFORMANCE_INTERVAL, RATE_INTERVAL};

/// The engine's totals at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Open connections.
    pub connections: usize,
    /// Open rooms.
    pub rooms: usize,
    /// Messages received so far.
    pub messages_in: u64,
    /// Document updates queued towards clients so far.
    pub deliveries: u64,
    /// Commits so far.
    pub commits: u64,
    /// Time all commits took, in microseconds.
    pub commit_micros: u64,
    /// Appends waiting for the store.
    pub store_queued: usize,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rates {
    messages_per_second: f64,
    deliveries_per_second: f64,
    commit_mean_ms: f64,
}

impl Sample {
    /// Messages per second.
    fn messages_since(&self, before: &Self) -> u64 {
        let messages = self.messages_in.saturating_sub(before.messages_in);
        messages / self.at.duration_since(before.at).as_secs().max(1)
    }

    /// `None` if there was no traffic.
    #[allow(clippy::cast_precision_loss, reason = "shown to people, in two digits")]
    fn since(&self, before: &Self) -> Option<Rates> {
        let messages = self.messages_in.saturating_sub(before.messages_in);
        let deliveries = self.deliveries.saturating_sub(before.deliveries);
        if messages == 0 && deliveries == 0 {
            return None;
        }
        let seconds = self.at.duration_since(before.at).as_secs_f64().max(0.001);
        let commits = self.commits.saturating_sub(before.commits).max(1);
        let micros = self.commit_micros.saturating_sub(before.commit_micros);
        Some(Rates {
            messages_per_second: rounded(messages as f64 / seconds),
            deliveries_per_second: rounded(deliveries as f64 / seconds),
            commit_mean_ms: rounded(micros as f64 / 1000.0 / commits as f64),
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Notes the rate of messages each [`RATE_INTERVAL`] and logs a line each [`PERFORMANCE_INTERVAL`] with
/// traffic, until `stopped` turns true.
pub async fn report(
    sample: impl Fn() -> Sample,
    metrics: Arc<Metrics>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut before = sample();
    let mut told = before;
    let mut ticks = interval(RATE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopped.changed() => return,
        }
        let now = sample();
        metrics.messages_per_second.store(now.messages_since(&before), Relaxed);
        before = now;
        if now.at.duration_since(told.at) < PERFORMANCE_INTERVAL {
            continue;
        }
        if let Some(rates) = now.since(&told) {
            say(&now, rates);
        }
        told = now;
    }
}

fn say(now: &Sample, rates: Rates) {
    let Rates { messages_per_second, deliveries_per_second, commit_mean_ms } = rates;
    let Sample { connections, rooms, store_queued, .. } = *now;
    let resident_bytes = resident_bytes();
    log::info!(
        event = "performance", connections = connections, rooms = rooms,
        messages_per_second = messages_per_second, deliveries_per_second = deliveries_per_second,
        commit_mean_ms = commit_mean_ms, store_queued = store_queued, resident_bytes = resident_bytes;
        "{connections} connections, {rooms} rooms, {messages_per_second} messages/s, \
         {deliveries_per_second} deliveries/s, {commit_mean_ms} ms per commit"
    );
}

/// Memory of the whole process, as far as the system tells it simply.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_of_the_time_between() {
        let before = Sample {
            at: Instant::now(),
            connections: 1,
            rooms: 1,
            messages_in: 100,
            deliveries: 1000,
            commits: 10,
            commit_micros: 5000,
            store_queued: 0,
        };
        let later = Sample { at: before.at + Duration::from_mins(1), ..before };
        assert_eq!((later.since(&before), later.messages_since(&before)), (None, 0));
        let busy = Sample {
            messages_in: 700,
            deliveries: 1090,
            commits: 20,
            commit_micros: 45_000,
            ..later
        };
        let rates =
            Rates { messages_per_second: 10.0, deliveries_per_second: 1.5, commit_mean_ms: 4.0 };
        assert_eq!((busy.since(&before), busy.messages_since(&before)), (Some(rates), 10));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_is_told() {
        assert!(resident_bytes().unwrap() > 1024 * 1024);
    }
}
