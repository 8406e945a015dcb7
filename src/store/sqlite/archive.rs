//! The database as an operator's commands see it: backup, restore, and the versions of a room.
//!
//! Reading happens on a connection of its own and beside a running engine: one read transaction sees every
//! commit told before it began, and holds up none. Restoring needs the engine's lock.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension};

use super::{
    failure,
    number::{signed, unsigned},
    prepare_folder, recovery, schema,
    snapshots::{self, LoadError},
    sources::{self, SourceText},
    update_log,
};
use crate::{
    ids::RoomId,
    store::{
        RoomSummary, Snapshot, StoreError, StoredRoom,
        lock::{FileLock, beside},
    },
};

/// Added to the name of a file that is being written.
const UNFINISHED: &str = ".unfinished";

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Rooms.
    pub rooms: u64,
    /// Log rows of all rooms.
    pub log_rows: u64,
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Rooms that are damaged in it, with what was found. They were so before.
    pub damaged: Vec<String>,
}

/// A stored snapshot of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts up per room from 1.
    pub version: u64,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Log rows up to this one are contained.
    pub upto_seq: u64,
    /// Size of the state, in bytes.
    pub state_bytes: u64,
    /// Size as stored, in bytes.
    pub stored_bytes: u64,
}

/// A database opened for reading.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    connection: Connection,
}

impl Archive {
    /// Opens a database for reading, whether an engine runs on it or not. [`StoreError::Io`] if there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Io(format!("there is no database at {}", path.display())));
        }
        if recovery::is_cut_off(path) {
            return Err(StoreError::Io(format!("{} is not a database", path.display())));
        }
        let connection = schema::open_reader(path).map_err(|error| failure::told(path, &error))?;
        let format = schema::check(&connection).map_err(|refused| refused.told(path))?;
        if format == 0 {
            return Err(StoreError::Io(format!("{} is an empty database", path.display())));
        }
        Ok(Self { path: path.into(), connection })
    }

    /// Writes a consistent copy to `to`, verifies it, and syncs it to the disk. The file must not exist; it
    /// appears under its name only when it is complete.
    pub fn back_up(&self, to: &Path) -> Result<BackupReport, StoreError> {
        if to.exists() {
            return Err(StoreError::Io(format!("{} exists; choose another name", to.display())));
        }
        let unfinished = beside(to, UNFINISHED);
        let report = self.copy_verified(&unfinished)?;
        fs::rename(&unfinished, to)
            .and_then(|()| recovery::sync_folder(to))
            .map_err(|error| not_written(to, &error))?;
        Ok(report)
    }

    fn copy_verified(&self, to: &Path) -> Result<BackupReport, StoreError> {
        let copied = || -> Result<BackupReport, StoreError> {
            remove_if_there(to).map_err(|error| not_written(to, &error))?;
            // One statement is one read transaction.
            self.connection
                .execute("VACUUM INTO ?1", [to.to_string_lossy()])
                .map_err(|error| StoreError::Io(format!("{}: {error}", to.display())))?;
            File::open(to)
                .and_then(|file| file.sync_all())
                .map_err(|error| not_written(to, &error))?;
            Archive::open(to)?.verify()
        };
        copied().inspect_err(|_| {
            // What is left of it is of no use to anybody.
            drop(remove_if_there(to));
        })
    }

    /// Reads everything: the structure of the file, and each room as an engine would load it.
    pub fn verify(&self) -> Result<BackupReport, StoreError> {
        let told = |error: &rusqlite::Error| failure::told(&self.path, error);
        let answer: String = self
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| told(&error))?;
        if answer != "ok" {
            return Err(StoreError::Io(format!("{} is damaged: {answer}", self.path.display())));
        }
        let mut report = BackupReport {
            file_bytes: fs::metadata(&self.path).map_or(0, |found| found.len()),
            ..BackupReport::default()
        };
        for room in self.rooms()? {
            report.rooms += 1;
            report.log_rows += room.log_rows;
            match snapshots::load(&self.connection, &room.room) {
                Ok(_) => {}
                Err(LoadError::Damaged(what)) => {
                    report.damaged.push(format!("{}: {what}", room.room));
                }
                Err(LoadError::Sql(error)) => return Err(told(&error)),
            }
        }
        Ok(report)
    }

    /// Rooms by name.
    pub fn rooms(&self) -> Result<Vec<RoomSummary>, StoreError> {
        update_log::summaries(&self.connection).map_err(|error| failure::told(&self.path, &error))
    }

    /// Snapshots of a room, newest first; `None` if the room is not known.
    pub fn versions(&self, room: &RoomId) -> Result<Option<Vec<Version>>, StoreError> {
        let read = || -> rusqlite::Result<Option<Vec<Version>>> {
            let id: Option<i64> = self
                .connection
                .query_row("SELECT id FROM room WHERE name = ?1", [room.as_str()], |row| row.get(0))
                .optional()?;
            let Some(id) = id else { return Ok(None) };
            let mut select = self.connection.prepare(
                "SELECT version, created_at_ms, upto_seq, raw_size, length(data) FROM base_snapshot
                 WHERE room_id = ?1 ORDER BY version DESC",
            )?;
            let rows = select.query_map([id], |row| {
                Ok(Version {
                    version: unsigned(row.get(0)?),
                    created_at_ms: unsigned(row.get(1)?),
                    upto_seq: unsigned(row.get(2)?),
                    state_bytes: unsigned(row.get(3)?),
                    stored_bytes: unsigned(row.get(4)?),
                })
            })?;
            rows.collect::<rusqlite::Result<_>>().map(Some)
        };
        read().map_err(|error| failure::told(&self.path, &error))
    }

    /// One snapshot, verified; `None` if the room has none of this number.
    pub fn version(&self, room: &RoomId, version: u64) -> Result<Option<Snapshot>, StoreError> {
        snapshots::one(&self.connection, room, signed(version)).map_err(|error| match error {
            LoadError::Damaged(what) => StoreError::Corrupt { room: room.to_string(), what },
            LoadError::Sql(error) => failure::told(&self.path, &error),
        })
    }

    /// Everything the room is rebuilt from; `None` if it is not known.
    pub fn room(&self, room: &RoomId) -> Result<Option<StoredRoom>, StoreError> {
        let transaction = self.connection.unchecked_transaction();
        let transaction = transaction.map_err(|error| failure::told(&self.path, &error))?;
        snapshots::load(&transaction, room).map_err(|error| match error {
            LoadError::Damaged(what) => StoreError::Corrupt { room: room.to_string(), what },
            LoadError::Sql(error) => failure::told(&self.path, &error),
        })
    }

    /// The text last exchanged with the host.
    pub fn exchanged_text(&self, room: &RoomId) -> Result<Option<String>, StoreError> {
        match sources::exchanged(&self.connection, room) {
            Ok(SourceText::Known(text)) => Ok(Some(text)),
            Ok(_) => Ok(None),
            Err(error) => Err(failure::told(&self.path, &error)),
        }
    }
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// What the restored database holds.
    pub backup: BackupReport,
    /// Where the database is that was there before.
    pub set_aside: Option<PathBuf>,
}

/// Puts the backup `from` in the place of `database`, which is moved aside. The backup is verified first; if
/// anything fails the present database stays. [`StoreError::Locked`] while an engine runs.
pub fn restore(database: &Path, from: &Path) -> Result<RestoreReport, StoreError> {
    let backup = Archive::open(from)?;
    let database = prepare_folder(database)?;
    let _lock = FileLock::take(&database)?;
    let incoming = beside(&database, UNFINISHED);
    let report = backup.copy_verified(&incoming)?;
    let set_aside = recovery::replace(&database, &incoming)?;
    Ok(RestoreReport { backup: report, set_aside })
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn not_written(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io(format!("{} cannot be written: {error}", path.display()))
}
