//! From a request to a session, and whose the session is.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    held::Answer,
    rights::ByHost,
    session::{Known, Session},
};
use crate::{
    auth::token::{ExtractedToken, NoToken, TokenSource},
    error::CloseReason,
    events::{ClientInfo, Reader, Room, hub::EVERYBODY},
    future::BoxFuture,
    host::{HostError, Identity},
    ids::{ConnectionId, RoomId, SessionId},
    limits::TOKEN_BYTES_MAX,
    net::{Shared, places::Place, recheck::Standing, sessions::Joining},
    protocol::events::EventError,
    room::outbox::Outbox,
    telemetry::{correlation::CorrelationId, security::Violation},
    time::unix_ms,
};

/// What a request for events brings along.
#[derive(Debug)]
pub(in crate::net) struct EventsRequest {
    pub session: SessionId,
    pub correlation: CorrelationId,
    pub address: IpAddr,
    pub token: Result<ExtractedToken, NoToken>,
    /// What it understands.
    pub reader: Reader,
}

/// What came of a token.
pub(super) type Shown = Result<Identity, EventError>;

impl EventsRequest {
    /// Takes a place among the sessions for the one among the `half_open`, as whoever the token says, or as
    /// nobody. What is to be said of a token that came along is the second.
    pub(super) async fn enter(
        self,
        shared: &Arc<Shared>,
        outbox: &Arc<Outbox>,
        half_open: &mut Option<Place>,
    ) -> Result<(Session, Option<Result<(), EventError>>), CloseReason> {
        let Self { session, correlation, address, token, reader } = self;
        let joining = shared.sessions.begin();
        let is_own = token.as_ref().is_ok_and(|token| shared.is_own(&token.token));
        let shown = match token {
            Ok(token) if is_own => Some(Ok((admin("engine:stress", "Load test"), token.token))),
            Err(NoToken::Missing) => None,
            Err(_) => Some(Err(EventError::Token)),
            Ok(token) => {
                if token.via == TokenSource::Query {
                    log::warn!(
                        event = "token_in_url", connection = session.0,
                        correlation_id = correlation.as_str(), address:% = address;
                        "a token came in the URL of a request from {address}; use a subprotocol"
                    );
                }
                let about = About { session, correlation: &correlation, address };
                let identity = authenticate(shared, &token.token, &about).await;
                Some(identity.map(|identity| (identity, token.token)))
            }
        };
        let user = shown.as_ref().and_then(|shown| shown.as_ref().ok());
        let user_id = user.map(|(identity, _)| identity.user_id.as_str());
        let admitted = if is_own {
            Ok(joining.admit_own(ConnectionId(session.0), Arc::clone(outbox)))
        } else {
            joining.admit(ConnectionId(session.0), address, user_id, Arc::clone(outbox))
        };
        let admission = admitted.inspect_err(|reason| {
            if let CloseReason::ConnectionLimit(_) = reason {
                let flood = Violation::ConnectionFlood;
                shared.security.report(flood, address, user_id, &correlation);
            }
        })?;
        *half_open = None;
        let info = ClientInfo::new(session, address, unix_ms());
        let patience = shared.config.events.auth_timeout_seconds;
        let mut entered = Session {
            shared: Arc::clone(shared),
            info,
            correlation,
            outbox: Arc::clone(outbox),
            reader,
            admission,
            known: None,
            former: None,
            by_host: ByHost::default(),
            expired_at: None,
            nobody_until: (patience > 0).then(|| Instant::now() + Duration::from_secs(patience)),
        };
        shared.metrics.event_connections.add(1);
        let everybody: Room = EVERYBODY.into();
        if shared.events.join(&everybody, entered.member(false), None, None).await.is_err() {
            return Err(CloseReason::ShuttingDown);
        }
        let told =
            shown.map(|shown| shown.map(|(identity, token)| entered.becomes(identity, token)));
        Ok((entered, told))
    }
}

/// Somebody the engine itself knows.
fn admin(user_id: &str, name: &str) -> Identity {
    Identity {
        user_id: user_id.into(),
        name: name.into(),
        role: "admin".into(),
        expires_at_ms: None,
        room_patterns: Vec::new(),
        api_user: None,
    }
}

/// Whom a token is about, for log lines and reports.
pub(super) struct About<'a> {
    pub session: SessionId,
    pub correlation: &'a CorrelationId,
    pub address: IpAddr,
}

/// Asks the host whose a token is, unless it is the operator's, which opens the same here as over HTTP.
pub(super) async fn authenticate(shared: &Shared, token: &str, about: &About<'_>) -> Shown {
    if shared.is_operators(token) {
        return Ok(admin("engine:operator", "Operator"));
    }
    let room = RoomId::events();
    let About { session, correlation, address } = about;
    let refused = |why: &dyn std::fmt::Display, code: &str| {
        log::info!(
            event = "auth_refused", connection = session.0, correlation_id = correlation.as_str(),
            room = room.as_str(), address:% = address, code = code, error:% = why;
            "connection {} for events: a token was refused: {why}", session.0
        );
    };
    let failed = || {
        shared.security.report(Violation::AuthFailed, *address, None, correlation);
        EventError::Token
    };
    let length = 1..=TOKEN_BYTES_MAX;
    if !length.contains(&token.len()) || shared.denials.get(token, &room).is_some() {
        refused(&"it was refused a moment ago, is empty, or is too long", "AUTH_FAILED");
        return Err(failed());
    }
    let time = Duration::from_millis(shared.config.auth.timeout_ms);
    let answer = timeout(time, shared.host.authenticate(token)).await;
    match answer.unwrap_or(Err(HostError::Timeout)) {
        Ok(identity) => {
            let user = identity.user_id.as_str();
            log::debug!(
                event = "auth_accepted", connection = session.0,
                correlation_id = correlation.as_str(), room = room.as_str(), address:% = address,
                user = user;
                "connection {} for events: it is user {}", session.0, user.escape_debug()
            );
            Ok(identity)
        }
        Err(error) => {
            refused(&error, error.code());
            match error {
                HostError::Unauthenticated(_) | HostError::Denied => {
                    shared.denials.put(token, &room, CloseReason::AuthFailed);
                    Err(failed())
                }
                HostError::Timeout | HostError::Failed(_) => Err(EventError::AuthUnavailable),
            }
        }
    }
}

impl Session {
    /// The session is somebody's from now on.
    pub(super) fn becomes(&mut self, identity: Identity, token: String) {
        // The host knows nothing of the engine's own.
        let watched = !self.shared.is_own(&token) && !self.shared.is_operators(&token);
        let standing = Standing::new(
            (self.info.session, self.correlation.clone()),
            Arc::clone(&self.outbox),
            None,
            token,
            &identity,
        );
        let rechecks = &self.shared.rechecks;
        let watched = if watched {
            rechecks.watch(&identity.user_id, RoomId::events(), standing)
        } else {
            rechecks.keep(&identity.user_id, RoomId::events(), standing)
        };
        self.info.belongs_to(Some((&identity.user_id, &identity.name)));
        self.known = Some(Box::new(Known { identity, watched, role_changes: 0 }));
        self.expired_at = None;
    }

    /// Another token, perhaps another user's, on the live connection; an error = the connection has ended. The host may
    /// have something to say of its rooms.
    pub(super) async fn takes_over(
        &mut self,
        joining: Joining,
        identity: Identity,
        token: String,
    ) -> Result<Option<BoxFuture<'static, Vec<Answer>>>, CloseReason> {
        joining.reassign(&self.admission, &identity.user_id)?;
        let before = self.who_asks().or_else(|| self.former.take().map(|former| *former));
        let another = before.is_none_or(|before| !before.may_the_same_as(&identity));
        self.becomes(identity, token);
        Ok(self.moves(another).await)
    }
}
