//! One engine per database file: an advisory lock on a file beside it.
//!
//! SQLite's own locks would let two engines take turns, and each would give out the same sequence numbers.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::StoreError;
use crate::limits::STORE_LOCK_WAIT;

/// Time between two looks at a lock that is held.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The held lock. Dropping it, or the death of the process by whatever cause, releases it.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes `<database>.lock`. Waits up to [`STORE_LOCK_WAIT`], for an engine that is about to end.
    ///
    /// The file stays when the lock is released: removing it would let a third engine lock a new file of
    /// the same name while a second one holds the old one.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, ".lock");
        let failed = |error: std::io::Error| {
            StoreError::Io(format!(
                "{} cannot be locked: {error}; check its folder",
                path.display()
            ))
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed)?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if waited < STORE_LOCK_WAIT => {
                    thread::sleep(LOOK_AGAIN);
                    waited += LOOK_AGAIN;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Locked { path: database.display().to_string() });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }
}

/// `path` with `suffix` at the end of its file name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("a.db");
        let first = FileLock::take(&database).unwrap();
        assert!(matches!(FileLock::take(&database), Err(StoreError::Locked { .. })));
        drop(first);
        assert!(FileLock::take(&database).is_ok());
    }
}
