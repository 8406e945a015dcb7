//! What keeps an engine from starting or serving, found before it starts. Looks only: it makes no file and
//! leaves none. Must not run in the process of a running engine for the same files.

pub mod checklist;
mod machine;
mod port;
mod quarantine;

use std::fmt::Write;

use serde::Serialize;

use crate::auth::jwt::JwtVerifier;
use crate::config::{AuthMode, Config, Loaded, Source, value::cut};
use crate::net::origin::is_allowed;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, but an operator should know.
    Warn,
    /// The engine would not start or not serve.
    Fail,
}

/// One check's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub state: CheckState,
    /// What was found, one line.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, state: CheckState::Ok, detail: detail.into(), remedy: None }
    }

    pub(crate) fn warn(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, state: CheckState::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn fail(
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, state: CheckState::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// What the operator wants to know beyond the configuration.
#[derive(Clone, Copy, Default)]
pub struct Questions<'a> {
    /// A token to try.
    pub token: Option<&'a str>,
    /// An `Origin` to try, as a browser would send it.
    pub origin: Option<&'a str>,
    /// The `Host` header that goes with it; `None` = the configured address.
    pub host: Option<&'a str>,
}

/// Runs every check. Takes up to two seconds if something holds the port without answering.
pub fn run(loaded: &Loaded, questions: &Questions<'_>) -> Vec<Check> {
    let config = &loaded.config;
    let mut checks = configuration(loaded);
    checks.push(port::check(config));
    checks.push(Check::ok(
        "path",
        format!("rooms are at {}/<type>/<id>", config.path.trim_end_matches('/')),
    ));
    checks.push(auth(config));
    checks.extend(token(config, questions));
    checks.push(origin(config, questions));
    checks.extend(machine::tls(loaded));
    checks.extend(machine::storage(config));
    checks.extend(machine::records(config));
    checks.extend(quarantine::checks(&config.system_data_dir));
    checks.push(machine::disk(&config.system_data_dir));
    checks.push(machine::file_descriptors(config));
    checks
}

/// Whether nothing failed.
pub fn is_healthy(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.state != CheckState::Fail)
}

/// One line per check, remedies indented below.
pub fn render(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    checks.iter().fold(String::new(), |mut out, check| {
        let state = match check.state {
            CheckState::Ok => "ok  ",
            CheckState::Warn => "warn",
            CheckState::Fail => "FAIL",
        };
        let remedy =
            check.remedy.as_ref().map(|remedy| format!("      {remedy}\n")).unwrap_or_default();
        let written = write!(out, "{state}  {:width$}  {}\n{remedy}", check.name, check.detail);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        out
    })
}

fn configuration(loaded: &Loaded) -> Vec<Check> {
    const NAME: &str = "configuration";
    let found = match &loaded.file {
        Some(path) => machine::config_file(path, holds_secret(loaded)),
        None => Check::ok(NAME, "no file; defaults and environment"),
    };
    let mut checks = vec![found];
    checks.extend(loaded.warnings.iter().map(|warning| {
        Check::warn(NAME, warning, "correct or remove it; `config default` lists every key")
    }));
    if !loaded.config.enabled {
        checks.push(Check::warn(
            NAME,
            "enabled is false: nothing will listen",
            "set enabled: true",
        ));
    }
    checks
}

/// Whether a secret stands in the file itself (or is named there).
fn holds_secret(loaded: &Loaded) -> bool {
    loaded.values.iter().any(|value| {
        matches!(value.source, Source::File(_)) && value.value == crate::config::value::MASK
    })
}

fn auth(config: &Config) -> Check {
    const NAME: &str = "authentication";
    if config.auth.mode == AuthMode::Host {
        return Check::ok(NAME, "the host verifies tokens");
    }
    if config.auth.mode == AuthMode::Api {
        return Check::ok(NAME, "the CivicPress API verifies tokens");
    }
    if let Err(errors) = crate::config::validate_auth(config) {
        return Check::fail(
            NAME,
            errors.to_string().replace('\n', "; "),
            "set auth.jwt.secret or auth.jwt.public_key",
        );
    }
    match &config.auth.jwt.secret {
        Some(secret) if is_weak(secret) => Check::warn(
            NAME,
            "auth.jwt.secret looks guessable (few different characters)",
            "use a random one, for example: openssl rand -hex 32",
        ),
        Some(secret)
            if config.auth.jwt.algorithms.iter().any(|name| name == "HS512")
                && secret.len() < 64 =>
        {
            Check::warn(
                NAME,
                "auth.jwt.secret is shorter than the 64 bytes HS512 is made for",
                "use a longer one, for example: openssl rand -hex 64",
            )
        }
        Some(_) => Check::ok(NAME, "tokens are verified with a shared secret"),
        None => Check::ok(NAME, "tokens are verified with a public key"),
    }
}

/// Random hexadecimal text of 32 letters has fewer than 8 different ones about once in 10^7.
fn is_weak(secret: &str) -> bool {
    secret.chars().collect::<std::collections::BTreeSet<_>>().len() < 8
}

fn token(config: &Config, questions: &Questions<'_>) -> Option<Check> {
    const NAME: &str = "token";
    let token = questions.token?;
    if config.auth.mode != AuthMode::Jwt {
        let detail = "cannot be tried here: the host verifies tokens";
        return Some(Check::warn(NAME, detail, "try it through the host"));
    }
    // Without a key there is nothing to try it with, and `authentication` says so.
    let verifier = JwtVerifier::new(&config.auth.jwt).ok()?;
    Some(match verifier.verify(token, crate::time::unix_ms()) {
        Ok(who) => {
            Check::ok(NAME, format!("holds: user {}, role {}", cut(&who.user_id), cut(&who.role)))
        }
        Err(why) => Check::fail(
            NAME,
            format!("does not hold: {}", cut(&why.to_string())),
            "get a new one, signed with the configured key and with exp and sub",
        ),
    })
}

fn origin(config: &Config, questions: &Questions<'_>) -> Check {
    const NAME: &str = "origin";
    let rule = if config.allowed_origins.is_empty() {
        "the server's own host name".into()
    } else {
        cut(&config.allowed_origins.join(", "))
    };
    if config.allowed_origins.iter().any(|origin| origin == "*") {
        let remedy = "list the origins of your own pages instead";
        return Check::warn(NAME, "allowed_origins holds *: any web page may connect", remedy);
    }
    let Some(origin) = questions.origin else {
        return Check::ok(NAME, format!("allowed: {rule}"));
    };
    let host =
        questions.host.map_or_else(|| port::address(&config.host, config.port), str::to_owned);
    let shown = format!("{} towards {}", cut(origin), cut(&host));
    if is_allowed(origin, Some(&host), &config.allowed_origins) {
        Check::ok(NAME, format!("{shown} is allowed ({rule})"))
    } else {
        Check::fail(
            NAME,
            format!("{shown} is refused (allowed: {rule})"),
            format!("add {:?} to allowed_origins", cut(origin)),
        )
    }
}

#[cfg(test)]
mod tests;
