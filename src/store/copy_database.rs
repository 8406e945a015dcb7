//! The operator's copies as rows of `realtime_snapshots`, the table of the host's contract, in our own file.

use rusqlite::{Connection, params};

use super::{
    SnapshotInfo,
    sqlite::number::{signed, unsigned},
};
use crate::ids::RoomId;

/// The table and indexes of the host's contract, so that its tools can read the rows.
pub(super) const SCHEMA: &str = "
    CREATE TABLE realtime_snapshots (
        id TEXT PRIMARY KEY,
        room_id TEXT NOT NULL,
        snapshot_data BLOB NOT NULL,
        version INTEGER NOT NULL,
        integrity_hash TEXT NOT NULL DEFAULT '',
        format_version INTEGER NOT NULL DEFAULT 1,
        byte_size INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
    );
    CREATE INDEX idx_realtime_snapshots_room_id ON realtime_snapshots(room_id);
    CREATE INDEX realtime_snapshots_created_at_idx ON realtime_snapshots(created_at);
";

/// Adds a copy and deletes all but the newest `keep`.
pub(super) fn save(
    connection: &Connection,
    room: &RoomId,
    state: &[u8],
    sha256_hex: &str,
    keep: usize,
    now_ms: u64,
) -> rusqlite::Result<SnapshotInfo> {
    let newest: Option<i64> = connection
        .prepare_cached("SELECT max(version) FROM realtime_snapshots WHERE room_id = ?1")?
        .query_row([room.as_str()], |row| row.get(0))?;
    let version = newest.unwrap_or(0).saturating_add(1);
    let size = state.len() as u64;
    connection
        .prepare_cached(
            "INSERT INTO realtime_snapshots
                 (id, room_id, snapshot_data, version, integrity_hash, format_version, byte_size, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7)",
        )?
        .execute(params![
            format!("{room}-{version}-{now_ms}"),
            room.as_str(),
            state,
            version,
            sha256_hex,
            signed(size),
            signed(now_ms),
        ])?;
    connection
        .prepare_cached("DELETE FROM realtime_snapshots WHERE room_id = ?1 AND version <= ?2")?
        .execute(params![room.as_str(), version.saturating_sub(signed(keep.max(1) as u64))])?;
    Ok(SnapshotInfo { version: unsigned(version), created_at_ms: now_ms, stored_bytes: size })
}

/// Deletes copies of records made before `before_ms`, but for rooms `in_use`.
pub(super) fn expire(
    connection: &Connection,
    before_ms: u64,
    in_use: &[RoomId],
) -> rusqlite::Result<u64> {
    let rooms: Vec<String> = connection
        .prepare_cached(
            "SELECT DISTINCT room_id FROM realtime_snapshots
             WHERE created_at < ?1 AND room_id LIKE 'records:%'",
        )?
        .query_map([signed(before_ms)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut expired = 0;
    for room in rooms.iter().filter(|name| in_use.iter().all(|used| used.as_str() != *name)) {
        expired += connection
            .prepare_cached(
                "DELETE FROM realtime_snapshots WHERE room_id = ?1 AND created_at < ?2",
            )?
            .execute(params![room, signed(before_ms)])?;
    }
    Ok(expired as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_copies_of_unused_records_go() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let room = |kind, id| RoomId::new(kind, id).unwrap();
        for (kind, id) in [("records", "old"), ("records", "used"), ("notes", "open")] {
            save(&connection, &room(kind, id), b"state", "", 3, 100).unwrap();
        }
        save(&connection, &room("records", "new"), b"state", "", 3, 300).unwrap();
        assert_eq!(expire(&connection, 200, &[room("records", "used")]), Ok(1));
        assert_eq!(expire(&connection, 200, &[]), Ok(1));
        let left: i64 = connection
            .query_row("SELECT count(*) FROM realtime_snapshots", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 2);
    }

    #[test]
    fn the_newest_are_kept_per_room() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let (one, two) =
            (RoomId::new("records", "1").unwrap(), RoomId::new("records", "2").unwrap());
        save(&connection, &two, b"other", "", 3, 1).unwrap();
        for n in 1..=5_u8 {
            let info = save(&connection, &one, &[n], "hash", 3, u64::from(n) + 100).unwrap();
            assert_eq!((info.version, info.stored_bytes), (u64::from(n), 1));
        }
        let rows: Vec<(String, Vec<u8>, i64)> = connection
            .prepare("SELECT id, snapshot_data, format_version FROM realtime_snapshots WHERE room_id = 'records:1' ORDER BY version")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2], ("records:1-5-105".into(), vec![5], 1));
        let others: i64 = connection
            .query_row(
                "SELECT count(*) FROM realtime_snapshots WHERE room_id = 'records:2'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(others, 1);
    }
}
