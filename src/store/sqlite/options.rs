//! What an operator chooses about the database file.

use std::path::PathBuf;

use crate::{
    config::{Compression, Config, Durability, SnapshotStorage},
    store::StoreError,
};

/// How a database is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file; its folder is created.
    pub path: PathBuf,
    /// What a told commit survives.
    pub durability: Durability,
    /// How new snapshots are packed. Stored ones say themselves how they were.
    pub compression: Compression,
    /// Where the operator's copies go.
    pub copies: CopyTarget,
    /// The operator's copies kept per room, at least 1.
    pub copies_kept: usize,
    /// A copy above this size is warned about, in bytes.
    pub copy_bytes_warning: u64,
}

/// Where the operator's copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// The table `realtime_snapshots` of the database.
    Table,
    /// Files below this folder, one sub-folder per room.
    Folder(PathBuf),
}

impl SqliteOptions {
    /// The options an engine's configuration asks for: `store.url`, `snapshots.*` and the system data folder.
    /// [`StoreError::Io`] if the URL does not name an SQLite file.
    pub fn from_config(config: &Config) -> Result<Self, StoreError> {
        let own = config.system_data_dir.join("realtime");
        let path = match config.store.url.as_deref() {
            None => own.join("realtime.db"),
            Some(url) => file_of_url(url)?,
        };
        let copies = match config.snapshots.storage {
            // With the API as host the store is asked for none.
            SnapshotStorage::Database | SnapshotStorage::Api => CopyTarget::Table,
            SnapshotStorage::Filesystem => CopyTarget::Folder(own.join("snapshots")),
        };
        Ok(Self {
            path,
            durability: config.snapshots.durability,
            compression: config.snapshots.compression,
            copies,
            copies_kept: config.snapshots.keep_versions,
            copy_bytes_warning: config.snapshots.max_bytes_warning,
        })
    }
}

/// The file of `sqlite:<path>` or `sqlite://<path>`.
fn file_of_url(url: &str) -> Result<PathBuf, StoreError> {
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        // ":memory:" would be a database that forgets, and "file:" one with options we do not know.
        Some(path) if !path.is_empty() && !path.starts_with(':') && !path.starts_with("file:") => {
            Ok(PathBuf::from(path))
        }
        // The URL itself may hold a password.
        _ => Err(StoreError::Io("store.url must be sqlite:<path of a file>".into())),
    }
}
