//! Typed configuration with its defaults. Where it comes from (file, environment) stands in the submodules.

mod check;
mod defaults;
mod env;
mod error;
mod file;
pub mod forms;
pub mod keys;
mod load;
mod names;
mod print;
mod reference;
pub mod rules;
mod standalone;
pub mod value;

use std::path::PathBuf;

use crate::events::{Rules, redact::Redactions};
use crate::markdown::Naming;

pub use self::{
    check::validate_auth,
    error::{ConfigError, ConfigErrors, Source},
    load::{EffectiveValue, Loaded, Sources, load, load_value},
    print::{default_file, effective_json, print_effective},
    reference::{REFERENCE_MARK, reference},
    standalone::{SecretError, standalone_secret},
};

/// The effective configuration of one engine. Field paths equal the configuration keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `false`: `initialize()` resolves and nothing listens.
    pub enabled: bool,
    /// Address to bind.
    pub host: String,
    /// Port to bind; 0 = any free port.
    pub port: u16,
    /// Path prefix of room URLs.
    pub path: String,
    /// Folder of the engine's own data (`CIVIC_SYSTEM_DATA_DIR`, else `.system-data`).
    pub system_data_dir: PathBuf,
    /// Room lifecycle.
    pub rooms: Rooms,
    /// The operator's copies and the write-back's timing.
    pub snapshots: Snapshots,
    /// The update log.
    pub store: StoreConfig,
    /// Rates and connection limits.
    pub rate_limiting: RateLimiting,
    /// Dead peers.
    pub connection_cleanup: ConnectionCleanup,
    /// Encryption without a proxy in front.
    pub tls: Tls,
    /// Presence.
    pub presence: Presence,
    /// Allowed `Origin` values; empty = same host name.
    pub allowed_origins: Vec<String>,
    /// Addresses and networks of the proxies whose forwarded addresses count.
    pub trusted_proxies: Vec<String>,
    /// Bounds an operator may change.
    pub limits: LimitsConfig,
    /// Threads.
    pub performance: Performance,
    /// Sockets.
    pub network: Network,
    /// Who may come in.
    pub auth: Auth,
    /// Standalone mode's records.
    pub records: Records,
    /// Awareness bounds.
    pub awareness: Awareness,
    /// Records as documents.
    pub markdown: Markdown,
    /// Operators' routes.
    pub admin: Admin,
    /// Microservice mode: the CivicPress API as host.
    pub host_api: HostApi,
    /// Rooms of events.
    pub events: Events,
    /// How long events are kept, in seconds.
    pub message_ttl: u64,
    /// What is logged.
    pub log_level: LogLevel,
    /// How the command line writes log lines.
    pub log_format: LogFormat,
    /// Folder of built pages to serve at `/` (standalone mode only; set by the command, not a key).
    pub pages_dir: Option<PathBuf>,
    /// Folder of built pages of which only those for operators and `/dpd.js` are served (not a key).
    pub tools_dir: Option<PathBuf>,
    /// Whether this is a deployment and not somebody's machine (`NODE_ENV=production`; not a key).
    pub production: bool,
}

/// `rooms.*`
#[derive(Clone, Debug, PartialEq)]
pub struct Rooms {
    /// Most rooms open at once.
    pub max_rooms: usize,
    /// Upper bound for keeping an empty room, in seconds.
    pub cleanup_timeout: u64,
    /// Time an empty room stays in memory, in milliseconds.
    pub grace_period_ms: u64,
    /// Room types that need no record.
    pub open_types: Vec<String>,
}

/// `snapshots.*`
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshots {
    /// Whether copies are made at all.
    pub enabled: bool,
    /// Seconds between write-backs of a changed room; 0 = no timer. Fractions work.
    pub interval: f64,
    /// Updates after which a write-back is due; 0 = never by count.
    pub max_updates: u64,
    /// Where the operator's copy goes.
    pub storage: SnapshotStorage,
    /// How stored states are compressed.
    pub compression: Compression,
    /// Copies kept per room.
    pub keep_versions: usize,
    /// Age after which copies of unused rooms go, in hours.
    pub ttl_hours: u64,
    /// A copy above this size is warned about, in bytes.
    pub max_bytes_warning: u64,
    /// What an acknowledgement survives.
    pub durability: Durability,
}

/// Where the operator's copy goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStorage {
    /// A database table.
    Database,
    /// Files below the system data folder.
    Filesystem,
    /// The CivicPress API, in microservice mode.
    Api,
}

/// How stored states are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
}

/// What an acknowledgement survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `kill -9` of the process.
    Process,
    /// Loss of power.
    Power,
}

/// `store.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// `sqlite:<path>`; `None` = `<system data>/realtime/realtime.db`.
    pub url: Option<String>,
}

/// `rate_limiting.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimiting {
    /// Messages per second and connection.
    pub messages_per_second: u64,
    /// Messages a connection may send at once; `None` = a minute's worth.
    pub burst: Option<u64>,
    /// Bytes per second and connection; 0 = no limit, `None` = see [`RateLimiting::bytes_per_second`].
    pub bytes_per_second: Option<u64>,
    /// Connections of one address.
    pub connections_per_ip: usize,
    /// Connections of one user.
    pub connections_per_user: usize,
}

impl RateLimiting {
    /// Bytes per second and connection; 0 = no limit. Unset it is 1 MiB, or 1 KiB per message if that is more:
    /// whoever raises the one rate means the other, too.
    pub fn bytes_per_second(&self) -> u64 {
        let by_messages = self.messages_per_second.saturating_mul(1024);
        self.bytes_per_second.unwrap_or(by_messages.max(1024 * 1024))
    }
}

/// `connection_cleanup.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionCleanup {
    /// Whether dead peers are looked for.
    pub enabled: bool,
    /// Silence after which a connection is closed, in seconds.
    pub stale_threshold: u64,
}

/// `tls.*`
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tls {
    /// Whether the port speaks TLS, and nothing else.
    pub enabled: bool,
    /// File of the certificate chain (PEM).
    pub cert: Option<PathBuf>,
    /// File of the private key (PEM).
    pub key: Option<PathBuf>,
    /// Whether to refuse to start without TLS.
    pub require: bool,
}

/// `presence.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Seconds without an edit or cursor movement after which someone is idle.
    pub idle_after_seconds: u64,
    /// Cursor frames per second and room; what comes between is coalesced.
    pub updates_per_second: u64,
}

/// `limits.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Connections in all.
    pub max_connections: usize,
    /// Seconds between pings.
    pub ping_interval: u64,
    /// Seconds to wait for any sign of life after a ping.
    pub pong_timeout: u64,
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// Bytes that may wait for all clients together.
    pub queued_bytes_max: usize,
    /// Estimated memory one document or update may take, in bytes.
    pub document_bytes_max: u64,
    /// Rooms of events of one client.
    pub max_rooms_per_client: usize,
    /// Messages per second of one client on a connection for events, and as many at once.
    pub message_rate_limit: u64,
    /// Messages a client of events may send at once; `None` = a second's worth.
    pub message_burst: Option<u64>,
    /// Events that may wait for a client that takes none for [`Self::pong_timeout`].
    pub message_buffer_size: usize,
    /// Seconds between looks for rooms of events that nobody needs.
    pub room_cleanup_interval: u64,
    /// Silence after which a client of events is gone, in seconds.
    pub dead_client_timeout: u64,
}

/// `events.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Path of connections for events, beside `<path>/events`.
    pub path: String,
    /// Name of a cookie that holds the token.
    pub cookie: Option<String>,
    /// Time a client has to show a token, in seconds; 0 = it may stay without.
    pub auth_timeout_seconds: u64,
    /// Largest message of a client, in bytes.
    pub message_bytes_max: usize,
    /// Rooms there may be.
    pub rooms_max: usize,
    /// Events kept per room.
    pub history_size: usize,
    /// Who may do what in which room.
    pub rules: Rules,
    /// Whether changes of collections reach connections that never joined.
    pub legacy_collection_broadcast: bool,
    /// Fields nobody hears.
    pub redactions: Redactions,
    /// Whether changes of records are changes of the collection `records`.
    pub record_changes: bool,
}

/// `performance.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// Worker threads; 0 = number of cores.
    pub worker_pool_size: usize,
    /// Whether clients may ask for several events in one message.
    pub batch_message_processing: bool,
    /// Whether messages are signs of life, and not only pings and pongs.
    pub keep_alive_optimization: bool,
}

/// `network.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// `TCP_NODELAY`.
    pub tcp_no_delay: bool,
    /// Read buffer of a connection, in bytes.
    pub read_buffer_size: usize,
}

/// `auth.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Who verifies tokens.
    pub mode: AuthMode,
    /// `auth.jwt.*`
    pub jwt: Jwt,
    /// Time the host has for one call, in milliseconds.
    pub timeout_ms: u64,
    /// Time between two looks whether a live session still holds, at most, in seconds.
    pub recheck_seconds: u64,
    /// Whether `?token=` is accepted.
    pub allow_query_token: bool,
}

/// Who verifies tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    /// The embedding host.
    Host,
    /// The engine, by JWT.
    Jwt,
    /// The CivicPress API, over HTTP.
    Api,
}

impl AuthMode {
    /// The value of the key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Jwt => "jwt",
            Self::Api => "api",
        }
    }
}

/// `auth.jwt.*`
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Jwt {
    /// Shared secret for HS256/384/512, at least 32 bytes.
    pub secret: Option<String>,
    /// PEM of a public key for `RS*`, `PS*`, `ES*`, `EdDSA`.
    pub public_key: Option<String>,
    /// Algorithms accepted; empty = those that fit the key.
    pub algorithms: Vec<String>,
    /// Required `iss`.
    pub issuer: Option<String>,
    /// Required `aud`.
    pub audience: Option<String>,
    /// Allowed clock difference, in seconds.
    pub leeway_seconds: u64,
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret must never reach a log.
        f.debug_struct("Jwt").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

/// `records.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// Folder of Markdown records.
    pub dir: PathBuf,
    /// Whether an editor's join creates a missing record.
    pub create_missing: bool,
    /// Whether outside changes of files are merged.
    pub watch: bool,
}

/// `markdown.*`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markdown {
    /// What nodes and marks are called in the documents of records.
    pub schema: Naming,
}

/// `awareness.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awareness {
    /// Ids one socket may speak for.
    pub ids_max: usize,
    /// Bytes of one state.
    pub bytes_max: usize,
    /// Whether the verified identity is put into each state.
    pub stamp_identity: bool,
}

/// `admin.*`
#[derive(Clone, PartialEq, Eq)]
pub struct Admin {
    /// Bearer token of operators' routes; `None` = loopback without forwarded headers only.
    pub token: Option<String>,
    /// Whether the operators' pages and `/dpd.js` are served.
    pub pages: bool,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must never reach a log.
        f.debug_struct("Admin").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// `host_api.*`
#[derive(Clone, PartialEq, Eq)]
pub struct HostApi {
    /// Address of the CivicPress API, such as `http://api:3000`.
    pub url: Option<String>,
    /// Token of the service's own user.
    pub token: Option<String>,
    /// Time for one call with all its attempts, in milliseconds.
    pub timeout_ms: u64,
}

impl std::fmt::Debug for HostApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must never reach a log.
        f.debug_struct("HostApi").field("url", &self.url).finish_non_exhaustive()
    }
}

/// `LOG_LEVEL`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Errors only.
    Error,
    /// And warnings.
    Warn,
    /// And what an operator wants to know.
    Info,
    /// And what a developer wants to know.
    Debug,
}

/// `log_format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// The value of the key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

#[cfg(test)]
mod tests;
