//! What README.md, ARCHITECTURE.md and the documents say of the code is so.

use std::{collections::BTreeSet, fs, path::Path};

use civicpress_realtime::{
    config::{REFERENCE_MARK, keys, reference},
    telemetry::metrics::{Gauges, Metrics},
};

use crate::{
    http::get,
    invariants::files_below,
    support::{Client, FakeHost, Server, server::config},
};

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

/// What stands in backticks in one column of the table whose head is `| <head> |`, without labels and options.
fn column(document: &str, head: &str, number: usize) -> BTreeSet<String> {
    let text = read(document);
    let head = format!("| {head} |");
    let mut rows = text.lines().skip_while(|line| !line.starts_with(&head)).skip(2).peekable();
    assert!(rows.peek().is_some(), "{document} has no table {head}");
    rows.take_while(|line| line.starts_with('|'))
        .flat_map(|row| {
            let cell = row.replace("\\|", " ");
            let cell = cell.trim_matches('|').split(" | ").nth(number).unwrap_or_default();
            quoted(cell).into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_table_of_metrics_is_complete() {
    let metrics = Metrics::default().render(&Gauges::default());
    let known = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE civicpress_realtime_")?.split(' ').next());
    assert_eq!(column("docs/monitoring.md", "metric", 0), names(known));
}

/// Names that a file gives its variants: `=> "NAME",`.
fn codes_of(path: &str) -> Vec<String> {
    let source = read(path);
    let arms = source.lines().filter_map(|line| {
        let code = line.split_once("=> \"")?.1.strip_suffix("\",")?;
        code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_').then(|| code.to_owned())
    });
    arms.collect()
}

#[test]
fn the_tables_of_codes_are_complete() {
    let errors = read("src/error.rs");
    let (of_errors, of_closes) = errors.split_once("impl CloseReason").unwrap();
    let all = codes_of("src/error.rs");
    let mut closes: BTreeSet<_> =
        all.iter().filter(|code| of_closes.contains(&format!("\"{code}\""))).cloned().collect();
    // A constant, since it is the code of a notice, too.
    closes.insert("RATE_LIMIT_EXCEEDED".to_owned());
    let documented = column("docs/protocols.md", "close", 1);
    assert_eq!(documented, closes);

    let api = column("docs/api.md", "code", 0);
    let own = all.into_iter().filter(|code| of_errors.contains(&format!("\"{code}\"")));
    let others = ["src/store/mod.rs", "src/host/mod.rs", "src/host/standalone/mod.rs"];
    let known: BTreeSet<_> = own.chain(others.into_iter().flat_map(codes_of)).collect();
    for code in &known {
        assert!(api.contains(code), "docs/api.md does not name the code {code}");
    }
    let adapter = scripts_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("adapter"));
    for code in api.difference(&known) {
        assert!(adapter.contains(&format!("'{code}'")), "nobody says the code {code}");
    }
    for code in adapter.split('\'').filter(|name| {
        ["REALTIME_", "WRITE_BACK_"].iter().any(|begin| name.starts_with(begin))
            && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            && !name.ends_with("_ENABLED")
    }) {
        assert!(api.contains(code), "docs/api.md does not name the code {code}");
    }
}

/// All TypeScript below a folder.
fn scripts_below(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(
            |path| {
                if path.is_dir() { scripts_below(&path) } else { fs::read_to_string(path).unwrap() }
            },
        )
        .collect()
}

#[test]
fn the_codes_of_http_are_documented() {
    let api = read("docs/api.md");
    let known: BTreeSet<_> = quoted(&api).into_iter().collect();
    for path in ["src/net/http.rs", "src/net/http/collab_snapshot.rs", "src/net/http/events.rs"] {
        let source = read(path);
        let codes = source.split('"').skip(1).step_by(2).filter(|word| {
            word.len() > 4 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        });
        for code in codes {
            assert!(known.contains(code), "docs/api.md does not name the code {code} of {path}");
        }
    }
}

#[test]
fn the_table_of_control_messages_is_complete() {
    let source = read("src/protocol/control.rs");
    let (_, wire) = source.split_once("fn to_json").unwrap();
    let (wire, _) = wire.split_once("\n    }\n").unwrap();
    let said = wire.split('"').skip(1).step_by(2).filter(|word| *word != "{}");
    assert_eq!(column("docs/protocols.md", "message", 0), names(said));
}

/// Names of hooks in quotes.
fn hooks_in(source: &str) -> BTreeSet<String> {
    let is_hook = |name: &&str| {
        let rest = name.strip_prefix("realtime:").unwrap_or_default();
        rest.contains(':') && rest.bytes().all(|b| b.is_ascii_lowercase() || b":-".contains(&b))
    };
    names(source.split(['"', '\'']).filter(is_hook))
}

#[test]
fn the_table_of_hooks_is_complete() {
    let sources: String = files_below("src").into_iter().map(|(_, text)| text).collect();
    let (_, events) = read("index.d.ts").split_once("interface SnapshotEvents").map_or_else(
        || panic!("index.d.ts has no SnapshotEvents"),
        |(a, b)| (a.to_owned(), b.to_owned()),
    );
    let (events, _) = events.split_once("\n}").unwrap();
    let mut known = hooks_in(&sources);
    known.extend(hooks_in(events));
    assert_eq!(column("docs/hooks.md", "hook", 0), known);
}

#[test]
fn the_table_of_violations_is_complete() {
    let source = read("src/telemetry/security.rs");
    let kinds = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    assert_eq!(column("docs/hooks.md", "kind", 0), names(kinds));
}

#[test]
fn the_table_of_routes_is_complete() {
    let mut known = BTreeSet::new();
    for (_, source) in
        [("", read("src/net/http.rs")), ("", read("src/net/http/collab_snapshot.rs"))]
    {
        let arms =
            source.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
        known.extend(arms.map(|(name, _)| name.trim_start_matches('/').to_owned()));
        let suffixes = source.split("strip_suffix(\"/").skip(1);
        known.extend(suffixes.filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
    }
    assert!(known.len() > 6, "{known:?}");
    let routes = column("docs/api.md", "route", 0);
    for name in &known {
        let there = routes.iter().any(|route| route.split('/').any(|part| part == name));
        assert!(there, "docs/api.md has no route {name}");
    }

    let host = FakeHost::with_record("budget", "# Budget\n");
    let server = Server::with(config(), host);
    // Pages are built elsewhere; __test__/pages.spec.ts asks for them.
    let pages = ["/", "/edit", "/operator", "/self-test.html", "/dpd.js"];
    for route in routes.iter().filter(|route| !pages.contains(&route.as_str())) {
        let path = route.replace("<type>", "records").replace("<id>", "budget");
        let _ada = Client::join(&server.url("records/budget"), "editor:ada");
        // Of collab snapshots the operator's look, of all others the user's.
        let (status, body) = get(&server, &path, "Authorization: Bearer editor:ada\r\n");
        assert!([200, 426].contains(&status), "{route} answers {status}: {body}");
    }
}

#[test]
fn the_table_of_commands_is_complete() {
    let help = read("adapter/cli/help.ts");
    let described = column("docs/api.md", "command", 0);
    let commands: BTreeSet<_> =
        described.iter().filter_map(|row| row.split(' ').next()).map(str::to_owned).collect();
    let (_, table) = help.split_once("const COMMANDS").unwrap();
    let known = table.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split_once(": `")?.0;
        name.bytes().all(|b| b.is_ascii_lowercase()).then_some(name)
    });
    assert_eq!(commands, names(known));

    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
        let options = words.filter(|word| {
            word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic))
        });
        names(options)
    };
    let api = read("docs/api.md");
    let (_, section) = api.split_once("\n## Command line\n").unwrap();
    assert_eq!(options(section), options(&help));
}

#[test]
fn links_inside_the_documents_lead_somewhere() {
    let mut all = documents();
    for more in ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        all.push((more.to_owned(), read(more)));
    }
    for (file, text) in &all {
        let folder = Path::new(file).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { file.into() } else { folder.join(path) };
            let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&target);
            assert!(there.exists(), "{file} links to {link}");
            if !anchor.is_empty() {
                let anchors = anchors(&fs::read_to_string(there).unwrap());
                assert!(anchors.contains(anchor), "{file} links to {link}: {anchors:?}");
            }
        }
    }
}

/// What headings are called in links.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
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
