//! The open rooms of one engine: opens a room on its first join, never two for one name.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{CloseReason, EngineError},
    host::Hook,
    ids::RoomId,
    limits::ROOM_MAILBOX_MAX,
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
}

#[derive(Debug)]
struct Entry {
    /// Tells an actor that leaves apart from its successor of the same name.
    generation: u64,
    commands: RoomHandle,
}

impl Registry {
    /// No rooms yet.
    pub fn new(context: RoomContext) -> Arc<Self> {
        Arc::new(Self {
            context,
            rooms: Mutex::new(HashMap::new()),
            next_generation: AtomicU64::new(1),
            draining: AtomicBool::new(false),
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
        loop {
            let handle = self.open(room).map_err(|error| match error {
                EngineError::RoomLimit(_) => CloseReason::RoomLimit(error.to_string()),
                _ => CloseReason::ShuttingDown,
            })?;
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

    /// Number of open rooms.
    pub fn len(&self) -> usize {
        self.rooms.lock().len()
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
            self.context.host.emit_hook(Hook {
                name: "realtime:room:destroyed",
                data: serde_json::json!({ "roomId": room.as_str(), "timestamp": unix_ms() }),
            });
        }
    }

    fn open(self: &Arc<Self>, room: &RoomId) -> Result<RoomHandle, EngineError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(EngineError::ShuttingDown);
        }
        let mut rooms = self.rooms.lock();
        if let Some(entry) = rooms.get(room) {
            if !entry.commands.is_closed() {
                return Ok(entry.commands.clone());
            }
        } else if rooms.len() >= self.context.config.rooms.max_rooms {
            return Err(EngineError::RoomLimit(self.context.config.rooms.max_rooms));
        }
        let (commands, mailbox) = mpsc::channel(ROOM_MAILBOX_MAX);
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        rooms.insert(room.clone(), Entry { generation, commands: commands.clone() });
        drop(rooms);
        self.context.metrics.rooms_opened.inc();
        let actor = Actor::new(
            room.clone(),
            generation,
            self.context.clone(),
            Arc::downgrade(self),
            mailbox,
            commands.downgrade(),
        );
        tokio::spawn(actor.run());
        self.context.host.emit_hook(Hook {
            name: "realtime:room:created",
            data: serde_json::json!({
                "roomId": room.as_str(), "roomType": room.kind(), "timestamp": unix_ms(),
            }),
        });
        Ok(commands)
    }
}
