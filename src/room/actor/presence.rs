//! Who is here and where their cursors are: no work on the document, no log.

use std::time::Duration;

use tokio::time::Instant;

use super::Actor;
use crate::{
    ids::SessionId,
    protocol::{sync, ws_frame},
    room::{Participant, member::Member},
    time::unix_ms,
};

impl Actor {
    pub(super) fn take_awareness(&mut self, session: SessionId, body: &[u8]) {
        let clock_ms = self.clock_ms();
        let Some(member) = self.members.get_mut(&session) else { return };
        if member.outbox.is_closing() {
            return;
        }
        let now_ms = unix_ms();
        self.context.metrics.awareness_in.inc();
        match self.awareness.apply(session, body, clock_ms) {
            Ok(applied) if applied.changed.is_empty() => {}
            Ok(applied) => {
                if applied.moved {
                    member.active_at_ms = now_ms;
                    self.tell_awake(session);
                }
                let author = (!applied.bumped_for_sender).then_some(session);
                if applied.urgent || self.awareness_due() <= Instant::now() {
                    let alone = self.awareness_dirty.is_empty();
                    self.awareness_dirty.extend(applied.changed);
                    // Only a frame with nobody else's states may leave its author out.
                    self.flush_awareness(author.filter(|_| alone));
                } else {
                    self.awareness_dirty.extend(applied.changed);
                }
            }
            Err(refusal) => self.refuse_frame(session, refusal.code()),
        }
    }

    /// Whether states may expire, or people fall idle whom somebody is to be told of.
    pub(super) fn watches_awareness(&self) -> bool {
        !self.awareness.is_empty() || self.json.count > 0
    }

    pub(super) fn send_all_awareness(&mut self, session: SessionId) {
        if self.members.get(&session).is_some_and(|member| member.json.is_some()) {
            self.send_all_presence(session);
            return;
        }
        let (Some(body), Some(member)) =
            (self.awareness.encode_all_living(), self.members.get(&session))
        else {
            return;
        };
        self.context.metrics.awareness_out.inc();
        member.outbox.push_awareness(ws_frame::binary(&sync::awareness(&body)));
    }

    pub(super) fn flush_awareness(&mut self, author: Option<SessionId>) {
        let ids: Vec<u64> = self.awareness_dirty.drain().collect();
        self.awareness_sent_at = Instant::now();
        self.tell_presence(&ids);
        let Some(body) = self.awareness.encode(&ids) else { return };
        let frame = ws_frame::binary(&sync::awareness(&body));
        let mut sent = 0;
        for (session, member) in &self.members {
            if Some(*session) != author && member.synced && member.json.is_none() {
                member.outbox.push_awareness(frame.clone());
                sent += 1;
            }
        }
        self.context.metrics.awareness_out.add(sent);
    }

    pub(super) fn awareness_due(&self) -> Instant {
        let rate = self.context.config.presence.updates_per_second.clamp(1, 1000);
        self.awareness_sent_at + Duration::from_millis(1000 / rate)
    }

    /// Milliseconds of a clock that never goes back, for the awareness table.
    pub(super) fn clock_ms(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn is_idle(&self, member: &Member, now_ms: u64) -> bool {
        let idle_after_ms = self.context.config.presence.idle_after_seconds * 1000;
        now_ms.saturating_sub(member.active_at_ms) >= idle_after_ms
    }

    pub(super) fn participants(&self) -> Vec<Participant> {
        let now_ms = unix_ms();
        let mut participants: Vec<_> = self
            .members
            .values()
            .map(|member| Participant {
                user_id: member.identity.user_id.clone(),
                name: member.identity.name.clone(),
                can_edit: member.grant.can_edit,
                joined_at_ms: member.joined_at_ms,
                idle: self.is_idle(member, now_ms),
            })
            .collect();
        participants.sort_by(|a, b| (a.joined_at_ms, &a.name).cmp(&(b.joined_at_ms, &b.name)));
        participants
    }
}
