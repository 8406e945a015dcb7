//! Frames for many members in one shared buffer, each but to its author.

use std::sync::Arc;

use bytes::Bytes;

use crate::{ids::SessionId, room::queued::Queued};

/// Whole WebSocket frames, gathered.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    /// Who must not get it back; `None` = nobody's.
    author: Option<SessionId>,
    end: usize,
}

impl Batch {
    /// Adds one frame, which `append` appends.
    pub(super) fn add(
        &mut self,
        author: Option<SessionId>,
        append: impl FnOnce(&mut Vec<u8>),
    ) -> usize {
        append(&mut self.bytes);
        self.frames.push(Frame { author, end: self.bytes.len() });
        self.bytes.len()
    }

    /// Hands out what was gathered and begins anew; `None` if that is nothing.
    pub(super) fn seal<'a>(&'a mut self, queued: &'a Arc<Queued>) -> Option<Sealed<'a>> {
        if self.frames.is_empty() {
            return None;
        }
        let all = queued.count(std::mem::take(&mut self.bytes));
        Some(Sealed { all, frames: &mut self.frames, queued })
    }
}

/// Frames on their way out.
pub(super) struct Sealed<'a> {
    all: Bytes,
    frames: &'a mut Vec<Frame>,
    queued: &'a Arc<Queued>,
}

impl Sealed<'_> {
    /// What one member gets, and how many frames that is; `None` if all of them are its own.
    pub(super) fn for_member(&self, session: SessionId) -> Option<(Bytes, u64)> {
        let own = self.frames.iter().filter(|frame| frame.author == Some(session)).count();
        let others = (self.frames.len() - own) as u64;
        match own {
            0 => Some((self.all.clone(), others)),
            own if own == self.frames.len() => None,
            _ => Some((self.queued.count(self.without(session)), others)),
        }
    }

    /// The frames that are not `session`'s. A copy: a slice would pin everybody's bytes in one outbox.
    fn without(&self, session: SessionId) -> Vec<u8> {
        let mut others = Vec::with_capacity(self.all.len());
        let mut start = 0;
        for frame in self.frames.iter() {
            if frame.author != Some(session) {
                others.extend_from_slice(self.all.get(start..frame.end).unwrap_or_default());
            }
            start = frame.end;
        }
        others
    }
}

impl Drop for Sealed<'_> {
    fn drop(&mut self) {
        self.frames.clear();
    }
}
