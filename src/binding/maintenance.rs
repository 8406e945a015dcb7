//! What the command line does with stored rooms. Each function works on a thread of its own, which ends with
//! its answer.

use std::{path::PathBuf, thread};

use napi::{
    Env,
    bindgen_prelude::{Buffer, Object, ToNapiValue},
};
use napi_derive::napi;

use crate::{
    binding::{
        options::ConfigSources,
        promise::{Failure, Settler},
        settings,
    },
    config::Config,
    error::EngineError,
    ids::RoomId,
    maintenance::{self, ExportForm},
    store::sqlite::{Archive, BackupReport},
};

/// What a backup holds.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct BackupSummary {
    /// Rooms.
    pub rooms: f64,
    /// Log rows of all rooms.
    pub log_rows: f64,
    /// Size of the file, in bytes.
    pub file_bytes: f64,
    /// Rooms that are damaged in it, with what was found. They were so before.
    pub damaged: Vec<String>,
    /// Restore only: the database that was replaced.
    pub database_file: String,
    /// Restore only: where the replaced database is now.
    pub set_aside: Option<String>,
}

/// A room in the store.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct StoredRoomSummary {
    /// The room, `type:id`.
    pub room: String,
    /// Rows in its log.
    pub log_rows: f64,
    /// Version of its newest snapshot.
    pub newest_version: Option<f64>,
}

/// A stored version of a room.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct VersionSummary {
    /// Counts up per room from 1.
    pub version: f64,
    /// Unix milliseconds.
    pub created_at_ms: f64,
    /// Size of the state, in bytes.
    pub state_bytes: f64,
    /// Size as stored, in bytes.
    pub stored_bytes: f64,
}

/// What bringing a version back did.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct VersionRestored {
    /// Whether anything differed.
    pub changed: bool,
    /// The version that keeps what was there before.
    pub kept_as: Option<f64>,
}

/// Writes a consistent, verified copy of the database to `to`, also while an engine runs on it.
#[napi(catch_unwind, ts_return_type = "Promise<BackupSummary>")]
pub fn backup_store(env: &Env, sources: ConfigSources, to: String) -> napi::Result<Object<'_>> {
    answer(env, sources, move |config| {
        let database = maintenance::database(&config)?;
        let report = Archive::open(&database)?.back_up(&PathBuf::from(to))?;
        Ok(summary(report, database, None))
    })
}

/// Verifies the backup `from` and puts it in the place of the database, which is moved aside. No engine may
/// run.
#[napi(catch_unwind, ts_return_type = "Promise<BackupSummary>")]
pub fn restore_store(env: &Env, sources: ConfigSources, from: String) -> napi::Result<Object<'_>> {
    answer(env, sources, move |config| {
        let report = maintenance::restore(&config, &PathBuf::from(from))?;
        Ok(summary(report.backup, maintenance::database(&config)?, report.set_aside))
    })
}

/// The rooms in the store, by name.
#[napi(catch_unwind, ts_return_type = "Promise<Array<StoredRoomSummary>>")]
pub fn list_rooms(env: &Env, sources: ConfigSources) -> napi::Result<Object<'_>> {
    answer(env, sources, |config| {
        let rooms = Archive::open(&maintenance::database(&config)?)?.rooms()?;
        let summary = |room: crate::store::RoomSummary| StoredRoomSummary {
            room: room.room.to_string(),
            log_rows: number(room.log_rows),
            newest_version: room.snapshot_version.map(number),
        };
        Ok(rooms.into_iter().map(summary).collect::<Vec<_>>())
    })
}

/// The stored versions of a room, newest first.
#[napi(catch_unwind, ts_return_type = "Promise<Array<VersionSummary>>")]
pub fn list_versions(env: &Env, sources: ConfigSources, room: String) -> napi::Result<Object<'_>> {
    answer(env, sources, move |config| {
        let room = RoomId::parse(&room)?;
        let archive = Archive::open(&maintenance::database(&config)?)?;
        let versions = archive
            .versions(&room)?
            .ok_or_else(|| EngineError::VersionNotFound(format!("{room} is not in the store")))?;
        let summary = |version: crate::store::sqlite::Version| VersionSummary {
            version: number(version.version),
            created_at_ms: number(version.created_at_ms),
            state_bytes: number(version.state_bytes),
            stored_bytes: number(version.stored_bytes),
        };
        Ok(versions.into_iter().map(summary).collect::<Vec<_>>())
    })
}

/// A version of a room, or its present state, as update v1 or as Markdown.
#[napi(catch_unwind, ts_return_type = "Promise<Buffer>")]
pub fn export_version(
    env: &Env,
    sources: ConfigSources,
    room: String,
    version: Option<u32>,
    markdown: bool,
) -> napi::Result<Object<'_>> {
    answer(env, sources, move |config| {
        let form = if markdown { ExportForm::Markdown } else { ExportForm::Update };
        let room = RoomId::parse(&room)?;
        maintenance::export(&config, &room, version.map(u64::from), form).map(Buffer::from)
    })
}

/// Makes a record's content that of an older version again, by a change like any editor's. No engine may run.
#[napi(catch_unwind, ts_return_type = "Promise<VersionRestored>")]
pub fn restore_version(
    env: &Env,
    sources: ConfigSources,
    room: String,
    version: u32,
) -> napi::Result<Object<'_>> {
    answer(env, sources, move |config| {
        let room = RoomId::parse(&room)?;
        let restored = maintenance::restore_version(&config, &room, version.into())?;
        Ok(VersionRestored { changed: restored.changed, kept_as: restored.kept_as.map(number) })
    })
}

fn answer<T: ToNapiValue + Send + 'static>(
    env: &Env,
    sources: ConfigSources,
    work: impl FnOnce(Config) -> Result<T, EngineError> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (settle, promise) = Settler::<T>::new(env)?;
    let run = move || {
        let loaded = settings::load(&sources).map_err(EngineError::from);
        let result = loaded.and_then(|loaded| work(loaded.config));
        settle.settle(result.map_err(Failure::from));
    };
    // If the thread cannot start, the dropped settler rejects the promise.
    drop(thread::Builder::new().name("civic-maintenance".into()).spawn(run));
    Ok(promise)
}

fn summary(report: BackupReport, database: PathBuf, set_aside: Option<PathBuf>) -> BackupSummary {
    BackupSummary {
        rooms: number(report.rooms),
        log_rows: number(report.log_rows),
        file_bytes: number(report.file_bytes),
        damaged: report.damaged,
        database_file: database.display().to_string(),
        set_aside: set_aside.map(|place| place.display().to_string()),
    }
}

/// JavaScript's numbers are exact up to 2^53, far above any of these.
#[expect(clippy::cast_precision_loss, reason = "counts and sizes stay far below 2^53")]
fn number(value: u64) -> f64 {
    value as f64
}
