//! The configuration of an engine nobody configured.

use std::path::PathBuf;

use super::{
    Admin, Auth, AuthMode, Awareness, Compression, Config, ConnectionCleanup, Durability, Events,
    HostApi, Jwt, LimitsConfig, LogFormat, LogLevel, Markdown, Network, Performance, Presence,
    RateLimiting, Records, Rooms, SnapshotStorage, Snapshots, StoreConfig, Tls,
};

use crate::events::{Rules, redact::Redactions};

impl Config {
    /// The database file that `store.url` names, else `<system data>/realtime/realtime.db`.
    pub fn database_file(&self) -> PathBuf {
        let named = self.store.url.as_deref().and_then(|url| url.strip_prefix("sqlite:"));
        match named {
            // `sqlite://path` and `sqlite:///path` are how other tools write `path` and `/path`.
            Some(path) => PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
            None => self.system_data_dir.join("realtime").join("realtime.db"),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            host: "0.0.0.0".into(),
            port: 3001,
            path: "/realtime".into(),
            system_data_dir: ".system-data".into(),
            rooms: Rooms {
                max_rooms: 100,
                cleanup_timeout: 3600,
                grace_period_ms: 300_000,
                open_types: Vec::new(),
            },
            snapshots: Snapshots {
                enabled: true,
                interval: 300.0,
                max_updates: 100,
                storage: SnapshotStorage::Database,
                compression: Compression::Zstd,
                keep_versions: 3,
                ttl_hours: 48,
                max_bytes_warning: 1024 * 1024,
                durability: Durability::Power,
            },
            store: StoreConfig { url: None },
            rate_limiting: RateLimiting {
                messages_per_second: 10,
                burst: None,
                bytes_per_second: None,
                connections_per_ip: 100,
                connections_per_user: 10,
            },
            connection_cleanup: ConnectionCleanup { enabled: true, stale_threshold: 600 },
            presence: Presence { idle_after_seconds: 60, updates_per_second: 20 },
            tls: Tls::default(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            limits: LimitsConfig {
                max_connections: 10_000,
                ping_interval: 54,
                pong_timeout: 10,
                message_bytes_max: 10 * 1024 * 1024,
                queued_bytes_max: 512 * 1024 * 1024,
                document_bytes_max: 256 * 1024 * 1024,
                max_rooms_per_client: 100,
                message_rate_limit: 100,
                message_burst: None,
                message_buffer_size: 256,
                room_cleanup_interval: 300,
                dead_client_timeout: 60,
            },
            performance: Performance {
                worker_pool_size: 0,
                batch_message_processing: true,
                keep_alive_optimization: true,
            },
            network: Network { tcp_no_delay: true, read_buffer_size: 2048 },
            auth: Auth {
                mode: AuthMode::Jwt,
                jwt: Jwt::default(),
                timeout_ms: 5000,
                recheck_seconds: 60,
                allow_query_token: false,
            },
            records: Records { dir: "records".into(), create_missing: false, watch: true },
            markdown: Markdown::default(),
            awareness: Awareness { ids_max: 8, bytes_max: 16 * 1024, stamp_identity: false },
            admin: Admin { token: None, pages: true },
            host_api: HostApi { url: None, token: None, timeout_ms: 5000 },
            events: Events {
                path: "/socket.io".into(),
                cookie: None,
                auth_timeout_seconds: 0,
                message_bytes_max: 64 * 1024,
                rooms_max: 100_000,
                history_size: 100,
                rules: Rules::default(),
                legacy_collection_broadcast: false,
                redactions: Redactions::default(),
                record_changes: true,
            },
            message_ttl: 3600,
            log_level: LogLevel::Info,
            log_format: LogFormat::Auto,
            pages_dir: None,
            tools_dir: None,
            production: false,
        }
    }
}
