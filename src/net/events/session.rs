//! What one client says on its connection for events, and what comes of it.

use std::{sync::Arc, time::Duration};

use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    enter::{About, Shown, authenticate},
    held::Answer,
    rights::ByHost,
};
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
    /// Whose it was until its token's time was over.
    pub(super) former: Option<Box<Identity>>,
    /// What the host said of late, and where it is by the host's word.
    pub(super) by_host: ByHost,
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
    Shown {
        joining: Joining,
        token: String,
        ack: Option<Ack>,
        shown: Shown,
    },
    /// Of what a message needs, so much is known by now.
    Decided {
        message: ClientMessage,
        ack: Option<Ack>,
        era: u64,
        told: Result<Told, HostError>,
    },
    /// Another's token; what of its rooms the new one may hear.
    Moved {
        ack: Option<Ack>,
        era: u64,
        answers: Vec<Answer>,
    },
}

/// What the host allows of what a message needs.
pub(super) type Told = Vec<(Action, bool)>;

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
            (ack, Ok(message)) => self.obey(message, ack, Told::new()).await,
            (ack, Err(error)) => self.refuse(&error, ack.as_deref()),
        }
    }

    /// Goes on once the host has answered.
    pub(super) async fn settle(&mut self, settled: Settled) -> Step {
        match settled {
            Settled::Shown { joining, token, ack, shown } => match shown {
                Ok(identity) => match self.takes_over(joining, identity, token).await {
                    Ok(None) => Step::Say(self.authenticated(ack.as_deref())),
                    Ok(Some(asked)) => {
                        let era = self.by_host.era();
                        Step::Ask(Box::pin(async move {
                            Settled::Moved { ack, era, answers: asked.await }
                        }))
                    }
                    Err(reason) => Step::End(reason),
                },
                Err(error) => self.refuse(&error, ack.as_deref()),
            },
            Settled::Decided { message, ack, era, told } => match told {
                // It spoke of whom the session is no more.
                Ok(_) if era != self.by_host.era() => self.obey(message, ack, Told::new()).await,
                Ok(told) => self.obey(message, ack, told).await,
                Err(_) => self.refuse(&EventError::AuthUnavailable, ack.as_deref()),
            },
            Settled::Moved { ack, era, answers } => {
                // With another role it is asked anew. Nobody is told that it is somebody whose time is over.
                if era == self.by_host.era() {
                    self.heed_host(answers).await;
                } else if self.expired_at.is_some() {
                    return self.refuse(&EventError::Expired, ack.as_deref());
                }
                Step::Say(self.authenticated(ack.as_deref()))
            }
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

    /// Does what a message says, if it may. The host is asked for one right after the other; what it `told` of
    /// this message holds for it.
    async fn obey(&mut self, mut message: ClientMessage, ack: Option<Ack>, told: Told) -> Step {
        let room = match &message {
            ClientMessage::Auth { .. } | ClientMessage::Ping | ClientMessage::Leave { .. } => {
                return self.without_a_right(message, ack).await;
            }
            ClientMessage::Emit { room: None, .. } => {
                if !self.shared.config.events.rules.may_broadcast(self.identity(), &self.role()) {
                    return self.refuse(&EventError::Denied, ack.as_deref());
                }
                return self.perform(message, ack).await;
            }
            ClientMessage::Join { room, .. }
            | ClientMessage::Presence { room }
            | ClientMessage::Emit { room: Some(room), .. } => room.clone(),
        };
        if let ClientMessage::Emit { event, .. } = &message {
            let user = self.identity().map(|identity| identity.user_id.as_str());
            if !self.shared.config.events.rules.takes_event(user, &room, event) {
                return self.refuse(&EventError::Denied, ack.as_deref());
            }
        }
        if let Some((action, allowed)) = told.last() {
            self.remember(&room, *action, *allowed);
        }
        for &action in self.rights_of(&message) {
            let verdict = match told.iter().find(|(known, _)| *known == action) {
                Some((_, true)) => Verdict::Allowed,
                Some((_, false)) => Verdict::Denied,
                None => self.judge(&room, action),
            };
            match (verdict, &mut message) {
                (Verdict::Allowed, _) => {}
                (Verdict::AskHost, _) => return self.ask(message, action, ack, told),
                // It comes in all the same, and is told of nobody.
                (Verdict::Denied, ClientMessage::Join { presence, .. })
                    if action == Action::Presence =>
                {
                    *presence = Some(false);
                }
                (Verdict::Denied, _) => return self.refuse(&EventError::Denied, ack.as_deref()),
            }
        }
        self.perform(message, ack).await
    }

    /// What a message needs to be allowed. Whoever speaks in a room or looks into it is in it, or may be.
    fn rights_of(&self, message: &ClientMessage) -> &'static [Action] {
        let is_in = |room: &str| self.info.rooms.lock().contains(room);
        match message {
            ClientMessage::Join { presence: Some(true), .. } if self.reader.is_extended() => {
                &[Action::Join, Action::Presence]
            }
            ClientMessage::Join { .. } => &[Action::Join],
            ClientMessage::Emit { room: Some(room), .. } if is_in(room) => &[Action::Emit],
            ClientMessage::Emit { room: Some(_), .. } => &[Action::Emit, Action::Join],
            ClientMessage::Presence { room } if is_in(room) => &[Action::Presence],
            ClientMessage::Presence { .. } => &[Action::Presence, Action::Join],
            _ => &[],
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
                self.by_host.forget(&room);
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
                let before = || self.by_host.watches(&room);
                let watches = presence.unwrap_or_else(before) && self.reader.is_extended();
                let room: Room = room.into();
                let wanted = ack.clone();
                match self.shared.events.join(&room, self.member(watches), since, ack).await {
                    Ok(()) => {
                        self.info.rooms.lock().insert(Arc::clone(&room));
                        self.hold(&room, watches);
                    }
                    Err(JoinRefused) => {
                        return self.refuse(&EventError::RoomsFull, wanted.as_deref());
                    }
                }
            }
            ClientMessage::Emit { event, data, room, echo, key } => {
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
                let people = self.shared.events.people(&room.as_str().into()).await;
                return Step::Say(events::people(&room, &people, ack.as_deref(), unix_ms()));
            }
            _ => {}
        }
        Step::Done
    }

    /// It, as a room knows it.
    pub(super) fn member(&self, watches: bool) -> Member {
        Member {
            info: Arc::clone(&self.info),
            outbox: Arc::clone(&self.outbox),
            reader: self.reader,
            watches,
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
        self.former = self.who_asks().map(Box::new);
        self.known = None;
        self.info.expires();
        self.by_host.begin_era();
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
