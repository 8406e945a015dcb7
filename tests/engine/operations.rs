//! What is handed to operators fits the code: alert rules, the document on security, the checklist.

use std::fs;

use civicpress_realtime::{
    config::keys,
    doctor::checklist,
    telemetry::metrics::{Gauges, Metrics},
};
use serde_json::Value;

use crate::invariants::files_below;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[test]
fn compose_has_the_api_and_the_engine_as_services() {
    let file: Value = serde_saphyr::from_str(&read("deploy/docker/compose.yml")).unwrap();
    let (api, realtime) = (&file["services"]["api"], &file["services"]["realtime"]);
    for service in [api, realtime] {
        assert!(service["image"].is_string() && service["healthcheck"]["test"].is_array());
        assert!(service["environment"]["CIVIC_SYSTEM_DATA_DIR"].is_string());
        for volume in service["volumes"].as_array().unwrap() {
            let (name, place) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(file["volumes"].get(name).is_some() && place.starts_with('/'), "{volume}");
        }
        // Only the proxy on the same machine reaches them.
        for port in service["ports"].as_array().unwrap() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}");
        }
    }
    assert_eq!(api["environment"]["REALTIME_ENABLED"], "false");
    let environment = realtime["environment"].as_object().unwrap();
    let known = |name: &str| keys::all().iter().any(|key| key.env_name() == name);
    for name in environment.keys().filter(|name| name.starts_with(keys::ENV_PREFIX)) {
        assert!(known(name), "{name} is no key");
    }
    assert_eq!(environment["CIVIC_REALTIME_HOST_API__URL"], "http://api:3000");
    for secret in ["CIVIC_REALTIME_HOST_API__TOKEN", "CIVIC_REALTIME_ADMIN__TOKEN"] {
        assert!(environment[secret].as_str().unwrap().starts_with("${"), "{secret}");
    }
    let named = realtime["build"]["dockerfile"].as_str().unwrap();
    assert!(read(named).starts_with('#'));
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let rules: Value = serde_saphyr::from_str(&read("deploy/prometheus/alerts.yml")).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10);
    let metrics = Metrics::default().render(&Gauges::default());
    let sources: String = files_below("src").into_iter().map(|(_, code)| code).collect();
    for rule in rules {
        let expression = rule["expr"].as_str().unwrap();
        let name = rule["alert"].as_str().unwrap();
        assert!(rule["annotations"]["summary"].is_string(), "{name} says nothing");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{name}");
        let asked: Vec<_> = expression
            .split(|letter| !is_name(letter))
            .filter(|word| word.starts_with("civicpress_realtime_"))
            .collect();
        assert!(!asked.is_empty() || expression.starts_with("up{"), "{name} asks for nothing");
        for metric in asked {
            let known = metrics.contains(&format!("# TYPE {metric} "));
            assert!(known, "{name} asks for {metric}, which no engine has");
        }
        // Values of labels are constants of the code.
        for quoted in expression.split('"').skip(1).step_by(2) {
            for value in quoted.split('|').filter(|value| *value != "civicpress-realtime") {
                let known = sources.contains(&format!("\"{value}\""));
                assert!(known, "{name} asks for {value}, which the code never says");
            }
        }
    }
}

#[test]
fn the_tests_the_documents_name_exist() {
    assert!(tests_named_by("docs/security.md", "| threat |") > 40);
    assert!(tests_named_by("docs/civicpress.md", "| before |") > 25);
}

/// Where tests are looked for by their names.
pub struct Sources {
    rust: String,
    node: String,
}

impl Sources {
    pub fn read() -> Self {
        let rust =
            ["src", "tests"].into_iter().flat_map(files_below).map(|(_, code)| code).collect();
        let folders = ["__test__", "__test__/clients", "__test__/host", "__test__/chaos", "e2e"];
        let node = folders
            .into_iter()
            .flat_map(|folder| {
                fs::read_dir(format!("{}/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap()
            })
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "ts"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        Self { rust, node }
    }

    pub fn have_test(&self, name: &str) -> bool {
        let called = ["it('", "test('"].map(|call| format!("{call}{name}'"));
        self.rust.contains(&format!("fn {name}("))
            || called.iter().any(|call| self.node.contains(call))
    }
}

/// How many tests the last column of a document's tables names; all of them exist.
fn tests_named_by(document: &str, header: &str) -> usize {
    let document = read(document);
    let sources = Sources::read();
    let rows = document.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| -"));
    let mut count = 0;
    for row in rows.filter(|row| !row.starts_with(header)) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let [_, _, tests] = cells.as_slice() else { panic!("not three cells: {row}") };
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            assert!(sources.have_test(test), "no test {test}");
            count += 1;
        }
    }
    count
}

#[test]
fn the_document_and_the_doctor_have_one_checklist() {
    let document = read("docs/security.md");
    let (_, list) = document.split_once("## Operator's checklist").unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("- [ ] **")?.split('.').next());
    let names: Vec<_> = names.collect();
    assert_eq!(names, checklist::NAMES);
}
