//! Updates that broke a document, kept aside for study: `<systemData>/realtime/quarantine/`.
//!
//! Each is two files, the bytes (`.bin`) and what is known of them (`.json`). Number and size are bounded; the
//! oldest go first. Nothing is ever read back into a room.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::RoomId,
    limits::{QUARANTINE_BYTES_MAX, QUARANTINE_UPDATES_MAX, QUARANTINE_WRITES_MAX},
    time::unix_ms,
};

/// Takes updates aside, on threads of their own: it happens rarely, and a disk may be slow.
#[derive(Debug)]
pub struct Quarantine {
    folder: PathBuf,
    /// One writes at a time.
    writing: Mutex<()>,
    writers: AtomicUsize,
}

/// What is known of an update in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quarantined {
    /// The room.
    pub room: String,
    /// Who sent it, if somebody did.
    pub user_id: Option<String>,
    /// What the sender's connection is called in the log.
    #[serde(default)]
    pub correlation_id: Option<String>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// What it did: `ROOM_FAULT` or `LOAD_FAILED`.
    pub code: String,
    /// One sentence.
    pub reason: String,
    /// Size of the update, in bytes.
    pub bytes: u64,
    /// Of the update, in hexadecimal.
    pub sha256: String,
}

/// Who sent an update.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The host's user id.
    pub user_id: &'a str,
    /// What the connection is called in the log.
    pub correlation_id: &'a str,
}

impl Quarantine {
    /// A quarantine in this folder, which is made when it is first needed.
    pub fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, writing: Mutex::new(()), writers: AtomicUsize::new(0) })
    }

    /// Keeps an update, in the background. What comes faster than the disk writes is only logged.
    pub fn keep(
        self: &Arc<Self>,
        room: &RoomId,
        sender: Option<Sender<'_>>,
        code: &'static str,
        reason: String,
        update: Bytes,
    ) {
        let about = Quarantined {
            room: room.to_string(),
            user_id: sender.map(|sender| sender.user_id.to_owned()),
            correlation_id: sender.map(|sender| sender.correlation_id.to_owned()),
            at_ms: unix_ms(),
            code: code.to_owned(),
            reason,
            bytes: update.len() as u64,
            sha256: hex(&Sha256::digest(&update)),
        };
        log::error!(
            event = "update_quarantined", room = room.as_str(), user = about.user_id.as_deref(),
            correlation_id = about.correlation_id.as_deref(), code = code, bytes = about.bytes;
            "room {room}: an update of {} bytes goes into quarantine: {code}", about.bytes
        );
        if self.writers.fetch_add(1, Ordering::Relaxed) >= QUARANTINE_WRITES_MAX {
            self.writers.fetch_sub(1, Ordering::Relaxed);
            log::warn!(
                event = "quarantine_failed", room = room.as_str(), error = "others are being written";
                "the update was not kept: others are still being written"
            );
            return;
        }
        let own = Arc::clone(self);
        let write = move || {
            let turn = own.writing.lock();
            if let Err(error) = write(&own.folder, &about, &update) {
                log::warn!(
                    event = "quarantine_failed", room = about.room.as_str(), error = error.to_string();
                    "the update could not be kept in {}: {error}", own.folder.display()
                );
            }
            drop(turn);
            own.writers.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("civic-quarantine".into()).spawn(write) {
            self.writers.fetch_sub(1, Ordering::Relaxed);
            log::warn!(
                event = "quarantine_failed", room = room.as_str(), error = error.to_string();
                "the update could not be kept: {error}"
            );
        }
    }
}

/// What is in the quarantine, oldest first. A folder that does not exist is empty.
pub fn list(folder: &Path) -> io::Result<Vec<Quarantined>> {
    let read = |stem: &String| {
        let text = fs::read(folder.join(format!("{stem}.json"))).ok()?;
        serde_json::from_slice(&text).ok()
    };
    Ok(stems(folder)?.iter().filter_map(read).collect())
}

/// The folder of an engine with this data folder.
pub fn folder(system_data_dir: &Path) -> PathBuf {
    system_data_dir.join("realtime").join("quarantine")
}

/// Names of the pairs of files, without ending, oldest first: they begin with the time.
fn stems(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut stems = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".json")) {
            stems.push(stem.to_owned());
        }
    }
    stems.sort_by_key(|stem| {
        let time = stem.split('-').next().and_then(|time| time.parse::<u64>().ok());
        (time.unwrap_or(0), stem.clone())
    });
    Ok(stems)
}

fn write(folder: &Path, about: &Quarantined, update: &[u8]) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mark = about.sha256.get(..16).unwrap_or_default();
    let mut kept = stems(folder)?;
    if kept.iter().any(|stem| stem.ends_with(mark)) {
        // Sent again, it must not push out others.
        return Ok(());
    }
    let fits = about.bytes <= QUARANTINE_BYTES_MAX;
    let size = |stem: &String| {
        fs::metadata(folder.join(format!("{stem}.bin"))).map_or(0, |file| file.len())
    };
    let mut total: u64 = kept.iter().map(size).sum();
    total += if fits { about.bytes } else { 0 };
    while kept.len() >= QUARANTINE_UPDATES_MAX || (total > QUARANTINE_BYTES_MAX && !kept.is_empty())
    {
        let oldest = kept.remove(0);
        total = total.saturating_sub(size(&oldest));
        for ending in ["bin", "json"] {
            match fs::remove_file(folder.join(format!("{oldest}.{ending}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    let stem = format!("{}-{mark}", about.at_ms);
    if fits {
        write_file(folder, &format!("{stem}.bin"), update)?;
    }
    write_file(folder, &format!("{stem}.json"), &serde_json::to_vec_pretty(about)?)
}

/// A file is there whole or not at all.
fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!("{name}.tmp"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::new(), |mut out, byte| {
        let written = write!(out, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(at_ms: u64, update: &[u8]) -> Quarantined {
        Quarantined {
            room: "notes:a".into(),
            user_id: Some("ada".into()),
            correlation_id: Some("7f".into()),
            at_ms,
            code: "ROOM_FAULT".into(),
            reason: "why".into(),
            bytes: update.len() as u64,
            sha256: hex(&Sha256::digest(update)),
        }
    }

    #[test]
    fn keeps_bytes_and_facts_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        assert_eq!(list(&folder).unwrap(), []);
        write(&folder, &about(5, b"bad"), b"bad").unwrap();
        write(&folder, &about(6, b"bad"), b"bad").unwrap();
        assert_eq!(list(&folder).unwrap(), [about(5, b"bad")], "the same one only once");
        let stem = &stems(&folder).unwrap()[0];
        assert_eq!(fs::read(folder.join(format!("{stem}.bin"))).unwrap(), b"bad");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&folder), 0o700);
            assert_eq!(mode(&folder.join(format!("{stem}.bin"))), 0o600);
        }
    }

    #[test]
    fn number_and_size_are_bounded_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        for at in 0..QUARANTINE_UPDATES_MAX as u64 + 5 {
            let update = at.to_le_bytes();
            write(dir.path(), &about(at, &update), &update).unwrap();
        }
        let kept = list(dir.path()).unwrap();
        assert_eq!((kept.len(), kept[0].at_ms), (QUARANTINE_UPDATES_MAX, 5));
        let large = vec![1; usize::try_from(QUARANTINE_BYTES_MAX).unwrap() - 20];
        write(dir.path(), &about(1000, &large), &large).unwrap();
        let kept = list(dir.path()).unwrap();
        assert_eq!(kept.len(), 3, "two small ones fit beside it");
        let larger = vec![2; large.len() + 100];
        write(dir.path(), &about(1001, &larger), &larger).unwrap();
        let last = list(dir.path()).unwrap().pop().unwrap();
        assert_eq!((last.at_ms, last.bytes), (1001, larger.len() as u64), "its facts are kept");
    }
}
