//! Who is here: a room's awareness states (cursors, names), with an owner for each client id.
//!
//! Pure: time comes in as `now_ms`, frames go out as bodies for [`crate::protocol::sync::awareness`].
//!
//! # Rules
//! y-protocols accepts an entry if its clock is higher than the known one (0 if unknown), or if the clock is
//! equal and the entry is `null`. All receivers follow it, so the table only ever publishes clocks they take.
//!
//! **Ownership.** The first session to announce an id owns it until it says `null`, leaves or falls silent.
//! Entries for ids of others are dropped: tabs that relay each other's states neither steal nor remove, and
//! nobody speaks for someone else.
//!
//! **Reconnecting while the old socket half lives.** A client announces its own id alone in its first frame;
//! that makes it the session's *own id*. If another session of the same principal still owns it, the newcomer
//! becomes its *heir*: its state replaces the old one once the owner leaves or has been silent for
//! [`TAKEOVER_SILENCE_MS`], so the old socket's end never removes the new state. Relayed ids come later or
//! beside others, so they never make an heir.
//!
//! **Clocks.** A state whose clock receivers would ignore (0 for a new id, or at most the clock of the last
//! removal, as y-websocket sends after reconnecting) is published with the next clock that they take, also to
//! its sender, who adopts it by the same rule. A stale state of an id nobody owns revives it only as the
//! sender's own id, because relays of a state may arrive after its owner left. The sender's adoption comes
//! back as one more frame; it is recognised, not published again, so nothing echoes for ever.

mod read;
mod rules;
mod stamp;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, VecDeque},
};

pub use self::read::AwarenessRefusal;
use self::stamp::Stamp;
use crate::{
    ids::SessionId,
    limits::{AWARENESS_TIMEOUT_MS, AWARENESS_TOMBSTONE_MS},
    protocol::lib0::{write_string, write_var_uint},
};

/// An owner that has been silent for so long yields to a session that reconnected with its id.
pub const TAKEOVER_SILENCE_MS: u64 = 3_000;
/// Invented clocks a sender may have still to adopt; above it they are not told to it any more.
const ADOPTIONS_MAX: usize = 16;

/// What one awareness message did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Ids to announce to the others, sorted; see [`AwarenessTable::encode`].
    pub changed: Vec<u64>,
    /// Whether somebody came or went, which should not wait for the next batch.
    pub urgent: bool,
    /// Whether a clock was raised: the sender must get the changed ids too.
    pub bumped_for_sender: bool,
    /// Whether a state is new or another than before, and not only renewed.
    pub moved: bool,
    /// Entries that were ignored: foreign, stale or over a bound.
    pub dropped: usize,
}

/// The awareness states of one room.
#[derive(Debug)]
pub struct AwarenessTable {
    ids_per_session_max: usize,
    state_bytes_max: usize,
    entries: HashMap<u64, Entry>,
    sessions: HashMap<SessionId, Session>,
    /// Removed ids by the time of removal, oldest first.
    graves: BTreeSet<(u64, u64)>,
    /// Bytes of all states.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// The clock published last; what receivers know.
    clock: u64,
    /// Who said it last.
    author: SessionId,
    /// Owner, state and so on; `None` for a removed id, whose clock is kept for a while.
    life: Option<Life>,
    /// When the state was renewed, or the id removed.
    seen_ms: u64,
}

#[derive(Debug)]
struct Life {
    owner: SessionId,
    json: Box<str>,
    /// The clock the owner itself said last.
    said: u64,
    /// Raised clocks the owner was told, with the state's hash, that it has not passed yet.
    adoptions: VecDeque<(u64, u64)>,
    heir: Option<Box<Heir>>,
}

/// A session that reconnected with the id while its old session still owns it.
#[derive(Debug)]
struct Heir {
    session: SessionId,
    said: u64,
    json: Box<str>,
}

#[derive(Debug, Default)]
struct Session {
    principal: Option<Box<str>>,
    stamp: Option<Stamp>,
    /// The id announced alone in the first frame.
    own: Option<u64>,
    spoke: bool,
    node: bool,
    owned: Vec<u64>,
}

impl AwarenessTable {
    /// An empty table; a session may own `ids_per_session_max` ids with states of `state_bytes_max` bytes.
    pub fn new(ids_per_session_max: usize, state_bytes_max: usize) -> Self {
        Self {
            ids_per_session_max,
            state_bytes_max,
            entries: HashMap::new(),
            sessions: HashMap::new(),
            graves: BTreeSet::new(),
            bytes: 0,
        }
    }

    /// Tells whose session it is, before its first message. Only sessions of one principal (one user) take
    /// over each other's ids; sessions never registered count as one principal.
    pub fn register(&mut self, session: SessionId, principal: &str) {
        self.sessions.entry(session).or_default().principal = Some(principal.into());
    }

    /// From now on the session's states say that they are `name`'s with the id `user_id`, whatever it sends.
    pub fn stamp(&mut self, session: SessionId, name: &str, user_id: &str) {
        self.sessions.entry(session).or_default().stamp = Some(Stamp::new(name, user_id));
    }

    /// Marks a session as another node, which speaks for all its clients: it may own any number of ids.
    pub fn register_node(&mut self, session: SessionId) {
        self.sessions.entry(session).or_default().node = true;
    }

    /// Takes an awareness message's body (count and entries) from a session. Refused as a whole or taken as
    /// far as the rules allow; `now_ms` is any clock that never goes back, the same for all calls.
    pub fn apply(
        &mut self,
        session: SessionId,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Applied, AwarenessRefusal> {
        let mut incoming = read::read(body, self.state_bytes_max)?;
        if let Some(stamp) = self.sessions.get(&session).and_then(|session| session.stamp.as_ref())
        {
            for json in incoming.iter_mut().filter_map(|entry| entry.json.as_mut()) {
                *json = Cow::Owned(stamp.put_on(json));
            }
        }
        self.note_own_id(session, &incoming);
        let mut applied = Applied::default();
        for entry in &incoming {
            let held = self.weight(entry.id);
            let taken = match &entry.json {
                Some(json) => self.set(session, entry, json, now_ms, &mut applied),
                None => self.clear(session, entry, now_ms, &mut applied),
            };
            self.bytes = self.bytes - held + self.weight(entry.id);
            if !taken {
                applied.dropped += 1;
            }
        }
        applied.changed.sort_unstable();
        applied.changed.dedup();
        Ok(applied)
    }

    /// Forgets a session; returns the ids to announce: those it owned, now `null` or passed on to an heir.
    pub fn remove_session(&mut self, session: SessionId, now_ms: u64) -> Vec<u64> {
        let Some(gone) = self.sessions.remove(&session) else { return Vec::new() };
        if let Some(own) = gone.own
            && let Some(life) = self.entries.get_mut(&own).and_then(|entry| entry.life.as_mut())
            && let Some(heir) = life.heir.take_if(|heir| heir.session == session)
        {
            self.bytes -= heir.json.len();
        }
        for id in &gone.owned {
            self.end_counted(*id, now_ms);
        }
        gone.owned
    }

    /// Ends states not renewed for [`AWARENESS_TIMEOUT_MS`], lets heirs of silent owners take over, and
    /// forgets the clocks of ids removed [`AWARENESS_TOMBSTONE_MS`] ago. Returns the ids to announce, sorted.
    pub fn expire(&mut self, now_ms: u64) -> Vec<u64> {
        let mut over: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| {
                let silent_ms = now_ms.saturating_sub(entry.seen_ms);
                entry.life.as_ref().is_some_and(|life| {
                    silent_ms >= AWARENESS_TIMEOUT_MS
                        || (life.heir.is_some() && silent_ms >= TAKEOVER_SILENCE_MS)
                })
            })
            .map(|(id, _)| *id)
            .collect();
        over.sort_unstable();
        for id in &over {
            self.disown(*id);
            self.end_counted(*id, now_ms);
        }
        while let Some(&(removed_ms, id)) = self.graves.first()
            && now_ms.saturating_sub(removed_ms) >= AWARENESS_TOMBSTONE_MS
        {
            self.graves.pop_first();
            self.entries.remove(&id);
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
        over
    }

    /// An awareness body with these ids as they are now, `null` for removed ones; `None` if none is known.
    pub fn encode(&self, ids: &[u64]) -> Option<Vec<u8>> {
        encode_entries(ids.iter().filter_map(|id| Some((*id, self.entries.get(id)?))))
    }

    /// An awareness body with all living states, for someone who joins; `None` if there is none.
    pub fn encode_all_living(&self) -> Option<Vec<u8>> {
        encode_entries(
            self.entries
                .iter()
                .filter(|(_, entry)| entry.life.is_some())
                .map(|(id, entry)| (*id, entry)),
        )
    }

    /// The living states: id, owner, JSON. In no order.
    pub fn living(&self) -> impl Iterator<Item = (u64, SessionId, &str)> {
        self.entries.iter().filter_map(|(id, entry)| {
            let life = entry.life.as_ref()?;
            Some((*id, life.owner, &*life.json))
        })
    }

    /// Whose state the id's present one is, or the last one was.
    pub fn author(&self, id: u64) -> Option<SessionId> {
        Some(self.entries.get(&id)?.author)
    }

    /// Bytes that an id's states take.
    fn weight(&self, id: u64) -> usize {
        let life = self.entries.get(&id).and_then(|entry| entry.life.as_ref());
        life.map_or(0, |life| {
            life.json.len() + life.heir.as_ref().map_or(0, |heir| heir.json.len())
        })
    }

    /// [`Self::end`], and counts the bytes.
    fn end_counted(&mut self, id: u64, now_ms: u64) {
        let held = self.weight(id);
        self.end(id, now_ms);
        self.bytes = self.bytes - held + self.weight(id);
    }

    /// Ids known, living and lately removed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn encode_entries<'a>(entries: impl Iterator<Item = (u64, &'a Entry)>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut count = 0u64;
    for (id, entry) in entries {
        count += 1;
        write_var_uint(&mut body, id);
        write_var_uint(&mut body, entry.clock);
        write_string(&mut body, entry.life.as_ref().map_or("null", |life| &life.json));
    }
    if count == 0 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() + 8);
    write_var_uint(&mut out, count);
    out.append(&mut body);
    Some(out)
}
