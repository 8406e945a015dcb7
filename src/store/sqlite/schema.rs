//! The database file: how it is opened, what is in it, and what happens to one that is damaged.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::failure;
use crate::{
    config::Durability,
    store::{StoreError, copy_database, lock::beside},
};

/// Marks a file as ours, so that no other program's database is ever changed by mistake. "CPRT".
const APPLICATION_ID: i64 = 0x4350_5254;
/// How long SQLite waits for another program's lock on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Size the write-ahead log is cut back to after a checkpoint, in bytes.
const WAL_BYTES_KEPT: i64 = 16 * 1024 * 1024;

/// One entry per format; a file of format n has had the first n. Never change one that was released.
const MIGRATIONS: &[&str] = &[concat!(
    "CREATE TABLE room (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        seeded_by TEXT,
        last_seq INTEGER NOT NULL DEFAULT 0
    ) STRICT;",
    // A table ordered by id with an index beside it takes appends of many rooms four times as fast as one
    // ordered by (room, seq).
    "CREATE TABLE update_log (
        id INTEGER PRIMARY KEY,
        room_id INTEGER NOT NULL REFERENCES room(id),
        seq INTEGER NOT NULL,
        crc INTEGER NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX update_log_by_room ON update_log(room_id, seq);
    CREATE TABLE base_snapshot (
        id INTEGER PRIMARY KEY,
        room_id INTEGER NOT NULL REFERENCES room(id),
        version INTEGER NOT NULL,
        upto_seq INTEGER NOT NULL,
        keep_json TEXT NOT NULL,
        format INTEGER NOT NULL,
        compression TEXT NOT NULL,
        sha256 BLOB NOT NULL,
        raw_size INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL,
        data BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX base_snapshot_by_room ON base_snapshot(room_id, version);
    CREATE TABLE source_text (
        room_id INTEGER NOT NULL REFERENCES room(id),
        source TEXT NOT NULL,
        sha256 BLOB NOT NULL,
        text TEXT NOT NULL,
        exchanged_at_ms INTEGER NOT NULL,
        PRIMARY KEY (room_id, source)
    ) STRICT;
    CREATE TABLE kept_version (
        id INTEGER PRIMARY KEY,
        room_id INTEGER NOT NULL REFERENCES room(id),
        source TEXT NOT NULL,
        reason TEXT NOT NULL,
        text TEXT NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX kept_version_by_room ON kept_version(room_id);"
)];

/// Opens the file for writing, creating and migrating it as needed. One that is not a sound database is moved
/// aside first; its new place is returned.
pub(super) fn open_or_set_aside(
    path: &Path,
    durability: Durability,
) -> Result<(Connection, Option<PathBuf>), StoreError> {
    let damage = if is_cut_off(path) {
        "it does not begin as a database does".into()
    } else {
        match open(path, durability) {
            Err(Refused::Sql(error)) if failure::is_damage(&error) => error.to_string(),
            other => {
                return other
                    .map(|connection| (connection, None))
                    .map_err(|refused| refused.told(path));
            }
        }
    };
    let place = set_aside(path)?;
    log::error!(
        event = "database_set_aside", error:% = damage;
        "the realtime database {} is damaged ({damage}); it was moved to {} and a new one was made",
        path.display(),
        place.display()
    );
    let connection = open(path, durability).map_err(|refused| refused.told(path))?;
    Ok((connection, Some(place)))
}

/// Opens the file again after its connection met an error that it may not recover from.
pub(super) fn open_again(path: &Path, durability: Durability) -> Result<Connection, StoreError> {
    open(path, durability).map_err(|refused| refused.told(path))
}

/// Opens the file for reading, beside the writer.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Why a file is not used.
enum Refused {
    Sql(rusqlite::Error),
    NewerFormat { found: i64 },
    NotOurs,
    NoWriteAheadLog,
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Refused {
    fn told(self, path: &Path) -> StoreError {
        let name = path.display();
        match self {
            Self::Sql(error) => failure::told(path, &error),
            Self::NewerFormat { found } => {
                StoreError::NewerFormat { path: name.to_string(), found, supported: supported() }
            }
            Self::NotOurs => StoreError::Io(format!(
                "{name} is another program's database; give store.url a file of its own"
            )),
            Self::NoWriteAheadLog => StoreError::Io(format!(
                "{name} cannot keep a write-ahead log; put it on a local disk"
            )),
        }
    }
}

fn supported() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn open(path: &Path, durability: Durability) -> Result<Connection, Refused> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Look before anything is written: the file may be somebody else's.
    let found = check(&connection)?;
    // Must come before the first page is written, which switching to WAL does.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Refused::NoWriteAheadLog);
    }
    match durability {
        Durability::Process => connection.pragma_update(None, "synchronous", "NORMAL")?,
        Durability::Power => {
            connection.pragma_update(None, "synchronous", "FULL")?;
            // Without it macOS answers a sync before the disk has written.
            connection.pragma_update(None, "fullfsync", true)?;
        }
    }
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    if found < supported() {
        migrate(connection.transaction_with_behavior(TransactionBehavior::Immediate)?, found)?;
    }
    Ok(connection)
}

/// The file's format, 0 for an empty file.
fn check(connection: &Connection) -> Result<i64, Refused> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (format, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if format == 0 && application == 0 && tables == 0 {
        Ok(0)
    } else if application != APPLICATION_ID {
        Err(Refused::NotOurs)
    } else if format > supported() {
        Err(Refused::NewerFormat { found: format })
    } else {
        Ok(format)
    }
}

fn migrate(transaction: Transaction<'_>, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found).unwrap_or_default();
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    if done == 0 {
        transaction.execute_batch(copy_database::SCHEMA)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", supported())?;
    transaction.commit()
}

/// Whether the file lacks its first page. SQLite takes such a file for a new one and deletes the write-ahead
/// log beside it, which may hold all there is.
fn is_cut_off(path: &Path) -> bool {
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
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let place = beside(path, &format!(".corrupt-{}", crate::time::unix_ms()));
    let renamed = || -> io::Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            match fs::rename(beside(path, suffix), beside(&place, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match path.parent() {
            Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    };
    renamed().map(|()| place).map_err(|error| {
        StoreError::Io(format!("{} is damaged and cannot be moved aside: {error}", path.display()))
    })
}
