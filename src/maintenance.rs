//! What an operator does with stored rooms from the command line: look at versions, take one out, bring one
//! back.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    config::Config,
    error::EngineError,
    ids::RoomId,
    limits::WORKER_STACK_BYTES,
    markdown::{self, Naming},
    room::{
        document::{Document, DocumentError},
        types::RoomTypes,
    },
    store::{
        Append, CommitWatch, NewSnapshot, Store, StoreError, StoredRoom,
        sqlite::{Archive, SqliteOptions, SqliteStore},
    },
};

/// Time the change of a restored version has to reach the disk.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// In which form a version is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportForm {
    /// Update v1, which any Yjs reads.
    Update,
    /// Markdown, for records.
    Markdown,
}

/// What bringing a version back did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoredVersion {
    /// Whether anything differed.
    pub changed: bool,
    /// The version that keeps what was there before.
    pub kept_as: Option<u64>,
}

/// A version of a room, or its present state with `None`. Reads beside a running engine.
pub fn export(
    config: &Config,
    room: &RoomId,
    version: Option<u64>,
    form: ExportForm,
) -> Result<Vec<u8>, EngineError> {
    let archive = Archive::open(&database(config)?)?;
    let state = match version {
        Some(version) => archive.version(room, version)?.map(|snapshot| StoredRoom {
            last_seq: snapshot.upto_seq,
            snapshot: Some(snapshot),
            tail: Vec::new(),
        }),
        None => archive.room(room)?,
    };
    let stored = state.ok_or_else(|| unknown(room, version))?;
    if form == ExportForm::Markdown {
        require_record(config, room)?;
    }
    let front = archive.exchanged_text(room)?.unwrap_or_default();
    let (terms, name) = (Terms::of(config), room.clone());
    on_large_stack(move || {
        let document = rebuild(terms, &name, &stored)?;
        match form {
            ExportForm::Update => document.encode().map_err(|error| broken(&name, &error)),
            ExportForm::Markdown => {
                let body = text_of(&name, &document)?;
                Ok(markdown::join(markdown::split_front_matter(&front).0, &body).into_bytes())
            }
        }
    })
}

/// Makes a record's content that of an older version again, by a change like any editor's: whoever has the
/// present state merges it. What was there before is kept as a version. No engine may run.
pub fn restore_version(
    config: &Config,
    room: &RoomId,
    version: u64,
) -> Result<RestoredVersion, EngineError> {
    require_record(config, room)?;
    // Looked up before a store is opened, which would make a database where there is none.
    let wanted = Archive::open(&database(config)?)?
        .version(room, version)?
        .ok_or_else(|| unknown(room, Some(version)))?;
    let store = SqliteStore::open(SqliteOptions::from_config(config)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| EngineError::Internal(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let restored = change_back(Terms::of(config), &store, room, wanted.state).await;
        let closed = store.close().await;
        let restored = restored?;
        closed?;
        Ok(restored)
    })
}

async fn change_back(
    terms: Terms,
    store: &SqliteStore,
    room: &RoomId,
    wanted: Bytes,
) -> Result<RestoredVersion, EngineError> {
    let stored = store.load(room).await?.ok_or_else(|| unknown(room, None))?;
    let (name, last_seq) = (room.clone(), stored.last_seq);
    let change = on_large_stack(move || plan(terms, &name, &stored, &wanted))?;
    let Some(Change { before, keep, update }) = change else {
        return Ok(RestoredVersion { changed: false, kept_as: None });
    };
    let before = NewSnapshot { room: room.clone(), upto_seq: last_seq, keep, state: before };
    let kept_as = store.save_snapshot(before).await?.version;
    let (seq, watch) = (last_seq + 1, CommitWatch::starting_at(last_seq));
    let append = Append { room: room.clone(), seq, bytes: update, watch: Arc::clone(&watch) };
    store.append(append).await?;
    let committed = async {
        while watch.committed_seq() < seq {
            watch.advanced.notified().await;
        }
    };
    if tokio::time::timeout(COMMIT_TIMEOUT, committed).await.is_err() {
        let why = store.status().degraded.unwrap_or_else(|| "the disk does not answer".into());
        return Err(StoreError::Io(format!("the version was not brought back: {why}")).into());
    }
    Ok(RestoredVersion { changed: true, kept_as: Some(kept_as) })
}

/// How documents are read.
#[derive(Clone, Copy)]
struct Terms {
    document_bytes_max: u64,
    naming: Naming,
}

impl Terms {
    fn of(config: &Config) -> Self {
        let document_bytes_max = config.limits.document_bytes_max;
        Self { document_bytes_max, naming: config.markdown.schema }
    }
}

struct Change {
    /// The whole state before.
    before: Bytes,
    /// Rows that the state does not contain.
    keep: Vec<u64>,
    /// What makes the content that of the wanted version.
    update: Bytes,
}

fn plan(
    terms: Terms,
    room: &RoomId,
    stored: &StoredRoom,
    wanted: &Bytes,
) -> Result<Option<Change>, EngineError> {
    let mut document = rebuild(terms, room, stored)?;
    let old = Document::load(terms.document_bytes_max, Some(wanted), std::iter::empty())
        .map_err(|fault| broken(room, &fault.error))?
        .named(terms.naming);
    let (present, wanted) = (text_of(room, &document)?, text_of(room, &old)?);
    let before = document.encode().map_err(|error| broken(room, &error))?;
    let (update, _) =
        document.merge_outside(&present, &wanted).map_err(|error| broken(room, &error))?;
    if text_of(room, &document)? != wanted {
        return Err(EngineError::Internal(format!(
            "{room}: the version cannot be brought back exactly; export it instead"
        )));
    }
    let keep = document.held_seqs();
    Ok(update.map(|update| Change { before: before.into(), keep, update }))
}

fn rebuild(terms: Terms, room: &RoomId, stored: &StoredRoom) -> Result<Document, EngineError> {
    let state = stored.snapshot.as_ref().map(|snapshot| &snapshot.state);
    let rows = stored.tail.iter().map(|row| (row.seq, row.bytes.clone()));
    let document = Document::load(terms.document_bytes_max, state, rows);
    let document = document.map_err(|fault| broken(room, &fault.error))?;
    Ok(document.named(terms.naming))
}

fn text_of(room: &RoomId, document: &Document) -> Result<String, EngineError> {
    let content = document.content().map_err(|error| broken(room, &error))?;
    Ok(markdown::serialize(&content))
}

fn require_record(config: &Config, room: &RoomId) -> Result<(), EngineError> {
    if RoomTypes::of_config(config).is_record(room) {
        return Ok(());
    }
    Err(EngineError::Config(format!(
        "{room} is no record: only the content of records is known here; export its update instead"
    )))
}

/// The database file a configuration names.
pub fn database(config: &Config) -> Result<std::path::PathBuf, StoreError> {
    Ok(SqliteOptions::from_config(config)?.path)
}

/// Puts a backup in the place of the configured database; see [`crate::store::sqlite::restore`].
pub fn restore(
    config: &Config,
    from: &Path,
) -> Result<crate::store::sqlite::RestoreReport, EngineError> {
    Ok(crate::store::sqlite::restore(&database(config)?, from)?)
}

fn unknown(room: &RoomId, version: Option<u64>) -> EngineError {
    match version {
        Some(version) => EngineError::VersionNotFound(format!("{room} has no version {version}")),
        None => EngineError::VersionNotFound(format!("{room} is not in the store")),
    }
}

fn broken(room: &RoomId, error: &DocumentError) -> EngineError {
    StoreError::Corrupt { room: room.to_string(), what: error.to_string() }.into()
}

/// yrs recurses; a command's thread has a small stack.
fn on_large_stack<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    std::thread::Builder::new()
        .name("civic-maintenance".into())
        .stack_size(WORKER_STACK_BYTES)
        .spawn(work)
        .map_err(|error| EngineError::Internal(format!("no thread: {error}")))?
        .join()
        .unwrap_or_else(|_| Err(EngineError::Internal("the document failed".into())))
}
