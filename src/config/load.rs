//! From sources to one effective configuration: environment > options > file > defaults.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::Value;

use super::{
    AuthMode, Config, check,
    env::{self, BadReference},
    error::{ConfigError, ConfigErrors, Source},
    file::{self, Findings, Layer, Written},
    keys::{self, Key, State},
    rules::Kind,
    standalone,
    value::{self, Typed},
};

/// Where configuration may come from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file named on the command line.
    pub file: Option<PathBuf>,
    /// The environment by name.
    pub env: BTreeMap<String, String>,
    /// Folder that relative names of configuration files start from.
    pub cwd: PathBuf,
    /// Whether the engine runs by itself, without a host around it.
    pub standalone: bool,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment holds secrets.
        f.debug_struct("Sources").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A loaded configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// What an operator should know, one line each.
    pub warnings: Vec<String>,
    /// Every effective value, in the order of [`keys::all`]; keys this version does not serve only if set.
    pub values: Vec<EffectiveValue>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// One value as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EffectiveValue {
    /// Key path.
    pub path: &'static str,
    /// The value, secrets masked; null = unset.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// Loads from file, environment and defaults.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    load_value(Value::Null, sources)
}

/// Loads with an object in the form of a file that overrides the file (null = none).
pub fn load_value(options: Value, sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut findings = Findings::default();
    let path = find_file(sources)?;
    let has_options = !options.is_null();
    let root = path.as_deref().map(file::read).transpose()?;

    let mut layer = env::fallbacks(&sources.env, sources.standalone);
    if let (Some(root), Some(path)) = (root, &path) {
        layer.extend(read_layer(root, &Source::File(path.clone()), &mut findings));
    }
    layer.extend(read_layer(options, &Source::Options, &mut findings));
    layer.extend(env::overrides(&sources.env, &mut findings.warnings));

    let mut config = Config::default();
    config.auth.mode = if sources.standalone { AuthMode::Jwt } else { AuthMode::Host };
    let mut values = Vec::new();
    let mut effective = BTreeMap::new();
    for key in keys::all() {
        let written = layer.get(key.path);
        let typed = match written
            .map_or(Ok(default_of(key)), |written| typed(key, written, &sources.env))
        {
            Ok(typed) => typed,
            Err(error) => {
                findings.errors.push(error);
                continue;
            }
        };
        if let Some(written) = written {
            answer_unavailable(key, &typed, written, &mut findings);
        }
        if let State::Built(set) = key.state {
            set(&mut config, &typed);
        }
        if key.is_available() || written.is_some() {
            let source = written.map_or(Source::Default, |written| written.source.clone());
            values.push(EffectiveValue { path: key.path, value: typed.shown(&key.kind), source });
        }
        effective.insert(key.path, typed);
    }
    let unset = |path: &str| effective.get(path).is_none_or(|typed| typed.str().is_empty());
    if sources.standalone && unset("auth.mode") && !unset("host_api.url") {
        config.auth.mode = AuthMode::Api;
    }
    let source_of =
        |path: &str| layer.get(path).map_or(Source::Default, |written| written.source.clone());
    findings.errors.extend(check::across(&effective, sources.standalone, source_of));
    if !findings.errors.is_empty() {
        return Err(ConfigErrors(findings.errors));
    }

    config.production = env::set(&sources.env, env::NODE_ENV) == Some("production");
    let system = env::set(&sources.env, env::SYSTEM_DATA_DIR);
    if let Some(dir) = system {
        config.system_data_dir = dir.into();
    }
    let source = system.map_or(Source::Default, |_| Source::Env(env::SYSTEM_DATA_DIR.into()));
    values.push(EffectiveValue { path: "system_data_dir", value: Value::Null, source });
    let mut loaded = Loaded { config, warnings: findings.warnings, values, file: path };
    if sources.standalone && loaded.file.is_none() && !has_options {
        standalone::local_defaults(&mut loaded, &sources.env);
    }
    loaded.show_derived();
    Ok(loaded)
}

fn read_layer(root: Value, source: &Source, findings: &mut Findings) -> Layer {
    let mut own = Findings::default();
    let layer = file::flatten(root, source, &mut own);
    findings.warnings.append(&mut own.warnings);
    findings.errors.append(&mut own.errors);
    layer
}

/// The file that was named, else the first that exists where files are looked for.
fn find_file(sources: &Sources) -> Result<Option<PathBuf>, ConfigError> {
    let named = match &sources.file {
        Some(path) => Some((path.clone(), Source::Default, "--config")),
        None => env::set(&sources.env, env::CONFIG)
            .map(|path| (path.into(), Source::Env(env::CONFIG.into()), env::CONFIG)),
    };
    if let Some((path, source, by)) = named {
        let path = sources.cwd.join(path);
        if path.is_file() {
            return Ok(Some(path));
        }
        let source = if source == Source::Default { Source::File(path.clone()) } else { source };
        return Err(ConfigError {
            path: "configuration file",
            value: Some(path.display().to_string()),
            problem: format!("is named by {by}, but there is no such file"),
            allowed: String::new(),
            source,
        });
    }
    let system = Path::new(env::set(&sources.env, env::SYSTEM_DATA_DIR).unwrap_or(".system-data"));
    let places = ["realtime.yml", "realtime.yaml", "realtime.json"].map(|name| system.join(name));
    let places = places.into_iter().chain([PathBuf::from("config/realtime.json")]);
    Ok(places.map(|path| sources.cwd.join(path)).find(|path| path.is_file()))
}

/// The default in its table form; a test proves that every one of them passes its key's check.
pub(super) fn default_of(key: &Key) -> Typed {
    if key.default.is_empty() && !matches!(key.kind, Kind::List(_)) {
        return Typed::Unset;
    }
    key.kind.check(&Value::from(key.default), true).unwrap_or(Typed::Unset)
}

fn typed(key: &Key, written: &Written, env: &env::Env) -> Result<Typed, ConfigError> {
    let refuse = |value: Option<String>, problem: String, allowed: String| ConfigError {
        path: key.path,
        value,
        problem,
        allowed,
        source: written.source.clone(),
    };
    let shown = || Some(value::mask_json(&written.value, &key.kind));
    let mut value = written.value.clone();
    let mut filled = false;
    if !written.from_env {
        filled = fill(&mut value, env).map_err(|bad| match bad {
            BadReference::Missing(name) => refuse(
                None,
                format!("names the environment variable {}, which is not set", value::cut(&name)),
                String::new(),
            ),
            BadReference::Malformed => refuse(
                shown(),
                "holds ${ without a variable's name and }".into(),
                "${NAME}, or $${ for the two characters themselves".into(),
            ),
        })?;
    }
    // The value is quoted as it was written, so that a variable's content stays out of logs.
    key.kind.check(&value, written.from_env || (filled && value.is_string())).map_err(|problem| {
        refuse(shown(), if filled { blunt(&problem) } else { problem }, key.kind.allowed())
    })
}

/// A problem's text without the list item it quotes: the item may come from a variable.
fn blunt(problem: &str) -> String {
    if problem.starts_with("holds \"") { "holds a wrong item".into() } else { problem.into() }
}

/// Replaces `${NAME}` in every text of `value`; answers whether there was any.
fn fill(value: &mut Value, env: &env::Env) -> Result<bool, BadReference> {
    match value {
        Value::String(text) => match env::substitute(text, env)? {
            Some(filled) => {
                *text = filled;
                Ok(true)
            }
            None => Ok(false),
        },
        Value::Array(items) => {
            items.iter_mut().try_fold(false, |any, item| Ok(any | fill(item, env)?))
        }
        Value::Object(map) => {
            map.values_mut().try_fold(false, |any, item| Ok(any | fill(item, env)?))
        }
        _ => Ok(false),
    }
}

fn answer_unavailable(key: &Key, typed: &Typed, written: &Written, findings: &mut Findings) {
    if *typed == default_of(key) {
        return;
    }
    match key.state {
        State::Built(_) | State::Silent => {}
        State::Later(instead) => findings.warnings.push(format!(
            "{} is not in this build and has no effect: {instead} ({})",
            key.path, written.source
        )),
        State::Refused => findings.errors.push(ConfigError {
            path: key.path,
            value: Some(value::mask_json(&written.value, &key.kind)),
            problem: "is not available in this version".into(),
            allowed: if key.default.is_empty() {
                "leave it out".into()
            } else {
                key.default.into()
            },
            source: written.source.clone(),
        }),
    }
}

impl Loaded {
    /// The effective value at `path`, if it is shown.
    pub fn value(&self, path: &str) -> Option<&EffectiveValue> {
        self.values.iter().find(|value| value.path == path)
    }

    /// Sets what is shown at `path`.
    pub(super) fn show(&mut self, path: &str, shown: impl Into<Value>, source: Option<Source>) {
        if let Some(entry) = self.values.iter_mut().find(|value| value.path == path) {
            entry.value = shown.into();
            if let Some(source) = source {
                entry.source = source;
            }
        }
    }

    /// Shows what defaults come to where they depend on other settings.
    fn show_derived(&mut self) {
        let show = |path: &Path| path.display().to_string();
        self.show("system_data_dir", show(&self.config.system_data_dir), None);
        self.show("records.dir", show(&self.config.records.dir), None);
        if self.config.store.url.is_none() {
            self.show("store.url", format!("sqlite:{}", show(&self.config.database_file())), None);
        }
        self.show("auth.mode", self.config.auth.mode.name(), None);
    }
}
