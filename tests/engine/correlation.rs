//! One id names a connection wherever it is spoken of: in each answer and message it gets, and in each line
//! about it.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use civicpress_realtime::{limits::HANDSHAKE_TIMEOUT, protocol::sync, telemetry::events::EVENTS};
use serde_json::Value;
use tungstenite::client::IntoClientRequest;

use crate::support::{Client, FakeHost, PATIENCE, Server, client::Frame, eventually, log, server};

const UPGRADE: &str = "GET /realtime/notes/a HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Authorization: Bearer editor:ada\r\n";

fn ask(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // It may have refused and closed before all of it is written.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// The id in the header, which the body has too.
#[track_caller]
fn id_of(answer: &str) -> &str {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("X-Correlation-Id: "));
    let id = id.unwrap_or_else(|| panic!("no id: {answer}"));
    assert_eq!(body.trim_end().split_once(" (correlation id ").unwrap().1, format!("{id})"));
    id
}

/// Whoever shows the answer can be told why: its id is in the log.
#[track_caller]
fn is_told(answer: &str) {
    let lines = log::with("correlation_id", id_of(answer));
    assert!(lines.iter().any(|line| line["event"] == "request_refused"), "{answer}: {lines:?}");
}

fn is_random(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn every_refused_request_learns_its_id() {
    log::keep();
    let mut config = server::config();
    config.limits.max_connections = 1;
    let server = Server::with_clock(config, Arc::default());
    let _only = Client::join(&server.url("notes/a"), "editor:ada");
    let with = |number: usize, from: &str, to: &str| {
        format!("{}X-Correlation-Id: mine-{number}\r\n\r\n", UPGRADE.replace(from, to))
    };
    let cases = [
        ("400", "Host: 127.0.0.1\r\n", ""),
        ("401", "/realtime", "/elsewhere"),
        ("403", "Host: 127.0.0.1", "Origin: https://evil.example\r\nHost: 127.0.0.1"),
        ("405", "GET", "POST"),
        ("426", "Version: 13", "Version: 8"),
        ("503", "", ""),
    ];
    for (number, (status, from, to)) in cases.into_iter().enumerate() {
        let answer = ask(&server, &with(number, from, to));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert_eq!(id_of(&answer), format!("mine-{number}"));
        is_told(&answer);
    }
    // What cannot be read names no id.
    let unreadable = [("400", "nonsense\r\n\r\n".to_owned()), ("431", "a: b\r\n".repeat(100))];
    for (status, lines) in unreadable {
        let answer = ask(&server, &format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(is_random(id_of(&answer)));
        is_told(&answer);
    }
    let mut silent = TcpStream::connect(server.address).unwrap();
    silent.write_all(b"GET / HT").unwrap();
    // Answered after it, so the silent one is waited for by now.
    ask(&server, &with(99, "", ""));
    server.forward(HANDSHAKE_TIMEOUT);
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(is_random(id_of(&answer)));
    is_told(&answer);
}

#[test]
fn who_finds_no_place_among_the_half_open_learns_an_id() {
    log::keep();
    let mut config = server::config();
    config.rate_limiting.connections_per_ip = 1;
    let server = Server::with(config, Arc::default());
    let _held = TcpStream::connect(server.address).unwrap();
    let mut refused = String::new();
    eventually("refused", || {
        refused = ask(&server, "");
        refused.starts_with("HTTP/1.1 429")
    });
    assert!(is_random(id_of(&refused)));
    is_told(&refused);

    // Behind a proxy it is known later whose connection it is.
    let mut config = server::config();
    config.rate_limiting.connections_per_ip = 1;
    config.trusted_proxies = vec!["127.0.0.0/8".into()];
    let server = Server::with(config, Arc::default());
    let request = |id: &str| {
        format!("{UPGRADE}X-Forwarded-For: 198.51.100.1\r\nX-Correlation-Id: {id}\r\n\r\n")
    };
    server.host.auth_delay_ms.store(60_000, Relaxed);
    let mut held = TcpStream::connect(server.address).unwrap();
    held.write_all(request("first").as_bytes()).unwrap();
    held.read_exact(&mut [0]).unwrap();
    let refused = ask(&server, &request("second"));
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert_eq!(id_of(&refused), "second");
}

/// A client whose request names itself.
fn join_as(server: &Server, path: &str, token: &str, id: &str) -> Client {
    let mut request = server.url(path).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("X-Request-Id", id.parse().unwrap());
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (socket, _) = tungstenite::client(request, stream).unwrap();
    let doc = yrs::Doc::new();
    let mut client = Client { doc, socket, frames: VecDeque::default(), seen: Vec::new() };
    client.say_hello();
    client
}

/// The control messages a client got until it was closed, as event and id.
fn told(mut client: Client) -> Vec<(String, String)> {
    client.until_closed();
    let json = client.seen.iter().filter_map(|frame| match frame {
        Frame::Json(json) if json["type"] == "control" => Some(json),
        _ => None,
    });
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    json.map(|json| {
        let id = json.get("correlationId").or_else(|| json.pointer("/error/correlationId"));
        (text(&json["event"]), id.map(text).unwrap_or_default())
    })
    .collect()
}

fn pairs(events: &[&str], id: &str) -> Vec<(String, String)> {
    events.iter().map(|event| ((*event).to_owned(), id.to_owned())).collect()
}

#[test]
fn every_control_message_names_its_connection() {
    let mut config = server::config();
    config.rate_limiting.messages_per_second = 1;
    config.rate_limiting.burst = Some(20);
    config.auth.recheck_seconds = 1;
    let server = Server::with(config, Arc::default());

    let refused = join_as(&server, "notes/a", "nobody", "refused");
    assert_eq!(told(refused), pairs(&["error"], "refused"));

    let mut ada = join_as(&server, "notes/a", "editor:ada", "revoked");
    ada.sync();
    server.engine().revoke_user("ada", "left");
    assert_eq!(told(ada), pairs(&["connection.ack", "session.revoked"], "revoked"));

    // The rights change, then the token no longer holds.
    let mut bo = join_as(&server, "notes/a", "editor:bo", "changed");
    bo.sync();
    server.host.give_role("bo", "viewer");
    bo.until(|frame| matches!(frame, Frame::Json(json) if json["canEdit"] == false));
    server.host.give_role("bo", "gone");
    assert_eq!(told(bo), pairs(&["connection.ack", "connection.ack", "error"], "changed"));

    let mut mallory = join_as(&server, "notes/a", "editor:mallory", "flood");
    mallory.sync();
    for _ in 0..100 {
        mallory.send(vec![3]);
    }
    assert_eq!(told(mallory), pairs(&["connection.ack", "notice", "error"], "flood"));
}

/// Lines of sessions that do what they may not, from the connection, the room and the looks at their rights.
#[test]
fn every_line_about_a_connection_has_its_id() {
    log::keep();
    let mut config = server::config();
    config.auth.recheck_seconds = 1;
    config.limits.document_bytes_max = 4096;
    let server = Server::with(config, FakeHost::with_record("a", "text"));
    let events = |id: &str| {
        let lines = log::with("correlation_id", id);
        lines
            .iter()
            .filter_map(|line| line["event"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let has = |id: &str, event: &str| {
        eventually(&format!("{event} of {id}"), || events(id).iter().any(|name| name == event));
    };

    let mut viewer = join_as(&server, "notes/lines", "viewer:vi", "viewer-1");
    viewer.sync();
    viewer.type_text("not allowed");
    has("viewer-1", "read_only_edit");
    server.host.give_role("vi", "editor");
    has("viewer-1", "rights_changed");
    server.host.fail_auth.store(true, Relaxed);
    has("viewer-1", "recheck_failed");
    server.host.fail_auth.store(false, Relaxed);
    server.host.give_role("vi", "gone");
    viewer.until_closed();
    has("viewer-1", "session_ended");

    let mut hostile = join_as(&server, "notes/lines", "editor:mallory", "hostile-1");
    hostile.sync();
    hostile.send(sync::sync_step1(&[0xff; 12]));
    hostile.until_closed();
    has("hostile-1", "frame_refused");

    let mut large = join_as(&server, "notes/lines", "editor:big", "large-1");
    large.sync();
    for _ in 0..200 {
        large.type_text(&"x".repeat(100));
    }
    large.until_closed();
    has("large-1", "edit_too_large");
    has("large-1", "client_disconnected");

    let mut nobody = join_as(&server, "notes/lines", "nobody", "nobody-1");
    nobody.until_closed();
    has("nobody-1", "security_violation");

    for line in log::all().iter().filter(|line| line.contains("\"connection\":")) {
        assert!(line.contains("\"correlation_id\":\""), "{line}");
    }
}

/// What is about one connection, the table says by one of these fields.
#[test]
fn every_event_of_a_connection_has_the_field() {
    // The listener's own address, and all sessions of a user together.
    let of_none = ["listening", "sessions_revoked"];
    for event in EVENTS.iter().filter(|event| !of_none.contains(&event.name)) {
        let has = |field: &str| event.fields.split(' ').any(|name| name == field);
        if ["connection", "user", "address"].into_iter().any(has) {
            assert!(has("correlation_id"), "{}", event.name);
        }
    }
}
