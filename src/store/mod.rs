//! Where rooms survive: the append-only update log, base snapshots, and the text last exchanged with each
//! source.
//!
//! Sequence numbers (`seq`) are per room, start at 1, have no meaning across rooms and are given out by the
//! room's actor, the only writer of its log. The store commits appends of a room in the order given.

mod compression;
mod copy_database;
mod copy_filesystem;
mod lock;
pub mod sqlite;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{future::BoxFuture, ids::RoomId};

/// What can go wrong with stored data. Texts name the file and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another engine holds the database file.
    #[error("{path} is in use by another engine; stop it or choose another store.url")]
    Locked {
        /// The database file.
        path: String,
    },
    /// The file was written by a newer version.
    #[error(
        "{path} has format {found}, newer than {supported}; use the newer version that wrote it"
    )]
    NewerFormat {
        /// The database file.
        path: String,
        /// Format found.
        found: i64,
        /// Newest format this build reads.
        supported: i64,
    },
    /// Stored bytes do not match their checksum or do not decode.
    #[error("stored data of {room} is damaged: {what}")]
    Corrupt {
        /// The room.
        room: String,
        /// What was found.
        what: String,
    },
    /// The disk, permissions or the database engine failed.
    #[error("the store failed: {0}")]
    Io(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "STORE_LOCKED",
            Self::NewerFormat { .. } => "STORE_NEWER_FORMAT",
            Self::Corrupt { .. } => "STORE_CORRUPT",
            Self::Io(_) => "STORE_FAILED",
            Self::Closed => "STORE_CLOSED",
        }
    }
}

/// One row of a room's log: the raw update v1 as the client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedUpdate {
    /// Position in the room's log.
    pub seq: u64,
    /// Update v1 bytes.
    pub bytes: Bytes,
}

/// The compacted state a room's log starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Counts up per room from 1.
    pub version: u64,
    /// Log rows up to this one are contained (but for rows that were held, which stay in the log).
    pub upto_seq: u64,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Update v1 of the whole document, decompressed and verified against its sha256.
    pub state: Bytes,
}

/// Everything a room is rebuilt from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredRoom {
    /// Newest snapshot that verifies, if any was ever taken.
    pub snapshot: Option<Snapshot>,
    /// Log rows not contained in the snapshot, in order.
    pub tail: Vec<LoggedUpdate>,
    /// Highest sequence number the room ever used.
    pub last_seq: u64,
}

/// How far a room's log is committed. Shared by the room (reads, waits) and the store (advances).
#[derive(Debug, Default)]
pub struct CommitWatch {
    committed_seq: AtomicU64,
    /// Told after each commit that moved `committed_seq`.
    pub advanced: Notify,
}

impl CommitWatch {
    /// A watch of a room whose log is committed up to `seq`.
    pub fn starting_at(seq: u64) -> Arc<Self> {
        Arc::new(Self { committed_seq: AtomicU64::new(seq), advanced: Notify::new() })
    }

    /// Highest committed sequence number.
    pub fn committed_seq(&self) -> u64 {
        self.committed_seq.load(Ordering::Acquire)
    }

    /// Called by the store after a commit.
    pub fn advance(&self, seq: u64) {
        if self.committed_seq.fetch_max(seq, Ordering::AcqRel) < seq {
            self.advanced.notify_one();
        }
    }
}

/// One update to be logged.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: RoomId,
    /// Its next sequence number.
    pub seq: u64,
    /// Update v1 bytes.
    pub bytes: Bytes,
    /// Advanced to `seq` once the row is committed at the configured durability.
    pub watch: Arc<CommitWatch>,
}

/// A snapshot to be stored.
#[derive(Clone, Debug)]
pub struct NewSnapshot {
    /// The room.
    pub room: RoomId,
    /// Log rows up to this one are contained, but for `keep`.
    pub upto_seq: u64,
    /// Rows at or below `upto_seq` that the state does not contain (held updates); they stay in the log.
    pub keep: Vec<u64>,
    /// Update v1 of the whole document.
    pub state: Bytes,
}

/// What a stored snapshot is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Counts up per room from 1.
    pub version: u64,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Stored (compressed) size.
    pub stored_bytes: u64,
}

/// The first content of a room, made from its source.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The room.
    pub room: RoomId,
    /// Update v1 that creates the content. Logged as `seq` 1.
    pub update: Bytes,
    /// Source name and text it was made from: the base of later three-way merges.
    pub source: &'static str,
    /// The source's text.
    pub text: String,
}

/// Who may seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedOutcome {
    /// The claim is ours; the seed is committed.
    Claimed,
    /// The room was seeded or written before; load it again.
    AlreadySeeded,
}

/// A room the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub room: RoomId,
    /// Rows in its log.
    pub log_rows: u64,
    /// Version of its newest snapshot.
    pub snapshot_version: Option<u64>,
}

/// How the store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Why commits fail at the moment; `None` = all is well.
    pub degraded: Option<String>,
    /// What was wrong with the file when it was opened, and where it is now. Stays until the next start.
    pub damage: Option<String>,
    /// Whether files of an earlier database stand beside this one: it may have known rooms that this one does
    /// not, and so may clients.
    pub has_predecessor: bool,
    /// Commits so far.
    pub commits: u64,
    /// Log rows committed so far.
    pub rows: u64,
    /// Time all commits took together, in microseconds.
    pub commit_micros: u64,
    /// Appends waiting now.
    pub queued: usize,
}

/// Beside the sources' names: the text last offered to any of them.
pub const OFFERED: &str = "offered";
/// Beside the sources' names: the text a room was seeded from because the store had lost it; empty = the room's
/// earlier history has come since.
pub const RESEEDED: &str = "reseeded";

/// Beside the sources' names: the text last taken by a host that does not show it in any of them.
pub const ELSEWHERE: &str = "elsewhere";

/// The update log and its base snapshots.
pub trait Store: Send + Sync + 'static {
    /// Everything `room` is rebuilt from, as of all appends whose commit was told; `None` if the store never
    /// saw the room. A damaged snapshot falls back to the previous one and its log rows if they are still
    /// there, else is [`StoreError::Corrupt`]: never an empty room.
    fn load<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<StoredRoom>, StoreError>>;

    /// Queues one append without waiting; gives it back if the queue is full.
    fn try_append(&self, append: Append) -> Result<(), Append>;

    /// Queues one append, waiting for room in the queue.
    fn append(&self, append: Append) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Creates the room with its first content, if nobody did before: claim, seed row and base text in one
    /// transaction.
    fn seed(&self, seed: Seed) -> BoxFuture<'_, Result<SeedOutcome, StoreError>>;

    /// Stores a snapshot and deletes the log rows it contains, in one transaction.
    fn save_snapshot(
        &self,
        snapshot: NewSnapshot,
    ) -> BoxFuture<'_, Result<SnapshotInfo, StoreError>>;

    /// The text last exchanged with the host, whichever of its sources held it; `None` = there was none.
    fn exchanged_text<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// The text last exchanged with `source`, or `None`.
    fn source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    /// Remembers the text last exchanged with `source`, in place of what was exchanged with another one.
    /// [`OFFERED`], [`RESEEDED`] and [`ELSEWHERE`] stand beside them.
    fn set_source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keeps a text that lost a merge, so that a person can find it.
    fn keep_version<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        reason: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Copies a room's whole state for the operator (`snapshots.storage`): update v1, versioned, the newest
    /// `snapshots.keep_versions` kept. Returns the version.
    fn save_copy<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<SnapshotInfo, StoreError>>;

    /// Deletes the operator's copies of records made before `before_ms` (Unix milliseconds), but for rooms
    /// `in_use`; the records themselves are in the archive. Returns how many.
    fn expire_copies(
        &self,
        before_ms: u64,
        in_use: Vec<RoomId>,
    ) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Rooms the store knows, by name.
    fn rooms(&self) -> BoxFuture<'_, Result<Vec<RoomSummary>, StoreError>>;

    /// How the store is doing. Never waits.
    fn status(&self) -> StoreStatus;

    /// Commits what is queued, truncates the write-ahead log and lets go of the file. Later calls answer
    /// [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Lower-case hexadecimal digits of `bytes`.
fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
