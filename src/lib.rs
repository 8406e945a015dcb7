//! The realtime engine of CivicPress.
//!
//! Many people edit one public record at the same time, see each other, and never lose an edit that the
//! server acknowledged. The crate is a Node addon (`binding`) and a plain library for its own tests.
//!
//! # Words
//! - **Host**: whoever owns users, permissions, records, hooks and logs ([`host::Host`]).
//! - **Connection**: one socket. **Session**: one authenticated participation of a connection in a room.
//! - **Room**: `type:id`, the unit of ordering, failure and eviction ([`ids::RoomId`]).
//! - **Document**: a room's yrs doc. **Awareness**: ephemeral JSON state of a client with a clock.
//! - **Update log**: append-only raw updates. **Snapshot**: the compacted state a log starts from.
//! - **Rooms of events**: rooms without a document; what is said in one is heard by all in it ([`events`]).
//! - **Durable**: committed to the log at the configured level. **Outbox**: a connection's bounded queue.
//!
//! `ARCHITECTURE.md` is the map: data's way, invariants and where to start reading.

pub mod auth;
pub mod binding;
pub mod broker;
pub mod compute;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod events;
pub mod future;
pub mod host;
pub mod ids;
pub mod limits;
pub mod maintenance;
pub mod markdown;
pub mod net;
pub mod panics;
pub mod protocol;
pub mod room;
pub mod store;
pub mod telemetry;
pub mod time;
