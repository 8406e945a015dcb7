//! The operator's copies as files: `<folder>/<room>/<room>-<version>-<created_at>.snapshot`, the raw update v1,
//! and a `.meta.json` of the same name with its hash. `adapter/civicpress/snapshot-files.ts` writes the same.
//!
//! Each file is written under a temporary name, synced and renamed, the metadata last: whoever finds the
//! metadata finds the whole copy, whenever the power went.

use std::{
    fs::{self, File},
    io::{Error, Result, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{SnapshotInfo, hex};
use crate::ids::RoomId;

const DATA: &str = ".snapshot";
const META: &str = ".meta.json";
const UNFINISHED: &str = ".tmp";
/// Longest room name, escaped, that is a folder's name itself; file systems end at 255 bytes.
const NAME_BYTES_MAX: usize = 180;

/// Adds a copy and deletes all but the newest `keep`.
pub(super) fn save(
    folder: &Path,
    room: &RoomId,
    state: &[u8],
    sha256_hex: &str,
    keep: usize,
    now_ms: u64,
) -> Result<SnapshotInfo> {
    let name = file_name(room);
    let dir = folder.join(&name);
    fs::create_dir_all(&dir)?;
    let mut present = copies(&dir)?;
    let version = present.iter().map(|copy| copy.version).max().unwrap_or(0).saturating_add(1);
    let size = state.len() as u64;
    let stem = format!("{name}-{version}-{now_ms}");
    let meta = json!({
        "room_id": room.as_str(),
        "version": version,
        "integrity_hash": sha256_hex,
        "format_version": 1,
        "byte_size": size,
        "created_at": now_ms,
    });
    write_whole(&dir, &format!("{stem}{DATA}"), state)?;
    write_whole(&dir, &format!("{stem}{META}"), meta.to_string().as_bytes())?;
    sync_folder(&dir)?;
    sync_folder(folder)?;

    present.sort_by_key(|copy| std::cmp::Reverse(copy.version));
    for old in present.iter().skip(keep.max(1) - 1) {
        // The metadata goes first: a copy without it is not a copy, one without its data is a damaged one.
        remove_if_there(&dir.join(format!("{}{META}", old.stem)))?;
        remove_if_there(&dir.join(format!("{}{DATA}", old.stem)))?;
    }
    Ok(SnapshotInfo { version, created_at_ms: now_ms, stored_bytes: size })
}

/// Deletes copies of records made before `before_ms`, but for rooms `in_use`. A folder whose copies name no
/// record is left alone.
pub(super) fn expire(folder: &Path, before_ms: u64, in_use: &[RoomId]) -> Result<u64> {
    let kept: Vec<String> = in_use.iter().map(file_name).collect();
    let mut expired = 0;
    let rooms = match fs::read_dir(folder) {
        Ok(rooms) => rooms,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    for entry in rooms {
        let entry = entry?;
        if !entry.file_type()?.is_dir()
            || kept.iter().any(|name| entry.file_name() == name.as_str())
        {
            continue;
        }
        let dir = entry.path();
        for copy in copies(&dir)? {
            let meta = dir.join(format!("{}{META}", copy.stem));
            let Ok(text) = fs::read_to_string(&meta) else { continue };
            let Ok(meta_json) = serde_json::from_str::<Value>(&text) else { continue };
            let is_record = meta_json
                .get("room_id")
                .and_then(Value::as_str)
                .is_some_and(|room| room.starts_with("records:"));
            if is_record
                && meta_json
                    .get("created_at")
                    .and_then(Value::as_u64)
                    .is_some_and(|at| at < before_ms)
            {
                remove_if_there(&meta)?;
                remove_if_there(&dir.join(format!("{}{DATA}", copy.stem)))?;
                expired += 1;
            }
        }
    }
    Ok(expired)
}

/// A room's folder, and the beginning of its files. Characters that mean something to file systems are escaped.
fn file_name(room: &RoomId) -> String {
    let mut escaped = String::new();
    for byte in room.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push_str(&hex(&[byte]).to_uppercase());
        }
    }
    if escaped.len() <= NAME_BYTES_MAX {
        escaped
    } else {
        format!("sha256-{}", hex(&Sha256::digest(room.as_str())))
    }
}

struct Copy {
    version: u64,
    stem: String,
}

/// The copies in a room's folder. Unfinished files of a process that died are removed on the way.
fn copies(dir: &Path) -> Result<Vec<Copy>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(UNFINISHED) {
            remove_if_there(&dir.join(name))?;
        }
        let Some(stem) = name.strip_suffix(DATA) else { continue };
        if let Some(version) = stem.rsplit('-').nth(1).and_then(|version| version.parse().ok()) {
            found.push(Copy { version, stem: stem.to_owned() });
        }
    }
    Ok(found)
}

fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let unfinished: PathBuf = dir.join(format!("{name}{UNFINISHED}"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, dir.join(name))
}

/// Makes renames in `dir` survive a loss of power, where the system lets a folder be opened.
fn sync_folder(dir: &Path) -> Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(error.kind(), format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn old_copies_of_unused_records_go() {
        let folder = tempfile::tempdir().unwrap();
        let room = |kind, id| RoomId::new(kind, id).unwrap();
        for (kind, id) in [("records", "old"), ("records", "used"), ("notes", "open")] {
            save(folder.path(), &room(kind, id), b"state", "", 3, 100).unwrap();
        }
        save(folder.path(), &room("records", "new"), b"state", "", 3, 300).unwrap();
        assert_eq!(expire(folder.path(), 200, &[room("records", "used")]).unwrap(), 1);
        assert_eq!(expire(folder.path(), 200, &[]).unwrap(), 1);
        assert_eq!(expire(folder.path(), 200, &[]).unwrap(), 0);
        assert_eq!(expire(&folder.path().join("none"), 200, &[]).unwrap(), 0);
    }

    #[test]
    fn the_newest_are_kept_and_leftovers_removed() {
        let folder = tempfile::tempdir().unwrap();
        let room = RoomId::new("records", "by-laws/1").unwrap();
        let dir = folder.path().join("records:by-laws%2F1");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("9-1.snapshot.tmp"), b"half").unwrap();
        for n in 1..=4_u64 {
            let info = save(folder.path(), &room, b"state", "aa", 2, 1000 + n).unwrap();
            assert_eq!((info.version, info.stored_bytes), (n, 5));
        }
        let stem = |end: &str| format!("records:by-laws%2F1-{end}");
        let kept = ["3-1003.meta.json", "3-1003.snapshot", "4-1004.meta.json", "4-1004.snapshot"];
        assert_eq!(names(&dir), kept.map(stem));
        let meta = fs::read(dir.join(stem("4-1004.meta.json"))).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        assert_eq!(
            meta,
            json!({ "room_id": "records:by-laws/1", "version": 4, "integrity_hash": "aa", "format_version": 1,
                    "byte_size": 5, "created_at": 1004 })
        );
        assert_eq!(fs::read(dir.join(stem("4-1004.snapshot"))).unwrap(), b"state");
    }

    #[test]
    fn the_longest_name_fits_a_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let room = RoomId::new(&"k".repeat(32), &"é".repeat(128)).unwrap();
        assert!(save(folder.path(), &room, b"state", "aa", 1, 1).is_ok());
    }
}
