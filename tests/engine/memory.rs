//! Check 29: rooms that nobody uses give their memory back, and so do connections. What an idle one takes.
//!
//! `npm run soak` runs the same for longer, by `ROOM_ROUNDS` and `RECONNECTS`.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use civicpress_realtime::protocol::sync;
use yrs::{Text, Transact};

use crate::{
    awareness::state,
    support::{
        Client, PATIENCE, Server, eventually, reserved_bytes, resident_bytes, server::config,
    },
};

/// Rounds whose memory is compared; a longer run has longer rounds.
const ROUNDS: usize = 5;
const THREADS: usize = 4;
const ROOMS_PER_THREAD: usize = 500;
const PEOPLE: usize = 40;
/// Each of them, in the short run: 2,000 reconnects.
const RECONNECTS_PER_PERSON: usize = 50;
/// The text they write on is cut to this.
const TEXT_MAX: u32 = 500;

/// How often a test repeats what it does, from the environment.
fn times(name: &str) -> usize {
    std::env::var(name).map_or(1, |times| times.parse().expect(name))
}

/// What stays in memory grows with none of the later rounds. The first fill caches and allocator arenas.
#[allow(clippy::print_stdout, reason = "what a long run was run for")]
fn assert_flat(after: &[u64]) {
    println!("resident bytes after each round: {after:?}");
    let (second, last) = (after[1], after[ROUNDS - 1]);
    assert!(last < second + second / 5 + 16 * 1024 * 1024, "{after:?}");
}

/// Opens, fills and leaves 2,000 rooms, and waits until the last has left memory.
fn round(server: &Server, number: usize) {
    let typists: Vec<_> = (0..THREADS)
        .map(|thread| {
            let base = server.url("notes");
            std::thread::spawn(move || {
                for room in 0..ROOMS_PER_THREAD {
                    let url = format!("{base}/{number}-{thread}-{room}");
                    Client::join(&url, "editor:ada").type_text(&"a page of text ".repeat(700));
                }
            })
        })
        .collect();
    for typist in typists {
        typist.join().unwrap();
    }
    eventually("all rooms left", || server.engine().rooms().is_empty());
    // What the test's own host remembers is not the engine's.
    server.host.hooks.lock().clear();
}

#[test]
fn ten_thousand_rooms_give_their_memory_back() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, std::sync::Arc::default());
    let longer = times("ROOM_ROUNDS");
    let after: Vec<u64> = (0..ROUNDS)
        .map(|number| {
            for part in 0..longer {
                round(&server, number * longer + part);
            }
            resident_bytes()
        })
        .collect();
    let rooms = (ROUNDS * longer * THREADS * ROOMS_PER_THREAD) as u64;
    // Without a grace period, a room may be gone again before its opener has come in, and is then opened anew.
    let metrics = server.engine().metrics();
    assert!(metrics.rooms_opened.get() >= rooms);
    assert_eq!(metrics.rooms_evicted.get(), metrics.rooms_opened.get());
    assert_flat(&after);
}

/// Comes back with what it has, shows its cursor, types, and goes: politely or like a cut cable.
fn reconnect(url: &str, number: usize, doc: yrs::Doc, clock: u64) -> yrs::Doc {
    let mut client = Client::with_doc(url, &format!("editor:p{number}"), doc).unwrap();
    client.say_hello();
    client.sync();
    client.send(state(number as u64 + 1, clock, r#"{"user":"somebody","cursor":7}"#));
    let update = {
        let text = client.doc.get_or_insert_text("t");
        let mut txn = client.doc.transact_mut();
        text.insert(&mut txn, 0, "some words ");
        let length = text.len(&txn);
        if length > TEXT_MAX {
            text.remove_range(&mut txn, TEXT_MAX, length - TEXT_MAX);
        }
        txn.encode_update_v1()
    };
    client.send(sync::update(&update));
    if clock.is_multiple_of(2) {
        return client.vanish();
    }
    client.socket.close(None).unwrap();
    client.until_closed();
    client.doc.clone()
}

/// A room's people come back again and again; then all go, and it leaves memory.
fn crowd(server: &Server, number: usize) {
    let url = server.url(&format!("notes/busy-{number}"));
    // Somebody stays all the time, and has everything in the end.
    let mut host = Client::join(&url, "editor:host");
    let mut people: Vec<_> = (0..PEOPLE).map(|_| yrs::Doc::new()).collect();
    for clock in 1..=(RECONNECTS_PER_PERSON / ROUNDS) as u64 {
        let threads: Vec<_> = people
            .drain(..)
            .enumerate()
            .map(|(number, doc)| {
                let url = url.clone();
                std::thread::spawn(move || reconnect(&url, number, doc, clock))
            })
            .collect();
        people.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    }
    eventually("only the host is left", || server.engine().health().connections.total == 1);
    let late = Client::join(&url, "editor:late");
    host.until_text(&late.text());
    drop(late);
    drop(host);
    eventually("the room left", || server.engine().rooms().is_empty());
    server.host.hooks.lock().clear();
}

#[test]
fn thousands_of_reconnects_leave_nothing_behind() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, std::sync::Arc::default());
    let longer = times("RECONNECTS");
    let after: Vec<u64> = (0..ROUNDS)
        .map(|number| {
            for part in 0..longer {
                crowd(&server, number * longer + part);
            }
            resident_bytes()
        })
        .collect();
    let metrics = server.engine().metrics();
    assert!(metrics.connections_opened.get() > (PEOPLE * RECONNECTS_PER_PERSON * longer) as u64);
    assert_eq!(metrics.rooms_failed.get(), 0);
    assert_flat(&after);
}

/// What one idle connection for events may take, its client here included: a `TcpStream` and no more.
const IDLE_BYTES_MAX: u64 = 16 * 1024;
const IDLE_CONNECTIONS: u64 = 2000;

/// A client of events without a library, whose buffers would be most of what is measured: it has joined a room,
/// and heard that it is in.
fn idle_client(server: &Server, number: u64) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /socket.io/ HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer editor:u{number}\r\n\r\n"
    )
    .unwrap();
    let join = br#"{"type":"join","room":"r","ack":"in"}"#;
    let mut frame = vec![0x81, 0x80 | u8::try_from(join.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(join);
    stream.write_all(&frame).unwrap();
    let (mut heard, mut part) = (Vec::new(), [0; 2048]);
    while !String::from_utf8_lossy(&heard).contains("\"ack\":\"in\"") {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&part[..count]);
    }
    stream
}

#[test]
fn an_idle_connection_for_events_takes_little_memory() {
    let server = Server::start();
    let metrics = server.engine().metrics();
    // Threads, caches and arenas are there once some were.
    let mut clients: Vec<_> = (0..200).map(|number| idle_client(&server, number)).collect();
    let (resident, reserved) = (resident_bytes(), reserved_bytes());
    clients.extend((200..200 + IDLE_CONNECTIONS).map(|number| idle_client(&server, number)));
    assert_eq!(metrics.event_connections.get(), 200 + IDLE_CONNECTIONS);
    let each = |before: u64, now: u64| now.saturating_sub(before) / IDLE_CONNECTIONS;
    let (resident, reserved) = (each(resident, resident_bytes()), each(reserved, reserved_bytes()));
    assert!(resident < IDLE_BYTES_MAX, "{resident} bytes for each");
    // A large buffer that nobody filled yet is not resident: what is reserved for it counts, too.
    assert!(reserved < 4 * IDLE_BYTES_MAX, "{reserved} bytes reserved for each");
    drop(clients);
    eventually("all are gone", || metrics.event_connections.get() == 0);
}
