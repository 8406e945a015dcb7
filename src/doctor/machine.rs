//! Files, folders, space and limits of this machine.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, FlockOperation},
    process::Resource,
};

use super::{Check, CheckState};
use crate::config::{AuthMode, Config, Loaded};

const SPACE_BYTES_WARN: u64 = 1024 * 1024 * 1024;
const SPACE_BYTES_FAIL: u64 = 100 * 1024 * 1024;
/// Files the engine needs beside its connections: database, log, watches, runtime.
pub(super) const SPARE_FILES: u64 = 64;

pub(super) fn config_file(path: &Path, holds_secret: bool) -> Check {
    const NAME: &str = "configuration";
    let shown = path.display().to_string();
    match path.metadata() {
        Ok(meta) if holds_secret && meta.mode() & 0o004 != 0 => Check::warn(
            NAME,
            format!("{shown} names a secret and is readable by everybody"),
            format!("run: chmod o-r {shown}"),
        ),
        _ => Check::ok(NAME, shown),
    }
}

/// Checks the files that `tls.*` names, and with TLS on that they are a certificate and its key.
pub(super) fn tls(loaded: &Loaded) -> Vec<Check> {
    const NAME: &str = "tls";
    let file =
        |path: &str| loaded.value(path).and_then(|value| value.value.as_str()).map(PathBuf::from);
    let mut checks = Vec::new();
    for (key, path) in [("tls.cert", file("tls.cert")), ("tls.key", file("tls.key"))] {
        let Some(path) = path else { continue };
        let shown = format!("{key} {}", path.display());
        checks.push(match File::open(&path).and_then(|file| file.metadata()) {
            Err(error) => {
                Check::fail(NAME, format!("{shown}: {error}"), "name a file this user may read")
            }
            Ok(meta) if !meta.is_file() => {
                Check::fail(NAME, format!("{shown} is not a file"), "name a PEM file")
            }
            Ok(meta) if key == "tls.key" && meta.mode() & 0o077 != 0 => Check::warn(
                NAME,
                format!("{shown} is readable by others (mode {:03o})", meta.mode() & 0o777),
                format!("run: chmod 600 {}", path.display()),
            ),
            Ok(_) => Check::ok(NAME, shown),
        });
    }
    let tls = &loaded.config.tls;
    if tls.enabled && checks.iter().all(|check: &Check| check.state != CheckState::Fail) {
        checks.push(match crate::net::tls::check(tls) {
            Ok(()) => Check::ok(NAME, "the certificate and its key go together"),
            Err(error) => {
                Check::fail(NAME, error.to_string(), "name a PEM certificate and its key")
            }
        });
    }
    checks
}

pub(super) fn storage(config: &Config) -> Vec<Check> {
    const NAME: &str = "storage";
    let dir = &config.system_data_dir;
    let mut checks = vec![folder(NAME, dir, "system data")];
    let database = config.database_file();
    if let Some(parent) = database.parent().filter(|parent| !parent.starts_with(dir)) {
        checks.push(folder(NAME, parent, "database"));
    }
    let shown = database.display().to_string();
    // Looked at from outside: opening and closing the file would drop SQLite's locks of this process.
    checks.push(match database.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Check::ok(NAME, format!("{shown} will be made"))
        }
        Err(error) => {
            Check::fail(NAME, format!("{shown}: {error}"), "give this user the right to its folder")
        }
        Ok(meta) if !meta.is_file() => {
            Check::fail(NAME, format!("{shown} is not a file"), "name a file in store.url")
        }
        Ok(_) if rustix::fs::access(&database, Access::READ_OK | Access::WRITE_OK).is_err() => {
            Check::fail(
                NAME,
                format!("{shown} is not readable and writable for this user"),
                "give this user the right, or run as the user that made it",
            )
        }
        Ok(_) if is_locked(&database) => Check::warn(
            NAME,
            format!("{shown} is in use by a running engine"),
            "stop it before starting another, or set another store.url",
        ),
        Ok(_) => Check::ok(NAME, format!("{shown} is writable")),
    });
    checks
}

/// Whether an engine holds the lock file beside the database.
fn is_locked(database: &Path) -> bool {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let Ok(file) = OpenOptions::new().read(true).open(PathBuf::from(name)) else {
        return false;
    };
    // A lock taken here goes with the file at the end of the function.
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared)
        == Err(rustix::io::Errno::WOULDBLOCK)
}

/// Whether `dir` is writable, or can be made.
fn folder(name: &'static str, dir: &Path, what: &str) -> Check {
    let shown = dir.display();
    let Some(there) = existing_part(dir) else {
        return Check::fail(
            name,
            format!("{what} folder {shown} cannot be reached"),
            "name a folder this user may enter",
        );
    };
    if !there.is_dir() {
        return Check::fail(
            name,
            format!("{} is not a folder", there.display()),
            "move it away, or name another folder",
        );
    }
    if rustix::fs::access(&there, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Check::fail(
            name,
            format!("{what} folder {shown}: {} is not writable for this user", there.display()),
            format!("give this user the right to write in {}", there.display()),
        );
    }
    let state = if there == absolute(dir) { "is writable" } else { "will be made" };
    Check::ok(name, format!("{what} folder {shown} {state}"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The longest part of `path` that exists.
fn existing_part(path: &Path) -> Option<PathBuf> {
    absolute(path).ancestors().find(|part| part.symlink_metadata().is_ok()).map(Path::to_owned)
}

/// The records' folder matters only where no host holds the records.
pub(super) fn records(config: &Config) -> Option<Check> {
    (config.auth.mode == AuthMode::Jwt).then(|| folder("records", &config.records.dir, "records"))
}

pub(super) fn disk(dir: &Path) -> Check {
    const NAME: &str = "disk space";
    let space = existing_part(dir).and_then(|there| rustix::fs::statvfs(&there).ok());
    match space.map(|space| space.f_bavail.saturating_mul(space.f_frsize)) {
        None => {
            Check::warn(NAME, format!("cannot be told for {}", dir.display()), "look with: df -h")
        }
        Some(free) => space_check(NAME, dir, free),
    }
}

pub(super) fn space_check(name: &'static str, dir: &Path, free_bytes: u64) -> Check {
    let detail = format!("{} MiB free for {}", free_bytes / (1024 * 1024), dir.display());
    let remedy = "free some space, or set CIVIC_SYSTEM_DATA_DIR to a folder on another disk";
    match free_bytes {
        ..SPACE_BYTES_FAIL => Check::fail(name, detail, remedy),
        SPACE_BYTES_FAIL..SPACE_BYTES_WARN => Check::warn(name, detail, remedy),
        _ => Check::ok(name, detail),
    }
}

pub(super) fn file_descriptors(config: &Config) -> Check {
    let limit = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    descriptors_check(limit, u64::try_from(config.limits.max_connections).unwrap_or(u64::MAX))
}

pub(super) fn descriptors_check(limit: u64, connections: u64) -> Check {
    const NAME: &str = "open files";
    let needed = connections.saturating_add(SPARE_FILES);
    if limit < needed {
        return Check::warn(
            NAME,
            format!(
                "this process may open {limit} files, fewer than limits.max_connections ({connections}) needs"
            ),
            format!(
                "raise the limit (ulimit -n {needed}, LimitNOFILE={needed}) or lower limits.max_connections"
            ),
        );
    }
    let shown = if limit == u64::MAX { "any number of".into() } else { limit.to_string() };
    Check::ok(
        NAME,
        format!("this process may open {shown} files; limits.max_connections is {connections}"),
    )
}
