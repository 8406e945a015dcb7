//! Rooms without a document of ours: whoever embeds the engine handles their connections. They come through the
//! same front door and stand under the same limits, rates and clocks as all others; what they say goes to the
//! handler, message by message, and what it says goes into their outbox.

mod connection;
mod inbox;
mod join;
mod mirror;
mod peer;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicUsize},
};

use bytes::Bytes;

pub(in crate::net) use self::{connection::run, join::HandledRequest, mirror::follow};
pub use self::{
    inbox::Ticket,
    mirror::Mirror,
    peer::{Frames, Peer, PeerState},
};
use crate::{future::BoxFuture, host::Identity};

/// How the connections of a room type are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// The handler says who a connection is; the host is not asked about its token.
    pub authenticates: bool,
}

/// What a handler learns of a connection that wants in.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The connection's way out.
    pub peer: Arc<Peer>,
    /// Where it comes from.
    pub address: IpAddr,
    /// Its token, not verified if the handler authenticates.
    pub token: String,
    /// Request target, query included.
    pub url: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Subprotocols it offers.
    pub protocols: Vec<String>,
    /// Who the host says it is, unless the handler authenticates.
    pub identity: Option<Identity>,
}

/// A connection that has a place among the sessions.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its way out.
    pub peer: Arc<Peer>,
    /// Where it comes from.
    pub address: IpAddr,
    /// Its room is a document of the engine, not the handler's.
    pub document: bool,
    /// Who it is.
    pub identity: Identity,
}

/// Why a handler does not take a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It says no.
    Denied,
    /// It names nobody as whom the connection could be counted.
    Nobody,
    /// It failed, with the code and sentence the client is told.
    Failed {
        /// The error's own code.
        code: String,
        /// One sentence.
        message: String,
    },
    /// `rooms.max_rooms` is reached.
    RoomLimit(String),
    /// It cannot be asked, or does not answer.
    Unavailable(String),
}

/// Whoever handles room types outside of the engine, and follows its connections.
///
/// For one connection the calls come in this order, each after the one before: `connect`, `admitted`, any number
/// of `message`, `closed`. `closed` comes also when the connection went no further than `connect`.
pub trait Handlers: Send + Sync + 'static {
    /// How rooms of this type are handled; `None` = not here.
    fn handling(&self, kind: &str) -> Option<Handling>;

    /// Whether connections to document rooms are told too, by `admitted` and `closed`.
    fn follows_documents(&self) -> bool;

    /// How many rooms it holds by itself; they count towards `rooms.max_rooms`.
    fn rooms_held(&self) -> Arc<AtomicUsize> {
        Arc::default()
    }

    /// Whether a connection may be, and who it is.
    fn connect(&self, opening: Opening) -> BoxFuture<'_, Result<Identity, Refusal>>;

    /// A connection is counted and belongs into its room. The handler acknowledges it ([`Peer::acknowledge`]).
    fn admitted(&self, newcomer: Newcomer) -> BoxFuture<'_, Result<(), Refusal>>;

    /// A message of an admitted connection. Returns once the handler has begun with it; the ticket lives until
    /// it is done.
    fn message<'a>(&'a self, peer: &'a Peer, message: Bytes, ticket: Ticket) -> BoxFuture<'a, ()>;

    /// A connection is gone.
    fn closed<'a>(&'a self, peer: &'a Peer, code: u16, reason: &'a str) -> BoxFuture<'a, ()>;
}

/// Handles nothing.
#[derive(Debug)]
pub struct NoHandlers;

impl Handlers for NoHandlers {
    fn handling(&self, _kind: &str) -> Option<Handling> {
        None
    }

    fn follows_documents(&self) -> bool {
        false
    }

    fn connect(&self, _opening: Opening) -> BoxFuture<'_, Result<Identity, Refusal>> {
        Box::pin(async { Err(Refusal::Denied) })
    }

    fn admitted(&self, _newcomer: Newcomer) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn message<'a>(
        &'a self,
        _peer: &'a Peer,
        _message: Bytes,
        _ticket: Ticket,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    fn closed<'a>(&'a self, _peer: &'a Peer, _code: u16, _reason: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
