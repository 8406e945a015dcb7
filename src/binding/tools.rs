//! What the command line needs beside an engine. These run on the calling thread and may touch files: they
//! are for commands, not for servers.

use std::{path::Path, thread};

use napi::{Env, Error, bindgen_prelude::Object};
use napi_derive::napi;

use crate::binding::{
    options::ConfigSources,
    promise::{Failure, Settler},
    settings,
};
use crate::{
    config::{AuthMode, Loaded},
    error::EngineError,
};

type Result<T> = std::result::Result<T, Error<String>>;

/// What `checkConfig` found.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct ConfigReport {
    /// The file that was read, if any.
    pub file: Option<String>,
    /// What is wrong; empty = the configuration holds.
    pub errors: Vec<ConfigProblem>,
    /// What looks wrong.
    pub warnings: Vec<String>,
}

/// One wrong value.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct ConfigProblem {
    /// The key, such as `rooms.max_rooms`.
    pub path: String,
    /// The whole sentence, key included, secrets masked.
    pub message: String,
}

/// The places an engine would use, for people.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug)]
pub struct ConfigSummary {
    /// The file that was read, if any.
    pub file: Option<String>,
    /// Address to bind.
    pub host: String,
    /// Port to bind; 0 = any.
    pub port: u16,
    /// Whether the port speaks TLS.
    pub tls: bool,
    /// Folder of Markdown records.
    pub records_dir: String,
    /// The engine's own folder.
    pub system_data_dir: String,
    /// The update log.
    pub database_file: String,
    /// Tokens are verified with a secret the engine made for itself, because none is configured.
    pub own_secret: bool,
    /// Microservice mode: address of the CivicPress API, which is the host.
    pub host_api: Option<String>,
    /// How log lines are written.
    #[napi(ts_type = "'auto' | 'text' | 'json'")]
    pub log_format: String,
}

/// What a token shall say.
#[napi(object, object_to_js = false)]
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// The user's id.
    pub user: String,
    /// Name shown to others; the id when missing.
    pub name: Option<String>,
    /// `viewer`, `editor` or `admin`.
    pub role: String,
    /// Room patterns the token is limited to; none = no limit.
    pub rooms: Option<Vec<String>>,
    /// Life, in seconds.
    pub expires_in_seconds: u32,
}

/// What `runDoctor` found.
#[napi(object, object_from_js = false)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoctorReport {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// The findings, for people.
    pub text: String,
}

/// The engine's version.
#[napi(catch_unwind)]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Reads and checks a configuration.
#[napi(catch_unwind)]
pub fn check_config(sources: ConfigSources) -> ConfigReport {
    match settings::load(&sources) {
        Ok(loaded) => ConfigReport {
            file: loaded.file.map(|file| file.display().to_string()),
            errors: Vec::new(),
            warnings: loaded.warnings,
        },
        Err(problems) => {
            let errors = problems
                .0
                .iter()
                .map(|problem| ConfigProblem {
                    path: problem.path.to_string(),
                    message: problem.to_string(),
                })
                .collect();
            ConfigReport { file: None, errors, warnings: Vec::new() }
        }
    }
}

/// The effective configuration with the source of each value, secrets masked.
#[napi(catch_unwind)]
pub fn print_config(sources: ConfigSources) -> Result<String> {
    Ok(settings::print(&load(&sources)?))
}

/// The effective configuration as JSON text of an object in the form of a file, secrets masked.
#[napi(catch_unwind)]
pub fn read_config(sources: ConfigSources) -> Result<String> {
    Ok(settings::as_json(&load(&sources)?).to_string())
}

/// A commented configuration file that holds the defaults.
#[napi(catch_unwind)]
pub fn default_config() -> String {
    settings::default_file()
}

/// The places an engine would use.
#[napi(catch_unwind)]
pub fn describe_config(sources: ConfigSources) -> Result<ConfigSummary> {
    let Loaded { config, file, .. } = load(&sources)?;
    Ok(ConfigSummary {
        file: file.map(|file| file.display().to_string()),
        host: config.host.clone(),
        port: config.port,
        tls: config.tls.enabled,
        records_dir: config.records.dir.display().to_string(),
        system_data_dir: config.system_data_dir.display().to_string(),
        database_file: config.database_file().display().to_string(),
        own_secret: settings::needs_own_secret(&config),
        host_api: config.host_api.url.filter(|_| config.auth.mode == AuthMode::Api),
        log_format: config.log_format.name().into(),
    })
}

/// Signs a token an engine of this configuration accepts.
#[napi(catch_unwind)]
pub fn sign_token(sources: ConfigSources, token: TokenOptions) -> Result<String> {
    settings::sign(load(&sources)?.config, token).map_err(Error::from)
}

/// Copies sample records from `from` to the configured folder, unless that exists. Returns how many.
#[napi(catch_unwind)]
pub fn install_samples(sources: ConfigSources, from: String) -> Result<u32> {
    settings::install_samples(&load(&sources)?.config, Path::new(&from)).map_err(Error::from)
}

/// Checks an installation: configuration, folders, port, a token and an origin if given.
#[napi(catch_unwind, ts_return_type = "Promise<DoctorReport>")]
pub fn run_doctor(
    env: &Env,
    sources: ConfigSources,
    token: Option<String>,
    origin: Option<String>,
) -> napi::Result<Object<'_>> {
    let (settle, promise) = Settler::<DoctorReport>::new(env)?;
    let work = move || {
        let report = load_failure(&sources).map(|loaded| {
            let (ok, text) = settings::doctor(loaded, token.as_deref(), origin.as_deref());
            DoctorReport { ok, text }
        });
        settle.settle(report);
    };
    // It tries the port and the disk; the thread ends with its answer. If it cannot start, the dropped
    // settler rejects the promise.
    drop(thread::Builder::new().name("civic-doctor".into()).spawn(work));
    Ok(promise)
}

fn load(sources: &ConfigSources) -> Result<Loaded> {
    load_failure(sources).map_err(Error::from)
}

fn load_failure(sources: &ConfigSources) -> std::result::Result<Loaded, Failure> {
    settings::load(sources).map_err(|errors| EngineError::from(errors).into())
}
