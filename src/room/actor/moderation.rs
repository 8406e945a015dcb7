//! What admins and the host do to a room: send somebody away, lock it, tell everybody something.

use std::collections::HashMap;

use tokio::time::Instant;

use super::{Actor, Ended};
use crate::{
    error::CloseReason,
    ids::SessionId,
    limits::{KICK_HOLD, KICKED_MAX},
    markdown::Loss,
    protocol::{control::ServerControl, json::Moderation},
    room::member::Member,
    telemetry::correlation::CorrelationId,
};

/// Code of a notice by an admin or the host.
const SYSTEM_NOTICE: &str = "SYSTEM_NOTICE";

/// What holds in the room until it leaves memory.
#[derive(Debug, Default)]
pub(in crate::room) struct Order {
    /// Nobody edits.
    locked: bool,
    /// What the record's source holds and the document does not: nobody edits either.
    pub(in crate::room) losses: Vec<Loss>,
    /// Users who were sent away, until when, and why.
    kicked: HashMap<String, (Instant, String)>,
}

impl Order {
    /// Whether nobody edits, whatever the host lets them.
    pub(super) fn is_closed(&self) -> bool {
        self.locked || !self.losses.is_empty()
    }
}

impl Actor {
    /// Whether a member's edits are taken now.
    pub(in crate::room) fn may_edit(&self, member: &Member) -> bool {
        member.grant.can_edit && !self.order.is_closed()
    }

    /// Why a user has to stay out for now.
    pub(super) fn kept_out(&self, user_id: &str) -> Option<CloseReason> {
        let (until, reason) = self.order.kicked.get(user_id)?;
        (*until > Instant::now()).then(|| CloseReason::Kicked(reason.clone()))
    }

    /// Tells a session that just joined what the others know.
    pub(super) fn tell_lock(&mut self, session: SessionId) -> Result<(), Ended> {
        let Some(member) = self.members.get(&session).filter(|_| self.order.locked) else {
            return Ok(());
        };
        let correlation_id = member.correlation.as_str();
        member.say(&ServerControl::Lock { locked: true, by: None, correlation_id });
        if member.grant.can_edit { self.tell_rights(session) } else { Ok(()) }
    }

    /// Does what `by` (the host, if nobody) asks for; whether it may was asked before. Returns how many
    /// sessions that concerned.
    pub(super) fn moderate(
        &mut self,
        by: Option<SessionId>,
        moderation: Moderation,
    ) -> Result<usize, Ended> {
        let member = by.and_then(|session| self.members.get(&session));
        let correlation = member.map(|member| member.correlation.clone());
        let by = member.map(|member| member.identity.user_id.clone());
        let by = by.as_deref();
        let what = match &moderation {
            Moderation::Kick { .. } => "kick",
            Moderation::Lock => "lock",
            Moderation::Unlock => "unlock",
            Moderation::Notice { .. } => "notice",
        };
        let concerned = match moderation {
            Moderation::Kick { user_id, reason } => self.kick(user_id, &reason),
            Moderation::Lock => self.lock(true, by)?,
            Moderation::Unlock => self.lock(false, by)?,
            Moderation::Notice { level, message } => {
                self.tell_all(|correlation_id| ServerControl::Notice {
                    code: SYSTEM_NOTICE,
                    level,
                    message: &message,
                    correlation_id,
                });
                self.members.len()
            }
        };
        log::info!(
            event = "room_moderated", room = self.room.as_str(), step = what, user = by,
            correlation_id = correlation.as_ref().map(CorrelationId::as_str), count = concerned;
            "room {}: {what} by {}, {concerned} sessions",
            self.room, by.map_or_else(|| "the host".into(), |user| user.escape_debug().to_string())
        );
        Ok(concerned)
    }

    fn kick(&mut self, user_id: String, reason: &str) -> usize {
        let mut kicked = 0;
        for member in self.members.values().filter(|member| member.identity.user_id == user_id) {
            member.outbox.close(CloseReason::Kicked(reason.to_owned()));
            kicked += 1;
        }
        // Clients come back by themselves.
        let now = Instant::now();
        self.order.kicked.retain(|_, (until, _)| *until > now);
        if self.order.kicked.len() >= KICKED_MAX {
            let oldest = self.order.kicked.iter().min_by_key(|(_, (until, _))| *until);
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                self.order.kicked.remove(&oldest);
            }
        }
        self.order.kicked.insert(user_id, (now + KICK_HOLD, reason.to_owned()));
        kicked
    }

    fn lock(&mut self, locked: bool, by: Option<&str>) -> Result<usize, Ended> {
        if self.order.locked == locked {
            return Ok(0);
        }
        self.order.locked = locked;
        self.tell_all(|correlation_id| ServerControl::Lock { locked, by, correlation_id });
        self.tell_editors()?;
        Ok(self.members.len())
    }

    /// Tells whoever the host lets edit whether that counts now.
    pub(in crate::room) fn tell_editors(&mut self) -> Result<(), Ended> {
        let editors: Vec<SessionId> = self
            .members
            .iter()
            .filter(|(_, member)| member.grant.can_edit)
            .map(|(session, _)| *session)
            .collect();
        for session in &editors {
            self.tell_rights(*session)?;
        }
        Ok(())
    }

    pub(in crate::room) fn tell_all<'a>(&'a self, message: impl Fn(&'a str) -> ServerControl<'a>) {
        for member in self.members.values() {
            member.say(&message(member.correlation.as_str()));
        }
    }
}
