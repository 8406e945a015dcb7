//! The engine over real sockets. One binary; only the host is a fake, because its faults cannot be caused.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod acks;
mod awareness;
mod bad_input;
mod http;
mod invariants;
mod lifecycle;
mod records;
mod support;
mod sync;
