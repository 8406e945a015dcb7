//! One error enum with stable codes, and the reasons a connection is closed for.

/// What can go wrong when an engine starts or is asked for something. [`EngineError::code`] is stable API.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The listener's address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Address as configured, `host:port`.
        address: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The configuration is unreadable or holds a wrong value; the text names the key path.
    #[error("{0}")]
    Config(String),
    /// The update log cannot be opened or read.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The host refused or failed.
    #[error(transparent)]
    Host(#[from] crate::host::HostError),
    /// A room's name is not valid.
    #[error(transparent)]
    RoomId(#[from] crate::ids::RoomIdError),
    /// The room is not open, or went away meanwhile.
    #[error("room {0} is not open")]
    RoomNotFound(String),
    /// The store has no such room or version.
    #[error("{0}")]
    VersionNotFound(String),
    /// A text holds what the editor's document cannot; says where.
    #[error("{0}")]
    Lossy(String),
    /// Too many rooms are open (`rooms.max_rooms`).
    #[error("Room limit reached ({0}); cannot create another room")]
    RoomLimit(usize),
    /// The engine is stopping.
    #[error("the engine is shutting down")]
    ShuttingDown,
    /// The engine is not running.
    #[error("the engine is not running")]
    NotRunning,
    /// A defect of ours: the room or call fails, the process lives on.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// The stable code, part of the public API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "REALTIME_BIND_FAILED",
            Self::Config(_) => "REALTIME_CONFIG_INVALID",
            Self::Store(error) => error.code(),
            Self::Host(error) => error.code(),
            Self::RoomId(_) => "INVALID_ROOM_ID",
            Self::RoomNotFound(_) => "ROOM_NOT_FOUND",
            Self::VersionNotFound(_) => "VERSION_NOT_FOUND",
            Self::Lossy(_) => "RECORD_LOSSY",
            Self::RoomLimit(_) => "ROOM_LIMIT_REACHED",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::NotRunning => "REALTIME_NOT_RUNNING",
            Self::Internal(_) => "REALTIME_ERROR",
        }
    }

    /// The HTTP status that goes with the error.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::RoomId(_) => 400,
            Self::Lossy(_) => 422,
            Self::RoomNotFound(_) | Self::VersionNotFound(_) => 404,
            Self::RoomLimit(_) | Self::ShuttingDown | Self::NotRunning => 503,
            Self::Host(error) => error.http_status(),
            _ => 500,
        }
    }
}

/// Why the server ends a session. Fixes the WebSocket close code, the `code` in the JSON reason, and whether
/// a client should come back.
///
/// Codes 4400–4499 would stop y-websocket ≥ 3.1 for good; the host's contract uses 4001–4029, which it
/// retries, so both kinds of client behave as their texts promise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// No token, or one that does not hold (4001).
    AuthFailed,
    /// The token's time is over (4001).
    TokenExpired,
    /// The host did not say for long whether the session still holds; come back and be judged anew (4500).
    AuthUnavailable,
    /// The host ended the user's sessions (4001), with its reason; empty = it gave none.
    SessionRevoked(String),
    /// An admin or the host sent the user away (4403), with a reason; empty = none was given.
    Kicked(String),
    /// The record is missing or not for this user (4003).
    PermissionDenied,
    /// No such room type (4004).
    RoomTypeNotRegistered(String),
    /// The room name is not valid (4004).
    InvalidRoom(String),
    /// More connections than the address or the user may have (4029).
    ConnectionLimit(String),
    /// More messages for long than `rate_limiting.messages_per_second`, after a warning (1008).
    RateLimit(u64),
    /// `rooms.max_rooms` is reached (4503, come back later).
    RoomLimit(String),
    /// The record could not be loaded (4500, come back later).
    LoadFailed(String),
    /// The document would grow over its bound (4413).
    DocumentTooLarge,
    /// The reader does not keep up; reconnect and resync (4508).
    SlowConsumer,
    /// The room met a fault and is rebuilt; reconnect (4500).
    RoomFailed,
    /// The handler of the room failed at the join (4003); its client is told the error's own code and message.
    HandlerRefused {
        /// The error's code.
        code: String,
        /// The error's message.
        message: String,
    },
    /// The handler of the room does not answer (4500).
    HandlerFailed,
    /// The handler of the room closes with this code and reason.
    ByHandler(u16, String),
    /// The server stops (4503).
    ShuttingDown,
    /// A frame breaks the WebSocket protocol (1002).
    Protocol(String),
    /// A text frame is not UTF-8 (1007).
    InvalidData,
    /// A frame breaks the sync protocol or is hostile (1008).
    Policy(String),
    /// A frame is larger than `limits.message_bytes_max` (1009).
    TooBig,
    /// The peer stopped answering pings (no close frame is expected to arrive).
    Dead,
}

/// Code of the notice to who sends too much, and of the close if that did not help.
pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";

impl CloseReason {
    /// The WebSocket close code.
    pub fn close_code(&self) -> u16 {
        match self {
            Self::AuthFailed | Self::TokenExpired | Self::SessionRevoked(_) => 4001,
            Self::PermissionDenied | Self::HandlerRefused { .. } => 4003,
            Self::RoomTypeNotRegistered(_) | Self::InvalidRoom(_) => 4004,
            Self::ConnectionLimit(_) => 4029,
            Self::Kicked(_) => 4403,
            Self::DocumentTooLarge => 4413,
            Self::LoadFailed(_)
            | Self::RoomFailed
            | Self::AuthUnavailable
            | Self::HandlerFailed => 4500,
            Self::RoomLimit(_) | Self::ShuttingDown => 4503,
            Self::SlowConsumer => 4508,
            Self::Protocol(_) => 1002,
            Self::InvalidData => 1007,
            Self::Policy(_) | Self::RateLimit(_) => 1008,
            Self::TooBig => 1009,
            Self::Dead => 1001,
            Self::ByHandler(code, _) => *code,
        }
    }

    /// The stable code inside the JSON close reason, and the `reason` label of the close counter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::AuthFailed => "AUTH_FAILED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::AuthUnavailable => "AUTH_UNAVAILABLE",
            Self::SessionRevoked(_) => "SESSION_REVOKED",
            Self::Kicked(_) => "KICKED",
            Self::PermissionDenied | Self::HandlerRefused { .. } => "PERMISSION_DENIED",
            Self::RoomTypeNotRegistered(_) => "ROOM_TYPE_NOT_REGISTERED",
            Self::InvalidRoom(_) => "INVALID_ROOM",
            Self::ConnectionLimit(_) => "CONNECTION_LIMIT_EXCEEDED",
            Self::RateLimit(_) => RATE_LIMIT_EXCEEDED,
            Self::RoomLimit(_) => "ROOM_LIMIT_REACHED",
            Self::LoadFailed(_) => "LOAD_FAILED",
            Self::DocumentTooLarge => "DOCUMENT_TOO_LARGE",
            Self::SlowConsumer => "SLOW_CONSUMER",
            Self::RoomFailed => "ROOM_FAILED",
            Self::HandlerFailed => "HANDLER_FAILED",
            Self::ByHandler(..) => "CLOSED_BY_HANDLER",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Protocol(_) => "PROTOCOL_ERROR",
            Self::InvalidData => "INVALID_DATA",
            Self::Policy(_) => "POLICY_VIOLATION",
            Self::TooBig => "MESSAGE_TOO_BIG",
            Self::Dead => "PEER_DEAD",
        }
    }

    /// The code its client is told before the close.
    pub fn told_code(&self) -> &str {
        match self {
            Self::HandlerRefused { code, .. } => code,
            _ => self.code(),
        }
    }

    /// One sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::AuthFailed | Self::PermissionDenied => "Authentication failed".into(),
            Self::TokenExpired => "The session has expired".into(),
            Self::AuthUnavailable => {
                "The session cannot be verified at the moment; reconnect".into()
            }
            Self::SessionRevoked(reason) if reason.is_empty() => "The session was revoked".into(),
            Self::SessionRevoked(reason) => format!("The session was revoked: {reason}"),
            Self::Kicked(reason) if reason.is_empty() => "You were removed from the room".into(),
            Self::Kicked(reason) => format!("You were removed from the room: {reason}"),
            Self::RoomTypeNotRegistered(kind) => format!("Room type '{kind}' is not registered"),
            Self::InvalidRoom(why)
            | Self::ConnectionLimit(why)
            | Self::RoomLimit(why)
            | Self::LoadFailed(why)
            | Self::Protocol(why)
            | Self::Policy(why) => why.clone(),
            Self::HandlerRefused { message, .. } => message.clone(),
            Self::HandlerFailed => "The room's handler does not answer; reconnect".into(),
            Self::ByHandler(_, reason) => reason.clone(),
            Self::RateLimit(rate) => format!("Rate limit exceeded: {rate} messages per second"),
            Self::DocumentTooLarge => "The document has reached its size limit".into(),
            Self::SlowConsumer => "The connection does not keep up; reconnect to resync".into(),
            Self::RoomFailed => "The room is being rebuilt; reconnect".into(),
            Self::ShuttingDown => "The server is shutting down".into(),
            Self::InvalidData => "A text frame is not valid UTF-8".into(),
            Self::TooBig => "The message is too large".into(),
            Self::Dead => "The peer stopped answering".into(),
        }
    }

    /// The close frame's reason: JSON in the shape of the host's contract, at most 123 bytes.
    pub fn close_text(&self) -> String {
        if let Self::ByHandler(_, reason) = self {
            return cut(reason, 123).to_owned();
        }
        let code = self.code();
        let json = match self {
            Self::RoomTypeNotRegistered(kind) => {
                serde_json::json!({ "code": code, "roomType": cut(kind, 40) })
            }
            Self::ConnectionLimit(why)
            | Self::SessionRevoked(why)
            | Self::Kicked(why)
            | Self::Policy(why)
                if !why.is_empty() =>
            {
                serde_json::json!({ "code": code, "reason": cut(why, 60) })
            }
            Self::RateLimit(_) => {
                serde_json::json!({ "code": code, "reason": "Rate limit exceeded" })
            }
            _ => serde_json::json!({ "code": code }),
        };
        let text = json.to_string();
        if text.len() > 123 { format!("{{\"code\":\"{code}\"}}") } else { text }
    }
}

/// The longest prefix of `text` of at most `bytes_max` bytes that ends at a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_reasons_fit_a_control_frame() {
        let hostile = "\"\\\u{1}é".repeat(100);
        for reason in [
            CloseReason::RoomTypeNotRegistered(hostile.clone()),
            CloseReason::ConnectionLimit(hostile.clone()),
            CloseReason::Policy(hostile.clone()),
            CloseReason::SessionRevoked(hostile),
        ] {
            assert!(reason.close_text().len() <= 123, "{}", reason.close_text());
        }
    }

    #[test]
    fn close_reasons_have_the_contract_shape() {
        assert_eq!(CloseReason::AuthFailed.close_text(), r#"{"code":"AUTH_FAILED"}"#);
        let revoked = |reason: &str| CloseReason::SessionRevoked(reason.into()).close_text();
        assert_eq!(revoked(""), r#"{"code":"SESSION_REVOKED"}"#);
        assert_eq!(revoked("left"), r#"{"code":"SESSION_REVOKED","reason":"left"}"#);
        assert_eq!(
            CloseReason::RoomTypeNotRegistered("x".into()).close_text(),
            r#"{"code":"ROOM_TYPE_NOT_REGISTERED","roomType":"x"}"#
        );
    }
}
