//! Who is at the other end of a connection, for log lines and reports, and what is said about its pace.

use std::{net::IpAddr, time::Duration};

use crate::{
    error::{CloseReason, RATE_LIMIT_EXCEEDED},
    ids::{RoomId, SessionId},
    net::{
        Shared,
        rate::{Class, Step},
    },
    protocol::{control::ServerControl, json::Level},
    telemetry::{correlation::CorrelationId, security::Violation},
};

/// A client that is in a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'a> {
    pub session: SessionId,
    pub correlation: &'a CorrelationId,
    pub address: IpAddr,
    /// Empty = nobody's.
    pub user_id: &'a str,
    pub room: &'a RoomId,
}

impl Client<'_> {
    /// Logs the session's beginning; `can_edit` is for documents.
    pub(super) fn log_connected(&self, can_edit: Option<bool>) {
        log::info!(
            event = "client_connected", connection = self.session.0,
            correlation_id = self.correlation.as_str(), room = self.room.as_str(),
            address:% = self.address, user = self.user_id, can_edit = can_edit;
            "connection {}: user {} joined {}", self.session.0, self.user(), self.room
        );
    }

    /// Logs the session's end; no reason = the client went by itself.
    pub(super) fn log_disconnected(&self, reason: Option<&CloseReason>, after: Duration) {
        let code = reason.map_or("CLIENT_LEFT", CloseReason::code);
        let duration_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        log::info!(
            event = "client_disconnected", connection = self.session.0,
            correlation_id = self.correlation.as_str(), room = self.room.as_str(),
            user = self.user_id, code = code, duration_ms = duration_ms;
            "connection {}: user {} left {}: {code}", self.session.0, self.user(), self.room
        );
    }

    /// Logs that the client is not read from until a bucket has refilled.
    pub(super) fn log_throttled(&self, class: Class) {
        log::info!(
            event = "throttled", connection = self.session.0,
            correlation_id = self.correlation.as_str(), address:% = self.address,
            user = self.user(), room = self.room.as_str(), class = class.name();
            "connection {}: user {} sends {} faster than it may and is slowed down",
            self.session.0, self.user(), class.name()
        );
    }

    /// Logs, counts and reports that the client stays ahead of its rate, in messages per second; why it is
    /// warned or closed.
    pub(super) fn stays_ahead(&self, step: Step, rate: u64, shared: &Shared) -> CloseReason {
        let (told, done) = match step {
            Step::Notice => ("notice", "is warned"),
            Step::Close => ("close", "is cut off"),
        };
        log::warn!(
            event = "rate_limited", connection = self.session.0,
            correlation_id = self.correlation.as_str(), address:% = self.address,
            user = self.user(), room = self.room.as_str(), step = told, count = rate;
            "connection {}: user {} {done} for sending more than {rate} messages per second",
            self.session.0, self.user()
        );
        self.report(Violation::RateLimit, shared);
        if step == Step::Notice {
            shared.metrics.rate_notices.inc();
        }
        CloseReason::RateLimit(rate)
    }

    pub(super) fn report(&self, violation: Violation, shared: &Shared) {
        let user = Some(self.user_id).filter(|user| !user.is_empty());
        shared.security.report(violation, self.address, user, self.correlation);
    }

    /// The user's id, fit for a log.
    pub(super) fn user(&self) -> String {
        self.user_id.escape_debug().take(64).collect()
    }
}

/// Warns a client of what else would end it.
pub(super) fn rate_notice<'a>(
    message: &'a str,
    correlation: &'a CorrelationId,
) -> ServerControl<'a> {
    ServerControl::Notice {
        code: RATE_LIMIT_EXCEEDED,
        level: Level::Warning,
        message,
        correlation_id: correlation.as_str(),
    }
}
