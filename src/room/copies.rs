//! Copies of the room's state: where the host wants them, else in the store.

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    host::{CopyInfo, HostError},
    ids::RoomId,
    room::{
        RoomContext, WriteBackStep,
        actor::{Actor, Ended},
        write_back::GAP,
    },
    store::{SnapshotInfo, StoreError},
};

/// Why a copy was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CopyError {
    /// The host's.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What of a room's state is not copied.
#[derive(Debug, Default)]
pub(super) struct Copying {
    /// Something changed, or somebody asked.
    wanted: bool,
    /// When a copy is made without a write-back that calls for it: the one before was too near.
    pub(super) due_at: Option<Instant>,
    made_at: Option<Instant>,
}

impl Copying {
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Wanted now, whatever changes.
    pub(super) fn demand(&mut self, now: Instant) {
        self.wanted = true;
        self.due_at = Some(now);
    }

    pub(super) fn failed(&mut self) {
        self.wanted = true;
        self.made_at = None;
    }

    /// Whether to copy at the end of this write-back. What nobody waits for comes at most once in [`GAP`].
    fn begins(&mut self, now: Instant, urgent: bool) -> bool {
        if !self.wanted {
            return false;
        }
        let early = self.made_at.map(|made| made + GAP).filter(|next| *next > now && !urgent);
        self.due_at = early;
        if early.is_none() {
            self.wanted = false;
            self.made_at = Some(now);
        }
        early.is_none()
    }
}

impl Actor {
    /// The last step of a write-back: the copy, if one is wanted.
    pub(super) async fn copy_state(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let urgent = self.write_back.is_awaited() || self.leaving(now);
        if !self.context.config.snapshots.enabled || !self.write_back.copying.begins(now, urgent) {
            self.write_back.succeeded();
            self.finish(None);
            return Ok(());
        }
        let state = self.on_document(true, |document| document.encode()).await?;
        let Ok(state) = state else { return Err(self.fail(None)) };
        let (context, room) = (self.context.clone(), self.room.clone());
        self.tell_self(async move {
            WriteBackStep::Copied(save(&context, &room, Bytes::from(state)).await)
        });
        Ok(())
    }
}

async fn save(context: &RoomContext, room: &RoomId, state: Bytes) -> Result<CopyInfo, CopyError> {
    if let Some(copies) = context.host.copies() {
        return Ok(copies.save(room, state).await?);
    }
    let SnapshotInfo { version, created_at_ms, .. } = context.store.save_copy(room, state).await?;
    Ok(CopyInfo { version, created_at_ms })
}

/// Drops copies made before `before_ms` (Unix milliseconds), but for rooms `in_use`. Returns how many.
pub(crate) async fn expire(
    context: &RoomContext,
    before_ms: u64,
    in_use: Vec<RoomId>,
) -> Result<u64, CopyError> {
    match context.host.copies() {
        Some(copies) => Ok(copies.expire(before_ms, in_use).await?),
        None => Ok(context.store.expire_copies(before_ms, in_use).await?),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn unasked_copies_keep_their_distance() {
        let start = Instant::now();
        let mut copying = Copying::default();
        assert!(!copying.begins(start, true), "nothing to copy");
        copying.want();
        assert!(copying.begins(start, false));
        copying.want();
        let soon = start + Duration::from_millis(100);
        assert!(!copying.begins(soon, false));
        assert_eq!(copying.due_at, Some(start + GAP), "later, by itself");
        assert!(copying.begins(soon, true), "whoever waits is not put off");
        assert_eq!(copying.due_at, None);
        copying.failed();
        assert!(copying.begins(soon, false), "a copy that failed was none");
    }
}
