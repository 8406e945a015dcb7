//! Standalone mode as it runs: real tokens, real files, real sockets.

use std::{net::SocketAddr, path::Path, sync::Arc};

use civicpress_realtime::{
    auth::sign::{JwtSigner, TokenRequest},
    config::Config,
    engine::{self, Engine},
    host::standalone::{StandaloneHost, StandaloneOptions},
    store::sqlite::{SqliteOptions, SqliteStore},
    time::unix_ms,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{Client, eventually, server};

struct Standalone {
    engine: Engine,
    runtime: Runtime,
    config: Config,
}

impl Standalone {
    fn start(folder: &Path, secret: &str) -> Self {
        let mut config = server::config();
        config.system_data_dir = folder.into();
        config.records.dir = folder.join("records");
        config.auth.recheck_seconds = 1;
        config.auth.jwt.secret = Some(secret.repeat(8));
        config.auth.jwt.leeway_seconds = 0;
        let runtime = engine::runtime(&config).unwrap();
        let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
        let host = StandaloneHost::new(StandaloneOptions::from(&config)).unwrap();
        let started = Engine::start(config.clone(), Arc::new(host), Arc::new(store));
        let engine = runtime.block_on(started).unwrap();
        Self { engine, runtime, config }
    }

    fn address(&self) -> SocketAddr {
        self.engine.address()
    }

    fn url(&self, path: &str) -> String {
        format!("ws://{}/realtime/{path}", self.address())
    }

    fn token(&self, user: &str, expires_in_s: u64) -> String {
        let request = TokenRequest {
            user_id: user.into(),
            name: String::new(),
            role: "editor".into(),
            rooms: Vec::new(),
            expires_in_s,
        };
        JwtSigner::new(&self.config.auth.jwt).unwrap().sign(&request, unix_ms()).unwrap()
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.runtime.block_on(self.engine.shutdown());
    }
}

fn with_record() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("records")).unwrap();
    std::fs::write(folder.path().join("records/a.md"), "# A\n").unwrap();
    folder
}

#[test]
fn a_record_that_is_deleted_ends_its_sessions_and_no_others() {
    let folder = with_record();
    let server = Standalone::start(folder.path(), "one secret");
    let mut ada = Client::join(&server.url("records/a"), &server.token("ada", 600));
    let mut bo = Client::join(&server.url("notes/a"), &server.token("bo", 600));
    std::fs::remove_file(folder.path().join("records/a.md")).unwrap();
    assert_eq!(ada.until_closed(), (4003, r#"{"code":"PERMISSION_DENIED"}"#.into()));
    let kept = server.engine.metrics().rechecks.get("kept");
    eventually("bo was looked at", || server.engine.metrics().rechecks.get("kept") > kept);
    bo.type_text("still here");
    let mut cy = Client::join(&server.url("notes/a"), &server.token("cy", 600));
    cy.until_text("still here");
}

#[test]
fn a_session_ends_with_its_jwt() {
    let folder = with_record();
    let server = Standalone::start(folder.path(), "one secret");
    let token = server.token("ada", 5);
    let mut ada = Client::join(&server.url("records/a"), &token);
    let (code, reason) = ada.until_closed();
    assert_eq!(code, 4001, "{reason}");
    let mut back = Client::connect(&server.url("records/a"), &token);
    assert_eq!(back.until_closed(), (4001, r#"{"code":"AUTH_FAILED"}"#.into()));
    Client::join(&server.url("records/a"), &server.token("ada", 600));
}

/// The key is read at the start: with another one nobody comes back who was in, and their edits are there for
/// those with new tokens.
#[test]
fn tokens_of_a_replaced_key_end_with_the_restart() {
    let folder = with_record();
    let server = Standalone::start(folder.path(), "one secret");
    let old = server.token("ada", 600);
    let mut ada = Client::join(&server.url("notes/a"), &old);
    ada.type_text("kept");
    eventually("taken", || server.engine.metrics().updates_applied.get() == 1);
    drop(server);
    let server = Standalone::start(folder.path(), "another one");
    let mut refused = Client::connect(&server.url("notes/a"), &old);
    assert_eq!(refused.until_closed(), (4001, r#"{"code":"AUTH_FAILED"}"#.into()));
    Client::join(&server.url("notes/a"), &server.token("ada", 600)).until_text("kept");
}

#[test]
fn a_file_that_comes_changes_or_goes_is_a_change_of_the_collection_records() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    std::fs::create_dir(&records).unwrap();
    std::fs::write(records.join("old.md"), "# Old\n").unwrap();
    let server = Standalone::start(folder.path(), "abcd");
    let hub = server.engine.events();
    let history = |room: &str| -> Vec<Value> {
        let texts = server.runtime.block_on(hub.history(&room.into()));
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    };
    let find = |event: &str, id: &str| {
        let mut all = history("collection:records").into_iter();
        all.find(|change| change["event"] == event && change["data"]["id"] == id)
    };
    // What was there before the server looked is not new.
    eventually("it looks", || {
        std::fs::write(records.join("probe.md"), "# Probe\n").unwrap();
        !history("collection:records").is_empty()
    });
    std::fs::write(records.join("new.md"), "---\ntitle: New\nstatus: draft\n---\nText\n").unwrap();
    eventually("created", || find("created", "new").is_some());
    let created = find("created", "new").unwrap();
    assert_eq!(created["data"]["title"], "New");
    assert_eq!(created["data"]["status"], "draft");
    std::fs::write(records.join("old.md"), "# Older\n").unwrap();
    eventually("updated", || find("updated", "old").is_some());
    std::fs::remove_file(records.join("old.md")).unwrap();
    eventually("deleted", || find("deleted", "old").is_some());
    let all = history("collections");
    assert!(all.iter().all(|change| change["data"]["collection"] == "records"), "{all:?}");
    assert!(all.len() >= 3);
}
