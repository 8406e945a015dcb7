//! The engine over real sockets. One binary; only the host is a fake, because its faults cannot be caused.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![allow(clippy::disallowed_types, reason = "clients are plain threads on the real clock")]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

mod acks;
mod autobahn;
mod awareness;
mod bad_input;
mod collab_snapshot;
mod copies;
mod correlation;
mod documents;
mod drafts;
mod events;
#[cfg(target_os = "linux")]
mod events_bounds;
mod events_by_host;
mod events_checks;
mod events_delivery;
mod events_door;
mod events_http;
mod events_life;
#[cfg(target_os = "linux")]
mod events_load;

mod events_rights;
#[cfg(target_os = "linux")]
mod flow;
mod front_door;
mod handled;
mod host_api;
mod http;
mod invariants;
mod json_clients;
mod lifecycle;
mod limits;
mod logging;
mod lossy;
#[cfg(target_os = "linux")]
mod memory;
mod metric_names;
mod operations;
mod places;
mod rechecks;
mod records;
mod sessions;
mod standalone;
#[cfg(target_os = "linux")]
mod storage;
mod support;
mod sync;
mod tls;
