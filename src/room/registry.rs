//! The open rooms of one engine: opens a room on its first join, never two for one name.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::{
    error::{CloseReason, EngineError},
    host::Hook,
    ids::RoomId,
    limits::{ROOM_MAILBOX_MAX, ROOM_PLACE_POLL, ROOM_PLACE_TIMEOUT},
    room::{JoinError, NewMember, RoomCommand, RoomContext, actor::Actor},
    time::unix_ms,
};

/// A way to send commands to an open room.
pub type RoomHandle = mpsc::Sender<RoomCommand>;

/// The open rooms.
#[derive(Debug)]
pub struct Registry {
    context: RoomContext,
    rooms: Mutex<HashMap<RoomId, Entry>>,
    next_generation: AtomicU64,
    draining: AtomicBool,
    /// A room left memory.
    left: Notify,
}

#[derive(Debug)]
struct Entry {
    /// The user who opened it.
    opener: String,
    activity: Arc<Activity>,
    opened_at_ms: u64,
    /// Tells an actor that leaves apart from its successor of the same name.
    generation: u64,
    commands: RoomHandle,
}

/// An open room, as far as it is known without asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Tells it apart from an earlier one of the same name.
    pub generation: u64,
    /// Unix milliseconds of its opening.
    pub opened_at_ms: u64,
    /// Unix milliseconds of the last join, edit or leave.
    pub active_at_ms: u64,
    /// The document's version: its updates so far.
    pub version: u64,
}

/// What a room does, for whoever looks from outside; written by the room.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Since when nobody is there; 0 = somebody is.
    vacant_since_ms: AtomicU64,
    at_ms: AtomicU64,
    version: AtomicU64,
}

impl Activity {
    /// Somebody is there.
    pub(super) fn occupied(&self) {
        self.vacant_since_ms.store(0, Ordering::Release);
        self.at_ms.store(unix_ms(), Ordering::Relaxed);
    }

    /// Nobody is there from now on.
    pub(super) fn vacant(&self) {
        let now_ms = unix_ms();
        self.vacant_since_ms.store(now_ms, Ordering::Release);
        self.at_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The document has this version now.
    pub(super) fn changed(&self, version: u64) {
        self.version.store(version, Ordering::Relaxed);
        self.at_ms.store(unix_ms(), Ordering::Relaxed);
    }

    fn vacant_since_ms(&self) -> Option<u64> {
        Some(self.vacant_since_ms.load(Ordering::Acquire)).filter(|since| *since > 0)
    }
}

impl Registry {
    /// No rooms yet.
    pub fn new(context: RoomContext) -> Arc<Self> {
        Arc::new(Self {
            context,
            rooms: Mutex::new(HashMap::new()),
            next_generation: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            left: Notify::new(),
        })
    }

    /// What rooms are made with.
    pub fn context(&self) -> &RoomContext {
        &self.context
    }

    /// Joins `room`, opening it if need be. Waits for its load.
    pub async fn join(
        self: &Arc<Self>,
        room: &RoomId,
        mut member: Box<NewMember>,
    ) -> Result<RoomHandle, CloseReason> {
        let give_up = Instant::now() + ROOM_PLACE_TIMEOUT;
        loop {
            let opener = member.identity.user_id.as_str();
            let handle = match self.open(room, opener) {
                Ok(handle) => handle,
                Err(EngineError::RoomLimit(_))
                    if Instant::now() < give_up && self.make_place(opener) =>
                {
                    // A room that left between the two is seen with the next look.
                    drop(timeout(ROOM_PLACE_POLL, self.left.notified()).await);
                    continue;
                }
                Err(error @ EngineError::RoomLimit(_)) => {
                    return Err(CloseReason::RoomLimit(error.to_string()));
                }
                Err(_) => return Err(CloseReason::ShuttingDown),
            };
            let (reply, answer) = oneshot::channel();
            if let Err(mpsc::error::SendError(unsent)) =
                handle.send(RoomCommand::Join { member, reply }).await
            {
                let RoomCommand::Join { member: back, .. } = unsent else {
                    return Err(CloseReason::RoomFailed);
                };
                member = back;
                // The actor is gone but its entry may be there for another moment.
                tokio::task::yield_now().await;
                continue;
            }
            match answer.await {
                Ok(Ok(())) => return Ok(handle),
                Ok(Err(JoinError::Retry(back))) => member = back,
                Ok(Err(JoinError::Refused(reason))) => return Err(reason),
                Err(_) => return Err(CloseReason::RoomFailed),
            }
        }
    }

    /// The room, if it is open.
    pub fn get(&self, room: &RoomId) -> Option<RoomHandle> {
        self.rooms.lock().get(room).map(|entry| entry.commands.clone())
    }

    /// What is known of a room without asking it; `None` = it is not open.
    pub fn life(&self, room: &RoomId) -> Option<Life> {
        self.rooms.lock().get(room).map(|entry| Life {
            generation: entry.generation,
            opened_at_ms: entry.opened_at_ms,
            active_at_ms: entry.activity.at_ms.load(Ordering::Relaxed),
            version: entry.activity.version.load(Ordering::Relaxed),
        })
    }

    /// Number of open rooms.
    pub fn len(&self) -> usize {
        self.rooms.lock().len()
    }

    /// Number of rooms without a document that somebody else holds.
    pub fn held_elsewhere(&self) -> usize {
        self.context.held_elsewhere.load(Ordering::Relaxed)
    }

    /// Whether no room is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the open rooms, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.open_rooms().iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    /// The open rooms, in no order.
    pub fn open_rooms(&self) -> Vec<RoomId> {
        self.rooms.lock().keys().cloned().collect()
    }

    /// Opens no room from now on, and finalizes all that are open. Returns when all are done.
    pub async fn shutdown(&self) {
        self.draining.store(true, Ordering::Release);
        let handles: Vec<_> =
            self.rooms.lock().values().map(|entry| entry.commands.clone()).collect();
        let mut answers = Vec::with_capacity(handles.len());
        for handle in handles {
            let (reply, answer) = oneshot::channel();
            if handle.send(RoomCommand::Shutdown { reply }).await.is_ok() {
                answers.push(answer);
            }
        }
        for answer in answers {
            // An actor that ended meanwhile has nothing left to store.
            drop(answer.await);
        }
    }

    /// Takes an actor's entry out, unless a successor has taken its place.
    pub(super) fn remove(&self, room: &RoomId, generation: u64) {
        let mut rooms = self.rooms.lock();
        if rooms.get(room).is_some_and(|entry| entry.generation == generation) {
            rooms.remove(room);
            drop(rooms);
            self.left.notify_waiters();
            log::info!(event = "room_destroyed", room = room.as_str(); "room {room}: left memory");
            self.context.host.emit_hook(Hook {
                name: "realtime:room:destroyed",
                data: serde_json::json!({ "roomId": room.as_str(), "timestamp": unix_ms() }),
            });
        }
    }

    /// Asks a room that nobody is in to leave memory before its grace is over: one that `opener` opened, else
    /// the one that is empty longest. So whoever opens room after room displaces nobody but themselves.
    /// `false` = there are people in all of them.
    fn make_place(&self, opener: &str) -> bool {
        let rooms = self.rooms.lock();
        let empty =
            rooms.values().filter_map(|entry| Some((entry, entry.activity.vacant_since_ms()?)));
        let Some((entry, _)) = empty.min_by_key(|(entry, since)| (entry.opener != opener, *since))
        else {
            return false;
        };
        // A full mailbox has a join in it, or will be tried again.
        drop(entry.commands.try_send(RoomCommand::MakePlace));
        true
    }

    fn open(self: &Arc<Self>, room: &RoomId, opener: &str) -> Result<RoomHandle, EngineError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(EngineError::ShuttingDown);
        }
        let mut rooms = self.rooms.lock();
        if let Some(entry) = rooms.get(room) {
            if !entry.commands.is_closed() {
                return Ok(entry.commands.clone());
            }
        } else if rooms.len() + self.held_elsewhere() >= self.context.config.rooms.max_rooms {
            return Err(EngineError::RoomLimit(self.context.config.rooms.max_rooms));
        }
        let (commands, mailbox) = mpsc::channel(ROOM_MAILBOX_MAX);
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::<Activity>::default();
        activity.occupied();
        let entry = Entry {
            opener: opener.to_owned(),
            activity: Arc::clone(&activity),
            opened_at_ms: unix_ms(),
            generation,
            commands: commands.clone(),
        };
        rooms.insert(room.clone(), entry);
        drop(rooms);
        self.context.metrics.rooms_opened.inc();
        let actor = Actor::new(
            room.clone(),
            generation,
            self.context.clone(),
            Arc::downgrade(self),
            mailbox,
            commands.downgrade(),
            activity,
        );
        tokio::spawn(actor.run());
        log::info!(event = "room_created", room = room.as_str(); "room {room}: opened");
        self.context.host.emit_hook(Hook {
            name: "realtime:room:created",
            data: serde_json::json!({
                "roomId": room.as_str(), "roomType": room.kind(), "timestamp": unix_ms(),
            }),
        });
        Ok(commands)
    }
}
