//! SQL of rooms and their update logs.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Context, failure,
    number::{signed, unsigned},
};
use crate::{
    ids::RoomId,
    store::{LoggedUpdate, RoomSummary, Seed, SeedOutcome},
};

/// A room's row.
pub(super) struct RoomRow {
    pub(super) id: i64,
    pub(super) seeded: bool,
    pub(super) last_seq: u64,
}

/// What is found of a room.
pub(super) enum RoomFound {
    /// The room was never written to.
    Nothing,
    Row(RoomRow),
    /// The table and its index contradict each other. Taken for a new room it would be seeded again.
    Damaged,
}

/// Looks a room up. What the index does not know is looked for in the table itself: a damaged index must not
/// make a room look new.
pub(super) fn room(connection: &Connection, room: &RoomId) -> rusqlite::Result<RoomFound> {
    let id: Option<i64> = connection
        .prepare_cached("SELECT id FROM room WHERE name = ?1")?
        .query_row([room.as_str()], |row| row.get(0))
        .optional()?;
    let Some(id) = id else {
        let listed = connection
            .prepare_cached("SELECT 1 FROM room NOT INDEXED WHERE name = ?1")?
            .exists([room.as_str()])?;
        return Ok(if listed { RoomFound::Damaged } else { RoomFound::Nothing });
    };
    let found = connection
        .prepare_cached("SELECT name, seeded_by IS NOT NULL, last_seq FROM room WHERE id = ?1")?
        .query_row([id], |row| {
            let name: String = row.get(0)?;
            Ok((name, RoomRow { id, seeded: row.get(1)?, last_seq: unsigned(row.get(2)?) }))
        })
        .optional()?;
    Ok(match found {
        Some((name, row)) if name == room.as_str() => RoomFound::Row(row),
        _ => RoomFound::Damaged,
    })
}

/// Adds one row. The same row again changes nothing: a commit whose outcome was unclear is repeated.
pub(super) fn insert(
    connection: &Connection,
    room_id: i64,
    seq: u64,
    payload: &[u8],
) -> rusqlite::Result<()> {
    let added = connection
        .prepare_cached(
            "INSERT INTO update_log (room_id, seq, crc, payload) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![room_id, signed(seq), checksum(seq, payload), payload]);
    match added {
        Err(error) if failure::is_of_one_statement(&error) => {
            let same: Option<bool> = connection
                .prepare_cached(
                    "SELECT payload = ?3 FROM update_log WHERE room_id = ?1 AND seq = ?2",
                )?
                .query_row(params![room_id, signed(seq), payload], |row| row.get(0))
                .optional()?;
            if same == Some(true) { Ok(()) } else { Err(error) }
        }
        other => other.map(|_| ()),
    }
}

/// Remembers that a room used numbers up to `seq`, whatever becomes of the rows.
pub(super) fn raise_last_seq(
    connection: &Connection,
    room_id: i64,
    seq: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE room SET last_seq = ?2 WHERE id = ?1 AND last_seq < ?2")?
        .execute(params![room_id, signed(seq)])
        .map(|_| ())
}

/// Claims the room and writes its first row; nothing happens if anything was ever written to it.
pub(super) fn seed(context: &mut Context, seed: &Seed) -> rusqlite::Result<SeedOutcome> {
    let room_id = context.room_id(&seed.room)?;
    // last_seq alone does not tell: it is raised once per transaction, after all of its rows.
    let written: bool = context
        .connection
        .prepare_cached(
            "SELECT seeded_by IS NOT NULL OR last_seq > 0
                 OR EXISTS (SELECT 1 FROM update_log WHERE room_id = room.id)
                 OR EXISTS (SELECT 1 FROM base_snapshot WHERE room_id = room.id)
             FROM room WHERE id = ?1",
        )?
        .query_row([room_id], |row| row.get(0))?;
    if written {
        return Ok(SeedOutcome::AlreadySeeded);
    }
    context
        .connection
        .prepare_cached("UPDATE room SET seeded_by = ?2, last_seq = 1 WHERE id = ?1")?
        .execute(params![room_id, seed.source])?;
    insert(&context.connection, room_id, 1, &seed.update)?;
    Ok(SeedOutcome::Claimed)
}

/// One row as it was found.
pub(super) enum Found {
    Sound(Bytes),
    Damaged,
}

/// All rows of a room's log.
pub(super) fn rows(
    connection: &Connection,
    room_id: i64,
) -> rusqlite::Result<BTreeMap<u64, Found>> {
    let mut select = connection.prepare_cached(
        "SELECT seq, crc, payload FROM update_log WHERE room_id = ?1 ORDER BY seq",
    )?;
    let mut found = BTreeMap::new();
    let mut rows = select.query([room_id])?;
    while let Some(row) = rows.next()? {
        let seq = unsigned(row.get(0)?);
        let payload = row.get_ref(2)?.as_blob()?;
        let sound = row.get::<_, i64>(1)? == checksum(seq, payload);
        // Twice the same number is damage, too.
        let row = if sound && !found.contains_key(&seq) {
            Found::Sound(Bytes::copy_from_slice(payload))
        } else {
            Found::Damaged
        };
        found.insert(seq, row);
    }
    Ok(found)
}

/// The sound rows in order, or the number of the first damaged one.
pub(super) fn sound(rows: impl Iterator<Item = (u64, Found)>) -> Result<Vec<LoggedUpdate>, u64> {
    rows.map(|(seq, row)| match row {
        Found::Sound(bytes) => Ok(LoggedUpdate { seq, bytes }),
        Found::Damaged => Err(seq),
    })
    .collect()
}

/// All rooms by name, with how much is stored of each.
pub(super) fn summaries(connection: &Connection) -> rusqlite::Result<Vec<RoomSummary>> {
    let mut select = connection.prepare_cached(
        "SELECT name, (SELECT count(*) FROM update_log WHERE room_id = room.id),
             (SELECT max(version) FROM base_snapshot WHERE room_id = room.id) AS newest
         FROM room WHERE last_seq > 0 OR newest IS NOT NULL ORDER BY name",
    )?;
    let mut summaries = Vec::new();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let Ok(room) = RoomId::parse(&name) else {
            log::warn!("the realtime store holds a room whose name is not valid; it is left alone");
            continue;
        };
        let newest: Option<i64> = row.get(2)?;
        summaries.push(RoomSummary {
            room,
            log_rows: unsigned(row.get(1)?),
            snapshot_version: newest.map(unsigned),
        });
    }
    Ok(summaries)
}

/// Covers the number as well, so that a row cannot pass for another.
fn checksum(seq: u64, payload: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&seq.to_le_bytes());
    hasher.update(payload);
    i64::from(hasher.finalize())
}
