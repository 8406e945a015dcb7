//! Checks that need more than one value.

use std::collections::BTreeMap;

use super::{
    AuthMode, Config,
    error::{ConfigError, ConfigErrors, Source},
    value::Typed,
};

/// What values forbid each other. `values` holds those that passed their own check.
pub(super) fn across(
    values: &BTreeMap<&'static str, Typed>,
    standalone: bool,
    source_of: impl Fn(&str) -> Source,
) -> Vec<ConfigError> {
    let text = |path: &str| values.get(path).map_or("", Typed::str);
    let refuse = |path: &'static str, problem: &str, allowed: &str| ConfigError {
        path,
        value: Some(format!("{:?}", text(path))),
        problem: problem.into(),
        allowed: allowed.into(),
        source: source_of(path),
    };
    let mut errors = Vec::new();
    if values.get("broker.enabled").is_some_and(Typed::bool) && text("broker.type") != "memory" {
        errors.push(refuse(
            "broker.type",
            "is not available in this version",
            "memory, or broker.enabled: false",
        ));
    }
    if standalone && text("auth.mode") == "host" {
        errors.push(refuse(
            "auth.mode",
            "needs a host around the engine, and there is none here",
            "jwt",
        ));
    }
    errors
}

/// Whether tokens can be verified: a key is there, and every algorithm has the kind of key it needs.
///
/// Apart from [`super::load`], because the standalone command makes a secret of its own when none is named.
pub fn validate_auth(config: &Config) -> Result<(), ConfigErrors> {
    if config.auth.mode != AuthMode::Jwt {
        return Ok(());
    }
    let jwt = &config.auth.jwt;
    let refuse =
        |path: &'static str, value: Option<String>, problem: &str, allowed: &str| ConfigError {
            path,
            value,
            problem: problem.into(),
            allowed: allowed.into(),
            source: Source::Default,
        };
    let mut errors = Vec::new();
    if jwt.secret.is_none() && jwt.public_key.is_none() {
        errors.push(refuse(
            "auth.jwt.secret",
            None,
            "is not set, and neither is auth.jwt.public_key: no token could be verified",
            "a secret of at least 32 bytes, or a public key",
        ));
    }
    for algorithm in &jwt.algorithms {
        let (needed, there) = if algorithm.starts_with("HS") {
            ("auth.jwt.secret", jwt.secret.is_some())
        } else {
            ("auth.jwt.public_key", jwt.public_key.is_some())
        };
        if !there && (jwt.secret.is_some() || jwt.public_key.is_some()) {
            errors.push(refuse(
                "auth.jwt.algorithms",
                Some(format!("{algorithm:?}")),
                &format!("needs {needed}, which is not set"),
                "algorithms that fit the key",
            ));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors(errors)) }
}
