//! Rooms: the unit of ordering, failure and eviction. One actor task per room owns everything of it; others
//! send it commands and hold an [`outbox::Outbox`].

pub mod actor;
pub mod awareness;
mod batch;
pub(crate) mod copies;
pub mod document;
pub mod export;
mod fan_out;
mod host_copy;
pub mod load;
mod lossy;
pub mod member;
pub mod outbox;
mod outside;
pub mod quarantine;
pub mod queued;
pub mod registry;
pub mod types;
mod voice;
pub mod write_back;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize},
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    broker::Broker,
    compute::Compute,
    config::Config,
    engine::SnapshotReport,
    error::{CloseReason, EngineError},
    host::{CopyInfo, Grant, Host, HostError, Identity, RecordText, SaveOutcome},
    ids::{ClientAddress, SessionId},
    markdown::{self, Reference},
    protocol::{
        guard::Admitted,
        json::{ClientPresence, Moderation},
    },
    room::export::Export,
    store::{SnapshotInfo, Store, StoreError},
    telemetry::{correlation::CorrelationId, metrics::Metrics, security::SecurityEvents},
};

/// What every room needs from the engine.
#[derive(Clone)]
pub struct RoomContext {
    /// Configuration.
    pub config: Arc<Config>,
    /// The host.
    pub host: Arc<dyn Host>,
    /// The update log.
    pub store: Arc<dyn Store>,
    /// Threads for heavy document work.
    pub compute: Compute,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Security events.
    pub security: Arc<SecurityEvents>,
    /// Bytes that wait for clients.
    pub queued: Arc<queued::Queued>,
    /// Registered room types.
    pub types: Arc<types::RoomTypes>,
    /// Where updates go that broke a document.
    pub quarantine: Arc<quarantine::Quarantine>,
    /// What carries rooms to other nodes.
    pub broker: Arc<dyn Broker>,
    /// Bytes all rooms have applied and not committed.
    pub unlogged_bytes: Arc<AtomicU64>,
    /// Rooms without a document that somebody else holds; they count, too.
    pub held_elsewhere: Arc<AtomicUsize>,
}

impl RoomContext {
    /// Front matter and body of a text of the host's.
    pub fn split<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        if self.host.texts_have_front_matter() {
            markdown::split_front_matter(text)
        } else {
            ("", text)
        }
    }
}

impl std::fmt::Debug for RoomContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoomContext").finish_non_exhaustive()
    }
}

pub use member::Member;
pub use types::RECORDS;

/// A session that wants to join.
#[derive(Debug)]
pub struct NewMember {
    /// Its number.
    pub session: SessionId,
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub grant: Grant,
    /// Where its frames go.
    pub outbox: Arc<outbox::Outbox>,
    /// How its updates are acknowledged.
    pub ack: member::AckMode,
    /// The room as its client names it, if that speaks JSON.
    pub json: Option<Box<str>>,
    /// The client's address, for security events.
    pub address: ClientAddress,
    /// What its connection is called in log lines and messages.
    pub correlation: CorrelationId,
}

/// Why a join did not happen.
#[derive(Debug)]
pub enum JoinError {
    /// The room was leaving memory; ask the registry again.
    Retry(Box<NewMember>),
    /// The session is refused.
    Refused(CloseReason),
}

/// One person in a room, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The host's user id.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// Whether the session may edit.
    pub can_edit: bool,
    /// Unix milliseconds of the join.
    pub joined_at_ms: u64,
    /// No edit or cursor movement for `presence.idle_after_seconds`.
    pub idle: bool,
}

/// What others may ask of a room.
#[derive(Debug)]
pub enum RoomCommand {
    /// A session joins.
    Join {
        /// The session.
        member: Box<NewMember>,
        /// Told once the room is loaded.
        reply: oneshot::Sender<Result<(), JoinError>>,
    },
    /// A session asks for what it lacks.
    SyncStep1 {
        /// The session.
        session: SessionId,
        /// Its state vector, guarded.
        state_vector: Bytes,
    },
    /// A session does not ask for the state; it gets the whole of it.
    GiveState {
        /// The session.
        session: SessionId,
    },
    /// A session's edit.
    Update {
        /// The session.
        session: SessionId,
        /// What it changes.
        update: Admitted,
        /// It answers our step 1: what is known already is not passed on.
        answer: bool,
    },
    /// A session's awareness.
    Awareness {
        /// The session.
        session: SessionId,
        /// Count and entries.
        body: Bytes,
    },
    /// A session turned out to speak JSON. It asks for the whole state next.
    SpeakJson {
        /// The session.
        session: SessionId,
        /// The room as its client names it.
        room_name: Box<str>,
    },
    /// What a session that speaks JSON says of its person.
    Presence {
        /// The session.
        session: SessionId,
        /// What it says.
        presence: Box<ClientPresence>,
    },
    /// Somebody is sent away, the room is locked, and so on.
    Moderate {
        /// The session that asks for it; `None` = the host.
        by: Option<SessionId>,
        /// What is to be done.
        moderation: Box<Moderation>,
        /// Told how many sessions it concerned.
        reply: Option<oneshot::Sender<usize>>,
    },
    /// A session asks for all awareness states.
    QueryAwareness {
        /// The session.
        session: SessionId,
    },
    /// A session may do something else from now on.
    Regrant {
        /// The session.
        session: SessionId,
        /// What it may do.
        grant: Grant,
    },
    /// A session is gone.
    Leave {
        /// The session.
        session: SessionId,
        /// Told once nobody sees it any more.
        reply: Option<oneshot::Sender<()>>,
    },
    /// Who is here.
    Participants {
        /// The answer.
        reply: oneshot::Sender<Vec<Participant>>,
    },
    /// The document as Markdown, front matter included.
    Markdown {
        /// The answer.
        reply: oneshot::Sender<Result<String, EngineError>>,
    },
    /// What the document refers to.
    References {
        /// The answer.
        reply: oneshot::Sender<Vec<Reference>>,
    },
    /// The whole content.
    Export {
        /// The answer.
        reply: oneshot::Sender<Result<Export, EngineError>>,
    },
    /// Somebody's text: merge it like an edit and write it back.
    TakeText {
        /// The text.
        text: String,
        /// The text it was made of; `None`: the one last exchanged with the record's source.
        base: Option<String>,
        /// The answer.
        reply: oneshot::Sender<Result<SnapshotReport, EngineError>>,
    },
    /// Write back and copy now.
    Snapshot {
        /// The answer.
        reply: oneshot::Sender<Result<SnapshotReport, EngineError>>,
    },
    /// The source of the record may have changed.
    SourceChanged,
    /// The place is needed: leave memory now if nobody is here.
    MakePlace,
    /// The engine stops: finalize and end.
    Shutdown {
        /// Told once everything is stored.
        reply: oneshot::Sender<()>,
    },
    /// A step of a write-back came back. Sent by the room's own helpers.
    WriteBack(WriteBackStep),
    /// A snapshot came back. Sent by the room's own helpers.
    Snapshotted {
        /// Rows it covers.
        upto_seq: u64,
        /// Size of the state, in bytes.
        state_bytes: u64,
        /// What the store said.
        outcome: Result<SnapshotInfo, StoreError>,
    },
}

/// A step of a write-back that came back from the host.
#[derive(Debug)]
pub enum WriteBackStep {
    /// The source's present text.
    Loaded(Result<Option<RecordText>, HostError>),
    /// The text last exchanged is stored as the base of the next merge, or cannot be.
    BaseStored,
    /// Whoever was asked at this time for what is on its way has had the time to answer.
    Settled {
        /// When they were asked.
        began_at: tokio::time::Instant,
    },
    /// What the room was a moment ago was read, since the source changed.
    LookedBack {
        /// The source's present text.
        current: RecordText,
        /// What the room was.
        views: markdown::Views,
    },
    /// The document was read and turned into Markdown.
    Serialized {
        /// The source's text that it is to follow; `None`: there is none.
        current: Option<RecordText>,
        /// The body if the source does not say the same already; or why there is none.
        body: Result<Option<String>, HostError>,
    },
    /// The host has the text already, where its source does not show it.
    TakenBefore,
    /// The source took the text, or had changed meanwhile.
    Saved {
        /// What was given.
        text: String,
        /// What became of it.
        outcome: Result<SaveOutcome, HostError>,
    },
    /// The operator's copy is stored.
    Copied(Result<CopyInfo, copies::CopyError>),
}
