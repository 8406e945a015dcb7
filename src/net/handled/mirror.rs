//! What whoever embeds the engine knows of a connection, which has to end with it on every path.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::{Frames, Handlers, Newcomer, Peer};
use crate::{
    net::{Shared, join::Joined},
    room::outbox::Outbox,
};

/// A connection that was told of, or is being told of. Dropped, its end is told.
pub struct Mirror {
    handlers: Arc<dyn Handlers>,
    peer: Arc<Peer>,
    ending: Arc<Ending>,
}

/// How a connection ended.
#[derive(Debug, Default)]
pub(super) struct Ending(Mutex<Option<(u16, String)>>);

/// No close frame came (RFC 6455, 7.4.1).
const ABNORMAL: u16 = 1006;

impl Ending {
    /// Notes the code and reason it was closed with.
    pub(super) fn note(&self, code: u16, reason: String) {
        *self.0.lock() = Some((code, reason));
    }
}

impl Mirror {
    /// To be made before the connection is told of: what was told of half-way is gone all the same.
    pub fn new(handlers: Arc<dyn Handlers>, peer: Arc<Peer>) -> Self {
        Self { handlers, peer, ending: Arc::default() }
    }

    pub(super) fn ending(&self) -> Arc<Ending> {
        Arc::clone(&self.ending)
    }
}

/// Tells whoever follows document rooms of a session in one, before its client is told that it is in: a client
/// in the same process may ask at once.
pub(in crate::net) async fn follow(
    shared: &Shared,
    joined: &Joined,
    outbox: &Arc<Outbox>,
    json: bool,
) -> Option<Mirror> {
    if !shared.handlers.follows_documents() {
        return None;
    }
    let room = joined.room_id.clone();
    let peer = Peer::new(
        joined.session,
        joined.correlation.clone(),
        room,
        if json { Frames::Text } else { Frames::Binary },
        Arc::clone(outbox),
    );
    let mirror = Mirror::new(Arc::clone(&shared.handlers), Arc::clone(&peer));
    let told = shared.handlers.admitted(Newcomer {
        peer,
        address: joined.address,
        document: true,
        identity: joined.identity.clone(),
    });
    let time = Duration::from_millis(shared.config.auth.timeout_ms);
    if timeout(time, told).await.is_err() {
        log::debug!("connection {}: nobody took note of it in time", joined.session.0);
    }
    Some(mirror)
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.peer.end();
        let (handlers, peer) = (Arc::clone(&self.handlers), Arc::clone(&self.peer));
        let (code, reason) = self.ending.0.lock().take().unwrap_or((ABNORMAL, String::new()));
        // Without a runtime the engine is gone, and its embedder knows that.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { handlers.closed(&peer, code, &reason).await });
        }
    }
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirror").field("peer", &self.peer).finish_non_exhaustive()
    }
}
