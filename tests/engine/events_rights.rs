//! Who may do what on a connection for events: rules, tokens, limits.

use std::{sync::Arc, time::Duration};

use civicpress_realtime::limits::EVENT_EXPIRY_GRACE;
use serde_json::{Value, json};
use tungstenite::Message;

use crate::support::{
    Client, EventClient, FakeHost, Server, eventually, log,
    server::{config, with_rules},
};

const ADA: &str = "editor:ada";

fn refused(answer: &Value) -> bool {
    answer["error"] == "Permission denied" && answer["code"] == "PERMISSION_DENIED"
}

#[test]
fn who_has_no_token_hears_public_rooms_and_nothing_else() {
    let server = Server::start();
    let mut nobody = EventClient::plain(&server);
    nobody.join("public:news");
    for room in ["chat", "collection:users", "collections", "user:ada", "system:metrics"] {
        assert!(refused(&nobody.ask(json!({ "type": "join", "room": room }))), "{room}");
    }
    for (room, event) in [("public:news", "e"), ("chat", "e"), ("collection:users", "created")] {
        let emit = json!({ "type": "emit", "room": room, "event": event });
        assert!(refused(&nobody.ask(emit)), "{room}");
    }
    let mut ada = EventClient::of(&server, ADA);
    ada.emit("public:news", "news", &json!(1));
    assert_eq!(nobody.next()["event"], "news");
    ada.emit("chat", "secret", &json!(1));
    assert_eq!(nobody.settle(), [Value::Null; 0]);
}

#[test]
fn nobody_speaks_for_the_server_or_to_everybody() {
    let server = Server::start();
    for token in [ADA, "admin:eve"] {
        let mut client = EventClient::of(&server, token);
        for message in [
            json!({ "type": "emit", "event": "e" }),
            json!({ "type": "emit", "event": "e", "room": "" }),
            json!({ "type": "emit", "event": "created", "room": "collection:todos" }),
            json!({ "type": "emit", "event": "created", "room": "collections" }),
            json!({ "type": "emit", "event": "e", "room": "user:bo" }),
            json!({ "type": "join", "room": "user:bo" }),
        ] {
            assert!(refused(&client.ask(message.clone())), "{token} {message}");
        }
    }
    let config = with_rules(&json!([{ "broadcast": "admins" }]));
    let server = Server::with(config, Arc::default());
    let mut nobody = EventClient::plain(&server);
    let mut ada = EventClient::of(&server, ADA);
    assert!(refused(&ada.ask(json!({ "type": "emit", "event": "e" }))));
    let mut eve = EventClient::of(&server, "admin:eve");
    eve.say(&json!({ "type": "emit", "event": "to all", "data": 1 }));
    for client in [&mut nobody, &mut ada, &mut eve] {
        let heard = client.event("to all");
        assert!(heard.get("room").is_none(), "{heard}");
    }
}

#[test]
fn configured_rules_decide_by_room_role_and_event() {
    let rules = json!([
        { "rooms": "staff:*", "join": ["clerk"], "emit": ["clerk"], "events": ["message"] },
        { "rooms": "open:*", "join": "anyone", "emit": "anyone", "presence": "nobody" },
    ]);
    let server = Server::with(with_rules(&rules), Arc::default());
    let mut clerk = EventClient::of(&server, "clerk:cy");
    clerk.join("staff:a");
    clerk.emit("staff:a", "message", &json!(1));
    assert_eq!(clerk.next()["event"], "message");
    let other = json!({ "type": "emit", "room": "staff:a", "event": "other" });
    assert!(refused(&clerk.ask(other)));
    let mut ada = EventClient::of(&server, ADA);
    assert!(refused(&ada.ask(json!({ "type": "join", "room": "staff:a" }))));
    assert!(refused(&ada.ask(json!({ "type": "presence", "room": "staff:a" }))), "nor look in");
    let mut nobody = EventClient::plain(&server);
    nobody.join("open:a");
    nobody.emit("open:a", "e", &json!(1));
    assert_eq!(nobody.next()["event"], "e");
    assert!(refused(&ada.ask(json!({ "type": "presence", "room": "open:a" }))));
}

#[test]
fn the_host_decides_where_the_rules_say_so_and_is_asked_once() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "emit": "host" }]);
    let host = FakeHost::with_record("budget", "# Budget\n");
    let mut config = with_rules(&rules);
    config.limits.message_rate_limit = 10_000;
    let server = Server::with(config, host);
    let mut viewer = EventClient::of(&server, "viewer:val");
    viewer.join("records:budget");
    let answer = viewer.ask(json!({ "type": "join", "room": "records:missing" }));
    assert!(refused(&answer), "{answer}");
    let emit = |n| json!({ "type": "emit", "room": "records:budget", "event": "e", "data": n });
    assert!(refused(&viewer.ask(emit(0))), "who may only view may only hear");
    let mut ada = EventClient::of(&server, ADA);
    ada.join("records:budget");
    let asked = || server.host.authorizations.load(std::sync::atomic::Ordering::Relaxed);
    let before = asked();
    for number in 0..200 {
        ada.say(&emit(number));
    }
    for number in 0..200 {
        assert_eq!(viewer.next()["data"], number);
    }
    assert_eq!(asked() - before, 1, "not for each event");
}

#[test]
fn a_hanging_host_holds_up_who_asks_and_nobody_else() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::plain(&server);
    bo.join("public:a");
    server.host.auth_delay_ms.store(600_000, std::sync::atomic::Ordering::Relaxed);
    bo.say(&json!({ "type": "auth", "token": "editor:bo" }));
    for number in 0..10 {
        ada.emit("public:a", "e", &json!(number));
        assert_eq!(bo.next()["data"], number, "it hears while it waits");
    }
}

#[test]
fn a_token_may_come_with_the_request() {
    let server = Server::start();
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("chat");
    // One that does not hold leaves nobody, and says so.
    let mut eve =
        EventClient::greeted(&server, "/socket.io/", &["civicpress.events.v1", "auth.nobody"]);
    let answer = eve.next();
    assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("AUTH_FAILED")));
    assert!(refused(&eve.ask(json!({ "type": "join", "room": "chat" }))));
    let mut lost = EventClient::greeted(&server, "/socket.io/?token=editor:ada", &[]);
    assert_eq!(lost.next()["error"], "Invalid authentication token", "not in URLs");
    let mut config = config();
    config.auth.allow_query_token = true;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::greeted(&server, "/socket.io/?token=editor:ada", &[]);
    assert_eq!(ada.next()["type"], "auth");
}

#[test]
fn the_operators_token_is_an_admins_whatever_the_host_says() {
    let mut config = config();
    config.admin.token = Some("operators-own".into());
    config.auth.recheck_seconds = 10;
    let server = Server::with_clock(config, Arc::default());
    let mut eve = EventClient::plain(&server);
    eve.say(&json!({ "type": "auth", "token": "operators-ow" }));
    eve.until(|message| message["error"] == "Invalid authentication token");
    eve.say(&json!({ "type": "auth", "token": "operators-own" }));
    let told = eve.until(|message| message["type"] == "auth");
    assert_eq!(told["data"]["is_root"], true, "{told}");
    eve.join("system:metrics");
    let mut olive = EventClient::with_headers(
        &server,
        "/socket.io/?protocol=events",
        &[("Authorization", "Bearer operators-own")],
    );
    olive.until(|message| message["type"] == "auth");
    // A host that knows nobody ends no session that is none of its users'.
    server.host.give_role("engine:operator", "gone");
    server.forward(Duration::from_secs(31));
    for client in [&mut eve, &mut olive] {
        client.join("system:metrics");
    }
}

#[test]
fn a_cookie_counts_only_where_one_is_named() {
    for named in [false, true] {
        let mut config = config();
        config.events.cookie = named.then(|| "session".into());
        let server = Server::with(config, Arc::default());
        let headers = [("Cookie", "theme=dark; session=editor:ada")];
        let mut client = EventClient::with_headers(&server, "/socket.io/", &headers);
        assert_eq!(client.next()["type"], "connect");
        let joined = client.ask(json!({ "type": "join", "room": "chat" }));
        assert_eq!(joined["type"] == "joined", named, "{joined}");
    }
}

#[test]
fn long_tokens_authenticate() {
    let server = Server::start();
    let name = "x".repeat(2000);
    let mut ada = EventClient::plain(&server);
    assert_eq!(ada.auth(&format!("editor:{name}"))["data"]["user_id"], name);
}

#[test]
fn another_token_on_the_live_connection_counts_from_then_on() {
    let server = Server::start();
    let mut client = EventClient::plain(&server);
    client.join("public:a");
    client.auth("viewer:val");
    client.join("user:val");
    client.auth("admin:eve");
    client.join("system:x");
    client.join("user:eve");
    // What was another's is left; what anybody may hear is not.
    let hub = server.engine().events();
    let members = |room: &str| server.block_on(hub.people(&room.into())).len();
    assert_eq!((members("user:val"), members("public:a"), members("system:x")), (0, 1, 1));
    assert_eq!(server.engine().health().connections.per_user, 1);
    assert_eq!(server.engine().revoke_user("val", "left"), 0);
    assert_eq!(server.engine().revoke_user("eve", "left"), 1);
    let (said, code, reason) = client.until_closed();
    assert_eq!((code, said.len()), (4001, 1), "{reason}");
    assert_eq!(members("public:a"), 0);
}

#[test]
fn nothing_is_heard_of_a_user_after_a_revocation_returned() {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    let server = Server::with(config, Arc::default());
    let mut bo = EventClient::of(&server, "editor:bo");
    bo.join("r");
    let mut ada = EventClient::of(&server, ADA);
    let flood = std::thread::spawn(move || {
        let emit = json!({ "type": "emit", "room": "r", "event": "e" }).to_string();
        while ada.socket.send(Message::Text(emit.as_str().into())).is_ok() {}
    });
    bo.event("e");
    assert_eq!(server.engine().revoke_user("ada", "left"), 1);
    server.engine().events().tell(Some("r"), "revoked", None).unwrap();
    bo.event("revoked");
    flood.join().unwrap();
    assert_eq!(bo.settle(), [Value::Null; 0]);
}

#[test]
fn an_expired_token_is_told_and_ends_the_connection_unless_another_comes() {
    let server = Server::with_clock(config(), Arc::default());
    // Longer than it takes to get in.
    let mut ada = EventClient::extended(&server, "editor:ada:3000");
    let mut bo = EventClient::extended(&server, "editor:bo:3000");
    ada.join("r");
    let end = |client: &mut EventClient| client.until(|message| message["code"] == "TOKEN_EXPIRED");
    end(&mut ada);
    end(&mut bo);
    // It hears, and says nothing as somebody.
    assert!(refused(&bo.ask(json!({ "type": "emit", "room": "r", "event": "e" }))));
    bo.say(&json!({ "type": "auth", "token": "editor:bo" }));
    bo.until(|message| message["type"] == "auth");
    bo.join("r");
    bo.emit("r", "e", &json!(1));
    assert_eq!(ada.event("e")["room"], "r");
    server.forward(EVENT_EXPIRY_GRACE + Duration::from_secs(1));
    let (_, code, reason) = ada.until_closed();
    assert_eq!((code, reason.contains("TOKEN_EXPIRED")), (4001, true), "{reason}");
    bo.join("r");
}

#[test]
fn who_shows_no_token_in_time_goes_where_one_is_asked_for() {
    let mut config = config();
    config.events.auth_timeout_seconds = 10;
    let server = Server::with_clock(config, Arc::default());
    let mut nobody = EventClient::plain(&server);
    let mut bo = EventClient::plain(&server);
    nobody.say(&json!({ "type": "auth", "token": "nonsense" }));
    nobody.until(|message| message["error"] == "Invalid authentication token");
    nobody.join("public:a");
    bo.say(&json!({ "type": "auth", "token": "editor:bo" }));
    bo.until(|message| message["type"] == "auth");
    server.forward(Duration::from_secs(11));
    let (said, code, reason) = nobody.until_closed();
    assert_eq!(
        (said[0]["error"].as_str(), code),
        (Some("Authentication failed"), 4001),
        "{reason}"
    );
    bo.join("r");
}

#[test]
fn rights_that_are_lost_are_lost_on_live_connections() {
    let rules = json!([{ "rooms": "staff", "join": ["clerk"] }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 10;
    let server = Server::with_clock(config, Arc::default());
    let mut cy = EventClient::extended(&server, "clerk:cy");
    let mut eve = EventClient::extended(&server, "clerk:eve");
    cy.join("staff");
    eve.join("staff");
    server.host.give_role("cy", "editor");
    server.host.give_role("eve", "gone");
    server.forward(Duration::from_secs(11));
    assert_eq!(eve.until_closed().1, 4001);
    let left = cy.until(|message| message["type"] == "left");
    assert_eq!(left["room"], "staff");
    assert!(refused(&cy.ask(json!({ "type": "join", "room": "staff" }))));
}

#[test]
fn limits_of_rooms_are_exact_and_places_come_back() {
    let mut config = config();
    config.limits.max_rooms_per_client = 3;
    config.events.rooms_max = 4;
    config.events.history_size = 0;
    let server = Server::with(config, Arc::default());
    let mut ada = EventClient::of(&server, ADA);
    for room in ["a", "b", "c"] {
        ada.join(room);
    }
    let limit = ada.ask(json!({ "type": "join", "room": "d" }));
    assert_eq!(
        (&limit["error"], &limit["code"]),
        (&json!("Room limit exceeded"), &json!("EVENT_ROOM_LIMIT_EXCEEDED"))
    );
    ada.join("a");
    let mut bo = EventClient::of(&server, "editor:bo");
    bo.join("d");
    let full = bo.ask(json!({ "type": "join", "room": "e" }));
    assert_eq!(full["code"], "ROOM_LIMIT_REACHED", "{full}");
    bo.join("a");
    ada.ask(json!({ "type": "leave", "room": "b" }));
    bo.join("e");
    bo.ask(json!({ "type": "leave", "room": "e" }));
    ada.join("f");
}

#[test]
fn rooms_that_nobody_is_in_make_room_for_those_who_come() {
    let mut config = config();
    config.events.rooms_max = 8;
    let server = Server::with(config, Arc::default());
    let hub = server.engine().events();
    for number in 0..20 {
        hub.tell(Some(&format!("quiet:{number}")), "e", None).unwrap();
    }
    server.block_on(hub.flush());
    assert_eq!(hub.rooms_open(), 8, "more are not kept");
    let mut ada = EventClient::of(&server, ADA);
    for number in 0..8 {
        ada.join(&format!("r{number}"));
    }
    assert_eq!(ada.ask(json!({ "type": "join", "room": "r8" }))["code"], "ROOM_LIMIT_REACHED");
}

#[test]
fn connections_for_events_share_the_limits_of_all() {
    let mut config = config();
    config.rate_limiting.connections_per_ip = 4;
    config.rate_limiting.connections_per_user = 2;
    let server = Server::with(config, Arc::default());
    let _document = Client::join(&server.url("notes/a"), ADA);
    let mut ada = EventClient::of(&server, ADA);
    let mut third = EventClient::plain(&server);
    third.say(&json!({ "type": "auth", "token": ADA }));
    let (_, code, reason) = third.until_closed();
    assert_eq!((code, reason.contains("per-user")), (4029, true), "{reason}");
    eventually("its place came back", || server.engine().health().connections.total == 2);
    let _more = (EventClient::plain(&server), EventClient::plain(&server));
    let mut fifth = EventClient::connect(&server, "/socket.io/", &[]);
    let (_, code, reason) = fifth.until_closed();
    assert_eq!((code, reason.contains("per-IP")), (4029, true), "{reason}");
    ada.join("r");
}

#[test]
fn who_sends_too_much_is_slowed_warned_and_closed() {
    log::keep();
    let mut config = config();
    config.limits.message_rate_limit = 10;
    let server = Server::with_clock(config, Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("r");
    // A burst beyond the bucket is slowed and lost nowhere.
    for number in 0..25 {
        ada.emit("r", "e", &json!(number));
    }
    let mut heard = 0;
    while heard < 25 {
        server.forward(Duration::from_millis(200));
        assert_eq!(ada.event("e")["data"], heard);
        heard += 1;
    }
    assert!(server.engine().metrics().throttled.get("events") > 0);
    // Who goes on for ever is told, then closed.
    let mut eve = EventClient::extended(&server, "editor:eve");
    for _ in 0..2000 {
        eve.say(&json!({ "type": "leave", "room": "x" }));
    }
    let metrics = server.engine().metrics();
    eventually("the warning", || {
        server.forward(Duration::from_millis(500));
        metrics.rate_notices.get() == 1
    });
    eventually("the end", || {
        server.forward(Duration::from_millis(500));
        metrics.closes.get("RATE_LIMIT_EXCEEDED") == 1
    });
    let (said, code, _) = eve.until_closed();
    assert_eq!((said[0]["error"].as_str(), code), (Some("Rate limit exceeded"), 1008));
}

#[test]
fn a_silent_client_is_asked_and_then_gone() {
    let server = Server::with_clock(config(), Arc::default());
    let mut ada = EventClient::of(&server, ADA);
    ada.join("r");
    // It reads nothing, so its library answers no ping.
    server.forward(Duration::from_secs(51));
    server.forward(Duration::from_secs(10));
    let metrics = server.engine().metrics();
    eventually("it is gone", || metrics.closes.get("PEER_DEAD") == 1);
    eventually("and out of its rooms", || metrics.event_members.get() == 0);
    // Whoever answers stays.
    let mut bo = EventClient::of(&server, "editor:bo");
    for _ in 0..5 {
        server.forward(Duration::from_secs(51));
        bo.settle();
    }
    bo.join("r");
}

#[test]
fn what_is_said_is_a_sign_of_life_unless_only_answers_to_pings_are() {
    for (optimized, gone) in [(true, 0), (false, 1)] {
        let mut config = config();
        config.performance.keep_alive_optimization = optimized;
        let server = Server::with_clock(config, Arc::default());
        let mut ada = EventClient::of(&server, ADA);
        let metrics = server.engine().metrics();
        // It speaks and reads nothing, so its library answers no ping.
        for said in 1..=3 {
            server.forward(Duration::from_secs(25));
            let before = metrics.event_messages_in.get();
            if ada.socket.send(Message::Text(r#"{"type":"ping"}"#.into())).is_ok() {
                eventually("it is heard, or gone", || {
                    metrics.event_messages_in.get() > before || metrics.closes.get("PEER_DEAD") > 0
                });
            }
            assert!(said < 3 || metrics.closes.get("PEER_DEAD") == gone, "{optimized}");
        }
    }
}
