//! What a connection does about a client that sends more than it may.

use tokio::time::Instant;

use super::Connection;
use crate::{
    error::CloseReason,
    net::{
        client::rate_notice,
        rate::{Class, Step},
    },
};

impl Connection<'_> {
    /// Takes from a bucket; once it is empty nothing is read until it has refilled.
    pub(super) fn spend(&mut self, class: Class, cost: u64, now: Instant) {
        if !self.rates.take(class, cost, now) {
            return;
        }
        self.shared.metrics.throttled.inc(class.name());
        if !std::mem::replace(&mut self.was_throttled, true) {
            self.joined.client().log_throttled(class);
        }
    }

    /// Warns or ends a client that stays ahead of its rate.
    pub(super) fn escalate(&mut self, now: Instant) -> Option<CloseReason> {
        let step = self.rates.escalate(now)?;
        let reason = self.joined.client().stays_ahead(
            step,
            self.shared.config.rate_limiting.messages_per_second,
            self.shared,
        );
        if step == Step::Close {
            return Some(reason);
        }
        self.say(&rate_notice(&reason.message(), &self.joined.correlation));
        None
    }
}
