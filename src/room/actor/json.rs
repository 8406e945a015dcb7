//! Members that speak JSON: what they are told of the others, and what is said in their name.
//!
//! Each message is made once per room, and only while somebody here reads JSON.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::Actor;
use crate::{
    ids::SessionId,
    limits::AWARENESS_RENEWAL,
    protocol::{
        json::{self, ClientPresence, Presence, RoomState, User, color_of},
        ws_frame,
    },
    room::{batch::Batch, member::Member},
    time::unix_ms,
};

/// What the room keeps for its members that speak JSON.
#[derive(Debug, Default)]
pub(super) struct JsonMembers {
    /// How many there are.
    pub(super) count: usize,
    /// Users they were told are idle.
    idle: HashSet<String>,
    renewed_at_ms: u64,
}

impl Actor {
    /// A session that joined as any other said its first words in JSON.
    pub(super) fn speak_json(&mut self, session: SessionId, room_name: Box<str>) {
        if let Some(member) = self.members.get_mut(&session)
            && member.json.is_none()
        {
            member.speak_json(room_name);
            self.json.count += 1;
        }
    }

    /// What a client that speaks JSON says of its person becomes an awareness state like any other.
    pub(super) fn take_presence(&mut self, session: SessionId, presence: ClientPresence) {
        let Some(member) = self.members.get_mut(&session) else { return };
        let Some(json) = &mut member.json else { return };
        let body = json.voice.take(presence, &member.identity);
        self.take_awareness(session, &body);
    }

    /// The frame a member that speaks JSON starts from.
    pub(super) fn room_state(&self, session: SessionId, state: &[u8]) -> Option<Bytes> {
        let member = self.members.get(&session)?;
        let people: BTreeMap<_, _> = self
            .members
            .values()
            .filter(|member| !member.outbox.is_closing())
            .map(|member| (member.identity.user_id.as_str(), member.as_user()))
            .collect();
        Some(ws_frame::text(&json::room_state(&RoomState {
            id: &member.json.as_ref()?.room_name,
            participants: &people.into_values().collect::<Vec<_>>(),
            state,
            version: self.last_seq,
            client_id: &session.client_name(),
            can_edit: self.may_edit(member),
            correlation_id: member.correlation.as_str(),
        })))
    }

    /// Tells that a person came or went: the first or the last session of a user.
    pub(super) fn tell_person(&self, session: SessionId, about: &Member, presence: Presence<'_>) {
        let user_id = &about.identity.user_id;
        let here = |(other, member): (&SessionId, &Member)| {
            *other != session && member.identity.user_id == *user_id
        };
        if self.json.count == 0 || self.members.iter().any(here) {
            return;
        }
        let frame = ws_frame::text(&json::presence(&about.as_user(), presence));
        for (other, member) in &self.members {
            if *other != session && member.json.is_some() && member.synced {
                member.outbox.push(frame.clone());
            }
        }
    }

    /// Tells members that speak JSON what these awareness ids say now.
    pub(super) fn tell_presence(&self, ids: &[u64]) {
        if let Some(batch) = self.presence_of(ids) {
            self.push_presence(batch);
        }
    }

    /// All there is to know of the others, for one member.
    pub(super) fn send_all_presence(&self, session: SessionId) {
        let ids: Vec<u64> = self.awareness.living().map(|(id, ..)| id).collect();
        let Some(member) = self.members.get(&session) else { return };
        if let Some(mut batch) = self.presence_of(&ids)
            && let Some(frames) = batch.seal(&self.context.queued)
            && let Some((frames, count)) = frames.for_member(session)
        {
            member.outbox.push_awareness(frames);
            self.context.metrics.awareness_out.add(count);
        }
    }

    /// One message for each session these ids are of.
    fn presence_of(&self, ids: &[u64]) -> Option<Batch> {
        if self.json.count == 0 || ids.is_empty() {
            return None;
        }
        let mut by_author: BTreeMap<SessionId, Vec<u64>> = BTreeMap::new();
        for id in ids {
            if let Some(author) = self.awareness.author(*id) {
                by_author.entry(author).or_default().push(*id);
            }
        }
        let mut batch = Batch::default();
        for (author, ids) in by_author {
            // Whoever went was told of by `left`.
            if let Some(member) = self.members.get(&author) {
                self.add_presence(&mut batch, author, member, &ids);
            }
        }
        Some(batch)
    }

    fn add_presence(&self, batch: &mut Batch, author: SessionId, member: &Member, ids: &[u64]) {
        let idle = self.json.idle.contains(&member.identity.user_id);
        let mut add = |presence| {
            let message = json::presence(&member.as_user(), presence);
            batch.add(Some(author), |out| ws_frame::append_text(out, &message));
        };
        let voice = member.json.as_ref().map(|json| &json.voice);
        let (said, own): (Vec<u64>, Vec<u64>) =
            ids.iter().partition(|id| voice.is_some_and(|voice| voice.id() == **id));
        if let Some(voice) = voice.filter(|_| !said.is_empty()) {
            add(Presence::Cursor { cursor: voice.cursor(), idle });
        }
        if let Some(states) = self.awareness.encode(&own) {
            add(Presence::Awareness { states: Some(&states), idle });
        }
    }

    /// What is due once in a while: states are renewed for clients that do not know they have one, and who
    /// fell idle or came back is told.
    pub(super) fn look_at_json_members(&mut self) {
        if self.json.count == 0 {
            self.json.idle.clear();
            return;
        }
        let clock_ms = self.clock_ms();
        let renewal_ms = u64::try_from(AWARENESS_RENEWAL.as_millis()).unwrap_or(u64::MAX);
        if clock_ms >= self.json.renewed_at_ms + renewal_ms {
            self.json.renewed_at_ms = clock_ms;
            for (session, member) in &mut self.members {
                let Some(json) = member.json.as_mut().filter(|json| json.voice.is_shown()) else {
                    continue;
                };
                let body = json.voice.say(&member.identity);
                // Our own words are never refused.
                if let Ok(applied) = self.awareness.apply(*session, &body, clock_ms) {
                    self.awareness_dirty.extend(applied.changed);
                }
            }
        }
        self.tell_idle();
    }

    fn tell_idle(&mut self) {
        let now_ms = unix_ms();
        let mut idle: BTreeMap<&str, bool> = BTreeMap::new();
        for member in self.members.values() {
            // Somebody is idle if they are in all their windows.
            *idle.entry(&member.identity.user_id).or_insert(true) &= self.is_idle(member, now_ms);
        }
        let idle: HashSet<String> =
            idle.into_iter().filter(|(_, idle)| *idle).map(|(id, _)| id.to_owned()).collect();
        let before = std::mem::replace(&mut self.json.idle, idle);
        let mut turned: HashSet<&str> =
            before.symmetric_difference(&self.json.idle).map(String::as_str).collect();
        let mut batch = Batch::default();
        for (session, member) in &self.members {
            if turned.remove(member.identity.user_id.as_str()) {
                self.add_idle(&mut batch, *session, member);
            }
        }
        self.push_presence(batch);
    }

    /// Somebody did something: if they were told to be idle, they are not.
    pub(super) fn tell_awake(&mut self, session: SessionId) {
        if self.json.idle.is_empty() {
            return;
        }
        let Some(member) = self.members.get(&session) else { return };
        if self.json.idle.remove(&member.identity.user_id) {
            let mut batch = Batch::default();
            self.add_idle(&mut batch, session, member);
            self.push_presence(batch);
        }
    }

    fn add_idle(&self, batch: &mut Batch, session: SessionId, member: &Member) {
        let idle = self.json.idle.contains(&member.identity.user_id);
        let presence = match member.json.as_ref().and_then(|json| json.voice.cursor()) {
            Some(cursor) => Presence::Cursor { cursor: Some(cursor), idle },
            None => Presence::Awareness { states: None, idle },
        };
        let message = json::presence(&member.as_user(), presence);
        batch.add(Some(session), |out| ws_frame::append_text(out, &message));
    }

    fn push_presence(&self, mut batch: Batch) {
        let Some(frames) = batch.seal(&self.context.queued) else { return };
        for (session, member) in &self.members {
            if member.json.is_some()
                && member.synced
                && let Some((frames, count)) = frames.for_member(*session)
            {
                member.outbox.push_awareness(frames);
                self.context.metrics.awareness_out.add(count);
            }
        }
    }
}

impl Member {
    /// The person, as others see it.
    fn as_user(&self) -> User<'_> {
        let id = self.identity.user_id.as_str();
        let color = self.json.as_ref().map_or_else(|| color_of(id), |json| json.voice.color(id));
        User { id, name: &self.identity.name, color }
    }
}
