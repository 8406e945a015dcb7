//! Health, metrics, the records API.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::Ordering,
    time::Duration,
};

use civicpress_realtime::protocol::sync;
use yrs::{Transact, WriteTxn, XmlFragment};

use crate::support::{Client, FakeHost, Server, eventually, server::config};

pub fn get(server: &Server, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn json(server: &Server, path: &str, token: &str) -> (u16, serde_json::Value) {
    let (status, body) = get(server, path, &format!("Authorization: Bearer {token}\r\n"));
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn health_has_the_contracts_shape() {
    let server = Server::start();
    let _ada = Client::join(&server.url("notes/a"), "editor:ada");
    let (status, health) = json(&server, "/health", "");
    assert_eq!(status, 200);
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["server"]["port"], server.address.port());
    assert_eq!(health["connections"], serde_json::json!({ "total": 1, "perUser": 1, "perIP": 1 }));
    assert_eq!(health["rooms"]["total"], 1);
    assert_eq!(health["rateLimiting"]["messagesPerSecond"], 1_000_000);
    assert_eq!(get(&server, "/ready", "").0, 200);
}

#[test]
fn metrics_are_for_operators() {
    let server = Server::start();
    let (status, text) = get(&server, "/metrics", "");
    assert_eq!(status, 200, "loopback");
    assert!(text.contains("# TYPE civicpress_realtime_connections gauge"), "{text}");
    assert_eq!(get(&server, "/metrics", "X-Forwarded-For: 10.0.0.1\r\n").0, 401);
    let mut config = config();
    config.admin.token = Some("s3cret".into());
    let guarded = Server::with(config, std::sync::Arc::default());
    assert_eq!(get(&guarded, "/metrics", "").0, 401);
    assert_eq!(get(&guarded, "/metrics", "Authorization: Bearer wrong\r\n").0, 401);
    assert_eq!(get(&guarded, "/metrics", "Authorization: Bearer s3cret\r\n").0, 200);
}

#[test]
fn records_are_listed_and_shown_to_who_may_see_them() {
    let host = FakeHost::with_record("minutes/2026-03", "# Minutes\n");
    let server = Server::with(config(), host);
    assert_eq!(json(&server, "/api/v1/me", "viewer:vi").1["userId"], "vi");
    assert_eq!(
        json(&server, "/api/v1/records", "viewer:vi").1["records"][0]["id"],
        "minutes/2026-03"
    );
    let record = json(&server, "/api/v1/records/minutes%2F2026-03", "viewer:vi");
    assert_eq!((record.0, &record.1["canEdit"]), (200, &false.into()));
    let bearer = "Authorization: Bearer viewer:vi\r\n";
    assert_eq!(
        get(&server, "/api/v1/records/minutes/2026-03/markdown", bearer),
        (200, "# Minutes\n".into())
    );
    assert_eq!(json(&server, "/api/v1/records", "nonsense").0, 401);
    assert_eq!(get(&server, "/api/v1/records", "").0, 401);
    assert_eq!(json(&server, "/api/v1/records/missing", "editor:ada").0, 403);
    assert_eq!(json(&server, "/api/v1/records/..%2Fetc", "editor:ada").0, 400);
    assert_eq!(json(&server, "/api/v1/nothing", "editor:ada").0, 404);
    let _vi = Client::join(&server.url("records/minutes/2026-03"), "viewer:vi");
    let present = json(&server, "/api/v1/records/minutes%2F2026-03/presence", "viewer:vi").1;
    assert_eq!(present["participants"][0]["name"], "vi");
}

#[test]
fn what_a_record_refers_to_is_listed_whether_it_is_open_or_not() {
    let reference =
        |kind: &str, id: &str| format!("<!--civic-ref type=\"{kind}\" id=\"{id}\" label=\"L\"-->");
    let text = format!(
        "---\ntitle: T\n---\n\nSee {} and {}.\n\n* Plan {}\n",
        reference("record", "by-law-4"),
        reference("geography", "lot-7"),
        reference("attachment", "plan.pdf"),
    );
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", &text));
    let listed = || {
        let (status, answer) = json(&server, "/api/v1/records/a/references", "viewer:vi");
        assert_eq!(status, 200);
        let list = answer["references"].as_array().unwrap().clone();
        list.into_iter()
            .map(|found| format!("{} {}", found["type"], found["id"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    let expected = ["record by-law-4", "geography lot-7", "attachment plan.pdf"];
    assert_eq!(listed(), expected, "never opened: the source's");
    let mut ada = Client::join(&server.url("records/a"), "editor:ada");
    {
        let mut txn = ada.doc.transact_mut();
        let root = txn.get_or_insert_xml_fragment("default");
        root.remove(&mut txn, 1);
        let update = txn.encode_update_v1();
        drop(txn);
        ada.send(sync::update(&update));
    }
    eventually("open: the room's", || listed() == expected[..2]);
    drop(ada);
    eventually("closed", || server.engine().rooms().is_empty());
    assert_eq!(listed(), expected[..2], "closed: the stored room's");
    assert_eq!(json(&server, "/api/v1/records/missing/references", "viewer:vi").0, 403);
    let found = server.block_on(server.engine().references("records:a")).unwrap();
    assert_eq!((found[1].kind.as_str(), found[1].label.as_str()), ("geography", "L"));
    let missing = server.block_on(server.engine().references("records:missing"));
    assert_eq!(missing.unwrap_err().code(), "ROOM_NOT_FOUND");
}

#[test]
fn a_draining_server_turns_new_connections_away() {
    let mut server = Server::start();
    server.host.records.lock().insert("slow".into(), "text".into());
    let _ada = Client::join(&server.url("records/slow"), "editor:ada");
    server.host.load_delay_ms.store(500, Ordering::Relaxed);
    let address = server.address;
    server.stop();
    assert!(TcpStream::connect(address).is_err(), "nothing listens any more");
}

#[test]
fn health_and_metrics_count_what_operators_look_at() {
    let server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), "editor:ada");
    let _bo = Client::join(&server.url("notes/a"), "editor:bo");
    let _again = Client::join(&server.url("notes/b"), "editor:bo");
    ada.type_text("x");
    Client::connect(&server.url("notes/a"), "nonsense").until_closed();
    Client::connect(&server.url("records/missing"), "editor:ada").until_closed();
    let metrics = server.engine().metrics();
    eventually("counted", || metrics.room_members.get() == 3 && metrics.document_bytes.get() > 0);
    let health = server.engine().health();
    assert_eq!((health.server.connections, health.connections.per_user), (3, 2));
    assert_eq!((health.rooms.total, health.rooms.average_size), (2, 1.5));
    assert_eq!((health.counts.auth_failures, health.counts.permission_denials), (1, 1));
    assert_eq!(health.counts.disconnects.get("AUTH_FAILED"), Some(&1));
    let text = get(&server, "/metrics", "").1;
    for line in [
        "users 2",
        "addresses 1",
        "room_members 3",
        "room_size_average 1.5",
        "auth_failures_total 1",
        "permission_denials_total 1",
        "closes_total{code=\"PERMISSION_DENIED\"} 1",
    ] {
        assert!(text.contains(&format!("civicpress_realtime_{line}\n")), "{line} in {text}");
    }
    drop(ada);
    eventually("given back", || metrics.room_members.get() == 2);
    let server = server.restart();
    let _reader = Client::join(&server.url("notes/a"), "editor:ada");
    assert_eq!(server.engine().health().counts.snapshots_loaded, 1);
}
