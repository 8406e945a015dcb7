//! How a room ends: it leaves memory when nobody needs it, or its document is lost.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{Actor, Ended, ROOM_FAULT, unlogged};
use crate::{
    error::CloseReason,
    ids::SessionId,
    room::{JoinError, NewMember, RoomCommand, document::Document, write_back::Hurry},
};

impl Actor {
    /// How long an empty room stays in memory.
    pub(super) fn stay(&self) -> Duration {
        let rooms = &self.context.config.rooms;
        Duration::from_millis(rooms.grace_period_ms).min(Duration::from_secs(rooms.cleanup_timeout))
    }

    pub(in crate::room) fn leaving(&self, now: Instant) -> bool {
        self.stopping || (self.members.is_empty() && self.leaves_at.is_some_and(|due| due <= now))
    }

    /// Everything is stored, nobody is here, and nobody waits to be let in.
    pub(super) fn may_leave_memory(&self) -> bool {
        let now = Instant::now();
        self.leaving(now)
            && (self.stopping || self.mailbox.is_empty())
            && !self.snapshotting
            && self.write_back.is_over(self.hurry())
            && self.watch.committed_seq() >= self.last_seq
    }

    fn hurry(&self) -> Hurry {
        match (self.stopping, self.place_wanted) {
            (true, _) => Hurry::Stopping,
            (false, true) => Hurry::PlaceWanted,
            (false, false) => Hurry::None,
        }
    }

    /// The document is lost: everybody reconnects to a room rebuilt from the log, but for the offender's
    /// update, which never reached it.
    pub(in crate::room) fn fail(&mut self, offender: Option<SessionId>) -> Ended {
        self.flush_fan_out();
        self.context.metrics.rooms_failed.inc();
        log::error!(
            event = "room_failed", room = self.room.as_str(), seq = self.last_seq;
            "room {}: dropped after a fault, its last update being row {}; it is rebuilt from its log",
            self.room,
            self.last_seq
        );
        if let Some(session) = offender {
            self.close_member(session, CloseReason::Policy(ROOM_FAULT.into()));
        }
        for member in self.members.values() {
            member.outbox.close(CloseReason::RoomFailed);
        }
        Ended
    }

    /// Ends a room whose document is lost. Its successor loads what is committed and goes on numbering from
    /// there, so all that is queued for the log has to be there first. While the disk fails that may take long:
    /// who wants to join is told to come back.
    pub(super) async fn end_failed(&mut self) {
        self.document = Document::new(self.context.config.limits.document_bytes_max);
        let watch = Arc::clone(&self.watch);
        while watch.committed_seq() < self.last_seq {
            self.store_backlog().await;
            tokio::select! {
                () = watch.advanced.notified() => {}
                () = sleep_until(Instant::now() + unlogged::LOOK_AGAIN) => {}
                command = self.mailbox.recv() => match command {
                    Some(RoomCommand::Join { reply, .. }) => {
                        drop(reply.send(Err(JoinError::Refused(CloseReason::RoomFailed))));
                    }
                    Some(RoomCommand::Shutdown { reply }) => {
                        // The closing store commits what it can.
                        let _ = reply.send(());
                        break;
                    }
                    Some(_) => {}
                    None => break,
                },
            }
        }
        self.leave_registry(|_| JoinError::Refused(CloseReason::RoomFailed)).await;
    }

    /// Takes the room out of the registry, then answers who still asks. Nothing can be lost in between: what
    /// was in the mailbox is answered here, what comes later meets a closed mailbox.
    pub(super) async fn leave_registry(&mut self, answer: impl Fn(Box<NewMember>) -> JoinError) {
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(&self.room, self.generation);
        }
        self.mailbox.close();
        while let Some(command) = self.mailbox.recv().await {
            match command {
                RoomCommand::Join { member, reply } => drop(reply.send(Err(answer(member)))),
                RoomCommand::Shutdown { reply } => {
                    let _ = reply.send(());
                }
                _ => {}
            }
        }
    }
}

impl Drop for Actor {
    /// Also runs when the task panicked or the runtime stopped: nobody stays behind in a dead room.
    fn drop(&mut self) {
        for member in self.members.values() {
            member.outbox.close(CloseReason::RoomFailed);
        }
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(&self.room, self.generation);
        }
    }
}
