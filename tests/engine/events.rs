//! go-deployd's event protocol over real sockets: frames, rooms, order.

use civicpress_realtime::events::Occupied;
use serde_json::{Value, json};
use tungstenite::Message;

use crate::{
    http::get,
    support::{EventClient, Server, eventually, server::config},
};

const ADA: &str = "editor:ada";
const BO: &str = "editor:bo";

/// A server on which tests may send as fast as they can.
pub fn quick() -> Server {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    Server::with(config, std::sync::Arc::default())
}

fn keys(message: &Value) -> Vec<&str> {
    message.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn frames_are_go_deployds() {
    let server = Server::start();
    for path in ["/socket.io", "/socket.io/", "/realtime/events", "/realtime/events/?a=b"] {
        let mut ada = EventClient::connect(&server, path, &[]);
        let greeting = ada.next();
        assert_eq!(keys(&greeting), ["data", "meta", "type"], "{greeting}");
        assert_eq!(keys(&greeting["data"]), ["client_id", "timestamp"]);
        let seconds = greeting["meta"]["timestamp"].as_u64().expect("a whole number of seconds");
        assert_eq!(greeting["data"]["timestamp"], seconds);
        assert!((1_700_000_000..10_000_000_000).contains(&seconds));
        let told = ada.auth(ADA);
        assert_eq!(keys(&told), ["data", "meta", "type"]);
        assert_eq!(
            told["data"],
            json!({ "authenticated": true, "is_root": false, "user_id": "ada" })
        );
        ada.join("r");
        for data in [json!({ "a": [1, null] }), json!(0), json!(""), json!(false)] {
            ada.emit("r", "e", &data);
            let heard = ada.next();
            assert_eq!(keys(&heard), ["data", "event", "meta", "room", "type"], "{heard}");
            assert_eq!(
                (&heard["type"], &heard["room"], &heard["data"]),
                (&json!("emit"), &json!("r"), &data)
            );
        }
        ada.emit("r", "e", &Value::Null);
        assert_eq!(keys(&ada.next()), ["event", "meta", "room", "type"], "null is nothing");
    }
    let mut root = EventClient::plain(&server);
    assert_eq!(root.auth("admin:eve")["data"]["is_root"], true);
}

#[test]
fn error_texts_are_go_deployds_and_cost_nothing_else() {
    let server = Server::start();
    let mut ada = EventClient::plain(&server);
    for (said, text) in [
        ("nonsense", "Invalid message format"),
        ("[]", "Invalid message format"),
        (r#"{"type":"dance"}"#, "Unknown message type: dance"),
        (r#"{"type":"auth","token":"nobody"}"#, "Invalid authentication token"),
        (r#"{"type":"auth"}"#, "Invalid authentication token"),
        (r#"{"type":"join"}"#, "Room name required"),
        (r#"{"type":"leave","room":""}"#, "Room name required"),
        (r#"{"type":"emit","room":"public:a"}"#, "Event name required"),
    ] {
        ada.say_text(said);
        let answer = ada.next();
        assert_eq!(keys(&answer), ["error", "meta", "type"], "{said}: {answer}");
        assert_eq!((&answer["type"], &answer["error"]), (&json!("error"), &json!(text)), "{said}");
    }
    server.host.fail_auth.store(true, std::sync::atomic::Ordering::Relaxed);
    ada.say_text(r#"{"type":"auth","token":"editor:ada"}"#);
    assert_eq!(ada.next()["error"], "Authentication not available");
    server.host.fail_auth.store(false, std::sync::atomic::Ordering::Relaxed);
    ada.auth(ADA);
}

#[test]
fn joins_and_leaves_are_silent_unless_somebody_asks() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, ADA);
    ada.say(&json!({ "type": "join", "room": "r" }));
    ada.say(&json!({ "type": "join", "room": "r" }));
    ada.say(&json!({ "type": "leave", "room": "r" }));
    ada.say(&json!({ "type": "leave", "room": "r" }));
    ada.say(&json!({ "type": "leave", "room": "never-joined" }));
    assert_eq!(ada.settle(), [Value::Null; 0]);
    let mut bo = EventClient::of(&server, BO);
    assert_eq!(bo.join("r")["members"], 1);
    let joined = ada.join("r");
    assert_eq!((&joined["members"], &joined["offset"]), (&json!(2), &json!(0)), "{joined}");
    assert_eq!(ada.join("r")["members"], 2, "joining twice is being in once");
    let left = ada.ask(json!({ "type": "leave", "room": "r" }));
    assert_eq!((&left["type"], &left["room"]), (&json!("left"), &json!("r")));
    assert_eq!(bo.join("r")["members"], 1);
}

#[test]
fn who_emits_hears_it_too_and_others_do_not() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    let mut cy = EventClient::of(&server, "editor:cy");
    ada.join("r");
    bo.join("r");
    cy.join("other");
    ada.emit("r", "hello", &json!("x"));
    assert_eq!(ada.next()["data"], "x");
    assert_eq!(bo.next()["data"], "x");
    ada.say(&json!({ "type": "emit", "room": "r", "event": "quiet", "echo": false }));
    ada.emit("r", "last", &json!(1));
    assert_eq!(ada.next()["event"], "last");
    assert_eq!((&bo.next()["event"], &bo.next()["event"]), (&json!("quiet"), &json!("last")));
    // Who may speak in a room need not be in it.
    cy.emit("r", "from outside", &json!(1));
    assert_eq!(bo.next()["event"], "from outside");
    assert_eq!(cy.settle(), [Value::Null; 0]);
}

#[test]
fn every_frame_is_one_message_under_a_burst() {
    let server = quick();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    ada.join("r");
    bo.join("r");
    for number in 0..1000 {
        ada.emit("r", "e", &json!({ "n": number }));
    }
    // `next` parses each frame as one message.
    for client in [&mut ada, &mut bo] {
        for number in 0..1000 {
            assert_eq!(client.next()["data"]["n"], number, "in the order they were emitted");
        }
    }
}

#[test]
fn an_event_called_as_a_message_is_is_no_such_message() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, ADA);
    ada.join("r");
    for name in ["connect", "auth", "error", "joined", "disconnect"] {
        ada.emit("r", name, &json!({ "client_id": "forged", "authenticated": true }));
        let heard = ada.next();
        assert_eq!((&heard["type"], &heard["event"]), (&json!("emit"), &json!(name)));
    }
}

#[test]
fn hostile_messages_cost_an_error_and_hostile_frames_a_close() {
    let server = quick();
    let deep = format!(
        r#"{{"type":"emit","room":"r","event":"e","data":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let mut ada = EventClient::of(&server, ADA);
    ada.join("r");
    for text in [deep.as_str(), "\"", "{", "{\"type\":\"join\",\"room\":\"\\ud800\"}", "nul"] {
        ada.say_text(text);
        assert_eq!(ada.next()["error"], "Invalid message format");
    }
    // go-deployd takes binary frames for text.
    ada.socket
        .send(Message::Binary(br#"{"type":"emit","room":"r","event":"b"}"#[..].into()))
        .unwrap();
    assert_eq!(ada.event("b")["room"], "r");
    ada.socket.send(Message::Binary(vec![0xff, 0xfe].into())).unwrap();
    assert_eq!(ada.next()["error"], "Invalid message format");

    // Fragments, with a ping between them.
    let write = |client: &mut EventClient, bytes: &[u8]| {
        std::io::Write::write_all(client.socket.get_mut(), bytes).unwrap();
    };
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        frame.extend(payload);
        frame
    };
    write(&mut ada, &masked(0x01, br#"{"type":"emit","room":"r","#));
    write(&mut ada, &masked(0x89, b"?"));
    write(&mut ada, &masked(0x80, br#""event":"whole"}"#));
    assert_eq!(ada.event("whole")["room"], "r");

    for (frame, code) in [
        (masked(0x81, b"\xff"), 1007),
        // Not masked, reserved bits, a reserved opcode.
        (vec![0x81, 2, b'{', b'}'], 1002),
        (masked(0xc1, b"{}"), 1002),
        (masked(0x83, b"{}"), 1002),
    ] {
        let mut eve = EventClient::plain(&server);
        write(&mut eve, &frame);
        assert_eq!(eve.until_closed().1, code, "{frame:?}");
    }
    assert_eq!(ada.settle(), [Value::Null; 0], "the others live on");
}

#[test]
fn sixty_four_kib_pass_and_a_byte_more_ends_it() {
    let server = quick();
    let mut ada = EventClient::of(&server, ADA);
    ada.join("r");
    let message = |bytes: usize| {
        let empty = r#"{"type":"emit","room":"r","event":"e","data":""}"#;
        empty.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - empty.len())))
    };
    ada.say_text(&message(64 * 1024));
    assert!(ada.event("e")["data"].as_str().unwrap().len() > 65_000);
    ada.say_text(&message(64 * 1024 + 1));
    let (said, code, reason) = ada.until_closed();
    assert_eq!((said.len(), code), (0, 1009), "{reason}");
}

#[test]
fn what_is_no_request_for_events_is_told_so() {
    let server = Server::start();
    let (status, body) = get(&server, "/socket.io/", "");
    assert_eq!(status, 426, "{body}");
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (status, body) = get(&server, "/socket.io/?EIO=4&transport=websocket", upgrade);
    assert_eq!((status, body.contains("not Socket.IO")), (400, true), "{body}");
    let evil = format!("{upgrade}Origin: https://evil.example\r\n");
    assert_eq!(get(&server, "/socket.io/", &evil).0, 403);
    assert_eq!(get(&server, "/socket.iox/", upgrade).0, 401);
}

#[test]
fn rooms_and_places_come_back_when_everybody_is_gone() {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    config.events.history_size = 0;
    let server = Server::with(config, std::sync::Arc::default());
    let hub = server.engine().events();
    let metrics = server.engine().metrics();
    {
        let mut ada = EventClient::of(&server, ADA);
        for cycle in 0..10_000 {
            let room = format!("r{}", cycle % 100);
            ada.say(&json!({ "type": "join", "room": room }));
            ada.say(&json!({ "type": "leave", "room": room }));
        }
        ada.settle();
        eventually("all are left", || (hub.rooms_open(), metrics.event_members.get()) == (0, 0));
        let mut clients: Vec<_> = (0..20).map(|_| EventClient::of(&server, ADA)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            for room in 0..50 {
                client.say(&json!({ "type": "join", "room": format!("many:{number}:{room}") }));
            }
            client.join("together");
        }
        assert_eq!((hub.rooms_open(), metrics.event_members.get()), (1001, 1020));
        let rooms = server.block_on(hub.rooms());
        assert!(rooms.contains(&Occupied { room: "together".into(), members: 20 }));
        // Some say goodbye, some vanish; whoever stays is served at once.
        ada.join("together");
        for mut client in clients.drain(..10) {
            client.socket.close(None).unwrap();
            ada.emit("together", "one went", &json!(1));
            ada.event("one went");
        }
        while let Some(client) = clients.pop() {
            drop(client);
            EventClient::of(&server, BO).join("together");
            ada.emit("together", "one vanished", &json!(1));
            ada.event("one vanished");
        }
        eventually("only she is left", || {
            (hub.rooms_open(), metrics.event_members.get(), metrics.event_connections.get())
                == (1, 1, 1)
        });
    }
    eventually("nothing is left", || {
        (hub.rooms_open(), metrics.event_members.get(), metrics.event_connections.get())
            == (0, 0, 0)
    });
    EventClient::of(&server, ADA).join("together");
}

#[test]
fn what_was_emitted_before_the_end_arrives() {
    let mut server = quick();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, BO);
    bo.join("r");
    for number in 0..500 {
        ada.emit("r", "e", &json!(number));
    }
    ada.socket.close(None).unwrap();
    for number in 0..500 {
        assert_eq!(bo.next()["data"], number);
    }
    let mut cy = EventClient::of(&server, "editor:cy");
    cy.join("r");
    for number in 0..500 {
        bo.emit("r", "f", &json!(number));
    }
    bo.settle();
    server.stop();
    let (said, code, _) = cy.until_closed();
    let events: Vec<_> = said.iter().filter(|message| message["event"] == "f").collect();
    assert_eq!((events.len(), code), (500, 4503));
    assert_eq!(events[499]["data"], 499);
}
