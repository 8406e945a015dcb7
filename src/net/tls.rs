//! The certificate the listener shows, and its replacement while the engine runs: new handshakes get the new
//! one, sessions that stand live on, and a broken new one changes nothing.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{
    compute::Compute,
    config::{Config, Tls as TlsConfig},
    error::EngineError,
    limits::{TLS_FILE_BYTES_MAX, TLS_FILES_POLL},
};

/// Why a certificate cannot be used. The text begins with the key that names the file at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl From<TlsError> for EngineError {
    fn from(error: TlsError) -> Self {
        Self::Config(error.to_string())
    }
}

/// The listener's certificate.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    compute: Compute,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The certificate that `config` shows, without those that vouch for it.
    shown: CertificateDer<'static>,
    /// Of the files `config` was made from, or that were found broken since.
    fingerprint: Fingerprint,
    /// Why the files as they are now are not in use.
    problem: Option<String>,
}

type Fingerprint = [u8; 32];

impl Certificate {
    /// Reads the configured certificate and key; `None` with TLS off.
    pub async fn load(config: &Config, compute: &Compute) -> Result<Option<Arc<Self>>, TlsError> {
        let (cert, key) = match named(&config.tls)? {
            Some((cert, key)) => (cert.to_owned(), key.to_owned()),
            None => return Ok(None),
        };
        let files = read(compute, &cert, &key).await?;
        let fingerprint = files.fingerprint();
        let (config, shown) = files.load()?;
        let current = Mutex::new(Current { config, shown, fingerprint, problem: None });
        Ok(Some(Arc::new(Self { cert, key, compute: compute.clone(), current })))
    }

    /// What the next handshake is made with.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.lock().config)
    }

    /// Whether it is this certificate that the next handshake shows.
    pub fn is(&self, certificate: &CertificateDer<'_>) -> bool {
        self.current.lock().shown == *certificate
    }

    /// Why the files as they are now are not in use; `None` = they are.
    pub fn problem(&self) -> Option<String> {
        self.current.lock().problem.clone()
    }

    /// Reads the files again. On an error the certificate before stays in use.
    pub async fn reload(&self) -> Result<(), TlsError> {
        let outcome = read(&self.compute, &self.cert, &self.key).await;
        self.take(outcome)
    }

    fn take(&self, files: Result<Files, TlsError>) -> Result<(), TlsError> {
        let outcome = files.map(|files| (files.fingerprint(), files.load()));
        let mut current = self.current.lock();
        let loaded = outcome.and_then(|(fingerprint, loaded)| {
            current.fingerprint = fingerprint;
            loaded
        });
        match loaded {
            Ok((config, shown)) => {
                current.config = config;
                current.shown = shown;
                current.problem = None;
                log::info!(event = "tls_reloaded"; "the certificate was read again; new connections get it");
                Ok(())
            }
            Err(error) => {
                let text = error.to_string();
                log::error!(
                    event = "tls_reload_failed", error = text.as_str();
                    "the new certificate cannot be used, the one before stays: {text}"
                );
                current.problem = Some(text);
                Err(error)
            }
        }
    }

    /// Looks for changed files until the engine stops. A change is taken once it was the same twice, so that
    /// a key half written, or not yet beside its new certificate, is not taken for broken.
    pub async fn watch(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut seen = self.current.lock().fingerprint;
        loop {
            tokio::select! {
                () = tokio::time::sleep(TLS_FILES_POLL) => {}
                _ = stopped.changed() => return,
            }
            let files = read(&self.compute, &self.cert, &self.key).await;
            // Files that cannot be read at all are a state like any other, told once.
            let now = files.as_ref().map_or([0; 32], Files::fingerprint);
            let known = self.current.lock().fingerprint;
            if now != known && now == seen {
                drop(self.take(files));
                self.current.lock().fingerprint = now;
            }
            seen = now;
        }
    }
}

/// What the two files hold.
struct Files {
    cert: (PathBuf, Vec<u8>),
    key: (PathBuf, Vec<u8>),
}

async fn read(compute: &Compute, cert: &Path, key: &Path) -> Result<Files, TlsError> {
    let (cert, key) = (cert.to_owned(), key.to_owned());
    compute
        .run(move || read_files(&cert, &key))
        .await
        .map_err(|error| TlsError(error.to_string()))?
}

/// Checks the configured files without starting anything. Blocks on the disk.
pub fn check(config: &TlsConfig) -> Result<(), TlsError> {
    if let Some((cert, key)) = named(config)? {
        read_files(cert, key)?.load()?;
    }
    Ok(())
}

/// The files that are configured; `None` with TLS off.
fn named(config: &TlsConfig) -> Result<Option<(&Path, &Path)>, TlsError> {
    let refuse = |text: &str| Err(TlsError(text.to_owned()));
    match config {
        TlsConfig { enabled: false, require: true, .. } => {
            refuse("tls.require: TLS is required, and tls.enabled is false")
        }
        TlsConfig { enabled: false, .. } => Ok(None),
        TlsConfig { cert: Some(cert), key: Some(key), .. } => Ok(Some((cert, key))),
        TlsConfig { cert: None, .. } => refuse("tls.cert: is needed when tls.enabled is true"),
        TlsConfig { key: None, .. } => refuse("tls.key: is needed when tls.enabled is true"),
    }
}

fn read_files(cert: &Path, key: &Path) -> Result<Files, TlsError> {
    Ok(Files {
        cert: (cert.to_owned(), read_file("tls.cert", cert)?),
        key: (key.to_owned(), read_file("tls.key", key)?),
    })
}

fn read_file(name: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(TLS_FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|error| TlsError(format!("{name}: {} cannot be read: {error}", path.display())))?;
    Ok(bytes)
}

impl Files {
    fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        // The length keeps what moved from one file to the other apart.
        hash.update(self.cert.1.len().to_le_bytes());
        hash.update(&self.cert.1);
        hash.update(&self.key.1);
        hash.finalize().into()
    }

    fn load(&self) -> Result<(Arc<ServerConfig>, CertificateDer<'static>), TlsError> {
        let (cert_path, key_path) = (self.cert.0.display(), self.key.0.display());
        let chain = CertificateDer::pem_slice_iter(&self.cert.1)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError(format!("tls.cert: {cert_path} is not PEM: {error}")))?;
        let Some(shown) = chain.first().cloned() else {
            return Err(TlsError(format!("tls.cert: {cert_path} holds no certificate")));
        };
        let key = PrivateKeyDer::from_pem_slice(&self.key.1).map_err(|error| {
            TlsError(format!("tls.key: {key_path} holds no private key in PEM: {error}"))
        })?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(format!("tls: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => TlsError(format!(
                    "tls.key: {key_path} is not the key of the certificate in {cert_path}"
                )),
                error => TlsError(format!("tls.cert: {cert_path} cannot be used: {error}")),
            })?;
        // WebSockets are upgraded from HTTP/1.1; a client that speaks only HTTP/2 is told so.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((Arc::new(config), shown))
    }
}
