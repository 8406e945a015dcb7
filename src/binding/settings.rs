//! From what JavaScript hands over to what an engine starts with.

use std::{fmt::Display, path::Path, sync::Arc};

use serde_json::Value;

use crate::{
    auth::sign::{JwtSigner, TokenRequest},
    binding::{options::ConfigSources, promise::Failure, tools::TokenOptions},
    config::{
        self, AuthMode, Config, ConfigError, ConfigErrors, Loaded, Source, Sources,
        standalone_secret, validate_auth,
    },
    doctor,
    error::EngineError,
    host::{
        Host,
        api::ApiHost,
        standalone::{StandaloneHost, StandaloneOptions, install_samples as copy_samples},
    },
    store::{
        Store,
        sqlite::{SqliteOptions, SqliteStore},
    },
    time::unix_ms,
};

/// Reads and checks the configuration. Blocks on files.
pub fn load(sources: &ConfigSources) -> Result<Loaded, ConfigErrors> {
    let options = sources.config.as_deref().map_or(Ok(Value::Null), parse)?;
    let from = Sources {
        file: sources.config_file.as_ref().map(Into::into),
        env: sources.env.clone().unwrap_or_default().into_iter().collect(),
        cwd: sources.cwd.as_ref().map(Into::into).unwrap_or_default(),
        standalone: sources.standalone.unwrap_or(false),
    };
    config::load_value(options, &from)
}

/// Gives an engine that verifies tokens a secret of its own, if none is configured.
pub fn complete_auth(config: &mut Config) -> Result<(), Failure> {
    if needs_own_secret(config) {
        let secret = standalone_secret(&config.system_data_dir).map_err(invalid)?;
        config.auth.jwt.secret = Some(secret);
    }
    validate_auth(config).map_err(|errors| EngineError::from(errors).into())
}

/// Whether tokens are verified here and nobody said with what.
pub fn needs_own_secret(config: &Config) -> bool {
    let jwt = &config.auth.jwt;
    config.auth.mode == AuthMode::Jwt && jwt.secret.is_none() && jwt.public_key.is_none()
}

/// The host of an engine without callbacks: records in a folder, tokens verified here.
pub fn standalone_host(config: &Config) -> Result<Arc<dyn Host>, Failure> {
    let host = StandaloneHost::new(StandaloneOptions::from(config))
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    Ok(Arc::new(host))
}

/// The host of microservice mode: the CivicPress API.
pub fn api_host(config: &Config) -> Result<Arc<dyn Host>, Failure> {
    Ok(Arc::new(ApiHost::new(config).map_err(invalid)?))
}

/// A token an engine of this configuration accepts.
pub fn sign(mut config: Config, token: TokenOptions) -> Result<String, Failure> {
    complete_auth(&mut config)?;
    let request = TokenRequest {
        name: token.name.unwrap_or_default(),
        user_id: token.user,
        role: token.role,
        rooms: token.rooms.unwrap_or_default(),
        expires_in_s: token.expires_in_seconds.into(),
    };
    JwtSigner::new(&config.auth.jwt)
        .and_then(|signer| signer.sign(&request, unix_ms()))
        .map_err(invalid)
}

/// Copies sample records to the configured folder, unless that exists.
pub fn install_samples(config: &Config, from: &Path) -> Result<u32, Failure> {
    let dir = &config.records.dir;
    let copied = copy_samples(from, dir).map_err(|error| {
        Failure::new(
            "RECORDS_DIR_FAILED",
            format!("cannot put sample records into {}: {error}", dir.display()),
        )
    })?;
    Ok(u32::try_from(copied).unwrap_or(u32::MAX))
}

/// The update log. Blocks on the disk.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let options = SqliteOptions::from_config(config).map_err(EngineError::Store)?;
    let store = SqliteStore::open(options).map_err(EngineError::Store)?;
    Ok(Arc::new(store))
}

/// Whether the installation is fine, and the findings for people. Makes no file.
pub fn doctor(mut loaded: Loaded, token: Option<&str>, origin: Option<&str>) -> (bool, String) {
    let config = &mut loaded.config;
    if needs_own_secret(config) {
        let made = config.system_data_dir.join("realtime").join("jwt.secret").exists();
        let own = made.then(|| standalone_secret(&config.system_data_dir).ok()).flatten();
        // The first start will make one. Until then no token can hold, which this stand-in answers.
        let stand_in = || (0..64).map(|_| fastrand::alphanumeric()).collect();
        config.auth.jwt.secret = Some(own.unwrap_or_else(stand_in));
    }
    let checks = doctor::run(&loaded, &doctor::Questions { token, origin, host: None });
    let list = doctor::checklist::render(&doctor::checklist::points(&loaded));
    (doctor::is_healthy(&checks), format!("{}\n{list}", doctor::render(&checks)))
}

/// The default configuration file.
pub fn default_file() -> String {
    config::default_file()
}

/// The effective configuration, line by line.
pub fn print(loaded: &Loaded) -> String {
    config::print_effective(loaded)
}

/// The effective configuration in the form of a file.
pub fn as_json(loaded: &Loaded) -> Value {
    config::effective_json(loaded)
}

fn parse(text: &str) -> Result<Value, ConfigErrors> {
    serde_json::from_str(text).map_err(|error| {
        ConfigError {
            path: "options",
            value: None,
            problem: format!("are not JSON: {error}"),
            allowed: String::new(),
            source: Source::Options,
        }
        .into()
    })
}

fn invalid(error: impl Display) -> Failure {
    EngineError::Config(error.to_string()).into()
}
