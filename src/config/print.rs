//! Configuration for people: the commented default file and the table of effective values.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{
    keys::{self, Key, State},
    load::{Loaded, default_of},
    rules::Kind,
};

/// A YAML file with every key, its default and its meaning. Loads back to exactly the defaults.
pub fn default_file() -> String {
    let mut out = String::from(
        "# Configuration of the realtime engine. Every key is optional; a value here is its default.\n\
         # ${NAME} in a value is taken from the environment. CIVIC_REALTIME_<KEY> overrides a key,\n\
         # for example CIVIC_REALTIME_ROOMS__MAX_ROOMS=50.\n\
         # Lines that start with # are unset by default or not available in this version.\n",
    );
    let mut open: Vec<&str> = Vec::new();
    for key in keys::all() {
        let mut sections: Vec<&str> = key.path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        if open != sections {
            if sections.len() <= 1 && (sections.first() != open.first() || !sections.is_empty()) {
                out.push('\n');
            }
            let shared = open.iter().zip(&sections).take_while(|(a, b)| a == b).count();
            for (depth, section) in sections.iter().enumerate().skip(shared) {
                line(&mut out, depth, &format!("{section}:"));
            }
            open.clone_from(&sections);
        }
        let missing = if key.is_available() { "" } else { " (not available in this version)" };
        line(&mut out, sections.len(), &format!("# {}{missing}", key.doc));
        line(&mut out, sections.len(), &entry(key, name));
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push_str(text);
    out.push('\n');
}

fn entry(key: &Key, name: &str) -> String {
    let value = match key.kind {
        Kind::List(_) => "[]".into(),
        _ if key.default.is_empty() => return format!("# {name}:"),
        Kind::Text(_) | Kind::Secret { .. } => Value::from(key.default).to_string(),
        _ => key.default.to_owned(),
    };
    let hash = if matches!(key.state, State::Built(_)) { "" } else { "# " };
    format!("{hash}{name}: {value}")
}

/// One line per effective value: path, value, source. Secrets are masked.
pub fn print_effective(loaded: &Loaded) -> String {
    let rows: Vec<(&str, String, String)> = loaded
        .values
        .iter()
        .map(|value| (value.path, show(&value.value), value.source.to_string()))
        .collect();
    let path_width = rows.iter().map(|(path, ..)| path.len()).max().unwrap_or_default();
    // One long value must not push every source off the screen.
    let value_width =
        rows.iter().map(|(_, value, _)| value.chars().count()).filter(|width| *width <= 40).max();
    let value_width = value_width.unwrap_or_default();
    rows.iter().fold(String::new(), |mut out, (path, value, source)| {
        let written = writeln!(out, "{path:path_width$} = {value:value_width$}  ({source})");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
        out
    })
}

/// The effective values as an object in the form of a file, with the keys that are accepted and need no
/// serving. Secrets are masked; what is unset is left out.
pub fn effective_json(loaded: &Loaded) -> Value {
    let mut root = Map::new();
    let silent = keys::all().iter().filter(|key| matches!(key.state, State::Silent));
    let defaults = silent.map(|key| (key.path, default_of(key).shown(&key.kind)));
    let effective = loaded.values.iter().map(|value| (value.path, value.value.clone()));
    for (path, value) in defaults.chain(effective).filter(|(_, value)| !value.is_null()) {
        let mut sections: Vec<&str> = path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        let place = sections.iter().try_fold(&mut root, |object, section| {
            object.entry(*section).or_insert_with(|| Map::new().into()).as_object_mut()
        });
        if let Some(place) = place {
            place.insert(name.to_owned(), value);
        }
    }
    root.into()
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
