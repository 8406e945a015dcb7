//! What the standalone command does when nobody configured it: it stays on this machine, below `./data`,
//! with a secret of its own.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{
    env::{self, Env},
    error::Source,
    load::Loaded,
};

/// Random bytes of a generated secret; written as twice as many hexadecimal digits.
const SECRET_BYTES: usize = 48;
/// Longest secret file that is read, in bytes.
const SECRET_FILE_BYTES_MAX: u64 = 4096;
/// Fewest characters of a secret file.
const SECRET_CHARS_MIN: usize = 64;

/// Without a configuration file: loopback only, and data below `./data` or what `CIVIC_DATA_DIR` and
/// `CIVIC_SYSTEM_DATA_DIR` name.
pub(super) fn local_defaults(loaded: &mut Loaded, env: &Env) {
    let is_default = |loaded: &Loaded, path| {
        loaded.value(path).is_some_and(|value| value.source == Source::Default)
    };
    if is_default(loaded, "host") {
        loaded.config.host = "127.0.0.1".into();
        loaded.show("host", "127.0.0.1", None);
    }
    let data = env::set(env, env::DATA_DIR);
    let dir = PathBuf::from(data.unwrap_or("./data"));
    if is_default(loaded, "records.dir") {
        loaded.config.records.dir = dir.join("records");
    }
    if is_default(loaded, "system_data_dir") {
        loaded.config.system_data_dir = dir.join(".system-data");
        let source = data.map(|_| Source::Env(env::DATA_DIR.into()));
        loaded.show("system_data_dir", "", source);
    }
}

/// Why the standalone command has no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file or its folder cannot be made or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("{path} is readable by others (mode {mode:03o}); run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not hold a secret.
    #[error(
        "{path} does not hold a secret of at least 64 characters on one line; remove it to have a new one made"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("no random bytes: {0}")]
    Random(String),
}

/// The secret in `<system_data_dir>/realtime/jwt.secret`, made on first use (mode 0600, never overwritten).
///
/// Two processes that start at once agree on one secret: the file appears complete under its name or not at
/// all, and the first one wins.
pub fn standalone_secret(system_data_dir: &Path) -> Result<String, SecretError> {
    let dir = system_data_dir.join("realtime");
    let path = dir.join("jwt.secret");
    let io = |source| SecretError::Io { path: path.clone(), source };
    match File::open(&path) {
        Ok(file) => return read(file, &path),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
    let secret = hex(&random::<SECRET_BYTES>()?);
    let draft = dir.join(format!(".jwt.secret.{}", hex(&random::<8>()?)));
    let linked = write_new(&draft, &secret).and_then(|()| std::fs::hard_link(&draft, &path));
    let removed = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => removed.map(|()| secret).map_err(io),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(File::open(&path).map_err(io)?, &path)
        }
        Err(error) => Err(io(error)),
    }
}

/// `create_new` is `O_EXCL`: neither an existing file nor a link somebody put there is written to.
fn write_new(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

fn read(file: File, path: &Path) -> Result<String, SecretError> {
    let io = |source| SecretError::Io { path: path.into(), source };
    let mode = file.metadata().map_err(io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path: path.into(), mode });
    }
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    let secret = text.trim();
    if secret.len() < SECRET_CHARS_MIN || secret.contains(char::is_whitespace) {
        return Err(SecretError::Malformed { path: path.into() });
    }
    Ok(secret.to_owned())
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let system = dir.path().join("a/.system-data");
        let secret = standalone_secret(&system).unwrap();
        assert!(secret.len() >= 64 && secret.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(standalone_secret(&system).unwrap(), secret);
        let file = system.join("realtime/jwt.secret");
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(file.parent().unwrap().read_dir().unwrap().count(), 1, "no draft is left");
        let other = tempfile::tempdir().unwrap();
        assert_ne!(standalone_secret(other.path()).unwrap(), secret);
    }

    #[test]
    fn starting_twice_at_once_agrees_on_one() {
        let dir = tempfile::tempdir().unwrap();
        let secrets: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| standalone_secret(dir.path()).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn refuses_a_file_others_may_read_or_that_is_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let secret = standalone_secret(dir.path()).unwrap();
        let file = dir.path().join("realtime/jwt.secret");
        for mode in [0o644, 0o640, 0o604] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = standalone_secret(dir.path()).unwrap_err();
            assert!(matches!(error, SecretError::Exposed { .. }), "{error}");
            assert!(!error.to_string().contains(&secret));
        }
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "short", &"two words ".repeat(20)] {
            std::fs::write(&file, text).unwrap();
            assert!(
                matches!(standalone_secret(dir.path()), Err(SecretError::Malformed { .. })),
                "{text}"
            );
        }
    }
}
