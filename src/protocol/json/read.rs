//! What a client says: hostile text in, a message or an error out.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Serialize};

use super::{Cursor, color::is_color};
use crate::limits::CONTROL_BYTES_MAX;

/// A client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientJson {
    /// Asks for a pong.
    Ping,
    /// An update v1, unchecked.
    Update {
        /// Its bytes.
        update: Vec<u8>,
        /// It answers `sync_request`: it holds all the client has.
        answer: bool,
    },
    /// Asks for what this state vector, unchecked, lacks.
    StateVector(Vec<u8>),
    /// Says where somebody is.
    Presence(ClientPresence),
    /// Asks for something that only some may.
    Control(Moderation),
    /// An object of another type; document rooms have no use for it.
    Other,
}

/// What a client says of its person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPresence {
    /// The colour it wants, `#rrggbb`.
    pub color: Option<String>,
    /// What is new.
    pub change: PresenceChange,
}

/// What is new about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceChange {
    /// Here, without a caret.
    Joined,
    /// The caret; `None` = it has none any more.
    Cursor(Option<Cursor>),
    /// An awareness update (count and entries), unchecked.
    Awareness(Vec<u8>),
    /// No longer to be shown, though still connected.
    Left,
}

/// What an admin or the host does to a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moderation {
    /// Ends a user's sessions in the room and keeps them out for a while.
    Kick {
        /// Whose.
        user_id: String,
        /// Why, for people.
        reason: String,
    },
    /// From now on nobody edits.
    Lock,
    /// Edits are taken again.
    Unlock,
    /// A sentence for everybody in the room.
    Notice {
        /// How it is meant.
        level: Level,
        /// The sentence.
        message: String,
    },
}

/// How a notice is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    #[default]
    Info,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
}

/// Why a client's JSON is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than [`CONTROL_BYTES_MAX`], and no update.
    #[error("the message is too long")]
    TooLong,
    /// Not a JSON object, or nested too deeply.
    #[error("the message is not a JSON object")]
    Invalid,
    /// A member that its type needs is missing or of another type.
    #[error("the message lacks what its type needs")]
    Shape,
    /// Binary data is not base64.
    #[error("the message's binary data is not base64")]
    Base64,
}

impl JsonError {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "control_too_long",
            Self::Invalid => "control_invalid",
            Self::Shape => "json_shape",
            Self::Base64 => "json_base64",
        }
    }
}

/// Longest text of a notice or a reason, in characters.
const TEXT_CHARS_MAX: usize = 500;

/// Longest ping, in bytes.
const PING_BYTES_MAX: usize = 1024;

/// Whether a message is a ping. A long one is not: it is not parsed for that.
pub fn is_ping(bytes: &[u8]) -> bool {
    bytes.len() <= PING_BYTES_MAX && read(bytes) == Ok(ClientJson::Ping)
}

/// Whether a message is JSON, of any kind and at most 128 deep.
pub fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// Reads a client's message. The parser has its own nesting bound (128), so depth costs no stack.
pub fn read(bytes: &[u8]) -> Result<ClientJson, JsonError> {
    // serde takes an array for a struct; the protocol knows objects only.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(JsonError::Invalid);
    }
    let Head { kind } = serde_json::from_slice(bytes).map_err(|_| JsonError::Invalid)?;
    let kind = match &kind {
        Some(Kind::Name(name)) => name.as_ref(),
        _ => "",
    };
    if kind == "sync" {
        return sync(shaped(bytes)?);
    }
    if bytes.len() > CONTROL_BYTES_MAX {
        return Err(JsonError::TooLong);
    }
    match kind {
        "ping" => Ok(ClientJson::Ping),
        "presence" => presence(shaped(bytes)?),
        "control" => control(shaped(bytes)?),
        _ => Ok(ClientJson::Other),
    }
}

fn shaped<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(bytes).map_err(|_| JsonError::Shape)
}

fn sync(raw: RawSync<'_>) -> Result<ClientJson, JsonError> {
    match (raw.update, raw.state_vector) {
        (Some(update), _) => {
            Ok(ClientJson::Update { update: binary(&update)?, answer: raw.answer })
        }
        (None, Some(vector)) => Ok(ClientJson::StateVector(binary(&vector)?)),
        (None, None) => Ok(ClientJson::StateVector(vec![0])),
    }
}

fn presence(raw: RawPresence<'_>) -> Result<ClientJson, JsonError> {
    let change = match raw.event.as_ref() {
        "joined" => PresenceChange::Joined,
        "left" => PresenceChange::Left,
        "cursor" => PresenceChange::Cursor(raw.cursor),
        "awareness" => {
            let awareness = raw.awareness.ok_or(JsonError::Shape)?;
            PresenceChange::Awareness(binary(&awareness)?)
        }
        _ => return Err(JsonError::Shape),
    };
    let color = raw.user.and_then(|user| user.color).filter(|color| is_color(color));
    Ok(ClientJson::Presence(ClientPresence { color, change }))
}

fn control(raw: RawControl<'_>) -> Result<ClientJson, JsonError> {
    let moderation = match raw.event.as_deref() {
        Some("kick") => Moderation::Kick {
            user_id: raw.user.and_then(|user| user.id).ok_or(JsonError::Shape)?.into_text(),
            reason: cut(&raw.reason.unwrap_or_default()),
        },
        Some("lock") => Moderation::Lock,
        Some("unlock") => Moderation::Unlock,
        Some("notice") => {
            let RawNotice { level, message } = raw.notice.ok_or(JsonError::Shape)?;
            Moderation::Notice { level, message: cut(&message) }
        }
        // What servers say, or what only later protocols know.
        _ => return Ok(ClientJson::Other),
    };
    Ok(ClientJson::Control(moderation))
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn binary(text: &str) -> Result<Vec<u8>, JsonError> {
    // Not all clients pad.
    const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ANY_PADDING.decode(text).map_err(|_| JsonError::Base64)
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

#[derive(Deserialize)]
struct RawSync<'a> {
    #[serde(borrow)]
    update: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "stateVector")]
    state_vector: Option<Cow<'a, str>>,
    #[serde(default)]
    answer: bool,
}

#[derive(Deserialize)]
struct RawPresence<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    user: Option<RawUser>,
    cursor: Option<Cursor>,
    #[serde(borrow)]
    awareness: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawControl<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    user: Option<RawUser>,
    reason: Option<String>,
    notice: Option<RawNotice>,
}

/// Who it is says the token; of what the client says only the colour counts, and whom it means.
#[derive(Deserialize)]
struct RawUser {
    id: Option<RawId>,
    color: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawId {
    Text(String),
    Number(u64),
}

impl RawId {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct RawNotice {
    #[serde(default)]
    level: Level,
    message: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::json::Selection;

    fn says(text: &str) -> Result<ClientJson, JsonError> {
        read(text.as_bytes())
    }

    #[test]
    fn reads_what_the_documents_client_sends() {
        let update = |answer| Ok(ClientJson::Update { update: vec![1, 2, 3, 4], answer });
        assert_eq!(says(r#"{"type":"sync","update":"AQIDBA==","version":42}"#), update(false));
        assert_eq!(says(r#"{"type":"sync","update":"AQIDBA","version":-1e300}"#), update(false));
        assert_eq!(says(r#"{"type":"sync","update":"AQIDBA","answer":true}"#), update(true));
        let cursor = |text: &str| match says(text) {
            Ok(ClientJson::Presence(ClientPresence { color: None, change })) => change,
            other => panic!("{other:?}"),
        };
        let selection = Some(Selection { start: 40, end: 45 });
        assert_eq!(
            cursor(
                r#"{"type":"presence","event":"cursor","user":{"id":"x"},"cursor":{"position":42,"selection":{"start":40,"end":45}}}"#
            ),
            PresenceChange::Cursor(Some(Cursor { position: 42, selection }))
        );
        assert_eq!(
            cursor(r#"{"type":"presence","event":"awareness","awareness":"AA=="}"#),
            PresenceChange::Awareness(vec![0])
        );
        assert_eq!(cursor(r#"{"type":"presence","event":"left"}"#), PresenceChange::Left);
        for ping in [r#"{"type":"ping"}"#, r#" {"at":1,"type":"p\u0069ng"}"#] {
            assert_eq!(says(ping), Ok(ClientJson::Ping), "{ping}");
        }
    }

    #[test]
    fn a_sync_without_an_update_asks() {
        assert_eq!(says(r#"{"type":"sync"}"#), Ok(ClientJson::StateVector(vec![0])));
        assert_eq!(
            says(r#"{"type":"sync","stateVector":"AQcD"}"#),
            Ok(ClientJson::StateVector(vec![1, 7, 3]))
        );
    }

    #[test]
    fn only_a_color_is_taken_for_one() {
        let color = |color: &str| {
            let text = format!(
                r#"{{"type":"presence","event":"joined","user":{{"id":7,"name":"Mayor","color":"{color}"}}}}"#
            );
            match says(&text) {
                Ok(ClientJson::Presence(presence)) => presence.color,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(color("#3b82f6").as_deref(), Some("#3b82f6"));
        assert_eq!(color("url(//evil)"), None);
    }

    #[test]
    fn reads_what_admins_ask_for() {
        let kick = |id: &str| Moderation::Kick { user_id: id.into(), reason: String::new() };
        for (text, expected) in [
            (r#"{"type":"control","event":"kick","user":{"id":"u"}}"#, kick("u")),
            (r#"{"type":"control","event":"kick","user":{"id":7}}"#, kick("7")),
            (r#"{"type":"control","event":"lock"}"#, Moderation::Lock),
            (r#"{"type":"control","event":"unlock"}"#, Moderation::Unlock),
            (
                r#"{"type":"control","event":"notice","notice":{"level":"warning","message":"m"}}"#,
                Moderation::Notice { level: Level::Warning, message: "m".into() },
            ),
        ] {
            assert_eq!(says(text), Ok(ClientJson::Control(expected)), "{text}");
        }
        let long = format!(
            r#"{{"type":"control","event":"notice","notice":{{"message":"{}"}}}}"#,
            "é".repeat(1000)
        );
        let Ok(ClientJson::Control(Moderation::Notice { message, .. })) = says(&long) else {
            panic!("no notice")
        };
        assert_eq!(message.chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn lets_other_objects_pass() {
        for other in [
            "{}",
            r#"{"type":7}"#,
            r#"{"type":null}"#,
            r#"{"type":"emit","update":7,"data":[1,{"a":2}]}"#,
            r#"{"type":"control","event":"room_state","room":{}}"#,
        ] {
            assert_eq!(says(other), Ok(ClientJson::Other), "{other}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        for bad in ["", "{", "[]", "[\"ping\"]", "null", "\"ping\"", "{\"type\":\"ping\"} x"] {
            assert_eq!(says(bad), Err(JsonError::Invalid), "{bad:?}");
        }
        assert_eq!(read(&[0xff, b'{']), Err(JsonError::Invalid));
        let deep = format!(r#"{{"a":{}"#, "[".repeat(30_000));
        assert_eq!(says(&deep), Err(JsonError::Invalid));
        let long = format!(r#"{{"type":"presence","x":"{}"}}"#, "x".repeat(CONTROL_BYTES_MAX));
        assert_eq!(says(&long), Err(JsonError::TooLong));
        for bad in [
            r#"{"type":"sync","update":7}"#,
            r#"{"type":"sync","update":"AA==","update":"AA=="}"#,
            r#"{"type":"presence"}"#,
            r#"{"type":"presence","event":"flew"}"#,
            r#"{"type":"presence","event":"awareness"}"#,
            r#"{"type":"presence","event":"cursor","cursor":{"position":-1}}"#,
            r#"{"type":"presence","event":"cursor","cursor":{"position":{"__proto__":1}}}"#,
            r#"{"type":"control","event":"kick"}"#,
            r#"{"type":"control","event":"notice","notice":{"level":"loud","message":"m"}}"#,
        ] {
            assert_eq!(says(bad), Err(JsonError::Shape), "{bad}");
        }
        for bad in ["!", "A", "AQI DBA", "_-_-"] {
            let text = format!(r#"{{"type":"sync","update":"{bad}"}}"#);
            assert_eq!(says(&text), Err(JsonError::Base64), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = read(&bytes);
        }
    }
}
