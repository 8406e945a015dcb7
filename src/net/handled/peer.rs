//! A connection as whoever embeds the engine holds it: to be written to from any thread, without waiting.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;

use crate::{
    error::CloseReason,
    ids::{RoomId, SessionId},
    protocol::{control::ServerControl, ws_frame},
    room::outbox::{Outbox, Pushed},
    telemetry::correlation::CorrelationId,
};

/// How text reaches a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// As text frames.
    Text,
    /// As binary frames: stock yjs clients break on text.
    Binary,
}

/// What a connection can still do; the numbers are those of the WebSocket API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// It takes frames.
    Open = 1,
    /// It is being closed.
    Closing = 2,
    /// It is gone.
    Closed = 3,
}

/// The way out to one connection.
#[derive(Debug)]
pub struct Peer {
    session: SessionId,
    correlation: CorrelationId,
    room: RoomId,
    frames: Frames,
    outbox: Arc<Outbox>,
    ended: AtomicBool,
}

impl Peer {
    /// The way out through `outbox`.
    pub fn new(
        session: SessionId,
        correlation: CorrelationId,
        room: RoomId,
        frames: Frames,
        outbox: Arc<Outbox>,
    ) -> Arc<Self> {
        let ended = AtomicBool::new(false);
        Arc::new(Self { session, correlation, room, frames, outbox, ended })
    }

    /// The connection's public name.
    pub fn client_name(&self) -> String {
        self.session.client_name()
    }

    /// What the connection is called in logs, hooks and errors.
    pub fn correlation_id(&self) -> &str {
        self.correlation.as_str()
    }

    /// The room it asked for.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// Queues text. `false` = the connection takes no more, or fell so far behind that it is being closed.
    pub fn send_text(&self, text: &str) -> bool {
        self.push(match self.frames {
            Frames::Text => ws_frame::text(text),
            Frames::Binary => ws_frame::binary(text.as_bytes()),
        })
    }

    /// Queues bytes, as [`Peer::send_text`] does text.
    pub fn send_binary(&self, bytes: &[u8]) -> bool {
        self.push(ws_frame::binary(bytes))
    }

    /// Tells the client that it is in.
    pub fn acknowledge(&self) -> bool {
        let ack = ServerControl::ConnectionAck {
            room_id: self.room.as_str(),
            client_id: &self.client_name(),
            can_edit: None,
            correlation_id: self.correlation_id(),
        };
        self.send_text(&ack.to_json())
    }

    /// Closes the connection once what is queued is written. The first reason stays.
    pub fn close(&self, code: u16, reason: &str) {
        self.outbox.close(CloseReason::ByHandler(code, reason.to_owned()));
    }

    /// What it can still do.
    pub fn state(&self) -> PeerState {
        match (self.ended.load(Ordering::Acquire), self.outbox.is_closing()) {
            (true, _) => PeerState::Closed,
            (_, true) => PeerState::Closing,
            _ => PeerState::Open,
        }
    }

    pub(super) fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Notes that the connection is gone.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn push(&self, frame: Bytes) -> bool {
        !self.ended.load(Ordering::Acquire) && self.outbox.push(frame) == Pushed::Queued
    }
}
