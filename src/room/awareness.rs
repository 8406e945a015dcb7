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

use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use crate::{
    ids::SessionId,
    limits::{
        AWARENESS_DEPTH_MAX, AWARENESS_IDS_PER_ROOM_MAX, AWARENESS_TIMEOUT_MS,
        AWARENESS_TOMBSTONE_MS, CLIENT_ID_MAX,
    },
    protocol::{
        json_depth_exceeded,
        lib0::{DecodeError, Reader, write_string, write_var_uint},
    },
};

/// An owner that has been silent for so long yields to a session that reconnected with its id.
pub const TAKEOVER_SILENCE_MS: u64 = 3_000;
/// Invented clocks a sender may have still to adopt; above it they are not told to it any more.
const ADOPTIONS_MAX: usize = 16;

/// Why an awareness message is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwarenessRefusal {
    /// The data ends early, or declares more than follows.
    #[error("the awareness message ends too early or declares more than it holds")]
    Truncated,
    /// An id or clock passes 2^53-1.
    #[error("the awareness message holds an integer that is too large")]
    Integer,
    /// A state is not UTF-8.
    #[error("an awareness state is not valid UTF-8")]
    Utf8,
    /// Bytes follow the last entry.
    #[error("bytes follow the end of the awareness message")]
    Trailing,
    /// A state is longer than it may be.
    #[error("an awareness state is too large")]
    TooLarge,
    /// A state is nested too deeply.
    #[error("an awareness state is nested too deeply")]
    Depth,
    /// A state is not JSON.
    #[error("an awareness state is not valid JSON")]
    Json,
}

impl AwarenessRefusal {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "awareness_truncated",
            Self::Integer => "awareness_integer",
            Self::Utf8 => "awareness_utf8",
            Self::Trailing => "awareness_trailing",
            Self::TooLarge => "awareness_too_large",
            Self::Depth => "awareness_depth",
            Self::Json => "awareness_json",
        }
    }
}

impl From<DecodeError> for AwarenessRefusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated => Self::Truncated,
            DecodeError::Integer => Self::Integer,
            DecodeError::Utf8 => Self::Utf8,
        }
    }
}

/// What one awareness message did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Ids to announce to the others, sorted; see [`AwarenessTable::encode`].
    pub changed: Vec<u64>,
    /// Whether somebody came or went, which should not wait for the next batch.
    pub urgent: bool,
    /// Whether a clock was raised: the sender must get the changed ids too.
    pub bumped_for_sender: bool,
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
}

#[derive(Debug)]
struct Entry {
    /// The clock published last; what receivers know.
    clock: u64,
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
    /// The id announced alone in the first frame.
    own: Option<u64>,
    spoke: bool,
    node: bool,
    owned: Vec<u64>,
}

impl Session {
    fn may_own_more(&self, ids_max: usize) -> bool {
        self.node || self.owned.len() < ids_max
    }
}

struct Incoming<'a> {
    id: u64,
    clock: u64,
    json: Option<&'a str>,
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
        }
    }

    /// Tells whose session it is, before its first message. Only sessions of one principal (one user) take
    /// over each other's ids; sessions never registered count as one principal.
    pub fn register(&mut self, session: SessionId, principal: &str) {
        self.sessions.entry(session).or_default().principal = Some(principal.into());
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
        let incoming = self.read(body)?;
        self.note_own_id(session, &incoming);
        let mut applied = Applied::default();
        for entry in &incoming {
            let taken = match entry.json {
                Some(json) => self.set(session, entry, json, now_ms, &mut applied),
                None => self.clear(session, entry, now_ms, &mut applied),
            };
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
            && life.heir.as_ref().is_some_and(|heir| heir.session == session)
        {
            life.heir = None;
        }
        for id in &gone.owned {
            self.end(*id, now_ms);
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
            self.end(*id, now_ms);
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

    /// Ids known, living and lately removed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn read<'a>(&self, body: &'a [u8]) -> Result<Vec<Incoming<'a>>, AwarenessRefusal> {
        let mut reader = Reader::new(body);
        // An entry takes at least an id, a clock and a length.
        let count = reader.count(3)?;
        let mut incoming = Vec::with_capacity(count);
        for _ in 0..count {
            let id = reader.var_uint()?;
            let clock = reader.var_uint()?;
            let text = reader.string()?;
            if text.len() > self.state_bytes_max {
                return Err(AwarenessRefusal::TooLarge);
            }
            if json_depth_exceeded(text, AWARENESS_DEPTH_MAX) {
                return Err(AwarenessRefusal::Depth);
            }
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_err(|_| AwarenessRefusal::Json)?;
            incoming.push(Incoming { id, clock, json: (text.trim() != "null").then_some(text) });
        }
        if reader.is_empty() { Ok(incoming) } else { Err(AwarenessRefusal::Trailing) }
    }

    /// A session's first frame tells its own id, if it holds one entry. An entry that lives under another
    /// principal is the echo of a client without a state of its own and tells nothing.
    fn note_own_id(&mut self, session: SessionId, incoming: &[Incoming<'_>]) {
        let [first, rest @ ..] = incoming else { return };
        let owner = self
            .entries
            .get(&first.id)
            .and_then(|entry| entry.life.as_ref())
            .map(|life| life.owner);
        let theirs =
            owner.and_then(|owner| self.sessions.get(&owner)).map(|owner| owner.principal.clone());
        let session = self.sessions.entry(session).or_default();
        let echo = theirs.is_some_and(|principal| principal != session.principal);
        if !session.spoke && !echo {
            session.spoke = true;
            session.own = rest.is_empty().then_some(first.id);
        }
    }

    /// A state. Returns whether it had any right to be taken.
    fn set(
        &mut self,
        session: SessionId,
        new: &Incoming<'_>,
        json: &str,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        match self.entries.get(&new.id).and_then(|entry| entry.life.as_ref()).map(|life| life.owner)
        {
            Some(owner) if owner == session => self.renew(new, json, now_ms, applied),
            Some(owner) => self.inherit(session, owner, new, json, now_ms, applied),
            None => self.found(session, new, json, now_ms, applied),
        }
    }

    /// The owner says its state anew.
    fn renew(
        &mut self,
        new: &Incoming<'_>,
        json: &str,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&new.id) else { return false };
        let Some(life) = entry.life.as_mut() else { return false };
        if new.clock <= life.said {
            return false;
        }
        // The sender's clock only grows: what it has passed it will not adopt any more.
        while life.adoptions.front().is_some_and(|(clock, _)| *clock < new.clock) {
            life.adoptions.pop_front();
        }
        if life.adoptions.front() == Some(&(new.clock, hash(json))) {
            life.adoptions.pop_front();
            life.said = new.clock;
            entry.seen_ms = now_ms;
            return true;
        }
        let Some(clock) = next_clock(entry.clock, new.clock) else { return false };
        life.said = new.clock;
        if *life.json != *json {
            life.json = json.into();
        }
        if clock > new.clock && life.adoptions.len() < ADOPTIONS_MAX {
            life.adoptions.push_back((clock, hash(json)));
            applied.bumped_for_sender = true;
        }
        entry.clock = clock;
        entry.seen_ms = now_ms;
        applied.changed.push(new.id);
        true
    }

    /// A session announces an id that another one owns.
    fn inherit(
        &mut self,
        session: SessionId,
        owner: SessionId,
        new: &Incoming<'_>,
        json: &str,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        let (Some(heir), Some(old)) = (self.sessions.get(&session), self.sessions.get(&owner))
        else {
            return false;
        };
        if heir.own != Some(new.id) || heir.principal != old.principal {
            return false;
        }
        let Some(entry) = self.entries.get_mut(&new.id) else { return false };
        let silent_ms = now_ms.saturating_sub(entry.seen_ms);
        let Some(life) = entry.life.as_mut() else { return false };
        if life.heir.as_ref().is_some_and(|heir| heir.session == session && new.clock <= heir.said)
        {
            return false;
        }
        life.heir = Some(Box::new(Heir { session, said: new.clock, json: json.into() }));
        if silent_ms >= TAKEOVER_SILENCE_MS {
            self.disown(new.id);
            self.end(new.id, now_ms);
            applied.changed.push(new.id);
            applied.urgent = true;
            applied.bumped_for_sender = true;
        }
        true
    }

    /// A session announces an id that nobody owns.
    fn found(
        &mut self,
        session: SessionId,
        new: &Incoming<'_>,
        json: &str,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        let known = self.entries.get(&new.id).map(|entry| (entry.clock, entry.seen_ms));
        let own = self.sessions.get(&session).is_some_and(|session| session.own == Some(new.id));
        if known.is_some_and(|(clock, _)| new.clock <= clock) && !own {
            return false;
        }
        let Some(clock) = next_clock(known.map_or(0, |(clock, _)| clock), new.clock) else {
            return false;
        };
        let within = self
            .sessions
            .get(&session)
            .is_some_and(|session| session.may_own_more(self.ids_per_session_max));
        if !within || (known.is_none() && !self.make_room()) {
            return false;
        }
        if let Some((_, removed_ms)) = known {
            self.graves.remove(&(removed_ms, new.id));
        }
        if let Some(session) = self.sessions.get_mut(&session) {
            session.owned.push(new.id);
        }
        let mut life = Life::new(session, json.into(), new.clock);
        if clock > new.clock {
            life.adoptions.push_back((clock, hash(json)));
            applied.bumped_for_sender = true;
        }
        self.entries.insert(new.id, Entry { clock, life: Some(life), seen_ms: now_ms });
        applied.changed.push(new.id);
        applied.urgent = true;
        true
    }

    /// A `null`. Only the owner's counts; an heir may withdraw.
    fn clear(
        &mut self,
        session: SessionId,
        new: &Incoming<'_>,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&new.id) else { return false };
        let Some(life) = entry.life.as_mut() else { return false };
        if life.heir.as_ref().is_some_and(|heir| heir.session == session && new.clock >= heir.said)
        {
            life.heir = None;
            return true;
        }
        if life.owner != session || new.clock < life.said {
            return false;
        }
        // Receivers take a null at the clock they know; a higher one of the sender's keeps later clocks above.
        entry.clock = entry.clock.max(new.clock);
        self.disown(new.id);
        self.end(new.id, now_ms);
        applied.changed.push(new.id);
        applied.urgent = true;
        true
    }

    /// The owner of an id is gone (and has been told so): its heir follows, or the id is removed.
    fn end(&mut self, id: u64, now_ms: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let heir = entry.life.take().and_then(|life| life.heir);
        entry.seen_ms = now_ms;
        if let Some(heir) = heir
            && let Some(session) = self.sessions.get_mut(&heir.session)
            && session.may_own_more(self.ids_per_session_max)
            && let Some(clock) = next_clock(entry.clock, heir.said)
        {
            session.owned.push(id);
            let mut life = Life::new(heir.session, heir.json, heir.said);
            if clock > heir.said {
                life.adoptions.push_back((clock, hash(&life.json)));
            }
            entry.clock = clock;
            entry.life = Some(life);
        } else {
            self.graves.insert((now_ms, id));
        }
    }

    /// Takes an id from its owner's list.
    fn disown(&mut self, id: u64) {
        if let Some(life) = self.entries.get(&id).and_then(|entry| entry.life.as_ref())
            && let Some(session) = self.sessions.get_mut(&life.owner)
        {
            session.owned.retain(|owned| *owned != id);
        }
    }

    /// Makes room for one more id by forgetting the oldest removed one; false if all are living.
    fn make_room(&mut self) -> bool {
        if self.entries.len() < AWARENESS_IDS_PER_ROOM_MAX {
            return true;
        }
        match self.graves.pop_first() {
            Some((_, id)) => self.entries.remove(&id).is_some(),
            None => false,
        }
    }
}

impl Life {
    fn new(owner: SessionId, json: Box<str>, said: u64) -> Self {
        Self { owner, json, said, adoptions: VecDeque::new(), heir: None }
    }
}

/// The clock to publish a state with: the sender's, or the first one above what receivers know. `None` when
/// JavaScript could not read it any more.
fn next_clock(known: u64, said: u64) -> Option<u64> {
    Some(said.max(known + 1)).filter(|clock| *clock <= CLIENT_ID_MAX)
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
