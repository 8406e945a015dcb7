//! What every test needs: a server, a host, clients.

pub mod api;
pub mod client;
pub mod echo;
pub mod event_client;
pub mod handlers;
pub mod host;
pub mod json_client;
pub mod log;
pub mod server;

use std::time::{Duration, Instant};

pub use client::Client;
pub use event_client::EventClient;
pub use handlers::FakeHandlers;
pub use host::FakeHost;
pub use json_client::JsonClient;
pub use server::Server;

/// How long a failing test hangs: long, because machines are slow at times.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `condition` holds.
#[track_caller]
#[allow(clippy::disallowed_types, reason = "real time, no runtime here")]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Resident memory of this process, server and clients together, in bytes.
#[cfg(target_os = "linux")]
pub fn resident_bytes() -> u64 {
    bytes_of_status("VmRSS:")
}

/// Memory this process has asked for, used or not, in bytes.
#[cfg(target_os = "linux")]
pub fn reserved_bytes() -> u64 {
    bytes_of_status("VmData:")
}

#[cfg(target_os = "linux")]
fn bytes_of_status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}
