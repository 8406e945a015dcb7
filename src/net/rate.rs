//! What one connection may send. Token buckets for messages (documents, awareness and control apart), bytes, and
//! the bytes of sync answers; an empty one means that the connection is not read from until it has refilled.
//!
//! Nothing is dropped: what was sent waits in the kernel, and TCP makes the client wait. Bytes and answers only
//! slow a client down, so that a large upload always passes. Who stays ahead of a message bucket for long is
//! told, then closed.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::{Config, RateLimiting},
    limits::{
        RATE_CLOSE_AFTER, RATE_NOTICE_AFTER, RATE_REFILL_MIN, RATE_WINDOW, READ_BYTES_PER_WAKE_MAX,
    },
};

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Sync messages.
    Documents,
    /// Awareness and questions for it.
    Awareness,
    /// Pings, pongs and JSON: each may cost an answer.
    Control,
    /// Messages for events.
    Events,
    /// Bytes received.
    Bytes,
    /// Bytes of answers to sync step 1.
    Answers,
}

impl Class {
    /// All of them, in the order of the buckets.
    const ALL: [Self; 6] =
        [Self::Documents, Self::Awareness, Self::Control, Self::Events, Self::Bytes, Self::Answers];

    /// The class of a binary message.
    pub fn of_message(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(0) => Self::Documents,
            Some(1 | 3) => Self::Awareness,
            _ => Self::Control,
        }
    }

    /// Label of the counter, and name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Awareness => "awareness",
            Self::Control => "control",
            Self::Events => "events",
            Self::Bytes => "bytes",
            Self::Answers => "answers",
        }
    }

    fn counts_messages(self) -> bool {
        matches!(self, Self::Documents | Self::Awareness | Self::Control | Self::Events)
    }
}

/// What a client that stays ahead of a message bucket is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A warning, once per connection.
    Notice,
    /// The end.
    Close,
}

/// A rate and how much of it may come at once.
#[derive(Clone, Copy, Debug)]
struct Limit {
    per_second: u64,
    window: Duration,
}

impl Limit {
    fn of(burst: u64, per_second: u64) -> Self {
        Self { per_second, window: time_of(burst.max(1), per_second) }
    }

    /// The time in which so much refills; never more than the window.
    fn time_of(self, cost: u64) -> Duration {
        time_of(cost, self.per_second).min(self.window)
    }
}

fn time_of(cost: u64, per_second: u64) -> Duration {
    // Saturates for costs no bucket holds, which are cut to its window anyway.
    Duration::from_nanos(cost.saturating_mul(1_000_000_000) / per_second.max(1))
}

/// The buckets of one connection. A bucket is the moment at which it will be full again.
#[derive(Debug)]
pub struct Rates {
    messages: Limit,
    bytes: Option<Limit>,
    full_at: [Instant; Class::ALL.len()],
    /// Not to be read from before.
    empty_until: Option<Instant>,
    /// Classes that ran dry since everything that had arrived was read.
    dry: [bool; Class::ALL.len()],
    /// Since when a message bucket keeps running dry.
    ahead_since: Option<Instant>,
    told: bool,
    /// Somebody was told that the client was throttled.
    throttling_told: bool,
}

impl Rates {
    /// Full buckets of a connection for documents.
    pub fn new(config: &RateLimiting, now: Instant) -> Self {
        let per_second = config.messages_per_second;
        let seconds = RATE_WINDOW.as_secs();
        let burst = config.burst.unwrap_or(per_second.saturating_mul(seconds));
        Self::with(Limit::of(burst, per_second), config, now)
    }

    /// Full buckets of a connection for events, of a second's worth of messages by default.
    pub fn of_events(config: &Config, now: Instant) -> Self {
        let per_second = config.limits.message_rate_limit;
        let burst = config.limits.message_burst.unwrap_or(per_second);
        Self::with(Limit::of(burst, per_second), &config.rate_limiting, now)
    }

    fn with(messages: Limit, config: &RateLimiting, now: Instant) -> Self {
        let bytes = config.bytes_per_second();
        Self {
            messages,
            bytes: (bytes > 0).then_some(Limit { per_second: bytes, window: RATE_WINDOW }),
            full_at: [now; Class::ALL.len()],
            empty_until: None,
            dry: [false; Class::ALL.len()],
            ahead_since: None,
            told: false,
            throttling_told: false,
        }
    }

    /// Takes what a message or a number of bytes costs. `true` = this class runs dry for the first time since
    /// the client was last caught up with.
    pub fn take(&mut self, class: Class, cost: u64, now: Instant) -> bool {
        let limit = match (class.counts_messages(), self.bytes) {
            (true, _) => self.messages,
            (false, Some(limit)) => limit,
            (false, None) => return false,
        };
        let Some(full_at) = self.full_at.get_mut(class as usize) else { return false };
        // One cost never takes more than a bucket holds: the first answer is free of waiting, whatever its size.
        *full_at = (*full_at).max(now) + limit.time_of(cost);
        let Some(empty_for) = full_at.checked_duration_since(now + limit.window) else {
            return false;
        };
        // Not woken for each single token.
        let until = now + empty_for + RATE_REFILL_MIN.min(limit.window);
        self.empty_until = Some(self.empty_until.map_or(until, |earlier| earlier.max(until)));
        if class.counts_messages() {
            self.ahead_since.get_or_insert(now);
        }
        self.dry.get_mut(class as usize).is_some_and(|dry| !std::mem::replace(dry, true))
    }

    /// Whether throttling is to be told: the first time only.
    pub fn tells_of_throttling(&mut self) -> bool {
        !std::mem::replace(&mut self.throttling_told, true)
    }

    /// Gives back what so many messages cost, as far as the bucket holds it.
    pub fn give_back(&mut self, class: Class, messages: u64) {
        if messages > 0
            && let Some(full_at) = self.full_at.get_mut(class as usize)
            && let Some(earlier) = full_at.checked_sub(self.messages.time_of(messages))
        {
            *full_at = earlier;
        }
    }

    /// Whether the connection may be read from. Asks the clock only if it could not before.
    pub fn may_read(&mut self) -> bool {
        self.empty_until.is_none() || self.may_read_at(Instant::now())
    }

    fn may_read_at(&mut self, now: Instant) -> bool {
        self.empty_until = self.empty_until.filter(|until| *until > now);
        self.empty_until.is_none()
    }

    /// Whether the connection is not read from for now.
    pub fn is_empty(&self) -> bool {
        self.empty_until.is_some()
    }

    /// Bytes that may be read in one wake.
    pub fn wake_bytes(&self) -> usize {
        let second = self.bytes.map_or(u64::MAX, |limit| limit.per_second.max(4096));
        READ_BYTES_PER_WAKE_MAX.min(usize::try_from(second).unwrap_or(usize::MAX))
    }

    /// Everything that had arrived is read: the client is not ahead.
    pub fn caught_up(&mut self) {
        self.ahead_since = None;
        self.dry = [false; Class::ALL.len()];
    }

    /// What is due by now.
    pub fn escalate(&mut self, now: Instant) -> Option<Step> {
        let ahead = now.duration_since(self.ahead_since?);
        if ahead >= RATE_CLOSE_AFTER {
            return Some(Step::Close);
        }
        if ahead >= RATE_NOTICE_AFTER && !self.told {
            self.told = true;
            return Some(Step::Notice);
        }
        None
    }

    /// When something of this has to be looked at again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let step = self
            .ahead_since
            .map(|since| since + if self.told { RATE_CLOSE_AFTER } else { RATE_NOTICE_AFTER });
        match (self.empty_until, step) {
            (Some(until), Some(step)) => Some(until.min(step)),
            (until, step) => until.or(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N messages at once and N per second, not one more.
    #[test]
    fn events_have_the_configured_rate_exactly() {
        let mut config = Config::default();
        config.limits.message_rate_limit = 100;
        let now = Instant::now();
        let mut rates = Rates::of_events(&config, now);
        let mut passed = 0;
        while !rates.is_empty() {
            rates.take(Class::Events, 1, now);
            passed += 1;
        }
        assert_eq!(passed, 100, "then nothing more is read");
        // A tenth of a second later a tenth of them, a second later all.
        for (millis, refilled) in [(100, 10), (1100, 100), (60_000, 100)] {
            let now = now + Duration::from_millis(millis);
            assert!(rates.may_read_at(now), "{millis}");
            assert_eq!(pass(&mut rates, Class::Events, now), refilled, "{millis}");
        }
        config.limits.message_burst = Some(250);
        let mut rates = Rates::of_events(&config, now);
        assert_eq!(pass(&mut rates, Class::Events, now), 250, "a burst of its own");
        let second = now + Duration::from_secs(1);
        assert!(rates.may_read_at(second));
        assert_eq!(pass(&mut rates, Class::Events, second), 100, "and refills at the rate");
        config.limits.message_burst = None;
        let mut rates = Rates::of_events(&config, now);
        for number in 0..100 * 60 {
            rates.take(Class::Events, 1, now + Duration::from_millis(10) * number);
            assert!(!rates.is_empty(), "message {number} of a minute's steady flow");
        }
    }

    fn rates(per_second: u64, burst: Option<u64>, bytes: u64) -> (Rates, Instant) {
        let mut config = Config::default().rate_limiting;
        config.messages_per_second = per_second;
        config.burst = burst;
        config.bytes_per_second = Some(bytes);
        let now = Instant::now();
        (Rates::new(&config, now), now)
    }

    /// How many messages pass at `now` before the bucket is empty.
    fn pass(rates: &mut Rates, class: Class, now: Instant) -> u64 {
        let mut count = 0;
        rates.empty_until = None;
        while !rates.is_empty() && count < 100_000 {
            rates.take(class, 1, now);
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (mut rates, start) = rates(10, Some(30), 0);
        assert_eq!(pass(&mut rates, Class::Documents, start), 30);
        assert_eq!(pass(&mut rates, Class::Documents, start + Duration::from_millis(1001)), 11);
        assert_eq!(pass(&mut rates, Class::Documents, start + Duration::from_hours(1)), 30);
    }

    #[test]
    fn a_minutes_worth_is_the_default_burst() {
        let (mut rates, start) = rates(10, None, 0);
        assert_eq!(pass(&mut rates, Class::Documents, start), 600);
    }

    #[test]
    fn classes_are_counted_apart() {
        let (mut rates, start) = rates(10, Some(30), 1000);
        for class in [Class::Documents, Class::Awareness, Class::Control] {
            assert_eq!(pass(&mut rates, class, start), 30, "{class:?}");
        }
        let window = RATE_WINDOW.as_secs();
        assert_eq!(pass(&mut rates, Class::Bytes, start), 1000 * window);
        assert_eq!(pass(&mut rates, Class::Answers, start), 1000 * window);
    }

    #[test]
    fn the_first_answer_never_makes_its_client_wait_for_long() {
        let (mut rates, start) = rates(10, None, 1000);
        rates.take(Class::Answers, 1 << 40, start);
        assert!(rates.empty_until.unwrap() <= start + RATE_REFILL_MIN);
        rates.take(Class::Answers, 1 << 40, start);
        assert!(rates.empty_until.unwrap() >= start + RATE_WINDOW, "the second does");
    }

    #[test]
    fn who_echoes_what_it_is_told_is_never_ahead() {
        let (mut rates, start) = rates(10, Some(30), 0);
        for step in 0..1000 {
            let now = start + Duration::from_millis(step * 50);
            rates.give_back(Class::Awareness, 1);
            rates.take(Class::Awareness, 1, now);
            assert!(!rates.is_empty(), "echo {step}");
        }
        rates.give_back(Class::Awareness, 1_000_000);
        let later = start + Duration::from_secs(50);
        assert!(pass(&mut rates, Class::Awareness, later) <= 30, "no more than a bucket holds");
    }

    #[test]
    fn no_byte_rate_is_no_limit() {
        let (mut rates, start) = rates(10, None, 0);
        rates.take(Class::Bytes, u64::MAX, start);
        rates.take(Class::Answers, u64::MAX, start);
        assert!(!rates.is_empty());
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let (mut rates, start) = rates(1, Some(1_000_000), 1);
        for class in Class::ALL {
            for _ in 0..100 {
                rates.take(class, u64::MAX, start);
            }
        }
        assert!(rates.next_deadline().is_some());
    }

    #[test]
    fn who_stays_ahead_is_told_then_closed() {
        let (mut rates, start) = rates(10, Some(10), 0);
        pass(&mut rates, Class::Awareness, start);
        assert_eq!(rates.escalate(start), None);
        assert_eq!(rates.escalate(start + RATE_NOTICE_AFTER), Some(Step::Notice));
        assert_eq!(rates.escalate(start + RATE_NOTICE_AFTER), None, "once");
        assert_eq!(rates.escalate(start + RATE_CLOSE_AFTER), Some(Step::Close));
        rates.caught_up();
        assert_eq!(rates.escalate(start + RATE_CLOSE_AFTER), None);
    }

    /// A flood costs its connection a few wakes per second, not one per message.
    #[test]
    fn a_flood_wakes_its_connection_rarely() {
        for per_second in [1, 10, 1000, 1_000_000] {
            let (mut rates, start) = rates(per_second, Some(per_second / 10), 0);
            let (mut now, mut wakes) = (start, 0);
            while now < start + Duration::from_secs(5) {
                assert!(rates.may_read_at(now));
                while !rates.is_empty() {
                    rates.take(Class::Documents, 1, now);
                }
                rates.told = true;
                now = rates.next_deadline().unwrap();
                wakes += 1;
            }
            assert!(wakes <= 55, "{wakes} wakes at {per_second} per second");
        }
    }

    #[test]
    fn bytes_and_answers_only_slow_down() {
        let (mut rates, start) = rates(10, None, 1);
        assert!(!rates.take(Class::Bytes, 1, start));
        assert!(rates.take(Class::Bytes, 1 << 30, start), "dry for the first time");
        assert!(!rates.take(Class::Bytes, 1, start), "counted once");
        rates.take(Class::Answers, 1 << 30, start);
        assert!(rates.is_empty());
        assert_eq!(rates.escalate(start + RATE_CLOSE_AFTER), None);
    }

    #[test]
    fn messages_have_their_class() {
        let classes = [&[0, 2][..], &[1, 0], &[3], b"{\"type\":\"ping\"}", &[]];
        assert_eq!(
            classes.map(Class::of_message).map(Class::name),
            ["documents", "awareness", "awareness", "control", "control"]
        );
    }
}
