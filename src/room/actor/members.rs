//! Who comes, who goes, and what they may do.

use tokio::time::Instant;

use super::{Actor, Ended};
use crate::{
    error::CloseReason,
    host::Grant,
    ids::SessionId,
    protocol::{control::ServerControl, json::Presence, sync, ws_frame},
    room::{NewMember, member::Member},
    time::unix_ms,
};

impl Actor {
    pub(super) fn join(&mut self, new: NewMember) -> Result<(), CloseReason> {
        if self.stopping {
            return Err(CloseReason::ShuttingDown);
        }
        // Revoked while it waited for the room to load.
        if let Some(reason) = new.outbox.closing() {
            return Err(reason);
        }
        if let Some(reason) = self.kept_out(&new.identity.user_id) {
            return Err(reason);
        }
        if new.json.is_none() {
            let state_vector = self.document.state_vector().map_err(|_| CloseReason::RoomFailed)?;
            new.outbox.push(ws_frame::binary(&sync::sync_step1(&state_vector)));
        }
        self.leaves_at = None;
        self.activity.occupied();
        let session = new.session;
        // A reconnecting user takes over the ids of their own half-open session, nobody else's.
        self.awareness.register(session, &new.identity.user_id);
        if self.context.config.awareness.stamp_identity {
            self.awareness.stamp(session, &new.identity.name, &new.identity.user_id);
        }
        let member = Member::new(new, unix_ms());
        self.json.count += usize::from(member.json.is_some());
        self.tell_person(session, &member, Presence::Joined);
        let starts_from_state = member.json.is_some();
        self.members.insert(session, member);
        if starts_from_state {
            return Ok(());
        }
        self.tell_state_of_affairs(session).map_err(|_| CloseReason::RoomFailed)
    }

    /// Tells a newcomer what the others know.
    pub(super) fn tell_state_of_affairs(&mut self, session: SessionId) -> Result<(), Ended> {
        self.tell_storage(session);
        self.tell_losses(session)?;
        self.tell_lock(session)
    }

    /// A session's rights changed while it lasts; its later edits meet the new ones. Pages learn it from a
    /// second acknowledgement, stock clients from y-protocols' denial.
    pub(super) fn regrant(&mut self, session: SessionId, grant: Grant) -> Result<(), Ended> {
        let Some(member) = self.members.get_mut(&session) else { return Ok(()) };
        if member.grant == grant {
            return Ok(());
        }
        member.grant = grant;
        self.tell_rights(session)
    }

    /// Tells a session what it may do now.
    pub(in crate::room) fn tell_rights(&mut self, session: SessionId) -> Result<(), Ended> {
        let Some(can_edit) = self.members.get(&session).map(|member| self.may_edit(member)) else {
            return Ok(());
        };
        let Some(member) = self.members.get_mut(&session) else { return Ok(()) };
        member.told_readonly = !can_edit;
        member.say(&ServerControl::ConnectionAck {
            room_id: member.room_name(&self.room),
            client_id: &session.client_name(),
            can_edit: Some(can_edit),
            correlation_id: member.correlation.as_str(),
        });
        if !can_edit {
            member.deny_edits(&self.room);
        } else if member.has_refused() {
            // What was refused is asked for: without it no later edit of this client fits.
            let state_vector =
                self.document.state_vector().map_err(|_| self.fail(Some(session)))?;
            if let Some(member) = self.members.get(&session) {
                member.ask(&state_vector);
            }
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, session: SessionId) {
        if !self.members.contains_key(&session) {
            return;
        }
        let gone = self.awareness.remove_session(session, self.clock_ms());
        if !gone.is_empty() {
            self.awareness_dirty.extend(gone);
            self.flush_awareness(Some(session));
        }
        let Some(member) = self.members.remove(&session) else { return };
        self.settled_by(session);
        self.json.count -= usize::from(member.json.is_some());
        self.tell_person(session, &member, Presence::Left);
        if self.members.is_empty() {
            self.leaves_at = Some(Instant::now() + self.stay());
            self.activity.vacant();
            self.start_write_back();
        }
    }
}
