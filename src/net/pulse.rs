//! Whether a peer is alive: what is heard of it, and the pings in between.

use std::time::Duration;

use tokio::time::Instant;

use crate::{config::Config, time::unix_ms};

/// When silence of a peer is asked about, and when it ends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beats {
    ping: Duration,
    dead: Duration,
}

impl Beats {
    /// Of a connection for documents.
    pub(super) fn of(config: &Config) -> Self {
        let (limits, cleanup) = (&config.limits, &config.connection_cleanup);
        let mut dead = Duration::from_secs(limits.ping_interval + limits.pong_timeout);
        if cleanup.enabled {
            dead = dead.min(Duration::from_secs(cleanup.stale_threshold));
        }
        Self { ping: Duration::from_secs(limits.ping_interval), dead }
    }

    /// Of a connection for events.
    pub(super) fn of_events(config: &Config) -> Self {
        let beats = Self::of(config);
        let dead = beats.dead.min(Duration::from_secs(config.limits.dead_client_timeout));
        // Who is not asked in time cannot answer in time.
        let answer = Duration::from_secs(config.limits.pong_timeout);
        Self { ping: beats.ping.min(dead.saturating_sub(answer).max(dead / 2)), dead }
    }
}

/// When a peer was heard last.
#[derive(Debug)]
pub(super) struct Pulse {
    heard_at: Instant,
    pinged: bool,
}

/// What is due about a peer that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    /// It is gone.
    Dead,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard_at: now, pinged: false }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When something of this has to be looked at again, of a peer that was alive at `alive_at`, if not heard later.
    pub(super) fn next_deadline(&self, beats: &Beats, alive_at: Option<Instant>) -> Instant {
        self.alive_at(alive_at) + if self.pinged { beats.dead } else { beats.ping }
    }

    /// What is due by now of such a peer.
    pub(super) fn beat(&mut self, beats: &Beats, now: Instant, alive_at: Option<Instant>) -> Beat {
        let silent = now.duration_since(self.alive_at(alive_at));
        if silent >= beats.dead {
            return Beat::Dead;
        }
        if silent >= beats.ping && !self.pinged {
            self.pinged = true;
            return Beat::Ping;
        }
        Beat::Nothing
    }

    fn alive_at(&self, otherwise: Option<Instant>) -> Instant {
        otherwise.map_or(self.heard_at, |at| at.max(self.heard_at))
    }
}

/// How long a token holds until its time is over; `None` = not known.
pub(super) fn time_left(expires_at_ms: Option<u64>) -> Option<Duration> {
    // Bounded so that a token for the year 9999 does not overflow the clock.
    let left_ms = expires_at_ms?.saturating_sub(unix_ms()).min(365 * 86_400_000);
    Some(Duration::from_millis(left_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_once_and_then_ends_it() {
        let mut config = Config::default();
        (config.limits.ping_interval, config.limits.pong_timeout) = (30, 10);
        config.connection_cleanup.enabled = false;
        let beats = Beats::of(&config);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.next_deadline(&beats, None), at(30));
        assert_eq!(pulse.beat(&beats, at(29), None), Beat::Nothing);
        assert_eq!(pulse.beat(&beats, at(30), None), Beat::Ping);
        assert_eq!(pulse.next_deadline(&beats, None), at(40));
        assert_eq!(pulse.next_deadline(&beats, Some(at(35))), at(75));
        assert_eq!(pulse.beat(&beats, at(31), None), Beat::Nothing);
        assert_eq!(
            pulse.beat(&beats, at(40), Some(at(39))),
            Beat::Nothing,
            "it takes what is written"
        );
        assert_eq!(pulse.beat(&beats, at(40), None), Beat::Dead);
        pulse.heard(at(39));
        assert_eq!(pulse.beat(&beats, at(69), None), Beat::Ping);
    }

    #[test]
    fn a_client_of_events_is_asked_in_time_to_answer() {
        let mut config = Config::default();
        let seconds = |config: &Config| {
            let beats = Beats::of_events(config);
            (beats.ping.as_secs(), beats.dead.as_secs())
        };
        assert_eq!(seconds(&config), (50, 60));
        config.limits.dead_client_timeout = 3600;
        assert_eq!(seconds(&config), (54, 64));
    }

    #[test]
    fn a_far_end_does_not_overflow() {
        assert_eq!(time_left(Some(u64::MAX)), Some(Duration::from_hours(365 * 24)));
        assert_eq!((time_left(Some(0)), time_left(None)), (Some(Duration::ZERO), None));
    }
}
