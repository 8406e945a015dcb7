//! Base snapshots: how they are packed, stored with the deletion of the rows they contain, and found again.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};

use super::{
    Context, failure,
    number::{signed, unsigned},
    thinning,
    update_log::{self, Found, RoomFound, RoomRow},
};
use crate::{
    config::Compression,
    ids::RoomId,
    limits::STORED_STATE_BYTES_MAX,
    store::{NewSnapshot, Snapshot, SnapshotInfo, StoreError, StoredRoom, compression},
};

/// Update v1, whose sha256 covers only the state.
const FORMAT_STATE: i64 = 1;
/// Update v1, whose sha256 covers also which log rows are contained.
const FORMAT: i64 = 2;

/// A snapshot ready to be written.
pub(super) struct Packed {
    room: RoomId,
    upto_seq: u64,
    keep: Vec<u64>,
    method: Compression,
    sha256: [u8; 32],
    raw_bytes: u64,
    data: Vec<u8>,
}

/// Compresses and hashes; takes long for large states, so not on the writer.
pub(super) fn pack(snapshot: NewSnapshot, method: Compression) -> Result<Packed, StoreError> {
    let raw_bytes = snapshot.state.len() as u64;
    if raw_bytes > STORED_STATE_BYTES_MAX {
        return Err(StoreError::Io(format!(
            "the state of {} is too large: {raw_bytes} bytes",
            snapshot.room
        )));
    }
    let data = compression::compress(method, &snapshot.state).map_err(|error| {
        StoreError::Io(format!("the state of {} cannot be packed: {error}", snapshot.room))
    })?;
    let mut keep = snapshot.keep;
    keep.retain(|seq| *seq <= snapshot.upto_seq);
    let sha256 = digest(FORMAT, &snapshot.state, snapshot.upto_seq, &keep_json(&keep));
    Ok(Packed {
        room: snapshot.room,
        upto_seq: snapshot.upto_seq,
        keep,
        method,
        sha256,
        raw_bytes,
        data,
    })
}

/// What proves a stored snapshot.
fn digest(format: i64, state: &[u8], upto_seq: u64, keep_json: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(state);
    if format != FORMAT_STATE {
        hash.update(upto_seq.to_le_bytes());
        hash.update(keep_json);
    }
    hash.finalize().into()
}

fn keep_json(keep: &[u64]) -> String {
    serde_json::Value::from(keep).to_string()
}

/// Writes the snapshot, deletes the rows it contains and thins the older snapshots.
pub(super) fn save(
    context: &mut Context,
    packed: &Packed,
    now_ms: u64,
) -> rusqlite::Result<SnapshotInfo> {
    let room_id = context.room_id(&packed.room)?;
    let connection = &context.connection;
    let mut kept: Vec<(u64, u64)> = connection
        .prepare_cached("SELECT version, created_at_ms FROM base_snapshot WHERE room_id = ?1 ORDER BY version DESC")?
        .query_map([room_id], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?
        .collect::<Result<_, _>>()?;
    let version = kept.first().map_or(0, |(newest, _)| *newest).saturating_add(1);
    let keep_json = keep_json(&packed.keep);
    connection
        .prepare_cached(
            "INSERT INTO base_snapshot (room_id, version, upto_seq, keep_json, format, compression, sha256,
                 raw_size, created_at_ms, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            room_id,
            signed(version),
            signed(packed.upto_seq),
            keep_json,
            FORMAT,
            compression::name(packed.method),
            packed.sha256,
            signed(packed.raw_bytes),
            signed(now_ms),
            packed.data,
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM update_log WHERE room_id = ?1 AND seq <= ?2
                 AND seq NOT IN (SELECT value FROM json_each(?3))",
        )?
        .execute(params![room_id, signed(packed.upto_seq), keep_json])?;
    update_log::raise_last_seq(connection, room_id, packed.upto_seq)?;

    kept.insert(0, (version, now_ms));
    let mut delete = connection
        .prepare_cached("DELETE FROM base_snapshot WHERE room_id = ?1 AND version = ?2")?;
    for old in thinning::versions_to_delete(&kept, now_ms) {
        delete.execute(params![room_id, signed(old)])?;
    }
    Ok(SnapshotInfo { version, created_at_ms: now_ms, stored_bytes: packed.data.len() as u64 })
}

/// Why a room cannot be rebuilt.
pub(super) enum LoadError {
    Sql(rusqlite::Error),
    Damaged(String),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        if failure::is_of_stored_data(&error) {
            Self::Damaged(format!("the database cannot read it ({error})"))
        } else {
            Self::Sql(error)
        }
    }
}

/// Rebuilds what is stored of `room` from the newest snapshot that verifies and the rows after it.
pub(super) fn load(
    connection: &Connection,
    room: &RoomId,
) -> Result<Option<StoredRoom>, LoadError> {
    let row = match update_log::room(connection, room)? {
        RoomFound::Row(row) => row,
        RoomFound::Nothing => return Ok(None),
        RoomFound::Damaged => {
            return Err(LoadError::Damaged("its entry and the index of names disagree".into()));
        }
    };
    let rows = update_log::rows(connection, row.id)?;
    let mut select = connection.prepare_cached(
        "SELECT version, upto_seq, keep_json, format, compression, sha256, raw_size, created_at_ms, data
         FROM base_snapshot WHERE room_id = ?1 ORDER BY version DESC",
    )?;
    let mut candidates = select.query([row.id])?;
    let mut damage: Option<String> = None;
    while let Some(candidate) = candidates.next()? {
        match read(candidate) {
            Ok((snapshot, keep)) => {
                require_rows_after(damage.as_deref(), snapshot.upto_seq, &keep, &row, &rows)?;
                if let Some(what) = damage {
                    log::warn!(
                        "{room}: {what}; snapshot {} and its log are used",
                        snapshot.version
                    );
                }
                return rebuilt(Some((snapshot, &keep)), &row, rows).map(Some);
            }
            Err(what) => drop(damage.get_or_insert(what)),
        }
    }
    require_rows_after(damage.as_deref(), 0, &[], &row, &rows)?;
    if let Some(what) = damage {
        log::warn!("{room}: {what}; the log alone is used");
    } else if row.seeded && !rows.contains_key(&1) {
        return Err(LoadError::Damaged("its first row and all its snapshots are gone".into()));
    } else if row.last_seq == 0 && rows.is_empty() {
        // Only a source's text was ever stored: the room has no content yet.
        return Ok(None);
    }
    rebuilt(None, &row, rows).map(Some)
}

/// One snapshot of `room` by its number.
pub(super) fn one(
    connection: &Connection,
    room: &RoomId,
    version: i64,
) -> Result<Option<Snapshot>, LoadError> {
    let mut select = connection.prepare_cached(
        "SELECT version, upto_seq, keep_json, format, compression, sha256, raw_size, created_at_ms, data
         FROM base_snapshot WHERE room_id = (SELECT id FROM room WHERE name = ?1) AND version = ?2",
    )?;
    let mut found = select.query(params![room.as_str(), version])?;
    let Some(row) = found.next()? else { return Ok(None) };
    read(row).map(|(snapshot, _)| Some(snapshot)).map_err(LoadError::Damaged)
}

fn rebuilt(
    base: Option<(Snapshot, &[u64])>,
    room: &RoomRow,
    rows: BTreeMap<u64, Found>,
) -> Result<StoredRoom, LoadError> {
    let (snapshot, keep) = base.unzip();
    let upto_seq = snapshot.as_ref().map_or(0, |snapshot| snapshot.upto_seq);
    let is_needed = |seq: u64| seq > upto_seq || keep.is_some_and(|keep| keep.contains(&seq));
    let tail = update_log::sound(rows.into_iter().filter(|(seq, _)| is_needed(*seq)))
        .map_err(|seq| LoadError::Damaged(format!("log row {seq} does not match its checksum")))?;
    Ok(StoredRoom { snapshot, tail, last_seq: room.last_seq })
}

/// A base is only good with every row it lacks. For an older one that means that none was deleted since.
fn require_rows_after(
    damage: Option<&str>,
    upto_seq: u64,
    keep: &[u64],
    room: &RoomRow,
    rows: &BTreeMap<u64, Found>,
) -> Result<(), LoadError> {
    let newest = rows.last_key_value().map_or(upto_seq, |(seq, _)| upto_seq.max(*seq));
    if newest > room.last_seq {
        return Err(LoadError::Damaged(format!("log row {newest} is beyond its last one")));
    }
    let later = room.last_seq.saturating_sub(upto_seq);
    let later_found = rows.range(upto_seq.saturating_add(1)..).count() as u64;
    if later_found >= later && keep.iter().all(|seq| rows.contains_key(seq)) {
        Ok(())
    } else {
        Err(LoadError::Damaged(match damage {
            Some(damage) => format!("{damage}, and the log rows that it replaced are gone"),
            None => format!("log rows after row {upto_seq} are missing"),
        }))
    }
}

/// Reads and verifies one snapshot, with the numbers of the rows it left in the log.
fn read(row: &Row<'_>) -> Result<(Snapshot, Vec<u64>), String> {
    let version: i64 = row.get(0).map_err(|error| format!("a snapshot is damaged ({error})"))?;
    let damaged = |why: String| format!("snapshot {version} is damaged ({why})");
    let columns = || -> rusqlite::Result<_> {
        Ok((
            unsigned(row.get(1)?),
            row.get::<_, String>(2)?,
            row.get::<_, i64>(3)?,
            row.get::<_, String>(4)?,
            row.get::<_, [u8; 32]>(5)?,
            unsigned(row.get(6)?),
            unsigned(row.get(7)?),
        ))
    };
    let (upto_seq, keep_json, format, method, sha256, raw_bytes, created_at_ms) =
        columns().map_err(|error| damaged(error.to_string()))?;
    if ![FORMAT_STATE, FORMAT].contains(&format) {
        return Err(damaged(format!("unknown format {format}")));
    }
    let keep: Vec<u64> =
        serde_json::from_str(&keep_json).map_err(|error| damaged(error.to_string()))?;
    let method =
        compression::by_name(&method).ok_or_else(|| damaged("unknown compression".into()))?;
    let stored = row.get_ref(8).map_err(|error| damaged(error.to_string()))?;
    let stored = stored.as_blob().map_err(|error| damaged(error.to_string()))?;
    let state = compression::decompress(method, stored, raw_bytes)
        .map_err(|error| damaged(error.to_string()))?;
    if digest(format, &state, upto_seq, &keep_json) != sha256 {
        return Err(damaged("it does not match its sha256".into()));
    }
    let snapshot =
        Snapshot { version: unsigned(version), upto_seq, created_at_ms, state: Bytes::from(state) };
    Ok((snapshot, keep))
}
