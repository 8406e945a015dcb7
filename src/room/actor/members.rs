//! Who comes, who goes, and what they may do.

use tokio::time::Instant;

use super::{Actor, Ended};
use crate::{
    error::CloseReason,
    host::Grant,
    ids::SessionId,
    protocol::{control::ServerControl, sync, ws_frame},
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
        let state_vector = self.document.state_vector().map_err(|_| CloseReason::RoomFailed)?;
        new.outbox.push(ws_frame::binary(&sync::sync_step1(&state_vector)));
        self.leaves_at = None;
        self.vacancy.end();
        let session = new.session;
        // A reconnecting user takes over the ids of their own half-open session, nobody else's.
        self.awareness.register(session, &new.identity.user_id);
        if self.context.config.awareness.stamp_identity {
            self.awareness.stamp(session, &new.identity.name, &new.identity.user_id);
        }
        self.members.insert(session, Member::new(new, unix_ms()));
        self.tell_storage(session);
        Ok(())
    }

    /// A session's rights changed while it lasts; its later edits meet the new ones. Pages learn it from a
    /// second acknowledgement, stock clients from y-protocols' denial.
    pub(super) fn regrant(&mut self, session: SessionId, grant: Grant) -> Result<(), Ended> {
        let Some(member) = self.members.get_mut(&session) else { return Ok(()) };
        if member.grant == grant {
            return Ok(());
        }
        member.grant = grant;
        member.told_readonly = !grant.can_edit;
        let ack = ServerControl::ConnectionAck {
            room_id: self.room.as_str(),
            client_id: &session.client_name(),
            can_edit: grant.can_edit,
            correlation_id: member.correlation.as_str(),
        };
        member.outbox.push(ws_frame::binary(&ack.to_bytes()));
        if !grant.can_edit {
            member.outbox.push(ws_frame::binary(&sync::auth_denied("read-only")));
        } else if member.has_refused() {
            // What was refused is asked for: without it no later edit of this client fits.
            let step1 = self.document.state_vector().map_err(|_| self.fail(Some(session)))?;
            if let Some(member) = self.members.get(&session) {
                member.outbox.push(ws_frame::binary(&sync::sync_step1(&step1)));
            }
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, session: SessionId) {
        let Some(_member) = self.members.remove(&session) else { return };
        let gone = self.awareness.remove_session(session, self.clock_ms());
        if !gone.is_empty() {
            self.awareness_dirty.extend(gone);
            self.flush_awareness(None);
        }
        if self.members.is_empty() {
            self.leaves_at = Some(Instant::now() + self.stay());
            self.vacancy.begin();
            self.start_write_back();
        }
    }
}
