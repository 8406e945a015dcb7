//! What happens to a file that is not what it should be, before anything is written to it.
//!
//! Nothing is ever deleted: a database that cannot be used is renamed with its companions, one that lost
//! commits is copied before SQLite goes on with what is left.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};

use super::{
    failure, mark,
    number::unsigned,
    schema::{self, Refused},
};
use crate::{
    config::Durability,
    store::{StoreError, lock::beside},
    time::unix_ms,
};

/// A complete, verified database that is to take the present one's place; written by a restore.
const RESTORED: &str = ".restored";
/// What belongs to a database, by what is added to its name.
const COMPANIONS: [&str; 4] = ["", "-wal", "-shm", mark::SUFFIX];

/// What is set aside, by what is added to its name; a time follows.
const CORRUPT: &str = ".corrupt-";
const DAMAGED: &str = ".damaged-";
const REPLACED: &str = ".replaced-";

/// An open database, and what was wrong with the file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) damage: Option<Damage>,
}

/// A file that was not what was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    /// For people: what was found and where the file is now.
    pub(super) what: String,
    /// Where the file is now.
    pub(super) place: Option<PathBuf>,
}

/// Opens the file for writing, creating and migrating it as needed. A restore that was interrupted is finished
/// first. One that is not a sound database is moved aside, one that lacks acknowledged edits is copied.
pub(super) fn open(path: &Path, durability: Durability) -> Result<Opened, StoreError> {
    finish_restore(path)?;
    let mut damage = None;
    let unsound = if is_cut_off(path) {
        Some("it does not begin as a database does".into())
    } else {
        damage = copy_if_edits_are_missing(path)?;
        match schema::open(path, durability) {
            Ok(connection) => return Ok(Opened { connection, damage }),
            Err(Refused::Sql(error)) if failure::is_damage(&error) => Some(error.to_string()),
            Err(Refused::Damaged(what)) => Some(what),
            Err(refused) => return Err(refused.told(path)),
        }
    };
    if let Some(what) = unsound {
        let place = set_aside(path, CORRUPT)?;
        let what = format!(
            "{} was damaged ({what}); it was moved to {} and a new one was made",
            path.display(),
            place.display()
        );
        log::error!(event = "database_set_aside", error:% = what; "{what}");
        damage = Some(Damage { what, place: Some(place) });
    }
    let connection = schema::open(path, durability).map_err(|refused| refused.told(path))?;
    Ok(Opened { connection, damage })
}

/// Puts `incoming`, a complete database, in the place of the one at `path`, which is moved aside; returns
/// where to. Interrupted after its first step, it is finished by the next opening.
pub(super) fn replace(path: &Path, incoming: &Path) -> Result<Option<PathBuf>, StoreError> {
    let failed = |error: io::Error| {
        StoreError::Io(format!("{} cannot be put in place: {error}", path.display()))
    };
    fs::rename(incoming, beside(path, RESTORED)).map_err(failed)?;
    sync_folder(path).map_err(failed)?;
    finish_restore(path)
}

fn finish_restore(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let restored = beside(path, RESTORED);
    if !restored.exists() {
        return Ok(None);
    }
    let present = COMPANIONS.iter().any(|suffix| beside(path, suffix).exists());
    let place = present.then(|| set_aside(path, REPLACED)).transpose()?;
    fs::rename(&restored, path).and_then(|()| sync_folder(path)).map_err(|error| {
        StoreError::Io(format!("{} cannot be put in place: {error}", restored.display()))
    })?;
    log::warn!(
        event = "database_restored";
        "{} was restored from a backup", path.display()
    );
    Ok(place)
}

/// Whether an earlier database was set aside here and is still there.
pub(super) fn has_predecessor(path: &Path) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let is_set_aside = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?.file_name();
        let added = entry.to_str()?.strip_prefix(name.to_str()?)?;
        Some([CORRUPT, DAMAGED, REPLACED].iter().any(|suffix| added.starts_with(suffix)))
    };
    fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|e| is_set_aside(e) == Some(true)))
}

/// Compares the database with its mark. If acknowledged edits are missing, the files are copied as they are
/// and the mark starts anew.
fn copy_if_edits_are_missing(path: &Path) -> Result<Option<Damage>, StoreError> {
    let Some(mark) = mark::read(path) else { return Ok(None) };
    let found = if path.exists() {
        match last_seq(path, &mark.room) {
            Ok(found) => found,
            // What cannot be read is found and told by whoever opens it for good.
            Err(_) => return Ok(None),
        }
    } else {
        0
    };
    if found >= mark.seq {
        return Ok(None);
    }
    let place = copy_aside(path)?;
    let what = format!(
        "{} lacks acknowledged edits: {} ends at row {found}, row {} was acknowledged. Its write-ahead log \
         was damaged, cut off or removed, or an older file was put in its place. {}",
        path.display(),
        mark.room,
        mark.seq,
        match &place {
            Some(place) => format!("The files as they were found are at {}*", place.display()),
            None => "No file was found at all".into(),
        }
    );
    log::error!(event = "edits_missing", room = mark.room, error:% = what; "{what}");
    mark::remove(path).map_err(|error| {
        StoreError::Io(format!("{}{} cannot be removed: {error}", path.display(), mark::SUFFIX))
    })?;
    Ok(Some(Damage { what, place }))
}

/// The room's last row, read without leaving a trace in the database or its log.
fn last_seq(path: &Path, room: &str) -> rusqlite::Result<u64> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(schema::BUSY_TIMEOUT)?;
    // The last connection to close would write the log's valid part into the database and delete the rest.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'room'",
        [],
        |row| row.get(0),
    )?;
    if tables == 0 {
        return Ok(0);
    }
    let found: Option<i64> = connection
        .query_row("SELECT last_seq FROM room WHERE name = ?1", [room], |row| row.get(0))
        .optional()?;
    Ok(found.map_or(0, unsigned))
}

fn copy_aside(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let place = beside(path, &format!("{DAMAGED}{}", unix_ms()));
    let mut copied = false;
    for suffix in ["", "-wal", mark::SUFFIX] {
        let (from, to) = (beside(path, suffix), beside(&place, suffix));
        if !from.exists() {
            continue;
        }
        fs::copy(&from, &to).and_then(|_| File::open(&to)?.sync_all()).map_err(|error| {
            StoreError::Io(format!(
                "{} lacks acknowledged edits and cannot be copied for study: {error}; make room, or move it aside",
                path.display()
            ))
        })?;
        copied |= suffix != mark::SUFFIX;
    }
    Ok(copied.then_some(place))
}

/// Whether the file lacks its first page. SQLite takes such a file for a new one and deletes the write-ahead
/// log beside it, which may hold all there is.
pub(super) fn is_cut_off(path: &Path) -> bool {
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let found = bytes(path);
    if found == 0 {
        return bytes(&beside(path, "-wal")) > 0;
    }
    let mut head = [0; 18];
    if File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_err() {
        return found < 18;
    }
    // 65,536 does not fit its field and is written as 1.
    let page_bytes = match head {
        [.., 0, 1] => 65_536,
        [.., high, low] => u64::from(u16::from_be_bytes([high, low])),
    };
    !head.starts_with(b"SQLite format 3\0") || found < page_bytes
}

/// Renames the database and its companions, so that the set can still be opened under its new name.
fn set_aside(path: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    let place = beside(path, &format!("{suffix}{}", unix_ms()));
    let renamed = || -> io::Result<()> {
        for companion in COMPANIONS {
            match fs::rename(beside(path, companion), beside(&place, companion)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync_folder(path)
    };
    renamed().map(|()| place).map_err(|error| {
        StoreError::Io(format!("{} cannot be moved aside: {error}", path.display()))
    })
}

/// Makes renames beside `path` survive a loss of power, where the system lets a folder be opened.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}
