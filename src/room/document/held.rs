//! Updates that build on something missing. They wait here, not in yrs, and each has a row in the log; what
//! comes of it later has rows of its own.

use bytes::Bytes;

use super::{Document, DocumentError, Part};
use crate::{
    ids::SessionId,
    limits::{HELD_BYTES_MAX, HELD_UPDATES_MAX},
    protocol::guard::{self, Bounds, Missing, Scan},
};

/// The part of an update that waits for what it builds on.
#[derive(Clone, Debug)]
pub struct Rest {
    pub(super) bytes: Bytes,
    /// One of these has to be there before it gets further; none = it has not been looked at.
    pub(super) needs: Vec<Missing>,
}

impl Rest {
    /// As update v1.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// The rest of updates, and their rows in the log.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) rest: Rest,
    /// Who sent it; `None` = it was loaded.
    pub(super) by: Option<SessionId>,
}

/// What became of a held update once something it waited for was there.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its row in the log.
    pub seq: u64,
    /// What was held of it, as update v1.
    pub held: Bytes,
    /// Whether the rest of it goes on waiting.
    pub waits: bool,
    /// Exactly what changed, as update v1. A refused update is held no more; it was never acknowledged.
    pub outcome: Result<Option<Bytes>, DocumentError>,
}

impl Document {
    /// Keeps the rest of a session's update until what it builds on arrives.
    pub fn hold(&mut self, seq: u64, rest: Rest, by: SessionId) -> Result<(), DocumentError> {
        let held_bytes = self.held_bytes() + rest.bytes.len();
        if self.held.len() >= HELD_UPDATES_MAX || held_bytes > HELD_BYTES_MAX {
            return Err(DocumentError::TooManyHeld);
        }
        self.held.push(Held { seq, rest, by: Some(by) });
        Ok(())
    }

    /// The row of an equal rest that is held already. A client that reconnects sends its rest again.
    pub fn holds(&self, rest: &Rest) -> Option<u64> {
        self.held.iter().find(|held| held.rest.bytes == rest.bytes).map(|held| held.seq)
    }

    /// Applies one held update as far as its dependencies are there now; `None` = no other gets further. What
    /// changed has to be logged before anything else is: the log holds what the document took, in that order.
    pub fn settle(&mut self) -> Option<Settled> {
        let position = self.held.iter().position(|held| {
            let met = |need: &Missing| self.clock(need.client) >= u64::from(need.clock);
            held.rest.needs.is_empty() || held.rest.needs.iter().any(met)
        })?;
        let Held { seq, rest, by } = self.held.remove(position);
        // What it adds is bounded once it is taken apart.
        let part = guard::admit(rest.bytes.clone(), &Bounds::stored())
            .map_err(DocumentError::from)
            .and_then(|update| self.apply_part(&update));
        let (outcome, waits) = match part {
            Ok(Part { change, rest }) => {
                let waits = rest.is_some();
                self.held.extend(rest.map(|rest| Held { seq, rest, by }));
                (Ok(change), waits)
            }
            Err(error) => (Err(error), false),
        };
        Some(Settled { seq, held: rest.bytes, waits, outcome })
    }

    /// Before a session's update is applied (`None`: our own edit's): deletions of what it brings that others sent
    /// ahead are forgotten, or one could delete what somebody is yet to write. Whoever honestly deleted it has it, was asked for it, and
    /// sends all its deletions with the answer. Returns the log rows this concerns.
    pub fn forget_deletes_ahead(&mut self, by: Option<SessionId>, scan: &Scan) -> Vec<u64> {
        let brings = |need: &Missing| {
            let of = |section: &guard::Section| section.client == need.client;
            scan.sections.iter().any(|section| of(section) && section.end >= need.clock)
        };
        let mut forgotten = Vec::new();
        self.held.retain_mut(|held| {
            if (by.is_some() && held.by == by) || !held.rest.needs.iter().any(brings) {
                return true;
            }
            let Ok(own) = guard::keep_own_deletes(&held.rest.bytes, &Bounds::stored()) else {
                return true;
            };
            let Some(own) = own else {
                forgotten.push(held.seq);
                return false;
            };
            if own != held.rest.bytes {
                forgotten.push(held.seq);
                held.rest = Rest { bytes: own, needs: Vec::new() };
            }
            true
        });
        forgotten
    }

    /// Bytes of what is held.
    pub fn held_bytes(&self) -> usize {
        self.held.iter().map(|held| held.rest.bytes.len()).sum()
    }

    /// Log rows of the held updates.
    pub fn held_seqs(&self) -> Vec<u64> {
        self.held.iter().map(|held| held.seq).collect()
    }

    /// Whether nothing is held.
    pub fn is_whole(&self) -> bool {
        self.held.is_empty()
    }
}
