//! The writing thread: the only one that changes the database.
//!
//! It takes what is queued and commits it in one transaction for all rooms; while a commit runs the queue
//! fills, so the busier the store, the more rows share one sync of the disk. A row that comes after a pause is
//! committed at once; under steady load a commit starts at most each [`STORE_COMMIT_GAP`], because each costs
//! as much CPU as a hundred deliveries.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::PathBuf,
    sync::{Arc, Weak},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use tokio::{
    sync::{mpsc::Receiver, oneshot},
    time::Instant,
};

use super::{failure, mark::MarkFile, schema, shared::Shared, update_log};
use crate::{
    config::Durability,
    ids::RoomId,
    limits::{
        STORE_BATCH_BYTES_MAX, STORE_BATCH_MAX, STORE_COMMIT_GAP, STORE_PENDING_MAX,
        STORE_RETRY_WAIT_MAX, STORE_RETRY_WAIT_MIN, STORE_ROOM_IDS_MAX,
    },
    store::{Append, CommitWatch, StoreError},
};

/// Commits between two looks whether the file has free pages to give back.
const COMMITS_PER_VACUUM: u32 = 1024;
/// Free pages that are worth giving back; fewer are soon used again.
const FREE_PAGES_MIN: i64 = 4096;

/// What is queued for the writer.
pub(super) enum Write {
    Append(Append),
    Job(Box<dyn Job>),
}

/// Anything but an append. It is tried once: its caller waits and decides.
pub(super) trait Job: Send {
    fn run(&mut self, context: &mut Context) -> rusqlite::Result<()>;
    /// Called once the transaction it ran in is committed.
    fn committed(&mut self);
    fn failed(&mut self, error: StoreError);
}

/// A job made of a function and the channel its caller waits on.
pub(super) struct Task<T, W> {
    work: Option<W>,
    result: Option<T>,
    answer: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, W> Task<T, W>
where
    T: Send + 'static,
    W: FnOnce(&mut Context) -> rusqlite::Result<T> + Send + 'static,
{
    pub(super) fn boxed(work: W, answer: oneshot::Sender<Result<T, StoreError>>) -> Box<dyn Job> {
        Box::new(Self { work: Some(work), result: None, answer: Some(answer) })
    }

    fn tell(&mut self, result: Result<T, StoreError>) {
        if let Some(answer) = self.answer.take() {
            // Nobody waits any more if the caller was cancelled.
            drop(answer.send(result));
        }
    }
}

impl<T, W> Job for Task<T, W>
where
    T: Send + 'static,
    W: FnOnce(&mut Context) -> rusqlite::Result<T> + Send + 'static,
{
    fn run(&mut self, context: &mut Context) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.result = Some(work(context)?);
        }
        Ok(())
    }

    fn committed(&mut self) {
        if let Some(result) = self.result.take() {
            self.tell(Ok(result));
        }
    }

    fn failed(&mut self, error: StoreError) {
        self.tell(Err(error));
    }
}

/// What SQL within a transaction may use.
pub(super) struct Context {
    pub(super) connection: Connection,
    room_ids: HashMap<RoomId, i64>,
}

impl Context {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, room_ids: HashMap::new() }
    }

    /// The room's id in the database; the room is created if need be.
    pub(super) fn room_id(&mut self, room: &RoomId) -> rusqlite::Result<i64> {
        if let Some(id) = self.room_ids.get(room) {
            return Ok(*id);
        }
        self.connection
            .prepare_cached("INSERT INTO room (name) VALUES (?1) ON CONFLICT (name) DO NOTHING")?
            .execute([room.as_str()])?;
        let id = self
            .connection
            .prepare_cached("SELECT id FROM room WHERE name = ?1")?
            .query_row([room.as_str()], |row| row.get(0))?;
        if self.room_ids.len() >= STORE_ROOM_IDS_MAX {
            self.room_ids.clear();
        }
        self.room_ids.insert(room.clone(), id);
        Ok(id)
    }

    /// Runs a job so that its failure undoes what it did and nothing else.
    fn run(&mut self, job: &mut dyn Job) -> rusqlite::Result<()> {
        self.connection.execute_batch("SAVEPOINT job")?;
        let Err(error) = job.run(self) else { return self.connection.execute_batch("RELEASE job") };
        // Rooms that the job created are gone again.
        self.room_ids.clear();
        // The graver errors end the whole transaction, and some have already.
        if failure::is_of_one_statement(&error) {
            self.connection.execute_batch("ROLLBACK TO job; RELEASE job")?;
        }
        Err(error)
    }

    fn roll_back(&mut self) {
        self.room_ids.clear();
        // SQLite has rolled back by itself after some errors.
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            log::warn!("a failed transaction of the realtime store cannot be rolled back: {error}");
        }
    }

    fn give_free_pages_back(&self) -> rusqlite::Result<()> {
        let number =
            |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let free = number("freelist_count")?;
        if free >= FREE_PAGES_MIN && free > number("page_count")? / 4 {
            self.connection.pragma(None, "incremental_vacuum", free / 2, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// The writer's state.
pub(super) struct Writer {
    pub(super) context: Context,
    pub(super) mark: MarkFile,
    pub(super) path: PathBuf,
    pub(super) durability: Durability,
    pub(super) queue: Receiver<Write>,
    pub(super) shared: Arc<Shared>,
    /// Rooms whose log met a row that contradicts it, with the watch that must not be advanced any more.
    pub(super) refused: HashMap<RoomId, Weak<CommitWatch>>,
    pub(super) commits_since_vacuum: u32,
}

impl Writer {
    /// Works until all senders are gone and the queue is empty, then leaves a file that needs no recovery.
    pub(super) fn run(mut self, reader: JoinHandle<()>) -> Result<(), StoreError> {
        let mut result = Ok(());
        let mut may_begin_at = Instant::now();
        while let Some(first) = self.queue.blocking_recv() {
            // Somebody waits for a job's answer; appends are only acknowledged.
            let alone = self.queue.len() < STORE_BATCH_MAX && !self.queue.is_closed();
            if alone && matches!(first, Write::Append(_)) {
                thread::sleep(may_begin_at.saturating_duration_since(Instant::now()));
            }
            may_begin_at = Instant::now() + STORE_COMMIT_GAP;
            let mut batch = vec![first];
            self.drain_into(&mut batch, STORE_BATCH_MAX);
            if let Err(error) = self.commit(batch) {
                self.fail_the_rest(&error);
                result = Err(error);
                break;
            }
        }
        // A reader would keep the checkpoint from truncating the log.
        if reader.join().is_err() {
            log::error!("the realtime store's reading thread panicked");
        }
        result.and_then(|()| self.finish())
    }

    fn finish(self) -> Result<(), StoreError> {
        let checkpoint = || {
            self.context.give_free_pages_back()?;
            self.context.connection.pragma(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))
        };
        checkpoint().map_err(|error| failure::told(&self.path, &error))
    }

    fn fail_the_rest(&mut self, error: &StoreError) {
        self.queue.close();
        while let Some(write) = self.queue.blocking_recv() {
            if let Write::Job(mut job) = write {
                job.failed(error.clone());
            }
        }
    }

    fn drain_into(&mut self, batch: &mut Vec<Write>, writes_max: usize) {
        let mut bytes: usize = batch.iter().map(Write::size).sum();
        while batch.len() < writes_max && bytes < STORE_BATCH_BYTES_MAX {
            let Ok(write) = self.queue.try_recv() else { break };
            bytes = bytes.saturating_add(write.size());
            batch.push(write);
        }
        self.shared.set_pending(batch.len());
    }

    /// Commits the batch, however long it takes; an error means that the store was closed meanwhile.
    fn commit(&mut self, mut batch: Vec<Write>) -> Result<(), StoreError> {
        let mut wait = STORE_RETRY_WAIT_MIN;
        loop {
            let begun = Instant::now();
            self.shared.set_committing(Some(begun));
            let attempt = self.attempt(&mut batch);
            self.shared.set_committing(None);
            match attempt {
                Ok(()) => {
                    self.tell(batch, begun.elapsed());
                    return Ok(());
                }
                Err(error) => {
                    self.context.roll_back();
                    let error = failure::told(&self.path, &error);
                    self.shared.set_degraded(Some(error.to_string()));
                    let jobs = take_jobs(&mut batch);
                    self.shared.set_pending(batch.len());
                    for mut job in jobs {
                        job.failed(error.clone());
                    }
                    if !self.shared.wait_to_retry(wait) {
                        log::error!("{} updates could not be stored: {error}", batch.len());
                        return Err(error);
                    }
                    if wait >= STORE_RETRY_WAIT_MAX {
                        self.open_again();
                    }
                    wait = STORE_RETRY_WAIT_MAX.min(wait * 2);
                    // Jobs in the queue must not wait for the disk to heal.
                    let more = batch.len().saturating_add(STORE_BATCH_MAX).min(STORE_PENDING_MAX);
                    self.drain_while_failing(&mut batch, more);
                }
            }
        }
    }

    /// As [`Self::drain_into`], but what waits already does not count against the bytes of a batch.
    fn drain_while_failing(&mut self, batch: &mut Vec<Write>, writes_max: usize) {
        let mut more = Vec::new();
        self.drain_into(&mut more, writes_max.saturating_sub(batch.len()));
        batch.append(&mut more);
        self.shared.set_pending(batch.len());
    }

    /// A connection that failed for long may be past recovery although the disk is well again.
    fn open_again(&mut self) {
        match schema::open_again(&self.path, self.durability) {
            Ok(connection) => self.context = Context::new(connection),
            Err(error) => log::warn!("the realtime store cannot be opened again: {error}"),
        }
    }

    fn attempt(&mut self, batch: &mut [Write]) -> rusqlite::Result<()> {
        self.context.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut highest: HashMap<i64, u64> = HashMap::new();
        let mut failed = false;
        for write in batch {
            match write {
                Write::Append(append) => {
                    if let Some(room_id) = self.insert(append)? {
                        let seq = highest.entry(room_id).or_default();
                        *seq = append.seq.max(*seq);
                    }
                }
                Write::Job(job) => {
                    if let Err(error) = self.context.run(job.as_mut()) {
                        if !failure::is_of_one_statement(&error) {
                            return Err(error);
                        }
                        job.failed(failure::told(&self.path, &error));
                        failed = true;
                    }
                }
            }
        }
        if failed {
            log::warn!("the realtime store refused a write that contradicts what it holds");
        }
        for (room_id, seq) in highest {
            update_log::raise_last_seq(&self.context.connection, room_id, seq)?;
        }
        self.context.connection.execute_batch("COMMIT")
    }

    /// Writes one row; `None` if it was refused. A refused row ends the room's acknowledgements (they count
    /// up, so a later one would cover it) until the room is loaded again with a new watch.
    fn insert(&mut self, append: &Append) -> rusqlite::Result<Option<i64>> {
        if let Entry::Occupied(refused) = self.refused.entry(append.room.clone()) {
            if std::ptr::eq(refused.get().as_ptr(), Arc::as_ptr(&append.watch)) {
                return Ok(None);
            }
            refused.remove();
        }
        let room_id = self.context.room_id(&append.room)?;
        match update_log::insert(&self.context.connection, room_id, append.seq, &append.bytes) {
            Ok(()) => Ok(Some(room_id)),
            Err(error) if failure::is_of_one_statement(&error) => {
                log::error!("row {} of {} is refused by the log: {error}", append.seq, append.room);
                self.refused.insert(append.room.clone(), Arc::downgrade(&append.watch));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells everyone concerned that the batch is committed.
    fn tell(&mut self, batch: Vec<Write>, took: Duration) {
        self.shared.set_pending(0);
        let mut rows = 0;
        let mut newest = None;
        let mut highest: HashMap<*const CommitWatch, (Arc<CommitWatch>, u64)> = HashMap::new();
        for write in batch {
            match write {
                Write::Append(append) => {
                    let watch = Arc::as_ptr(&append.watch);
                    if self
                        .refused
                        .get(&append.room)
                        .is_some_and(|refused| refused.as_ptr() == watch)
                    {
                        continue;
                    }
                    rows += 1;
                    newest = Some((append.room, append.seq));
                    let (_, seq) = highest.entry(watch).or_insert((append.watch, 0));
                    *seq = append.seq.max(*seq);
                }
                Write::Job(mut job) => job.committed(),
            }
        }
        if let Some((room, seq)) = newest {
            self.mark.set(&room, seq);
        }
        self.shared.count_commit(rows, took);
        self.refused.retain(|_, watch| watch.strong_count() > 0);
        self.shared.set_degraded(self.refused.keys().next().map(|room| {
            format!(
                "the log of {room} holds another row under the number of a new one; close the room"
            )
        }));
        for (watch, seq) in highest.into_values() {
            watch.advance(seq);
        }
        self.vacuum_at_leisure();
    }

    fn vacuum_at_leisure(&mut self) {
        self.commits_since_vacuum = self.commits_since_vacuum.saturating_add(1);
        if self.commits_since_vacuum >= COMMITS_PER_VACUUM && self.queue.is_empty() {
            self.commits_since_vacuum = 0;
            if let Err(error) = self.context.give_free_pages_back() {
                log::warn!("the realtime store cannot shrink its file: {error}");
            }
        }
    }
}

impl Write {
    /// Bytes it brings into a transaction, as far as known.
    fn size(&self) -> usize {
        match self {
            Self::Append(append) => append.bytes.len(),
            Self::Job(_) => 0,
        }
    }
}

/// Takes the jobs out of a batch whose transaction failed.
fn take_jobs(batch: &mut Vec<Write>) -> Vec<Box<dyn Job>> {
    let (jobs, appends) = batch.drain(..).partition(|write| matches!(write, Write::Job(_)));
    *batch = appends;
    let job = |write| if let Write::Job(job) = write { Some(job) } else { None };
    Vec::into_iter(jobs).filter_map(job).collect()
}
