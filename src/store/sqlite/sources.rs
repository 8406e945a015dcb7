//! SQL of the texts last exchanged with each source, and of texts that lost a merge.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::{Context, number::signed};
use crate::{
    ids::RoomId,
    limits::KEPT_VERSIONS_MAX,
    store::{ELSEWHERE, OFFERED, RESEEDED},
};

/// Remembers the text last exchanged with `source`. A record has one text at a time, wherever it lies: what
/// another source held before (a draft that was published or discarded) is no base of a merge any more.
pub(super) fn set(
    context: &mut Context,
    room: &RoomId,
    source: &str,
    text: &str,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let room_id = context.room_id(room)?;
    let sha256: [u8; 32] = Sha256::digest(text).into();
    context
        .connection
        .prepare_cached(
            "INSERT INTO source_text (room_id, source, sha256, text, exchanged_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (room_id, source) DO UPDATE SET sha256 = excluded.sha256, text = excluded.text,
                 exchanged_at_ms = excluded.exchanged_at_ms",
        )?
        .execute(params![room_id, source, sha256, text, signed(now_ms)])?;
    if ![OFFERED, RESEEDED, ELSEWHERE].contains(&source) {
        context
            .connection
            .prepare_cached(
                "DELETE FROM source_text WHERE room_id = ?1 AND source NOT IN (?2, ?3, ?4, ?5)",
            )?
            .execute(params![room_id, source, OFFERED, RESEEDED, ELSEWHERE])?;
    }
    Ok(())
}

/// The text last exchanged with the host.
pub(super) fn exchanged(connection: &Connection, room: &RoomId) -> rusqlite::Result<SourceText> {
    let source: Option<String> = connection
        .prepare_cached(
            "SELECT source FROM source_text
             WHERE room_id = (SELECT id FROM room WHERE name = ?1) AND source NOT IN (?2, ?3, ?4)
             ORDER BY exchanged_at_ms DESC LIMIT 1",
        )?
        .query_row([room.as_str(), OFFERED, RESEEDED, ELSEWHERE], |row| row.get(0))
        .optional()?;
    source.map_or(Ok(SourceText::Unknown), |source| get(connection, room, &source))
}

/// What is stored of a source.
pub(super) enum SourceText {
    Unknown,
    Known(String),
    Damaged,
}

/// The text last exchanged with `source`.
pub(super) fn get(
    connection: &Connection,
    room: &RoomId,
    source: &str,
) -> rusqlite::Result<SourceText> {
    let found: Option<(String, [u8; 32])> = connection
        .prepare_cached(
            "SELECT text, sha256 FROM source_text
             WHERE room_id = (SELECT id FROM room WHERE name = ?1) AND source = ?2",
        )?
        .query_row([room.as_str(), source], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(match found {
        None => SourceText::Unknown,
        Some((text, sha256)) if <[u8; 32]>::from(Sha256::digest(&text)) == sha256 => {
            SourceText::Known(text)
        }
        Some(_) => SourceText::Damaged,
    })
}

/// Keeps a text that lost a merge. The same text as the last one is kept once, and the oldest go first: a
/// source that conflicts again and again must not fill the disk.
pub(super) fn keep(
    context: &mut Context,
    room: &RoomId,
    source: &str,
    reason: &str,
    text: &str,
    now_ms: u64,
) -> rusqlite::Result<()> {
    let room_id = context.room_id(room)?;
    let connection = &context.connection;
    let again: Option<bool> = connection
        .prepare_cached(
            "SELECT source = ?2 AND reason = ?3 AND text = ?4 FROM kept_version
             WHERE room_id = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![room_id, source, reason, text], |row| row.get(0))
        .optional()?;
    if again == Some(true) {
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO kept_version (room_id, source, reason, text, created_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![room_id, source, reason, text, signed(now_ms)])?;
    connection
        .prepare_cached(
            "DELETE FROM kept_version WHERE room_id = ?1 AND id NOT IN
                 (SELECT id FROM kept_version WHERE room_id = ?1 ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![room_id, signed(KEPT_VERSIONS_MAX as u64)])
        .map(|_| ())
}
