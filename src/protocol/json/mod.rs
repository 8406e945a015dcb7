//! The JSON protocol of CivicPress's first realtime documents, `civicpress.json.v1`: one object per text frame.
//!
//! | type | client → server | server → client |
//! |---|---|---|
//! | `sync` | `update` (base64 of an update v1; with `answer: true` in answer to `sync_request`); `stateVector` asks for what it lacks; neither asks for everything | `update`, `version`, `from` (a user id; none = the server) |
//! | `presence` | `event`: `joined`, `cursor` with `cursor`, `awareness` with `awareness` (base64 of y-protocols'), `left`; `user.color` | the same with `user {id, name, color}` and `idle` |
//! | `control` | `event`: `kick` with `user.id`, `lock`, `unlock`, `notice` with `notice`; for admins | `room_state`, `sync_request`, and what [`super::control`] lists |
//! | `ping` | | `pong` |
//!
//! `version` counts the room's logged updates. Clients may send theirs; updates merge whatever it says.

mod color;
mod read;
mod write;

pub use self::{
    color::{color_of, is_color},
    read::{
        ClientJson, ClientPresence, JsonError, Level, Moderation, PresenceChange, is_json, is_ping,
        read,
    },
    write::{
        Participant, Presence, RoomState, Sync, User, presence, room_state, sync, sync_request,
    },
};

use serde::{Deserialize, Serialize};

/// Where a person's caret is, in whatever units the clients of a room agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The caret.
    pub position: u64,
    /// What is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
}

/// A selected range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}
