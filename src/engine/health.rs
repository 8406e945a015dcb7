//! What an engine says of how it goes.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use serde::Serialize;

use crate::{config::Config, net::Shared, store::StoreStatus, telemetry::metrics::Metrics};

/// Health in the shape of the host's contract.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthStatus {
    /// `healthy`; `degraded`: serves, but see `degraded`; or `unhealthy`.
    pub status: &'static str,
    /// What an operator should look at, one sentence each.
    pub degraded: Vec<String>,
    /// The listener.
    pub server: ServerHealth,
    /// Connections.
    pub connections: ConnectionHealth,
    /// Rooms.
    pub rooms: RoomHealth,
    /// Rates.
    pub rate_limiting: RateHealth,
    /// What happened since the start.
    pub counts: Counts,
    /// The store.
    pub store: StoreHealth,
}

/// The listener's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerHealth {
    /// Whether the port is bound and accepting.
    pub listening: bool,
    /// Open connections, as the documents' sample reads them; equals [`ConnectionHealth::total`].
    pub connections: usize,
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomHealth {
    /// Open rooms.
    pub total: usize,
    /// `rooms.max_rooms`.
    pub max_rooms: usize,
    /// Sessions per open room.
    pub average_size: f64,
    /// Estimated memory of their documents, in bytes.
    pub document_bytes: u64,
}

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Messages received.
    pub messages: u64,
    /// Messages received per second of late.
    pub messages_per_second: u64,
    /// Snapshots stored.
    pub snapshots_saved: u64,
    /// Snapshots that failed.
    pub snapshots_failed: u64,
    /// Rooms opened from a snapshot.
    pub snapshots_loaded: u64,
    /// Rooms whose stored state could not be read.
    pub snapshot_loads_failed: u64,
    /// Tokens that did not hold.
    pub auth_failures: u64,
    /// Users who asked for what they may not.
    pub permission_denials: u64,
    /// Connections ended by the server, by the code of the reason.
    pub disconnects: BTreeMap<&'static str, u64>,
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
    /// What was wrong with the database when it was opened, and where it is now; stays until the next start.
    pub damage: Option<String>,
}

impl HealthStatus {
    /// Health of an engine that does not run.
    pub fn stopped(config: &Config) -> Self {
        Self {
            status: "unhealthy",
            degraded: Vec::new(),
            server: ServerHealth { listening: false, connections: 0, port: None, host: None },
            connections: ConnectionHealth { total: 0, per_user: 0, per_ip: 0 },
            rooms: RoomHealth {
                total: 0,
                max_rooms: config.rooms.max_rooms,
                average_size: 0.0,
                document_bytes: 0,
            },
            counts: Counts::default(),
            rate_limiting: RateHealth {
                active_clients: 0,
                messages_per_second: config.rate_limiting.messages_per_second,
            },
            store: StoreHealth { degraded: None, damage: None },
        }
    }
}

/// Health of a running engine; see [`Engine::health`].
pub(crate) fn health(shared: &Shared) -> HealthStatus {
    let (connections, users, addresses) = shared.sessions.counts();
    let documents = shared.registry.len();
    let rooms = documents + shared.registry.held_elsewhere();
    let config = &shared.config;
    let listening = !shared.is_draining();
    let StoreStatus { degraded: failing, damage, .. } = shared.store.status();
    let store = StoreHealth { degraded: failing, damage };
    let degraded = shared.degraded();
    let healthy = listening
        && store.degraded.is_none()
        && rooms < config.rooms.max_rooms
        && connections < config.rate_limiting.connections_per_ip.saturating_mul(10);
    HealthStatus {
        status: match (healthy, degraded.is_empty()) {
            (true, true) => "healthy",
            (true, false) => "degraded",
            (false, _) => "unhealthy",
        },
        degraded,
        server: ServerHealth {
            listening,
            connections,
            port: listening.then(|| shared.address.port()),
            host: listening.then(|| config.host.clone()),
        },
        connections: ConnectionHealth { total: connections, per_user: users, per_ip: addresses },
        rooms: RoomHealth {
            total: rooms,
            max_rooms: config.rooms.max_rooms,
            average_size: shared.metrics.room_size(documents),
            document_bytes: shared.metrics.document_bytes.get(),
        },
        counts: counts(&shared.metrics),
        rate_limiting: RateHealth {
            active_clients: connections,
            messages_per_second: config.rate_limiting.messages_per_second,
        },
        store,
    }
}

fn counts(metrics: &Metrics) -> Counts {
    Counts {
        messages: metrics.messages_in.get(),
        messages_per_second: metrics.messages_per_second.load(Ordering::Relaxed),
        snapshots_saved: metrics.snapshots.get(),
        snapshots_failed: metrics.snapshot_failures.get(),
        snapshots_loaded: metrics.snapshot_loads.get(),
        snapshot_loads_failed: metrics.snapshot_load_failures.get(),
        auth_failures: metrics.auth_failures.get(),
        permission_denials: metrics.permission_denials.get(),
        disconnects: metrics.closes.all().into_iter().collect(),
    }
}
