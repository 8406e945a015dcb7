//! Updates that are applied and not yet committed. While the disk fails a room goes on from memory with so many
//! of them; beyond that it takes no more edits until the disk is well, and then asks whoever was refused for
//! what is missing here.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use super::{Actor, Ended};
use crate::{
    ids::SessionId,
    limits::{STORE_PATIENCE, UNLOGGED_BYTES_MAX, UNLOGGED_BYTES_TOTAL_MAX, UNLOGGED_UPDATE_BYTES},
    protocol::control::ServerControl,
    room::Member,
    store::Append,
};

/// Time between two looks whether the disk is well again.
pub(super) const LOOK_AGAIN: Duration = STORE_PATIENCE;

/// What one room has applied and not committed.
#[derive(Debug)]
pub(super) struct Unlogged {
    /// Row numbers and what they count, in order.
    rows: VecDeque<(u64, u64)>,
    bytes: u64,
    /// What all rooms of the engine have together.
    total: Arc<AtomicU64>,
    /// The rows the store's full queue has not taken, in order.
    backlog: VecDeque<Append>,
    /// No more edits are taken.
    full: bool,
}

impl Unlogged {
    pub(super) fn new(total: Arc<AtomicU64>) -> Self {
        Self { rows: VecDeque::new(), bytes: 0, total, backlog: VecDeque::new(), full: false }
    }

    fn add(&mut self, append: Append) {
        let bytes = append.bytes.len() as u64 + UNLOGGED_UPDATE_BYTES;
        self.rows.push_back((append.seq, bytes));
        self.bytes += bytes;
        self.total.fetch_add(bytes, Ordering::Relaxed);
        self.backlog.push_back(append);
    }

    /// Forgets the rows up to `seq`: they are committed.
    pub(super) fn committed(&mut self, seq: u64) {
        while let Some((_, bytes)) = self.rows.pop_front_if(|(row, _)| *row <= seq) {
            self.bytes -= bytes;
            self.total.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Whether the store's queue lacks rows that are in the document.
    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether somebody has to look at it again.
    pub(super) fn waits(&self) -> bool {
        self.full || self.has_backlog()
    }

    fn has_place_for(&self, bytes: u64) -> bool {
        self.bytes.saturating_add(bytes) <= UNLOGGED_BYTES_MAX
            && self.total.load(Ordering::Relaxed).saturating_add(bytes) <= UNLOGGED_BYTES_TOTAL_MAX
    }
}

impl Drop for Unlogged {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Actor {
    /// Gives a row to the store. Waits while its queue is full, so that senders wait too, unless the disk fails:
    /// then the row waits here and the room goes on.
    pub(super) async fn store(&mut self, append: Append) {
        self.unlogged.add(append);
        self.store_backlog().await;
    }

    pub(super) async fn store_backlog(&mut self) {
        while let Some(append) = self.unlogged.backlog.pop_front() {
            let Err(append) = self.context.store.try_append(append) else { continue };
            self.flush_fan_out();
            match timeout(STORE_PATIENCE, self.context.store.append(append.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    // Only a closed store fails here; then nothing is acknowledged any more.
                    log::error!(
                        event = "update_not_logged", room = self.room.as_str(), error:% = error;
                        "room {}: an update was not logged: {error}", self.room
                    );
                }
                Err(_) => {
                    self.unlogged.backlog.push_front(append);
                    if self.context.store.status().degraded.is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// Whether an edit of so many bytes may be applied: always, unless the disk fails and too much waits for it.
    pub(super) fn may_take(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64 + UNLOGGED_UPDATE_BYTES;
        if self.unlogged.full {
            return false;
        }
        if self.unlogged.has_place_for(bytes) || self.context.store.status().degraded.is_none() {
            return true;
        }
        self.unlogged.full = true;
        log::error!(
            event = "storage_full", room = self.room.as_str(), bytes = self.unlogged.bytes;
            "room {}: {} bytes wait for the disk; no more edits are taken until it is well",
            self.room,
            self.unlogged.bytes
        );
        self.flush_fan_out();
        for member in self.members.values() {
            tell(member, true);
        }
        false
    }

    /// Refuses an edit that could not be stored. Its sender is asked for it when the disk is well.
    pub(super) fn refuse_unstorable(&mut self, session: SessionId) {
        self.context.metrics.frames_refused.inc("STORAGE_DEGRADED");
        if let Some(member) = self.members.get_mut(&session) {
            member.refuse();
        }
    }

    /// Tells a session that just joined what the others know.
    pub(super) fn tell_storage(&self, session: SessionId) {
        if let Some(member) = self.members.get(&session).filter(|_| self.unlogged.full) {
            tell(member, true);
        }
    }

    /// Takes edits again once the disk is well.
    pub(super) async fn look_at_storage(&mut self) -> Result<(), Ended> {
        self.store_backlog().await;
        let well = !self.unlogged.has_backlog()
            && self.unlogged.bytes <= UNLOGGED_BYTES_MAX / 2
            && self.context.store.status().degraded.is_none();
        if !(self.unlogged.full && well) {
            return Ok(());
        }
        self.unlogged.full = false;
        log::info!(
            event = "storage_recovered", room = self.room.as_str();
            "room {}: edits are taken again", self.room
        );
        self.flush_fan_out();
        let state_vector = self.document.state_vector().map_err(|_| self.fail(None))?;
        for member in self.members.values() {
            tell(member, false);
            if member.grant.can_edit && member.has_refused() {
                member.ask(&state_vector);
            }
        }
        Ok(())
    }
}

fn tell(member: &Member, degraded: bool) {
    if member.grant.can_edit {
        let correlation_id = member.correlation.as_str();
        member.say(&ServerControl::Storage { degraded, correlation_id });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{ids::RoomId, store::CommitWatch};

    #[test]
    fn rows_count_until_they_are_committed_or_the_room_is_gone() {
        let total = Arc::new(AtomicU64::new(0));
        let mut unlogged = Unlogged::new(Arc::clone(&total));
        let room = RoomId::new("notes", "a").unwrap();
        for seq in 1..=3 {
            let bytes = Bytes::from(vec![0; 1000]);
            unlogged.add(Append {
                room: room.clone(),
                seq,
                bytes,
                watch: CommitWatch::starting_at(0),
            });
        }
        let one = 1000 + UNLOGGED_UPDATE_BYTES;
        assert_eq!((unlogged.bytes, total.load(Ordering::Relaxed)), (3 * one, 3 * one));
        unlogged.committed(2);
        assert_eq!((unlogged.bytes, total.load(Ordering::Relaxed)), (one, one));
        assert!(unlogged.has_place_for(UNLOGGED_BYTES_MAX - one));
        assert!(!unlogged.has_place_for(UNLOGGED_BYTES_MAX - one + 1));
        total.fetch_add(UNLOGGED_BYTES_TOTAL_MAX - one, Ordering::Relaxed);
        assert!(!unlogged.has_place_for(1), "the other rooms took it all");
        drop(unlogged);
        assert_eq!(total.load(Ordering::Relaxed), UNLOGGED_BYTES_TOTAL_MAX - one);
    }
}
