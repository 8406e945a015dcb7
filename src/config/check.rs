//! Checks that need more than one value.

use std::collections::BTreeMap;

use super::{
    AuthMode, Config,
    error::{ConfigError, ConfigErrors, Source},
    value::Typed,
};
use crate::{auth::jwt::JwtVerifier, events::Rules};

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
    if let Some(Typed::Json(rules)) = values.get("events.rules")
        && let Err(problem) = Rules::parse(rules)
    {
        errors.push(ConfigError {
            value: None,
            ..refuse("events.rules", &problem, "a list of rules; docs/events.md has their form")
        });
    }
    let yes = |path: &str| values.get(path).is_some_and(Typed::bool);
    if yes("tls.require") && !yes("tls.enabled") {
        errors.push(ConfigError {
            value: Some("true".into()),
            ..refuse(
                "tls.require",
                "refuses to start without TLS, and tls.enabled is false",
                "tls.enabled: true with tls.cert and tls.key, or tls.require: false",
            )
        });
    }
    for path in ["tls.cert", "tls.key"] {
        if yes("tls.enabled") && text(path).is_empty() {
            let problem = "is needed when tls.enabled is true";
            errors.push(ConfigError {
                value: None,
                ..refuse(path, problem, "the name of a PEM file")
            });
        }
    }
    if !text("host_api.url").is_empty() || text("auth.mode") == "api" {
        errors.extend(microservice(standalone, &text, &source_of));
    }
    let is_microservice =
        standalone && !text("host_api.url").is_empty() && matches!(text("auth.mode"), "" | "api");
    if text("snapshots.storage") == "api" && !is_microservice {
        let problem = "needs the CivicPress API as the host (host_api.url)";
        errors.push(refuse("snapshots.storage", problem, "database, filesystem"));
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

/// Microservice mode needs all of `host_api`, and no other host.
fn microservice<'a>(
    standalone: bool,
    text: &impl Fn(&str) -> &'a str,
    source_of: &impl Fn(&str) -> Source,
) -> Vec<ConfigError> {
    let refuse = |path: &'static str, problem: &str, allowed: &str| ConfigError {
        path,
        value: None,
        problem: problem.into(),
        allowed: allowed.into(),
        source: source_of(path),
    };
    let mode = text("auth.mode");
    if !standalone {
        let api = (mode == "api").then(|| {
            let problem = "api needs an engine without a host around it, and there is one here";
            refuse("auth.mode", problem, "host, jwt")
        });
        return api.into_iter().collect();
    }
    if !matches!(mode, "" | "api") {
        return Vec::new();
    }
    [("host_api.url", "the address of the CivicPress API"), ("host_api.token", "a service token")]
        .into_iter()
        .filter(|(path, _)| text(path).is_empty())
        .map(|(path, allowed)| {
            refuse(path, "is needed when the CivicPress API is the host", allowed)
        })
        .collect()
}

/// Whether tokens can be verified: one key is there, it is readable, and every algorithm fits it.
///
/// Apart from [`super::load`], because the standalone command makes a secret of its own when none is named.
pub fn validate_auth(config: &Config) -> Result<(), ConfigErrors> {
    if config.auth.mode != AuthMode::Jwt {
        return Ok(());
    }
    match JwtVerifier::new(&config.auth.jwt) {
        Ok(_) => Ok(()),
        Err(error) => Err(ConfigErrors(vec![ConfigError {
            path: "auth.jwt",
            value: None,
            // Says which key below it, and what is allowed.
            problem: error.to_string().trim_start_matches("auth.jwt: ").to_owned(),
            allowed: String::new(),
            source: Source::Default,
        }])),
    }
}
