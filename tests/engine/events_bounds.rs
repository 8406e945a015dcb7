//! What one client may cost in rooms of events, and what holds at the bounds.

use std::{sync::Arc, time::Duration};

use civicpress_realtime::{
    events::{ClientInfo, Member, Reader, Room, redact::Redactions, speaker::Operation},
    ids::SessionId,
    room::outbox::Outbox,
};
use serde_json::json;
use tungstenite::Message;

use crate::support::{
    EventClient, Server, resident_bytes,
    server::{config, with_rules},
};

const ADA: &str = "editor:ada";
const BO: &str = "editor:bo";

#[test]
fn a_legacy_change_that_was_missed_is_not_recovered() {
    let mut config = config();
    config.events.legacy_collection_broadcast = true;
    let server = Server::with(config, Arc::default());
    let mut bo = EventClient::extended(&server, BO);
    bo.join("collection:todos");
    let mut ada = EventClient::extended(&server, ADA);
    let joined = ada.join("collection:todos");
    ada.socket.close(None).unwrap();
    while ada.socket.read().is_ok() {}
    let todo = json!({ "id": 1 });
    server.engine().events().change("todos", Operation::Created, vec![todo]).unwrap();
    bo.event("created");
    let mut ada = EventClient::extended(&server, ADA);
    let since = json!({ "epoch": joined["epoch"], "offset": joined["offset"] });
    let again = ada.ask(json!({ "type": "join", "room": "collection:todos", "since": since }));
    let heard = ada.settle();
    let missed = heard.iter().any(|message| message["event"] == "created");
    assert!(missed || again["recovered"] == false, "{again} {heard:?}");
}

#[test]
fn ids_of_many_are_redacted_too() {
    let mut config = config();
    config.events.redactions = Redactions::new(&["users.id".into()]);
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::of(&server, ADA);
    ada.join("collection:users");
    let many = (0..101).map(|id| json!({ "id": id })).collect();
    server.engine().events().change("users", Operation::Updated, many).unwrap();
    let heard = ada.event("changed");
    assert_eq!(heard["data"]["ids"], json!([]), "{heard}");
}

/// A client that reads nothing asks the same again and again.
fn costs_little(client: &mut EventClient, question: &str) {
    let before = resident_bytes();
    for _ in 0..90 {
        client.socket.write(Message::Text(question.into())).unwrap();
    }
    client.socket.flush().unwrap();
    let mut most = 0;
    for _ in 0..300 {
        most = most.max(resident_bytes().saturating_sub(before));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(most < 32 << 20, "{} MiB for one client", most >> 20);
}

#[test]
fn replays_that_nobody_reads_have_a_bound() {
    let server = Server::start();
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("r");
    let data = json!("x".repeat(60_000));
    for _ in 0..100 {
        ada.emit("r", "e", &data);
        ada.event("e");
    }
    let join = json!({ "type": "join", "room": "r", "since": { "epoch": "", "offset": 0 } });
    costs_little(&mut ada, &join.to_string());
}

#[test]
fn answers_that_nobody_reads_have_a_bound() {
    let server = Server::start();
    let hub = server.engine().events();
    for number in 0..10_000 {
        let address = "127.0.0.1".parse().unwrap();
        let info = ClientInfo::new(SessionId(1_000_000 + number), address, 0);
        info.belongs_to(Some((&format!("user-{number}"), "Somebody Whose Name Is Not Short")));
        let member = Member { info, outbox: Arc::default(), reader: Reader::Plain, watches: false };
        server.block_on(hub.join(&"r".into(), member, None, None)).unwrap();
    }
    let mut ada = EventClient::extended(&server, ADA);
    let ask = json!({ "type": "presence", "room": "r" }).to_string();
    costs_little(&mut ada, &ask);
}

/// Emits make rooms that count for nobody; others' are kept all the same, or refused.
#[test]
fn one_client_does_not_take_all_rooms_from_others() {
    let mut config = config();
    config.events.rooms_max = 20;
    config.limits.max_rooms_per_client = 2;
    let server = Server::with(config, Arc::default());
    let mut eve = EventClient::extended(&server, "editor:eve");
    for number in 0..20 {
        eve.emit(&format!("x{number}"), "e", &json!(1));
    }
    eve.settle();
    let mut ada = EventClient::extended(&server, ADA);
    let emit = json!({ "type": "emit", "room": "inbox", "event": "e", "data": 7 });
    let acked = ada.ask(emit);
    let kept = server.block_on(server.engine().events().history(&"inbox".into())).len();
    assert!(acked["type"] == "error" || kept == 1, "{acked}, {kept} kept");
}

#[test]
fn the_newest_of_a_room_is_what_comes_last() {
    let rules = json!([{ "rooms": "load", "latest": true }]);
    let server = Server::with(with_rules(&rules), Arc::default());
    let hub = server.engine().events();
    let outbox = Arc::<Outbox>::default();
    let info = ClientInfo::new(SessionId(99_999), "127.0.0.1".parse().unwrap(), 0);
    let (reader, room) = (Reader::Plain, Room::from("load"));
    let member = Member { info, outbox: Arc::clone(&outbox), reader, watches: false };
    // A client that takes nothing for a moment.
    server.block_on(hub.join(&room, member.clone(), None, None)).unwrap();
    hub.tell(Some("load"), "older", None).unwrap();
    server.block_on(hub.leave(&room, SessionId(99_999), None));
    hub.tell(Some("load"), "newer", None).unwrap();
    server.block_on(hub.join(&room, member, None, None)).unwrap();
    let frames: Vec<_> = outbox.take().frames.into();
    let last = String::from_utf8_lossy(frames.last().unwrap()).into_owned();
    assert!(last.contains("newer"), "{frames:?}");
}

/// As a connection for documents does (`net/connection/clock.rs`).
#[test]
fn who_takes_its_replay_slowly_is_alive() {
    let mut config = config();
    (config.limits.ping_interval, config.limits.pong_timeout) = (2, 1);
    config.limits.message_buffer_size = 1_000_000;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("r");
    let data = json!("x".repeat(60_000));
    for _ in 0..100 {
        ada.emit("r", "e", &data);
        ada.event("e");
    }
    let join = json!({ "type": "join", "room": "r", "since": { "epoch": "", "offset": 0 } });
    for _ in 0..5 {
        ada.say(&join);
    }
    // 4 MB per second.
    for number in 0..500 {
        match ada.socket.read() {
            Ok(Message::Text(_) | Message::Ping(_)) => {}
            other => panic!("after {number} of 500: {other:?}"),
        }
        std::thread::sleep(Duration::from_millis(15));
    }
}

#[test]
fn what_finds_no_place_is_refused_or_counted() {
    let mut config = config();
    config.events.rooms_max = 1;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("r");
    let refused = ada.ask(json!({ "type": "emit", "room": "other", "event": "e" }));
    assert_eq!(refused["code"], "ROOM_LIMIT_REACHED", "{refused}");
    let hub = server.engine().events();
    hub.tell(Some("third"), "e", None).unwrap();
    server.block_on(hub.flush());
    assert_eq!(server.engine().metrics().events_dropped.get(), 1);
    assert_eq!(hub.rooms_open(), 1);
}

/// Those that are silent longest go first, and not all at once.
#[test]
fn who_speaks_in_many_rooms_takes_their_places_from_the_silent() {
    let mut config = config();
    config.events.rooms_max = 100;
    let server = Server::with(config, Arc::default());
    let hub = server.engine().events();
    for number in 0..300 {
        hub.tell(Some(&format!("r{number}")), "e", None).unwrap();
        server.block_on(hub.flush());
    }
    let kept = |number: u32| {
        let room: Room = format!("r{number}").into();
        !server.block_on(hub.history(&room)).is_empty()
    };
    // Each task gives up its own rooms, so not exactly the first ones.
    let [first, last] = [0..100, 200..300].map(|all| all.filter(|number| kept(*number)).count());
    assert!(first * 2 < last && last > 50, "{first} of the first, {last} of the last");
    assert!(hub.rooms_open() <= 100);
}

/// docs/events.md: rooms that nobody is in make room, longest silent first; not all of them for one.
#[test]
fn one_join_does_not_take_all_histories() {
    let mut config = config();
    config.events.rooms_max = 4;
    let mut taken = Vec::new();
    for name in 0..6 {
        let server = Server::with(config.clone(), Arc::default());
        let hub = server.engine().events();
        for number in 0..4 {
            hub.tell(Some(&format!("r{number}")), "e", None).unwrap();
            server.block_on(hub.flush());
        }
        let mut ada = EventClient::extended(&server, "editor:ada");
        ada.join(&format!("other{name}"));
        let kept = (0..4).filter(|number| {
            let room: Room = format!("r{number}").into();
            !server.block_on(hub.history(&room)).is_empty()
        });
        taken.push(4 - kept.count());
    }
    assert!(taken.iter().all(|taken| *taken <= 1), "{taken:?}");
}

/// As `who_takes_its_replay_slowly_is_alive`, but what it asked for waits behind ordinary events.
#[test]
fn who_takes_events_before_its_replay_slowly_is_alive() {
    let mut config = config();
    (config.limits.ping_interval, config.limits.pong_timeout) = (2, 1);
    config.limits.message_buffer_size = 1_000_000;
    let server = Server::with(config, Arc::default());
    let mut bo = EventClient::extended(&server, "editor:bo");
    bo.emit("r", "old", &json!(1));
    bo.settle();
    let mut ada = EventClient::extended(&server, "editor:ada");
    ada.join("noise");
    let hub = server.engine().events();
    let queued = || server.block_on(hub.members(&"noise".into()))[0].outbox.events();
    let tell = || {
        let data = serde_json::value::to_raw_value(&"x".repeat(1_000_000)).unwrap();
        hub.tell(Some("noise"), "e", Some(data)).unwrap();
        server.block_on(hub.flush());
        std::thread::sleep(Duration::from_millis(50));
    };
    // More than the kernel keeps.
    while queued() == 0 {
        tell();
    }
    while queued() < 4 {
        tell();
    }
    while queued() > 0 {
        assert!(matches!(ada.socket.read(), Ok(Message::Text(_) | Message::Ping(_))));
        std::thread::sleep(Duration::from_millis(50));
    }
    // It is about to take four megabytes, and asks for what it missed elsewhere.
    ada.say(&json!({ "type": "join", "room": "r", "since": { "epoch": "", "offset": 0 } }));
    let mut number = 0;
    loop {
        std::thread::sleep(Duration::from_millis(900));
        number += 1;
        match ada.socket.read() {
            Ok(Message::Text(text)) if text.contains("\"old\"") => return,
            Ok(Message::Text(_) | Message::Ping(_)) => {}
            other => panic!("after {number} megabytes: {other:?}"),
        }
    }
}

/// How often threads of this process were woken.
fn wakes() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |status: String| {
        let line =
            status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap().to_owned();
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
        .map(of)
        .sum()
}

/// A client that takes what is written slowly and says nothing wakes its connection when something is due, not each millisecond.
#[test]
fn who_takes_its_replay_slowly_does_not_spin() {
    let mut config = config();
    (config.limits.ping_interval, config.limits.pong_timeout) = (2, 1);
    config.limits.message_buffer_size = 1_000_000;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, "editor:ada");
    ada.join("r");
    let data = json!("x".repeat(60_000));
    for _ in 0..100 {
        ada.emit("r", "e", &data);
        ada.event("e");
    }
    let join = json!({ "type": "join", "room": "r", "since": { "epoch": "", "offset": 0 } });
    for _ in 0..5 {
        ada.say(&join);
    }
    let mut per_second = Vec::new();
    for _ in 0..16 {
        let before = wakes();
        for _ in 0..22 {
            match ada.socket.read() {
                Ok(Message::Text(_) | Message::Ping(_)) => {}
                other => panic!("{per_second:?} {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(45));
        }
        per_second.push(wakes() - before);
    }
    assert!(per_second.iter().all(|wakes| *wakes < 300), "{per_second:?}");
}
