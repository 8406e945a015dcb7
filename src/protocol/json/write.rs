//! What the server says: each function gives one message's text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::Cursor;

/// A person as others see them.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct User<'a> {
    /// The host's user id.
    pub id: &'a str,
    /// Verified name.
    pub name: &'a str,
    /// `#rrggbb`.
    pub color: &'a str,
}

/// One of a room's people.
pub type Participant<'a> = User<'a>;

/// The update a `sync` message carries.
#[derive(Clone, Copy, Debug)]
pub struct Sync<'a> {
    /// The room's version with it.
    pub version: u64,
    /// The author's user id; `None` = the server.
    pub from: Option<&'a str>,
}

/// What a client starts from.
#[derive(Clone, Copy, Debug)]
pub struct RoomState<'a> {
    /// The room as the client names it.
    pub id: &'a str,
    /// Who is here, the client's own person among them.
    pub participants: &'a [Participant<'a>],
    /// The whole document as update v1.
    pub state: &'a [u8],
    /// The room's version.
    pub version: u64,
    /// The connection's public name.
    pub client_id: &'a str,
    /// Whether edits of this client are taken.
    pub can_edit: bool,
    /// What the connection is called in the server's log.
    pub correlation_id: &'a str,
}

/// What is new about somebody. `event` follows from what there is to say.
#[derive(Clone, Copy, Debug)]
pub enum Presence<'a> {
    /// Somebody came.
    Joined,
    /// The caret of somebody whose client speaks JSON.
    Cursor {
        /// Where it is; `None` = nowhere.
        cursor: Option<&'a Cursor>,
        /// No sign of them for a while.
        idle: bool,
    },
    /// The awareness states of somebody's client.
    Awareness {
        /// An awareness update (count and entries); `None` = there are none.
        states: Option<&'a [u8]>,
        /// No sign of them for a while.
        idle: bool,
    },
    /// Somebody went.
    Left,
}

/// A `sync` message.
pub fn sync(update: &[u8], sync: Sync<'_>) -> String {
    #[derive(Serialize)]
    struct Wire<'a> {
        r#type: &'static str,
        update: &'a str,
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a str>,
    }
    let update = STANDARD.encode(update);
    text(&Wire { r#type: "sync", update: &update, version: sync.version, from: sync.from })
}

/// Asks a client for what this state vector lacks; a `sync` with all it has will do.
pub fn sync_request(state_vector: &[u8], correlation_id: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        r#type: &'static str,
        event: &'static str,
        state_vector: String,
        correlation_id: &'a str,
    }
    let state_vector = STANDARD.encode(state_vector);
    text(&Wire { r#type: "control", event: "sync_request", state_vector, correlation_id })
}

/// The first message to a client.
pub fn room_state(state: &RoomState<'_>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire<'a> {
        r#type: &'static str,
        event: &'static str,
        room: Room<'a>,
        client_id: &'a str,
        can_edit: bool,
        correlation_id: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Room<'a> {
        id: &'a str,
        participants: &'a [Participant<'a>],
        yjs_state: String,
        version: u64,
    }
    let RoomState { id, participants, version, client_id, can_edit, correlation_id, .. } = *state;
    let room = Room { id, participants, yjs_state: STANDARD.encode(state.state), version };
    text(&Wire {
        r#type: "control",
        event: "room_state",
        room,
        client_id,
        can_edit,
        correlation_id,
    })
}

/// A `presence` message about `user`.
pub fn presence(user: &User<'_>, presence: Presence<'_>) -> String {
    #[derive(Serialize)]
    struct Wire<'a> {
        r#type: &'static str,
        event: &'static str,
        user: &'a User<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<&'a Cursor>,
        #[serde(skip_serializing_if = "Option::is_none")]
        awareness: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        idle: Option<bool>,
    }
    let (event, cursor, awareness, idle) = match presence {
        Presence::Joined => ("joined", None, None, None),
        Presence::Cursor { cursor, idle } => ("cursor", cursor, None, Some(idle)),
        Presence::Awareness { states, idle } => {
            ("awareness", None, states.map(|states| STANDARD.encode(states)), Some(idle))
        }
        Presence::Left => ("left", None, None, None),
    };
    text(&Wire { r#type: "presence", event, user, cursor, awareness, idle })
}

fn text(message: &impl Serialize) -> String {
    // Texts and numbers only: serialization has no way to fail, an empty object is the safe answer.
    serde_json::to_string(message).unwrap_or_else(|_| "{}".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::json::Selection;

    const ADA: User<'_> = User { id: "1", name: "A \"da\"", color: "#2471ca" };

    #[test]
    fn messages_have_the_documents_shape() {
        let update = Sync { version: 43, from: Some("u") };
        assert_eq!(
            sync(&[1, 2, 3, 4], update),
            r#"{"type":"sync","update":"AQIDBA==","version":43,"from":"u"}"#
        );
        assert_eq!(
            sync(&[0, 0], Sync { version: 1, from: None }),
            r#"{"type":"sync","update":"AAA=","version":1}"#
        );
        assert_eq!(
            room_state(&RoomState {
                id: "record:abc",
                participants: &[ADA],
                state: &[0, 0],
                version: 42,
                client_id: "c",
                can_edit: true,
                correlation_id: "7f",
            }),
            r##"{"type":"control","event":"room_state","room":{"id":"record:abc","participants":[{"id":"1","name":"A \"da\"","color":"#2471ca"}],"yjsState":"AAA=","version":42},"clientId":"c","canEdit":true,"correlationId":"7f"}"##
        );
        assert_eq!(
            sync_request(&[0], "7f"),
            r#"{"type":"control","event":"sync_request","stateVector":"AA==","correlationId":"7f"}"#
        );
    }

    #[test]
    fn presence_says_what_there_is_to_say() {
        let user = r##""user":{"id":"1","name":"A \"da\"","color":"#2471ca"}"##;
        let cursor = Cursor { position: 42, selection: Some(Selection { start: 40, end: 45 }) };
        for (what, event, rest) in [
            (Presence::Joined, "joined", ""),
            (Presence::Left, "left", ""),
            (
                Presence::Cursor { cursor: Some(&cursor), idle: false },
                "cursor",
                r#","cursor":{"position":42,"selection":{"start":40,"end":45}},"idle":false"#,
            ),
            (Presence::Cursor { cursor: None, idle: true }, "cursor", r#","idle":true"#),
            (
                Presence::Awareness { states: Some(&[0]), idle: false },
                "awareness",
                r#","awareness":"AA==","idle":false"#,
            ),
        ] {
            let expected = format!(r#"{{"type":"presence","event":"{event}",{user}{rest}}}"#);
            assert_eq!(presence(&ADA, what), expected);
        }
    }
}
