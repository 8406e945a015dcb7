//! Values of the environment, and `${NAME}` within values of files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    error::Source,
    file::{Layer, Written},
    keys, names,
    value::cut,
};

/// Names a file; not a key.
pub(super) const CONFIG: &str = "CIVIC_REALTIME_CONFIG";
pub(super) const DATA_DIR: &str = "CIVIC_DATA_DIR";
pub(super) const SYSTEM_DATA_DIR: &str = "CIVIC_SYSTEM_DATA_DIR";
pub(super) const NODE_ENV: &str = "NODE_ENV";
const DATABASE_URL: &str = "DATABASE_URL";

/// Names people know from elsewhere, for one key each. An empty value counts as unset, as in shells.
const ALIASES: &[(&str, &str)] = &[("REALTIME_ENABLED", "enabled"), ("LOG_LEVEL", "log_level")];
const DEBUG: &str = "REALTIME_DEBUG";

/// The environment by name.
pub(super) type Env = BTreeMap<String, String>;

/// The variable `name` unless it is empty.
pub(super) fn set<'a>(env: &'a Env, name: &str) -> Option<&'a str> {
    env.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
}

/// Values that override files.
pub(super) fn overrides(env: &Env, warnings: &mut Vec<String>) -> Layer {
    let mut layer = Layer::new();
    for (name, path) in ALIASES {
        if let Some(value) = set(env, name) {
            layer.insert(path, written(name, value));
        }
    }
    match set(env, DEBUG).map(|value| value.trim().to_ascii_lowercase()).as_deref() {
        None | Some("false" | "0" | "no" | "off") => {}
        Some("true" | "1" | "yes" | "on") => {
            layer.insert("log_level", written(DEBUG, "debug"));
        }
        Some(_) => warnings.push(format!("{DEBUG} is neither true nor false and has no effect")),
    }
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with(keys::ENV_PREFIX)) {
        if let Some(key) = keys::all().iter().find(|key| key.env_name() == *name) {
            layer.insert(key.path, written(name, value));
        } else if name != CONFIG {
            let path = name.get(keys::ENV_PREFIX.len()..).unwrap_or_default().replace("__", ".");
            let nearest = keys::find(names::nearest(&path)).map(keys::Key::env_name);
            let advice = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            warnings.push(format!("unknown variable {}{advice} (environment)", cut(name)));
        }
    }
    layer
}

/// Values that stand in for defaults: files override them.
pub(super) fn fallbacks(env: &Env, standalone: bool) -> Layer {
    let mut layer = Layer::new();
    if let Some(dir) = set(env, DATA_DIR) {
        layer.insert(
            "records.dir",
            written(DATA_DIR, &format!("{}/records", dir.trim_end_matches('/'))),
        );
    }
    // Embedded in a host, the variable names the host's own database.
    if let Some(url) = set(env, DATABASE_URL).filter(|_| standalone) {
        layer.insert("store.url", written(DATABASE_URL, url));
    }
    layer
}

fn written(name: &str, value: &str) -> Written {
    Written { value: Value::from(value), source: Source::Env(name.into()), from_env: true }
}

/// What is wrong with a `${NAME}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadReference {
    /// The variable is not set.
    Missing(String),
    /// `${` without a name and `}`.
    Malformed,
}

/// `text` with each `${NAME}` replaced, or `None` if there is none. `$${` stands for `${`. What is put in is
/// not looked at again.
pub(super) fn substitute(text: &str, env: &Env) -> Result<Option<String>, BadReference> {
    if !text.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, tail) = after.split_once('}').ok_or(BadReference::Malformed)?;
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            return Err(BadReference::Malformed);
        }
        out.push_str(env.get(name).ok_or_else(|| BadReference::Missing(name.into()))?);
        rest = tail;
    }
    out.push_str(rest);
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let env = Env::from([
            ("A".into(), "1".into()),
            ("B".into(), "${A}".into()),
            ("E".into(), String::new()),
        ]);
        for (text, expected) in [
            ("plain $A {A}", Ok(None)),
            ("${A}", Ok(Some("1"))),
            ("x${A}y${A}", Ok(Some("x1y1"))),
            ("${B}", Ok(Some("${A}"))),
            ("${E}", Ok(Some(""))),
            ("$${A}", Ok(Some("${A}"))),
            ("${C}", Err(BadReference::Missing("C".into()))),
            ("${", Err(BadReference::Malformed)),
            ("${}", Err(BadReference::Malformed)),
            ("${A:-b}", Err(BadReference::Malformed)),
        ] {
            assert_eq!(
                substitute(text, &env),
                expected.map(|text| text.map(str::to_owned)),
                "{text}"
            );
        }
    }
}
