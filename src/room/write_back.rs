//! From the live document back to the record's source, and to the operator's copy.
//!
//! One write-back runs at a time; what asks meanwhile starts another. The host is called from helper tasks,
//! never from the actor, so that edits flow while a host hangs. Each write-back first reads the source and
//! merges what changed there; so it never overwrites somebody else's text.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use crate::{
    engine::SnapshotReport,
    error::EngineError,
    host::{CopyInfo, HostError, RecordText, SaveOutcome},
    markdown,
    room::{
        RoomCommand, WriteBackStep,
        actor::{Actor, Ended, INLINE_DOCUMENT_BYTES_MAX},
        copies::{CopyError, Copying},
        host_copy,
        outside::{Author, History, Settling, Storing},
    },
    store::{ELSEWHERE, OFFERED},
    time::unix_ms,
};

/// Shortest time between two write-backs, and two copies, that nobody asked for.
pub(super) const GAP: Duration = Duration::from_secs(2);
/// Longest wait after failures in a row; the first is a second.
const RETRY_MAX: Duration = Duration::from_mins(1);
/// Failures in a row before an empty room leaves memory all the same, and before a stopping one does: the
/// next opening writes back what this one could not.
const LEAVE_AFTER_FAILURES: u32 = 5;
const STOP_AFTER_FAILURES: u32 = 3;
/// Times one write-back starts over because the source changed under it.
const ROUNDS_MAX: u32 = 5;

/// State of a room's write-backs.
#[derive(Debug)]
pub(super) struct WriteBack {
    /// The text last exchanged with the source.
    pub(super) base: Option<RecordText>,
    pub(super) storing: Storing,
    pub(super) history: History,
    /// What the source says by now, until the room may be compared with it.
    pub(super) settling: Option<Settling>,
    /// The text last offered to the source, which may have taken it without our being told.
    offered: Option<String>,
    dirty: bool,
    running: bool,
    again: bool,
    pub(super) copying: Copying,
    rounds: u32,
    updates: u64,
    failures: u32,
    started_at: Instant,
    /// Who waits for the next write-back, and who for the one that runs.
    waiters: Vec<Waiter>,
    served: Vec<Waiter>,
}

/// What of a write-back failed, in the host's words.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The document could not be turned into Markdown.
    Serialize,
    /// The operator's copy was not stored.
    Persist,
    /// The source could not be read or written.
    Draft,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Serialize => "serialize",
            Self::Persist => "persist",
            Self::Draft => "draft",
        }
    }
}

/// How long a leaving room goes on trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hurry {
    None,
    Stopping,
    PlaceWanted,
}

type Waiter = oneshot::Sender<Result<SnapshotReport, EngineError>>;

impl WriteBack {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            base: None,
            storing: Storing::Done,
            history: History::default(),
            settling: None,
            offered: None,
            // Whether the document differs from its source is known only once they are compared.
            dirty: true,
            running: false,
            again: false,
            copying: Copying::default(),
            rounds: 0,
            updates: 0,
            failures: 0,
            started_at: now,
            waiters: Vec::new(),
            served: Vec::new(),
        }
    }

    /// The document changed.
    pub(super) fn touched(&mut self) {
        self.dirty = true;
        self.copying.want();
        self.updates += 1;
    }

    /// The source does not hold what the document says.
    pub(super) fn differs(&mut self) {
        self.dirty = true;
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether somebody waits for the one that runs.
    pub(super) fn is_awaited(&self) -> bool {
        !self.served.is_empty()
    }

    /// Whether nothing is left to do, or nothing more is to be tried now.
    pub(super) fn is_over(&self, hurry: Hurry) -> bool {
        let patience = match hurry {
            Hurry::None => LEAVE_AFTER_FAILURES,
            Hurry::Stopping => STOP_AFTER_FAILURES,
            Hurry::PlaceWanted => 1,
        };
        let done = !self.dirty && self.failures == 0 && self.copying.due_at.is_none();
        !self.running
            && matches!(self.storing, Storing::Done)
            && (done || self.failures >= patience)
    }
}

impl Actor {
    /// When the next write-back is due by itself.
    pub(super) fn write_back_at(&self) -> Option<Instant> {
        let state = &self.write_back;
        if state.running {
            return None;
        }
        if let Some(more) = state.failures.checked_sub(1) {
            let wait = Duration::from_secs(1 << more.min(6)).min(RETRY_MAX);
            return Some(state.started_at + wait);
        }
        let by_copy = state.copying.due_at;
        if state.dirty && self.leaving(Instant::now()) {
            return Some(state.started_at);
        }
        if !state.dirty || state.updates == 0 {
            return by_copy;
        }
        let snapshots = &self.context.config.snapshots;
        let by_count = snapshots.max_updates > 0 && state.updates >= snapshots.max_updates;
        let by_time = (snapshots.interval > 0.0).then(|| {
            state.started_at + Duration::try_from_secs_f64(snapshots.interval).unwrap_or(RETRY_MAX)
        });
        let by_count = by_count.then(|| state.started_at + GAP);
        [by_copy, by_count, by_time].into_iter().flatten().min()
    }

    pub(super) fn write_back_due(&self, now: Instant) -> bool {
        self.write_back_at().is_some_and(|due| due <= now)
    }

    /// Somebody asks for a write-back and wants to know how it ended.
    pub(super) fn request_write_back(
        &mut self,
        reply: oneshot::Sender<Result<SnapshotReport, EngineError>>,
    ) {
        self.write_back.waiters.push(reply);
        self.write_back.copying.want();
        self.start_write_back();
    }

    pub(super) fn start_write_back(&mut self) {
        if self.write_back.running {
            self.write_back.again = true;
            return;
        }
        self.write_back.running = true;
        self.write_back.again = false;
        // Who asks from here on wants what is typed from here on, so only the next run answers them.
        self.write_back.served = std::mem::take(&mut self.write_back.waiters);
        if self.write_back.is_awaited() {
            self.write_back.copying.want();
        }
        self.write_back.rounds = 0;
        self.write_back.started_at = Instant::now();
        self.read_source();
    }

    fn read_source(&mut self) {
        if !self.context.types.is_record(&self.room) {
            self.tell_self(async { WriteBackStep::Loaded(Ok(None)) });
            return;
        }
        let (host, room) = (Arc::clone(&self.context.host), self.room.clone());
        self.tell_self(async move { WriteBackStep::Loaded(host.load_record(&room).await) });
    }

    pub(super) async fn continue_write_back(&mut self, step: WriteBackStep) -> Result<(), Ended> {
        match step {
            WriteBackStep::Loaded(Ok(current)) => self.compare(current).await,
            WriteBackStep::Loaded(Err(error)) => {
                self.write_back_failed(Stage::Draft, &error);
                Ok(())
            }
            WriteBackStep::BaseStored => {
                self.base_stored();
                Ok(())
            }
            WriteBackStep::Settled { began_at } => {
                self.settled(began_at);
                Ok(())
            }
            WriteBackStep::LookedBack { current, views } => {
                self.merge_outside(current.clone(), views).await?;
                self.write(Some(current)).await
            }
            WriteBackStep::Serialized { current, body: Ok(body) } => self.save(current, body).await,
            WriteBackStep::Serialized { body: Err(fault), .. } => {
                self.hook_failed(Stage::Serialize, &fault);
                Err(self.fail(None))
            }
            WriteBackStep::TakenBefore => {
                self.context.metrics.write_backs.inc("unchanged");
                self.copy_state().await
            }
            WriteBackStep::Saved { text, outcome } => self.saved(text, outcome).await,
            WriteBackStep::Copied(outcome) => {
                self.copied(outcome);
                Ok(())
            }
        }
    }

    async fn compare(&mut self, current: Option<RecordText>) -> Result<(), Ended> {
        // What is counted from here on calls for another write-back.
        self.write_back.updates = 0;
        if !self.context.types.is_record(&self.room) {
            self.write_back.dirty = false;
            return self.copy_state().await;
        }
        if let Some(current) = &current
            && self.write_back.base.as_ref() != Some(current)
        {
            if self.write_back.offered.as_ref() == Some(&current.text) {
                self.set_losses(Vec::new(), current.source)?;
                self.exchanged(current.clone(), Author::Us);
            } else if !self.take_in(current).await? {
                return Ok(());
            }
        }
        self.write(current).await
    }

    /// What is to be written, if anything, now that all changes of the source are in the document.
    async fn write(&mut self, current: Option<RecordText>) -> Result<(), Ended> {
        if current.is_none() && (self.write_back.base.is_some() || self.last_seq == 0) {
            if self.write_back.base.is_some() {
                // Somebody removed the record. Its document stays in the log; writing it back would undo that.
                log::warn!(
                    event = "record_gone", room = self.room.as_str();
                    "room {}: the record is gone, nothing is written back", self.room
                );
                self.context.metrics.write_backs.inc("record_gone");
            }
            self.write_back.dirty = false;
            return self.copy_state().await;
        }
        if !self.write_back.dirty {
            return self.copy_state().await;
        }
        // What changes from here on needs another write-back.
        self.write_back.dirty = false;
        if !self.order.losses.is_empty() {
            // It would take out of the source what the document has no place for.
            self.context.metrics.write_backs.inc("lossy");
            return self.copy_state().await;
        }
        self.serialize(current).await
    }

    /// Turns the document into Markdown beside the actor: of a copy of its state, so that edits flow meanwhile.
    async fn serialize(&mut self, current: Option<RecordText>) -> Result<(), Ended> {
        let heavy = self.state_bytes > INLINE_DOCUMENT_BYTES_MAX;
        let Ok(state) = self.on_document(heavy, |document| document.encode()).await? else {
            return Err(self.fail(None));
        };
        let context = self.context.clone();
        self.tell_self(async move {
            let unread = |why: String| HostError::Failed(format!("it cannot be read: {why}"));
            let body = async {
                let body = host_copy::body_of(&context, state.into()).await;
                let body = body.map_err(|error| unread(error.to_string()))?.map_err(unread)?;
                let Some(current) = &current else { return Ok(Some(body)) };
                let theirs = context.split(&current.text).1.to_owned();
                let compare = move || (!markdown::is_same(&theirs, &body)).then_some(body);
                context.compute.run(compare).await.map_err(|error| unread(error.to_string()))
            };
            let body = body.await;
            WriteBackStep::Serialized { current, body }
        });
        Ok(())
    }

    /// Offers the source what the document says.
    async fn save(
        &mut self,
        current: Option<RecordText>,
        body: Option<String>,
    ) -> Result<(), Ended> {
        let Some(body) = body else {
            // Nobody changed anything: the source keeps its own way of writing, byte for byte.
            self.context.metrics.write_backs.inc("unchanged");
            return self.copy_state().await;
        };
        let front = current.as_ref().map_or("", |current| self.context.split(&current.text).0);
        let text = markdown::join(front, &body);
        self.write_back.offered = Some(text.clone());
        let (host, room) = (Arc::clone(&self.context.host), self.room.clone());
        let store = Arc::clone(&self.context.store);
        let expected = current.map(|current| current.text);
        self.tell_self(async move {
            // What such a host took cannot be seen in its source, not even by the next opening.
            if store
                .source_text(&room, ELSEWHERE)
                .await
                .is_ok_and(|taken| taken.as_ref() == Some(&text))
            {
                return WriteBackStep::TakenBefore;
            }
            // First, so that after a crash in between the source's new text is known for ours. Merged as
            // somebody else's, it would double what was typed since the last exchange.
            if let Err(error) = store.set_source_text(&room, OFFERED, text.clone()).await {
                log::warn!("room {room}: the text offered to its source was not noted: {error}");
            }
            let outcome = host.save_record(&room, &text, expected.as_deref()).await;
            if outcome == Ok(SaveOutcome::SavedElsewhere)
                && let Err(error) = store.set_source_text(&room, ELSEWHERE, text.clone()).await
            {
                log::warn!("room {room}: the text taken by its host was not noted: {error}");
            }
            WriteBackStep::Saved { text, outcome }
        });
        Ok(())
    }

    async fn saved(
        &mut self,
        text: String,
        outcome: Result<SaveOutcome, HostError>,
    ) -> Result<(), Ended> {
        match outcome {
            Ok(SaveOutcome::Saved(source)) => {
                self.context.metrics.write_backs.inc("saved");
                log::info!(
                    event = "written_back", room = self.room.as_str(), source = source;
                    "room {}: written back", self.room
                );
                self.exchanged(RecordText { source, text }, Author::Us);
                self.copy_state().await
            }
            Ok(SaveOutcome::SavedElsewhere) => {
                self.context.metrics.write_backs.inc("saved");
                log::info!(
                    event = "written_back", room = self.room.as_str(), source = "elsewhere";
                    "room {}: written back, to where its source does not show it", self.room
                );
                self.copy_state().await
            }
            Ok(SaveOutcome::Changed(current)) => {
                self.write_back.dirty = true;
                self.write_back.rounds += 1;
                if self.write_back.rounds >= ROUNDS_MAX {
                    let busy = HostError::Failed("the source keeps changing".into());
                    self.write_back_failed(Stage::Draft, &busy);
                    return Ok(());
                }
                self.compare(Some(current)).await
            }
            Err(error) => {
                self.write_back_failed(Stage::Draft, &error);
                Ok(())
            }
        }
    }

    fn copied(&mut self, outcome: Result<CopyInfo, CopyError>) {
        let version = match outcome {
            Ok(info) => {
                self.write_back.succeeded();
                // A host that keeps copies tells its hooks itself, of those that others make, too.
                if self.context.host.copies().is_none() {
                    self.hook(
                        "realtime:snapshot:saved",
                        serde_json::json!({
                            "roomId": self.room.as_str(), "version": info.version,
                            "timestamp": info.created_at_ms,
                        }),
                    );
                }
                Some(info.version)
            }
            Err(error) => {
                log::warn!(
                    event = "copy_failed", room = self.room.as_str(), error:% = error;
                    "room {}: its copy was not stored: {error}", self.room
                );
                self.hook_failed(Stage::Persist, &error);
                self.write_back.copying.failed();
                self.write_back.failures = self.write_back.failures.saturating_add(1);
                None
            }
        };
        self.finish(version);
    }

    fn write_back_failed(&mut self, stage: Stage, error: &HostError) {
        self.context.metrics.write_backs.inc("failed");
        log::warn!(
            event = "write_back_failed", room = self.room.as_str(), stage = stage.name(), error:% = error;
            "room {}: the write-back failed ({}): {error}", self.room, stage.name()
        );
        self.hook_failed(stage, error);
        self.write_back.dirty = true;
        self.write_back.failures = self.write_back.failures.saturating_add(1);
        self.write_back.running = false;
        for waiter in self.write_back.served.drain(..) {
            drop(waiter.send(Err(EngineError::Host(error.clone()))));
        }
        // Who asked meanwhile was promised a run of their own, which may do better.
        if !self.write_back.waiters.is_empty() {
            self.start_write_back();
        }
    }

    fn hook_failed(&self, stage: Stage, error: &dyn std::error::Error) {
        self.hook(
            "realtime:snapshot:writeback-failed",
            serde_json::json!({
                "roomId": self.room.as_str(), "recordId": self.room.id(), "stage": stage.name(),
                "error": error.to_string(), "timestamp": unix_ms(),
            }),
        );
    }

    pub(super) fn finish(&mut self, version: Option<u64>) {
        self.write_back.running = false;
        for waiter in self.write_back.served.drain(..) {
            let report = SnapshotReport { snapshot_created: true, version, timestamp: unix_ms() };
            drop(waiter.send(Ok(report)));
        }
        if self.write_back.again {
            self.start_write_back();
        }
    }

    /// Runs `step` beside the actor and sends its result to the room's own mailbox.
    pub(super) fn tell_self(&self, step: impl Future<Output = WriteBackStep> + Send + 'static) {
        let own = self.own.clone();
        tokio::spawn(async move {
            let step = step.await;
            if let Some(own) = own.upgrade() {
                drop(own.send(RoomCommand::WriteBack(step)).await);
            }
        });
    }
}
