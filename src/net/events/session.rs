//! What one client says on its connection for events, and what comes of it.

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::enter::{About, Shown, authenticate};
use crate::{
    error::CloseReason,
    events::{
        ClientInfo, Emit, JoinRefused, Member, Reader, Room, Said,
        rules::{Action, Verdict},
    },
    future::BoxFuture,
    host::{HostError, Identity},
    ids::RoomId,
    limits::EVENT_EXPIRY_GRACE,
    net::{
        Shared,
        client::Client,
        pulse::time_left,
        recheck::Watched,
        sessions::{Admission, Joining},
    },
    protocol::events::{self, Ack, ClientMessage, EventError},
    room::outbox::Outbox,
    telemetry::{correlation::CorrelationId, security::Violation},
    time::unix_ms,
};

/// One client's connection for events, while it lives.
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) info: Arc<ClientInfo>,
    pub(super) correlation: CorrelationId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) reader: Reader,
    /// Its place in the table of connections.
    pub(super) admission: Admission,
    pub(super) known: Option<Box<Known>>,
    /// What the host said of late.
    pub(super) decisions: Vec<Decision>,
    /// When its token's time was over.
    pub(super) expired_at: Option<Instant>,
    /// How long it may be nobody's.
    pub(super) nobody_until: Option<Instant>,
}

/// Whose the session is.
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) watched: Watched,
    /// Changes of the role that its rooms know of.
    pub(super) role_changes: u64,
}

/// The host's word on one room.
pub(super) struct Decision {
    room: Box<str>,
    action: Action,
    allowed: bool,
    at: Instant,
}

/// What a message comes to.
pub(super) enum Step {
    /// Nothing more.
    Done,
    /// An answer.
    Say(String),
    /// The host has to be asked; nothing is read until it has answered.
    Ask(BoxFuture<'static, Settled>),
    /// The end.
    End(CloseReason),
}

/// What the host answered.
pub(super) enum Settled {
    Shown { joining: Joining, token: String, ack: Option<Ack>, shown: Shown },
    Decided { message: ClientMessage, ack: Option<Ack>, allowed: Result<bool, HostError> },
}

impl Session {
    /// Who it is, for log lines and reports.
    pub(super) fn client<'a>(&'a self, room: &'a RoomId) -> Client<'a> {
        Client {
            session: self.info.session,
            correlation: &self.correlation,
            address: self.info.address,
            user_id: self.identity().map_or("", |identity| &identity.user_id),
            room,
        }
    }

    /// Whose it is, as far as the token's time is not over.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.known.as_ref().map(|known| &known.identity)
    }

    /// Does what a message says.
    pub(super) async fn message(&mut self, bytes: &[u8]) -> Step {
        match events::read(bytes) {
            (ack, Ok(message)) => self.obey(message, ack, None).await,
            (ack, Err(error)) => self.refuse(&error, ack.as_deref()),
        }
    }

    /// Goes on once the host has answered.
    pub(super) async fn settle(&mut self, settled: Settled) -> Step {
        match settled {
            Settled::Shown { joining, token, ack, shown } => match shown {
                Ok(identity) => match self.takes_over(joining, identity, token) {
                    Ok(()) => {
                        self.leave_what_is_not_for_it().await;
                        Step::Say(self.authenticated(ack.as_deref()))
                    }
                    Err(reason) => Step::End(reason),
                },
                Err(error) => self.refuse(&error, ack.as_deref()),
            },
            Settled::Decided { message, ack, allowed } => match allowed {
                Ok(allowed) => self.obey(message, ack, Some(allowed)).await,
                Err(_) => self.refuse(&EventError::AuthUnavailable, ack.as_deref()),
            },
        }
    }

    /// What the client is told once it is somebody's.
    pub(super) fn authenticated(&self, ack: Option<&RawValue>) -> String {
        let user_id = self.identity().map_or("", |identity| &identity.user_id);
        let is_root = self.known.as_ref().is_some_and(|known| known.watched.standing().is_admin());
        events::authenticated(user_id, is_root, ack, unix_ms())
    }

    /// Says no, and counts it.
    pub(super) fn refuse(&self, error: &EventError, ack: Option<&RawValue>) -> Step {
        let violation = match error {
            EventError::Format => Some(Violation::HostileMessage),
            EventError::Denied => Some(Violation::PermissionDenied),
            _ => None,
        };
        if let Some(violation) = violation {
            self.client(&RoomId::events()).report(violation, &self.shared);
        }
        self.shared.metrics.event_refusals.inc(error.code());
        log::debug!(
            event = "event_refused", connection = self.info.session.0,
            correlation_id = self.correlation.as_str(), code = error.code();
            "connection {} for events: a message was refused: {}", self.info.session.0, error.code()
        );
        let extended = self.reader.is_extended();
        Step::Say(events::error(error, extended, ack, unix_ms()))
    }

    async fn obey(
        &mut self,
        message: ClientMessage,
        ack: Option<Ack>,
        by_host: Option<bool>,
    ) -> Step {
        let (room, action) = match &message {
            ClientMessage::Auth { .. } | ClientMessage::Ping | ClientMessage::Leave { .. } => {
                return self.without_a_right(message, ack).await;
            }
            ClientMessage::Join { room, .. } => (room, Action::Join),
            ClientMessage::Presence { room } => (room, Action::Presence),
            ClientMessage::Emit { room: None, .. } => {
                if !self.shared.config.events.rules.may_broadcast(self.identity(), &self.role()) {
                    return self.refuse(&EventError::Denied, ack.as_deref());
                }
                return self.perform(message, ack).await;
            }
            ClientMessage::Emit { room: Some(room), .. } => (room, Action::Emit),
        };
        if let Some(allowed) = by_host {
            self.remember(room, action, allowed);
        }
        match self.judge(room, action) {
            Verdict::Allowed => self.perform(message, ack).await,
            Verdict::Denied => self.refuse(&EventError::Denied, ack.as_deref()),
            Verdict::AskHost => self.ask(message, action, ack),
        }
    }

    async fn without_a_right(&mut self, message: ClientMessage, ack: Option<Ack>) -> Step {
        match message {
            ClientMessage::Auth { token } => {
                let joining = self.shared.sessions.begin();
                let shared = Arc::clone(&self.shared);
                let (session, address) = (self.info.session, self.info.address);
                let correlation = self.correlation.clone();
                return Step::Ask(Box::pin(async move {
                    let about = About { session, correlation: &correlation, address };
                    let shown = authenticate(&shared, &token, &about).await;
                    Settled::Shown { joining, token, ack, shown }
                }));
            }
            ClientMessage::Leave { room } => {
                let room: Room = room.into();
                self.info.rooms.lock().remove(&room);
                let ack = ack.map(|ack| (Arc::clone(&self.outbox), ack));
                self.shared.events.leave(&room, self.info.session, ack).await;
            }
            ClientMessage::Ping => return Step::Say(events::pong(ack.as_deref(), unix_ms())),
            _ => {}
        }
        Step::Done
    }

    /// Does what the client may.
    async fn perform(&mut self, message: ClientMessage, ack: Option<Ack>) -> Step {
        match message {
            ClientMessage::Join { room, since, presence } => {
                let max = self.shared.config.limits.max_rooms_per_client;
                let full = {
                    let rooms = self.info.rooms.lock();
                    rooms.len() >= max && !rooms.contains(&*room)
                };
                if full {
                    return self.refuse(&EventError::RoomLimit, ack.as_deref());
                }
                let extended = self.reader.is_extended();
                let member = Member {
                    info: Arc::clone(&self.info),
                    outbox: Arc::clone(&self.outbox),
                    reader: self.reader,
                    watches: presence
                        && extended
                        && self.judge(&room, Action::Presence) == Verdict::Allowed,
                };
                let room: Room = room.into();
                let wanted = ack.clone();
                match self.shared.events.join(&room, member, since, ack).await {
                    Ok(()) => drop(self.info.rooms.lock().insert(room)),
                    Err(JoinRefused) => {
                        return self.refuse(&EventError::RoomsFull, wanted.as_deref());
                    }
                }
            }
            ClientMessage::Emit { event, data, room, echo, key } => {
                if let Some(room) = &room {
                    let rules = &self.shared.config.events.rules;
                    let user = self.identity().map(|identity| identity.user_id.as_str());
                    if !rules.takes_event(user, room, &event) || !self.may_be_in(room) {
                        return self.refuse(&EventError::Denied, ack.as_deref());
                    }
                }
                let emit = Emit {
                    room: room.unwrap_or_default().into(),
                    said: Said {
                        event: event.into(),
                        data,
                        from: Some(self.info.author()),
                        at_ms: unix_ms(),
                        key: key.map(Into::into),
                        shown: None,
                    },
                    by: Some(Arc::clone(&self.outbox)),
                    except: (!echo).then_some(self.info.session),
                    ack: ack.map(|ack| (Arc::clone(&self.outbox), ack)),
                    begun: Instant::now(),
                };
                self.shared.events.emit(emit).await;
            }
            ClientMessage::Presence { room } => {
                if !self.may_be_in(&room) {
                    return self.refuse(&EventError::Denied, ack.as_deref());
                }
                let people = self.shared.events.people(&room.as_str().into()).await;
                return Step::Say(events::people(&room, &people, ack.as_deref(), unix_ms()));
            }
            _ => {}
        }
        Step::Done
    }

    /// Whether it is in a room, or may go in without the host being asked.
    fn may_be_in(&self, room: &str) -> bool {
        self.info.rooms.lock().contains(room) || self.judge(room, Action::Join) == Verdict::Allowed
    }

    fn role(&self) -> Box<str> {
        self.known.as_ref().map(|known| known.watched.standing().role()).unwrap_or_default()
    }

    fn judge(&self, room: &str, action: Action) -> Verdict {
        let rules = &self.shared.config.events.rules;
        match rules.judge(self.identity(), &self.role(), room, action) {
            Verdict::AskHost => {
                let known = self
                    .decisions
                    .iter()
                    .find(|known| *known.room == *room && known.action == action)
                    .filter(|known| known.at.elapsed() < self.decision_life());
                match known {
                    Some(known) if known.allowed => Verdict::Allowed,
                    Some(_) => Verdict::Denied,
                    None => Verdict::AskHost,
                }
            }
            verdict => verdict,
        }
    }

    fn ask(&self, message: ClientMessage, action: Action, ack: Option<Ack>) -> Step {
        let shared = Arc::clone(&self.shared);
        let identity = self.identity().cloned();
        let time = Duration::from_millis(self.shared.config.auth.timeout_ms);
        Step::Ask(Box::pin(async move {
            let room = match &message {
                ClientMessage::Join { room, .. }
                | ClientMessage::Presence { room }
                | ClientMessage::Emit { room: Some(room), .. } => room.as_str(),
                _ => "",
            };
            let asked = shared.host.authorize_event(identity.as_ref(), room, action.name());
            let allowed = timeout(time, asked).await.unwrap_or(Err(HostError::Timeout));
            Settled::Decided { message, ack, allowed }
        }))
    }

    /// The host is asked again when it would be asked about the session itself.
    fn decision_life(&self) -> Duration {
        Duration::from_secs(self.shared.config.auth.recheck_seconds)
    }

    fn remember(&mut self, room: &str, action: Action, allowed: bool) {
        let life = self.decision_life();
        self.decisions.retain(|known| {
            known.at.elapsed() < life && !(*known.room == *room && known.action == action)
        });
        // As many as there may be rooms, for each of the three.
        if self.decisions.len() >= self.shared.config.limits.max_rooms_per_client.saturating_mul(3)
        {
            self.decisions.remove(0);
        }
        self.decisions.push(Decision { room: room.into(), action, allowed, at: Instant::now() });
    }

    /// Leaves what a changed role no longer may hear.
    pub(super) async fn heed_changes(&mut self) {
        let Some(known) = &mut self.known else { return };
        let changes = known.watched.standing().role_changes();
        if std::mem::replace(&mut known.role_changes, changes) != changes {
            self.leave_what_is_not_for_it().await;
        }
    }

    /// Leaves the rooms that whoever the session is now may not hear. What the host said of another is not
    /// known to hold.
    pub(super) async fn leave_what_is_not_for_it(&mut self) {
        let rooms: Vec<Room> = self.info.rooms.lock().iter().cloned().collect();
        for room in rooms {
            if self.judge(&room, Action::Join) != Verdict::Denied {
                continue;
            }
            self.info.rooms.lock().remove(&room);
            self.shared.events.leave(&room, self.info.session, None).await;
            if self.reader.is_extended() {
                let text = events::left(&room, None, unix_ms());
                self.outbox.push(crate::protocol::ws_frame::text(&text));
            }
        }
    }

    /// How long the token still holds, or how long the client has left to bring one.
    pub(super) fn time_left(&self) -> Option<Duration> {
        if let Some(expired_at) = self.expired_at {
            return Some((expired_at + EVENT_EXPIRY_GRACE).duration_since(Instant::now()));
        }
        match &self.known {
            Some(known) => time_left(known.watched.standing().expires_at_ms()),
            None => self.nobody_until.map(|until| until.duration_since(Instant::now())),
        }
    }

    /// The time is over: first the session is nobody's and its client is told, then it ends.
    pub(super) fn expire(&mut self) -> Step {
        if self.expired_at.is_some() {
            return Step::End(CloseReason::TokenExpired);
        }
        if self.known.is_none() {
            return Step::End(CloseReason::AuthFailed);
        }
        self.known = None;
        self.decisions.clear();
        self.expired_at = Some(Instant::now());
        self.refuse(&EventError::Expired, None)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let everybody: Room = crate::events::hub::EVERYBODY.into();
        let rooms = self.info.rooms.lock().drain().chain([everybody]).collect();
        self.shared.events.gone(self.info.session, rooms);
        self.shared.metrics.event_connections.sub(1);
    }
}
