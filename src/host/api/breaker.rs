//! A circuit breaker: a service that fails is left alone for a while, then asked once.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{
    HOST_API_FAILURES_MAX, HOST_API_OPEN_MAX as OPEN_MAX, HOST_API_OPEN_MIN as OPEN_MIN,
};

#[derive(Clone, Copy, Debug)]
enum State {
    /// Calls pass; so many failed in a row.
    Closed { failures: u32 },
    /// No call passes before `until`.
    Open { until: Instant, wait: Duration },
    /// One call is under way to find out.
    HalfOpen { wait: Duration },
}

/// What a call's end changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Calls are refused from now on, for this long.
    Opened(Duration),
    /// Calls pass again.
    Closed,
}

/// The breaker of one service.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<State>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }
}

impl Breaker {
    /// Whether a call may be made now. Each call that may must tell its end by [`Breaker::ended`].
    pub(super) fn admits(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { until, wait } if until <= now => {
                *state = State::HalfOpen { wait };
                true
            }
            State::Open { .. } | State::HalfOpen { .. } => false,
        }
    }

    /// A call ended: the service answered, or it failed.
    pub(super) fn ended(&self, answered: bool, now: Instant) -> Option<Change> {
        let mut state = self.0.lock();
        let (next, change) = match (*state, answered) {
            (State::Closed { .. }, true) => (State::Closed { failures: 0 }, None),
            (State::Closed { failures }, false) if failures + 1 < HOST_API_FAILURES_MAX => {
                (State::Closed { failures: failures + 1 }, None)
            }
            (State::Closed { .. }, false) => open(now, OPEN_MIN),
            (State::HalfOpen { .. }, true) => (State::Closed { failures: 0 }, Some(Change::Closed)),
            (State::HalfOpen { wait }, false) => open(now, (wait * 2).min(OPEN_MAX)),
            // A call from before it opened.
            (open @ State::Open { .. }, _) => (open, None),
        };
        *state = next;
        change
    }

    /// Whether calls pass freely.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.0.lock(), State::Closed { .. })
    }
}

fn open(now: Instant, wait: Duration) -> (State, Option<Change>) {
    (State::Open { until: now + wait, wait }, Some(Change::Opened(wait)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let breaker = Breaker::default();
        for _ in 1..HOST_API_FAILURES_MAX {
            assert_eq!(breaker.ended(false, now), None);
        }
        assert_eq!(breaker.ended(false, now), Some(Change::Opened(OPEN_MIN)));
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 {
            for _ in 1..HOST_API_FAILURES_MAX {
                assert_eq!(breaker.ended(false, now), None);
            }
            assert_eq!(breaker.ended(true, now), None);
        }
        assert!(breaker.is_closed() && breaker.admits(now));
        assert!(!opened(now).admits(now));
    }

    #[test]
    fn asks_once_when_its_time_is_over() {
        let now = Instant::now();
        let breaker = opened(now);
        let later = now + OPEN_MIN;
        assert!(breaker.admits(later));
        assert!(!breaker.admits(later), "one call finds out");
        assert_eq!(breaker.ended(true, later), Some(Change::Closed));
        assert!(breaker.is_closed() && breaker.admits(later));
    }

    #[test]
    fn waits_longer_each_time_up_to_a_bound() {
        let mut now = Instant::now();
        let breaker = opened(now);
        let mut wait = OPEN_MIN;
        for _ in 0..10 {
            now += wait;
            assert!(breaker.admits(now));
            wait = (wait * 2).min(OPEN_MAX);
            assert_eq!(breaker.ended(false, now), Some(Change::Opened(wait)));
            assert!(!breaker.admits(now + wait - Duration::from_millis(1)));
        }
        assert_eq!(wait, OPEN_MAX);
    }

    #[test]
    fn what_began_before_changes_nothing() {
        let now = Instant::now();
        let breaker = opened(now);
        assert_eq!(breaker.ended(true, now), None);
        assert_eq!(breaker.ended(false, now), None);
        assert!(!breaker.admits(now) && breaker.admits(now + OPEN_MIN));
    }
}
