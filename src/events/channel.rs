//! One room: its members, its numbers, and what was said lately.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::history::{History, Said};
use crate::{
    ids::{ClientAddress, SessionId},
    limits::EVENT_PRESENCE_MAX,
    protocol::{
        events::{self, Ack, Author, Change, Emission, Extras, Joined, Person, Since},
        ws_frame,
    },
    room::outbox::Outbox,
};

/// A connection, as rooms and operators know it.
#[derive(Debug)]
pub struct ClientInfo {
    /// Its number.
    pub session: SessionId,
    /// Where it comes from.
    pub address: ClientAddress,
    /// When it came, in Unix milliseconds.
    pub connected_at_ms: u64,
    /// Rooms it is in.
    pub rooms: Mutex<HashSet<Arc<str>>>,
    user: Mutex<Option<User>>,
    /// Its token's time is over: others still know whose it was, but it speaks as nobody.
    expired: AtomicBool,
}

#[derive(Clone, Debug)]
struct User {
    id: String,
    name: String,
}

impl ClientInfo {
    /// A connection of nobody.
    pub fn new(session: SessionId, address: ClientAddress, connected_at_ms: u64) -> Arc<Self> {
        let (rooms, user, expired) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { session, address, connected_at_ms, rooms, user, expired })
    }

    /// Notes whose it is by now: id and name.
    pub fn belongs_to(&self, user: Option<(&str, &str)>) {
        *self.user.lock() =
            user.map(|(id, name)| User { id: id.to_owned(), name: name.to_owned() });
        self.expired.store(false, Ordering::Relaxed);
    }

    /// Its token's time is over.
    pub fn expires(&self) {
        self.expired.store(true, Ordering::Relaxed);
    }

    /// Who says what comes from it.
    pub fn author(&self) -> Author {
        let user = self.user.lock();
        let speaks = user.as_ref().filter(|_| !self.expired.load(Ordering::Relaxed));
        let user_id = speaks.map(|user| user.id.clone());
        Author { client_id: self.session.client_name(), user_id }
    }

    /// Who others see.
    pub fn person(&self) -> Person {
        let (user_id, name) = self.user.lock().clone().map(|user| (user.id, user.name)).unzip();
        Person { client_id: self.session.client_name(), user_id, name }
    }
}

/// What a client understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// go-deployd's protocol.
    Plain,
    /// And what is more.
    Extended,
    /// And several messages in one frame.
    Batched,
}

impl Reader {
    /// Whether it understands more than go-deployd's protocol.
    pub fn is_extended(self) -> bool {
        self != Self::Plain
    }
}

/// Somebody in a room.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub info: Arc<ClientInfo>,
    /// The way out to it.
    pub outbox: Arc<Outbox>,
    /// What it understands.
    pub reader: Reader,
    /// It is told who comes and goes.
    pub watches: bool,
}

impl Member {
    fn tell(&self, text: &str) {
        // A client that is being closed needs to hear nothing.
        self.outbox.push(ws_frame::text(text));
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: Arc<str>,
    pub(super) epoch: String,
    /// The number of the last event.
    pub(super) offset: u64,
    pub(super) history: History,
    /// How many events its task had seen when something was said here last.
    pub(super) said_at: u64,
    /// Only the newest event counts.
    pub(super) latest: bool,
    /// What is said of it may go to everybody instead, and is not in its history.
    pub(super) has_gaps: bool,
    members: Vec<Member>,
    places: HashMap<SessionId, usize>,
    /// Members by what they understand.
    plain: usize,
    extended: usize,
    batched: usize,
    watching: usize,
}

/// A join, and how it is answered.
#[derive(Debug)]
pub(super) struct Entry {
    pub member: Member,
    pub since: Option<Since>,
    pub ack: Option<Ack>,
}

impl Channel {
    pub(super) fn new(name: Arc<str>, epoch: String) -> Self {
        Self {
            name,
            epoch,
            offset: 0,
            history: History::default(),
            said_at: 0,
            latest: false,
            has_gaps: false,
            members: Vec::new(),
            places: HashMap::new(),
            plain: 0,
            extended: 0,
            batched: 0,
            watching: 0,
        }
    }

    /// Lets somebody in, or answers again if it is in; says what it missed and tells those who watch. Whether that
    /// is all it missed, if it asked.
    pub(super) fn join(&mut self, entry: Entry, now_ms: u64) -> Option<bool> {
        let Entry { member, since, ack } = entry;
        let session = member.info.session;
        let known = self.places.get(&session).copied();
        let newcomer = known.is_none();
        if let Some(place) = known
            && let Some(here) = self.members.get_mut(place)
        {
            self.watching = self.watching + usize::from(member.watches) - usize::from(here.watches);
            here.watches = member.watches;
        } else {
            self.places.insert(session, self.members.len());
            *self.readers(member.reader) += 1;
            self.watching += usize::from(member.watches);
            self.members.push(member.clone());
        }
        let recovered = since.as_ref().map(|since| {
            since.epoch == self.epoch
                && !self.has_gaps
                && self.history.after(since.offset, self.offset).0
        });
        if let Some(ack) = ack {
            let joined = Joined {
                room: &self.name,
                members: self.members.len(),
                offset: self.offset,
                epoch: &self.epoch,
                recovered,
            };
            member.tell(&events::joined(&joined, Some(&ack), now_ms));
        }
        let missed = match since {
            // Another history's numbers say nothing: the client gets all there is.
            Some(since) => Some(if since.epoch == self.epoch { since.offset } else { 0 }),
            None => (self.latest && newcomer).then(|| self.offset.saturating_sub(1)),
        };
        if let Some(offset) = missed {
            self.replay(&member, offset);
        }
        if newcomer {
            self.announce(Change::Join, &member.info);
        }
        recovered
    }

    /// Lets somebody go who was here.
    pub(super) fn leave(&mut self, session: SessionId) -> Option<Arc<ClientInfo>> {
        let place = self.places.remove(&session)?;
        let member = self.members.swap_remove(place);
        member.outbox.drop_newest(&self.name);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(moved.info.session, place);
        }
        *self.readers(member.reader) -= 1;
        self.watching -= usize::from(member.watches);
        if self.members.is_empty() {
            (self.members, self.places) = (Vec::new(), HashMap::new());
        }
        self.announce(Change::Leave, &member.info);
        Some(member.info)
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether somebody here understands this.
    pub(super) fn has(&self, reader: Reader) -> bool {
        let count = match reader {
            Reader::Plain => self.plain,
            Reader::Extended => self.extended,
            Reader::Batched => self.batched,
        };
        count > 0
    }

    fn readers(&mut self, reader: Reader) -> &mut usize {
        match reader {
            Reader::Plain => &mut self.plain,
            Reader::Extended => &mut self.extended,
            Reader::Batched => &mut self.batched,
        }
    }

    /// The text of an event.
    pub(super) fn text(&self, offset: u64, said: &Said, extended: bool) -> String {
        // Everybody's room has no name, and its events no number.
        let named = !self.name.is_empty();
        let extras = Extras { offset: named.then_some(offset), from: said.from.as_ref() };
        let emission = Emission {
            event: &said.event,
            data: said.data.as_deref(),
            room: said.shown.as_deref().or(named.then_some(&*self.name)),
            at_ms: said.at_ms,
        };
        events::emission(&emission, extended.then_some(&extras))
    }

    /// What was said after `offset`, in one piece: a bound on the outbox would cut whoever needs it most.
    fn replay(&self, member: &Member, offset: u64) {
        let mut frames = Vec::new();
        for (number, said) in self.history.after(offset, self.offset).1 {
            let text = self.text(number, said, member.reader.is_extended());
            ws_frame::append_text(&mut frames, &text);
        }
        if frames.is_empty() {
            return;
        }
        let frames = Bytes::from(frames);
        if self.latest {
            // What waits for it is older.
            member.outbox.push_newest(&self.name, frames);
        } else {
            member.outbox.push_answer(frames);
        }
    }

    fn announce(&self, change: Change, info: &ClientInfo) {
        if self.watching == 0 || self.members.len() > EVENT_PRESENCE_MAX {
            return;
        }
        let text = events::change(&self.name, change, &info.person(), crate::time::unix_ms());
        let frame = ws_frame::text(&text);
        let others = self.members.iter().filter(|member| member.info.session != info.session);
        for member in others.filter(|member| member.watches) {
            member.outbox.push(frame.clone());
        }
    }
}
