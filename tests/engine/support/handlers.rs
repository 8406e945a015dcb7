//! Room types handled by Rust in place of JavaScript: type `device` names its device by the token, type `desk`
//! leaves that to the host. Everything that is called is noted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use civicpress_realtime::{
    future::BoxFuture,
    host::Identity,
    net::handled::{Handlers, Handling, Newcomer, Opening, Peer, Refusal, Ticket},
};
use parking_lot::Mutex;

#[derive(Default)]
pub struct FakeHandlers {
    /// What was called, in order: `connect`, `admitted`, `closed 4001`, or a message's text.
    pub calls: Mutex<Vec<String>>,
    pub peers: Mutex<Vec<Arc<Peer>>>,
    /// Messages the handler is at work with, while `is_busy`.
    pub open: Mutex<Vec<Ticket>>,
    pub is_busy: AtomicBool,
    pub follows: AtomicBool,
    /// What `connect` and `admitted` refuse with.
    pub refuse: Mutex<Option<Refusal>>,
    pub refuse_admission: Mutex<Option<Refusal>>,
    /// `connect` never answers.
    pub hangs: AtomicBool,
}

impl FakeHandlers {
    fn note(&self, call: impl Into<String>) {
        self.calls.lock().push(call.into());
    }

    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().clone()
    }

    pub fn peer(&self) -> Arc<Peer> {
        Arc::clone(self.peers.lock().last().unwrap())
    }

    /// Ends its work with all messages so far, and with each from now on at once.
    pub fn get_on(&self) {
        self.is_busy.store(false, Ordering::Relaxed);
        self.open.lock().clear();
    }
}

impl Handlers for FakeHandlers {
    fn handling(&self, kind: &str) -> Option<Handling> {
        match kind {
            "device" => Some(Handling { authenticates: true }),
            "desk" => Some(Handling { authenticates: false }),
            _ => None,
        }
    }

    fn follows_documents(&self) -> bool {
        self.follows.load(Ordering::Relaxed)
    }

    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Identity, Refusal>> {
        Box::pin(async move {
            self.note("connect");
            if self.hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if let Some(refusal) = self.refuse.lock().clone() {
                return Err(refusal);
            }
            Ok(opening.identity.unwrap_or_else(|| Identity {
                user_id: format!("device:{}", opening.token),
                name: opening.token,
                role: "device".into(),
                expires_at_ms: None,
                room_patterns: Vec::new(),
                api_user: None,
            }))
        })
    }

    fn admitted(&self, newcomer: Newcomer) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            self.note(format!("admitted {}", newcomer.identity.user_id));
            if let Some(refusal) = self.refuse_admission.lock().clone() {
                return Err(refusal);
            }
            if !newcomer.document {
                newcomer.peer.acknowledge();
            }
            self.peers.lock().push(newcomer.peer);
            Ok(())
        })
    }

    fn message<'a>(&'a self, _peer: &'a Peer, message: Bytes, ticket: Ticket) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if self.is_busy.load(Ordering::Relaxed) {
                self.open.lock().push(ticket);
            }
            self.note(String::from_utf8_lossy(&message));
        })
    }

    fn closed<'a>(&'a self, _peer: &'a Peer, code: u16, _reason: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.note(format!("closed {code}")) })
    }
}
