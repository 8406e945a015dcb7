//! What a connection does about a client that sends more than it may.

use tokio::time::Instant;

use super::Connection;
use crate::{
    error::{CloseReason, RATE_LIMIT_EXCEEDED},
    net::rate::{Class, Step},
    protocol::{control::ServerControl, json::Level},
    telemetry::security::Violation,
};

impl Connection<'_> {
    /// Takes from a bucket; once it is empty nothing is read until it has refilled.
    pub(super) fn spend(&mut self, class: Class, cost: u64, now: Instant) {
        if !self.rates.take(class, cost, now) {
            return;
        }
        self.shared.metrics.throttled.inc(class.name());
        if !std::mem::replace(&mut self.was_throttled, true) {
            log::info!(
                event = "throttled", connection = self.joined.session.0,
                correlation_id = self.joined.correlation.as_str(), address:% = self.address,
                user = self.user(), room = self.joined.room_id.as_str(), class = class.name();
                "connection {}: user {} sends {} faster than it may and is slowed down",
                self.joined.session.0, self.user(), class.name()
            );
        }
    }

    /// Warns or ends a client that stays ahead of its rate.
    pub(super) fn escalate(&mut self, now: Instant) -> Option<CloseReason> {
        let step = self.rates.escalate(now)?;
        let rate = self.shared.config.rate_limiting.messages_per_second;
        let reason = CloseReason::RateLimit(rate);
        let told = if step == Step::Notice { "notice" } else { "close" };
        log::warn!(
            event = "rate_limited", connection = self.joined.session.0,
            correlation_id = self.joined.correlation.as_str(), address:% = self.address,
            user = self.user(), room = self.joined.room_id.as_str(), step = told, count = rate;
            "connection {}: user {} {} for sending more than {rate} messages per second",
            self.joined.session.0, self.user(),
            if step == Step::Notice { "is warned" } else { "is cut off" }
        );
        let user_id = Some(self.joined.identity.user_id.as_str());
        let Self { shared, joined, address, .. } = self;
        shared.security.report(Violation::RateLimit, *address, user_id, &joined.correlation);
        if step == Step::Close {
            return Some(reason);
        }
        self.shared.metrics.rate_notices.inc();
        self.say(&ServerControl::Notice {
            code: RATE_LIMIT_EXCEEDED,
            level: Level::Warning,
            message: &reason.message(),
            correlation_id: self.joined.correlation.as_str(),
        });
        None
    }

    /// The user's id, fit for a log.
    fn user(&self) -> String {
        self.joined.identity.user_id.escape_debug().take(64).collect()
    }
}
