//! One connection for events: the loop between a socket and a session.
//!
//! It waits for the host only beside everything else, and for rooms only when these have more to do than they
//! can; then TCP makes its client wait. Rooms never wait for it.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    enter::EventsRequest,
    session::{Session, Settled, Step},
};
use crate::{
    error::CloseReason,
    future::BoxFuture,
    ids::RoomId,
    limits::EVENT_REPLY_BYTES_MAX,
    net::{
        OpenConnection, Shared,
        client::Client,
        hearing::{Ears, Hearing},
        places::Place,
        pulse::{Beat, Beats, Pulse},
        rate::{self, Class, Rates},
        socket::Socket,
    },
    protocol::{
        events::{self, EventError},
        ws_frame,
    },
    room::outbox::Outbox,
    time::unix_ms,
};

/// Serves one connection from its 101 to its end. `place` is given back once it is admitted, `open` at its end.
#[allow(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, for the connection's whole life"
)]
pub(in crate::net) fn run(
    mut socket: Socket,
    request: EventsRequest,
    open: OpenConnection,
    place: Place,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> {
    async move {
        let _open = open;
        shared.metrics.connections_opened.inc();
        let outbox = Arc::<Outbox>::default();
        let (id, correlation) = (request.session, request.correlation.clone());
        let mut extended = request.reader.is_extended();
        let mut half_open = Some(place);
        let entered = Box::pin(request.enter(&shared, &outbox, &mut half_open)).await;
        let reason = match entered {
            Ok((session, told)) => {
                extended = session.reader.is_extended();
                session.client(&RoomId::events()).log_connected(None);
                let since = Instant::now();
                let mut connection = Connection::new(&mut socket, &outbox, session);
                connection.greet(told);
                let reason = connection.serve().await;
                let session = connection.session;
                session
                    .client(&RoomId::events())
                    .log_disconnected(reason.as_ref(), since.elapsed());
                // Rooms let go of it before its client is told why.
                drop(session);
                reason
            }
            Err(reason) => {
                log::info!(
                    event = "client_refused", connection = id.0,
                    correlation_id = correlation.as_str(), room = RoomId::events().as_str(),
                    code = reason.code();
                    "connection {}: refused: {}", id.0, reason.code()
                );
                Some(reason)
            }
        };
        if let Some(reason) = reason {
            shared.metrics.closes.inc(reason.code());
            Box::pin(close(&mut socket, &outbox, &reason, extended)).await;
        }
        shared.metrics.bytes_out.add(socket.bytes_out());
        shared.metrics.connections_closed.inc();
    }
}

/// Says what is queued and why it ends, then closes.
async fn close(socket: &mut Socket, outbox: &Outbox, reason: &CloseReason, extended: bool) {
    match reason {
        CloseReason::Dead => return,
        // What waits for it is too much; it comes back and asks for what it missed.
        CloseReason::SlowConsumer => socket.drop_unsent(),
        _ => socket.queue_taken(&mut outbox.take()),
    }
    let without_a_word =
        matches!(reason, CloseReason::Protocol(_) | CloseReason::InvalidData | CloseReason::TooBig);
    if !without_a_word {
        let code = extended.then(|| reason.code());
        socket.queue(ws_frame::text(&events::closing(&reason.message(), code, unix_ms())));
    }
    socket.close(ws_frame::close(reason.close_code(), &reason.close_text())).await;
}

/// What the host answers, once it was asked something.
async fn answer_of<T>(asked: &mut Option<BoxFuture<'static, T>>) -> T {
    poll_fn(|context| match asked {
        Some(asked) => asked.as_mut().poll(context),
        None => Poll::Pending,
    })
    .await
}

impl Hearing for Connection<'_> {
    fn ears(&mut self) -> Ears<'_> {
        Ears { socket: self.socket, rates: &mut self.rates, pulse: &mut self.pulse }
    }

    fn shared(&self) -> &Shared {
        &self.session.shared
    }

    fn with_client(&self, tell: impl FnOnce(&Client<'_>)) {
        tell(&self.session.client(&RoomId::events()));
    }

    fn is_full(&mut self) -> bool {
        !self.may_read()
    }

    /// go-deployd reads both kinds of frames alike.
    async fn message(
        &mut self,
        bytes: &[u8],
        _is_text: bool,
        now: Instant,
    ) -> Result<(), CloseReason> {
        self.spend(Class::Events, 1, now);
        self.shared().metrics.event_messages_in.inc();
        let step = self.session.message(bytes).await;
        self.take(step)
    }
}

struct Connection<'a> {
    socket: &'a mut Socket,
    outbox: &'a Outbox,
    session: Session,
    /// The host is being asked; nothing is read meanwhile.
    asked: Option<BoxFuture<'static, Settled>>,
    rates: Rates,
    pulse: Pulse,
    written: u64,
    /// When the client took something last, or had nothing to take.
    took_at: Instant,
    /// When it ends because the engine stops.
    ends_at: Option<Instant>,
}

impl<'a> Connection<'a> {
    fn new(socket: &'a mut Socket, outbox: &'a Outbox, session: Session) -> Self {
        let now = Instant::now();
        let rates = Rates::of_events(&session.shared.config, now);
        Self {
            socket,
            outbox,
            session,
            asked: None,
            rates,
            pulse: Pulse::new(now),
            written: 0,
            took_at: now,
            ends_at: None,
        }
    }

    /// The first messages: the greeting, and what came of a token in the request.
    fn greet(&mut self, told: Option<Result<(), EventError>>) {
        self.say(&events::connect(&self.session.info.session.client_name(), unix_ms()));
        match told {
            None => {}
            Some(Ok(())) => self.say(&self.session.authenticated(None)),
            Some(Err(error)) => {
                if let Step::Say(text) = self.session.refuse(&error, None) {
                    self.say(&text);
                }
            }
        }
    }

    /// Serves until somebody ends it; `None` = the peer went by itself.
    async fn serve(&mut self) -> Option<CloseReason> {
        let mut stopped = self.shared().stopped.clone();
        let stop = stopped.changed();
        tokio::pin!(stop);
        let timer = sleep_until(self.next_deadline());
        tokio::pin!(timer);
        let mut may_read = true;
        loop {
            self.session.heed_changes().await;
            self.session.look_again();
            if self.socket.is_drained() {
                let mut taken = self.outbox.take();
                self.socket.queue_taken(&mut taken);
                if taken.closing.is_some() {
                    return taken.closing;
                }
                self.took_at = Instant::now();
            } else if let Some(reason) = self.outbox.closing() {
                return Some(reason);
            }
            if self.socket.write().is_err() {
                return None;
            }
            if self.socket.bytes_out() != self.written {
                self.written = self.socket.bytes_out();
                self.took_at = Instant::now();
            }
            let read = self.may_read();
            let mut busy = self.socket.is_drained() && self.outbox.has_frames();
            if may_read && read {
                match self.receive().await {
                    Ok(more) => may_read = more,
                    Err(end) => return end,
                }
                busy |= may_read || !self.socket.is_drained();
            }
            if busy {
                // Others on this worker get their turn between two bursts of one client.
                tokio::task::yield_now().await;
            }
            let next = self.next_deadline();
            if next < timer.deadline() {
                timer.as_mut().reset(next);
            }
            let (asked, looking) = (&mut self.asked, &mut self.session.by_host.looking);
            tokio::select! {
                // Looked at together with what is due, which a client that never pauses does not put off.
                () = std::future::ready(()), if busy => {}
                () = self.outbox.ready() => {}
                ready = self.socket.ready(read) => match ready {
                    Ok(readable) => may_read |= readable,
                    Err(_) => return None,
                },
                answers = answer_of(looking) => {
                    self.session.by_host.looking = None;
                    self.session.heed_host(answers).await;
                }
                settled = answer_of(asked) => {
                    self.asked = None;
                    let came = self.session.settle(settled).await;
                    if let Err(end) = self.take(came) {
                        return Some(end);
                    }
                }
                () = &mut timer => {
                    if let Some(reason) = self.tick() {
                        return Some(reason);
                    }
                    timer.as_mut().reset(self.next_deadline());
                }
                _ = &mut stop, if self.ends_at.is_none() => {
                    self.ends_at = Some(Instant::now() + self.shared().farewell());
                }
            }
        }
    }

    /// Whether the client may be heard: not while the host has yet to answer, it is ahead of its rate, or it
    /// has answers to read.
    fn may_read(&mut self) -> bool {
        self.asked.is_none() && self.rates.may_read() && !self.has_to_take()
    }

    /// The client is not heard before it has taken what it asked for.
    fn has_to_take(&self) -> bool {
        self.socket.is_answering() || self.outbox.is_answering()
    }

    /// A client that takes what is written to it is alive, even if its own words are stuck behind it.
    fn alive_at(&self) -> Option<Instant> {
        self.has_to_take().then_some(self.took_at)
    }

    /// More events wait for it than may.
    fn is_behind(&self) -> bool {
        self.outbox.events() > self.shared().config.limits.message_buffer_size
    }

    fn take(&mut self, step: Step) -> Result<(), CloseReason> {
        match step {
            Step::Done => {}
            Step::Say(text) => self.say(&text),
            Step::Ask(asked) => self.asked = Some(asked),
            Step::End(reason) => return Err(reason),
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        let frame = ws_frame::text(text);
        if frame.len() > EVENT_REPLY_BYTES_MAX {
            // Its client takes it before it may ask again.
            self.outbox.push_answer(frame);
            return;
        }
        // What rooms answered to earlier messages goes first, unless the client is behind anyway.
        if self.socket.is_drained() {
            self.socket.queue_taken(&mut self.outbox.take());
        }
        self.socket.queue(frame);
    }

    fn next_deadline(&self) -> Instant {
        let config = &self.shared().config;
        let life = self.pulse.next_deadline(&Beats::of_events(config), self.alive_at());
        let expiry = self.session.time_left().map(|left| Instant::now() + left);
        let patience = Duration::from_secs(config.limits.pong_timeout);
        let slow = self.is_behind().then(|| self.took_at + patience);
        let look = self.session.look_at();
        let soon = [expiry, slow, look, self.rates.next_deadline(), self.ends_at];
        let soon = soon.into_iter().flatten().min();
        soon.map_or(life, |soon| soon.min(life)).max(Instant::now() + Duration::from_millis(1))
    }

    /// Does what is due because time has passed.
    fn tick(&mut self) -> Option<CloseReason> {
        let now = Instant::now();
        if self.ends_at.is_some_and(|at| at <= now) {
            return Some(CloseReason::ShuttingDown);
        }
        if self.session.time_left().is_some_and(|left| left.is_zero()) {
            let step = self.session.expire();
            if let Err(reason) = self.take(step) {
                return Some(reason);
            }
        }
        if let Some(reason) = self.escalate(now) {
            return Some(reason);
        }
        let config = Arc::clone(&self.shared().config);
        let patience = Duration::from_secs(config.limits.pong_timeout);
        if self.is_behind() && self.took_at + patience <= now {
            return Some(CloseReason::SlowConsumer);
        }
        if self.rates.is_empty() || self.asked.is_some() {
            // It cannot be heard because we do not listen.
            self.pulse.heard(now);
        }
        let alive_at = self.alive_at();
        match self.pulse.beat(&Beats::of_events(&config), now, alive_at) {
            Beat::Dead => return Some(CloseReason::Dead),
            Beat::Ping => self.socket.queue(ws_frame::ping()),
            Beat::Nothing => {}
        }
        None
    }

    /// Warns or ends a client that stays ahead of its rate.
    fn escalate(&mut self, now: Instant) -> Option<CloseReason> {
        let step = self.rates.escalate(now)?;
        let rate = self.shared().config.limits.message_rate_limit;
        let reason = self.session.client(&RoomId::events()).stays_ahead(step, rate, self.shared());
        if step == rate::Step::Close {
            return Some(reason);
        }
        if let Step::Say(text) = self.session.refuse(&EventError::Rate, None) {
            self.say(&text);
        }
        None
    }
}
