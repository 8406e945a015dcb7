//! Reads and writes record files. Everything blocks; only the records' thread calls it.
//!
//! A record has exactly one name: symbolic links are not followed, and on file systems that ignore case only
//! the spelling on disk is found. Two rooms over one file would overwrite each other.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::{file_id, listing};
use crate::{host::HostError, limits::RECORD_BYTES_MAX};

/// Names of files being written begin so; hidden, so neither the list nor the watch sees them.
const TEMP_PREFIX: &str = ".civic-";
/// Such a file of this age was left by a crash.
const TEMP_AGE_MAX: Duration = Duration::from_hours(1);

/// A folder of records.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// What stands at a record's path.
enum Place {
    /// A regular file.
    File(PathBuf, Metadata),
    /// Nothing; it may be created.
    Free(PathBuf),
    /// Something that is no record: a link, a folder, a device, a name of other spelling.
    Other,
}

impl Folder {
    /// Opens an existing folder. Links above it and itself are resolved here, once.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let root = dir.canonicalize()?;
        fs::read_dir(&root)?;
        Ok(Self { root })
    }

    /// The folder's real path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the record exists or, with `may_create`, could be created.
    pub(super) fn admits(&self, id: &str, may_create: bool) -> Result<bool, HostError> {
        Ok(match self.place(id)? {
            Place::File(..) => true,
            Place::Free(_) => may_create,
            Place::Other => false,
        })
    }

    /// The record's text; `None` if there is none.
    pub(super) fn read(&self, id: &str) -> Result<Option<String>, HostError> {
        match self.place(id)? {
            Place::File(path, _) => read_text(id, &path).map(Some),
            Place::Free(_) | Place::Other => Ok(None),
        }
    }

    /// Replaces the record's text if it still is `expected`; else returns the text found instead.
    pub(super) fn save(
        &self,
        id: &str,
        text: &str,
        expected: Option<&str>,
    ) -> Result<Option<String>, HostError> {
        if text.len() > RECORD_BYTES_MAX {
            return Err(failed(id, "is too large to be saved (16 MiB at most)"));
        }
        match (self.place(id)?, expected) {
            (Place::File(path, before), Some(expected)) => {
                replace(id, &path, &before, text, expected)
            }
            (Place::File(path, _), None) => read_text(id, &path).map(Some),
            (Place::Free(path), None) => self.create(id, &path, text),
            // Deleting the file was someone's will; writing it again would undo it.
            (Place::Free(_), Some(_)) => Err(failed(id, "was removed; it is not written again")),
            (Place::Other, _) => Err(failed(id, "is not a regular file")),
        }
    }

    /// Removes what a crash left half written.
    pub(super) fn sweep(&self) {
        let old = |path: &Path| {
            let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok();
            modified
                .and_then(|at| SystemTime::now().duration_since(at).ok())
                .is_some_and(|age| age > TEMP_AGE_MAX)
        };
        listing::walk(&self.root, &mut |entry| {
            let name = entry.file_name();
            if is_temp(&name.to_string_lossy()) && old(&entry.path()) {
                log::info!("a file left by an unfinished save is removed from the records");
                drop(fs::remove_file(entry.path()));
            }
        });
    }

    fn create(&self, id: &str, path: &Path, text: &str) -> Result<Option<String>, HostError> {
        let parent = path.parent().ok_or_else(|| failed(id, "has no folder"))?;
        self.create_folders(parent).map_err(|error| io_failed(id, "cannot be created", &error))?;
        let mut temp = Temp::write(parent, text, None)
            .map_err(|error| io_failed(id, "cannot be written", &error))?;
        // A link, unlike a rename, never replaces what someone else created meanwhile.
        let placed = match fs::hard_link(&temp.path, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // File systems without links: the gap between the two steps is as small as it can be.
            Err(_) if !path.exists() => temp.rename(path),
            other => other,
        };
        match placed {
            Ok(()) => sync_folder(parent)
                .map_err(|error| io_failed(id, "cannot be synced", &error))
                .map(|()| None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                read_text(id, path).map(Some)
            }
            Err(error) => Err(io_failed(id, "cannot be created", &error)),
        }
    }

    fn create_folders(&self, parent: &Path) -> io::Result<()> {
        if parent.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(parent)?;
        // Each new folder is an entry of the one above; without a sync a power cut may lose it.
        parent
            .ancestors()
            .skip(1)
            .take_while(|above| above.starts_with(&self.root))
            .try_for_each(sync_folder)
    }

    fn place(&self, id: &str) -> Result<Place, HostError> {
        let Some(relative) = file_id::relative_path(id) else { return Ok(Place::Other) };
        let full = self.root.join(&relative);
        let mut path = self.root.clone();
        let mut steps = relative.components().peekable();
        while let Some(step) = steps.next() {
            path.push(step);
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Place::Free(full));
                }
                Err(error) => return Err(io_failed(id, "cannot be looked up", &error)),
            };
            if steps.peek().is_none() {
                let same_name = || path.canonicalize().is_ok_and(|real| real == path);
                let is_record = found.is_file() && same_name();
                return Ok(if is_record { Place::File(path, found) } else { Place::Other });
            }
            if !found.is_dir() {
                return Ok(Place::Other);
            }
        }
        Ok(Place::Other)
    }
}

/// Whether a file name is one of a save under way.
pub(super) fn is_temp(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX)
        && Path::new(name).extension().is_some_and(|ending| ending == "tmp")
}

fn replace(
    id: &str,
    path: &Path,
    before: &Metadata,
    text: &str,
    expected: &str,
) -> Result<Option<String>, HostError> {
    let found = read_text(id, path)?;
    if found != expected {
        return Ok(Some(found));
    }
    if text == expected {
        return Ok(None);
    }
    // A rename would replace a write-protected file without asking.
    if before.permissions().readonly() {
        return Err(failed(id, "is write-protected"));
    }
    let parent = path.parent().ok_or_else(|| failed(id, "has no folder"))?;
    let mut temp = Temp::write(parent, text, Some(before))
        .map_err(|error| io_failed(id, "cannot be written", &error))?;
    // Writing and syncing took time in which an editor may have saved; look again as late as possible.
    let found = read_text(id, path)?;
    if found != expected {
        return Ok(Some(found));
    }
    temp.rename(path)
        .and_then(|()| sync_folder(parent))
        .map_err(|error| io_failed(id, "cannot be replaced", &error))?;
    Ok(None)
}

fn read_text(id: &str, path: &Path) -> Result<String, HostError> {
    let unreadable = |error: io::Error| io_failed(id, "cannot be read", &error);
    let file = open_for_reading(path).map_err(unreadable)?;
    let bound = u64::try_from(RECORD_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(bound.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(failed(id, "is too large (16 MiB at most)"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        failed(id, &format!("is not UTF-8 text (byte {at}); save it as UTF-8"))
    })
}

/// A link or a pipe put in the file's place after it was looked at must neither lead away nor block.
pub(super) fn open_for_reading(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// A file being written; removed when dropped unless it was renamed.
struct Temp {
    path: PathBuf,
    renamed: bool,
}

impl Temp {
    /// Writes and syncs a new file beside the target, with the mode and owner of the file it will replace.
    fn write(parent: &Path, text: &str, like: Option<&Metadata>) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name =
            format!("{TEMP_PREFIX}{}-{number}-{:08x}.tmp", std::process::id(), fastrand::u32(..));
        let path = parent.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let temp = Self { path, renamed: false };
        if let Some(like) = like {
            take_owner(&file, like);
            file.set_permissions(like.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(temp)
    }

    fn rename(&mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.renamed {
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Only a privileged process may give a file away; for others the text matters more than the owner.
#[cfg(unix)]
fn take_owner(file: &File, like: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    drop(fchown(file, Some(like.uid()), Some(like.gid())));
}

#[cfg(not(unix))]
fn take_owner(_: &File, _: &Metadata) {}

/// Makes a rename or a new name in `folder` survive a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems do not open folders as files; their renames are journalled.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(id: &str, what: &str) -> HostError {
    HostError::Failed(format!("record {id} {what}"))
}

/// The system's texts name no path, so they may reach a client.
fn io_failed(id: &str, what: &str, error: &io::Error) -> HostError {
    HostError::Failed(format!("record {id} {what}: {}", error.kind()))
}
