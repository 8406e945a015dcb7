//! The store in one SQLite file of its own: the default.
//!
//! Two threads own it: one writes (`writer.rs`, group commit), one reads and compresses (`reader.rs`). What is
//! promised stands at [`Durability`](crate::config::Durability): a told commit survives the death of the
//! process, or also a loss of power. Never point it at the host's database: two copies of SQLite in one
//! process break each other's locks on a shared file.

mod archive;
mod failure;
mod mark;
pub(super) mod number;
mod options;
mod reader;
mod recovery;
mod schema;
mod shared;
mod snapshots;
mod sources;
#[cfg(test)]
mod tests;
mod thinning;
mod update_log;
mod writer;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::{
    archive::{Archive, BackupReport, RestoreReport, Version, restore},
    options::{CopyTarget, SqliteOptions},
};
use self::{
    mark::MarkFile,
    reader::{Read, Reading},
    recovery::Opened,
    shared::Shared,
    snapshots::LoadError,
    sources::SourceText,
    writer::{Context, Task, Write, Writer},
};
use super::{
    Append, NewSnapshot, RoomSummary, Seed, SeedOutcome, SnapshotInfo, Store, StoreError,
    StoreStatus, StoredRoom, copy_database, copy_filesystem, hex, lock::FileLock,
};
use crate::{
    future::BoxFuture,
    ids::RoomId,
    limits::{STORE_CLOSE_TIMEOUT, STORE_QUEUE_MAX, STORE_READS_MAX},
    time::unix_ms,
};

/// What a closing caller waits beyond the writer's own deadline.
const CLOSE_GRACE: Duration = Duration::from_millis(500);

/// The store in an SQLite file. Dropping it commits what is queued and ends its threads without waiting for
/// them; [`Store::close`] waits.
#[derive(Debug)]
pub struct SqliteStore {
    options: SqliteOptions,
    senders: RwLock<Option<Senders>>,
    shared: Arc<Shared>,
    closed: watch::Sender<Option<Result<(), StoreError>>>,
    set_aside: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Senders {
    writes: mpsc::Sender<Write>,
    reads: mpsc::Sender<Read>,
}

impl SqliteStore {
    /// Opens the database, creating or migrating it as needed, and starts the two threads. Blocks on the
    /// disk, and up to [`crate::limits::STORE_LOCK_WAIT`] while another engine holds the file.
    ///
    /// A file that is not a sound database is renamed to `<name>.corrupt-<unix ms>` and replaced by an empty
    /// one; one that lacks acknowledged edits is copied to `<name>.damaged-<unix ms>` and used as far as it
    /// goes. [`StoreStatus::damage`] tells of both. Errors: [`StoreError::Locked`], [`StoreError::NewerFormat`],
    /// [`StoreError::Io`].
    pub fn open(mut options: SqliteOptions) -> Result<Self, StoreError> {
        options.path = prepare_folder(&options.path)?;
        let lock = FileLock::take(&options.path)?;
        let Opened { connection, damage } = recovery::open(&options.path, options.durability)?;
        let (damage, set_aside) = damage.map(|damage| (damage.what, damage.place)).unzip();
        let shared = Arc::new(Shared::new(damage, recovery::has_predecessor(&options.path)));
        let (writes, write_queue) = mpsc::channel(STORE_QUEUE_MAX);
        let (reads, read_queue) = mpsc::channel(STORE_READS_MAX);
        let no_thread =
            |error: std::io::Error| StoreError::Io(format!("no thread for the store: {error}"));
        let read_thread = reader::start(options.path.clone(), read_queue).map_err(no_thread)?;
        let state = Writer {
            context: Context::new(connection),
            mark: MarkFile::new(&options.path),
            path: options.path.clone(),
            durability: options.durability,
            queue: write_queue,
            shared: Arc::clone(&shared),
            refused: HashMap::new(),
            commits_since_vacuum: 0,
        };
        let ending = EndGuard { shared: Arc::clone(&shared), lock: Some(lock), result: None };
        thread::Builder::new()
            .name("civic-store-write".into())
            .spawn(move || {
                let mut ending = ending;
                ending.result = Some(state.run(read_thread));
            })
            .map_err(no_thread)?;
        let senders = RwLock::new(Some(Senders { writes, reads }));
        Ok(Self {
            options,
            senders,
            shared,
            closed: watch::Sender::new(None),
            set_aside: set_aside.flatten(),
        })
    }

    /// Where a damaged database was moved or copied when this one was opened, if there was one.
    pub fn set_aside(&self) -> Option<PathBuf> {
        self.set_aside.clone()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    fn senders(&self) -> Result<Senders, StoreError> {
        self.senders.read().clone().ok_or(StoreError::Closed)
    }

    /// Runs `work` in the writer's next transaction; answers once that is committed.
    async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Context) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Write::Job(Task::boxed(work, answer));
        self.senders()?.writes.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `work` on the reading thread.
    async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Reading) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let read: Read = Box::new(move |reading| drop(answer.send(work(reading))));
        self.senders()?.reads.send(read).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Io("reading failed unexpectedly".into()))?
    }

    /// One of the texts exchanged with the host.
    async fn text_of(
        &self,
        room: &RoomId,
        find: impl FnOnce(&rusqlite::Connection, &RoomId) -> rusqlite::Result<SourceText>
        + Send
        + 'static,
    ) -> Result<Option<String>, StoreError> {
        let name = room.clone();
        let query =
            move |reading: &mut Reading| reading.query(|connection| find(connection, &name));
        match self.read(query).await? {
            SourceText::Unknown => Ok(None),
            SourceText::Known(text) => Ok(Some(text)),
            SourceText::Damaged => Err(StoreError::Corrupt {
                room: room.to_string(),
                what: "the text last exchanged with its source does not match its sha256".into(),
            }),
        }
    }

    /// Lets the threads end: no more work comes in, and failing commits are given up after `time`.
    fn stop_within(&self, time: Duration) -> bool {
        let was_open = self.senders.write().take().is_some();
        if was_open {
            self.shared.stop_within(time);
        }
        was_open
    }

    /// Waits for the writer on a thread of its own: a disk that hangs must not hold up a worker, nor the
    /// caller beyond the deadline.
    fn watch_the_end(&self) {
        let (shared, closed) = (Arc::clone(&self.shared), self.closed.clone());
        let watching = thread::Builder::new().name("civic-store-close".into()).spawn(move || {
            let ended = shared.wait_for_end(STORE_CLOSE_TIMEOUT + CLOSE_GRACE);
            let late = || {
                Err(StoreError::Io("the disk did not answer in time; the store was left".into()))
            };
            closed.send_replace(Some(ended.unwrap_or_else(late)));
        });
        if let Err(error) = watching {
            self.closed.send_replace(Some(Err(StoreError::Io(format!(
                "no thread for the store: {error}"
            )))));
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.stop_within(Duration::ZERO);
    }
}

/// Tells how the writer ended, even by a panic, after it has let go of the file.
struct EndGuard {
    shared: Arc<Shared>,
    lock: Option<FileLock>,
    result: Option<Result<(), StoreError>>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        drop(self.lock.take());
        let result = self.result.take().unwrap_or_else(|| {
            let why = "the writing thread ended unexpectedly; restart the engine";
            self.shared.set_degraded(Some(why.into()));
            Err(StoreError::Io(why.into()))
        });
        self.shared.set_ended(result);
    }
}

/// Creates the file's folder. The path comes back without links, so that two ways to one file are one lock.
fn prepare_folder(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: std::io::Error| {
        StoreError::Io(format!(
            "{}: its folder cannot be used: {error}; check store.url",
            path.display()
        ))
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    if let Ok(whole) = path.canonicalize() {
        return Ok(whole);
    }
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
    Ok(folder.canonicalize().map_err(failed)?.join(name))
}

impl Store for SqliteStore {
    fn load<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<StoredRoom>, StoreError>> {
        let name = room.clone();
        Box::pin(async move {
            let loaded = self
                .read(move |reading| {
                    reading.query(|connection| match snapshots::load(connection, &name) {
                        Ok(stored) => Ok(Ok(stored)),
                        Err(LoadError::Damaged(what)) => Ok(Err(what)),
                        Err(LoadError::Sql(error)) => Err(error),
                    })
                })
                .await?;
            loaded.map_err(|what| StoreError::Corrupt { room: room.to_string(), what })
        })
    }

    fn try_append(&self, append: Append) -> Result<(), Append> {
        let senders = self.senders.read();
        let Some(senders) = senders.as_ref() else { return Err(append) };
        match senders.writes.try_reserve() {
            Ok(place) => {
                place.send(Write::Append(append));
                Ok(())
            }
            Err(_) => Err(append),
        }
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.senders()?.writes.send(Write::Append(append)).await.map_err(|_| StoreError::Closed)
        })
    }

    fn seed(&self, seed: Seed) -> BoxFuture<'_, Result<SeedOutcome, StoreError>> {
        Box::pin(self.write(move |context| {
            let outcome = update_log::seed(context, &seed)?;
            if outcome == SeedOutcome::Claimed {
                sources::set(context, &seed.room, seed.source, &seed.text, unix_ms())?;
            }
            Ok(outcome)
        }))
    }

    fn save_snapshot(
        &self,
        snapshot: NewSnapshot,
    ) -> BoxFuture<'_, Result<SnapshotInfo, StoreError>> {
        let method = self.options.compression;
        Box::pin(async move {
            let packed = self.read(move |_| snapshots::pack(snapshot, method)).await?;
            self.write(move |context| snapshots::save(context, &packed, unix_ms())).await
        })
    }

    fn exchanged_text<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.text_of(room, sources::exchanged))
    }

    fn source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(self.text_of(room, move |connection, room| sources::get(connection, room, source)))
    }

    fn set_source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let room = room.clone();
        Box::pin(self.write(move |context| sources::set(context, &room, source, &text, unix_ms())))
    }

    fn keep_version<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        reason: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let room = room.clone();
        Box::pin(
            self.write(move |context| {
                sources::keep(context, &room, source, reason, &text, unix_ms())
            }),
        )
    }

    fn save_copy<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<SnapshotInfo, StoreError>> {
        let room = room.clone();
        let keep = self.options.copies_kept;
        Box::pin(async move {
            if state.len() as u64 > self.options.copy_bytes_warning {
                log::warn!(
                    "the copy of {room} has {} bytes, more than max_bytes_warning",
                    state.len()
                );
            }
            match &self.options.copies {
                CopyTarget::Table => {
                    let hashed = state.clone();
                    let sha256 = self.read(move |_| Ok(hex(&Sha256::digest(&hashed)))).await?;
                    self.write(move |context| {
                        copy_database::save(
                            &context.connection,
                            &room,
                            &state,
                            &sha256,
                            keep,
                            unix_ms(),
                        )
                    })
                    .await
                }
                CopyTarget::Folder(folder) => {
                    let folder = folder.clone();
                    self.read(move |_| {
                        let sha256 = hex(&Sha256::digest(&state));
                        copy_filesystem::save(&folder, &room, &state, &sha256, keep, unix_ms())
                            .map_err(|error| {
                                StoreError::Io(format!(
                                    "the copy of {room} in {}: {error}",
                                    folder.display()
                                ))
                            })
                    })
                    .await
                }
            }
        })
    }

    fn expire_copies(
        &self,
        before_ms: u64,
        in_use: Vec<RoomId>,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        match &self.options.copies {
            CopyTarget::Table => Box::pin(self.write(move |context| {
                copy_database::expire(&context.connection, before_ms, &in_use)
            })),
            CopyTarget::Folder(folder) => {
                let folder = folder.clone();
                Box::pin(self.read(move |_| {
                    copy_filesystem::expire(&folder, before_ms, &in_use).map_err(|error| {
                        StoreError::Io(format!("old copies in {}: {error}", folder.display()))
                    })
                }))
            }
        }
    }

    fn rooms(&self) -> BoxFuture<'_, Result<Vec<RoomSummary>, StoreError>> {
        Box::pin(self.read(|reading| reading.query(update_log::summaries)))
    }

    fn status(&self) -> StoreStatus {
        let senders = self.senders.read();
        let queued = senders.as_ref().map_or(0, |senders| {
            senders.writes.max_capacity().saturating_sub(senders.writes.capacity())
        });
        self.shared.status(queued)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            if self.stop_within(STORE_CLOSE_TIMEOUT) {
                self.watch_the_end();
            }
            let mut closed = self.closed.subscribe();
            let ended = closed.wait_for(Option::is_some).await.map_err(|_| StoreError::Closed)?;
            ended.clone().unwrap_or(Ok(()))
        })
    }
}
