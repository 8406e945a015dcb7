//! The database file: how it is opened and what is in it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::failure;
use crate::{
    config::Durability,
    store::{StoreError, copy_database},
};

/// Marks a file as ours, so that no other program's database is ever changed by mistake. "CPRT".
const APPLICATION_ID: i64 = 0x4350_5254;
/// How long SQLite waits for another program's lock on the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
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
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Why a file is not used.
pub(super) enum Refused {
    Sql(rusqlite::Error),
    /// What SQLite itself takes for sound.
    Damaged(String),
    NewerFormat {
        found: i64,
    },
    NotOurs,
    NoWriteAheadLog,
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Refused {
    pub(super) fn told(self, path: &Path) -> StoreError {
        let name = path.display();
        match self {
            Self::Sql(error) => failure::told(path, &error),
            Self::Damaged(what) => StoreError::Io(format!("{name} is damaged: {what}")),
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

/// Opens the file for writing, creating and migrating it as needed.
pub(super) fn open(path: &Path, durability: Durability) -> Result<Connection, Refused> {
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
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT, |_| Ok(()))?;
    connection.set_prepared_statement_cache_capacity(64);
    if found < supported() {
        migrate(connection.transaction_with_behavior(TransactionBehavior::Immediate)?, found)?;
    }
    check_tables(&connection)?;
    Ok(connection)
}

/// Whether all tables and indexes are as this build makes them. A flipped bit in their definitions can leave
/// valid SQL that means something else.
fn check_tables(connection: &Connection) -> Result<(), Refused> {
    let mut made = Connection::open_in_memory()?;
    migrate(made.transaction()?, 0)?;
    let mut definitions = made.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema")?;
    let mut rows = definitions.query([])?;
    let mut find = connection.prepare(
        "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND tbl_name = ?3 AND sql IS ?4",
    )?;
    while let Some(row) = rows.next()? {
        let (kind, name, table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !find.exists((&kind, &name, &table, row.get::<_, Option<String>>(3)?))? {
            return Err(Refused::Damaged(format!("its {kind} {name} is not as it was made")));
        }
    }
    Ok(())
}

/// The file's format, 0 for an empty file.
pub(super) fn check(connection: &Connection) -> Result<i64, Refused> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (format, application) = (number("user_version")?, number("application_id")?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if format == 0 && application == 0 && tables == 0 {
        Ok(0)
    } else if application != APPLICATION_ID {
        Err(Refused::NotOurs)
    } else if format <= 0 {
        Err(Refused::Damaged("it has lost the number of its format".into()))
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
