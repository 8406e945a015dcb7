//! Who may say what about which id, and what becomes of it.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::{
    ADOPTIONS_MAX, Applied, AwarenessTable, Entry, Heir, Life, Session, TAKEOVER_SILENCE_MS,
    read::Incoming,
};
use crate::{
    ids::SessionId,
    limits::{AWARENESS_BYTES_PER_ROOM_MAX, AWARENESS_IDS_PER_ROOM_MAX, CLIENT_ID_MAX},
};

impl AwarenessTable {
    /// A session's first frame tells its own id, if it holds one entry. An entry that lives under another
    /// principal is the echo of a client without a state of its own and tells nothing.
    pub(super) fn note_own_id(&mut self, session: SessionId, incoming: &[Incoming<'_>]) {
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
    pub(super) fn set(
        &mut self,
        session: SessionId,
        new: &Incoming<'_>,
        json: &str,
        now_ms: u64,
        applied: &mut Applied,
    ) -> bool {
        let life = self.entries.get(&new.id).and_then(|entry| entry.life.as_ref());
        let replaced = match life {
            Some(life) if life.owner == session => life.json.len(),
            Some(Life { heir: Some(heir), .. }) if heir.session == session => heir.json.len(),
            _ => 0,
        };
        if json.len() > replaced
            && self.bytes - replaced + json.len() > AWARENESS_BYTES_PER_ROOM_MAX
        {
            return false;
        }
        match life.map(|life| life.owner) {
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
            applied.moved = true;
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
        self.entries
            .insert(new.id, Entry { clock, author: session, life: Some(life), seen_ms: now_ms });
        applied.changed.push(new.id);
        applied.moved = true;
        applied.urgent = true;
        true
    }

    /// A `null`. Only the owner's counts; an heir may withdraw.
    pub(super) fn clear(
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
        applied.moved = true;
        applied.urgent = true;
        true
    }

    /// The owner of an id is gone (and has been told so): its heir follows, or the id is removed.
    pub(super) fn end(&mut self, id: u64, now_ms: u64) {
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
            entry.author = heir.session;
            entry.life = Some(life);
        } else {
            self.graves.insert((now_ms, id));
        }
    }

    /// Takes an id from its owner's list.
    pub(super) fn disown(&mut self, id: u64) {
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

impl Session {
    fn may_own_more(&self, ids_max: usize) -> bool {
        self.node || self.owned.len() < ids_max
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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
