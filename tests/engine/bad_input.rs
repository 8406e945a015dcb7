//! Bad input gets a clear answer, a counter and a log line; the process and the others live on.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::support::{Client, Server, client::Frame, eventually};

const EDITOR: &str = "editor:ada";

/// After each case two honest clients must still converge in the same room and in another.
fn still_serves(server: &Server, room: &str) {
    for room in [room, "notes/other"] {
        let url = server.url(room);
        let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
        let expected = format!("{}+", ada.text());
        ada.type_text("+");
        bo.until_text(&expected);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn frames_nobody_understands_end_the_session_with_1008() {
    let server = Server::start();
    let url = server.url("notes/a");
    let cases: [(&str, Vec<u8>); 9] = [
        ("unknown type 4", vec![4, 0]),
        ("unknown type 102", vec![102, 1, 0]),
        ("unknown type 200", vec![200, 1]),
        ("unknown sync kind", vec![0, 7, 0]),
        ("empty frame", vec![]),
        ("cut off", vec![0, 2, 200]),
        ("trailing bytes", vec![0, 2, 2, 0, 0, 9, 9]),
        ("an auth message", vec![2, 0, 0]),
        ("a version 2 update", hex("0002 12 000002a50100000401008374010374686901000002")),
    ];
    for (name, frame) in cases {
        let mut mallory = Client::join(&url, EDITOR);
        mallory.send(frame);
        let (code, reason) = mallory.until_closed();
        assert_eq!(code, 1008, "{name}: {reason}");
        assert!(reason.contains("POLICY_VIOLATION"), "{name}: {reason}");
        still_serves(&server, "notes/a");
    }
    let metrics = server.engine().metrics();
    assert_eq!(metrics.closes.get("POLICY_VIOLATION"), 9);
}

/// Updates known to kill, poison or bloat yrs (reliability research, b).
#[test]
fn hostile_updates_never_reach_the_document() {
    let server = Server::start();
    let url = server.url("notes/a");
    let payloads = [
        "030102ffffffff0f000401020000020103b8c6f69d0f000200",
        "0201010004010764656661756c74044141414101010004010764656661756c74044242424200",
        "8080808001",
        "0101030042030500013100",
        "010201ffffffff0f04010174046869686904010174017800",
        "0100010000",
        "01010100080101740176808080200076",
    ];
    for payload in payloads {
        let mut mallory = Client::join(&url, EDITOR);
        mallory.send(civicpress_realtime::protocol::sync::update(&hex(payload)));
        mallory.settle(Duration::from_millis(50));
        still_serves(&server, "notes/a");
    }
    // Nested values that would overflow any stack, and a state vector that would allocate half a gigabyte.
    let mut nested = hex("0101010008010174 01");
    for _ in 0..100_000 {
        nested.extend_from_slice(&[0x75, 0x01]);
    }
    nested.extend_from_slice(&[0x7e, 0x00]);
    let mut mallory = Client::join(&url, EDITOR);
    mallory.send(civicpress_realtime::protocol::sync::update(&nested));
    assert_eq!(mallory.until_closed().0, 1008);
    let mut reader = Client::join(&url, "viewer:vi");
    reader.send(civicpress_realtime::protocol::sync::sync_step1(&hex("8080808001")));
    assert_eq!(reader.until_closed().0, 1008);
    still_serves(&server, "notes/a");
    assert_eq!(server.engine().metrics().rooms_failed.get(), 0);
}

/// Client 2 stands inside a struct of client 1 that is not there yet, and turns out to be a letter. Refused only
/// then, it must not take the room with it, nor keep its log from being loaded. Found by fuzzing.
#[test]
fn a_held_update_that_turns_out_wrong_is_given_up() {
    let server = Server::start();
    let mut mallory = Client::join(&format!("{}?ack=json", server.url("notes/a")), EDITOR);
    let mut ada = Client::join(&server.url("notes/a"), EDITOR);
    mallory.send(civicpress_realtime::protocol::sync::update(&hex("01010200040001000162 00")));
    eventually("held", || server.engine().metrics().updates_held.get() == 1);
    ada.send(civicpress_realtime::protocol::sync::update(&hex("0101010004010174016100")));
    assert_eq!(mallory.until_closed().0, 1008);
    // The first message was an answer without content.
    let acked = |frame: &Frame| match frame {
        Frame::Json(event) => event["updates"].as_u64(),
        _ => None,
    };
    assert!(mallory.seen.iter().filter_map(acked).max() <= Some(1), "{:?}", mallory.seen);
    still_serves(&server, "notes/a");
    assert_eq!(server.engine().metrics().updates_held.get(), 1);
    assert_eq!(server.engine().metrics().rooms_failed.get(), 0);
    let server = server.again();
    still_serves(&server, "notes/a");
}

#[test]
fn text_frames_are_answered_in_text() {
    let server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), EDITOR);
    let mut say = |text: &str| ada.socket.send(tungstenite::Message::Text(text.into())).unwrap();
    say(r#"{"type":"ping"}"#);
    say("not json");
    say(r#"{"type":"whatever"}"#);
    let pong = ada.until(|frame| matches!(frame, Frame::Text(_)));
    assert!(matches!(&pong, Frame::Text(text) if text.contains(r#""type":"pong""#)), "{pong:?}");
    let error = ada.until(|frame| matches!(frame, Frame::Text(_)));
    assert!(
        matches!(&error, Frame::Text(text) if text.contains(r#""event":"error""#)),
        "{error:?}"
    );
    ada.type_text("still connected");
    Client::join(&server.url("notes/a"), EDITOR).until_text("still connected");
}

#[test]
fn an_oversize_message_ends_with_1009() {
    let mut config = crate::support::server::config();
    config.limits.message_bytes_max = 100_000;
    let server = Server::with(config, std::sync::Arc::default());
    let mut mallory = Client::join(&server.url("notes/a"), EDITOR);
    mallory.type_text(&"x".repeat(100_001));
    assert_eq!(mallory.until_closed().0, 1009);
    still_serves(&server, "notes/a");
}

#[test]
fn broken_framing_ends_with_1002_or_1007() {
    let server = Server::start();
    let mut long_ping = vec![0x89, 0xfe, 0, 126];
    long_ping.resize(long_ping.len() + 4 + 126, 0);
    let cases: [(&str, &[u8], u16); 5] = [
        ("unmasked", &[0x82, 1, 0], 1002),
        ("reserved bits", &[0xf2, 0x81, 0, 0, 0, 0, 0], 1002),
        ("reserved opcode", &[0x83, 0x80, 0, 0, 0, 0], 1002),
        ("long ping", &long_ping, 1002),
        ("bad UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
    ];
    for (name, bytes, expected) in cases {
        let mut mallory = Client::join(&server.url("notes/a"), EDITOR);
        mallory.socket.get_mut().write_all(bytes).unwrap();
        let (code, reason) = mallory.until_closed();
        assert_eq!(code, expected, "{name}: {reason}");
        still_serves(&server, "notes/a");
    }
}

#[test]
fn refusals_say_why() {
    let server = Server::start();
    server.host.records.lock().insert("there".into(), "text".into());
    let cases = [
        ("records/there", "nonsense", 4001, "AUTH_FAILED"),
        ("records/there", "", 4001, "AUTH_FAILED"),
        ("records/there", "stranger:x", 4003, "PERMISSION_DENIED"),
        ("records/missing", EDITOR, 4003, "PERMISSION_DENIED"),
        ("unknown/x", EDITOR, 4004, "ROOM_TYPE_NOT_REGISTERED"),
        ("records", EDITOR, 4004, "INVALID_ROOM"),
        ("notes/%2e%2e/etc", EDITOR, 4004, "INVALID_ROOM"),
        ("notes/a%00b", EDITOR, 4004, "INVALID_ROOM"),
        ("notes/a%0d%0aSet-Cookie:x", EDITOR, 4004, "INVALID_ROOM"),
        ("notes/%ff", EDITOR, 4004, "INVALID_ROOM"),
    ];
    for (room, token, code, reason) in cases {
        let mut client = Client::connect(&server.url(room), token);
        let closed = client.until_closed();
        assert_eq!(closed.0, code, "{room}: {closed:?}");
        assert!(closed.1.contains(reason), "{room}: {closed:?}");
        let denied = client.seen.iter().any(|frame| matches!(frame, Frame::Denied(_)));
        assert_eq!(denied, code < 4004, "{room}: the auth message comes before a denying close");
        assert!(
            !client.seen.iter().any(|frame| matches!(frame, Frame::Step1(_) | Frame::Step2(_))),
            "no data"
        );
    }
}

#[test]
fn a_viewer_cannot_edit_by_any_message() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut viewer = Client::join(&url, "viewer:vi");
    let update = viewer.edit("smuggled");
    viewer.send(civicpress_realtime::protocol::sync::update(&update));
    viewer.send(civicpress_realtime::protocol::sync::sync_step2(&update));
    viewer.until(|frame| matches!(frame, Frame::Denied(_)));
    let mut reader = Client::join(&url, EDITOR);
    assert_eq!(reader.text(), "");
    reader.type_text("allowed");
    let mut other_viewer = Client::join(&url, "viewer:vo");
    other_viewer.until_text("allowed");
    assert_eq!(server.engine().metrics().updates_readonly.get(), 2);
}

#[test]
fn a_reader_that_stops_is_cut_off_and_others_are_not_held_up() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    let stuck = Client::join(&url, "editor:stuck");
    let chunk = "x".repeat(256 * 1024);
    for _ in 0..200 {
        ada.type_text(&chunk);
        bo.until(|frame| matches!(frame, Frame::Update(_)));
    }
    assert_eq!(bo.text().len(), 200 * chunk.len());
    eventually("cut off", || server.engine().metrics().closes.get("SLOW_CONSUMER") == 1);
    drop(stuck);
}

/// More than the kernel buffers, less than the outbox may hold: nothing is lost, and nothing waits for the
/// next event once the reader is back.
#[test]
fn a_reader_that_pauses_gets_everything_at_once_when_it_is_back() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut slow) = (Client::join(&url, EDITOR), Client::join(&url, "editor:slow"));
    let chunk = "x".repeat(64 * 1024);
    let mut sent = 0;
    while server.engine().metrics().updates_applied.get() < 115 {
        if sent < 115 {
            ada.type_text(&chunk);
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(server.engine().metrics().closes.get("SLOW_CONSUMER"), 0);
    slow.socket.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let updates = |client: &Client| {
        client.seen.iter().filter(|frame| matches!(frame, Frame::Update(_))).count()
    };
    while updates(&slow) < 115 {
        slow.next();
    }
    assert_eq!(slow.text().len(), 115 * chunk.len());
}

fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn odd_requests_get_their_status() {
    let server = Server::start();
    let upgrade = "GET /realtime/notes/a HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), "400"),
        (format!("{}\r\n", upgrade.replace("GET", "POST")), "405"),
        (format!("{}\r\n", upgrade.replace("Version: 13", "Version: 8")), "426"),
        (format!("{}\r\n", upgrade.replace("/realtime/notes", "/elsewhere")), "401"),
        (format!("{upgrade}Origin: https://evil.example\r\n\r\n"), "403"),
        (format!("{upgrade}Origin: null\r\n\r\n"), "403"),
        (format!("{upgrade}Content-Length: 5\r\n\r\nhello"), "400"),
        (format!("{upgrade}X: {}\r\n\r\n", "y".repeat(20_000)), "431"),
        (format!("{upgrade}{}\r\n", "a: b\r\n".repeat(100)), "431"),
        (
            "GET /realtime/notes/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
            "426",
        ),
        ("DELETE /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), "405"),
    ];
    for (request, status) in cases {
        let answer = raw(&server, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:.60}: {answer:.200}");
    }
    still_serves(&server, "notes/a");
}

#[test]
fn half_open_requests_beyond_the_limit_are_told_429() {
    // Both ends of each connection are in this process, and many systems begin at 1,024 descriptors.
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let server = Server::start();
    let connect = || TcpStream::connect(server.address).unwrap();
    let mut silent = Vec::new();
    eventually("the next is told", || {
        // All at once: who is silent for a while gives way.
        silent.clear();
        silent.extend((0..civicpress_realtime::limits::HANDSHAKES_MAX).map(|_| connect()));
        let mut next = connect();
        next.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut answer = [0; 12];
        next.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 429"
    });
    assert!(server.engine().metrics().requests_refused.get("handshakes") > 0);
    silent.clear();
    still_serves(&server, "notes/a");
}
