//! JSON control messages beside the binary protocol (the host's contract, section 8).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Longest JSON control message of a client, in bytes.
pub const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// What the server says in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerControl<'a> {
    /// The join is accepted; the first message of every session.
    ConnectionAck {
        /// The room, `type:id`.
        room_id: &'a str,
        /// The connection's public name.
        client_id: &'a str,
        /// Whether edits of this session are taken.
        can_edit: bool,
        /// What the connection is called in the server's log.
        correlation_id: &'a str,
    },
    /// Something failed; usually a close follows.
    Error {
        /// Stable code.
        code: &'a str,
        /// One sentence for people.
        message: &'a str,
        /// What the connection is called in the server's log.
        correlation_id: &'a str,
        /// The room it was about, if it is one.
        room_id: Option<&'a str>,
    },
    /// A warning; the session lives on.
    Notice {
        /// Stable code.
        code: &'a str,
        /// One sentence for people.
        message: &'a str,
        /// What the connection is called in the server's log.
        correlation_id: &'a str,
    },
    /// The host ended the user's sessions; a close follows.
    SessionRevoked {
        /// The host's reason.
        reason: &'a str,
        /// What the connection is called in the server's log.
        correlation_id: &'a str,
    },
    /// The disk fails and the room takes no more edits, or takes them again.
    Storage {
        /// Whether edits are refused.
        degraded: bool,
        /// What the connection is called in the server's log.
        correlation_id: &'a str,
    },
    /// The answer to a ping.
    Pong {
        /// Unix milliseconds.
        timestamp_ms: u64,
    },
    /// The first so many sync messages (step 2 or update) of this connection are durable.
    Ack {
        /// Counted from the connection's opening.
        updates: u64,
    },
}

impl ServerControl<'_> {
    /// The message as JSON text. Its first byte is always `{`, so it may travel in a binary frame too.
    pub fn to_json(&self) -> String {
        let wire = match *self {
            Self::ConnectionAck { room_id, client_id, can_edit, correlation_id } => Wire {
                event: Some("connection.ack"),
                room_id: Some(room_id),
                client_id: Some(client_id),
                can_edit: Some(can_edit),
                correlation_id: Some(correlation_id),
                ..Wire::of("control")
            },
            Self::Error { code, message, correlation_id, room_id } => Wire {
                event: Some("error"),
                error: Some(WireError {
                    code,
                    message,
                    correlation_id,
                    context: WireContext { room_id },
                }),
                ..Wire::of("control")
            },
            Self::Notice { code, message, correlation_id } => Wire {
                event: Some("notice"),
                code: Some(code),
                message: Some(message),
                correlation_id: Some(correlation_id),
                ..Wire::of("control")
            },
            Self::SessionRevoked { reason, correlation_id } => Wire {
                event: Some("session.revoked"),
                reason: Some(reason),
                correlation_id: Some(correlation_id),
                ..Wire::of("control")
            },
            Self::Storage { degraded, correlation_id } => Wire {
                event: Some(if degraded { "storage.degraded" } else { "storage.recovered" }),
                correlation_id: Some(correlation_id),
                ..Wire::of("control")
            },
            Self::Pong { timestamp_ms } => {
                Wire { timestamp: Some(timestamp_ms), ..Wire::of("pong") }
            }
            Self::Ack { updates } => Wire { updates: Some(updates), ..Wire::of("ack") },
        };
        // Strings and numbers only: serialization has no way to fail, an empty object is the safe answer.
        serde_json::to_string(&wire).unwrap_or_else(|_| "{}".into())
    }

    /// [`ServerControl::to_json`] as bytes, for a binary frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_json().into_bytes()
    }
}

/// What a client says in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientControl {
    /// Asks for a pong.
    Ping,
    /// A JSON object of another type; document rooms have no use for it.
    Other,
}

/// Why a client's JSON is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Longer than [`CONTROL_BYTES_MAX`].
    #[error("the control message is too long")]
    TooLong,
    /// Not a JSON object, or nested too deeply.
    #[error("the control message is not a JSON object")]
    Invalid,
}

impl ControlError {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "control_too_long",
            Self::Invalid => "control_invalid",
        }
    }
}

/// Reads a client's JSON message. The parser has its own nesting bound (128), so depth costs no stack.
pub fn parse(bytes: &[u8]) -> Result<ClientControl, ControlError> {
    if bytes.len() > CONTROL_BYTES_MAX {
        return Err(ControlError::TooLong);
    }
    // serde takes an array for a struct; the contract knows objects only.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ControlError::Invalid);
    }
    match serde_json::from_slice::<Head<'_>>(bytes) {
        Ok(Head { kind: Some(Kind::Name(name)) }) if name == "ping" => Ok(ClientControl::Ping),
        Ok(_) => Ok(ClientControl::Other),
        Err(_) => Err(ControlError::Invalid),
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Kind<'a>>,
}

/// `type` may be anything in a message that is not for us.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kind<'a> {
    #[serde(borrow)]
    Name(Cow<'a, str>),
    Other(serde::de::IgnoredAny),
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    can_edit: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WireError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updates: Option<u64>,
}

impl<'a> Wire<'a> {
    fn of(kind: &'a str) -> Self {
        Self { kind, ..Self::default() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireError<'a> {
    code: &'a str,
    message: &'a str,
    correlation_id: &'a str,
    context: WireContext<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireContext<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_contracts_shape() {
        let correlation_id = "7f";
        let ack = ServerControl::ConnectionAck {
            room_id: "records:1",
            client_id: "c",
            can_edit: true,
            correlation_id,
        };
        assert_eq!(
            ack.to_json(),
            r#"{"type":"control","event":"connection.ack","roomId":"records:1","clientId":"c","canEdit":true,"correlationId":"7f"}"#
        );
        let error = |room_id| ServerControl::Error {
            code: "AUTH_FAILED",
            message: "no \"way\"",
            correlation_id,
            room_id,
        };
        assert_eq!(
            error(Some("records:1")).to_json(),
            r#"{"type":"control","event":"error","error":{"code":"AUTH_FAILED","message":"no \"way\"","correlationId":"7f","context":{"roomId":"records:1"}}}"#
        );
        assert!(error(None).to_json().contains(r#""context":{}"#));
        assert_eq!(
            ServerControl::Notice {
                code: "RATE_LIMIT_EXCEEDED",
                message: "slower",
                correlation_id
            }
            .to_json(),
            r#"{"type":"control","event":"notice","code":"RATE_LIMIT_EXCEEDED","message":"slower","correlationId":"7f"}"#
        );
        assert_eq!(
            ServerControl::SessionRevoked { reason: "password", correlation_id }.to_json(),
            r#"{"type":"control","event":"session.revoked","reason":"password","correlationId":"7f"}"#
        );
        assert_eq!(
            ServerControl::Storage { degraded: true, correlation_id }.to_json(),
            r#"{"type":"control","event":"storage.degraded","correlationId":"7f"}"#
        );
        assert_eq!(
            ServerControl::Pong { timestamp_ms: 5 }.to_json(),
            r#"{"type":"pong","timestamp":5}"#
        );
        assert_eq!(ServerControl::Ack { updates: 2 }.to_bytes(), br#"{"type":"ack","updates":2}"#);
    }

    #[test]
    fn reads_pings_and_lets_other_objects_pass() {
        for ping in [r#"{"type":"ping"}"#, r#" {"at":1,"type":"p\u0069ng"}"#] {
            assert_eq!(parse(ping.as_bytes()), Ok(ClientControl::Ping), "{ping}");
        }
        for other in
            ["{}", r#"{"type":7}"#, r#"{"type":null}"#, r#"{"type":"emit","data":[1,{"a":2}]}"#]
        {
            assert_eq!(parse(other.as_bytes()), Ok(ClientControl::Other), "{other}");
        }
    }

    #[test]
    fn refuses_what_is_no_object() {
        for bad in [
            &b""[..],
            b"{",
            b"[]",
            b"[\"ping\"]",
            b"null",
            b"\"ping\"",
            b"{\"type\":\"ping\"} x",
            &[0xff, b'{'],
        ] {
            assert_eq!(parse(bad), Err(ControlError::Invalid), "{bad:?}");
        }
        let deep = [br#"{"a":"#.to_vec(), b"[".repeat(30_000)].concat();
        assert_eq!(parse(&deep), Err(ControlError::Invalid));
        assert_eq!(parse(&vec![b'{'; CONTROL_BYTES_MAX + 1]), Err(ControlError::TooLong));
    }
}
