//! What a client says: hostile text in, a message or an error out.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    limits::{EVENT_ACK_BYTES_MAX, EVENT_DEPTH_MAX, EVENT_NAME_BYTES_MAX},
    protocol::json_depth_exceeded,
};

/// The id a client gave a message, as JSON text: the answer has it too.
pub type Ack = Box<RawValue>;

/// A client's message.
#[derive(Debug)]
pub enum ClientMessage {
    /// Says who it is.
    Auth {
        /// Its token, unchecked.
        token: String,
    },
    /// Wants to hear a room.
    Join {
        /// Which.
        room: String,
        /// What it heard last, if it was here before.
        since: Option<Since>,
        /// Whether it wants to be told who comes and goes; `None` = as before.
        presence: Option<bool>,
    },
    /// Wants to hear a room no more.
    Leave {
        /// Which.
        room: String,
    },
    /// Says something to a room.
    Emit {
        /// What it is called.
        event: String,
        /// What it says, as JSON text; `None` = nothing.
        data: Option<Box<RawValue>>,
        /// To which room; `None` = to everybody.
        room: Option<String>,
        /// Whether the author hears it too.
        echo: bool,
        /// The same message sent twice has the same key.
        key: Option<String>,
    },
    /// Asks who is in a room.
    Presence {
        /// Which.
        room: String,
    },
    /// Asks for a sign of life.
    Ping,
}

/// A place in a room's history.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Since {
    /// The history it is a place in.
    pub epoch: String,
    /// The last event heard.
    pub offset: u64,
}

/// Why a message is refused. The texts are go-deployd's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not an object, nested too deeply, or with members of other kinds.
    #[error("Invalid message format")]
    Format,
    /// No message has this type.
    #[error("Unknown message type: {0}")]
    UnknownType(String),
    /// A room is needed.
    #[error("Room name required")]
    NoRoom,
    /// An event's name is needed.
    #[error("Event name required")]
    NoEvent,
    /// Too long, or with control characters.
    #[error("Invalid room name")]
    RoomName,
    /// Too long, or with control characters.
    #[error("Invalid event name")]
    EventName,
    /// The token does not hold.
    #[error("Invalid authentication token")]
    Token,
    /// Nobody can say at the moment whether it does.
    #[error("Authentication not available")]
    AuthUnavailable,
    /// The token's time is over.
    #[error("Authentication expired")]
    Expired,
    /// Not for this client.
    #[error("Permission denied")]
    Denied,
    /// The client is in as many rooms as it may be.
    #[error("Room limit exceeded")]
    RoomLimit,
    /// The server has as many rooms as it may have.
    #[error("Room limit of the server reached")]
    RoomsFull,
    /// More messages than it may send, for some time.
    #[error("Rate limit exceeded")]
    Rate,
}

impl EventError {
    /// The stable code, for clients that ask for more; a label of the counter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Format => "EVENT_FORMAT_INVALID",
            Self::UnknownType(_) => "EVENT_TYPE_UNKNOWN",
            Self::NoRoom | Self::RoomName => "EVENT_ROOM_INVALID",
            Self::NoEvent | Self::EventName => "EVENT_NAME_INVALID",
            Self::Token => "AUTH_FAILED",
            Self::AuthUnavailable => "AUTH_UNAVAILABLE",
            Self::Expired => "TOKEN_EXPIRED",
            Self::Denied => "PERMISSION_DENIED",
            Self::RoomLimit => "EVENT_ROOM_LIMIT_EXCEEDED",
            Self::RoomsFull => "ROOM_LIMIT_REACHED",
            Self::Rate => "RATE_LIMIT_EXCEEDED",
        }
    }
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    event: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(borrow, default)]
    ack: Option<&'a RawValue>,
    #[serde(default)]
    since: Option<Since>,
    #[serde(default)]
    presence: Option<bool>,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(default)]
    key: Option<String>,
}

/// Reads a client's message and the id it gave it. The id is there also if the rest is wrong, so that the
/// answer finds who asked.
pub fn read(bytes: &[u8]) -> (Option<Ack>, Result<ClientMessage, EventError>) {
    let Some(wire) = wire(bytes) else { return (None, Err(EventError::Format)) };
    let ack = wire.ack.filter(|ack| is_ack(ack.get())).map(ToOwned::to_owned);
    (ack, message(wire))
}

fn wire(bytes: &[u8]) -> Option<Wire<'_>> {
    let text = std::str::from_utf8(bytes).ok()?;
    // serde takes an array for a struct; the protocol knows objects only. It also skips what it does not need
    // without a bound on nesting, which other clients would be handed.
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object || json_depth_exceeded(text, EVENT_DEPTH_MAX) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn message(wire: Wire<'_>) -> Result<ClientMessage, EventError> {
    let room = || match wire.room.as_deref() {
        None | Some("") => Err(EventError::NoRoom),
        Some(room) if is_name(room) => Ok(room.to_owned()),
        Some(_) => Err(EventError::RoomName),
    };
    match wire.kind.as_deref().unwrap_or_default() {
        "auth" => Ok(ClientMessage::Auth { token: wire.token.unwrap_or_default() }),
        "join" => {
            Ok(ClientMessage::Join { room: room()?, since: wire.since, presence: wire.presence })
        }
        "leave" => Ok(ClientMessage::Leave { room: room()? }),
        "emit" => {
            let event = wire.event.unwrap_or_default();
            if event.is_empty() {
                return Err(EventError::NoEvent);
            }
            if !is_name(&event) {
                return Err(EventError::EventName);
            }
            let room = match wire.room {
                Some(room) if !room.is_empty() => {
                    Some(if is_name(&room) { room } else { return Err(EventError::RoomName) })
                }
                _ => None,
            };
            // Left out, it would not protect from a repetition that its sender thinks it protects from.
            if wire.key.as_ref().is_some_and(|key| !is_name(key)) {
                return Err(EventError::Format);
            }
            let key = wire.key;
            let data = wire.data.map(ToOwned::to_owned);
            Ok(ClientMessage::Emit { event, data, room, echo: wire.echo.unwrap_or(true), key })
        }
        "presence" => Ok(ClientMessage::Presence { room: room()? }),
        "ping" => Ok(ClientMessage::Ping),
        other => Err(EventError::UnknownType(other.chars().take(64).collect())),
    }
}

/// Whether a room, an event or a key may be called so.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= EVENT_NAME_BYTES_MAX
        && !name.chars().any(|letter| {
            letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        })
}

/// A short text or number.
fn is_ack(json: &str) -> bool {
    json.len() <= EVENT_ACK_BYTES_MAX
        && json.starts_with(|first: char| matches!(first, '"' | '-') || first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        read(text.as_bytes()).1.unwrap_err().to_string()
    }

    #[test]
    fn errors_have_go_deployds_texts() {
        for (text, expected) in [
            ("not json", "Invalid message format"),
            ("[]", "Invalid message format"),
            ("[\"join\"]", "Invalid message format"),
            ("null", "Invalid message format"),
            ("", "Invalid message format"),
            (r#"{"type":5}"#, "Invalid message format"),
            (r#"{"type":"emit","event":{}}"#, "Invalid message format"),
            (r#"{"type":"subscribe"}"#, "Unknown message type: subscribe"),
            ("{}", "Unknown message type: "),
            (r#"{"type":"join"}"#, "Room name required"),
            (r#"{"type":"join","room":""}"#, "Room name required"),
            (r#"{"type":"leave","room":null}"#, "Room name required"),
            (r#"{"type":"emit","room":"r"}"#, "Event name required"),
            (r#"{"type":"join","room":"a\nb"}"#, "Invalid room name"),
            (r#"{"type":"emit","event":"a\u0000"}"#, "Invalid event name"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert_eq!(
            read(b"{\"type\":\"join\",\"room\":\"\xff\"}").1.unwrap_err(),
            EventError::Format
        );
        let long = error(&format!(r#"{{"type":"{}"}}"#, "x".repeat(1000)));
        assert_eq!(long.len(), "Unknown message type: ".len() + 64);
    }

    #[test]
    fn names_have_a_bound_and_no_control_characters() {
        assert!(is_name("collection:todos") && is_name("Règlement 😀") && is_name("a.b>*  "));
        assert!(is_name(&"x".repeat(255)) && !is_name(&"x".repeat(256)));
        for name in ["", "\n", "\u{7f}", "\u{202e}a", "\u{feff}"] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn falsy_data_is_kept_and_null_is_none() {
        for (json, kept) in [
            ("0", Some("0")),
            ("\"\"", Some("\"\"")),
            ("false", Some("false")),
            ("{\"b\":1,\"a\":[2]}", Some("{\"b\":1,\"a\":[2]}")),
            ("null", None),
        ] {
            let text = format!(r#"{{"type":"emit","event":"e","data":{json}}}"#);
            let (_, message) = read(text.as_bytes());
            let Ok(ClientMessage::Emit { data, room: None, echo: true, .. }) = message else {
                panic!("{message:?}")
            };
            assert_eq!(data.as_deref().map(RawValue::get), kept);
        }
    }

    #[test]
    fn deep_json_is_refused_wherever_it_stands() {
        let deep = |at: &str| {
            let (open, close) = ("[".repeat(10_000), "]".repeat(10_000));
            format!(r#"{{"type":"emit","event":"e","{at}":{open}{close}}}"#)
        };
        assert_eq!(error(&deep("data")), "Invalid message format");
        assert_eq!(error(&deep("unknown")), "Invalid message format");
        let brackets = format!(r#"{{"type":"emit","event":"e","data":"{}"}}"#, "[".repeat(10_000));
        assert!(read(brackets.as_bytes()).1.is_ok(), "brackets in text are text");
    }

    #[test]
    fn an_ack_is_a_short_text_or_number() {
        for (json, taken) in
            [("7", true), ("\"a\"", true), ("-1", true), ("{}", false), ("true", false)]
        {
            let text = format!(r#"{{"type":"join","room":"r","ack":{json}}}"#);
            let (ack, message) = read(text.as_bytes());
            assert_eq!((ack.is_some(), message.is_ok()), (taken, true), "{json}");
        }
        let long = format!(r#"{{"type":"join","ack":"{}"}}"#, "x".repeat(100));
        assert!(read(long.as_bytes()).0.is_none());
        let (ack, message) = read(br#"{"type":"join","ack":3}"#);
        assert_eq!(
            (ack.unwrap().get(), message.is_err()),
            ("3", true),
            "the error finds who asked"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
        ) {
            let _ = read(&bytes);
        }

        #[test]
        fn almost_messages_do_not_panic(
            kind in "(auth|join|leave|emit|presence|ping|x)?",
            rest in "[ -~]{0,64}",
        ) {
            let _ = read(format!(r#"{{"type":"{kind}",{rest}}}"#).as_bytes());
        }
    }
}
