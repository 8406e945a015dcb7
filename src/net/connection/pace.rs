//! What a connection does about a client that sends more than it may.

use tokio::time::Instant;

use super::Connection;
use crate::{
    error::CloseReason,
    net::{client::rate_notice, rate::Step},
};

impl Connection<'_> {
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
