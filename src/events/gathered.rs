//! Events on their way to one room, which go out together.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    channel::{Channel, Reader},
    history::Said,
    hub::EventsContext,
    lane::Room,
};
use crate::protocol::{events::Batch, ws_frame};

/// Frames for one room that its members do not have yet, encoded once for each kind of reader.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) room: Option<Room>,
    pub(super) plain: Vec<u8>,
    pub(super) extended: Vec<u8>,
    pub(super) batched: Batch,
    pub(super) events: usize,
    /// Since when each is on its way.
    pub(super) begun: Vec<Instant>,
}

impl Gathered {
    /// Takes in an event that `channel` has given a number.
    pub(super) fn add(
        &mut self,
        channel: &Channel,
        (offset, begun): (u64, Instant),
        said: &Said,
        context: &EventsContext,
    ) {
        context.metrics.events_emitted.inc();
        if channel.members().is_empty() {
            return;
        }
        if channel.latest {
            *self = Self::default();
        }
        let encode = |extended| {
            context.metrics.event_encodes.inc();
            channel.text(offset, said, extended)
        };
        if channel.has(Reader::Plain) {
            ws_frame::append_text(&mut self.plain, &encode(false));
        }
        let [extended, batched] =
            [Reader::Extended, Reader::Batched].map(|reader| channel.has(reader));
        if extended || batched {
            let text = encode(true);
            if extended {
                ws_frame::append_text(&mut self.extended, &text);
            }
            if batched {
                self.batched.push(&text);
            }
        }
        self.events += 1;
        self.begun.push(begun);
        self.room = Some(Arc::clone(&channel.name));
    }

    /// Of the longest form.
    pub(super) fn bytes(&self) -> usize {
        self.plain.len().max(self.extended.len()).max(self.batched.bytes())
    }
}
