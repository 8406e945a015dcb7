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
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{Client, EventClient, eventually, server};

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

#[test]
fn only_a_sound_jwt_makes_a_connection_for_events_somebodys_and_while_it_holds() {
    let folder = with_record();
    let server = Standalone::start(folder.path(), "one secret");
    let secret = server.config.auth.jwt.secret.clone().unwrap();
    let now_s = unix_ms() / 1000;
    let good = json!({ "sub": "ada", "role": "editor", "exp": now_s + 600 });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let sign = |algorithm, secret: &str, claims: &Value| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).unwrap()
    };
    let token = |claims: &Value| sign(Algorithm::HS256, &secret, claims);
    let connect = |headers: &[(&'static str, &str)]| {
        let mut client = EventClient::at(server.address(), "/socket.io/", headers).unwrap();
        assert_eq!(client.next()["type"], "connect");
        client
    };
    let show = |client: &mut EventClient, token: &str| {
        client.say(&json!({ "type": "auth", "token": token }));
        let answer = client.next();
        if answer["type"] == "auth" { Ok(answer) } else { Err(answer["error"].clone()) }
    };
    // As large as tokens with many claims are.
    let long = token(&with("groups", json!("g".repeat(1500))));
    assert!(long.len() > 2048, "{}", long.len());
    assert_eq!(show(&mut connect(&[]), &long).unwrap()["data"]["user_id"], "ada");
    let bearer = format!("Bearer {long}");
    assert_eq!(connect(&[("Authorization", &bearer)]).next()["data"]["user_id"], "ada");
    let subprotocols = format!("civicpress.events.v1, auth.{long}");
    let mut client = connect(&[("Sec-WebSocket-Protocol", &subprotocols)]);
    assert_eq!(client.next()["data"]["user_id"], "ada");

    let payload = long.split('.').nth(1).unwrap();
    for (what, forged) in [
        ("alg none", format!("eyJhbGciOiJub25lIn0.{payload}.")),
        ("another secret", sign(Algorithm::HS256, &"another one".repeat(8), &good)),
        ("an empty secret", sign(Algorithm::HS256, "", &good)),
        ("over", token(&with("exp", json!(now_s - 1)))),
        ("not yet", token(&with("nbf", json!(now_s + 600)))),
        ("no end", token(&with("exp", Value::Null))),
    ] {
        let mut client = connect(&[]);
        assert_eq!(
            show(&mut client, &forged),
            Err("Invalid authentication token".into()),
            "{what}"
        );
        let refused = client.ask(json!({ "type": "join", "room": "chat" }));
        assert_eq!(refused["error"], "Permission denied", "{what}");
    }
    let mut client = connect(&[]);
    let soon = unix_ms() / 1000 + 5;
    show(&mut client, &token(&with("exp", json!(soon)))).unwrap();
    client.join("chat");
    // What follows has a clock of its own elsewhere.
    assert_eq!(client.next()["error"], "Authentication expired");
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
