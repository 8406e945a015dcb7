//! What the server says in JSON to every client, whatever protocol its document comes in (the host's contract,
//! section 8).

use serde::Serialize;

use super::json::Level;

/// What the server says in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerControl<'a> {
    /// The join is accepted; the first message of every session.
    ConnectionAck {
        /// The room, `type:id`.
        room_id: &'a str,
        /// The connection's public name.
        client_id: &'a str,
        /// Whether edits of this session are taken; `None` = the room is no document.
        can_edit: Option<bool>,
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
    /// A sentence for people; the session lives on.
    Notice {
        /// Stable code.
        code: &'a str,
        /// How it is meant.
        level: Level,
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
    /// Somebody locked the room: nobody edits, or may again.
    Lock {
        /// Whether edits are refused.
        locked: bool,
        /// Who did it, a user id; `None` = the host.
        by: Option<&'a str>,
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
        /// The room's version that is durable, for clients that count it.
        version: Option<u64>,
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
                can_edit,
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
            Self::Notice { code, level, message, correlation_id } => Wire {
                event: Some("notice"),
                code: Some(code),
                message: Some(message),
                notice: Some(WireNotice { level, message }),
                correlation_id: Some(correlation_id),
                ..Wire::of("control")
            },
            Self::Lock { locked, by, correlation_id } => Wire {
                event: Some(if locked { "lock" } else { "unlock" }),
                by,
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
            Self::Ack { updates, version } => {
                Wire { updates: Some(updates), version, ..Wire::of("ack") }
            }
        };
        // Strings and numbers only: serialization has no way to fail, an empty object is the safe answer.
        serde_json::to_string(&wire).unwrap_or_else(|_| "{}".into())
    }

    /// [`ServerControl::to_json`] as bytes, for a binary frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_json().into_bytes()
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<WireNotice<'a>>,
}

/// The same once more, in the shape of the first documents.
#[derive(Serialize)]
struct WireNotice<'a> {
    level: Level,
    message: &'a str,
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
            can_edit: Some(true),
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
                level: Level::Warning,
                message: "slower",
                correlation_id,
            }
            .to_json(),
            r#"{"type":"control","event":"notice","code":"RATE_LIMIT_EXCEEDED","message":"slower","correlationId":"7f","notice":{"level":"warning","message":"slower"}}"#
        );
        assert_eq!(
            ServerControl::Lock { locked: true, by: Some("7"), correlation_id }.to_json(),
            r#"{"type":"control","event":"lock","correlationId":"7f","by":"7"}"#
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
        let ack = |version| ServerControl::Ack { updates: 2, version }.to_bytes();
        assert_eq!(ack(None), br#"{"type":"ack","updates":2}"#);
        assert_eq!(ack(Some(9)), br#"{"type":"ack","updates":2,"version":9}"#);
    }
}
