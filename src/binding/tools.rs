//! What the command line needs beside an engine. These run on the calling thread and may touch files: they
//! are for commands, not for servers.

use std::{path::Path, thread};

use napi::{Env, Error, bindgen_prelude::Object};
use napi_derive::napi;

use crate::binding::{
    options::ConfigSources,
    promise::{Failure, Settler},
    settings::{self, Described, Problem},
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
    /// Folder of Markdown records.
    pub records_dir: String,
    /// The engine's own folder.
    pub system_data_dir: String,
    /// The update log.
    pub database_file: String,
    /// Tokens are verified with a secret the engine made for itself, because none is configured.
    pub own_secret: bool,
    /// `error`, `warn`, `info` or `debug`.
    pub log_level: String,
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
        Ok(settings) => {
            ConfigReport { file: settings.file, errors: Vec::new(), warnings: settings.warnings }
        }
        Err(problems) => {
            let errors = problems
                .into_iter()
                .map(|Problem { path, message }| ConfigProblem { path, message })
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

/// A commented configuration file that holds the defaults.
#[napi(catch_unwind)]
pub fn default_config() -> String {
    settings::default_file()
}

/// The places an engine would use.
#[napi(catch_unwind)]
pub fn describe_config(sources: ConfigSources) -> Result<ConfigSummary> {
    let settings = load(&sources)?;
    let Described { records_dir, system_data_dir, database_file, own_secret } =
        settings::describe(&settings);
    Ok(ConfigSummary {
        file: settings.file,
        records_dir,
        system_data_dir,
        database_file,
        own_secret,
        log_level: format!("{:?}", settings.config.log_level).to_ascii_lowercase(),
    })
}

/// Signs a token an engine of this configuration accepts.
#[napi(catch_unwind)]
pub fn sign_token(sources: ConfigSources, token: TokenOptions) -> Result<String> {
    let settings = load(&sources)?;
    settings::sign(&settings.config, token).map_err(Error::from)
}

/// Copies sample records from `from` to the configured folder, unless that exists. Returns how many.
#[napi(catch_unwind)]
pub fn install_samples(sources: ConfigSources, from: String) -> Result<u32> {
    let settings = load(&sources)?;
    settings::install_samples(&settings.config, Path::new(&from)).map_err(Error::from)
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
        let report = load_failure(&sources)
            .and_then(|settings| settings::doctor(&settings, token.as_deref(), origin.as_deref()));
        settle.settle(report.map(|(ok, text)| DoctorReport { ok, text }));
    };
    // It tries the port and the disk; the thread ends with its answer. If it cannot start, the dropped
    // settler rejects the promise.
    drop(thread::Builder::new().name("civic-doctor".into()).spawn(work));
    Ok(promise)
}

fn load(sources: &ConfigSources) -> Result<settings::Settings> {
    load_failure(sources).map_err(Error::from)
}

fn load_failure(sources: &ConfigSources) -> std::result::Result<settings::Settings, Failure> {
    settings::load(sources).map_err(|problems| settings::failure(&problems))
}
