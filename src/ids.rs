//! Names and numbers that identify things: rooms, connections, sessions.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use crate::{limits::ROOM_ID_BYTES_MAX, time::unix_ms};

/// Number of a connection, unique within one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A client's address, as a value. Rooms tell it to whom it concerns and open nothing with it.
pub type ClientAddress = std::net::IpAddr;

/// Number of a session (one participation of a connection in one room), unique within one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl SessionId {
    /// The session's public name, in hooks and in its acknowledgement: `client_<ms>_<number>` with the start of
    /// the process in Unix milliseconds and seven digits of base 36, the form CivicPress knows.
    pub fn client_name(self) -> String {
        static STARTED_AT_MS: LazyLock<u64> = LazyLock::new(unix_ms);
        let digit = |place: u32| {
            let value = u32::try_from(self.0 / 36_u64.pow(place) % 36).unwrap_or_default();
            char::from_digit(value, 36).unwrap_or_default()
        };
        let number: String = (0..7).rev().map(digit).collect();
        format!("client_{}_{number}", *STARTED_AT_MS)
    }
}

/// Why a room name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomIdError {
    /// No type, or a type outside `[a-z][a-z0-9_-]{0,31}`.
    #[error(
        "the room type must be 1 to 32 characters of a-z, 0-9, _ and -, starting with a letter"
    )]
    Type,
    /// No id, or more than [`ROOM_ID_BYTES_MAX`] bytes.
    #[error("the room id must be 1 to 256 bytes long")]
    Length,
    /// A control character, backslash or other character no id may hold.
    #[error("the room id holds a character that is not allowed")]
    Character,
    /// An empty, `.` or `..` path segment.
    #[error("the room id holds an empty or relative path segment")]
    Segment,
}

/// A room's validated name, `type:id`. Cheap to clone.
///
/// The type has no colon, so the text form splits at the first one without ambiguity. The id is one or more
/// segments joined by `/`; it never holds control characters, a backslash, or `.`/`..` segments, so it is
/// safe in logs and as a relative path below a folder.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId {
    full: Arc<str>,
    type_len: u8,
}

impl RoomId {
    /// Validates `kind` (the room type, already canonical) and `id` (already percent-decoded, once).
    pub fn new(kind: &str, id: &str) -> Result<Self, RoomIdError> {
        let mut letters = kind.bytes();
        let type_ok = kind.len() <= 32
            && letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if !type_ok {
            return Err(RoomIdError::Type);
        }
        if id.is_empty() || id.len() > ROOM_ID_BYTES_MAX {
            return Err(RoomIdError::Length);
        }
        if id.chars().any(is_refused) {
            return Err(RoomIdError::Character);
        }
        if id.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(RoomIdError::Segment);
        }
        let type_len = u8::try_from(kind.len()).map_err(|_| RoomIdError::Type)?;
        Ok(Self { full: format!("{kind}:{id}").into(), type_len })
    }

    /// What a connection for events has in place of a room in log lines and tables: it may be in many, or none.
    pub fn events() -> Self {
        Self { full: "events:connection".into(), type_len: 6 }
    }

    /// Parses the text form `type:id`.
    pub fn parse(text: &str) -> Result<Self, RoomIdError> {
        let (kind, id) = text.split_once(':').ok_or(RoomIdError::Type)?;
        Self::new(kind, id)
    }

    /// The room type, such as `records`.
    pub fn kind(&self) -> &str {
        self.full.get(..usize::from(self.type_len)).unwrap_or_default()
    }

    /// The id within its type.
    pub fn id(&self) -> &str {
        self.full.get(usize::from(self.type_len) + 1..).unwrap_or_default()
    }

    /// The text form `type:id`.
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full)
    }
}

impl fmt::Debug for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomId({})", self.full)
    }
}

/// Control characters break logs, `\` is a path separator elsewhere, and what nobody sees makes two names look
/// alike: bidirectional and zero-width controls, soft hyphens, tags, noncharacters.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\\' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
        )
        // The last two of each plane.
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_names_have_the_form_civicpress_knows() {
        let name = SessionId(36 * 36 + 35).client_name();
        let (started, number) = name.strip_prefix("client_").unwrap().split_once('_').unwrap();
        assert!(started.parse::<u64>().is_ok());
        assert_eq!(number, "000010z");
    }

    #[test]
    fn splits_at_the_first_colon() {
        let room = RoomId::parse("records:a:b/c").unwrap();
        assert_eq!((room.kind(), room.id(), room.as_str()), ("records", "a:b/c", "records:a:b/c"));
    }

    #[test]
    fn takes_names_people_use() {
        for id in ["record-1", "by-laws/2026-03", "Règlement 12", "会議", "a?b", "😀"] {
            assert!(RoomId::new("records", id).is_ok(), "{id}");
        }
    }

    #[test]
    fn refuses_hostile_names() {
        let long = "x".repeat(257);
        for id in [
            "",
            "..",
            "a/../b",
            "./a",
            "/a",
            "a/",
            "a//b",
            "a\0b",
            "a\r\nb",
            "a\\b",
            "\u{202e}a",
            "a\u{ad}",
            "a\u{61c}b",
            "a\u{2060}b",
            "a\u{fffe}",
            "a\u{1ffff}",
            "a\u{e0041}",
            &long,
        ] {
            assert!(RoomId::new("records", id).is_err(), "{id:?}");
        }
        for kind in ["", "Records", "re:cords", "../x", "9a", "é"] {
            assert!(RoomId::new(kind, "a").is_err(), "{kind:?}");
        }
    }
}
