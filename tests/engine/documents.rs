//! What README.md, ARCHITECTURE.md and the documents say of the code is so.

use std::{collections::BTreeSet, fs};

use civicpress_realtime::{
    config::{REFERENCE_MARK, keys, reference},
    telemetry::metrics::{Gauges, Metrics},
};

use crate::invariants::files_below;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What users read, by path.
fn documents() -> Vec<(String, String)> {
    let docs = fs::read_dir(format!("{}/docs", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let paths = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let paths = paths.map(|name| format!("docs/{name}"));
    ["README.md".to_owned(), "deploy/README.md".to_owned()]
        .into_iter()
        .chain(paths)
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// What stands in backticks, one line each; code blocks have none.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn the_reference_of_keys_is_what_the_code_writes() {
    let document = read("docs/configuration.md");
    let (_, written) = document.split_once(REFERENCE_MARK).unwrap();
    assert!(
        written == format!("\n{}", reference()),
        "docs/configuration.md is old: cargo run --example config_reference"
    );
}

#[test]
fn keys_and_variables_that_documents_name_exist() {
    let sections: BTreeSet<_> = keys::all().iter().filter_map(|key| section(key.path)).collect();
    for (file, text) in documents() {
        for name in quoted(&text).into_iter().filter(|name| !name.contains('<')) {
            // `rooms.max_rooms: 5` and `snapshots.*` are fine, too.
            let path = name.split([':', ' ', '=', '*']).next().unwrap_or_default();
            let path = path.trim_end_matches('.');
            if let Some(variable) = path.strip_prefix(keys::ENV_PREFIX) {
                let known = keys::all().iter().any(|key| key.env_name() == path);
                assert!(known || ["CONFIG", "ENABLED"].contains(&variable), "{file}: {path}");
            } else if section(path).is_some_and(|at| sections.contains(at)) {
                let known = keys::all()
                    .iter()
                    .any(|key| key.path == path || key.path.starts_with(&format!("{path}.")));
                assert!(known, "{file} names the key {path}, which does not exist");
            }
        }
    }
}

fn section(path: &str) -> Option<&str> {
    path.split_once('.').map(|(section, _)| section)
}

#[test]
fn the_readme_names_every_metric() {
    let metrics = Metrics::default().render(&Gauges::default());
    let names: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE civicpress_realtime_")?.split(' ').next())
        .collect();
    assert!(names.len() > 20);
    let readme = read("README.md");
    let quoted: Vec<_> = quoted(&readme).iter().filter_map(|name| name.split('{').next()).collect();
    for name in names {
        assert!(quoted.contains(&name), "README does not name the metric {name}");
    }
}

#[test]
fn the_readme_names_every_code() {
    let readme = read("README.md");
    let quoted = quoted(&readme);
    for path in ["src/error.rs", "src/store/mod.rs", "src/host/mod.rs"] {
        let source = read(path);
        let codes = source.lines().filter_map(|line| {
            let code = line.split_once("=> \"")?.1.strip_suffix("\",")?;
            code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then_some(code)
        });
        for code in codes.filter(|code| *code != "PEER_DEAD") {
            assert!(quoted.contains(&code), "README does not name the code {code} of {path}");
        }
    }
}

#[test]
fn the_readme_shows_the_examples_as_they_are() {
    let readme = read("README.md");
    for example in ["embed", "client", "client-durable"] {
        let code = read(&format!("examples/{example}.ts"));
        assert!(readme.contains(&format!("```ts\n{code}```\n")), "example {example}");
    }
}

#[test]
fn the_tests_and_files_the_architecture_names_exist() {
    let architecture = read("ARCHITECTURE.md");
    let sources: String =
        ["src", "tests"].into_iter().flat_map(files_below).map(|(_, text)| text).collect();
    let (_, invariants) = architecture.split_once("\n## Invariants\n").unwrap();
    let (invariants, _) = invariants.split_once("\n## ").unwrap();
    let tests: Vec<_> = quoted(invariants)
        .into_iter()
        .filter(|name| name.matches('_').count() > 1 && !name.contains(['/', ':']))
        .collect();
    assert!(tests.len() > 20);
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "no test {test}");
    }
    let paths = quoted(&architecture).into_iter().filter(|name| name.contains('/'));
    for path in paths.filter(|path| ["src/", "tests/"].iter().any(|at| path.starts_with(at))) {
        let there = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        assert!(fs::exists(there).unwrap(), "no file {path}");
    }
}
