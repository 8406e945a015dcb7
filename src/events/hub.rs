//! The way to all rooms: finds a room's lane, and keeps what waits for lanes within its bound.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    channel::{Entry, Member},
    lane::{Command, Emit, JoinRefused, Lane, Occupied, Room, Spared},
    speaker::{FactKind, Observer, Observing},
};
use crate::{
    config::Config,
    ids::SessionId,
    limits::{EVENT_COMMANDS_BYTES_MAX, EVENT_COMMANDS_MAX, EVENT_LANES, EVENT_SPARE_INTERVAL},
    protocol::events::{Ack, Person, Since},
    room::{outbox::Outbox, queued::Queued},
    telemetry::metrics::Metrics,
};

/// What rooms of events need of their engine.
#[derive(Clone)]
pub struct EventsContext {
    /// Configuration.
    pub config: Arc<Config>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Bytes that wait for clients.
    pub queued: Arc<Queued>,
    pub(super) places: RoomPlaces,
    /// Who wants to know what happens.
    pub(super) observing: Observing,
    /// Random for each engine, so that its histories are no other one's.
    node: u64,
}

impl std::fmt::Debug for EventsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventsContext").finish_non_exhaustive()
    }
}

impl EventsContext {
    /// What the rooms of one engine share.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, queued: Arc<Queued>) -> Self {
        let places = RoomPlaces { taken: Arc::default(), max: config.events.rooms_max };
        let node = RandomState::new().hash_one(());
        Self { config, metrics, queued, places, observing: Observing::default(), node }
    }

    /// Tells a fact to whoever wants to know, made only then.
    pub(super) fn observe(&self, kind: FactKind, fact: impl FnOnce() -> String) {
        let observing = self.observing.read();
        let Some(observer) = observing.as_ref().filter(|observer| observer.wants(kind)) else {
            return;
        };
        if !observer.note(kind, fact()) {
            self.metrics.facts_dropped.inc();
        }
    }

    /// The name of a history that begins.
    pub(super) fn epoch(&self, room: &str, made: u64) -> String {
        // Lanes count apart: the room's lane is part of the name.
        format!("{:08x}-{}-{made}", self.node & 0xffff_ffff, lane_of(room))
    }
}

/// Places for rooms; an engine has so many.
#[derive(Clone, Debug)]
pub(super) struct RoomPlaces {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// A room's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl RoomPlaces {
    pub(super) fn are_taken(&self) -> bool {
        self.taken.load(Ordering::Acquire) >= self.max
    }

    pub(super) fn take(&self) -> Option<Place> {
        self.taken
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < self.max).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place(Arc::clone(&self.taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// All rooms of events of an engine.
#[derive(Debug)]
pub struct Hub {
    lanes: Vec<mpsc::Sender<Command>>,
    bytes: Arc<Semaphore>,
    pub(super) context: EventsContext,
    /// When many rooms were looked at for few that could be spared.
    spared_dearly_at: Mutex<Option<Instant>>,
}

/// The room that everybody is in.
pub const EVERYBODY: &str = "";

impl Hub {
    /// Starts the lanes. They end with the hub. Must run inside a runtime.
    pub fn start(context: &EventsContext) -> Arc<Self> {
        let lanes = (0..EVENT_LANES).map(|_| {
            let (commands, received) = mpsc::channel(EVENT_COMMANDS_MAX);
            tokio::spawn(Lane::new(context.clone(), received).run());
            commands
        });
        Arc::new(Self {
            lanes: lanes.collect(),
            bytes: Arc::new(Semaphore::new(EVENT_COMMANDS_BYTES_MAX)),
            context: context.clone(),
            spared_dearly_at: Mutex::default(),
        })
    }

    /// Has `observer` told what happens from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        *self.context.observing.write() = Some(observer);
    }

    /// Whether changes of the host's records are to be told.
    pub fn tells_of_records(&self) -> bool {
        self.context.config.events.record_changes
    }

    /// Rooms there are.
    pub fn rooms_open(&self) -> usize {
        self.context.places.taken.load(Ordering::Acquire)
    }

    /// Lets somebody into a room. What it missed and the answer to `ack` are in its outbox when this returns.
    pub async fn join(
        &self,
        room: &Room,
        member: Member,
        since: Option<Since>,
        ack: Option<Ack>,
    ) -> Result<(), JoinRefused> {
        let joined = self.enter(room, member.clone(), since.clone(), ack.clone()).await;
        if joined.is_ok() || !self.spare(lane_of(room)).await {
            return joined;
        }
        self.enter(room, member, since, ack).await
    }

    async fn enter(
        &self,
        room: &Room,
        member: Member,
        since: Option<Since>,
        ack: Option<Ack>,
    ) -> Result<(), JoinRefused> {
        let entry = Box::new(Entry { member, since, ack });
        let join = |reply| Command::Join { room: Arc::clone(room), entry, reply };
        self.ask(room, join).await.unwrap_or(Err(JoinRefused))
    }

    /// Rooms that nobody is in give their places to whoever wants in one of lane `from`: some of the next lane that
    /// has any. Whether one has.
    async fn spare(&self, from: usize) -> bool {
        let now = Instant::now();
        let lately = |at: Instant| now.duration_since(at) < EVENT_SPARE_INTERVAL;
        if self.spared_dearly_at.lock().is_some_and(lately) {
            return false;
        }
        let mut all = Spared::default();
        // It has asked its own lane already; the others in turn.
        for lane in self.lanes.iter().cycle().skip(from + 1).take(self.lanes.len() - 1) {
            let (reply, answer) = oneshot::channel();
            if lane.send(Command::Spare(reply)).await.is_ok() {
                // A lane that is gone has no rooms.
                let spared = answer.await.unwrap_or_default();
                all.rooms += spared.rooms;
                all.looked_at += spared.looked_at;
            }
            if all.rooms > 0 {
                break;
            }
        }
        if all.was_dear() {
            *self.spared_dearly_at.lock() = Some(now);
        }
        all.rooms > 0
    }

    /// Lets somebody out of a room.
    pub async fn leave(&self, room: &Room, session: SessionId, ack: Option<(Arc<Outbox>, Ack)>) {
        let leave = Command::Leave { room: Arc::clone(room), session, ack };
        self.send(room, leave).await;
    }

    /// Says something to a room. Waits while too much waits already.
    pub async fn emit(&self, emit: Emit) {
        let bytes = u32::try_from(emit.said.bytes()).unwrap_or(u32::MAX);
        // Neither is ever closed.
        let Ok(permit) = Arc::clone(&self.bytes).acquire_many_owned(bytes).await else { return };
        let room = Arc::clone(&emit.room);
        self.send(&room, Command::Emit(Box::new(emit), permit)).await;
    }

    /// Says something to a room without waiting. `false` = too much waits already, and it is not said.
    pub fn try_emit(&self, emit: Emit) -> bool {
        let bytes = u32::try_from(emit.said.bytes()).unwrap_or(u32::MAX);
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) else {
            return false;
        };
        let room = Arc::clone(&emit.room);
        self.lane(&room)
            .is_some_and(|lane| lane.try_send(Command::Emit(Box::new(emit), permit)).is_ok())
    }

    /// Takes a connection that is gone out of all its rooms, later if it has to wait.
    pub fn gone(self: &Arc<Self>, session: SessionId, rooms: Vec<Room>) {
        let mut by_lane: Vec<Vec<Room>> = vec![Vec::new(); self.lanes.len()];
        for room in rooms {
            if let Some(of_lane) = by_lane.get_mut(lane_of(&room)) {
                of_lane.push(room);
            }
        }
        for (lane, rooms) in self.lanes.iter().zip(by_lane) {
            if rooms.is_empty() {
                continue;
            }
            let gone = Command::Gone { session, rooms };
            if let Err(mpsc::error::TrySendError::Full(gone)) = lane.try_send(gone)
                && let Ok(runtime) = tokio::runtime::Handle::try_current()
            {
                let lane = lane.clone();
                // A hub that is gone has no rooms.
                runtime.spawn(async move { drop(lane.send(gone).await) });
            }
        }
    }

    /// Rooms with members, by name.
    pub async fn rooms(&self) -> Vec<Occupied> {
        let mut all = Vec::new();
        for lane in &self.lanes {
            let (reply, answer) = oneshot::channel();
            if lane.send(Command::Rooms(reply)).await.is_ok() {
                all.extend(answer.await.unwrap_or_default());
            }
        }
        all.sort_unstable_by(|a, b| a.room.cmp(&b.room));
        all
    }

    /// Who is in a room.
    pub async fn people(&self, room: &Room) -> Vec<Person> {
        let ask = |reply| Command::People { room: Arc::clone(room), reply };
        self.ask(room, ask).await.unwrap_or_default()
    }

    /// The members of a room.
    pub async fn members(&self, room: &Room) -> Vec<Member> {
        let ask = |reply| Command::Members { room: Arc::clone(room), reply };
        self.ask(room, ask).await.unwrap_or_default()
    }

    /// What was said in a room lately, each as the JSON text of its message.
    pub async fn history(&self, room: &Room) -> Vec<String> {
        let ask = |reply| Command::History { room: Arc::clone(room), reply };
        self.ask(room, ask).await.unwrap_or_default()
    }

    /// Returns once all that was said before is with the clients' outboxes.
    pub async fn flush(&self) {
        for lane in &self.lanes {
            let (reply, answer) = oneshot::channel();
            if lane.send(Command::Flush(reply)).await.is_ok() {
                // A lane that is gone has nothing to say.
                drop(answer.await);
            }
        }
    }

    async fn ask<T>(
        &self,
        room: &str,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.send(room, command(reply)).await;
        answer.await.ok()
    }

    async fn send(&self, room: &str, command: Command) {
        if let Some(lane) = self.lane(room) {
            // Lanes live as long as the hub.
            drop(lane.send(command).await);
        }
    }

    fn lane(&self, room: &str) -> Option<&mpsc::Sender<Command>> {
        self.lanes.get(lane_of(room))
    }
}

/// A connection, for the host and operators.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    client_id: String,
    user_id: Option<String>,
    name: Option<String>,
    address: String,
    connected_at: u64,
    rooms: Vec<String>,
    queued: usize,
}

/// What is known of connections, of `count_max` at most.
pub fn connections(members: &[Member], count_max: usize) -> Vec<Connection> {
    let known = members.iter().take(count_max).map(|member| {
        let Person { client_id, user_id, name } = member.info.person();
        let mut rooms: Vec<_> = member.info.rooms.lock().iter().map(ToString::to_string).collect();
        rooms.sort_unstable();
        Connection {
            client_id,
            user_id,
            name,
            address: member.info.address.to_string(),
            connected_at: member.info.connected_at_ms,
            rooms,
            queued: member.outbox.events(),
        }
    });
    known.collect()
}

/// FNV-1a: the names are bounded, and whoever makes many fall together makes them wait for each other.
fn lane_of(room: &str) -> usize {
    let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // FNV-1a leaves the upper half of short and similar names alike; this folds it in (MurmurHash3's finalizer).
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    usize::try_from(mixed >> 33).unwrap_or_default() % EVENT_LANES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_shared_out_to_all_lanes() {
        for prefix in ["r", "room-", "user:", "collection:records/", "ä"] {
            let mut rooms = [0; EVENT_LANES];
            for number in 0..1000 {
                rooms[lane_of(&format!("{prefix}{number}"))] += 1;
            }
            let fair = 1000 / EVENT_LANES;
            assert!(rooms.iter().all(|rooms| (fair / 2..fair * 2).contains(rooms)), "{rooms:?}");
        }
    }
}
