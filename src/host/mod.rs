//! The only door to whoever owns users, permissions, records, hooks and logs.

pub mod api;
pub mod standalone;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use self::api::ApiUser;
use crate::{future::BoxFuture, ids::RoomId};

/// Who a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The host's id of the user, as text.
    pub user_id: String,
    /// Name shown to others.
    pub name: String,
    /// The host's role name, such as `viewer` or `editor`.
    pub role: String,
    /// When the token stops being valid, in Unix milliseconds; `None` = not known to the engine.
    pub expires_at_ms: Option<u64>,
    /// Room patterns (`type:id`, `*` at the end or alone) the token is limited to; empty = no limit.
    #[serde(skip)]
    pub room_patterns: Vec<String>,
    /// What the CivicPress API is asked with; `None` with any other host.
    #[serde(skip)]
    pub api_user: Option<Box<ApiUser>>,
}

impl Identity {
    /// Whether a host that looks only at who asks, and as what, has to say the same of both.
    pub fn may_the_same_as(&self, other: &Self) -> bool {
        let api_users = match (&self.api_user, &other.api_user) {
            (Some(mine), Some(theirs)) => mine.may_the_same_as(theirs),
            (mine, theirs) => mine.is_none() && theirs.is_none(),
        };
        api_users
            && (&self.user_id, &self.name, &self.role, &self.room_patterns)
                == (&other.user_id, &other.name, &other.role, &other.room_patterns)
    }
}

/// What an identity may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// May change the document. Without it every update is refused, whatever message carries it.
    pub can_edit: bool,
}

/// Why the host said no, or could not say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The token is missing, malformed, expired or unknown.
    #[error("authentication failed: {0}")]
    Unauthenticated(String),
    /// The user may not view the room, or the record does not exist (one answer, so that nobody can probe).
    #[error("permission denied")]
    Denied,
    /// The call took longer than `auth.timeout_ms`.
    #[error("the host did not answer in time")]
    Timeout,
    /// The host failed, threw, or answered nonsense.
    #[error("the host failed: {0}")]
    Failed(String),
}

impl HostError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "AUTH_FAILED",
            Self::Denied => "PERMISSION_DENIED",
            Self::Timeout => "HOST_TIMEOUT",
            Self::Failed(_) => "HOST_FAILED",
        }
    }

    /// The HTTP status that goes with the error.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Unauthenticated(_) => 401,
            Self::Denied => 403,
            Self::Timeout => 504,
            Self::Failed(_) => 502,
        }
    }
}

/// The [`RecordText::source`] of drafts.
pub const DRAFT: &str = "draft";

/// A record's text as its source holds it: the whole file, front matter included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordText {
    /// Which source it is from, such as `file`, `draft` or `record`; names the base of three-way merges.
    pub source: &'static str,
    /// The text, front matter included.
    pub text: String,
}

/// What became of a write-back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The named source now holds exactly the text that was given.
    Saved(&'static str),
    /// The text was taken to where [`Host::load_record`] does not look; the source still holds what it held.
    SavedElsewhere,
    /// The source no longer holds what was expected; nothing was written. Holds its present text.
    Changed(RecordText),
}

/// One line of the record list of the standalone pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordSummary {
    /// Record id (file name without `.md`, sub-folders by `/`).
    pub id: String,
    /// Title from the front matter, else the first heading, else the id.
    pub title: String,
    /// `status` of the front matter, if any.
    pub status: Option<String>,
    /// `type` of the front matter, if any.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// When the file last changed, in Unix milliseconds.
    pub modified_at_ms: u64,
}

/// A fact told to the host, fire and forget.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// The event's name, such as `realtime:room:created`.
    pub name: &'static str,
    /// The payload, an object.
    pub data: serde_json::Value,
}

/// How it goes with a host that is somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostStatus {
    /// Why it cannot be asked at the moment, one sentence; `None` = all is well.
    pub degraded: Option<String>,
    /// Calls so far by outcome.
    pub calls: Vec<(&'static str, u64)>,
}

/// What a copy is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyInfo {
    /// Counts up per room from 1.
    pub version: u64,
    /// Unix milliseconds.
    pub created_at_ms: u64,
}

/// The newest copy of a room that the host has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCopy {
    /// There is none.
    Missing,
    /// Update v1 of the whole document, as its hash says. Peers' bytes all the same.
    Sound(Bytes),
    /// There is one, and it is not what was stored, or of a format nobody here knows. Says why.
    Damaged(String),
}

/// Copies of rooms' states that the host keeps, for itself and for whoever looks into its database. The engine
/// never needs them: its own store has every room.
pub trait HostCopies: Send + Sync {
    /// Keeps `state`, update v1 of the whole document, as the room's newest version. The host drops old ones,
    /// and tells its hooks.
    fn save<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<CopyInfo, HostError>>;

    /// The newest copy.
    fn load<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<HostCopy, HostError>>;

    /// Drops copies made before `before_ms` (Unix milliseconds), but for rooms `in_use`. Returns how many.
    fn expire(&self, before_ms: u64, in_use: Vec<RoomId>) -> BoxFuture<'_, Result<u64, HostError>>;
}

/// The answer of a host that has none of its own for rooms of events.
pub(crate) async fn by_record<H: Host + ?Sized>(
    host: &H,
    who: Option<&Identity>,
    room: &str,
    action: &str,
) -> Result<bool, HostError> {
    let (Some(who), Ok(room)) = (who, RoomId::parse(room)) else { return Ok(false) };
    match host.authorize(who, &room).await {
        Ok(grant) => Ok(grant.can_edit || action != "emit"),
        Err(HostError::Denied) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whoever owns users, permissions, records, hooks. Calls may take as long as the host's time-out; none
/// stands on the path of an update. Implementations never panic on the host's answers.
pub trait Host: Send + Sync + 'static {
    /// Turns a token into an identity.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>>;

    /// Says what `identity` may do in `room`; [`HostError::Denied`] if it may not even view it or the record
    /// does not exist.
    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>>;

    /// Whether somebody (`None` = nobody is known) may `join` a room of events, `emit` in it or know its
    /// `presence`, where the rules leave that to the host. Without an answer of its own: who may view the
    /// record of that name may hear, who may edit it may speak.
    fn authorize_event<'a>(
        &'a self,
        who: Option<&'a Identity>,
        room: &'a str,
        action: &'static str,
    ) -> BoxFuture<'a, Result<bool, HostError>> {
        Box::pin(by_record(self, who, room, action))
    }

    /// The record's present text; `None` if it does not exist.
    fn load_record<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>>;

    /// Replaces the record's text if the source still holds `expected` (`None`: the record did not exist).
    fn save_record<'a>(
        &'a self,
        room: &'a RoomId,
        text: &'a str,
        expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>>;

    /// Whether the texts begin with front matter, if there is any. `false`: they are Markdown from the first
    /// byte, whatever it looks like.
    fn texts_have_front_matter(&self) -> bool {
        true
    }

    /// Tells the host a fact. Returns at once; a full queue drops the hook and counts it.
    fn emit_hook(&self, hook: Hook);

    /// Records `identity` may view, for the standalone pages.
    fn list_records<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>>;

    /// One line of that list; `None` = there is no such record. Only hosts that [`Host::watch`] are asked.
    fn record_summary<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordSummary>, HostError>> {
        let unknown = HostError::Failed(format!("{room} has no summary"));
        Box::pin(async move { Err(unknown) })
    }

    /// How it goes. Hosts that are always there say nothing.
    fn status(&self) -> HostStatus {
        HostStatus::default()
    }

    /// Where the host keeps copies of rooms' states; `None` = the engine's store keeps them.
    fn copies(&self) -> Option<&dyn HostCopies> {
        None
    }

    /// Starts watching for outside changes; `changed` is called with each room whose source changed. The
    /// watch ends when the returned guard is dropped. Hosts that cannot watch return `None`.
    fn watch(&self, changed: Arc<dyn Fn(RoomId) + Send + Sync>) -> Option<Box<dyn Send + Sync>> {
        drop(changed);
        None
    }
}
