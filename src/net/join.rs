//! From a request's URL and headers to a session in a room.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use percent_encoding::percent_decode_str;
use tokio::{sync::mpsc::error::TrySendError, time::timeout};

use crate::{
    auth::token::{ExtractedToken, TokenSource},
    error::CloseReason,
    host::{Grant, HostError, Identity},
    ids::{ConnectionId, RoomId, SessionId},
    net::{Shared, sessions::Admission},
    room::{
        NewMember, RECORDS, RoomCommand, member::AckMode, outbox::Outbox, registry::RoomHandle,
    },
};

/// What a WebSocket request asks for. Made before the 101, judged after it, because browsers cannot see an
/// HTTP status.
#[derive(Debug)]
pub struct JoinRequest {
    /// The connection's number.
    pub connection: ConnectionId,
    /// The peer.
    pub peer: SocketAddr,
    /// The room's type and id as the URL names them.
    pub target: Result<RoomId, CloseReason>,
    /// The token, if a usable one was sent.
    pub token: Option<ExtractedToken>,
    /// How updates are to be acknowledged.
    pub ack: AckMode,
}

/// A session in a room.
#[derive(Debug)]
pub struct Joined {
    /// Its number.
    pub session: SessionId,
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub grant: Grant,
    /// The room's name.
    pub room_id: RoomId,
    /// Its membership of the room.
    pub membership: Membership,
    /// Its place in the table of connections.
    pub admission: Admission,
}

impl JoinRequest {
    /// Authenticates, authorizes, takes a place and joins the room.
    pub async fn join(self, shared: &Shared, outbox: Arc<Outbox>) -> Result<Joined, CloseReason> {
        let room_id = self.target?;
        if shared.registry.context().types.of_room(&room_id).is_none() {
            return Err(CloseReason::RoomTypeNotRegistered(room_id.kind().to_owned()));
        }
        let token = self.token.ok_or(CloseReason::AuthFailed)?;
        if token.via == TokenSource::Query {
            log::warn!(
                "a token came in the URL of a request from {}; use a subprotocol",
                self.peer.ip()
            );
        }
        let denied = |error: HostError| {
            log::info!("connection {} to {room_id} refused: {error}", self.connection.0);
            match error {
                HostError::Denied => CloseReason::PermissionDenied,
                // A host that could not say did not allow it; the client may try again.
                HostError::Unauthenticated(_) | HostError::Timeout | HostError::Failed(_) => {
                    CloseReason::AuthFailed
                }
            }
        };
        let time = Duration::from_millis(shared.config.auth.timeout_ms);
        let late = |_| denied(HostError::Timeout);
        let identity = timeout(time, shared.host.authenticate(&token.token))
            .await
            .map_err(late)?
            .map_err(denied)?;
        let grant = timeout(time, shared.host.authorize(&identity, &room_id))
            .await
            .map_err(late)?
            .map_err(denied)?;
        let admission = shared.sessions.admit(
            self.connection,
            self.peer.ip(),
            &identity.user_id,
            Arc::clone(&outbox),
        )?;
        let session = SessionId(self.connection.0);
        let member =
            NewMember { session, identity: identity.clone(), grant, outbox, ack: self.ack };
        let room = shared.registry.join(&room_id, Box::new(member)).await?;
        let membership = Membership { session, room };
        Ok(Joined { session, identity, grant, room_id, membership, admission })
    }
}

/// A session's membership of a room. The room hears of its end on every path, a panic of the connection's
/// task included: otherwise the cursor would stay and the room could never leave memory.
#[derive(Debug)]
pub struct Membership {
    session: SessionId,
    room: RoomHandle,
}

impl Membership {
    /// Where the session's commands go.
    pub fn room(&self) -> &RoomHandle {
        &self.room
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let leave = RoomCommand::Leave { session: self.session };
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
    let (kind, id) = path
        .trim_start_matches('/')
        .split_once('/')
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
