//! How connections for events end: silent peers, a stopping engine, one of two engines in a process.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use civicpress_realtime::{
    events::speaker::Filter,
    limits::{EVENT_FAREWELL, SHUTDOWN_PHASE},
};
use serde_json::{Value, json};

use crate::{
    events::quick,
    http::get,
    records::add_paragraph,
    support::{Client, EventClient, FakeHost, PATIENCE, Server, eventually, server::config},
};

const ADA: &str = "editor:ada";

#[test]
fn silence_ends_a_connection_in_its_time_and_any_word_keeps_it() {
    let mut config = config();
    (config.limits.ping_interval, config.limits.pong_timeout) = (54, 10);
    config.limits.dead_client_timeout = 3600;
    let server = Server::with_frozen_clock(config, Arc::default());
    let metrics = server.engine().metrics();
    let mut silent = EventClient::of(&server, ADA);
    silent.join("r");
    // It reads nothing, so its library answers no ping; it only ever speaks.
    let mut busy = EventClient::of(&server, "editor:bo");
    busy.join("r");
    let speak = |busy: &mut EventClient| {
        let before = metrics.event_messages_in.get();
        busy.say(&json!({ "type": "leave", "room": "nowhere" }));
        eventually("it is heard", || metrics.event_messages_in.get() > before);
    };
    for seconds in [30, 24, 9] {
        speak(&mut busy);
        server.forward(Duration::from_secs(seconds));
    }
    // What there is to do by now is done before another gets in.
    EventClient::of(&server, "editor:cy").settle();
    assert_eq!(metrics.closes.get("PEER_DEAD"), 0, "not before its time");
    // Timers are rounded up to milliseconds.
    server.forward(Duration::from_millis(1001));
    eventually("the silent one is gone", || metrics.closes.get("PEER_DEAD") == 1);
    for _ in 0..10 {
        speak(&mut busy);
        server.forward(Duration::from_secs(63));
    }
    speak(&mut busy);
    assert_eq!((metrics.closes.get("PEER_DEAD"), metrics.event_members.get()), (1, 1));
    busy.settle();
}

/// Asks on a connection that stays open.
fn ask(stream: &mut TcpStream, path: &str) -> (u16, Value) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "closed");
        answer.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            return (head[9..12].parse().unwrap(), body);
        }
    }
}

#[test]
fn health_goes_on_and_readiness_ends_while_an_engine_stops() {
    let host = FakeHost::with_record("a", "# A\n");
    let server = Server::with_clock(config(), host);
    let mut watching = TcpStream::connect(server.address).unwrap();
    watching.set_read_timeout(Some(PATIENCE)).unwrap();
    let (status, ready) = ask(&mut watching, "/ready");
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    let (status, health) = ask(&mut watching, "/health");
    assert_eq!((status, &health["status"]), (200, &json!("healthy")));

    let mut ada = Client::join(&server.url("records/a"), ADA);
    let mut bo = EventClient::of(&server, "editor:bo");
    bo.join("r");
    add_paragraph(&mut ada, "typed");
    // The room's last write-back hangs.
    server.host.load_delay_ms.store(600_000, Ordering::Relaxed);
    thread::scope(|scope| {
        let stopping = scope.spawn(|| server.block_on(server.engine().shutdown()));
        eventually("it drains", || ask(&mut watching, "/ready").0 == 503);
        let (_, ready) = ask(&mut watching, "/ready");
        assert_eq!(ready["status"], "draining", "no new work");
        let (status, health) = ask(&mut watching, "/health");
        assert_eq!(status, 200, "it lives: {health}");
        assert_eq!(
            (&health["status"], &health["server"]["listening"]),
            (&json!("unhealthy"), &json!(false))
        );
        // Who is in is served meanwhile.
        bo.emit("r", "e", &json!(1));
        assert_eq!(bo.event("e")["data"], 1);
        server.forward(SHUTDOWN_PHASE);
        stopping.join().unwrap();
    });
    assert_eq!(bo.until_closed().1, 4503);
}

#[test]
fn what_is_degraded_and_serves_is_ready() {
    let mut open = config();
    (open.host, open.production) = ("0.0.0.0".into(), true);
    let mut server = Server::with(open, Arc::default());
    server.address.set_ip([127, 0, 0, 1].into());
    let told = |path: &str| {
        let (status, body) = get(&server, path, "");
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body["status"].clone())
    };
    assert_eq!(told("/health"), (200, json!("degraded")));
    assert_eq!(told("/ready"), (200, json!("degraded")));
}

/// One reads all the time, one begins to read when it hears of the end, one never does, one answers no close.
#[test]
fn a_stopping_engine_says_all_it_has_to_say_and_waits_for_nobody_for_ever() {
    let mut server = quick();
    let mut ada = EventClient::of(&server, ADA);
    let mut prompt = EventClient::of(&server, "editor:bo");
    let mut late = EventClient::of(&server, "editor:late");
    let mut stuck = EventClient::of(&server, "editor:stuck");
    let mute = EventClient::of(&server, "editor:mute");
    for client in [&mut prompt, &mut late, &mut stuck] {
        client.join("r");
    }
    let waiting = |server: &Server, id: &String| {
        let reader = Filter { client_id: Some(id.clone()), ..Filter::default() };
        server.block_on(server.engine().events().find(&reader))[0].outbox.events()
    };
    let data = json!("x".repeat(60_000));
    let mut said = 0;
    while [&late, &stuck].iter().any(|client| waiting(&server, &client.id) < 10) {
        ada.emit("r", "e", &data);
        prompt.event("e");
        said += 1;
    }
    let stopping = thread::spawn(move || {
        server.stop();
        server
    });
    let (_, code, reason) = prompt.until_closed();
    assert_eq!((code, reason.contains("SHUTTING_DOWN")), (4503, true), "{reason}");
    let (heard, code, _) = late.until_closed();
    let events = heard.iter().filter(|message| message["event"] == "e").count();
    assert_eq!((events, code), (said, 4503));
    assert_eq!(ada.until_closed().1, 4503);
    // The others still hold their ends: that holds nobody up.
    eventually("it ends", || stopping.is_finished());
    drop((stuck, mute));
    stopping.join().unwrap();
}

#[test]
fn a_stopping_engine_does_not_end_all_connections_at_the_same_moment() {
    let server = Server::with_frozen_clock(config(), Arc::default());
    let clients: Vec<_> = (0..100).map(|_| EventClient::plain(&server)).collect();
    let metrics = server.engine().metrics();
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let stopping = scope.spawn(|| server.block_on(server.engine().shutdown()));
        eventually("all are closed", || {
            server.forward(EVENT_FAREWELL * 5);
            seen.insert(metrics.closes.get("SHUTTING_DOWN"));
            seen.contains(&100)
        });
        drop(clients);
        eventually("it ends", || {
            server.forward(EVENT_FAREWELL * 5);
            stopping.is_finished()
        });
    });
    // Over a hundred times as long as one has; twenty looks at it, of which a busy machine misses some.
    assert!(seen.len() > 4, "{seen:?}");
}

#[test]
fn two_engines_in_a_process_share_no_rooms_no_counters_and_no_end() {
    let mut one = quick();
    let other = quick();
    let mut ada = EventClient::extended(&one, ADA);
    let mut bo = EventClient::extended(&other, ADA);
    let epochs = [ada.join("r")["epoch"].clone(), bo.join("r")["epoch"].clone()];
    assert_ne!(epochs[0], epochs[1]);
    for number in 1..=3 {
        ada.emit("r", "e", &json!(number));
        assert_eq!(ada.event("e")["offset"], number);
    }
    assert_eq!(bo.settle(), [Value::Null; 0]);
    let counts = |server: &Server| {
        let metrics = server.engine().metrics();
        (metrics.events_emitted.get(), metrics.event_connections.get())
    };
    assert_eq!((counts(&one), counts(&other)), ((3, 1), (0, 1)));
    one.engine().revoke_user("ada", "left");
    assert_eq!(ada.until_closed().1, 4001);
    one.stop();
    bo.emit("r", "e", &json!(1));
    assert_eq!(bo.event("e")["offset"], 1);
    // And one more beside it.
    let third = quick();
    EventClient::of(&third, ADA).join("r");
    bo.emit("r", "e", &json!(2));
    assert_eq!(bo.event("e")["offset"], 2);
}

#[test]
fn who_never_pauses_puts_off_neither_its_tokens_end_nor_the_engines() {
    // Longer than it takes to get in.
    for (token, forward) in [("editor:ada:3000", true), ("editor:ada", false)] {
        let mut server = quick();
        let mut ada = EventClient::extended(&server, token);
        ada.join("r");
        let stream = ada.socket.get_ref().try_clone().unwrap();
        let flood = thread::spawn(move || {
            let mut frame = vec![0x81, 0x80 | 15, 0, 0, 0, 0];
            frame.extend_from_slice(br#"{"type":"ping"}"#);
            let many = frame.repeat(1000);
            while (&stream).write_all(&many).is_ok() {}
        });
        if forward {
            ada.until(|message| message["code"] == "TOKEN_EXPIRED");
        } else {
            ada.until(|message| message["type"] == "pong");
        }
        let stopping = thread::spawn(move || server.stop());
        ada.until_closed();
        drop(ada);
        flood.join().unwrap();
        stopping.join().unwrap();
    }
}
