//! Who sends more than it may, or reads less than it asks for, is slowed down, then told, then closed; nobody
//! else notices, and nothing honest is lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread::JoinHandle,
    time::Duration,
};

use civicpress_realtime::{config::Config, limits::PRESSED_READ_TIMEOUT, protocol::sync};
use yrs::{ReadTxn, StateVector, Transact};

use crate::support::{Client, Server, client::Frame, eventually, resident_bytes, server::config};

const EDITOR: &str = "editor:ada";
const MIB: u64 = 1024 * 1024;

fn start(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = config();
    change(&mut config);
    Server::with(config, std::sync::Arc::default())
}

/// A client's frame, masked with zeros.
fn raw(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = [0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    [&head[..], payload].concat()
}

/// Writes `count` times the same bytes beside the client, until the server has had enough.
fn flood(client: &Client, frame: &[u8], count: usize) -> JoinHandle<()> {
    let mut stream: TcpStream = client.socket.get_ref().try_clone().unwrap();
    let lot = frame.repeat(100);
    std::thread::spawn(move || {
        for _ in 0..count / 100 {
            // Whoever floods is closed in the middle of it.
            if stream.write_all(&lot).is_err() {
                return;
            }
        }
    })
}

/// Two honest clients converge in `room` while all that goes on.
fn honest_pair(server: &Server, room: &str, edits: usize) {
    let url = server.url(room);
    let (mut ben, mut cy) = (Client::join(&url, "editor:ben"), Client::join(&url, "editor:cy"));
    for _ in 0..edits {
        ben.type_text("b");
        cy.type_text("c");
    }
    let length = ben.text().len() + edits;
    for client in [&mut ben, &mut cy] {
        while client.text().len() < length {
            client.next();
        }
    }
    assert_eq!(ben.text().len(), cy.text().len());
}

/// Somebody who only holds a socket: no document is made of what arrives.
fn mallory(server: &Server, room: &str) -> Client {
    let client = Client::connect(&server.url(room), "editor:mallory");
    client.socket.get_ref().set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    client
}

/// X03: forty thousand awareness messages at once.
#[test]
fn a_flood_is_slowed_then_warned_then_closed() {
    let server = start(|config| {
        config.rate_limiting.messages_per_second = 10;
        config.rate_limiting.burst = Some(300);
    });
    let mut mallory = mallory(&server, "notes/a");
    mallory.say_hello();
    mallory.sync();
    // One client id, a clock that does not move: each is looked at and changes nothing.
    let awareness = [&[1, 12, 1, 7, 1, 8][..], br#"{"a": 1}"#].concat();
    let flood = flood(&mallory, &raw(2, &awareness), 40_000);
    honest_pair(&server, "notes/a", 100);
    honest_pair(&server, "notes/b", 100);
    let mut ada = Client::join(&server.url("notes/a"), EDITOR);
    ada.type_text("heard");
    mallory.until(|frame| matches!(frame, Frame::Update(_)));
    let notice =
        mallory.until(|frame| matches!(frame, Frame::Json(json) if json["event"] == "notice"));
    let Frame::Json(notice) = notice else { unreachable!() };
    assert_eq!(notice["code"], "RATE_LIMIT_EXCEEDED", "{notice}");
    let (code, reason) = mallory.until_closed();
    assert_eq!((code, reason.contains("RATE_LIMIT_EXCEEDED")), (1008, true), "{reason}");
    let metrics = server.engine().metrics();
    assert!(metrics.awareness_in.get() < 3000, "{}", metrics.awareness_in.get());
    assert_eq!(metrics.throttled.get("awareness"), 1);
    assert_eq!(metrics.throttled.get("documents"), 0);
    assert_eq!(metrics.rate_notices.get(), 1);
    assert_eq!(metrics.violations.get("rate_limit"), 2);
    assert_eq!(metrics.closes.get("RATE_LIMIT_EXCEEDED"), 1);
    drop(mallory);
    flood.join().unwrap();
}

#[test]
fn nothing_of_what_is_slowed_is_lost() {
    let server = start(|config| {
        config.rate_limiting.messages_per_second = 300;
        config.rate_limiting.burst = Some(20);
    });
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    for number in 0..400 {
        ada.type_text(&format!("{number} "));
    }
    bo.until_text(&ada.text());
    let metrics = server.engine().metrics();
    assert_eq!(metrics.throttled.get("documents"), 1);
    assert_eq!(metrics.closes.get("RATE_LIMIT_EXCEEDED"), 0);
}

/// It takes longer than a silent peer is waited for, and is not taken for one.
#[test]
fn a_large_upload_is_slowed_and_never_cut() {
    let server = start(|config| {
        config.rate_limiting.bytes_per_second = Some(50_000);
        config.limits.ping_interval = 1;
        config.limits.pong_timeout = 1;
    });
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    ada.type_text(&"x".repeat(3_250_000));
    ada.type_text("the end");
    let words = ada.text().len();
    let metrics = server.engine().metrics();
    // It goes on reading, as every client does: otherwise it could not answer a ping.
    while metrics.updates_applied.get() < 2 {
        ada.settle(Duration::from_millis(20));
    }
    assert_eq!(metrics.throttled.get("bytes"), 1);
    assert_eq!((metrics.rate_notices.get(), metrics.violations.get("rate_limit")), (0, 0));
    assert!(!ada.seen.iter().any(|frame| matches!(frame, Frame::Closed(..))));
    assert_eq!(Client::join(&url, "editor:bo").text().len(), words);
}

/// X04: ten thousand questions for a document of a megabyte, and no answer is read.
#[test]
fn ten_thousand_questions_fill_no_memory() {
    let server = Server::start();
    let url = server.url("notes/a");
    Client::join(&url, EDITOR).type_text(&"x".repeat(1024 * 1024));
    eventually("there", || server.engine().metrics().updates_applied.get() == 1);
    let before = resident_bytes();
    let mut mallory = mallory(&server, "notes/a");
    let question = raw(2, &sync::sync_step1(&[0]));
    let flood = flood(&mallory, &question, 10_000);
    for room in ["notes/a", "notes/b"] {
        honest_pair(&server, room, 30);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 96 * MIB, "{grown} bytes more");
    // Who reads gets its answers, one after the other.
    for _ in 0..20 {
        mallory.until(|frame| matches!(frame, Frame::Step2(_)));
        mallory.seen.clear();
    }
    drop(mallory);
    flood.join().unwrap();
}

#[test]
fn repeated_questions_are_slowed_by_what_their_answers_cost() {
    let server = start(|config| config.rate_limiting.bytes_per_second = Some(20_000));
    let url = server.url("notes/a");
    // 600 kB: two of them fill the 1.2 MB that may come at once.
    Client::join(&url, EDITOR).type_text(&"x".repeat(600_000));
    eventually("there", || server.engine().metrics().updates_applied.get() == 1);
    let mut mallory = mallory(&server, "notes/a");
    for _ in 0..4 {
        mallory.send(sync::sync_step1(&[0]));
    }
    for _ in 0..2 {
        mallory.until(|frame| matches!(frame, Frame::Step2(_)));
    }
    eventually("slowed", || server.engine().metrics().throttled.get("answers") == 1);
    assert_eq!(server.engine().metrics().rate_notices.get(), 0);
}

#[test]
fn a_flood_of_pings_ends_with_1008() {
    let server = start(|config| {
        config.rate_limiting.messages_per_second = 10;
        config.rate_limiting.burst = Some(100);
    });
    let mut mallory = mallory(&server, "notes/a");
    let flood = flood(&mallory, &raw(9, b"anybody there?"), 20_000);
    honest_pair(&server, "notes/a", 20);
    assert_eq!(mallory.until_closed().0, 1008);
    assert_eq!(server.engine().metrics().throttled.get("control"), 1);
    drop(mallory);
    flood.join().unwrap();
}

/// The rate allows them; that nobody reads the pongs does not.
#[test]
fn pongs_that_nobody_reads_fill_no_memory() {
    let server = Server::start();
    let mut mallory = mallory(&server, "notes/a");
    mallory.say_hello();
    mallory.sync();
    let before = resident_bytes();
    let flood = flood(&mallory, &raw(9, &[b'p'; 125]), 500_000);
    honest_pair(&server, "notes/a", 30);
    std::thread::sleep(Duration::from_secs(1));
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes more");
    let stream = mallory.socket.get_ref().try_clone().unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    flood.join().unwrap();
}

/// Who asks and does not read keeps the place while there is memory, and loses it once there is none: then
/// whoever reads gets in.
#[test]
fn slow_readers_are_cut_when_all_queues_together_are_too_long() {
    let mut config = config();
    config.limits.queued_bytes_max = 20 * 1024 * 1024;
    let server = Server::with_clock(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    for _ in 0..2 {
        ada.type_text(&"x".repeat(7_000_000));
    }
    eventually("there", || server.engine().metrics().updates_applied.get() == 2);
    let stuck = || {
        let mut client = mallory(&server, "notes/a");
        client.send(sync::sync_step1(&[0]));
        client
    };
    let cut = || server.engine().metrics().closes.get("SLOW_CONSUMER");
    let _first = stuck();
    eventually("one answer waits", || queued_bytes(&server) >= 14_000_000);
    server.forward(PRESSED_READ_TIMEOUT);
    honest_pair(&server, "notes/b", 1);
    assert_eq!(cut(), 0, "there is memory for one");
    // Of the same state both would get the same bytes.
    let applied = || server.engine().metrics().updates_applied.get();
    let before = applied();
    ada.type_text("x");
    eventually("there", || applied() > before);
    let _second = stuck();
    eventually("both wait", || queued_bytes(&server) >= 28_000_000);
    server.forward(PRESSED_READ_TIMEOUT);
    eventually("one is cut", || cut() > 0);
    assert_eq!(Client::join(&url, "editor:bo").text().len(), 14_000_001);
}

/// Bytes that wait for all clients together, as `/metrics` says.
fn queued_bytes(server: &Server) -> u64 {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let line =
        answer.lines().find_map(|line| line.strip_prefix("civicpress_realtime_queued_bytes "));
    line.unwrap().parse().unwrap()
}

#[test]
fn a_peer_that_leaves_while_it_is_slowed_is_let_go() {
    let server = start(|config| {
        config.rate_limiting.messages_per_second = 1;
        config.rate_limiting.burst = Some(1);
    });
    let mallory = mallory(&server, "notes/a");
    flood(&mallory, &raw(2, &[3]), 1000).join().unwrap();
    mallory.vanish();
    eventually("gone", || server.engine().health().connections.total == 0);
}

/// X05: what the cut took along comes with the next join.
#[test]
fn a_reader_that_was_cut_resyncs_with_nothing_lost() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    let mut slow = Client::join(&url, "editor:slow");
    slow.type_text("mine ");
    ada.until_text("mine ");
    let chunk = "x".repeat(256 * 1024);
    while server.engine().metrics().closes.get("SLOW_CONSUMER") == 0 {
        ada.type_text(&chunk);
        ada.settle(Duration::from_millis(10));
    }
    // Not sent: typed offline, so to say.
    slow.edit("and mine again");
    let doc = slow.vanish();
    let held = doc.transact().encode_diff_v1(&StateVector::default()).len();
    assert!(held < 1024 * 1024, "it had read next to nothing: {held}");
    let mut back = Client::with_doc(&url, "editor:slow", doc).unwrap();
    back.say_hello();
    back.sync();
    let length = ada.text().len() + "and mine again".len();
    while ada.text().len() < length || back.text().len() < length {
        if ada.text().len() < length {
            ada.next()
        } else {
            back.next()
        };
    }
    assert_eq!(ada.text(), back.text());
}
