//! Heavy work on the document: base snapshots, and what moves to the compute threads.

use std::sync::Arc;

use bytes::Bytes;

use super::{Actor, Ended, INLINE_DOCUMENT_BYTES_MAX};
use crate::{
    room::{
        RoomCommand,
        document::{Document, DocumentError},
    },
    store::{NewSnapshot, SnapshotInfo, StoreError},
};

impl Actor {
    /// Stores the whole state and lets the log start from it. The store does the rest in the background.
    pub(super) async fn take_snapshot(&mut self) -> Result<(), Ended> {
        // A snapshot replaces rows, so the store must have been given them before it.
        if self.snapshotting || self.tail_bytes == 0 || self.unlogged.has_backlog() {
            return Ok(());
        }
        let heavy = self.state_bytes > INLINE_DOCUMENT_BYTES_MAX;
        let encoded = self
            .on_document(heavy, |document| {
                let state = Bytes::from(document.encode()?);
                // A snapshot that does not load must never replace a log that does.
                Ok::<_, DocumentError>(document.is_rebuilt_by(&state).then_some(state))
            })
            .await?;
        self.tail_bytes = 0;
        let state = match encoded {
            Ok(Some(state)) => state,
            Ok(None) => {
                self.context.metrics.snapshot_failures.inc();
                log::error!(
                    event = "snapshot_unsound", room = self.room.as_str();
                    "room {}: its snapshot does not load; the log is kept", self.room
                );
                return Ok(());
            }
            Err(_) => return Err(self.fail(None)),
        };
        self.snapshotting = true;
        let snapshot = NewSnapshot {
            room: self.room.clone(),
            upto_seq: self.last_seq,
            keep: self.document.held_seqs(),
            state,
        };
        let (store, own) = (Arc::clone(&self.context.store), self.own.clone());
        tokio::spawn(async move {
            let (upto_seq, state_bytes) = (snapshot.upto_seq, snapshot.state.len() as u64);
            let outcome = store.save_snapshot(snapshot).await;
            if let Some(own) = own.upgrade() {
                drop(own.send(RoomCommand::Snapshotted { upto_seq, state_bytes, outcome }).await);
            }
        });
        Ok(())
    }

    pub(super) fn snapshotted(
        &mut self,
        upto_seq: u64,
        state_bytes: u64,
        outcome: Result<SnapshotInfo, StoreError>,
    ) {
        self.snapshotting = false;
        match outcome {
            Ok(info) => {
                self.state_bytes = state_bytes + self.tail_bytes;
                self.context.metrics.snapshots.inc();
                log::info!(
                    event = "snapshot_saved", room = self.room.as_str(), version = info.version,
                    bytes = state_bytes;
                    "room {}: snapshot {} up to {upto_seq}", self.room, info.version
                );
            }
            Err(error) => {
                self.context.metrics.snapshot_failures.inc();
                log::warn!(
                    event = "snapshot_failed", room = self.room.as_str(), error:% = error;
                    "room {}: no snapshot now, the log is kept: {error}", self.room
                );
            }
        }
    }

    /// Runs work on the document, on the compute threads if it is heavy; the mailbox waits meanwhile.
    pub(in crate::room) async fn on_document<T: Send + 'static>(
        &mut self,
        heavy: bool,
        work: impl FnOnce(&mut Document) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        if !heavy {
            return Ok(work(&mut self.document));
        }
        let document_bytes_max = self.context.config.limits.document_bytes_max;
        let mut document = std::mem::replace(&mut self.document, Document::new(document_bytes_max));
        let moved = self
            .context
            .compute
            .run(move || {
                let value = work(&mut document);
                (document, value)
            })
            .await;
        let Ok((document, value)) = moved else { return Err(self.fail(None)) };
        self.document = document;
        Ok(value)
    }
}
