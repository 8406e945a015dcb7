//! Codecs without I/O: bytes in, typed messages out, and the guard in front of yrs.
//!
//! [`sync`] speaks y-websocket, [`control`] the JSON beside it; both stand on [`lib0`]. Nothing here knows
//! a socket or a room, and nothing here trusts a declared count: every read is checked against what is left.

pub mod control;
pub mod guard;
pub mod lib0;
pub mod sync;

pub(crate) use guard::json_depth_exceeded;
