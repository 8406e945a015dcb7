//! The architecture's invariants, read off the sources.

use std::{fs, path::Path};

fn sources() -> Vec<(String, String)> {
    let files = files_below("src");
    assert!(files.len() > 30, "the sources were found");
    files
}

/// Rust files below a folder of the project, by name, without their comments.
pub fn files_below(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            // What stands in comments names things it may not use.
            let code: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .flat_map(|line| [line, "\n"])
                .collect();
            files.push((name, code));
        }
    }
}

/// Only files below `allowed` may hold any of `words`.
#[track_caller]
fn only(allowed: &[&str], words: &[&str]) {
    for (name, code) in sources() {
        if allowed.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        for word in words {
            assert!(!code.contains(word), "{name} names {word}; only {allowed:?} may");
        }
    }
}

/// Files below `folders` may hold none of `words`.
#[track_caller]
fn never(folders: &[&str], words: &[&str]) {
    for (name, code) in sources() {
        if folders.iter().any(|prefix| name.starts_with(prefix)) {
            for word in words {
                assert!(!code.contains(word), "{name} names {word}");
            }
        }
    }
}

#[test]
fn only_the_binding_names_napi() {
    only(&["src/binding/"], &["napi::", "napi_derive", "#[napi"]);
}

#[test]
fn only_the_store_names_its_database() {
    only(&["src/store/"], &["rusqlite", "postgres::"]);
}

#[test]
fn the_net_names_no_document() {
    never(&["src/net/"], &["yrs::", "use yrs"]);
}

/// Whoever decodes has to be handed what the guard let through: [`Admitted`] updates, scanned state vectors.
///
/// [`Admitted`]: civicpress_realtime::protocol::guard::Admitted
#[test]
fn only_the_document_decodes_and_only_what_the_guard_admitted() {
    let decoders = ["Update::decode", "StateVector::decode", "apply_update(", "merge_updates"];
    let mut found = 0;
    for (name, code) in sources() {
        if name.contains("/tests") {
            continue;
        }
        // Unit tests play the other side.
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for decoder in decoders {
            let count = code.matches(decoder).count();
            assert!(count == 0 || name == "src/room/document.rs", "{name} calls {decoder}");
            found += count;
        }
    }
    assert_eq!(found, 3, "one update, one state vector, one application");
    let (_, document) =
        sources().into_iter().find(|(name, _)| name == "src/room/document.rs").unwrap();
    let body = |name: &str| {
        let start = document.find(&format!("fn {name}")).unwrap();
        document[start..].split("\n    }\n").next().unwrap().to_owned()
    };
    assert!(
        body("integrate(&mut self, update: &Admitted")
            .contains("Update::decode_v1(update.bytes())")
    );
    let diff = body("diff(");
    assert!(diff.find("scan_state_vector") < diff.find("StateVector::decode_v1"), "{diff}");
    // Nothing but the guard makes an admitted update.
    let guard = "src/protocol/guard/admit.rs";
    for (name, code) in sources().iter().filter(|(name, _)| !name.contains("/tests")) {
        assert!(name == guard || !code.contains("Admitted {"), "{name} makes one");
    }
}

#[test]
fn rooms_name_no_socket() {
    never(&["src/room/"], &["tokio::net", "std::net", "TcpStream", "tungstenite", "crate::net"]);
}

#[test]
fn rooms_of_events_name_no_socket() {
    never(&["src/events/"], &["tokio::net", "std::net", "TcpStream", "tungstenite", "crate::net"]);
}

#[test]
fn codecs_do_no_io_and_ask_no_clock() {
    never(
        &["src/protocol/"],
        &["tokio::", "std::net", "std::fs", "std::io", "Instant", "SystemTime", "unix_ms"],
    );
}

#[test]
fn no_unbounded_queue_no_blocking_pool_no_std_mutex() {
    never(
        &["src/"],
        &["unbounded_channel", "spawn_blocking", "std::sync::Mutex", "mpsc::channel()"],
    );
}

#[test]
fn nothing_is_installed_for_the_whole_process_that_a_second_engine_would_miss() {
    never(&["src/"], &["install_default", "set_global_default", "set_global_recorder"]);
    // One logger hands its lines to all engines there are.
    only(&["src/binding/log_pump.rs"], &["set_boxed_logger", "set_logger"]);
}
