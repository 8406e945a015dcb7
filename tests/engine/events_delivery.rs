//! What reaches whom: replay, keys, presence, the newest only; changes of collections and records.

use std::{sync::Arc, time::Duration};

use civicpress_realtime::events::{
    Rules,
    redact::Redactions,
    speaker::{Filter, NotSaid, Operation},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    events::quick,
    support::{EventClient, Server, eventually, server::config},
};

const ADA: &str = "editor:ada";
const BO: &str = "editor:bo";

fn rejoin(client: &mut EventClient, room: &str, since: &Value) -> (Value, Vec<Value>) {
    let joined = client.ask(json!({ "type": "join", "room": room, "since": since }));
    let missed = client.settle();
    (joined, missed.iter().map(|event| event["data"].clone()).collect())
}

#[test]
fn who_comes_back_hears_what_it_missed_and_knows_whether_that_is_all() {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    config.events.history_size = 10;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    let joined = ada.join("r");
    assert_eq!(joined["offset"], 0);
    let epoch = joined["epoch"].clone();
    let since = |offset: u64| json!({ "epoch": epoch, "offset": offset });
    for number in 1..=5 {
        ada.emit("r", "e", &json!(number));
        assert_eq!(ada.event("e")["offset"], number, "each has its number");
    }
    // The room lives on though nobody is in it.
    ada.socket.close(None).unwrap();
    let mut bo = EventClient::extended(&server, BO);
    let (joined, missed) = rejoin(&mut bo, "r", &since(2));
    assert_eq!((&joined["recovered"], &joined["offset"]), (&json!(true), &json!(5)));
    assert_eq!(missed, [3, 4, 5]);
    let (joined, missed) = rejoin(&mut bo, "r", &since(5));
    assert_eq!((&joined["recovered"], missed.len()), (&json!(true), 0));
    for number in 6..=20 {
        bo.emit("r", "e", &json!(number));
    }
    bo.settle();
    let mut cy = EventClient::extended(&server, "editor:cy");
    let (joined, missed) = rejoin(&mut cy, "r", &since(5));
    assert_eq!((&joined["recovered"], missed.len()), (&json!(false), 10), "{joined}");
    let (joined, missed) = rejoin(&mut cy, "r", &json!({ "epoch": "another", "offset": 20 }));
    assert_eq!((&joined["recovered"], missed.len()), (&json!(false), 10), "{joined}");
    let (joined, _) = rejoin(&mut cy, "r", &since(99));
    assert_eq!(joined["recovered"], false, "nobody can have heard that");
    let recoveries = &server.engine().metrics().event_recoveries;
    assert_eq!((recoveries.get("whole"), recoveries.get("gap")), (2, 3));
    // Whoever names nothing gets nothing old.
    let mut eve = EventClient::extended(&server, "editor:eve");
    assert!(eve.join("r").get("recovered").is_none());
    assert_eq!(eve.settle(), [Value::Null; 0]);
}

#[test]
fn a_replay_and_what_follows_come_in_order_and_once() {
    let server = quick();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::extended(&server, BO);
    let epoch = bo.join("r")["epoch"].clone();
    bo.ask(json!({ "type": "leave", "room": "r" }));
    for number in 1..=50 {
        ada.emit("r", "e", &json!(number));
    }
    ada.settle();
    bo.say(&json!({ "type": "join", "room": "r", "since": { "epoch": epoch, "offset": 0 } }));
    // As many as are kept, so that the join may be as late as it likes.
    for number in 51..=100 {
        ada.emit("r", "e", &json!(number));
    }
    let mut last = 0;
    while last < 100 {
        let event = bo.event("e");
        last += 1;
        assert_eq!((&event["data"], &event["offset"]), (&json!(last), &json!(last)));
    }
}

#[test]
fn events_that_are_too_old_are_forgotten() {
    let mut config = config();
    config.message_ttl = 1;
    config.limits.room_cleanup_interval = 1;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    let epoch = ada.join("r")["epoch"].clone();
    ada.emit("r", "e", &json!(1));
    ada.event("e");
    let hub = server.engine().events();
    eventually("it is forgotten", || server.block_on(hub.history(&"r".into())).is_empty());
    let since = json!({ "epoch": epoch, "offset": 0 });
    assert_eq!(rejoin(&mut ada, "r", &since).0["recovered"], false);
    ada.ask(json!({ "type": "leave", "room": "r" }));
    eventually("and the room", || hub.rooms_open() == 0);
}

/// The look for old events may be far: nobody is told one meanwhile.
#[test]
fn what_is_too_old_is_told_to_nobody_before_it_is_forgotten() {
    let mut config = config();
    config.message_ttl = 1;
    config.limits.room_cleanup_interval = 86_400;
    config.events.rules = Rules::parse(&json!([{ "rooms": "load", "latest": true }])).unwrap();
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    let mut bo = EventClient::extended(&server, BO);
    let epoch = ada.join("r")["epoch"].clone();
    let since = json!({ "epoch": epoch, "offset": 0 });
    for room in ["r", "load"] {
        ada.emit(room, "e", &json!(1));
    }
    ada.settle();
    eventually("it is too old", || {
        let (joined, missed) = rejoin(&mut bo, "r", &since);
        assert_eq!(joined["recovered"] == true, missed == [1], "{joined}");
        missed.is_empty()
    });
    bo.join("load");
    assert_eq!(bo.settle(), [Value::Null; 0], "nor the newest, if it is old");
    let hub = server.engine().events();
    assert!(server.block_on(hub.history(&"r".into())).is_empty());
    ada.emit("r", "e", &json!(2));
    ada.settle();
    let since = json!({ "epoch": epoch, "offset": 1 });
    assert_eq!(rejoin(&mut bo, "r", &since).1, [2], "what is new is told");
}

#[test]
fn looking_for_old_events_takes_none_that_waits_for_its_reader() {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    config.limits.room_cleanup_interval = 1;
    let server = Server::with_clock(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    let epoch = ada.join("r")["epoch"].clone();
    let mut bo = EventClient::of(&server, BO);
    bo.join("r");
    let hub = server.engine().events();
    let reader = Filter { client_id: Some(bo.id.clone()), ..Filter::default() };
    let waiting = || server.block_on(hub.find(&reader))[0].outbox.events();
    let data = "x".repeat(60_000);
    let mut said = 0;
    // More than the kernel takes for who reads nothing.
    while waiting() < 20 {
        ada.emit("r", "e", &json!([said, data]));
        ada.settle();
        said += 1;
    }
    for _ in 0..5 {
        server.forward(Duration::from_millis(1100));
        ada.settle();
    }
    for number in 0..said {
        assert_eq!(bo.event("e")["data"][0], number);
    }
    let missed = rejoin(&mut ada, "r", &json!({ "epoch": epoch, "offset": said - 20 })).1;
    assert_eq!((missed.len(), &missed[19][0]), (20, &json!(said - 1)), "nor what is kept");
}

#[test]
fn after_a_restart_nobody_takes_old_numbers_for_new_ones() {
    let server = Server::start();
    let mut ada = EventClient::extended(&server, ADA);
    let before = ada.join("r");
    let hear = |client: &mut EventClient, numbers: std::ops::RangeInclusive<u64>| {
        for number in numbers {
            client.emit("r", "e", &json!(number));
            assert_eq!(client.event("e")["offset"], number);
        }
    };
    hear(&mut ada, 1..=5);
    let server = server.restart();
    let mut ada = EventClient::extended(&server, ADA);
    let now = ada.join("r");
    assert_ne!(now["epoch"], before["epoch"], "another engine, another history");
    assert_eq!(now["offset"], 0);
    hear(&mut ada, 1..=5);
    // The number says that nothing was missed; the history it counts in is gone.
    let mut bo = EventClient::extended(&server, BO);
    let since = json!({ "epoch": before["epoch"], "offset": 5 });
    let (joined, missed) = rejoin(&mut bo, "r", &since);
    assert_eq!((&joined["recovered"], missed.len()), (&json!(false), 5), "{joined}");
}

#[test]
fn a_message_sent_twice_is_heard_once() {
    let server = quick();
    let mut ada = EventClient::extended(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    bo.join("r");
    let emit = |key: &str, n: u64| json!({ "type": "emit", "room": "r", "event": "e", "data": n, "key": key });
    assert_eq!(ada.ask(emit("k1", 1))["offset"], 1);
    assert_eq!(ada.ask(emit("k1", 1))["offset"], 1);
    assert_eq!(ada.ask(emit("k2", 2))["offset"], 2);
    // Another one's key is another key.
    let mut cy = EventClient::extended(&server, "editor:cy");
    assert_eq!(cy.ask(emit("k1", 3))["offset"], 3);
    for number in 1..=3 {
        assert_eq!(bo.event("e")["data"], number);
    }
    assert_eq!(bo.settle(), [Value::Null; 0]);
}

#[test]
fn who_asks_is_told_who_comes_and_goes() {
    let server = Server::start();
    let mut ada = EventClient::extended(&server, ADA);
    ada.ask(json!({ "type": "join", "room": "r", "presence": true }));
    let mut bo = EventClient::of(&server, BO);
    bo.join("r");
    let came = ada.next();
    let person = json!({ "client_id": bo.id, "user_id": "bo", "name": "bo" });
    assert_eq!((&came["type"], &came["event"]), (&json!("presence"), &json!("join")));
    assert_eq!(came["person"], person);
    let here = bo.ask(json!({ "type": "presence", "room": "r" }));
    assert_eq!((&here["members"], &here["people"][1]), (&json!(2), &person));
    drop(bo);
    let went = ada.next();
    assert_eq!((&went["event"], &went["person"]), (&json!("leave"), &person));
    // Who did not ask, or may not know, hears nothing of it.
    let mut nobody = EventClient::greeted(&server, "/socket.io/", &["civicpress.events.v1"]);
    nobody.ask(json!({ "type": "join", "room": "public:a", "presence": true }));
    let mut cy = EventClient::of(&server, "editor:cy");
    cy.join("public:a");
    assert_eq!(nobody.settle(), [Value::Null; 0]);
}

#[test]
fn rooms_of_the_newest_only_give_whoever_joins_the_newest() {
    let mut config = config();
    config.events.rules = Rules::parse(&json!([{ "rooms": "load", "latest": true }])).unwrap();
    let server = Server::with(config, Arc::default());
    let hub = server.engine().events();
    let tell = |n: u64| hub.tell(Some("load"), "load", to_raw_value(&n).ok()).unwrap();
    (1..=5).for_each(tell);
    let mut ada = EventClient::of(&server, ADA);
    ada.join("load");
    assert_eq!(ada.next()["data"], 5);
    (6..=1000).for_each(tell);
    let mut last = 5;
    while last < 1000 {
        let newer = ada.next()["data"].as_u64().unwrap();
        assert!(newer > last, "never an older one");
        last = newer;
    }
}

#[test]
fn operators_hear_how_the_engine_goes_while_they_listen() {
    let server = Server::start();
    let mut eve = EventClient::of(&server, "admin:eve");
    eve.join("system:metrics");
    let vitals = eve.event("metrics");
    assert_eq!(
        (&vitals["data"]["eventConnections"], &vitals["data"]["users"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(vitals["data"]["broker"]["type"], "memory");
    let mut ada = EventClient::of(&server, ADA);
    let refused = ada.ask(json!({ "type": "join", "room": "system:metrics" }));
    assert_eq!(refused["error"], "Permission denied");
}

#[test]
fn the_server_speaks_to_rooms_and_to_everybody_in_order() {
    let server = quick();
    let hub = server.engine().events();
    let mut members: Vec<_> = (0..20).map(|_| EventClient::plain(&server)).collect();
    for member in &mut members {
        member.join("public:r");
    }
    for number in 0..1000 {
        hub.tell(Some("public:r"), "e", to_raw_value(&number).ok()).unwrap();
        hub.tell(None, "all", None).unwrap();
    }
    for member in &mut members {
        let (mut events, mut all) = (0, 0);
        while events + all < 2000 {
            let heard = member.next();
            if heard["event"] == "all" {
                assert!(heard.get("room").is_none());
                all += 1;
            } else {
                assert_eq!((&heard["data"], &heard["room"]), (&json!(events), &json!("public:r")));
                events += 1;
            }
        }
    }
    assert_eq!(hub.tell(Some(""), "e", None), Err(NotSaid::Name));
    assert_eq!(hub.tell(None, "", None), Err(NotSaid::Name));
    let huge = to_raw_value(&"x".repeat(2 << 20)).unwrap();
    assert_eq!(hub.tell(None, "e", Some(huge)), Err(NotSaid::TooLarge));
    assert_eq!(server.engine().metrics().events_dropped.get(), 3);
}

#[test]
fn whoever_is_disconnected_hears_what_was_said_before() {
    let server = quick();
    let hub = server.engine().events();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    ada.join("r");
    bo.join("r");
    for number in 0..2000 {
        hub.tell(Some("r"), "e", to_raw_value(&number).ok()).unwrap();
    }
    let filter = Filter { user_id: Some("ada".into()), ..Filter::default() };
    let reader = std::thread::spawn(move || ada.until_closed());
    assert_eq!(server.block_on(hub.disconnect(&filter, "moderated")), 1);
    let (said, code, reason) = reader.join().unwrap();
    let events = said.iter().filter(|message| message["event"] == "e").count();
    assert_eq!((events, code, reason.contains("moderated")), (2000, 4403, true), "{reason}");
    assert_eq!(server.block_on(hub.people(&"r".into())).len(), 1);
    bo.event("e");
}

#[test]
fn changes_of_collections_reach_who_joined_them_without_secrets() {
    let mut config = config();
    config.events.redactions = Redactions::new(&["users.email".into()]);
    let server = Server::with(config, Arc::default());
    let hub = server.engine().events();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    let mut nobody = EventClient::plain(&server);
    ada.join("collection:users");
    bo.join("collections");
    let user = json!({
        "id": "7", "name": "Ada", "email": "a@b", "password": "$2b$", "verificationToken": "t",
    });
    hub.change("users", Operation::Created, vec![user]).unwrap();
    let heard = ada.next();
    let shown = json!({ "id": "7", "name": "Ada" });
    assert_eq!((&heard["event"], &heard["data"]), (&json!("created"), &shown));
    assert_eq!(heard["room"], "collection:users");
    let heard = bo.next();
    assert_eq!(heard["data"], json!({ "collection": "users", "data": shown }));
    assert_eq!((&heard["event"], &heard["room"]), (&json!("created"), &json!("collections")));
    // A few are told one by one, many by their ids.
    let many = |count: u64| (0..count).map(|id| json!({ "id": id })).collect::<Vec<_>>();
    hub.change("users", Operation::Deleted, many(100)).unwrap();
    for id in 0..100 {
        assert_eq!(ada.event("deleted")["data"]["id"], id);
    }
    hub.change("users", Operation::Updated, many(101)).unwrap();
    let heard = ada.next();
    assert_eq!((&heard["event"], &heard["data"]["count"]), (&json!("changed"), &json!(101)));
    assert_eq!(heard["data"]["ids"].as_array().unwrap().len(), 101);
    assert_eq!(nobody.settle(), [Value::Null; 0], "who joined nothing hears nothing");
}

#[test]
fn the_legacy_broadcast_reaches_who_never_joined() {
    let mut config = config();
    config.events.legacy_collection_broadcast = true;
    let server = Server::with(config, Arc::default());
    let mut nobody = EventClient::plain(&server);
    let mut ada = EventClient::of(&server, ADA);
    ada.join("collection:todos");
    let todo = json!({ "id": 1, "author": { "password": "$2b$" } });
    server.engine().events().change("todos", Operation::Updated, vec![todo]).unwrap();
    for client in [&mut nobody, &mut ada] {
        let heard = client.next();
        assert_eq!(heard["data"], json!({ "id": 1, "author": {} }));
        assert_eq!(
            (&heard["event"], &heard["room"]),
            (&json!("updated"), &json!("collection:todos"))
        );
        assert_eq!(client.settle(), [Value::Null; 0], "once");
    }
}
