//! go-deployd's event protocol: one JSON object per text frame, over plain WebSocket.
//!
//! | type | client → server | server → client |
//! |---|---|---|
//! | `connect` | | first: `data {client_id, timestamp}` |
//! | `auth` | `token` | `data {authenticated, is_root, user_id}` |
//! | `join`, `leave` | `room` | nothing |
//! | `emit` | `event`, `data`, `room` (none = everybody) | the same to whom it concerns |
//! | `error` | | `error`, a sentence |
//!
//! Every message of the server has `meta.timestamp` in seconds. What is more stands only in messages to clients
//! that asked for it: `ack` (an id) in one of theirs is answered, and who connects with the subprotocol
//! [`SUBPROTOCOL`] also gets codes, offsets, authors and presence, and with `?batch=true` several messages in one
//! frame, as an array.

mod batch;
mod read;
mod write;

pub use self::{
    batch::Batch,
    read::{Ack, ClientMessage, EventError, Since, is_name, read},
    write::{
        Author, Change, Emission, Extras, Joined, Person, acked, authenticated, change, closing,
        connect, emission, error, joined, left, people, pong,
    },
};

/// The subprotocol of clients that understand more than go-deployd's.
pub const SUBPROTOCOL: &str = "civicpress.events.v1";
