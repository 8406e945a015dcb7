//! Rooms open once, stay for their grace, leave memory whole, and come back as they were.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use crate::support::{Client, FakeHost, Server, client::Frame, eventually, server::config};

const EDITOR: &str = "editor:ada";

#[test]
fn first_joins_at_the_same_tick_load_and_seed_once() {
    let host = FakeHost::with_record("a", "# Title\n\nText.\n");
    host.load_delay_ms.store(200, Relaxed);
    let server = Server::with(config(), host);
    let url = server.url("records/a");
    let joiners: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || Client::join(&url, EDITOR))
        })
        .collect();
    let clients: Vec<_> = joiners.into_iter().map(|joiner| joiner.join().unwrap()).collect();
    for client in &clients {
        assert_eq!(crate::records::blocks(client), ["heading", "paragraph"]);
    }
    // Once for the seed, once to compare the seeded room with its source.
    assert_eq!(server.host.loads.load(Relaxed), 2);
    assert_eq!(server.engine().metrics().rooms_opened.get(), 1);
}

#[test]
fn a_room_leaves_memory_after_its_grace_and_returns_whole() {
    let mut config = config();
    config.rooms.grace_period_ms = 50;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    ada.type_text("kept");
    drop(ada);
    eventually("evicted", || server.engine().rooms().is_empty());
    Client::join(&url, EDITOR).until_text("kept");
    let names = server.host.hook_names();
    for name in [
        "realtime:room:created",
        "realtime:client:connected",
        "realtime:client:disconnected",
        "realtime:room:destroyed",
        "realtime:snapshot:saved",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn a_return_within_the_grace_finds_the_same_room() {
    let server = Server::start();
    let url = server.url("notes/a");
    Client::join(&url, EDITOR).type_text("kept");
    eventually("empty", || server.engine().health().connections.total == 0);
    Client::join(&url, EDITOR).until_text("kept");
    assert_eq!(server.engine().metrics().rooms_opened.get(), 1);
}

/// Clients come and go while the room keeps leaving memory: never two documents, never a lost edit.
#[test]
fn joins_during_eviction_lose_nothing() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a?ack=json");
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let url = url.clone();
            std::thread::spawn(move || {
                for round in 0..25 {
                    let mut client = Client::join(&url, EDITOR);
                    client.type_text(&format!("[{writer}.{round}]"));
                    client
                        .until(|frame| matches!(frame, Frame::Json(json) if json["updates"] == 2));
                    drop(client);
                    std::thread::sleep(Duration::from_millis(round % 7 * 3));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    eventually("evicted", || server.engine().rooms().is_empty());
    let text = Client::join(&url, EDITOR).text();
    for writer in 0..4 {
        for round in 0..25 {
            assert_eq!(text.matches(&format!("[{writer}.{round}]")).count(), 1, "{writer}.{round}");
        }
    }
}

#[test]
fn a_failed_load_refuses_and_leaves_nothing_behind() {
    let host = FakeHost::with_record("a", "text");
    host.fail_loads.store(true, Relaxed);
    let server = Server::with(config(), host);
    let url = server.url("records/a");
    let mut ada = Client::connect(&url, EDITOR);
    let (code, reason) = ada.until_closed();
    assert_eq!((code, reason.contains("LOAD_FAILED")), (4500, true));
    assert!(!ada.seen.iter().any(|frame| matches!(frame, Frame::Step2(_))), "never an empty room");
    eventually("gone", || server.engine().rooms().is_empty());
    server.host.fail_loads.store(false, Relaxed);
    let ada = Client::join(&url, EDITOR);
    assert_eq!(crate::records::blocks(&ada), ["paragraph"]);
}

#[test]
fn rooms_beyond_the_limit_are_refused_and_the_others_live_on() {
    let mut config = config();
    config.rooms.max_rooms = 2;
    let server = Server::with(config, std::sync::Arc::default());
    let mut one = Client::join(&server.url("notes/1"), EDITOR);
    let _two = Client::join(&server.url("notes/2"), EDITOR);
    let mut three = Client::connect(&server.url("notes/3"), EDITOR);
    assert_eq!(three.until_closed(), (4503, r#"{"code":"ROOM_LIMIT_REACHED"}"#.into()));
    let mut other = Client::join(&server.url("notes/1"), EDITOR);
    one.type_text("alive");
    other.until_text("alive");
    assert_eq!(server.engine().health().status, "unhealthy", "full is not healthy");
}

#[test]
fn a_restart_doubles_nothing_for_clients_that_stay() {
    let server = Server::with(config(), FakeHost::with_record("a", "# Title\n\nText.\n"));
    let url = server.url("records/a");
    let ada = Client::join(&url, EDITOR);
    let before = crate::records::xml(&ada);
    let doc = ada.doc.clone();
    drop(ada);
    let server = server.restart();
    let mut back = Client::with_doc(&server.url("records/a"), EDITOR, doc).unwrap();
    back.say_hello();
    back.sync();
    assert_eq!(crate::records::xml(&back), before);
    let fresh = Client::join(&server.url("records/a"), "editor:bo");
    assert_eq!(crate::records::xml(&fresh), before);
}

#[test]
fn shutdown_tells_clients_to_come_back() {
    let mut server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), EDITOR);
    let waiting = std::thread::spawn(move || ada.until_closed());
    server.stop();
    assert_eq!(waiting.join().unwrap(), (4503, r#"{"code":"SHUTTING_DOWN"}"#.into()));
}

#[test]
fn a_busy_port_is_an_error() {
    let server = Server::start();
    let mut config = config();
    config.port = server.address.port();
    let runtime = civicpress_realtime::engine::runtime(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    config.system_data_dir = folder.path().into();
    let store = civicpress_realtime::store::sqlite::SqliteStore::open(
        civicpress_realtime::store::sqlite::SqliteOptions::from_config(&config).unwrap(),
    )
    .unwrap();
    let host = std::sync::Arc::new(FakeHost::default());
    let started =
        civicpress_realtime::engine::Engine::start(config, host, std::sync::Arc::new(store));
    assert_eq!(runtime.block_on(started).unwrap_err().code(), "REALTIME_BIND_FAILED");
}

#[test]
fn connection_limits_are_told_with_4029() {
    let mut config = config();
    config.rate_limiting.connections_per_user = 2;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let one = Client::join(&url, EDITOR);
    let _two = Client::join(&url, EDITOR);
    let mut three = Client::connect(&url, EDITOR);
    let (code, reason) = three.until_closed();
    assert_eq!(code, 4029);
    assert!(reason.contains("per-user connection limit reached (2)"), "{reason}");
    let _other_user = Client::join(&url, "editor:bo");
    one.vanish();
    eventually("given back", || server.engine().health().connections.total == 2);
    let _again = Client::join(&url, EDITOR);
    let floods = server.engine().metrics().violations.get("connection_flood");
    assert!(floods > 0, "who is turned away is a security event");
}

/// A cable that was pulled: nothing arrives any more, no close, no reset.
#[test]
fn a_peer_that_answers_no_ping_is_dropped() {
    let mut config = config();
    (config.limits.ping_interval, config.limits.pong_timeout) = (1, 1);
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let silent = Client::join(&url, EDITOR);
    let mut alive = Client::join(&url, "editor:bo");
    let reading = std::thread::spawn(move || alive.settle(Duration::from_secs(4)));
    eventually("dropped", || server.engine().metrics().closes.get("PEER_DEAD") == 1);
    assert_eq!(server.engine().health().connections.total, 1, "who answers stays");
    reading.join().unwrap();
    drop(silent);
}

/// Empty rooms in their grace make place; rooms with people in them never do.
#[test]
fn whoever_opens_room_after_room_displaces_nobody() {
    let mut config = config();
    config.rooms.max_rooms = 3;
    let server = Server::with(config, std::sync::Arc::default());
    let join = |room: &str, user: &str| Client::join(&server.url(room), &format!("editor:{user}"));
    let is_empty = |room: &str| server.block_on(server.engine().presence(room)).unwrap().is_empty();
    join("notes/hers", "ada").type_text("kept");
    eventually("she left", || is_empty("notes:hers"));
    let mut here = join("notes/here", "ada");
    here.type_text("present");
    for number in 0..10 {
        join(&format!("notes/m{number}"), "mallory").type_text("x");
        eventually("left", || is_empty(&format!("notes:m{number}")));
    }
    assert_eq!(server.engine().rooms(), ["notes:here", "notes:hers", "notes:m9"]);
    // Another finds a place, too: that of the room that is empty longest.
    let _bo = join("notes/bo", "bo");
    assert_eq!(server.engine().rooms(), ["notes:bo", "notes:here", "notes:m9"]);
    let cy = join("notes/cy", "cy");
    let mut none = Client::connect(&server.url("notes/no"), "editor:di");
    assert_eq!(none.until_closed().0, 4503, "everywhere is somebody");
    drop(none);
    drop(cy);
    eventually("left", || is_empty("notes:cy"));
    // What left early is as it was.
    join("notes/hers", "ada").until_text("kept");
    eventually("left", || is_empty("notes:hers"));
    join("notes/m0", "mallory").until_text("x");
    assert_eq!(here.text(), "present");
}
