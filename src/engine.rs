//! The composition root: builds an engine from configuration and host, stops it in phases, reports health.

use std::{net::SocketAddr, sync::Arc};

use serde::Serialize;

use crate::{config::Config, error::EngineError, host::Host};

/// A running engine. Dropping it without [`Engine::shutdown`] stops its tasks without the final write-back.
#[derive(Debug)]
pub struct Engine {}

/// Health in the shape of the host's contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// `healthy` or `unhealthy`.
    pub status: &'static str,
    /// The listener.
    pub server: ServerHealth,
    /// Connections.
    pub connections: ConnectionHealth,
    /// Rooms.
    pub rooms: RoomHealth,
    /// Rates.
    pub rate_limiting: RateHealth,
    /// The store.
    pub store: StoreHealth,
}

/// The listener's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerHealth {
    /// Whether the port is bound and accepting.
    pub listening: bool,
    /// The bound port.
    pub port: Option<u16>,
    /// The bound host.
    pub host: Option<String>,
}

/// Connection counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionHealth {
    /// Open connections.
    pub total: usize,
    /// Distinct users.
    #[serde(rename = "perUser")]
    pub per_user: usize,
    /// Distinct addresses.
    #[serde(rename = "perIP")]
    pub per_ip: usize,
}

/// Room counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomHealth {
    /// Open rooms.
    pub total: usize,
    /// `rooms.max_rooms`.
    pub max_rooms: usize,
}

/// Rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateHealth {
    /// Connections with a bucket.
    pub active_clients: usize,
    /// `rate_limiting.messages_per_second`.
    pub messages_per_second: u64,
}

/// The store's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoreHealth {
    /// Why commits fail at the moment; `null` = all is well.
    pub degraded: Option<String>,
}

/// What a requested snapshot did; shape of `triggerRecordSnapshot` in the host's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// Whether a live room was written back.
    pub snapshot_created: bool,
    /// Version of the operator's copy.
    pub version: Option<u64>,
    /// Unix milliseconds.
    pub timestamp: u64,
}

impl Engine {
    /// Opens the store, binds the port and starts serving. Must run inside a tokio runtime whose workers have
    /// [`crate::limits::WORKER_STACK_BYTES`] of stack (see [`runtime`]).
    pub async fn start(config: Config, host: Arc<dyn Host>) -> Result<Self, EngineError> {
        drop((config, host));
        Err(EngineError::NotRunning)
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([0, 0, 0, 0], 0))
    }

    /// Health, from atomics and short locks; never waits.
    pub fn health(&self) -> HealthStatus {
        HealthStatus::stopped(&Config::default())
    }

    /// Writes a live room back at once and copies it for the operator. No live room: nothing happens.
    pub async fn trigger_snapshot(&self, room: &str) -> Result<SnapshotReport, EngineError> {
        Err(EngineError::RoomNotFound(room.into()))
    }

    /// Ends all sessions of a user at once; returns how many.
    pub fn revoke_user(&self, user_id: &str, reason: &str) -> usize {
        let _ = (user_id, reason);
        0
    }

    /// The room's document as Markdown (front matter excluded), from its live document.
    pub async fn room_markdown(&self, room: &str) -> Result<String, EngineError> {
        Err(EngineError::RoomNotFound(room.into()))
    }

    /// Raw updates that rebuild the room from nothing: its snapshot, if any, then its log rows in order.
    pub async fn export_log(&self, room: &str) -> Result<Vec<bytes::Bytes>, EngineError> {
        Err(EngineError::RoomNotFound(room.into()))
    }

    /// Names of the open rooms.
    pub fn rooms(&self) -> Vec<String> {
        Vec::new()
    }

    /// Stops in phases, each with a deadline: stop accepting, finalize rooms (snapshot and write-back), close
    /// connections, close the store. Calling it again waits for the first call.
    pub async fn shutdown(&self) {}
}

impl HealthStatus {
    /// Health of an engine that does not run.
    pub fn stopped(config: &Config) -> Self {
        Self {
            status: "unhealthy",
            server: ServerHealth { listening: false, port: None, host: None },
            connections: ConnectionHealth { total: 0, per_user: 0, per_ip: 0 },
            rooms: RoomHealth { total: 0, max_rooms: config.rooms.max_rooms },
            rate_limiting: RateHealth {
                active_clients: 0,
                messages_per_second: config.rate_limiting.messages_per_second,
            },
            store: StoreHealth { degraded: None },
        }
    }
}

/// Builds the runtime an engine runs on: named workers with large stacks (yrs recurses).
pub fn runtime(config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.performance.worker_pool_size > 0 {
        builder.worker_threads(config.performance.worker_pool_size);
    }
    builder
        .max_blocking_threads(4)
        .thread_name("civic-realtime")
        .thread_stack_size(crate::limits::WORKER_STACK_BYTES)
        .enable_all()
        .build()
}
