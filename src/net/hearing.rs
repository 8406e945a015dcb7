//! How connections of all kinds read: a bounded lot at a time, each message at its cost.

use tokio::time::Instant;

use super::{
    Shared,
    client::Client,
    pulse::Pulse,
    rate::{Class, Rates},
    socket::{Incoming, Socket},
};
use crate::{error::CloseReason, limits::MESSAGES_PER_WAKE_MAX, telemetry::security::Violation};

/// What reading needs of a connection.
pub(super) struct Ears<'a> {
    pub socket: &'a mut Socket,
    pub rates: &'a mut Rates,
    pub pulse: &'a mut Pulse,
}

/// A connection that is read from.
pub(super) trait Hearing: Send {
    fn ears(&mut self) -> Ears<'_>;

    fn shared(&self) -> &Shared;

    /// Who it is, for log lines and reports.
    fn with_client(&self, tell: impl FnOnce(&Client<'_>));

    /// Whether the client is not to be heard for now.
    fn is_full(&mut self) -> bool;

    /// Does what a message says; `is_text` tells the two kinds of frames apart.
    fn message(
        &mut self,
        bytes: &[u8],
        is_text: bool,
        now: Instant,
    ) -> impl Future<Output = Result<(), CloseReason>> + Send;

    /// Handles what has arrived, a bounded lot; `Ok(true)` = there may be more, `Err(None)` = the peer went by itself.
    fn receive(&mut self) -> impl Future<Output = Result<bool, Option<CloseReason>>> + Send {
        async {
            let now = Instant::now();
            let allowed = self.ears().rates.wake_bytes();
            let mut left = allowed;
            let outcome = receive_within(self, &mut left, now).await;
            self.spend(Class::Bytes, (allowed - left) as u64, now);
            if matches!(outcome, Ok(false)) {
                self.ears().rates.caught_up();
            }
            outcome
        }
    }

    /// Takes from a bucket; once it is empty nothing is read until it has refilled.
    fn spend(&mut self, class: Class, cost: u64, now: Instant) {
        let rates = self.ears().rates;
        if !rates.take(class, cost, now) {
            return;
        }
        let first = rates.tells_of_throttling();
        self.shared().metrics.throttled.inc(class.name());
        if first {
            self.with_client(|client| client.log_throttled(class));
        }
    }
}

async fn receive_within<C: Hearing + ?Sized>(
    connection: &mut C,
    budget: &mut usize,
    now: Instant,
) -> Result<bool, Option<CloseReason>> {
    for _ in 0..MESSAGES_PER_WAKE_MAX {
        let Ears { socket, pulse, .. } = connection.ears();
        let incoming = socket.read(budget);
        match incoming {
            Incoming::Nothing => return Ok(false),
            Incoming::Later => return Ok(true),
            Incoming::Gone => {
                // The answer to the close frame may be queued.
                drop(socket.write());
                return Err(None);
            }
            Incoming::Violation(reason) => {
                let shared = connection.shared();
                connection.with_client(|client| client.report(Violation::BadFrame, shared));
                return Err(Some(reason));
            }
            Incoming::Alive => {
                pulse.heard(now);
                connection.spend(Class::Control, 1, now);
            }
            Incoming::Text(text) => hear(connection, text.as_bytes(), true, now).await?,
            Incoming::Binary(bytes) => hear(connection, &bytes, false, now).await?,
        }
        if connection.is_full() {
            return Ok(true);
        }
    }
    Ok(true)
}

async fn hear<C: Hearing + ?Sized>(
    connection: &mut C,
    bytes: &[u8],
    is_text: bool,
    now: Instant,
) -> Result<(), Option<CloseReason>> {
    if connection.shared().config.performance.keep_alive_optimization {
        connection.ears().pulse.heard(now);
    }
    let metrics = &connection.shared().metrics;
    metrics.messages_in.inc();
    metrics.bytes_in.add(bytes.len() as u64);
    connection.message(bytes, is_text, now).await.map_err(Some)
}
