//! Security events: what a peer did that an honest one does not do. Each is counted by kind; what one address
//! repeats is a suspicious pattern, told to the log and to the host.

use std::{net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    host::{Hook, Host},
    limits::{SECURITY_PATTERN_MIN, SECURITY_WINDOW},
    net::client_address::address_key,
    telemetry::{
        correlation::CorrelationId,
        metrics::Metrics,
        patterns::{Patterns, Told},
    },
    time::unix_ms,
};

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// No token, or one that does not hold.
    AuthFailed,
    /// A room the user may not see.
    PermissionDenied,
    /// A page of a foreign origin.
    OriginRefused,
    /// More half-open requests or connections than an address or user may have.
    ConnectionFlood,
    /// A handshake (TLS or HTTP) that is malformed, too large or too late.
    BadHandshake,
    /// A frame that breaks the WebSocket protocol.
    BadFrame,
    /// A message that is not understood, or that the guard refuses.
    HostileMessage,
    /// More messages, bytes or questions than a connection may send.
    RateLimit,
    /// An edit of a session that may only read.
    ReadOnlyEdit,
    /// A document broke while this peer's update was applied.
    RoomFault,
}

impl Violation {
    /// Stable name: the `kind` of the hook and the label of the counter.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::AuthFailed => "auth_failed",
            Self::PermissionDenied => "permission_denied",
            Self::OriginRefused => "origin_refused",
            Self::ConnectionFlood => "connection_flood",
            Self::BadHandshake => "bad_handshake",
            Self::BadFrame => "bad_frame",
            Self::HostileMessage => "hostile_message",
            Self::RateLimit => "rate_limit",
            Self::ReadOnlyEdit => "read_only_edit",
            Self::RoomFault => "room_fault",
        }
    }
}

/// Takes security events.
pub struct SecurityEvents {
    host: Arc<dyn Host>,
    metrics: Arc<Metrics>,
    patterns: Mutex<Patterns<Violation>>,
}

impl std::fmt::Debug for SecurityEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecurityEvents").finish_non_exhaustive()
    }
}

impl SecurityEvents {
    /// Events are counted in `metrics` and told to `host`.
    pub fn new(host: Arc<dyn Host>, metrics: Arc<Metrics>) -> Self {
        Self { host, metrics, patterns: Mutex::new(Patterns::new(Instant::now())) }
    }

    /// Takes one event of a connection. Never waits; `user_id` is known only once somebody is authenticated.
    /// Every event is counted; log and host are told the first of an address (IPv6: of its /64) in a minute, the
    /// tenth, the hundredth and so on.
    pub fn report(
        &self,
        violation: Violation,
        address: IpAddr,
        user_id: Option<&str>,
        correlation: &CorrelationId,
    ) {
        self.metrics.violations.inc(violation.kind());
        match violation {
            Violation::AuthFailed => self.metrics.auth_failures.inc(),
            Violation::PermissionDenied => self.metrics.permission_denials.inc(),
            _ => {}
        }
        let told = self.patterns.lock().count(violation, address_key(address), Instant::now());
        if let Some(told) = told {
            self.tell(violation, address.to_canonical(), user_id, correlation, told);
        }
    }

    fn tell(
        &self,
        violation: Violation,
        address: IpAddr,
        user_id: Option<&str>,
        correlation: &CorrelationId,
        told: Told,
    ) {
        let (kind, count) = (violation.kind(), told.count);
        let suspicious = count >= SECURITY_PATTERN_MIN;
        let window_seconds = SECURITY_WINDOW.as_secs();
        log::warn!(
            event = "security_violation", kind = kind, address:% = address, user = user_id,
            correlation_id = correlation.as_str(), count = count, suspicious = suspicious, left_out = told.left_out;
            "{kind} by {address}, {count} within {window_seconds} s{}",
            if suspicious { ": a suspicious pattern" } else { "" }
        );
        self.host.emit_hook(Hook {
            name: "realtime:security:violation",
            data: json!({
                "kind": kind, "address": address.to_string(), "userId": user_id, "count": count,
                "suspicious": suspicious, "timestamp": unix_ms(),
                "correlationId": correlation.as_str(),
            }),
        });
    }
}
