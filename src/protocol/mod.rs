//! Codecs without I/O: bytes in, typed messages out, and the guard in front of yrs.
//!
//! [`sync`] speaks y-websocket on top of [`lib0`], [`json`] the first documents' protocol, [`control`] what is said
//! beside both, [`events`] go-deployd's protocol of rooms without a document. Nothing here knows a socket or a
//! room, and nothing here trusts a declared count: every read is checked against what is left.

pub mod control;
pub mod events;
pub mod guard;
pub mod json;
pub mod lib0;
pub mod sync;
pub mod ws_frame;

pub(crate) use guard::json_depth_exceeded;
