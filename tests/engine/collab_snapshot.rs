//! The routes by which an API takes a room's content and hands in a text.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Value, json};
use yrs::{Doc, GetString, ReadTxn, Transact, Update, XmlFragment, updates::decoder::Decode};

use crate::{
    http::get,
    support::{Client, FakeHost, Server, server::config},
};

const ROUTE: &str = "/api/v1/records/minutes%2F2026-03/collab-snapshot";
const TEXT: &str = "---\ntitle: T\n---\n# Minutes\n\nFirst.\n";

fn server() -> Server {
    Server::with(config(), FakeHost::with_record("minutes/2026-03", TEXT))
}

fn post(server: &Server, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    let head = format!("POST {ROUTE} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n").unwrap();
    // A server that has read enough closes.
    drop(stream.write_all(body.as_bytes()));
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn send(server: &Server, body: &Value) -> (u16, Value) {
    post(server, "Content-Type: application/json\r\n", &body.to_string())
}

fn content(server: &Server) -> Value {
    let (status, body) = get(server, ROUTE, "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn text_of(content: &Value) -> String {
    let state = BASE64.decode(content["state"].as_str().unwrap()).unwrap();
    let doc = Doc::new();
    doc.transact_mut().apply_update(Update::decode_v1(&state).unwrap()).unwrap();
    let fragment = doc.get_or_insert_xml_fragment("default");
    let txn = doc.transact();
    assert!(fragment.len(&txn) > 0 && !txn.state_vector().is_empty());
    fragment.get_string(&txn)
}

#[test]
fn a_room_is_given_whole_whether_it_is_open_or_not() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("minutes/2026-03", TEXT));
    assert_eq!(get(&server, ROUTE, "").0, 404, "never opened");
    let ada = Client::join(&server.url("records/minutes/2026-03"), "editor:ada");
    let live = content(&server);
    assert_eq!((&live["live"], &live["markdown"]), (&true.into(), &TEXT.into()));
    assert_eq!(live["roomId"], "records:minutes/2026-03");
    assert!(live["version"].as_u64().unwrap() > 0 && live["timestamp"].as_u64().unwrap() > 0);
    assert!(text_of(&live).contains("First."));
    drop(ada);
    crate::support::eventually("the room is closed", || server.engine().rooms().is_empty());
    let stored = content(&server);
    assert_eq!((&stored["live"], &stored["markdown"]), (&false.into(), &TEXT.into()));
    assert_eq!((text_of(&stored), &stored["version"]), (text_of(&live), &live["version"]));
}

#[test]
fn a_text_that_would_lose_something_is_not_taken() {
    let server = server();
    let _ada = Client::join(&server.url("records/minutes/2026-03"), "editor:ada");
    let text = TEXT.replace("First.", "First.<br>Second.");
    let (status, answer) = send(&server, &json!({ "markdown": text, "base": TEXT }));
    assert_eq!((status, &answer["error"]["code"]), (422, &"RECORD_LOSSY".into()), "{answer}");
    assert_eq!(content(&server)["markdown"], TEXT);
}

#[test]
fn a_text_that_is_handed_in_is_merged_and_written_back() {
    let server = server();
    let late = send(&server, &json!({ "markdown": "# X\n" }));
    assert_eq!((late.0, &late.1["error"]["code"]), (404, &"ROOM_NOT_FOUND".into()));
    let _ada = Client::join(&server.url("records/minutes/2026-03"), "editor:ada");
    let (status, report) = send(&server, &json!({ "markdown": TEXT.replace("First", "Second") }));
    assert_eq!((status, &report["snapshotCreated"]), (200, &true.into()), "{report}");
    assert!(report["version"].as_u64().unwrap() > 0);
    assert_eq!(server.host.record("minutes/2026-03"), TEXT.replace("First", "Second"));
    // Made of the text before: what was changed meanwhile stays.
    let body = json!({ "base": TEXT, "markdown": TEXT.replace("Minutes", "Protocol") });
    assert_eq!(send(&server, &body).0, 200);
    let merged = TEXT.replace("First", "Second").replace("Minutes", "Protocol");
    assert_eq!(server.host.record("minutes/2026-03"), merged);
    assert_eq!(content(&server)["markdown"], *merged);
}

#[test]
fn a_room_is_written_back_on_request() {
    let server = server();
    let (status, nothing) = post(&server, "", "");
    assert_eq!((status, &nothing["snapshotCreated"]), (200, &false.into()), "nobody has it open");
    let _ada = Client::join(&server.url("records/minutes/2026-03"), "editor:ada");
    for body in ["", "{}"] {
        let (status, report) = post(&server, "Content-Type: application/json\r\n", body);
        assert_eq!((status, &report["snapshotCreated"]), (200, &true.into()), "{report}");
    }
}

#[test]
fn they_are_for_operators_and_the_service() {
    let mut config = config();
    config.admin.token = Some("admin-s3cret".into());
    config.host_api.token = Some("service-s3cret".into());
    let guarded = Server::with(config, Arc::default());
    for (header, expected) in [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer editor:ada\r\n", 401),
        ("Authorization: Bearer admin-s3cret\r\n", 404),
        ("Authorization: Bearer service-s3cret\r\n", 404),
    ] {
        assert_eq!(get(&guarded, ROUTE, header).0, expected, "{header}");
    }
    assert_eq!(post(&guarded, "", "").0, 401);
    let open = server();
    assert_eq!(get(&open, ROUTE, "X-Forwarded-For: 10.0.0.1\r\n").0, 401);
    assert_eq!(post(&open, "Forwarded: for=10.0.0.1\r\n", "").0, 401);
}

#[test]
fn nonsense_is_told_and_changes_nothing() {
    let server = server();
    let _ada = Client::join(&server.url("records/minutes/2026-03"), "editor:ada");
    let json = "Content-Type: application/json\r\n";
    let huge = "x".repeat(70 * 1024 * 1024);
    for (headers, body, expected) in [
        ("", r#"{"markdown":"x"}"#, 415),
        ("Content-Type: text/plain\r\n", r#"{"markdown":"x"}"#, 415),
        (json, "{", 400),
        (json, "[]", 400),
        (json, r#"{"markdown":7}"#, 400),
        (json, r#"{"text":"x"}"#, 400),
        (json, &huge, 413),
        (json, &format!(r#"{{"markdown":"{}"}}"#, &huge[..17 * 1024 * 1024]), 413),
    ] {
        let (status, answer) = post(&server, headers, body);
        assert_eq!(status, expected, "{} {answer}", &body[..body.len().min(20)]);
        assert!(answer["error"]["correlationId"].is_string());
    }
    let bad = get(&server, "/api/v1/records/..%2Fetc/collab-snapshot", "");
    assert_eq!(bad.0, 400);
    assert_eq!(content(&server)["markdown"], TEXT);
    assert_eq!(server.host.record("minutes/2026-03"), TEXT);
}
