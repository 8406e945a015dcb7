//! What the log says: the events of a session's life, one correlation id throughout, and the table of events.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    io::Read,
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use civicpress_realtime::telemetry::events::EVENTS;
use serde_json::Value;
use tungstenite::client::IntoClientRequest;

use crate::{
    awareness::state,
    invariants::files_below,
    records::add_paragraph,
    support::{Client, FakeHost, Server, client::Frame, eventually, log, server::config},
};

/// A client whose request names itself.
fn connect_as(server: &Server, room: &str, token: &str, correlation: &str) -> Client {
    let mut request = server.url(room).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("X-Correlation-Id", correlation.parse().unwrap());
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (socket, _) = tungstenite::client(request, stream).unwrap();
    Client { doc: yrs::Doc::new(), socket, frames: VecDeque::new(), seen: Vec::new() }
}

fn names(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|fields| fields["event"].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_sessions_life_is_told_under_one_correlation_id() {
    log::keep();
    let server = Server::start();
    let id = "life-of-a-session";
    let mut ada = connect_as(&server, "notes/life", "editor:ada\u{e9}", id);
    ada.say_hello();
    ada.sync();
    drop(ada);
    let ended = || log::with("correlation_id", id);
    eventually("the end is told", || names(&ended()).contains(&"client_disconnected"));
    let lines = ended();
    assert_eq!(names(&lines), ["auth_accepted", "client_connected", "client_disconnected"]);
    for line in &lines {
        assert_eq!(line["room"], "notes:life");
        assert_eq!(line["user"], "ada\u{e9}");
    }
    assert_eq!(lines[1]["address"], "127.0.0.1");
    assert_eq!(lines[2]["code"], "CLIENT_LEFT");
    assert!(names(&log::with("room", "notes:life")).contains(&"room_created"));
    eventually("the hook has it", || {
        let hooks = server.host.hooks.lock();
        let told = hooks.iter().filter(|hook| hook.data["correlationId"] == id);
        let told: Vec<_> = told.map(|hook| hook.name).collect();
        told == ["realtime:client:connected", "realtime:client:disconnected"]
    });
}

#[test]
fn a_refusal_is_told_to_log_and_client_under_the_same_id_and_without_the_token() {
    log::keep();
    let server = Server::start();
    let mut mallory = connect_as(&server, "notes/refused", "forged-secret-token", "refused-1");
    let error = mallory.until(|frame| matches!(frame, Frame::Json(_)));
    let Frame::Json(error) = error else { unreachable!() };
    assert_eq!(error["error"]["code"], "AUTH_FAILED");
    assert_eq!(error["error"]["correlationId"], "refused-1");
    assert_eq!(error["error"]["context"]["roomId"], "notes:refused");
    let lines = log::with("correlation_id", "refused-1");
    assert_eq!(names(&lines), ["auth_refused", "security_violation", "client_refused"]);
    assert!(log::all().iter().all(|line| !line.contains("forged-secret-token")));
}

#[test]
fn a_token_in_a_url_counts_only_if_allowed_and_is_in_no_line() {
    log::keep();
    let token = "editor:url-secret-token";
    let path = format!("notes/a?token={token}");
    let server = Server::start();
    let mut refused = Client::connect(&server.url(&path), "");
    assert_eq!(refused.until_closed().0, 4001);
    assert!(log::with("event", "token_in_url").is_empty());
    let mut config = config();
    config.auth.allow_query_token = true;
    let server = Server::with(config, Arc::default());
    drop(Client::join(&server.url(&path), ""));
    assert_eq!(log::with("event", "token_in_url").len(), 1);
    eventually("the end is told", || {
        // The fake host takes the name out of the token.
        !log::with("event", "client_disconnected").is_empty()
    });
    assert!(log::all().iter().all(|line| !line.contains(token) && !line.contains("?token")));
}

/// A draft is nobody's to read: not while it is typed, nor refused, merged or written back.
#[test]
fn nothing_that_was_typed_or_stored_is_in_a_line() {
    log::keep();
    let words = ["stored-draft-words", "typed-draft-words", "refused-draft-words", "cursor-words"];
    let [stored, typed, refused, cursor] = words;
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", &format!("{stored}.\n")));
    let mut ada = Client::join(&server.url("records/a"), "editor:ada");
    add_paragraph(&mut ada, typed);
    // Its last bracket is missing: it costs the session.
    ada.send(state(7, 1, &format!("{{\"name\":\"{cursor}\"")));
    ada.until_closed();
    let mut vi = Client::join(&server.url("records/a"), "viewer:vi");
    vi.type_text(refused);
    vi.until(|frame| matches!(frame, Frame::Denied(_)));
    drop(vi);
    eventually("written back and gone", || {
        server.host.record("a").contains(typed) && !log::with("event", "room_destroyed").is_empty()
    });
    for word in words {
        assert!(log::all().iter().all(|line| !line.contains(word)), "{word}");
    }
}

#[test]
fn an_insane_id_is_replaced_and_cannot_forge_a_line() {
    log::keep();
    let server = Server::start();
    let mut client = connect_as(&server, "notes/forged", "nobody", "a b\"},{\"event\":\"x");
    let Frame::Json(error) = client.until(|frame| matches!(frame, Frame::Json(_))) else {
        unreachable!()
    };
    let id = error["error"]["correlationId"].as_str().unwrap();
    assert_eq!(id.len(), 16);
    assert!(log::with("event", "x").is_empty());
}

#[test]
fn http_answers_name_their_request() {
    use std::io::Write;
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-Id: req-1\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("x-correlation-id: req-1"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["correlationId"], "req-1");
    assert_eq!(body["error"]["code"], "NOT_FOUND");
}

#[test]
fn repeated_failures_are_a_suspicious_pattern() {
    log::keep();
    let server = Server::start();
    for _ in 0..25 {
        Client::connect(&server.url("notes/a"), "nobody").until_closed();
    }
    let metrics = server.engine().metrics();
    assert_eq!(metrics.violations.get("auth_failed"), 25, "each is counted");
    let hooks = server.host.hooks.lock();
    let told: Vec<_> =
        hooks.iter().filter(|hook| hook.name == "realtime:security:violation").collect();
    assert_eq!(told.len(), 2, "the first and the tenth");
    assert_eq!(told[1].data["kind"], "auth_failed");
    assert_eq!(told[1].data["address"], "127.0.0.1");
    assert_eq!(told[1].data["count"], 10);
    assert_eq!(told[1].data["suspicious"], true);
    assert_eq!(told[0].data["suspicious"], false);
    let lines = log::with("event", "security_violation");
    assert!(lines.iter().any(|line| line["suspicious"] == true && line["level"] == "warn"));
}

/// An event as the code logs it: name, level and fields.
type Logged = (String, String, BTreeSet<String>);

/// The events of Rust code: `log::level!(event = "name", field = …; "message")`.
fn logged(code: &str) -> Vec<Logged> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug"] {
        for call in code.split(&format!("log::{level}!(")).skip(1) {
            let Some(rest) = call.trim_start().strip_prefix("event = \"") else { continue };
            let (name, rest) = rest.split_once('"').unwrap();
            let (fields, _) = rest.split_once(';').unwrap();
            let mut depth = 0;
            let top = |letter: char| {
                depth += i32::from("([{".contains(letter)) - i32::from(")]}".contains(letter));
                letter == ',' && depth == 0
            };
            let fields = fields.split(top).map(str::trim).filter(|field| !field.is_empty());
            let fields = fields.map(|field| field.split([':', ' ']).next().unwrap().to_owned());
            found.push((name.to_owned(), level.to_owned(), fields.collect()));
        }
    }
    found
}

/// Names in `text` behind `before`.
fn names_behind<'a>(text: &'a str, before: &str, end: char) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| Some(rest.split_once(end)?.0)).collect()
}

#[test]
fn the_table_of_events_is_the_codes() {
    let mut named = BTreeSet::new();
    for (file, code) in files_below("src") {
        for (name, level, fields) in logged(&code) {
            let event = EVENTS.iter().find(|event| event.name == name);
            let event = event.unwrap_or_else(|| {
                panic!("{file}: the event {name} is missing in src/telemetry/events.rs")
            });
            assert_eq!(event.level, level, "{file}: level of {name}");
            for field in &fields {
                let known = event.fields.split(' ').any(|known| known == field);
                assert!(known, "{file}: the field {field} of {name} is missing in the table");
            }
            named.insert(name);
        }
        let json = names_behind(&code, "\"event\":\"", '"').into_iter();
        named.extend(json.filter(|name| !name.contains('.')).map(str::to_owned));
    }
    for file in ["adapter/cli/signals.ts", "adapter/server.ts", "adapter/rooms/index.ts"] {
        let code = fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        named.extend(names_behind(&code, "event: '", '\'').into_iter().map(str::to_owned));
    }
    for event in EVENTS {
        assert!(named.contains(event.name), "nothing logs the event {}", event.name);
        let fields: Vec<_> = event.fields.split(' ').collect();
        assert!(fields.is_sorted(), "fields of {}", event.name);
    }
}

#[test]
fn the_document_shows_the_table_of_events() {
    let text =
        fs::read_to_string(format!("{}/docs/logging.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let rows: BTreeSet<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> = EVENTS
        .iter()
        .map(|event| {
            let fields = event.fields.split(' ').filter(|field| !field.is_empty());
            let fields: Vec<_> = fields.map(|field| format!("`{field}`")).collect();
            let fields = fields.join(", ");
            format!("| `{}` | {} | {fields} | {} |", event.name, event.level, event.when)
        })
        .collect();
    for row in &expected {
        assert!(rows.contains(row.as_str()), "docs/logging.md has no row:\n{row}");
    }
    assert_eq!(rows.len(), expected.len(), "docs/logging.md has a row of no event");
}
