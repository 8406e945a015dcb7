//! Who comes and who goes.

use tokio::time::Instant;

use super::Actor;
use crate::{
    error::CloseReason,
    ids::SessionId,
    protocol::{sync, ws_frame},
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
        self.members.insert(session, Member::new(new, unix_ms()));
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
