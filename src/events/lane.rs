//! One of the tasks that rooms are shared out to. It orders everything about its rooms.

use std::{collections::HashMap, mem, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    channel::{Channel, ClientInfo, Entry, Member, Reader},
    gathered::Gathered,
    history::Said,
    hub::{EventsContext, Place},
    speaker::{FactKind, is_of_collection},
};
use crate::{
    ids::SessionId,
    limits::{
        EVENT_BATCH_MAX, EVENT_DELIVERIES_PER_TURN_MAX, EVENT_HISTORY_BYTES_MAX, EVENT_LANES,
        EVENT_SPARE_INTERVAL, EVENT_SPARE_LOOKS_MAX, FAN_OUT_BYTES_MAX, OUTBOX_BYTES_MAX,
        OUTBOX_PRESSED_BYTES_MAX,
    },
    protocol::{
        events::{self, Ack, EventError, Person},
        ws_frame,
    },
    room::outbox::Outbox,
    time::unix_ms,
};

/// A room's name; empty = everybody.
pub type Room = Arc<str>;

/// Something to be said to a room.
#[derive(Debug)]
pub struct Emit {
    /// To whom.
    pub room: Room,
    /// What.
    pub said: Said,
    /// Whose it is; `None` = the server's. What a client said that is being closed is not heard.
    pub by: Option<Arc<Outbox>>,
    /// Who does not hear it.
    pub except: Option<SessionId>,
    /// Who is told that it is on its way.
    pub ack: Option<(Arc<Outbox>, Ack)>,
    /// Since when it is on its way.
    pub begun: Instant,
}

/// Why somebody is not let in: there are as many rooms as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinRefused;

/// A room with members.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Occupied {
    /// Its name.
    pub room: String,
    /// How many are in it.
    pub members: usize,
}

/// Rooms that gave their places to others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spared {
    pub rooms: usize,
    /// Among so many.
    pub looked_at: usize,
}

impl Spared {
    /// Whether it takes too much to do that for each room that wants a place.
    pub(super) fn was_dear(self) -> bool {
        self.looked_at > self.rooms * EVENT_SPARE_LOOKS_MAX
    }
}

#[derive(Debug)]
pub(super) enum Command {
    Join {
        room: Room,
        entry: Box<Entry>,
        reply: oneshot::Sender<Result<(), JoinRefused>>,
    },
    Leave {
        room: Room,
        session: SessionId,
        ack: Option<(Arc<Outbox>, Ack)>,
    },
    Gone {
        session: SessionId,
        rooms: Vec<Room>,
    },
    Emit(Box<Emit>, OwnedSemaphorePermit),
    Rooms(oneshot::Sender<Vec<Occupied>>),
    People {
        room: Room,
        reply: oneshot::Sender<Vec<Person>>,
    },
    Members {
        room: Room,
        reply: oneshot::Sender<Vec<Member>>,
    },
    History {
        room: Room,
        reply: oneshot::Sender<Vec<String>>,
    },
    /// Some rooms that are kept for what was said in them alone give their places back.
    Spare(oneshot::Sender<Spared>),
    /// Answered once all that came before is with the outboxes.
    Flush(oneshot::Sender<()>),
}

pub(super) struct Lane {
    context: EventsContext,
    commands: mpsc::Receiver<Command>,
    channels: HashMap<Room, (Channel, Option<Place>)>,
    /// Frames for one room that its members do not have yet.
    gathered: Gathered,
    history_bytes: usize,
    made: u64,
    /// Events so far.
    said: u64,
    deliveries: usize,
    /// When many rooms were looked at for few that could be spared.
    spared_dearly_at: Option<Instant>,
}

impl Lane {
    pub(super) fn new(context: EventsContext, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            context,
            commands,
            channels: HashMap::new(),
            gathered: Gathered::default(),
            history_bytes: 0,
            made: 0,
            said: 0,
            deliveries: 0,
            spared_dearly_at: None,
        }
    }

    /// Works until nobody can give it anything any more.
    pub(super) async fn run(mut self) {
        let pause = Duration::from_secs(self.context.config.limits.room_cleanup_interval);
        let mut sweep_at = Instant::now() + pause;
        let mut commands = Vec::with_capacity(EVENT_BATCH_MAX);
        loop {
            let received = self.commands.recv_many(&mut commands, EVENT_BATCH_MAX);
            if timeout_at(sweep_at, received).await == Ok(0) {
                return;
            }
            // Not only when there is a pause: under load there may be none.
            if sweep_at <= Instant::now() {
                self.sweep();
                sweep_at = Instant::now() + pause;
            }
            for command in commands.drain(..) {
                self.handle(command);
                if self.deliveries >= EVENT_DELIVERIES_PER_TURN_MAX {
                    self.deliveries = 0;
                    tokio::task::yield_now().await;
                }
            }
            self.flush();
        }
    }

    fn handle(&mut self, command: Command) {
        if let Command::Emit(emit, permit) = command {
            self.emit(*emit);
            drop(permit);
            return;
        }
        // Whoever comes hears nothing of before, whoever goes all of it.
        self.flush();
        match command {
            Command::Emit(..) => {}
            Command::Join { room, entry, reply } => {
                // A connection that is gone meanwhile says so itself.
                let _ = reply.send(self.join(&room, *entry));
            }
            Command::Leave { room, session, ack } => {
                self.leave(&room, session);
                if let Some((outbox, ack)) = ack {
                    let text = events::left(&room, Some(&ack), unix_ms());
                    outbox.push(ws_frame::text(&text));
                }
            }
            Command::Gone { session, rooms } => {
                for room in rooms {
                    self.leave(&room, session);
                }
            }
            Command::Rooms(reply) => drop(reply.send(self.rooms())),
            Command::People { room, reply } => {
                let people = self.members(&room).iter().map(|member| member.info.person());
                drop(reply.send(people.collect()));
            }
            Command::Members { room, reply } => drop(reply.send(self.members(&room).to_vec())),
            Command::History { room, reply } => {
                self.expire(&room);
                drop(reply.send(self.history(&room)));
            }
            Command::Spare(reply) => drop(reply.send(self.spare())),
            Command::Flush(reply) => drop(reply.send(())),
        }
    }

    fn join(&mut self, room: &Room, entry: Entry) -> Result<(), JoinRefused> {
        self.expire(room);
        let channel = self.open_by_force(room).ok_or(JoinRefused)?;
        let before = channel.members().len();
        let info = Arc::clone(&entry.member.info);
        let recovered = channel.join(entry, unix_ms());
        let came = channel.members().len() - before;
        if let Some(whole) = recovered {
            let outcome = if whole { "whole" } else { "gap" };
            self.context.metrics.event_recoveries.inc(outcome);
        }
        if !room.is_empty() && came > 0 {
            self.context.metrics.event_members.add(1);
            self.context.observe(FactKind::Join, || fact(room, &info));
        }
        Ok(())
    }

    fn leave(&mut self, room: &Room, session: SessionId) {
        let Some((channel, _)) = self.channels.get_mut(room) else { return };
        if let Some(info) = channel.leave(session)
            && !room.is_empty()
        {
            self.context.metrics.event_members.sub(1);
            self.context.observe(FactKind::Leave, || fact(room, &info));
        }
        if channel.members().is_empty() && channel.history.is_empty() {
            self.remove(room);
        }
    }

    /// The room, made if it is not there; `None` if there are as many as there may be.
    fn open(&mut self, room: &Room) -> Option<&mut Channel> {
        if !self.channels.contains_key(room) {
            let place = if room.is_empty() { None } else { Some(self.context.places.take()?) };
            self.made += 1;
            let epoch = self.context.epoch(room, self.made);
            let events = &self.context.config.events;
            let mut channel = Channel::new(Arc::clone(room), epoch);
            channel.latest = events.rules.is_latest_only(room);
            channel.has_gaps = events.legacy_collection_broadcast && is_of_collection(room);
            self.channels.insert(Arc::clone(room), (channel, place));
        }
        self.channels.get_mut(room).map(|(channel, _)| channel)
    }

    /// The room, made at the cost of others here that are kept for what was said in them alone.
    fn open_by_force(&mut self, room: &Room) -> Option<&mut Channel> {
        if !self.channels.contains_key(room) && self.context.places.are_taken() {
            let now = Instant::now();
            let lately = |at: Instant| now.duration_since(at) < EVENT_SPARE_INTERVAL;
            if !self.spared_dearly_at.is_some_and(lately) && self.spare().was_dear() {
                self.spared_dearly_at = Some(now);
            }
        }
        self.open(room)
    }

    fn emit(&mut self, emit: Emit) {
        let Emit { room, said, by, except, ack, begun } = emit;
        if by.is_some_and(|client| client.is_closing()) {
            return;
        }
        let same = self.gathered.room.as_ref().is_some_and(|gathering| *gathering == room);
        if !same || except.is_some() {
            self.flush();
        }
        let keeps = if room.is_empty() { 0 } else { self.context.config.events.history_size };
        let is_server = said.from.is_none();
        let offset = if self.channels.contains_key(&room) || keeps > 0 {
            let offset = self.say(&room, said, keeps, begun);
            if offset.is_none() {
                self.is_lost(is_server, ack);
                return;
            }
            offset
        } else {
            None
        };
        if let Some((outbox, ack)) = ack {
            let named = (!room.is_empty()).then_some(&*room);
            let text = events::acked(&ack, named, offset.filter(|_| named.is_some()), unix_ms());
            outbox.push(ws_frame::text(&text));
        }
        if except.is_some() || self.gathered.bytes() >= FAN_OUT_BYTES_MAX {
            self.flush_except(except);
        }
    }

    /// An event for nobody, which cannot be kept either.
    fn is_lost(&self, is_server: bool, ack: Option<(Arc<Outbox>, Ack)>) {
        let metrics = &self.context.metrics;
        if is_server {
            metrics.events_dropped.inc();
        } else {
            metrics.event_refusals.inc(EventError::RoomsFull.code());
        }
        if let Some((outbox, ack)) = ack {
            // Plain clients cannot ask for acknowledgements.
            let text = events::error(&EventError::RoomsFull, true, Some(&ack), unix_ms());
            outbox.push(ws_frame::text(&text));
        }
    }

    /// Gathers an event for its room; its number, that of the first time if it was said before. `None` = there is no
    /// place for a room.
    fn say(&mut self, room: &Room, said: Said, keeps: usize, begun: Instant) -> Option<u64> {
        self.said += 1;
        let said_at = self.said;
        let channel = self.open_by_force(room)?;
        channel.said_at = said_at;
        if let Some(offset) = channel.history.offset_of(&said) {
            return Some(offset);
        }
        channel.offset += 1;
        let offset = channel.offset;
        let said = Arc::new(said);
        let keeps = if channel.latest { keeps.min(1) } else { keeps };
        let before = channel.history.bytes();
        channel.history.push(offset, Arc::clone(&said), keeps);
        let after = channel.history.bytes();
        self.history_bytes = self.history_bytes + after - before;
        if let Some((channel, _)) = self.channels.get(room) {
            if said.from.is_some() {
                let text = || channel.text(offset, &said, true);
                self.context.observe(FactKind::Message, text);
            }
            self.gathered.add(channel, (offset, begun), &said, &self.context);
        }
        if self.history_bytes > EVENT_HISTORY_BYTES_MAX / EVENT_LANES {
            self.shrink();
        }
        Some(offset)
    }

    fn flush(&mut self) {
        self.flush_except(None);
    }

    /// Hands what was gathered to all members, but perhaps one.
    fn flush_except(&mut self, except: Option<SessionId>) {
        let Some(room) = self.gathered.room.take() else { return };
        let Gathered { plain, extended, batched, events, begun, .. } =
            mem::take(&mut self.gathered);
        let Some((channel, _)) = self.channels.get(&room) else { return };
        let queued = &self.context.queued;
        let mut batch = Vec::new();
        batched.append_to(&mut batch);
        let [plain, extended, batched] =
            [plain, extended, batch].map(|frames| queued.count(frames));
        // Where memory runs short, who lags is cut off sooner.
        let bytes_max = if queued.is_over() { OUTBOX_PRESSED_BYTES_MAX } else { OUTBOX_BYTES_MAX };
        let mut members = 0;
        for member in channel.members().iter().filter(|member| Some(member.info.session) != except)
        {
            let frames = match member.reader {
                Reader::Plain => &plain,
                Reader::Extended => &extended,
                Reader::Batched => &batched,
            };
            members += 1;
            if channel.latest {
                member.outbox.push_newest(&room, frames.clone());
            } else {
                member.outbox.push_events(frames.clone(), events, bytes_max);
            }
        }
        self.deliveries += members;
        let metrics = &self.context.metrics;
        metrics.event_deliveries.add((members * events) as u64);
        let now = Instant::now();
        for begun in begun {
            metrics.event_delivery_time.record(now.duration_since(begun));
        }
    }

    fn members(&self, room: &Room) -> &[Member] {
        self.channels.get(room).map_or(&[], |(channel, _)| channel.members())
    }

    fn rooms(&self) -> Vec<Occupied> {
        let occupied = self.channels.values().map(|(channel, _)| Occupied {
            room: channel.name.to_string(),
            members: channel.members().len(),
        });
        occupied.filter(|room| !room.room.is_empty() && room.members > 0).collect()
    }

    fn history(&self, room: &Room) -> Vec<String> {
        let Some((channel, _)) = self.channels.get(room) else { return Vec::new() };
        let (_, all) = channel.history.after(0, channel.offset);
        all.map(|(offset, said)| channel.text(offset, said, true)).collect()
    }

    /// One in eight of the rooms that are kept for what was said in them alone is given up, longest silent first.
    fn spare(&mut self) -> Spared {
        let mut silent: Vec<(u64, Room)> = self
            .channels
            .values()
            .filter(|(channel, _)| channel.members().is_empty())
            .map(|(channel, _)| (channel.said_at, Arc::clone(&channel.name)))
            .collect();
        silent.sort_unstable();
        let spared = Spared { looked_at: self.channels.len(), rooms: silent.len().div_ceil(8) };
        for (_, room) in silent.into_iter().take(spared.rooms) {
            self.remove(&room);
        }
        spared
    }

    fn remove(&mut self, room: &Room) {
        if let Some((channel, _)) = self.channels.remove(room) {
            self.history_bytes -= channel.history.bytes();
        }
    }

    /// Forgets what is too old, and rooms that nobody needs.
    fn sweep(&mut self) {
        let before_ms = self.kept_since_ms();
        self.forget(|channel| channel.history.expire(before_ms));
    }

    /// Forgets what is too old in one room, before somebody is told of it: the sweep may be far.
    fn expire(&mut self, room: &Room) {
        let before_ms = self.kept_since_ms();
        let Some((channel, _)) = self.channels.get_mut(room) else { return };
        let before = channel.history.bytes();
        channel.history.expire(before_ms);
        self.history_bytes -= before - channel.history.bytes();
    }

    fn kept_since_ms(&self) -> u64 {
        let age_ms = self.context.config.message_ttl.saturating_mul(1000);
        unix_ms().saturating_sub(age_ms)
    }

    /// Forgets the older half of what is kept.
    fn shrink(&mut self) {
        self.forget(|channel| channel.history.halve());
    }

    fn forget(&mut self, mut forget: impl FnMut(&mut Channel)) {
        let gathering = self.gathered.room.clone();
        self.channels.retain(|room, (channel, _)| {
            forget(channel);
            !(channel.members().is_empty() && channel.history.is_empty())
                || Some(room) == gathering.as_ref()
        });
        self.history_bytes =
            self.channels.values().map(|(channel, _)| channel.history.bytes()).sum();
        if self.channels.len() < self.channels.capacity() / 4 {
            self.channels.shrink_to_fit();
        }
    }
}

/// Who came or went, for the host.
fn fact(room: &str, info: &ClientInfo) -> String {
    serde_json::json!({ "room": room, "person": info.person() }).to_string()
}
