//! The room's actor: one task that orders everything that happens in a room.
//!
//! Order of an update: guard (done by the sender's connection) → apply → queue for the log → fan-out; its
//! acknowledgement waits for the log's commit. The actor never waits for a client: it only pushes into
//! outboxes. It waits for the store's queue, and thereby makes senders wait.

mod end;
mod exchange;
mod held;
mod json;
mod members;
mod moderation;
mod presence;
mod reunion;
mod snapshot;
#[cfg(test)]
mod tests;
mod unlogged;
mod updates;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use self::{held::HeldShares, json::JsonMembers, moderation::Order, unlogged::Unlogged};
use crate::{
    error::{CloseReason, EngineError},
    host::Hook,
    ids::{RoomId, SessionId},
    limits::{ROOM_BATCH_MAX, SNAPSHOT_IDLE, SNAPSHOT_TAIL_BYTES},
    markdown,
    room::{
        JoinError, RoomCommand, RoomContext,
        awareness::AwarenessTable,
        document::Document,
        fan_out::FanOut,
        load::{LoadError, Loaded, load},
        member::Member,
        queued,
        registry::{Activity, Registry},
        write_back::WriteBack,
    },
    store::{CommitWatch, StoreError},
    telemetry::counter::Share,
    time::unix_ms,
};

/// How often awareness is looked through: for states nobody renewed, and for ids whose silent owner has an
/// heir.
const AWARENESS_CHECK: Duration = Duration::from_secs(1);

/// Why the one is closed whose update broke a document.
pub const ROOM_FAULT: &str = "ROOM_FAULT";

/// Documents above this size are encoded on the compute threads.
pub(super) const INLINE_DOCUMENT_BYTES_MAX: u64 = 256 * 1024;

/// The room is over: its document broke, or it left memory.
#[derive(Debug)]
pub(super) struct Ended;

/// What was answered last to a sync step 1.
#[derive(Debug)]
struct LastAnswer {
    /// The state vector.
    question: Vec<u8>,
    /// [`Document::changes`] at that time.
    changes: u64,
    shared: queued::Shared,
}

/// Everything of one room.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states of one machine")]
pub(super) struct Actor {
    pub(super) room: RoomId,
    generation: u64,
    pub(super) context: RoomContext,
    registry: Weak<Registry>,
    mailbox: mpsc::Receiver<RoomCommand>,
    pub(super) own: mpsc::WeakSender<RoomCommand>,

    pub(super) document: Document,
    pub(super) members: HashMap<SessionId, Member>,
    held_shares: HeldShares,
    fan_out: FanOut,
    awareness: AwarenessTable,
    awareness_dirty: HashSet<u64>,
    awareness_sent_at: Instant,
    awareness_checked_at: Instant,
    opened_at: Instant,
    json: JsonMembers,
    pub(super) order: Order,
    member_count: Share,
    document_bytes: Share,

    /// Last sequence number given out; the room's version, too.
    pub(super) last_seq: u64,
    pub(super) watch: Arc<CommitWatch>,
    unlogged: Unlogged,
    last_answer: Option<LastAnswer>,
    tail_bytes: u64,
    /// Size of the last known full state, in bytes; also decides what is heavy work.
    pub(super) state_bytes: u64,
    snapshotting: bool,
    updated_at: Instant,

    pub(super) write_back: WriteBack,
    /// The text it was seeded from after the store had lost it, until the record's earlier history comes.
    reseeded: Option<String>,
    /// When it leaves memory; `None` while somebody is here.
    leaves_at: Option<Instant>,
    activity: Arc<Activity>,
    closing: Vec<oneshot::Sender<()>>,
    pub(super) stopping: bool,
    place_wanted: bool,
    /// Row up to which members were told, and whether one waits for a row at or below it.
    told_seq: u64,
    tell_again: bool,
}

impl Actor {
    pub(super) fn new(
        room: RoomId,
        generation: u64,
        context: RoomContext,
        registry: Weak<Registry>,
        mailbox: mpsc::Receiver<RoomCommand>,
        own: mpsc::WeakSender<RoomCommand>,
        activity: Arc<Activity>,
    ) -> Self {
        let now = Instant::now();
        let awareness = AwarenessTable::new(
            context.config.awareness.ids_max,
            context.config.awareness.bytes_max,
        );
        Self {
            member_count: context.metrics.room_members.share(),
            document_bytes: context.metrics.document_bytes.share(),
            document: Document::new(context.config.limits.document_bytes_max),
            unlogged: Unlogged::new(Arc::clone(&context.unlogged_bytes)),
            last_answer: None,
            write_back: WriteBack::new(now),
            reseeded: None,
            room,
            generation,
            context,
            registry,
            mailbox,
            own,
            members: HashMap::new(),
            held_shares: HeldShares::default(),
            fan_out: FanOut::default(),
            awareness,
            awareness_dirty: HashSet::new(),
            awareness_sent_at: now,
            awareness_checked_at: now,
            opened_at: now,
            json: JsonMembers::default(),
            order: Order::default(),
            last_seq: 0,
            watch: CommitWatch::starting_at(0),
            tail_bytes: 0,
            state_bytes: 0,
            snapshotting: false,
            updated_at: now,
            leaves_at: Some(now),
            activity,
            closing: Vec::new(),
            stopping: false,
            place_wanted: false,
            told_seq: 0,
            tell_again: false,
        }
    }

    /// Loads the room and serves it until it leaves memory.
    pub(super) async fn run(mut self) {
        match load(&self.context, &self.room).await {
            Ok(loaded) => {
                if self.open(loaded).await.is_err() {
                    return self.end_failed().await;
                }
            }
            Err(error) => {
                log::error!(
                    event = "room_load_failed", room = self.room.as_str(), error:% = error;
                    "room {}: cannot be loaded: {error}", self.room
                );
                if let LoadError::Store(StoreError::Corrupt { what, .. }) = &error {
                    self.hook(
                        "realtime:snapshot:integrity-failed",
                        serde_json::json!({
                            "roomId": self.room.as_str(), "error": what, "timestamp": unix_ms(),
                        }),
                    );
                }
                if matches!(error, LoadError::Store(_) | LoadError::Stored(_)) {
                    self.context.metrics.snapshot_load_failures.inc();
                }
                let reason = error.close_reason();
                self.leave_registry(|_| JoinError::Refused(reason.clone())).await;
                return;
            }
        }
        let mut batch = Vec::new();
        let watch = Arc::clone(&self.watch);
        loop {
            let deadline = self.next_deadline();
            tokio::select! {
                taken = self.mailbox.recv_many(&mut batch, ROOM_BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    for command in batch.drain(..) {
                        if self.handle(command).await.is_err() {
                            return self.end_failed().await;
                        }
                    }
                    self.flush_fan_out();
                }
                () = watch.advanced.notified() => {}
                () = sleep_until(deadline) => {}
            }
            if self.after_work().await.is_err() {
                return self.end_failed().await;
            }
            if self.may_leave_memory() {
                self.context.metrics.rooms_evicted.inc();
                self.leave_registry(JoinError::Retry).await;
                for reply in self.closing.drain(..) {
                    // Whoever asked may have given up waiting.
                    let _ = reply.send(());
                }
                return;
            }
        }
    }

    async fn open(&mut self, loaded: Loaded) -> Result<(), Ended> {
        self.activity.vacant();
        self.leaves_at = Some(Instant::now() + self.stay());
        self.document = loaded.document;
        self.last_seq = loaded.last_seq;
        self.activity.changed(self.last_seq);
        self.watch = CommitWatch::starting_at(loaded.last_seq);
        self.tail_bytes = loaded.tail_bytes;
        self.state_bytes = loaded.snapshot_bytes + loaded.tail_bytes;
        if loaded.snapshot_bytes > 0 {
            self.context.metrics.snapshot_loads.inc();
        }
        self.write_back.base = loaded.base;
        self.reseeded = loaded.reseeded;
        if let Some(source) = self.write_back.base.as_ref().map(|base| base.source) {
            self.set_losses(loaded.losses, source)?;
        }
        for change in loaded.settled {
            self.log(change).await;
        }
        if let Some(outside) = loaded.outside {
            self.merge_outside(outside, markdown::Views::default()).await?;
        }
        if let Some(replaced) = loaded.replaced {
            self.keep_version(replaced, "replaced");
            self.write_back.copying.demand(Instant::now());
        }
        Ok(())
    }

    async fn handle(&mut self, command: RoomCommand) -> Result<(), Ended> {
        if !matches!(command, RoomCommand::Update { .. }) {
            // What a member is sent stays in the order of what happened.
            self.flush_fan_out();
        }
        match command {
            RoomCommand::Update { session, update, answer } => {
                self.update(session, update, answer).await?;
                if answer {
                    self.settled_by(session);
                }
            }
            RoomCommand::Awareness { session, body } => self.take_awareness(session, &body),
            RoomCommand::SyncStep1 { session, state_vector } => {
                self.answer_step1(session, &state_vector).await?;
            }
            RoomCommand::GiveState { session } => {
                if self.members.get(&session).is_some_and(|member| !member.synced) {
                    self.answer_step1(session, &[0]).await?;
                }
            }
            RoomCommand::SpeakJson { session, room_name } => self.speak_json(session, room_name),
            RoomCommand::Presence { session, presence } => self.take_presence(session, *presence),
            RoomCommand::Moderate { by, moderation, reply } => {
                let concerned = self.moderate(by, *moderation)?;
                if let Some(reply) = reply {
                    // Whoever asked may have given up waiting.
                    let _ = reply.send(concerned);
                }
            }
            RoomCommand::QueryAwareness { session } => self.send_all_awareness(session),
            RoomCommand::Join { member, reply } => {
                let session = member.session;
                if reply.send(self.join(*member).map_err(JoinError::Refused)).is_err() {
                    // Whoever waited gave up, and nobody else would take the member out again.
                    self.leave(session);
                }
            }
            RoomCommand::Regrant { session, grant } => self.regrant(session, grant)?,
            RoomCommand::Leave { session, reply } => {
                self.leave(session);
                if let Some(reply) = reply {
                    // Whoever asked may have given up waiting.
                    let _ = reply.send(());
                }
            }
            RoomCommand::Participants { reply } => drop(reply.send(self.participants())),
            RoomCommand::Markdown { reply } => {
                let text = self.markdown().await;
                drop(
                    reply.send(text.map_err(|_| EngineError::RoomNotFound(self.room.to_string()))),
                );
            }
            RoomCommand::References { reply } => drop(reply.send(self.references().await?)),
            RoomCommand::Export { reply } => drop(reply.send(Ok(self.export().await?))),
            RoomCommand::TakeText { text, base, reply } => {
                self.take_text(text, base, reply).await?;
            }
            RoomCommand::Snapshot { reply } => self.request_write_back(reply),
            RoomCommand::SourceChanged => self.start_write_back(),
            RoomCommand::WriteBack(step) => self.continue_write_back(step).await?,
            RoomCommand::Snapshotted { upto_seq, state_bytes, outcome } => {
                self.snapshotted(upto_seq, state_bytes, outcome);
            }
            RoomCommand::MakePlace => {
                self.place_wanted = true;
                self.leaves_at = self.leaves_at.map(|due| due.min(Instant::now()));
            }
            RoomCommand::Shutdown { reply } => {
                self.stopping = true;
                self.closing.push(reply);
                for member in self.members.values() {
                    member.outbox.close(CloseReason::ShuttingDown);
                }
                self.start_write_back();
                self.take_snapshot().await?;
            }
        }
        Ok(())
    }

    async fn markdown(&mut self) -> Result<String, Ended> {
        let body = self.body().await?;
        Ok(markdown::join(self.front_matter(), &body))
    }

    /// The source's front matter, as far as it is known.
    fn front_matter(&self) -> &str {
        self.write_back.base.as_ref().map_or("", |base| self.context.split(&base.text).0)
    }

    /// The document's Markdown without front matter.
    pub(super) async fn body(&mut self) -> Result<String, Ended> {
        let heavy = self.state_bytes > INLINE_DOCUMENT_BYTES_MAX;
        let body = self
            .on_document(heavy, |document| {
                document.content().map(|content| markdown::serialize(&content))
            })
            .await?;
        body.map_err(|_| self.fail(None))
    }

    /// What is due after commands, commits and timers.
    async fn after_work(&mut self) -> Result<(), Ended> {
        self.acknowledge();
        self.look_back_if_settled();
        self.member_count.set(self.members.len() as u64);
        self.document_bytes.set(self.document.estimated_bytes());
        if self.unlogged.waits() {
            self.look_at_storage().await?;
        }
        let now = Instant::now();
        if !self.awareness_dirty.is_empty() && self.awareness_due() <= now {
            self.flush_awareness(None);
        }
        if self.watches_awareness() && self.awareness_checked_at + AWARENESS_CHECK <= now {
            self.awareness_checked_at = now;
            self.look_at_json_members();
            let expired = self.awareness.expire(self.clock_ms());
            self.awareness_dirty.extend(expired);
        }
        let tail_bytes_max = SNAPSHOT_TAIL_BYTES.max(self.state_bytes / 2);
        let idle = self.tail_bytes > 0 && self.updated_at + SNAPSHOT_IDLE <= now;
        if self.tail_bytes >= tail_bytes_max || idle || (self.leaving(now) && self.tail_bytes > 0) {
            self.take_snapshot().await?;
        }
        if self.write_back_due(now) {
            self.start_write_back();
        }
        Ok(())
    }

    fn next_deadline(&self) -> Instant {
        let now = Instant::now();
        let mut next = now + SNAPSHOT_IDLE;
        if !self.awareness_dirty.is_empty() {
            next = next.min(self.awareness_due());
        }
        if self.watches_awareness() {
            next = next.min(self.awareness_checked_at + AWARENESS_CHECK);
        }
        if self.tail_bytes > 0 && !self.snapshotting {
            next = next.min(self.updated_at + SNAPSHOT_IDLE);
        }
        if self.unlogged.waits() {
            next = next.min(now + unlogged::LOOK_AGAIN);
        }
        if let Some(due) = self.write_back_at() {
            next = next.min(due);
        }
        if let Some(due) = self.leaves_at {
            next = next.min(due);
        }
        // A deadline that stays in the past while work is under way must not spin.
        next.max(now + Duration::from_millis(1))
    }

    fn close_member(&mut self, session: SessionId, reason: CloseReason) {
        self.flush_fan_out();
        if let Some(member) = self.members.get(&session) {
            member.outbox.close(reason);
        }
    }

    pub(super) fn hook(&self, name: &'static str, data: serde_json::Value) {
        self.context.host.emit_hook(Hook { name, data });
    }
}
