//! One session's protocol: what a client's bytes ask of its room. A connection that carries several documents
//! holds several of these.

use bytes::Bytes;

use crate::{
    error::CloseReason,
    net::{Shared, join::Joined},
    protocol::{
        control::{self, ClientControl, ServerControl},
        guard::{self, Bounds},
        sync::{self, ClientMessage},
    },
    room::RoomCommand,
    telemetry::security::Violation,
    time::unix_ms,
};

/// What a message asks for.
#[derive(Debug)]
pub enum Inbound {
    /// The room is to act.
    Command(RoomCommand),
    /// JSON to be sent back at once.
    Answer(String),
    /// Nothing.
    Nothing,
}

/// A session that speaks y-websocket.
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

    /// Reads one binary message. What is not understood or hostile ends the session.
    pub fn message(&self, bytes: &[u8]) -> Result<Inbound, CloseReason> {
        let session = self.joined.session;
        let command = match sync::decode(bytes) {
            Ok(ClientMessage::Update(update)) => self.update(update, false)?,
            Ok(ClientMessage::SyncStep2(update)) => self.update(update, true)?,
            Ok(ClientMessage::Awareness(body)) => {
                RoomCommand::Awareness { session, body: Bytes::copy_from_slice(body) }
            }
            Ok(ClientMessage::SyncStep1(state_vector)) => {
                guard::scan_state_vector(state_vector)
                    .map_err(|refusal| self.refuse(refusal.code()))?;
                let state_vector = Bytes::copy_from_slice(state_vector);
                RoomCommand::SyncStep1 { session, state_vector }
            }
            Ok(ClientMessage::QueryAwareness) => RoomCommand::QueryAwareness { session },
            Ok(ClientMessage::Json(json)) => return Ok(self.json(json)),
            Err(error) => return Err(self.refuse(error.code())),
        };
        Ok(Inbound::Command(command))
    }

    /// Reads one JSON message. What is not understood is answered, and the session lives on.
    pub fn json(&self, json: &[u8]) -> Inbound {
        let answer = match control::parse(json) {
            Ok(ClientControl::Ping) => ServerControl::Pong { timestamp_ms: unix_ms() }.to_json(),
            Ok(ClientControl::Other) => return Inbound::Nothing,
            Err(error) => {
                self.refuse(error.code());
                let message = "The message is not understood";
                self.joined.error(error.code(), message).to_json()
            }
        };
        Inbound::Answer(answer)
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
