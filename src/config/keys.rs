//! The one table of keys. Loading, unknown-key advice, environment names, printing and the default file all
//! read it; nothing else lists keys.

use super::{
    AuthMode, Compression, Config, Durability, LogFormat, LogLevel, SnapshotStorage,
    forms::Rule,
    rules::{Kind, SECRET_BYTES_MIN},
    value::Typed,
};
use crate::events::redact::Redactions;
use crate::markdown::Naming;

/// How far this version honours a key.
#[derive(Clone, Copy)]
pub enum State {
    /// Built: writes the value into the configuration.
    Built(fn(&mut Config, &Typed)),
    /// Known, has no effect yet; a value other than the default warns, and this says what the build does instead.
    Later(&'static str),
    /// Belongs to something that has its own switch; the switch answers, this key stays silent.
    Silent,
    /// Known, not built, and ignoring it would break a promise: a value other than the default is an error.
    Refused,
}

/// One configuration key.
pub struct Key {
    /// Path with dots, such as `rooms.max_rooms`.
    pub path: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Default as text, in the form an environment variable takes; empty = unset.
    pub default: &'static str,
    /// How far this version honours it.
    pub state: State,
    /// One line for people.
    pub doc: &'static str,
}

impl Key {
    /// Whether the key does anything in this version.
    pub fn is_available(&self) -> bool {
        matches!(self.state, Built(_))
    }

    /// The environment variable that sets the key.
    pub fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.path.replace('.', "__").to_ascii_uppercase())
    }
}

/// What the name of every key's environment variable starts with.
pub const ENV_PREFIX: &str = "CIVIC_REALTIME_";

/// All keys, sections together, in the order they are printed.
pub fn all() -> &'static [Key] {
    TABLE
}

/// The key at `path`, spelled as in the table.
pub fn find(path: &str) -> Option<&'static Key> {
    TABLE.iter().find(|key| key.path == path)
}

const fn int(min: u64, max: u64) -> Kind {
    Kind::Int { min, max, unit: "" }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Int { min, max, unit: "seconds" }
}

const fn milliseconds(min: u64, max: u64) -> Kind {
    Kind::Int { min, max, unit: "milliseconds" }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Int { min, max, unit: "bytes" }
}

const fn one_of(choices: &'static [&'static str]) -> Kind {
    Kind::Choice { choices, later: &[] }
}

const PORT: Kind = int(1, 65_535);
const SECONDS: Kind = seconds(1, 31_536_000);
const BYTES: Kind = bytes(1, 1 << 40);
const COUNT: Kind = int(1, 1_000_000);
const SECRET: Kind = Kind::Secret { bytes_min: 1 };
const FILE: Kind = Text(Rule::Any);
const TEXT: Kind = Text(Rule::Any);
const URL: Kind = Text(Rule::Url);

macro_rules! keys {
    ($($path:literal: $kind:expr, $default:literal => $state:expr, $doc:literal;)*) => {
        &[$(Key { path: $path, kind: $kind, default: $default, state: $state, doc: $doc }),*]
    };
}

use Kind::{Bool, Float, Json, List, LooseBool, PublicKey, Text};
use State::{Built, Later, Refused, Silent};

static TABLE: &[Key] = keys! {
    "enabled": LooseBool, "true" => Built(|c, v| c.enabled = v.bool()), "false: the engine starts and nothing listens";
    "host": Text(Rule::Host), "0.0.0.0" => Built(|c, v| c.host = v.string()), "address to bind";
    "port": int(0, 65_535), "3001" => Built(|c, v| c.port = v.u16()), "port to bind; 0 = any free port";
    "path": Text(Rule::UrlPath), "/realtime" => Built(|c, v| c.path = v.string()), "path prefix of room URLs";
    "log_level": one_of(&["debug", "info", "warn", "error"]), "info" => Built(|c, v| c.log_level = log_level(v.str())), "what is logged (also LOG_LEVEL)";
    "log_format": one_of(&["auto", "text", "json"]), "auto" => Built(|c, v| c.log_format = log_format(v.str())), "how the command line writes log lines; auto = text on a terminal, JSON elsewhere";

    "rooms.max_rooms": COUNT, "100" => Built(|c, v| c.rooms.max_rooms = v.usize()), "rooms open at once; above it empty ones leave early, and new ones are refused if there are none";
    "rooms.cleanup_timeout": seconds(0, 31_536_000), "3600" => Built(|c, v| c.rooms.cleanup_timeout = v.u64()), "upper bound for keeping an empty room, in seconds";
    "rooms.grace_period_ms": milliseconds(0, 604_800_000), "300000" => Built(|c, v| c.rooms.grace_period_ms = v.u64()), "time an empty room stays in memory, in milliseconds";
    "rooms.open_types": List(Rule::RoomType), "" => Built(|c, v| c.rooms.open_types = v.list()), "room types that need no record";

    "snapshots.enabled": Bool, "true" => Built(|c, v| c.snapshots.enabled = v.bool()), "whether copies are made for host and operator";
    "snapshots.interval": Float { min: 0.0, max: 31_536_000.0, unit: "seconds" }, "300" => Built(|c, v| c.snapshots.interval = v.f64()), "seconds between write-backs of a changed room; 0 = no timer";
    "snapshots.max_updates": int(0, 1_000_000_000), "100" => Built(|c, v| c.snapshots.max_updates = v.u64()), "updates after which a write-back is due; 0 = never by count";
    "snapshots.storage": one_of(&["database", "filesystem", "api"]), "database" => Built(|c, v| c.snapshots.storage = storage(v.str())), "where the copy goes; api: to the CivicPress API (host_api.url)";
    "snapshots.compression": one_of(&["zstd", "gzip", "none"]), "zstd" => Built(|c, v| c.snapshots.compression = compression(v.str())), "how stored states are compressed";
    "snapshots.keep_versions": int(1, 100_000), "3" => Built(|c, v| c.snapshots.keep_versions = v.usize()), "copies kept per room";
    "snapshots.ttl_hours": Kind::Int { min: 1, max: 876_000, unit: "hours" }, "48" => Built(|c, v| c.snapshots.ttl_hours = v.u64()), "age after which copies of unused rooms go, in hours";
    "snapshots.max_bytes_warning": BYTES, "1048576" => Built(|c, v| c.snapshots.max_bytes_warning = v.u64()), "a larger copy is warned about, in bytes";
    "snapshots.durability": one_of(&["process", "power"]), "power" => Built(|c, v| c.snapshots.durability = durability(v.str())), "what an acknowledged edit survives: the end of the process, or a power cut";
    "store.url": Text(Rule::StoreUrl), "" => Built(|c, v| c.store.url = v.optional()), "sqlite:<path>; default: <system data>/realtime/realtime.db";

    "rate_limiting.messages_per_second": COUNT, "10" => Built(|c, v| c.rate_limiting.messages_per_second = v.u64()), "messages per second and connection; documents, awareness and control (pings, JSON) are counted apart";
    "rate_limiting.burst": int(0, 1_000_000_000), "" => Built(|c, v| c.rate_limiting.burst = v.optional_u64()), "messages a connection may send at once; default: a minute's worth";
    "rate_limiting.bytes_per_second": bytes(0, 1 << 40), "" => Built(|c, v| c.rate_limiting.bytes_per_second = v.optional_u64()), "bytes per second and connection, and as much of sync answers, a minute's worth at once; 0 = no limit; default: 1 MiB, or 1 KiB per message if that is more";
    "rate_limiting.connections_per_ip": COUNT, "100" => Built(|c, v| c.rate_limiting.connections_per_ip = v.usize()), "connections of one address (IPv6: of one /64)";
    "rate_limiting.connections_per_user": COUNT, "10" => Built(|c, v| c.rate_limiting.connections_per_user = v.usize()), "connections of one user";

    "connection_cleanup.enabled": Bool, "true" => Built(|c, v| c.connection_cleanup.enabled = v.bool()), "whether dead peers are looked for";
    "connection_cleanup.check_interval": SECONDS, "60" => Silent, "seconds between looks; every connection watches its own peer, so there are none";
    "connection_cleanup.stale_threshold": SECONDS, "600" => Built(|c, v| c.connection_cleanup.stale_threshold = v.u64()), "silence after which a connection is closed, in seconds";

    "tls.enabled": Bool, "false" => Built(|c, v| c.tls.enabled = v.bool()), "https and wss on the port, without a proxy in front";
    "tls.cert": FILE, "" => Built(|c, v| c.tls.cert = v.optional().map(Into::into)), "file of the certificate chain (PEM)";
    "tls.key": FILE, "" => Built(|c, v| c.tls.key = v.optional().map(Into::into)), "file of the private key (PEM)";
    "tls.require": Bool, "false" => Built(|c, v| c.tls.require = v.bool()), "refuse to start without TLS";

    "presence.idle_after_seconds": SECONDS, "60" => Built(|c, v| c.presence.idle_after_seconds = v.u64()), "seconds without an edit or cursor movement until someone is idle";
    "presence.updates_per_second": int(1, 1000), "20" => Built(|c, v| c.presence.updates_per_second = v.u64()), "cursor frames per second and room";

    "allowed_origins": List(Rule::Origin), "" => Built(|c, v| c.allowed_origins = v.list()), "Origin values let in; empty = the server's own host name";
    "trusted_proxies": List(Rule::Cidr), "" => Built(|c, v| c.trusted_proxies = v.list()), "proxies whose forwarded addresses count (CIDR)";

    "redis.enabled": Bool, "false" => Refused, "another spelling of broker.type: redis";
    "redis.url": URL, "" => Silent, "address of Redis";
    "redis.prefix": TEXT, "civicpress:realtime:" => Silent, "what names in Redis start with";

    "message_ttl": SECONDS, "3600" => Built(|c, v| c.message_ttl = v.u64()), "how long events are kept, in seconds";
    "broker.enabled": Bool, "false" => Silent, "whether nodes share rooms through a broker";
    "broker.type": one_of(&["memory", "redis", "rabbitmq", "nats"]), "memory" => Silent, "which broker";
    "broker.redis.host": Text(Rule::Host), "localhost" => Silent, "address of Redis";
    "broker.redis.port": PORT, "6379" => Silent, "port of Redis";
    "broker.redis.username": TEXT, "" => Silent, "user of Redis";
    "broker.redis.password": SECRET, "" => Silent, "password of Redis";
    "broker.redis.database": int(0, 65_535), "0" => Silent, "database number of Redis";
    "broker.redis.prefix": TEXT, "deployd:" => Silent, "what names in Redis start with";
    "broker.redis.url": URL, "" => Silent, "address of Redis as a URL";
    "broker.redis.cluster": Json, "" => Silent, "nodes of a Redis cluster";
    "broker.redis.sentinel": Json, "" => Silent, "sentinels of Redis";
    "broker.redis.tls": Json, "" => Silent, "encryption towards Redis";
    "broker.rabbitmq.host": Text(Rule::Host), "localhost" => Silent, "address of RabbitMQ";
    "broker.rabbitmq.port": PORT, "5672" => Silent, "port of RabbitMQ";
    "broker.rabbitmq.username": TEXT, "guest" => Silent, "user of RabbitMQ";
    "broker.rabbitmq.password": SECRET, "guest" => Silent, "password of RabbitMQ";
    "broker.rabbitmq.vhost": TEXT, "/" => Silent, "virtual host of RabbitMQ";
    "broker.rabbitmq.exchange": TEXT, "deployd" => Silent, "exchange of RabbitMQ";
    "broker.rabbitmq.url": URL, "" => Silent, "address of RabbitMQ as a URL";
    "broker.rabbitmq.tls": Json, "" => Silent, "encryption towards RabbitMQ";
    "broker.nats.host": Text(Rule::Host), "localhost" => Silent, "address of NATS";
    "broker.nats.port": PORT, "4222" => Silent, "port of NATS";
    "broker.nats.username": TEXT, "" => Silent, "user of NATS";
    "broker.nats.password": SECRET, "" => Silent, "password of NATS";
    "broker.nats.subject": TEXT, "deployd" => Silent, "what subjects in NATS start with";
    "broker.nats.url": URL, "" => Silent, "address of NATS as a URL";
    "broker.nats.cluster": Json, "" => Silent, "servers of a NATS cluster";
    "broker.nats.tls": Json, "" => Silent, "encryption towards NATS";

    "limits.max_connections": COUNT, "10000" => Built(|c, v| c.limits.max_connections = v.usize()), "connections in all";
    "limits.max_rooms_per_client": COUNT, "100" => Built(|c, v| c.limits.max_rooms_per_client = v.usize()), "event rooms of one client";
    "limits.message_rate_limit": COUNT, "100" => Built(|c, v| c.limits.message_rate_limit = v.u64()), "messages per second of a client of events";
    "limits.message_burst": int(1, 1_000_000_000), "" => Built(|c, v| c.limits.message_burst = v.optional_u64()), "messages that a client of events may send at once; default: a second's worth";
    "limits.ping_interval": seconds(1, 3600), "54" => Built(|c, v| c.limits.ping_interval = v.u64()), "seconds between pings";
    "limits.pong_timeout": seconds(1, 3600), "10" => Built(|c, v| c.limits.pong_timeout = v.u64()), "seconds to wait for a sign of life after a ping";
    "limits.message_buffer_size": COUNT, "256" => Built(|c, v| c.limits.message_buffer_size = v.usize()), "events that may wait for a client that takes none for limits.pong_timeout; above it the client is cut off";
    "limits.message_bytes_max": bytes(64, 1 << 30), "10485760" => Built(|c, v| c.limits.message_bytes_max = v.usize()), "largest message, in bytes";
    "limits.queued_bytes_max": bytes(1 << 20, 1 << 40), "536870912" => Built(|c, v| c.limits.queued_bytes_max = v.usize()), "bytes that may wait for all clients together; above it answers wait and slow readers are cut off";
    "limits.document_bytes_max": bytes(1024, 1 << 40), "268435456" => Built(|c, v| c.limits.document_bytes_max = v.u64()), "estimated memory one document may take, in bytes";
    "limits.room_cleanup_interval": SECONDS, "300" => Built(|c, v| c.limits.room_cleanup_interval = v.u64()), "seconds between looks for events that are too old, and rooms that nobody needs";
    "limits.dead_client_timeout": SECONDS, "60" => Built(|c, v| c.limits.dead_client_timeout = v.u64()), "silence after which an event client is gone, in seconds";

    "performance.worker_pool_size": int(0, 1024), "0" => Built(|c, v| c.performance.worker_pool_size = v.usize()), "worker threads; 0 = number of cores";
    "performance.batch_message_processing": Bool, "true" => Built(|c, v| c.performance.batch_message_processing = v.bool()), "neighbouring events in one message, for clients that ask for it; writes are shared in any case";
    "performance.compression_enabled": Bool, "false" => Later("this build has no compression"), "compressed frames";
    "performance.keep_alive_optimization": Bool, "true" => Built(|c, v| c.performance.keep_alive_optimization = v.bool()), "whatever is heard of a client is a sign of life; false: only its pings and pongs are, and each client is asked each limits.ping_interval";

    "network.tcp_no_delay": Bool, "true" => Built(|c, v| c.network.tcp_no_delay = v.bool()), "send small frames at once";
    "network.read_buffer_size": bytes(512, 1 << 20), "2048" => Built(|c, v| c.network.read_buffer_size = v.usize()), "read buffer of a connection, in bytes";
    "network.write_buffer_size": bytes(512, 1 << 24), "16384" => Later("frames are written from where they lie, and no connection has a buffer"), "write buffer of a connection, in bytes";
    "network.compression_threshold": bytes(0, 1 << 30), "1024" => Later("this build has no compression"), "smallest frame that is compressed, in bytes";

    "auth.mode": one_of(&["host", "jwt", "api"]), "" => Built(|c, v| c.auth.mode = auth_mode(v.str(), c.auth.mode)), "who verifies tokens; default: host when embedded, else api with host_api.url, else jwt";
    "auth.jwt.secret": Kind::Secret { bytes_min: SECRET_BYTES_MIN }, "" => Built(|c, v| c.auth.jwt.secret = v.optional()), "shared secret for HS256, HS384, HS512; at least 32 bytes";
    "auth.jwt.public_key": PublicKey, "" => Built(|c, v| c.auth.jwt.public_key = v.optional()), "PEM of a public key for RS*, PS*, ES*, EdDSA";
    "auth.jwt.jwks_file": FILE, "" => Refused, "file of several public keys";
    "auth.jwt.algorithms": List(Rule::Algorithm), "" => Built(|c, v| c.auth.jwt.algorithms = v.list()), "algorithms accepted; empty = those that fit the key";
    "auth.jwt.issuer": TEXT, "" => Built(|c, v| c.auth.jwt.issuer = v.optional()), "required iss claim";
    "auth.jwt.audience": TEXT, "" => Built(|c, v| c.auth.jwt.audience = v.optional()), "required aud claim";
    "auth.jwt.leeway_seconds": seconds(0, 3600), "0" => Built(|c, v| c.auth.jwt.leeway_seconds = v.u64()), "allowed clock difference, in seconds";
    "auth.timeout_ms": milliseconds(1, 600_000), "5000" => Built(|c, v| c.auth.timeout_ms = v.u64()), "time the host has for one call, in milliseconds";
    "auth.recheck_seconds": seconds(1, 86_400), "60" => Built(|c, v| c.auth.recheck_seconds = v.u64()), "seconds between looks whether a session still holds";
    "auth.allow_query_token": Bool, "false" => Built(|c, v| c.auth.allow_query_token = v.bool()), "accept ?token= (deprecated)";

    "records.dir": FILE, "" => Built(|c, v| if let Some(dir) = v.optional() { c.records.dir = dir.into() }), "standalone: folder of Markdown records; default: <CIVIC_DATA_DIR>/records";
    "records.create_missing": Bool, "false" => Built(|c, v| c.records.create_missing = v.bool()), "standalone: an editor's join creates the record";
    "records.watch": Bool, "true" => Built(|c, v| c.records.watch = v.bool()), "standalone: merge outside changes of files";

    "awareness.ids_max": int(1, 10_000), "8" => Built(|c, v| c.awareness.ids_max = v.usize()), "awareness ids one socket may speak for";
    "awareness.bytes_max": bytes(64, 1 << 20), "16384" => Built(|c, v| c.awareness.bytes_max = v.usize()), "bytes of one awareness state";
    "awareness.stamp_identity": Bool, "false" => Built(|c, v| c.awareness.stamp_identity = v.bool()), "write the verified name and id into each awareness state";

    "admin.token": SECRET, "" => Built(|c, v| c.admin.token = v.optional()), "bearer token of operators' routes; none = loopback only";
    "admin.pages": Bool, "true" => Built(|c, v| c.admin.pages = v.bool()), "whether /operator, /self-test.html and /dpd.js are served; they hold no data, and what they ask for is guarded";
    "markdown.schema": one_of(&["civicpress", "tiptap"]), "civicpress" => Built(|c, v| c.markdown.schema = naming(v.str())), "names of nodes and marks in records' documents; to be chosen before the first record is opened";
    "host_api.url": Text(Rule::HttpUrl), "" => Built(|c, v| c.host_api.url = v.optional()), "microservice: address of the CivicPress API, such as http://api:3000";
    "host_api.token": SECRET, "" => Built(|c, v| c.host_api.token = v.optional()), "microservice: token or API key of a user who may view and edit all records";
    "host_api.timeout_ms": milliseconds(1, 600_000), "5000" => Built(|c, v| c.host_api.timeout_ms = v.u64()), "microservice: time for one call with its retries, in milliseconds";
    "events.legacy_collection_broadcast": Bool, "false" => Built(|c, v| c.events.legacy_collection_broadcast = v.bool()), "changes of collections reach all connections, joined or not, as go-deployd's clients expect; whoever connects hears them";
    "events.redacted_fields": List(Rule::Any), "" => Built(|c, v| c.events.redactions = Redactions::new(&v.list())), "fields of documents that nobody hears, as field or collection.field; passwords and tokens never are";
    "events.record_changes": Bool, "true" => Built(|c, v| c.events.record_changes = v.bool()), "changes of records are changes of the collection records";
    "events.path": Text(Rule::UrlPath), "/socket.io" => Built(|c, v| v.str().trim_end_matches('/').clone_into(&mut c.events.path)), "path of connections for events, with and without a slash at its end; <path>/events is always one";
    "events.cookie": Text(Rule::Any), "" => Built(|c, v| c.events.cookie = v.optional()), "name of a cookie that holds the token of who connects for events; none = no cookie is read";
    "events.auth_timeout_seconds": seconds(0, 86_400), "0" => Built(|c, v| c.events.auth_timeout_seconds = v.u64()), "time a client of events has to show a token that holds, in seconds; 0 = it may stay without";
    "events.message_bytes_max": bytes(64, 1 << 24), "65536" => Built(|c, v| c.events.message_bytes_max = v.usize()), "largest message of a client of events, in bytes";
    "events.rooms_max": COUNT, "100000" => Built(|c, v| c.events.rooms_max = v.usize()), "event rooms in all";
    "events.rules": Json, "" => Built(|c, v| c.events.rules = v.rules()), "who may join, emit and broadcast, by room pattern";
    "events.history_size": int(0, 1_000_000), "100" => Built(|c, v| c.events.history_size = v.usize()), "events kept per room";
};

fn log_level(name: &str) -> LogLevel {
    match name {
        "debug" => LogLevel::Debug,
        "warn" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

fn log_format(name: &str) -> LogFormat {
    match name {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => LogFormat::Auto,
    }
}

fn storage(name: &str) -> SnapshotStorage {
    match name {
        "filesystem" => SnapshotStorage::Filesystem,
        "api" => SnapshotStorage::Api,
        _ => SnapshotStorage::Database,
    }
}

fn compression(name: &str) -> Compression {
    match name {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        _ => Compression::Zstd,
    }
}

fn naming(name: &str) -> Naming {
    if name == "tiptap" { Naming::Tiptap } else { Naming::CivicPress }
}

fn durability(name: &str) -> Durability {
    if name == "process" { Durability::Process } else { Durability::Power }
}

/// Unset keeps `mode`: its default depends on how the engine runs.
fn auth_mode(name: &str, mode: AuthMode) -> AuthMode {
    match name {
        "host" => AuthMode::Host,
        "jwt" => AuthMode::Jwt,
        "api" => AuthMode::Api,
        _ => mode,
    }
}
