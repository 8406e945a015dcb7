mod modes;
mod secrets;
mod sources;
mod table;
mod wrong;

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::*;

const SECRET: &str = "correct-horse-battery-staple-0123456789";

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// Loads `text` as a file with `extension`.
fn load_text(
    extension: &str,
    text: &str,
    variables: &[(&str, &str)],
) -> Result<Loaded, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("realtime.{extension}"));
    std::fs::write(&file, text).unwrap();
    load(&Sources {
        file: Some(file),
        env: env(variables),
        cwd: dir.path().into(),
        standalone: false,
    })
}

fn yml(text: &str) -> Result<Loaded, ConfigErrors> {
    load_text("yml", text, &[])
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load_text("yml", "", variables)
}

fn standalone(dir: &Path, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&Sources { file: None, env: env(variables), cwd: dir.into(), standalone: true })
}

/// Every way an error or a loaded configuration can be shown.
fn shown(result: &Result<Loaded, ConfigErrors>) -> String {
    match result {
        Ok(loaded) => format!(
            "{loaded:?} {} {}",
            print_effective(loaded),
            serde_json::to_string(&loaded.values).unwrap()
        ),
        Err(errors) => format!("{errors} {errors:?} {}", serde_json::to_string(errors).unwrap()),
    }
}

fn embedded_default() -> Config {
    let mut config = Config::default();
    config.auth.mode = AuthMode::Host;
    config
}
