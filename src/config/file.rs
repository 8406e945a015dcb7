//! Reading a configuration file or an options object into a layer of written values.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::Read,
    path::Path,
};

use serde_json::{Map, Value};

use super::{
    error::{ConfigError, Source},
    names::{self, Place},
    value::cut,
};

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Most values an alias-laden YAML file may unfold to.
const NODES_MAX: usize = 100_000;
/// Warnings about unknown keys before the rest is only counted.
const WARNINGS_MAX: usize = 50;

/// A value as it was written.
pub(super) struct Written {
    pub(super) value: Value,
    pub(super) source: Source,
    /// Everything is text there, so text is read as the kind the key wants.
    pub(super) from_env: bool,
}

/// Values of one source by key path.
pub(super) type Layer = BTreeMap<&'static str, Written>;

/// What a layer's reading found beside values.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<ConfigError>,
}

/// Reads the file at `path`, JSON by its extension, else YAML.
pub(super) fn read(path: &Path) -> Result<Value, ConfigError> {
    let refuse = |problem: String, allowed: &str| ConfigError {
        path: "configuration file",
        value: Some(path.display().to_string()),
        problem,
        allowed: allowed.into(),
        source: Source::File(path.to_owned()),
    };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| refuse(format!("cannot be read: {error}"), ""))?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > FILE_BYTES_MAX) {
        return Err(refuse("is too large".into(), "at most 1 MiB"));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8".into(), "text in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        // Only the place is told: the parser's own words may quote the file.
        serde_json::from_str(text).map_err(|error| {
            refuse(
                format!("is not valid JSON at line {}, column {}", error.line(), error.column()),
                "",
            )
        })
    } else {
        yaml(text).map_err(|problem| refuse(problem, ""))
    }
}

fn yaml(text: &str) -> Result<Value, String> {
    use serde_saphyr::options::NonFiniteFloatPolicy;
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Value::Null);
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        // As text they fail at their key, with its path.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_saphyr::budget! {
            max_events: NODES_MAX,
            max_nodes: NODES_MAX,
            max_aliases: 100,
            max_anchors: 100,
            max_depth: 32,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        use serde_saphyr::Error;
        let place =
            error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
        let place = place.unwrap_or_default();
        match error.without_snippet() {
            Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("holds the key {:?} twice{place}", cut(key))
            }
            Error::MultipleDocuments { .. } => "holds more than one YAML document".into(),
            Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. }
            | Error::Budget { .. } => format!("is too complex (nesting, aliases or size){place}"),
            // The parser's own words may quote the file, and with it a secret.
            _ => format!("is not valid YAML{place}"),
        }
    })
}

/// Spreads `root` over the keys it names. Keys stand under `realtime` or at the top level.
pub(super) fn flatten(root: Value, source: &Source, findings: &mut Findings) -> Layer {
    let mut layer = Layer::new();
    let root = match root {
        Value::Object(mut map) => match map.remove("realtime") {
            Some(inner) => {
                for name in map.keys() {
                    findings.unknown(format!(
                        "{} stands beside realtime: and is not read ({source})",
                        cut(name)
                    ));
                }
                inner
            }
            None => Value::Object(map),
        },
        other => other,
    };
    match root {
        Value::Null => {}
        Value::Object(map) => spread("", "", map, source, &mut layer, findings),
        other => findings.errors.push(not_a_section("realtime", &other, source)),
    }
    let more = findings.warnings.len().saturating_sub(WARNINGS_MAX);
    if more > 0 {
        findings.warnings.truncate(WARNINGS_MAX);
        findings.warnings.push(format!("and more unknown keys ({source})"));
    }
    layer
}

/// `section` as in the table, `written` as in the file.
fn spread(
    section: &str,
    written: &str,
    map: Map<String, Value>,
    source: &Source,
    layer: &mut Layer,
    findings: &mut Findings,
) {
    for (name, value) in map {
        let shown =
            if written.is_empty() { cut(&name) } else { format!("{written}.{}", cut(&name)) };
        match (names::child(section, &name), value) {
            // An empty entry is how YAML writes "nothing set here".
            (Some(_), Value::Null) => {}
            (Some(Place::Key(path)), value) => match layer.entry(path) {
                Entry::Vacant(entry) => {
                    entry.insert(Written { value, source: source.clone(), from_env: false });
                }
                Entry::Occupied(_) => findings.errors.push(ConfigError {
                    path,
                    value: None,
                    problem: "is given twice, in two spellings".into(),
                    allowed: String::new(),
                    source: source.clone(),
                }),
            },
            (Some(Place::Section(path)), Value::Object(inner)) => {
                spread(path, &shown, inner, source, layer, findings);
            }
            (Some(Place::Section(path)), other) => {
                findings.errors.push(not_a_section(path, &other, source));
            }
            (None, _) => {
                if findings.warnings.len() <= WARNINGS_MAX {
                    let nearest = names::nearest(&shown);
                    findings.unknown(format!(
                        "unknown key {shown}; did you mean {nearest}? ({source})"
                    ));
                }
            }
        }
    }
}

impl Findings {
    fn unknown(&mut self, warning: String) {
        if self.warnings.len() <= WARNINGS_MAX {
            self.warnings.push(warning);
        }
    }
}

fn not_a_section(path: &'static str, value: &Value, source: &Source) -> ConfigError {
    let what = match value {
        Value::Array(_) => "is a list",
        _ => "is a single value",
    };
    ConfigError {
        path,
        // A misplaced value may be a secret.
        value: None,
        problem: what.into(),
        allowed: "a section (keys below it)".into(),
        source: source.clone(),
    }
}
