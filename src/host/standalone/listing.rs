//! Walks the folder and lists its records.

use std::{
    fs::{self, DirEntry},
    io::{self, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use super::{
    file_id,
    folder::{Folder, open_for_reading},
    summary,
};
use crate::{
    host::{HostError, RecordSummary},
    limits::{RECORDS_DEPTH_MAX, RECORDS_LISTED_MAX},
};

/// Bytes of a record that are searched for its title.
const HEAD_BYTES: usize = 8 * 1024;

/// All records, by title.
pub(super) fn summaries(folder: &Folder) -> Result<Vec<RecordSummary>, HostError> {
    fs::read_dir(folder.root()).map_err(|error| {
        HostError::Failed(format!("the records cannot be listed: {}", error.kind()))
    })?;
    let mut records = Vec::new();
    walk(folder.root(), &mut |entry| {
        if let Some(id) = record_id(folder.root(), entry) {
            // A record that goes away or cannot be read just now is left out, not an error of the list.
            records.extend(summarize(id, entry).ok());
        }
    });
    records.sort_by_cached_key(|record: &RecordSummary| {
        (record.title.to_lowercase(), record.id.clone())
    });
    Ok(records)
}

/// One record; `None` if there is none of this id.
pub(super) fn summary_of(folder: &Folder, id: String) -> Result<Option<RecordSummary>, HostError> {
    let Some(text) = folder.read(&id)? else { return Ok(None) };
    let modified_at_ms = fs::metadata(folder.root().join(format!("{id}.md")))
        .map_or(0, |meta| modified_at_ms(&meta));
    let head = text.get(..text.floor_char_boundary(HEAD_BYTES)).unwrap_or_default();
    Ok(Some(summary(id, head, modified_at_ms)))
}

/// Calls `seen` with every regular file below `root`, hidden ones too, but not into hidden folders or
/// through links. Stops at [`RECORDS_LISTED_MAX`] files and [`RECORDS_DEPTH_MAX`] levels of folders.
pub(super) fn walk(root: &Path, seen: &mut dyn FnMut(&DirEntry)) {
    let mut folders = vec![(root.to_path_buf(), 0)];
    let mut files = 0_usize;
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if kind.is_dir()
                && !hidden
                && depth < RECORDS_DEPTH_MAX
                && folders.len() < RECORDS_LISTED_MAX
            {
                folders.push((entry.path(), depth + 1));
            }
            if kind.is_file() {
                files += 1;
                if files > RECORDS_LISTED_MAX {
                    log::warn!(
                        "records.dir holds more than {RECORDS_LISTED_MAX} files; the rest is not listed"
                    );
                    return;
                }
                seen(&entry);
            }
        }
    }
}

/// The id of the record that `entry` is, if it is one.
pub(super) fn record_id(root: &Path, entry: &DirEntry) -> Option<String> {
    file_id::id_of(entry.path().strip_prefix(root).ok()?)
}

/// When the file last changed, in Unix milliseconds.
pub(super) fn modified_at_ms(meta: &fs::Metadata) -> u64 {
    meta.modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn summarize(id: String, entry: &DirEntry) -> io::Result<RecordSummary> {
    let file = open_for_reading(&entry.path())?;
    let modified_at_ms = modified_at_ms(&file.metadata()?);
    let mut head = Vec::new();
    file.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(summary(id, &String::from_utf8_lossy(&head), modified_at_ms))
}

fn summary(id: String, head: &str, modified_at_ms: u64) -> RecordSummary {
    let found = summary::read(head);
    RecordSummary {
        title: found.title.unwrap_or_else(|| id.clone()),
        status: found.status,
        kind: found.kind,
        modified_at_ms,
        id,
    }
}
