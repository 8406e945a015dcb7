//! A connection's messages on their way to its handler: in order, bounded, and handed over by a task of its own,
//! so that neither the connection nor another one waits for a handler that is busy.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{Handlers, Peer, mirror::Mirror};
use crate::limits::{HANDLER_BYTES_MAX, HANDLER_MESSAGES_MAX};

/// A message its handler is not done with, or has not begun with. Dropping it says that it is.
#[derive(Debug)]
pub struct Ticket {
    window: Arc<Window>,
    bytes: usize,
}

/// The messages a handler is not done with.
#[derive(Debug, Default)]
pub(super) struct Window {
    open: Mutex<Open>,
    done: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    messages: usize,
    bytes: usize,
}

impl Window {
    /// Whether a further message may be read.
    pub(super) fn has_room(&self) -> bool {
        let open = *self.open.lock();
        open.messages < HANDLER_MESSAGES_MAX && open.bytes < HANDLER_BYTES_MAX
    }

    /// Waits until the handler is done with some message. Cancel-safe; for one waiter.
    pub(super) async fn done(&self) {
        self.done.notified().await;
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Ticket {
        let mut open = self.open.lock();
        open.messages += 1;
        open.bytes += bytes;
        drop(open);
        Ticket { window: Arc::clone(self), bytes }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.window.open.lock();
        open.messages -= 1;
        open.bytes -= self.bytes;
        drop(open);
        self.window.done.notify_one();
    }
}

/// Where a connection puts its messages.
#[derive(Debug)]
pub(super) struct Inbox {
    window: Arc<Window>,
    queue: mpsc::Sender<(Bytes, Ticket)>,
}

impl Inbox {
    /// Hands messages to `handlers` from now on. Once the inbox is dropped and all are handed over, so is the
    /// news that the connection is gone.
    pub(super) fn open(handlers: Arc<dyn Handlers>, peer: Arc<Peer>, mirror: Mirror) -> Self {
        let (queue, mut messages) = mpsc::channel::<(Bytes, Ticket)>(HANDLER_MESSAGES_MAX);
        tokio::spawn(async move {
            while let Some((message, ticket)) = messages.recv().await {
                handlers.message(&peer, message, ticket).await;
            }
            drop(mirror);
        });
        Self { window: Arc::default(), queue }
    }

    pub(super) fn window(&self) -> &Window {
        &self.window
    }

    /// Takes a message. The window is looked at before one is read, so there is a place.
    pub(super) fn put(&self, message: Bytes) {
        let ticket = self.window.take(message.len());
        // A handover that ended by a panic has ended the connection's mirror as well; nobody waits for this.
        drop(self.queue.try_send((message, ticket)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_window_is_full_of_messages_or_bytes_and_empties() {
        let window = Arc::<Window>::default();
        let tickets: Vec<_> = (0..HANDLER_MESSAGES_MAX).map(|_| window.take(1)).collect();
        assert!(!window.has_room());
        drop(tickets);
        window.done().await;
        assert!(window.has_room());
        let large = window.take(HANDLER_BYTES_MAX);
        assert!(!window.has_room(), "one large message passes, and no second one");
        drop(large);
        assert!(window.has_room());
    }
}
