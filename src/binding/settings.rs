//! From what JavaScript hands over to what an engine starts with.

use std::{path::Path, sync::Arc};

use crate::{
    binding::{options::ConfigSources, promise::Failure, tools::TokenOptions},
    config::Config,
    host::Host,
};

/// A configuration and how it came about.
pub struct Settings {
    /// The effective configuration.
    pub config: Config,
    /// Sentences for the log: unknown keys and the like.
    pub warnings: Vec<String>,
    /// The file that was read, if any.
    pub file: Option<String>,
}

/// One wrong value.
pub struct Problem {
    /// The key.
    pub path: String,
    /// The whole sentence.
    pub message: String,
}

/// The places an engine would use.
pub struct Described {
    /// Folder of Markdown records.
    pub records_dir: String,
    /// The engine's own folder.
    pub system_data_dir: String,
    /// The update log.
    pub database_file: String,
    /// The engine made its own secret.
    pub own_secret: bool,
}

/// Reads and checks the configuration. Blocks on files.
pub fn load(sources: &ConfigSources) -> Result<Settings, Vec<Problem>> {
    let _ = sources;
    Ok(Settings { config: Config::default(), warnings: Vec::new(), file: None })
}

/// Problems as one error.
pub fn failure(problems: &[Problem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    Failure::new("REALTIME_CONFIG_INVALID", lines.join("\n"))
}

/// The host of an engine without callbacks: records in a folder, tokens verified here.
pub fn standalone_host(config: &Config) -> Result<Arc<dyn Host>, Failure> {
    let _ = config;
    Err(Failure::new("REALTIME_CONFIG_INVALID", "standalone mode is not available"))
}

pub fn print(settings: &Settings) -> String {
    let _ = settings;
    String::new()
}
pub fn default_file() -> String {
    String::new()
}
pub fn describe(settings: &Settings) -> Described {
    let _ = settings;
    Described {
        records_dir: String::new(),
        system_data_dir: String::new(),
        database_file: String::new(),
        own_secret: true,
    }
}
pub fn sign(config: &Config, token: TokenOptions) -> Result<String, Failure> {
    drop(token);
    let _ = config;
    Err(Failure::new("", ""))
}
pub fn install_samples(config: &Config, from: &Path) -> Result<u32, Failure> {
    let _ = (config, from);
    Ok(0)
}
pub fn doctor(
    settings: &Settings,
    token: Option<&str>,
    origin: Option<&str>,
) -> Result<(bool, String), Failure> {
    let _ = (settings, token, origin);
    Ok((true, String::new()))
}
