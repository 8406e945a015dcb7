//! One connection of a room that somebody else handles: the loop between a socket and its handler's inbox.
//!
//! It never waits for the handler: when that is behind, the socket is not read from, and TCP makes the client
//! wait. What the client sends before its handler is ready for messages waits in the inbox, in order.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::{
    Frames, Peer,
    join::{HandledRequest, Joined},
};
use crate::{
    error::CloseReason,
    limits::HANDLER_STALL,
    net::{
        OpenConnection, Shared,
        client::{Client, rate_notice},
        connection::close,
        hearing::{Ears, Hearing},
        places::Place,
        pulse::{Beat, Beats, Pulse, time_left},
        rate::{Class, Rates, Step},
        socket::Socket,
    },
    protocol::{control::ServerControl, json, ws_frame},
    room::outbox::Outbox,
    telemetry::security::Violation,
    time::unix_ms,
};

/// The peer went by itself, and said no more than that.
const NO_STATUS: u16 = 1005;

/// Serves one connection from its 101 to its end. `place` is given back once it is admitted, `open` at its end.
pub(in crate::net) async fn run(
    mut socket: Socket,
    request: HandledRequest,
    open: OpenConnection,
    place: Place,
    shared: Arc<Shared>,
) {
    let _open = open;
    shared.metrics.connections_opened.inc();
    let outbox = Arc::<Outbox>::default();
    let (session, room) = (request.session, request.room.clone());
    let correlation = request.correlation.clone();
    let peer =
        Peer::new(session, correlation.clone(), room.clone(), Frames::Text, Arc::clone(&outbox));
    let mut half_open = Some(place);
    let joined = Box::pin(request.join(&shared, &peer, &mut half_open)).await;
    let reason = match joined {
        Ok(joined) => {
            joined.client().log_connected(None);
            let since = Instant::now();
            let reason = Connection::new(&mut socket, &outbox, &shared, &joined).serve().await;
            joined.client().log_disconnected(reason.as_ref(), since.elapsed());
            match &reason {
                Some(reason) => joined.ending.note(reason.close_code(), reason.close_text()),
                None => joined.ending.note(NO_STATUS, String::new()),
            }
            reason
        }
        Err(reason) => {
            // What the handler said and how it closed counts for more than what followed from it.
            let reason = outbox.closing().unwrap_or(reason);
            log::info!(
                event = "client_refused", connection = session.0,
                correlation_id = correlation.as_str(), room = room.as_str(), code = reason.code();
                "connection {}: refused: {}", session.0, reason.code()
            );
            socket.queue_taken(&mut outbox.take());
            Some(reason)
        }
    };
    peer.end();
    if let Some(reason) = reason {
        shared.metrics.closes.inc(reason.code());
        let about =
            close::About { correlation: &correlation, room: Some(room.as_str()), json: true };
        Box::pin(close::close(&mut socket, &reason, &about)).await;
    }
    shared.metrics.bytes_out.add(socket.bytes_out());
    shared.metrics.connections_closed.inc();
}

impl Hearing for Connection<'_> {
    fn ears(&mut self) -> Ears<'_> {
        Ears { socket: self.socket, rates: &mut self.rates, pulse: &mut self.pulse }
    }

    fn shared(&self) -> &Shared {
        self.shared
    }

    fn with_client(&self, tell: impl FnOnce(&Client<'_>)) {
        tell(&self.joined.client());
    }

    fn is_full(&mut self) -> bool {
        self.rates.is_empty()
            || self.socket.is_answering()
            || !self.joined.inbox.window().has_room()
    }

    /// Answers a ping, refuses what is no JSON, and gives everything else to the handler.
    async fn message(
        &mut self,
        bytes: &[u8],
        _is_text: bool,
        now: Instant,
    ) -> Result<(), CloseReason> {
        self.spend(Class::Control, 1, now);
        if json::is_ping(bytes) {
            let pong = ServerControl::Pong { timestamp_ms: unix_ms() };
            self.socket.queue(ws_frame::text(&pong.to_json()));
        } else if json::is_json(bytes) {
            // Copied out of the read buffer, which one kept slice would pin.
            self.joined.inbox.put(Bytes::copy_from_slice(bytes));
        } else {
            self.refuse("control_invalid");
        }
        Ok(())
    }
}

struct Connection<'a> {
    socket: &'a mut Socket,
    outbox: &'a Outbox,
    shared: &'a Shared,
    joined: &'a Joined,
    rates: Rates,
    pulse: Pulse,
    /// Since when the handler takes no further message.
    stalled_since: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(
        socket: &'a mut Socket,
        outbox: &'a Outbox,
        shared: &'a Shared,
        joined: &'a Joined,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outbox,
            shared,
            joined,
            rates: Rates::new(&shared.config.rate_limiting, now),
            pulse: Pulse::new(now),
            stalled_since: None,
        }
    }

    /// Serves until somebody ends it; `None` = the peer went by itself.
    async fn serve(&mut self) -> Option<CloseReason> {
        let mut stopped = self.shared.stopped.clone();
        let stop = stopped.changed();
        tokio::pin!(stop);
        let timer = sleep_until(self.next_deadline());
        tokio::pin!(timer);
        let mut may_read = true;
        loop {
            if let Some(reason) = self.refill() {
                return Some(reason);
            }
            if self.socket.write().is_err() {
                return None;
            }
            let has_room = self.has_room();
            let read = has_room && self.rates.may_read() && !self.socket.is_answering();
            let mut busy = self.socket.is_drained() && self.outbox.has_frames();
            if may_read && read {
                match self.receive().await {
                    Ok(more) => may_read = more,
                    Err(end) => return end,
                }
                busy |= may_read || !self.socket.is_drained();
            }
            if busy {
                tokio::task::yield_now().await;
            }
            timer.as_mut().reset(self.next_deadline());
            tokio::select! {
                () = std::future::ready(()), if busy => {}
                () = self.outbox.ready() => {}
                () = self.joined.inbox.window().done(), if !has_room => {}
                ready = self.socket.ready(read) => match ready {
                    Ok(readable) => may_read |= readable,
                    Err(_) => return None,
                },
                () = &mut timer => {
                    if let Some(reason) = self.tick() {
                        return Some(reason);
                    }
                }
                _ = &mut stop => return Some(CloseReason::ShuttingDown),
            }
        }
    }

    /// Takes what the handler queued, once the last lot is written.
    fn refill(&mut self) -> Option<CloseReason> {
        if !self.socket.is_drained() {
            return self.outbox.closing().inspect(|_| self.socket.drop_unsent());
        }
        let mut taken = self.outbox.take();
        self.socket.queue_taken(&mut taken);
        taken.closing
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.joined.inbox.window().has_room();
        self.stalled_since =
            if has_room { None } else { self.stalled_since.or_else(|| Some(Instant::now())) };
        has_room
    }

    fn refuse(&mut self, code: &'static str) {
        self.shared.metrics.frames_refused.inc(code);
        let client = self.joined.client();
        client.report(Violation::HostileMessage, self.shared);
        log::warn!(
            event = "frame_refused", connection = client.session.0,
            correlation_id = client.correlation.as_str(), room = client.room.as_str(),
            user = client.user(), code = code;
            "connection {}: a message of {} to {} was refused: {code}",
            client.session.0, client.user(), client.room
        );
        let answer = ServerControl::Error {
            code,
            message: "The message is not understood",
            correlation_id: client.correlation.as_str(),
            room_id: Some(client.room.as_str()),
        };
        self.socket.queue(ws_frame::text(&answer.to_json()));
    }

    fn next_deadline(&self) -> Instant {
        let life = self.pulse.next_deadline(&Beats::of(&self.shared.config), None);
        let stall = self.stalled_since.map(|since| since + HANDLER_STALL);
        let expiry = self.time_left().map(|left| Instant::now() + left);
        let soon = [stall, expiry, self.rates.next_deadline()].into_iter().flatten().min();
        let next = soon.map_or(life, |soon| soon.min(life));
        next.max(Instant::now() + Duration::from_millis(1))
    }

    /// How long the token still holds; a host may have prolonged or shortened it.
    fn time_left(&self) -> Option<Duration> {
        let Joined { identity, watched, .. } = self.joined;
        time_left(match watched {
            Some(watched) => watched.standing().expires_at_ms(),
            None => identity.expires_at_ms,
        })
    }

    /// Does what is due because time has passed.
    fn tick(&mut self) -> Option<CloseReason> {
        let now = Instant::now();
        if self.time_left().is_some_and(|left| left.is_zero()) {
            return Some(CloseReason::TokenExpired);
        }
        if self.stalled_since.is_some_and(|since| since + HANDLER_STALL <= now) {
            return Some(CloseReason::HandlerFailed);
        }
        if let Some(reason) = self.escalate(now) {
            return Some(reason);
        }
        if self.rates.is_empty() || self.stalled_since.is_some() {
            // It cannot be heard because we do not listen.
            self.pulse.heard(now);
        }
        match self.pulse.beat(&Beats::of(&self.shared.config), now, None) {
            Beat::Dead => return Some(CloseReason::Dead),
            Beat::Ping => self.socket.queue(ws_frame::ping()),
            Beat::Nothing => {}
        }
        None
    }

    /// Warns or ends a client that stays ahead of its rate.
    fn escalate(&mut self, now: Instant) -> Option<CloseReason> {
        let step = self.rates.escalate(now)?;
        let reason = self.joined.client().stays_ahead(
            step,
            self.shared.config.rate_limiting.messages_per_second,
            self.shared,
        );
        if step == Step::Close {
            return Some(reason);
        }
        let message = reason.message();
        let notice = rate_notice(&message, &self.joined.request.correlation);
        self.socket.queue(ws_frame::text(&notice.to_json()));
        None
    }
}
