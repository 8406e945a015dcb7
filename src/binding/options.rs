//! The shapes that cross the border between JavaScript and Rust.

#![allow(clippy::type_complexity, reason = "a callback's type says its arguments and answer")]

use std::collections::HashMap;

use napi::bindgen_prelude::{Buffer, FnArgs, Function, Promise, Uint8Array, Unknown};
use napi_derive::napi;

use crate::{
    binding::rooms::RoomCallbacks,
    config::Rooms,
    engine::{
        SnapshotReport,
        health::{Counts, HealthStatus},
    },
    room::registry::Life,
};

/// Where an engine's configuration comes from.
#[napi(object)]
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// Configuration as JSON text, in place of a file.
    pub config: Option<String>,
    /// Configuration file; without it the usual places are looked at.
    pub config_file: Option<String>,
    /// Environment variables. They are handed over because each JavaScript thread has its own copy and reading
    /// the process's own while JavaScript writes it is not safe.
    pub env: Option<HashMap<String, String>>,
    /// Folder that relative names of configuration files start from; without it the process's.
    pub cwd: Option<String>,
    /// Records are Markdown files in a folder and tokens are verified here, without any host.
    pub standalone: Option<bool>,
}

/// What an engine is made from.
#[napi(object)]
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Folder of built pages to serve at `/` (standalone only).
    pub pages_dir: Option<String>,
    /// Folder of built pages of which only those for operators and `/dpd.js` are served; it need not be there.
    pub tools_dir: Option<String>,
}

/// What an engine starts with. The functions are let go at shutdown.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct EngineCallbacks<'a> {
    /// Where the configuration comes from; it is read at each start.
    pub sources: Option<ConfigSources>,
    /// The host; without it the engine runs standalone.
    pub host: Option<HostCallbacks<'a>>,
    /// Whoever handles room types and follows connections.
    pub rooms: Option<RoomCallbacks<'a>>,
    /// Takes log lines, in batches.
    #[napi(ts_type = "(entries: Array<LogEntry>) => void")]
    pub log: Option<Function<'a, Vec<LogEntry>, Unknown<'static>>>,
}

/// The host's decisions. Each returns a promise; a throw, a rejection, a late answer and nonsense all mean no.
#[napi(object, object_to_js = false)]
pub struct HostCallbacks<'a> {
    /// Turns a token into a user.
    #[napi(ts_type = "(token: string) => Promise<AuthAnswer>")]
    pub authenticate: Function<'a, FnArgs<(String,)>, Promise<AuthAnswer>>,
    /// Says what a user may do in a room.
    #[napi(ts_type = "(caller: Caller, room: string) => Promise<GrantAnswer>")]
    pub authorize: Function<'a, FnArgs<(Caller, String)>, Promise<GrantAnswer>>,
    /// Says whether somebody (`null`: nobody is known) may do something in a room of events.
    #[napi(
        ts_type = "(caller: Caller | null, room: string, action: string) => Promise<GrantAnswer>"
    )]
    pub authorize_event:
        Option<Function<'a, FnArgs<(Option<Caller>, String, String)>, Promise<GrantAnswer>>>,
    /// The record's present text.
    #[napi(ts_type = "(room: string) => Promise<LoadAnswer>")]
    pub load_record: Function<'a, FnArgs<(String,)>, Promise<LoadAnswer>>,
    /// Replaces the record's text if its source still holds `expected` (`null`: the record did not exist).
    #[napi(
        ts_type = "(room: string, text: string, expected: string | null) => Promise<SaveAnswer>"
    )]
    pub save_record: Function<'a, FnArgs<(String, String, Option<String>)>, Promise<SaveAnswer>>,
    /// The texts are Markdown from the first byte: what looks like front matter is none.
    pub bodies_only: Option<bool>,
    /// The host's own copies of rooms; without it the engine's store keeps them.
    pub copies: Option<CopyCallbacks<'a>>,
    /// Is told a fact; `data` is JSON text of an object.
    #[napi(ts_type = "(name: string, data: string) => void")]
    pub emit_hook: Option<Function<'a, FnArgs<(String, String)>, Unknown<'static>>>,
}

/// Where the host keeps copies of rooms. Each returns a promise.
#[napi(object, object_to_js = false)]
pub struct CopyCallbacks<'a> {
    /// Keeps an update v1 of the whole document as the room's newest version.
    #[napi(ts_type = "(room: string, state: Uint8Array) => Promise<CopySaveAnswer>")]
    pub save: Function<'a, FnArgs<(String, Buffer)>, Promise<CopySaveAnswer>>,
    /// The newest copy.
    #[napi(ts_type = "(room: string) => Promise<CopyLoadAnswer>")]
    pub load: Function<'a, FnArgs<(String,)>, Promise<CopyLoadAnswer>>,
    /// Drops copies made before a time (Unix milliseconds), but for some rooms.
    #[napi(ts_type = "(beforeMs: number, inUse: Array<string>) => Promise<CopyExpireAnswer>")]
    pub expire: Function<'a, FnArgs<(f64, Vec<String>)>, Promise<CopyExpireAnswer>>,
}

/// A user, as told by `authenticate`.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct Caller {
    /// The host's id of the user.
    pub user_id: String,
    /// Name shown to others.
    pub name: String,
    /// The host's role name.
    pub role: String,
}

/// Answer of `authenticate`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct AuthAnswer {
    /// Whether the token holds.
    pub ok: bool,
    /// Why not: `AUTH_FAILED`, or any other code for a failure of the host.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The host's id of the user.
    pub user_id: Option<String>,
    /// Name shown to others; the id when missing.
    pub name: Option<String>,
    /// The host's role name; `viewer` when missing.
    pub role: Option<String>,
    /// When the token stops being valid, in Unix milliseconds.
    pub expires_at_ms: Option<f64>,
    /// Room patterns the token is limited to; none = no limit.
    pub rooms: Option<Vec<String>>,
}

/// Answer of `authorize`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct GrantAnswer {
    /// Whether the user may view the room.
    pub ok: bool,
    /// Why not: `PERMISSION_DENIED`, or any other code for a failure of the host.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// Whether the user may edit, too.
    pub can_edit: Option<bool>,
}

/// Answer of `loadRecord`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct LoadAnswer {
    /// Whether the host could say.
    pub ok: bool,
    /// Why not.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The text, front matter included; missing = no such record.
    pub text: Option<String>,
    /// Where it is from: `draft`, `record` or `file`.
    pub source: Option<String>,
}

/// Answer of `saveRecord`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct SaveAnswer {
    /// Whether the host could do it.
    pub ok: bool,
    /// Why not.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The text was taken, but to where `loadRecord` does not look. Goes with `saved: true`.
    pub elsewhere: Option<bool>,
    /// The source now holds the new text. `false`: it did not hold what was expected and was left alone.
    pub saved: Option<bool>,
    /// With `saved: false`, its present text.
    pub text: Option<String>,
    /// The source that was written, or with `saved: false` where `text` is from.
    pub source: Option<String>,
}

/// Answer of `copies.save`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct CopySaveAnswer {
    /// Whether the host could do it.
    pub ok: bool,
    /// Why not.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The copy's version.
    pub version: Option<f64>,
    /// When it was made, in Unix milliseconds.
    pub created_at_ms: Option<f64>,
}

/// Answer of `copies.load`.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct CopyLoadAnswer {
    /// Whether the host could say.
    pub ok: bool,
    /// Why not.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// Update v1 of the whole document, verified; missing = there is no copy, or it is damaged.
    pub state: Option<Uint8Array>,
    /// What is wrong with the newest copy.
    pub damaged: Option<String>,
}

/// Answer of `copies.expire`.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug, Default)]
pub struct CopyExpireAnswer {
    /// Whether the host could do it.
    pub ok: bool,
    /// Why not.
    pub code: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// How many copies went.
    pub expired: Option<f64>,
}

/// One log line.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The line, control characters escaped.
    pub message: String,
    /// What the line says, for machines: JSON text of an object. An event has its name in `event`.
    pub fields: Option<String>,
}

/// Where an engine listens; both `null` when `enabled` is false.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// The bound address.
    pub host: Option<String>,
    /// The bound port.
    pub port: Option<u16>,
}

/// Health, in the shape of the host's contract; memory is added by the adapter.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct EngineHealth {
    /// `healthy`; `degraded`: serves, but see `degraded`; or `unhealthy`.
    #[napi(ts_type = "'healthy' | 'degraded' | 'unhealthy'")]
    pub status: String,
    /// What an operator should look at, one sentence each.
    pub degraded: Vec<String>,
    /// The listener.
    pub server: ListenerHealth,
    /// Connections.
    pub connections: ConnectionCounts,
    /// Rooms.
    pub rooms: RoomCounts,
    /// Rates.
    pub rate_limiting: RateCounts,
    /// What happened since the start.
    pub counts: EngineCounts,
    /// The store.
    pub store: StoreCondition,
}

/// The listener.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone, Debug)]
pub struct ListenerHealth {
    /// Whether the port is bound and accepting.
    pub listening: bool,
    /// Open connections, as in `connections.total`.
    pub connections: u32,
    /// The bound port.
    pub port: Option<u16>,
    /// The bound address.
    pub host: Option<String>,
}

/// Connection counts.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy, Debug)]
pub struct ConnectionCounts {
    /// Open connections.
    pub total: u32,
    /// Distinct users.
    pub per_user: u32,
    /// Distinct addresses.
    #[napi(js_name = "perIP")]
    pub per_ip: u32,
}

/// Room counts.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy, Debug)]
pub struct RoomCounts {
    /// Open rooms.
    pub total: u32,
    /// `rooms.max_rooms`.
    pub max_rooms: u32,
    /// Sessions per open room.
    pub average_size: f64,
    /// Estimated memory of their documents, in bytes.
    pub document_bytes: f64,
}

/// What happened since the start.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct EngineCounts {
    /// Messages received.
    pub messages: f64,
    /// Messages received per second of late.
    pub messages_per_second: f64,
    /// Snapshots stored.
    pub snapshots_saved: f64,
    /// Snapshots that failed.
    pub snapshots_failed: f64,
    /// Rooms opened from a snapshot.
    pub snapshots_loaded: f64,
    /// Rooms whose stored state could not be read.
    pub snapshot_loads_failed: f64,
    /// Tokens that did not hold.
    pub auth_failures: f64,
    /// Users who asked for what they may not.
    pub permission_denials: f64,
    /// Connections ended by the server, by the code of the reason.
    pub disconnects: HashMap<String, f64>,
}

/// An open document room.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy, Debug)]
pub struct RoomLife {
    /// Tells it apart from an earlier one of the same name.
    pub generation: f64,
    /// When it was opened, in Unix milliseconds.
    pub opened_at: f64,
    /// When it was last joined, edited or left, in Unix milliseconds.
    pub active_at: f64,
    /// The document's version: its updates so far.
    pub version: f64,
}

/// What rooms are kept to.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// `rooms.max_rooms`.
    pub max_rooms: u32,
    /// `rooms.grace_period_ms`.
    pub grace_period_ms: f64,
}

/// Rate limits.
#[napi(object, object_from_js = false)]
#[derive(Clone, Copy, Debug)]
pub struct RateCounts {
    /// Connections with a bucket.
    pub active_clients: u32,
    /// `rate_limiting.messages_per_second`.
    pub messages_per_second: f64,
}

/// The store.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone, Debug)]
pub struct StoreCondition {
    /// Why commits fail at the moment; `null` = all is well.
    pub degraded: Option<String>,
    /// What was wrong with the database when it was opened; `null` = nothing.
    pub damage: Option<String>,
}

/// What a requested snapshot did.
#[napi(object, object_from_js = false, use_nullable = true)]
#[derive(Clone, Copy, Debug)]
pub struct SnapshotAnswer {
    /// Whether a live room was written back.
    pub snapshot_created: bool,
    /// Version of the operator's copy.
    pub version: Option<f64>,
    /// Unix milliseconds.
    pub timestamp: f64,
}

/// A count for JavaScript; none of ours comes near the bound.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A 64-bit number for JavaScript: exact up to 2^53, which neither times nor versions reach.
#[allow(clippy::cast_precision_loss, reason = "JavaScript has no other number")]
fn number(value: u64) -> f64 {
    value as f64
}

impl From<HealthStatus> for EngineHealth {
    fn from(health: HealthStatus) -> Self {
        Self {
            status: health.status.into(),
            degraded: health.degraded,
            server: ListenerHealth {
                listening: health.server.listening,
                connections: count(health.server.connections),
                port: health.server.port,
                host: health.server.host,
            },
            connections: ConnectionCounts {
                total: count(health.connections.total),
                per_user: count(health.connections.per_user),
                per_ip: count(health.connections.per_ip),
            },
            rooms: RoomCounts {
                total: count(health.rooms.total),
                max_rooms: count(health.rooms.max_rooms),
                average_size: health.rooms.average_size,
                document_bytes: number(health.rooms.document_bytes),
            },
            counts: health.counts.into(),
            rate_limiting: RateCounts {
                active_clients: count(health.rate_limiting.active_clients),
                messages_per_second: number(health.rate_limiting.messages_per_second),
            },
            store: StoreCondition { degraded: health.store.degraded, damage: health.store.damage },
        }
    }
}

impl From<Counts> for EngineCounts {
    fn from(counts: Counts) -> Self {
        let disconnects = counts.disconnects.into_iter();
        Self {
            messages: number(counts.messages),
            messages_per_second: number(counts.messages_per_second),
            snapshots_saved: number(counts.snapshots_saved),
            snapshots_failed: number(counts.snapshots_failed),
            snapshots_loaded: number(counts.snapshots_loaded),
            snapshot_loads_failed: number(counts.snapshot_loads_failed),
            auth_failures: number(counts.auth_failures),
            permission_denials: number(counts.permission_denials),
            disconnects: disconnects.map(|(code, n)| (code.to_owned(), number(n))).collect(),
        }
    }
}

impl From<Life> for RoomLife {
    fn from(life: Life) -> Self {
        Self {
            generation: number(life.generation),
            opened_at: number(life.opened_at_ms),
            active_at: number(life.active_at_ms),
            version: number(life.version),
        }
    }
}

impl From<&Rooms> for RoomLimits {
    fn from(rooms: &Rooms) -> Self {
        Self { max_rooms: count(rooms.max_rooms), grace_period_ms: number(rooms.grace_period_ms) }
    }
}

impl From<SnapshotReport> for SnapshotAnswer {
    fn from(report: SnapshotReport) -> Self {
        Self {
            snapshot_created: report.snapshot_created,
            version: report.version.map(number),
            timestamp: number(report.timestamp),
        }
    }
}
