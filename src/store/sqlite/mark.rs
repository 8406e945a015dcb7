//! The last acknowledged row, noted in a small file beside the database.
//!
//! SQLite takes a damaged frame of its write-ahead log for the log's end and drops every later commit without
//! a word; the same goes for a log that was cut off or removed. The mark tells at the next start that edits
//! were acknowledged which are not there. It is written after each commit and never synced: whatever the mark
//! says was committed before, so an older mark only notices less.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Result},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use crate::{ids::RoomId, store::lock::beside};

/// Added to the database's name.
pub(super) const SUFFIX: &str = ".mark";
const MAGIC: &[u8; 4] = b"CPM1";
/// Magic, checksum, sequence number, length of the name.
const HEAD_BYTES: usize = 4 + 4 + 8 + 2;

/// A row that was acknowledged, and with it all that were committed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) room: String,
    pub(super) seq: u64,
}

/// The file the writer keeps open.
#[derive(Debug)]
pub(super) struct MarkFile {
    path: PathBuf,
    file: Option<File>,
    failed: bool,
}

impl MarkFile {
    pub(super) fn new(database: &Path) -> Self {
        Self { path: beside(database, SUFFIX), file: None, failed: false }
    }

    /// Notes an acknowledged row. A mark that cannot be written only notices less; it is said once.
    pub(super) fn set(&mut self, room: &RoomId, seq: u64) {
        match self.write(&encode(room.as_str(), seq)) {
            Ok(()) => self.failed = false,
            Err(error) => {
                self.file = None;
                if !self.failed {
                    log::warn!("{} cannot be written: {error}", self.path.display());
                }
                self.failed = true;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            self.file = Some(options.open(&self.path)?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        file.write_all_at(bytes, 0)
    }
}

/// The mark beside `database`; `None` if there is none or it is torn.
pub(super) fn read(database: &Path) -> Option<Mark> {
    let bytes = fs::read(beside(database, SUFFIX)).ok()?;
    let mark = decode(&bytes);
    if mark.is_none() {
        log::warn!("{}{SUFFIX} is not readable and is ignored", database.display());
    }
    mark
}

/// Forgets the mark, because the database that follows is another one.
pub(super) fn remove(database: &Path) -> Result<()> {
    match fs::remove_file(beside(database, SUFFIX)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn encode(room: &str, seq: u64) -> Vec<u8> {
    let length = u16::try_from(room.len()).unwrap_or(u16::MAX).to_le_bytes();
    let body = [&seq.to_le_bytes()[..], &length, room.as_bytes()].concat();
    [&MAGIC[..], &crc32fast::hash(&body).to_le_bytes(), &body].concat()
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let number = |from: usize, to: usize| bytes.get(from..to);
    let length = usize::from(u16::from_le_bytes(number(16, 18)?.try_into().ok()?));
    let body = bytes.get(8..HEAD_BYTES + length)?;
    let crc = u32::from_le_bytes(number(4, 8)?.try_into().ok()?);
    if !bytes.starts_with(MAGIC) || crc32fast::hash(body) != crc {
        return None;
    }
    let room = String::from_utf8(bytes.get(HEAD_BYTES..HEAD_BYTES + length)?.to_vec()).ok()?;
    Some(Mark { room, seq: u64::from_le_bytes(number(8, 16)?.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let mut file = MarkFile::new(&database);
        assert_eq!(read(&database), None);
        for (id, seq) in [("a-long-name-of-a-record", 7), ("b", u64::MAX)] {
            file.set(&RoomId::new("records", id).unwrap(), seq);
            assert_eq!(read(&database), Some(Mark { room: format!("records:{id}"), seq }));
        }
        let whole = encode("records:b", 9);
        for end in 0..whole.len() {
            assert_eq!(decode(&whole[..end]), None, "cut at {end}");
            let mut flipped = whole.clone();
            flipped[end] ^= 0x10;
            assert_eq!(decode(&flipped), None, "flipped at {end}");
        }
        remove(&database).unwrap();
        remove(&database).unwrap();
        assert_eq!(read(&database), None);
    }
}
