//! From a request to a connection its handler has taken.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Handling, Newcomer, Opening, Peer, Refusal,
    inbox::Inbox,
    mirror::{Ending, Mirror},
};
use crate::{
    auth::token::ExtractedToken,
    error::CloseReason,
    host::{HostError, Identity},
    ids::{ConnectionId, RoomId, SessionId},
    net::{
        Shared,
        client::Client,
        head::Head,
        join::JoinRequest,
        places::Place,
        recheck::{Standing, Watched},
        sessions::Admission,
    },
    telemetry::{correlation::CorrelationId, security::Violation},
};

/// A request for a room that somebody else handles.
#[derive(Debug)]
pub(in crate::net) struct HandledRequest {
    pub session: SessionId,
    pub correlation: CorrelationId,
    pub address: IpAddr,
    pub room: RoomId,
    pub handling: Handling,
    pub token: Option<ExtractedToken>,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub protocols: Vec<String>,
}

/// A connection its handler has taken.
#[derive(Debug)]
pub(super) struct Joined {
    pub request: HandledRequest,
    pub identity: Identity,
    /// Its place in the table of connections.
    pub _admission: Admission,
    /// What the host is asked about again; `None` = the handler said who it is.
    pub watched: Option<Watched>,
    pub inbox: Inbox,
    pub ending: Arc<Ending>,
}

impl Joined {
    /// Who it is, for log lines and reports.
    pub(super) fn client(&self) -> Client<'_> {
        Client {
            session: self.request.session,
            correlation: &self.request.correlation,
            address: self.request.address,
            user_id: &self.identity.user_id,
            room: &self.request.room,
        }
    }
}

impl HandledRequest {
    /// What `request` asks for of the handler of its room's type; `None` if it names no room.
    pub(in crate::net) fn new(
        request: JoinRequest,
        handling: Handling,
        head: Head,
    ) -> Option<Self> {
        let JoinRequest { connection, correlation, address, target, token, .. } = request;
        Some(Self {
            session: SessionId(connection.0),
            correlation,
            address,
            room: target.ok()?,
            handling,
            token,
            url: head.target(),
            protocols: head.list("sec-websocket-protocol").into_iter().map(str::to_owned).collect(),
            headers: head.into_headers(),
        })
    }

    /// Authenticates, asks the handler, takes a place among the sessions for the one among the `half_open`, and
    /// has the handler take the connection.
    pub(super) async fn join(
        self,
        shared: &Shared,
        peer: &Arc<Peer>,
        half_open: &mut Option<Place>,
    ) -> Result<Joined, CloseReason> {
        let Some(token) = &self.token else {
            return Err(self.refused(shared, CloseReason::AuthFailed, &"no usable token was sent"));
        };
        let joining = shared.sessions.begin();
        let time = Duration::from_millis(shared.config.auth.timeout_ms);
        let by_host = if self.handling.authenticates {
            None
        } else {
            if let Some(reason) = shared.denials.get(&token.token, &self.room) {
                return Err(self.refused(shared, reason, &"it was refused a moment ago"));
            }
            let asked = timeout(time, shared.host.authenticate(&token.token)).await;
            match asked.unwrap_or(Err(HostError::Timeout)) {
                Ok(identity) => Some(identity),
                Err(error) => {
                    if let HostError::Unauthenticated(_) = error {
                        shared.denials.put(&token.token, &self.room, CloseReason::AuthFailed);
                    }
                    return Err(self.refused(shared, CloseReason::AuthFailed, &error));
                }
            }
        };
        // From here on the handler knows of it, and has to hear of its end.
        let mirror = Mirror::new(Arc::clone(&shared.handlers), Arc::clone(peer));
        let opening = Opening {
            peer: Arc::clone(peer),
            address: self.address,
            token: token.token.clone(),
            url: self.url.clone(),
            headers: self.headers.clone(),
            protocols: self.protocols.clone(),
            identity: by_host.clone(),
        };
        let asked = timeout(time, shared.handlers.connect(opening)).await;
        let identity = match asked.unwrap_or_else(|_| Err(silent())) {
            Ok(identity) => by_host.unwrap_or(identity),
            Err(refusal) => return Err(self.not_taken(shared, refusal)),
        };
        let outbox = Arc::clone(peer.outbox());
        let admitted =
            joining.admit(ConnectionId(self.session.0), self.address, &*identity.user_id, outbox);
        if let Err(CloseReason::ConnectionLimit(_)) = &admitted {
            let user = Some(identity.user_id.as_str());
            shared.security.report(
                Violation::ConnectionFlood,
                self.address,
                user,
                &self.correlation,
            );
        }
        let admission = admitted?;
        *half_open = None;
        let admitting = shared.handlers.admitted(Newcomer {
            peer: Arc::clone(peer),
            address: self.address,
            document: false,
            identity: identity.clone(),
        });
        if let Err(refusal) = timeout(time, admitting).await.unwrap_or_else(|_| Err(silent())) {
            return Err(self.not_taken(shared, refusal));
        }
        let watched = (!self.handling.authenticates).then(|| {
            let standing = Standing::new(
                (self.session, self.correlation.clone()),
                Arc::clone(peer.outbox()),
                None,
                token.token.clone(),
                &identity,
            );
            shared.rechecks.watch(&identity.user_id, self.room.clone(), standing)
        });
        let ending = mirror.ending();
        let inbox = Inbox::open(Arc::clone(&shared.handlers), Arc::clone(peer), mirror);
        Ok(Joined { request: self, identity, _admission: admission, watched, inbox, ending })
    }

    fn not_taken(&self, shared: &Shared, refusal: Refusal) -> CloseReason {
        match refusal {
            Refusal::Denied => {
                self.refused(shared, CloseReason::PermissionDenied, &"the room's handler said no")
            }
            Refusal::Nobody => {
                let why = "the room's handler named nobody";
                self.refused(shared, CloseReason::AuthFailed, &why)
            }
            Refusal::Failed { code, message } => {
                let why = message.clone();
                self.refused(shared, CloseReason::HandlerRefused { code, message }, &why)
            }
            Refusal::RoomLimit(why) => CloseReason::RoomLimit(why),
            Refusal::Unavailable(why) => self.refused(shared, CloseReason::HandlerFailed, &why),
        }
    }

    fn refused(
        &self,
        shared: &Shared,
        reason: CloseReason,
        why: &dyn std::fmt::Display,
    ) -> CloseReason {
        let violation = match reason {
            CloseReason::AuthFailed => Some(Violation::AuthFailed),
            CloseReason::PermissionDenied => Some(Violation::PermissionDenied),
            // A handler that fails is no fault of the peer.
            _ => None,
        };
        if let Some(violation) = violation {
            shared.security.report(violation, self.address, None, &self.correlation);
        }
        log::info!(
            event = "auth_refused", connection = self.session.0,
            correlation_id = self.correlation.as_str(), room = self.room.as_str(),
            address:% = self.address, code = reason.code(), error:% = why;
            "connection {} to {} refused: {why}", self.session.0, self.room
        );
        reason
    }
}

fn silent() -> Refusal {
    Refusal::Unavailable("the room's handler did not answer in time".into())
}
