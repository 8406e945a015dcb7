//! The host of standalone mode: users come from JWTs, records are Markdown files in a folder.

mod file_id;
mod folder;
mod listing;
mod samples;
mod summary;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use samples::install_samples;

use self::{folder::Folder, worker::Worker};
use super::{Grant, Hook, Host, HostError, Identity, RecordSummary, RecordText, SaveOutcome};
use crate::{
    auth::{
        grant,
        jwt::{JwtConfigError, JwtVerifier},
    },
    config::{Config, Jwt},
    future::BoxFuture,
    ids::RoomId,
    time::unix_ms,
};

/// Room type of records.
const RECORDS: &str = "records";
/// What a record's text is from, in [`RecordText::source`].
const SOURCE: &str = "file";

/// What a [`StandaloneHost`] is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandaloneOptions {
    /// Folder of Markdown records (`records.dir`); created if missing.
    pub records_dir: PathBuf,
    /// Whether an editor's join may create a record (`records.create_missing`).
    pub create_missing: bool,
    /// Room types that need no record (`rooms.open_types`).
    pub open_types: Vec<String>,
    /// How tokens are verified (`auth.jwt`).
    pub jwt: Jwt,
}

impl From<&Config> for StandaloneOptions {
    fn from(config: &Config) -> Self {
        Self {
            records_dir: config.records.dir.clone(),
            create_missing: config.records.create_missing,
            open_types: config.rooms.open_types.clone(),
            jwt: config.auth.jwt.clone(),
        }
    }
}

/// Why standalone mode cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StandaloneError {
    /// `auth.jwt.*` cannot be used.
    #[error(transparent)]
    Jwt(#[from] JwtConfigError),
    /// The records' folder cannot be created or opened.
    #[error("records.dir {}: {source}", dir.display())]
    Records {
        /// The folder as configured.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl StandaloneError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jwt(error) => error.code(),
            Self::Records { .. } => "RECORDS_DIR_FAILED",
        }
    }
}

/// The host of standalone mode. File work runs on its own thread, one job at a time, so that two saves never
/// meet; the thread ends when the host is dropped.
#[derive(Debug)]
pub struct StandaloneHost {
    verifier: JwtVerifier,
    files: Worker,
    root: PathBuf,
    create_missing: bool,
    open_types: Vec<String>,
    hooks: AtomicU64,
}

impl StandaloneHost {
    /// Checks the key, opens the folder and starts the file thread.
    pub fn new(options: StandaloneOptions) -> Result<Self, StandaloneError> {
        let verifier = JwtVerifier::new(&options.jwt)?;
        let failed = |source| StandaloneError::Records { dir: options.records_dir.clone(), source };
        let folder = open_folder(&options.records_dir).map_err(failed)?;
        let root = folder.root().to_path_buf();
        let files = Worker::start(folder).map_err(failed)?;
        Ok(Self {
            verifier,
            files,
            root,
            create_missing: options.create_missing,
            open_types: options.open_types,
            hooks: AtomicU64::new(0),
        })
    }

    /// Hooks emitted so far. Nobody listens to them in standalone mode but the log.
    pub fn hooks_emitted(&self) -> u64 {
        self.hooks.load(Ordering::Relaxed)
    }

    async fn may(&self, identity: &Identity, room: &RoomId) -> Result<Grant, HostError> {
        let can_edit = match identity.role.as_str() {
            "viewer" => false,
            "editor" | "admin" => true,
            _ => return Err(HostError::Denied),
        };
        if !grant::allows(&identity.room_patterns, room) {
            return Err(HostError::Denied);
        }
        let admitted = if room.kind() == RECORDS {
            let (id, may_create) = (room.id().to_owned(), self.create_missing && can_edit);
            self.files.run(move |folder| folder.admits(&id, may_create)).await??
        } else {
            self.open_types.iter().any(|kind| kind == room.kind())
        };
        if admitted { Ok(Grant { can_edit }) } else { Err(HostError::Denied) }
    }
}

fn open_folder(dir: &Path) -> io::Result<Folder> {
    if !dir.exists() {
        log::warn!("records.dir {} does not exist; it is created", dir.display());
        std::fs::create_dir_all(dir)?;
    }
    Folder::open(dir)
}

impl Host for StandaloneHost {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>> {
        Box::pin(async move { self.verifier.verify(token, unix_ms()) })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>> {
        Box::pin(self.may(identity, room))
    }

    fn load_record<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>> {
        Box::pin(async move {
            if room.kind() != RECORDS {
                return Ok(None);
            }
            let id = room.id().to_owned();
            let text = self.files.run(move |folder| folder.read(&id)).await??;
            Ok(text.map(from_file))
        })
    }

    fn save_record<'a>(
        &'a self,
        room: &'a RoomId,
        text: &'a str,
        expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>> {
        Box::pin(async move {
            if room.kind() != RECORDS {
                return Err(HostError::Failed(format!(
                    "rooms of type {} have no record",
                    room.kind()
                )));
            }
            let (id, text, expected) =
                (room.id().to_owned(), text.to_owned(), expected.map(str::to_owned));
            let found = self
                .files
                .run(move |folder| folder.save(&id, &text, expected.as_deref()))
                .await??;
            Ok(found
                .map_or(SaveOutcome::Saved(SOURCE), |text| SaveOutcome::Changed(from_file(text))))
        })
    }

    fn emit_hook(&self, hook: Hook) {
        let count = self.hooks.fetch_add(1, Ordering::Relaxed) + 1;
        log::debug!("hook {} ({count} so far)", hook.name);
    }

    fn list_records<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>> {
        Box::pin(async move {
            let mut records = self.files.run(listing::summaries).await??;
            records.retain(|record| {
                RoomId::new(RECORDS, &record.id)
                    .is_ok_and(|room| grant::allows(&identity.room_patterns, &room))
            });
            Ok(records)
        })
    }

    fn record_summary<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordSummary>, HostError>> {
        Box::pin(async move {
            let id = room.id().to_owned();
            self.files.run(move |folder| listing::summary_of(folder, id)).await?
        })
    }

    fn watch(&self, changed: Arc<dyn Fn(RoomId) + Send + Sync>) -> Option<Box<dyn Send + Sync>> {
        watch::start(&self.root, changed)
    }
}

fn from_file(text: String) -> RecordText {
    RecordText { source: SOURCE, text }
}
