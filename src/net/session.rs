//! One session's protocol: what a client's bytes ask of its room. A connection that carries several documents
//! holds several of these.

use bytes::Bytes;

use crate::{
    error::CloseReason,
    net::{Shared, join::Joined, rate::Class},
    protocol::{
        control::ServerControl,
        guard::{self, Bounds},
        json::{self, ClientJson},
        sync::{self, ClientMessage},
    },
    room::RoomCommand,
    telemetry::security::Violation,
    time::unix_ms,
};

/// What a JSON message asks for.
#[derive(Debug)]
pub enum Spoken {
    /// The room is to act on the document; only clients that speak JSON throughout say so.
    Document(RoomCommand),
    /// The room is to tell where somebody is; only these clients, too.
    Presence(RoomCommand),
    /// The room is to be kept in order.
    Moderation(RoomCommand),
    /// To be sent back at once.
    Answer(String),
    /// Nothing.
    Nothing,
    /// The session is to end.
    End(CloseReason),
}

impl Spoken {
    /// What it is counted as.
    pub fn class(&self) -> Class {
        match self {
            Self::Document(_) | Self::End(_) => Class::Documents,
            Self::Presence(_) => Class::Awareness,
            Self::Moderation(_) | Self::Answer(_) | Self::Nothing => Class::Control,
        }
    }
}

/// Code of the answer to an update that is refused and costs no more than that.
const INVALID_UPDATE: &str = "INVALID_YJS_UPDATE";

/// A session of a room that holds a document.
#[derive(Debug)]
pub struct Session<'a> {
    shared: &'a Shared,
    joined: &'a Joined,
    bounds: Bounds,
}

impl<'a> Session<'a> {
    /// The session of a completed join.
    pub fn new(shared: &'a Shared, joined: &'a Joined) -> Self {
        Self { shared, joined, bounds: Bounds::new(shared.config.limits.document_bytes_max) }
    }

    /// Reads one message of y-websocket's. What is not understood or hostile ends the session.
    pub fn message(&self, bytes: &[u8]) -> Result<RoomCommand, CloseReason> {
        let session = self.joined.session;
        match sync::decode(bytes) {
            Ok(ClientMessage::Update(update)) => self.update(update, false),
            Ok(ClientMessage::SyncStep2(update)) => self.update(update, true),
            Ok(ClientMessage::Awareness(body)) => {
                Ok(RoomCommand::Awareness { session, body: Bytes::copy_from_slice(body) })
            }
            Ok(ClientMessage::SyncStep1(state_vector)) => self.step1(state_vector),
            Ok(ClientMessage::QueryAwareness) => Ok(RoomCommand::QueryAwareness { session }),
            Err(error) => Err(self.refuse(error.code())),
        }
    }

    /// Reads one JSON message. What is not understood is answered, and the session lives on.
    pub fn json(&self, json: &[u8]) -> Spoken {
        let session = self.joined.session;
        match json::read(json) {
            Ok(ClientJson::Ping) => {
                Spoken::Answer(ServerControl::Pong { timestamp_ms: unix_ms() }.to_json())
            }
            Ok(ClientJson::Update { update, answer }) => match self.update(&update, answer) {
                Ok(command) => Spoken::Document(command),
                Err(reason @ CloseReason::DocumentTooLarge) => Spoken::End(reason),
                Err(reason) => self.answer(INVALID_UPDATE, &reason.message()),
            },
            Ok(ClientJson::StateVector(state_vector)) => match self.step1(&state_vector) {
                Ok(command) => Spoken::Document(command),
                Err(reason) => self.answer(INVALID_UPDATE, &reason.message()),
            },
            Ok(ClientJson::Presence(presence)) => {
                Spoken::Presence(RoomCommand::Presence { session, presence: Box::new(presence) })
            }
            Ok(ClientJson::Control(moderation)) if self.joined.watched.standing().is_admin() => {
                Spoken::Moderation(RoomCommand::Moderate {
                    by: Some(session),
                    moderation: Box::new(moderation),
                    reply: None,
                })
            }
            Ok(ClientJson::Control(_)) => {
                let Joined { address, identity, correlation, .. } = self.joined;
                let user = Some(identity.user_id.as_str());
                let denied = Violation::PermissionDenied;
                self.shared.security.report(denied, *address, user, correlation);
                self.answer("PERMISSION_DENIED", "Only admins may do this")
            }
            Ok(ClientJson::Other) => Spoken::Nothing,
            Err(error) => {
                self.refuse(error.code());
                self.answer(error.code(), "The message is not understood")
            }
        }
    }

    fn answer(&self, code: &str, message: &str) -> Spoken {
        Spoken::Answer(self.joined.error(code, message).to_json())
    }

    fn step1(&self, state_vector: &[u8]) -> Result<RoomCommand, CloseReason> {
        guard::scan_state_vector(state_vector).map_err(|refusal| self.refuse(refusal.code()))?;
        let state_vector = Bytes::copy_from_slice(state_vector);
        Ok(RoomCommand::SyncStep1 { session: self.joined.session, state_vector })
    }

    fn update(&self, update: &[u8], answer: bool) -> Result<RoomCommand, CloseReason> {
        // Copied out of the read buffer, which one kept slice would pin.
        let update =
            guard::admit(Bytes::copy_from_slice(update), &self.bounds).map_err(|refusal| {
                let reason = self.refuse(refusal.code());
                // An honest client would send it again at each reconnect; this code tells it to stop.
                if refusal.is_size() { CloseReason::DocumentTooLarge } else { reason }
            })?;
        Ok(RoomCommand::Update { session: self.joined.session, update, answer })
    }

    fn refuse(&self, code: &'static str) -> CloseReason {
        self.shared.metrics.frames_refused.inc(code);
        let Joined { session, correlation, address, identity, room_id, .. } = self.joined;
        let user = identity.user_id.as_str();
        let hostile = Violation::HostileMessage;
        self.shared.security.report(hostile, *address, Some(user), correlation);
        log::warn!(
            event = "frame_refused", connection = session.0, correlation_id = correlation.as_str(),
            room = room_id.as_str(), user = user, code = code;
            "connection {}: a frame of user {} to {} was refused: {code}",
            session.0,
            user.escape_debug(),
            room_id
        );
        CloseReason::Policy(code.into())
    }
}
