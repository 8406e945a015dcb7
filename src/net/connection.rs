//! One connection: the loop between a socket and a room. HOT PATH, start reading here.
//!
//! `socket → decode → guard → room` inwards, `outbox → socket` outwards. The task may wait for the room (its
//! mailbox is bounded, so a busy room slows its writers down through TCP); the room never waits for the task.
//! Until the join is complete nothing is read: what the client sends meanwhile waits in the kernel, in order.

mod clock;
pub(super) mod close;
mod pace;

use std::sync::Arc;

use bytes::Bytes;
use tokio::{
    sync::mpsc::error::TrySendError,
    time::{Instant, sleep_until},
};

use crate::{
    error::CloseReason,
    ids::RoomId,
    limits::{ANSWER_RETRY, AWARENESS_QUESTION_COST},
    net::{
        OpenConnection, Shared,
        client::Client,
        handled,
        hearing::{Ears, Hearing},
        join::{JoinRequest, Joined},
        places::Place,
        pulse::Pulse,
        rate::{Class, Rates},
        session::{Session, Spoken},
        socket::Socket,
    },
    protocol::{control::ServerControl, ws_frame},
    room::{RoomCommand, outbox::Outbox},
    time::unix_ms,
};

/// Serves one connection from its 101 to its end. `place` is given back once it is admitted, `open` at its end.
#[allow(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, for the connection's whole life"
)]
pub(crate) fn run(
    mut socket: Socket,
    request: JoinRequest,
    open: OpenConnection,
    place: Place,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> {
    async move {
        let _open = open;
        shared.metrics.connections_opened.inc();
        let outbox = Arc::new(Outbox::default());
        let id = request.connection;
        let correlation = request.correlation.clone();
        let room = request.target.as_ref().ok().cloned();
        let spelled = request.spelled.clone();
        let mut json = request.json.is_some();
        let mut half_open = Some(place);
        // On the heap for their short time, so that the connection's long life carries neither.
        let joined = Box::pin(request.join(&shared, Arc::clone(&outbox), &mut half_open)).await;
        let reason = match joined {
            Ok(joined) => {
                let mirror = Box::pin(handled::follow(&shared, &joined, &outbox, json)).await;
                joined.client().log_connected(Some(joined.grant.can_edit));
                let since = Instant::now();
                let mut connection = Connection::new(&mut socket, &outbox, &shared, &joined, json);
                let reason = connection.serve().await;
                json = connection.speech == Speech::Json;
                drop(mirror);
                connection.hook(&joined, "realtime:client:disconnected");
                joined.client().log_disconnected(reason.as_ref(), since.elapsed());
                if reason.is_some() {
                    // First the others no longer see it, then it is told why.
                    Box::pin(joined.leave()).await;
                }
                reason
            }
            Err(reason) => {
                log::info!(
                    event = "client_refused", connection = id.0, correlation_id = correlation.as_str(),
                    room = room.as_ref().map(RoomId::as_str), code = reason.code();
                    "connection {}: refused: {}", id.0, reason.code()
                );
                Some(reason)
            }
        };
        if let Some(reason) = reason {
            shared.metrics.closes.inc(reason.code());
            let ours = room.as_ref().map(RoomId::as_str);
            let room = spelled.as_deref().filter(|_| json).or(ours);
            let about = close::About { correlation: &correlation, room, json };
            Box::pin(close::close(&mut socket, &reason, &about)).await;
        }
        shared.metrics.bytes_out.add(socket.bytes_out());
        shared.metrics.connections_closed.inc();
    }
}

/// Which protocol the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    /// It has said nothing that tells; it is spoken to as a stock client.
    Undecided,
    /// y-websocket's.
    Binary,
    /// The JSON of the first documents.
    Json,
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
        self.rates.is_empty() || self.asked.is_some() || self.socket.is_answering()
    }

    async fn message(
        &mut self,
        bytes: &[u8],
        is_text: bool,
        now: Instant,
    ) -> Result<(), CloseReason> {
        if is_text || bytes.first() == Some(&b'{') {
            return self.json(bytes, is_text, now).await;
        }
        self.spend(Class::of_message(bytes), 1, now);
        self.sync(bytes, now).await
    }
}

struct Connection<'a> {
    socket: &'a mut Socket,
    outbox: &'a Outbox,
    shared: &'a Shared,
    joined: &'a Joined,
    session: Session<'a>,
    speech: Speech,
    rates: Rates,
    /// The state vector of the sync step 1 that the room has not answered yet: one at a time.
    asked: Option<Bytes>,
    ask_again_at: Option<Instant>,
    /// When the socket got what it is writing.
    filled_at: Instant,
    pulse: Pulse,
    sent_at: Instant,
    written: u64,
    opened_at: Instant,
    stepped: bool,
}

impl<'a> Connection<'a> {
    fn new(
        socket: &'a mut Socket,
        outbox: &'a Outbox,
        shared: &'a Shared,
        joined: &'a Joined,
        json: bool,
    ) -> Self {
        let now = Instant::now();
        Self {
            socket,
            outbox,
            shared,
            joined,
            session: Session::new(shared, joined),
            speech: if json { Speech::Json } else { Speech::Undecided },
            rates: Rates::new(&shared.config.rate_limiting, now),
            asked: None,
            ask_again_at: None,
            filled_at: now,
            pulse: Pulse::new(now),
            sent_at: now,
            written: 0,
            opened_at: now,
            stepped: false,
        }
    }

    /// Serves until somebody ends it; `None` = the peer went by itself.
    async fn serve(&mut self) -> Option<CloseReason> {
        if self.speech == Speech::Json {
            self.ask_for_state().await;
        } else {
            self.say(&ServerControl::ConnectionAck {
                room_id: self.joined.room_id.as_str(),
                client_id: &self.joined.session.client_name(),
                can_edit: Some(self.joined.grant.can_edit),
                correlation_id: self.joined.correlation.as_str(),
            });
        }
        self.hook(self.joined, "realtime:client:connected");
        let mut stopped = self.shared.stopped.clone();
        let stop = stopped.changed();
        tokio::pin!(stop);
        let timer = sleep_until(self.next_deadline());
        tokio::pin!(timer);
        let mut may_read = true;
        loop {
            if let Some(reason) = self.refill().await {
                return Some(reason);
            }
            if self.socket.write().is_err() {
                return None;
            }
            if self.socket.bytes_out() != self.written {
                self.written = self.socket.bytes_out();
                self.sent_at = Instant::now();
            }
            let read = self.may_read();
            // What the room queued while the socket was full announced itself then; nobody will again.
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
            if let Some(at) = self.soon()
                && at < timer.deadline()
            {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                // Looked at together with what is due, which a client that never pauses does not put off.
                () = std::future::ready(()), if busy => {}
                () = self.outbox.ready() => {}
                ready = self.socket.ready(read) => match ready {
                    Ok(readable) => may_read |= readable,
                    Err(_) => return None,
                },
                () = &mut timer => {
                    if let Some(reason) = self.tick().await {
                        return Some(reason);
                    }
                    timer.as_mut().reset(self.next_deadline());
                }
                _ = &mut stop => return Some(CloseReason::ShuttingDown),
            }
        }
    }

    /// Takes what the room queued, once the last lot is written.
    async fn refill(&mut self) -> Option<CloseReason> {
        if !self.socket.is_drained() {
            // A reader that stopped must not keep its session from ending.
            let closing = self.outbox.closing();
            if closing.is_some() {
                self.socket.drop_unsent();
            }
            return closing;
        }
        let mut taken = self.outbox.take();
        if taken.answers > 0 {
            self.asked = None;
            self.filled_at = Instant::now();
            self.spend(Class::Answers, taken.answer_bytes, self.filled_at);
        }
        // Stock y-websocket clients send each awareness frame back: what they are told is theirs to echo.
        self.rates.give_back(Class::Awareness, taken.awareness);
        if taken.answer_deferred {
            self.ask_again_at = Some(Instant::now() + ANSWER_RETRY);
        }
        self.socket.queue_taken(&mut taken);
        if taken.awareness_deferred && taken.closing.is_none() {
            self.send(RoomCommand::QueryAwareness { session: self.joined.session }).await;
        }
        taken.closing
    }

    /// Whether the client may be heard: not while it owes us the reading of what it asked for, while the room
    /// has yet to answer, or while it is ahead of its rate.
    fn may_read(&mut self) -> bool {
        self.rates.may_read() && !self.socket.is_answering() && self.asked.is_none()
    }

    async fn sync(&mut self, bytes: &[u8], now: Instant) -> Result<(), CloseReason> {
        let command = self.session.message(bytes)?;
        if self.speech == Speech::Undecided {
            self.speech = Speech::Binary;
        }
        self.command(command, now).await;
        Ok(())
    }

    /// A client's JSON, in a text or a binary frame; it is answered in the same.
    async fn json(&mut self, json: &[u8], text: bool, now: Instant) -> Result<(), CloseReason> {
        let spoken = self.session.json(json);
        self.spend(spoken.class(), 1, now);
        match spoken {
            Spoken::Document(command) | Spoken::Presence(command) => {
                match self.speech {
                    // Stock clients send no such thing.
                    Speech::Binary => return Ok(()),
                    Speech::Undecided => self.speak_json().await,
                    Speech::Json => {}
                }
                self.command(command, now).await;
            }
            Spoken::Moderation(command) => self.command(command, now).await,
            Spoken::Answer(answer) if text || self.speech == Speech::Json => {
                self.socket.queue(ws_frame::text(&answer));
            }
            Spoken::Answer(answer) => self.socket.queue(ws_frame::binary(answer.as_bytes())),
            Spoken::Nothing => {}
            Spoken::End(reason) => return Err(reason),
        }
        Ok(())
    }

    /// The client's first words were JSON, though it had not asked for that.
    async fn speak_json(&mut self) {
        self.speech = Speech::Json;
        let room_name = self.joined.room_name().into();
        self.send(RoomCommand::SpeakJson { session: self.joined.session, room_name }).await;
        self.ask_for_state().await;
    }

    /// A client that speaks JSON starts from the whole state.
    async fn ask_for_state(&mut self) {
        self.stepped = true;
        let state_vector = Bytes::from_static(&[0]);
        self.asked = Some(state_vector.clone());
        self.send(RoomCommand::SyncStep1 { session: self.joined.session, state_vector }).await;
    }

    async fn command(&mut self, command: RoomCommand, now: Instant) {
        // It answers our step 1 and has asked nothing before: a client that asks does so first of all.
        let is_mute = !self.stepped && matches!(command, RoomCommand::Update { answer: true, .. });
        match &command {
            RoomCommand::SyncStep1 { state_vector, .. } => {
                self.stepped = true;
                self.asked = Some(state_vector.clone());
            }
            RoomCommand::QueryAwareness { .. } => {
                self.spend(Class::Awareness, AWARENESS_QUESTION_COST, now);
            }
            _ => {}
        }
        self.send(command).await;
        if is_mute {
            self.give_state().await;
        }
    }

    /// Sends the whole state to a client that does not ask for it.
    pub(super) async fn give_state(&mut self) {
        self.stepped = true;
        self.send(RoomCommand::GiveState { session: self.joined.session }).await;
    }

    fn say(&mut self, message: &ServerControl<'_>) {
        self.socket.queue(if self.speech == Speech::Json {
            ws_frame::text(&message.to_json())
        } else {
            ws_frame::binary(&message.to_bytes())
        });
    }

    async fn send(&self, command: RoomCommand) {
        let room = self.joined.membership.room();
        let sent = match room.try_send(command) {
            // Waiting is rare; its state is not worth a place in every connection.
            Err(TrySendError::Full(command)) => Box::pin(room.send(command)).await.is_ok(),
            outcome => outcome.is_ok(),
        };
        if !sent {
            // The room is gone; a member of it has been told by its outbox, this covers one that was not.
            self.outbox.close(CloseReason::RoomFailed);
        }
    }

    fn hook(&self, joined: &Joined, name: &'static str) {
        self.shared.host.emit_hook(crate::host::Hook {
            name,
            data: serde_json::json!({
                "clientId": joined.session.client_name(), "roomId": joined.room_id.as_str(),
                "roomType": joined.room_id.kind(), "timestamp": unix_ms(),
                "correlationId": joined.correlation.as_str(),
            }),
        });
    }
}
