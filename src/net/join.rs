//! From a request's URL and headers to a session in a room.

use std::{net::IpAddr, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use tokio::{
    sync::{mpsc::error::TrySendError, oneshot},
    time::timeout,
};

use crate::{
    auth::token::{ExtractedToken, TokenSource},
    error::CloseReason,
    host::{Grant, HostError, Identity},
    ids::{ConnectionId, RoomId, SessionId},
    limits::{JOIN_TIMEOUT, LEAVE_TIMEOUT},
    net::{
        Shared,
        client::Client,
        places::Place,
        recheck::{Standing, Watched},
        sessions::Admission,
    },
    protocol::control::ServerControl,
    room::{
        NewMember, RECORDS, RoomCommand, member::AckMode, outbox::Outbox, registry::RoomHandle,
    },
    telemetry::{correlation::CorrelationId, security::Violation},
};

/// What a WebSocket request asks for. Made before the 101, judged after it, because browsers cannot see an
/// HTTP status.
#[derive(Debug)]
pub struct JoinRequest {
    /// The connection's number.
    pub connection: ConnectionId,
    /// What the connection is called in logs, hooks and errors.
    pub correlation: CorrelationId,
    /// Where it comes from.
    pub address: IpAddr,
    /// The room's type and id as the URL names them.
    pub target: Result<RoomId, CloseReason>,
    /// The token, if a usable one was sent.
    pub token: Option<ExtractedToken>,
    /// The room as the URL spells it, where that is not our own name of it.
    pub spelled: Option<Box<str>>,
    /// How updates are to be acknowledged.
    pub ack: AckMode,
    /// The room as the client names it, if it asked for the JSON protocol.
    pub json: Option<Box<str>>,
}

/// A session in a room.
#[derive(Debug)]
pub struct Joined {
    /// Its number.
    pub session: SessionId,
    /// What its connection is called in logs, hooks and errors.
    pub correlation: CorrelationId,
    /// The client's address.
    pub address: IpAddr,
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub grant: Grant,
    /// The room's name.
    pub room_id: RoomId,
    /// The room as the client spells it, where that differs.
    pub spelled: Option<Box<str>>,
    /// Its membership of the room.
    pub membership: Membership,
    /// Its place in the table of connections.
    pub admission: Admission,
    /// Its rights, which are asked for again.
    pub watched: Watched,
}

impl JoinRequest {
    /// Authenticates, authorizes, takes a place among the sessions for the one among the `half_open`, and
    /// joins the room.
    pub async fn join(
        self,
        shared: &Shared,
        outbox: Arc<Outbox>,
        half_open: &mut Option<Place>,
    ) -> Result<Joined, CloseReason> {
        let room_id = self.target?;
        if shared.registry.context().types.of_room(&room_id).is_none() {
            return Err(CloseReason::RoomTypeNotRegistered(room_id.kind().to_owned()));
        }
        let Self { connection, correlation, address, .. } = self;
        let correlation_id = correlation.as_str();
        let say = |code: &str, why: &dyn std::fmt::Display, user: Option<&str>| {
            log::info!(
                event = "auth_refused", connection = connection.0, correlation_id = correlation_id,
                room = room_id.as_str(), address:% = address, user = user, code = code, error:% = why;
                "connection {} to {room_id} refused: {why}", connection.0
            );
        };
        let denied = |reason: CloseReason, user: Option<&str>| {
            let violation = match reason {
                CloseReason::PermissionDenied => Violation::PermissionDenied,
                _ => Violation::AuthFailed,
            };
            shared.security.report(violation, address, user, &correlation);
            reason
        };
        let Some(token) = self.token else {
            say("AUTH_FAILED", &"no usable token was sent", None);
            return Err(denied(CloseReason::AuthFailed, None));
        };
        if token.via == TokenSource::Query {
            log::warn!(
                event = "token_in_url", connection = connection.0, correlation_id = correlation_id,
                address:% = address;
                "a token came in the URL of a request from {address}; use a subprotocol"
            );
        }
        let joining = shared.sessions.begin();
        if let Some(reason) = shared.denials.get(&token.token, &room_id) {
            say(reason.code(), &"it was refused a moment ago", None);
            return Err(denied(reason, None));
        }
        let refused = |error: HostError, user: Option<&str>| {
            say(error.code(), &error, user);
            let reason = match error {
                HostError::Denied => CloseReason::PermissionDenied,
                HostError::Unauthenticated(_) => CloseReason::AuthFailed,
                // A host that could not say did not allow it; that is no fault of the peer.
                HostError::Timeout | HostError::Failed(_) => return CloseReason::AuthFailed,
            };
            shared.denials.put(&token.token, &room_id, reason.clone());
            denied(reason, user)
        };
        let time = Duration::from_millis(shared.config.auth.timeout_ms);
        let identity = timeout(time, shared.host.authenticate(&token.token))
            .await
            .unwrap_or(Err(HostError::Timeout))
            .map_err(|error| refused(error, None))?;
        let user = identity.user_id.as_str();
        let grant = timeout(time, shared.host.authorize(&identity, &room_id))
            .await
            .unwrap_or(Err(HostError::Timeout))
            .map_err(|error| refused(error, Some(user)))?;
        log_accepted(connection, &correlation, &room_id, address, &identity, grant);
        let admitted = joining.admit(connection, address, user, Arc::clone(&outbox));
        // A revocation meanwhile refuses too, and is no fault of the peer.
        if let Err(CloseReason::ConnectionLimit(_)) = &admitted {
            let flood = Violation::ConnectionFlood;
            shared.security.report(flood, address, Some(user), &correlation);
        }
        let admission = admitted?;
        *half_open = None;
        let session = SessionId(connection.0);
        let member = NewMember {
            session,
            identity: identity.clone(),
            grant,
            outbox: Arc::clone(&outbox),
            ack: self.ack,
            json: self.json,
            address,
            correlation: correlation.clone(),
        };
        let room = enter(shared, &room_id, member).await?;
        let standing = Standing::new(
            (session, correlation.clone()),
            outbox,
            Some((room.clone(), grant)),
            token.token,
            &identity,
        );
        let watched = shared.rechecks.watch(user, room_id.clone(), standing);
        Ok(Joined {
            session,
            correlation,
            address,
            identity,
            grant,
            room_id,
            spelled: self.spelled,
            membership: Membership { session, room, left: false },
            admission,
            watched,
        })
    }
}

/// Joins the room, which may have to be loaded first.
async fn enter(
    shared: &Shared,
    room_id: &RoomId,
    member: NewMember,
) -> Result<RoomHandle, CloseReason> {
    let (connection, address) = (member.session.0, member.address);
    let correlation = member.correlation.clone();
    let joined = shared.registry.join(room_id, Box::new(member));
    timeout(JOIN_TIMEOUT, joined).await.unwrap_or_else(|_| {
        log::warn!(
            event = "join_timeout", connection = connection, room = room_id.as_str(),
            correlation_id = correlation.as_str(), address:% = address;
            "connection {connection} to {room_id}: not loaded in time"
        );
        Err(CloseReason::LoadFailed("The record could not be loaded in time".into()))
    })
}

fn log_accepted(
    connection: ConnectionId,
    correlation: &CorrelationId,
    room: &RoomId,
    address: IpAddr,
    identity: &Identity,
    grant: Grant,
) {
    let user = identity.user_id.as_str();
    log::debug!(
        event = "auth_accepted", connection = connection.0, correlation_id = correlation.as_str(),
        room = room.as_str(), address:% = address, user = user, can_edit = grant.can_edit;
        "connection {}: user {} may join {room}", connection.0, user.escape_debug()
    );
}

impl Joined {
    /// An error message of this session.
    pub fn error<'a>(&'a self, code: &'a str, message: &'a str) -> ServerControl<'a> {
        ServerControl::Error {
            code,
            message,
            correlation_id: self.correlation.as_str(),
            room_id: Some(self.room_name()),
        }
    }

    /// What the client calls the room.
    pub fn room_name(&self) -> &str {
        self.spelled.as_deref().unwrap_or(self.room_id.as_str())
    }

    /// Who it is, for log lines and reports.
    pub(super) fn client(&self) -> Client<'_> {
        Client {
            session: self.session,
            correlation: &self.correlation,
            address: self.address,
            user_id: &self.identity.user_id,
            room: &self.room_id,
        }
    }

    /// Gives the place back and leaves the room. Nobody there sees the session any more when this returns,
    /// or [`LEAVE_TIMEOUT`] later if the room is busy.
    pub async fn leave(self) {
        drop((self.admission, self.watched));
        self.membership.leave().await;
    }
}

/// A session's membership of a room. The room hears of its end on every path, a panic of the connection's
/// task included: otherwise the cursor would stay and the room could never leave memory.
#[derive(Debug)]
pub struct Membership {
    session: SessionId,
    room: RoomHandle,
    /// The room has been told.
    left: bool,
}

impl Membership {
    /// Where the session's commands go.
    pub fn room(&self) -> &RoomHandle {
        &self.room
    }

    async fn leave(mut self) {
        let (reply, gone) = oneshot::channel();
        let leave = RoomCommand::Leave { session: self.session, reply: Some(reply) };
        let left = async {
            let sent = self.room.send(leave).await;
            self.left = true;
            // A room that ended meanwhile shows nobody.
            if sent.is_ok() {
                drop(gone.await);
            }
        };
        drop(timeout(LEAVE_TIMEOUT, left).await);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let leave = RoomCommand::Leave { session: self.session, reply: None };
        if let Err(TrySendError::Full(leave)) = self.room.try_send(leave) {
            let room = self.room.clone();
            // A room that ends meanwhile needs no farewell.
            tokio::spawn(async move { drop(room.send(leave).await) });
        }
    }
}

/// The room a path below the configured prefix names: `/<type>/<id>`, the id percent-decoded once, further
/// segments part of the id.
pub fn room_of_path(path: &str) -> Result<RoomId, CloseReason> {
    let invalid = |why: &str| CloseReason::InvalidRoom(why.to_owned());
    // `/realtimenotes/a` begins like a path of ours and is none.
    let (kind, id) = path
        .strip_prefix('/')
        .map(|path| path.trim_start_matches('/'))
        .and_then(|path| path.split_once('/'))
        .ok_or_else(|| invalid("Invalid room URL format"))?;
    let decoded = percent_decode_str(id)
        .decode_utf8()
        .map_err(|_| invalid("The room id is not valid UTF-8"))?;
    let kind = match kind {
        "record" => RECORDS,
        "devices" => "device",
        other => other,
    };
    RoomId::new(kind, &decoded).map_err(|error| invalid(&error.to_string()))
}

/// The room as `path` spells it, where that is not our own name of it.
pub fn spelling(path: &str, room: &RoomId) -> Option<Box<str>> {
    let (kind, _) = path.trim_start_matches('/').split_once('/')?;
    (kind == "record").then(|| format!("{kind}:{}", room.id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_rooms() {
        let room = |path| room_of_path(path).map(|room| room.to_string());
        assert_eq!(room("/records/a").unwrap(), "records:a");
        assert_eq!(room("/record/minutes/2026-03").unwrap(), "records:minutes/2026-03");
        assert_eq!(room("/devices/x").unwrap(), "device:x");
        assert_eq!(room("/notes/%C3%A4%20b%3Fx").unwrap(), "notes:ä b?x");
        for bad in [
            "notes/a",
            "/",
            "/records",
            "/records/",
            "/records/..",
            "/records/%2e%2e/x",
            "/records/%ff",
            "/re%20c/a",
        ] {
            assert!(matches!(room_of_path(bad), Err(CloseReason::InvalidRoom(_))), "{bad}");
        }
    }

    #[test]
    fn ids_are_decoded_once() {
        assert_eq!(room_of_path("/notes/a%252fb").unwrap().id(), "a%2fb");
    }
}
