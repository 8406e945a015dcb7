//! Rooms that somebody else handles: the way of a connection from its 101 to its end.

use std::{
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use civicpress_realtime::{
    config::Config,
    limits::{HANDLER_MESSAGES_MAX, HANDLER_STALL},
    net::handled::{PeerState, Refusal},
};
use tungstenite::{Message, WebSocket};

use crate::support::{
    Client, FakeHandlers, FakeHost, Server, client::Frame, eventually, server::config,
};

fn server() -> (Server, Arc<FakeHandlers>) {
    server_with(config())
}

fn server_with(config: Config) -> (Server, Arc<FakeHandlers>) {
    let handlers = Arc::<FakeHandlers>::default();
    let shared: Arc<FakeHandlers> = Arc::clone(&handlers);
    (Server::handled(config, Arc::<FakeHost>::default(), shared), handlers)
}

/// A device that is in; what it was told with the acknowledgement.
fn device(server: &Server, token: &str) -> (WebSocket<TcpStream>, serde_json::Value) {
    let mut client = Client::connect(&server.url("devices/7f"), token);
    let Message::Text(ack) = client.socket.read().unwrap() else { panic!("the ack is text") };
    (client.socket, serde_json::from_str(ack.as_str()).unwrap())
}

fn say(socket: &mut WebSocket<TcpStream>, text: &str) {
    socket.send(Message::text(text)).unwrap();
}

fn text_of(socket: &mut WebSocket<TcpStream>) -> serde_json::Value {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

#[test]
fn a_connection_is_asked_for_counted_acknowledged_heard_and_let_go() {
    let (server, handlers) = server();
    let (mut socket, ack) = device(&server, "seven");
    assert_eq!((&ack["event"], &ack["roomId"]), (&"connection.ack".into(), &"device:7f".into()));
    assert_eq!(ack["clientId"], handlers.peer().client_name());
    assert!(ack.get("canEdit").is_none(), "nothing is edited there");
    say(&mut socket, r#"{"type":"status"}"#);
    eventually("heard", || handlers.calls().len() == 3);
    assert!(handlers.peer().send_text(r#"{"type":"command"}"#));
    assert_eq!(text_of(&mut socket)["type"], "command");
    socket.close(None).unwrap();
    eventually("let go", || handlers.peer().state() == PeerState::Closed);
    eventually("told", || handlers.calls().len() == 4);
    let calls = handlers.calls();
    assert_eq!(calls, ["connect", "admitted device:seven", r#"{"type":"status"}"#, "closed 1005"]);
    assert!(!handlers.peer().send_text("{}"), "nobody is there");
    eventually("given back", || server.engine().health().connections.total == 0);
}

#[test]
fn pings_are_answered_here_and_nonsense_is_refused_here() {
    let (server, handlers) = server();
    let (mut socket, _) = device(&server, "seven");
    say(&mut socket, r#"{"type":"ping"}"#);
    assert_eq!(text_of(&mut socket)["type"], "pong");
    say(&mut socket, "{");
    assert_eq!(text_of(&mut socket)["error"]["code"], "control_invalid");
    socket.send(Message::binary(b"[1]".to_vec())).unwrap();
    eventually("JSON in a binary frame is heard", || handlers.calls().last().unwrap() == "[1]");
    assert_eq!(handlers.calls().len(), 3, "nothing else was");
}

#[test]
fn the_host_is_asked_unless_the_handler_authenticates() {
    let (server, handlers) = server();
    let mut refused = Client::connect(&server.url("desk/a"), "nonsense");
    assert_eq!(refused.until_closed().0, 4001);
    assert!(handlers.calls().is_empty(), "the handler never saw it");
    let mut taken = Client::connect(&server.url("desk/a"), "viewer:ada");
    taken.next();
    assert_eq!(handlers.calls(), ["connect", "admitted ada"]);
    assert_eq!(server.engine().revoke_user("ada", ""), 1);
    assert_eq!(taken.until_closed().0, 4001);
    let (_device, _) = device(&server, "ada");
    assert_eq!(server.engine().revoke_user("ada", ""), 0, "a device is nobody's session");
}

#[test]
fn a_refusal_has_its_code_and_leaves_nothing() {
    let (server, handlers) = server();
    let failed = Refusal::Failed { code: "DEVICE_UNKNOWN".into(), message: "who?".into() };
    for (refusal, close, told) in [
        (Refusal::Denied, 4003, "PERMISSION_DENIED"),
        (failed, 4003, "DEVICE_UNKNOWN"),
        (Refusal::Nobody, 4001, "AUTH_FAILED"),
        (Refusal::RoomLimit("full".into()), 4503, "ROOM_LIMIT_REACHED"),
        (Refusal::Unavailable("gone".into()), 4500, "HANDLER_FAILED"),
    ] {
        for seam in [&handlers.refuse, &handlers.refuse_admission] {
            *seam.lock() = Some(refusal.clone());
            let mut client = Client::connect(&server.url("device/7f"), "seven");
            let Frame::Text(error) = client.next() else { panic!("the error comes as text") };
            let error: serde_json::Value = serde_json::from_str(&error).unwrap();
            assert_eq!(error["error"]["code"], told);
            assert_eq!(client.until_closed().0, close, "{told}");
            *seam.lock() = None;
            eventually("told", || handlers.calls().last().unwrap() == "closed 1006");
        }
    }
    assert_eq!(server.engine().health().connections.total, 0);
}

#[test]
fn a_type_that_nobody_handles_is_not_registered() {
    let (server, _) = server();
    let mut client = Client::connect(&server.url("doors/1"), "seven");
    let (code, reason) = client.until_closed();
    let expected = r#"{"code":"ROOM_TYPE_NOT_REGISTERED","roomType":"doors"}"#;
    assert_eq!((code, reason.as_str()), (4004, expected));
    assert!(
        matches!(client.seen[..], [Frame::Closed(..)]),
        "no frame before it: {:?}",
        client.seen
    );
}

#[test]
fn a_handler_that_hangs_costs_one_connection() {
    let mut config = config();
    config.auth.timeout_ms = 300;
    let (server, handlers) = server_with(config);
    handlers.hangs.store(true, Ordering::Relaxed);
    let mut hung = Client::connect(&server.url("device/7f"), "seven");
    eventually("asked", || handlers.calls().len() == 1);
    handlers.hangs.store(false, Ordering::Relaxed);
    let (_other, _) = device(&server, "eight");
    let (code, reason) = hung.until_closed();
    assert_eq!((code, reason.as_str()), (4500, r#"{"code":"HANDLER_FAILED"}"#));
}

#[test]
fn messages_keep_their_order_and_a_busy_handler_stops_the_reading() {
    let (server, handlers) = server();
    handlers.is_busy.store(true, Ordering::Relaxed);
    let (mut socket, _) = device(&server, "seven");
    for number in 0..1000 {
        say(&mut socket, &number.to_string());
    }
    eventually("the window is full", || handlers.open.lock().len() == HANDLER_MESSAGES_MAX);
    // Others are served meanwhile, and so is what goes to this one.
    let (mut other, _) = device(&server, "eight");
    assert!(handlers.peers.lock()[0].send_text(r#"{"type":"command"}"#));
    assert_eq!(text_of(&mut socket)["type"], "command");
    say(&mut other, r#"{"type":"ping"}"#);
    assert_eq!(text_of(&mut other)["type"], "pong");
    assert_eq!(handlers.open.lock().len(), HANDLER_MESSAGES_MAX, "no more was taken");
    handlers.get_on();
    let heard = || -> Vec<String> {
        let calls = handlers.calls();
        calls.into_iter().filter(|call| call.bytes().all(|byte| byte.is_ascii_digit())).collect()
    };
    eventually("all is heard", || heard().len() == 1000);
    assert_eq!(heard(), (0..1000).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_handler_that_is_done_with_nothing_loses_its_connection() {
    let handlers = Arc::<FakeHandlers>::default();
    handlers.is_busy.store(true, Ordering::Relaxed);
    let shared: Arc<FakeHandlers> = Arc::clone(&handlers);
    let server = Server::handled_with_clock(config(), Arc::default(), shared);
    let (mut socket, _) = device(&server, "seven");
    for number in 0..HANDLER_MESSAGES_MAX {
        say(&mut socket, &number.to_string());
    }
    eventually("the window is full", || handlers.open.lock().len() == HANDLER_MESSAGES_MAX);
    // An echo of its own says that the connection has gone round once more and knows.
    handlers.peer().send_text("{}");
    text_of(&mut socket);
    server.forward(HANDLER_STALL + Duration::from_secs(1));
    assert_eq!(text_of(&mut socket)["error"]["code"], "HANDLER_FAILED");
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("the close is next") };
    assert_eq!(u16::from(frame.code), 4500);
}

#[test]
fn what_was_sent_reaches_the_handler_before_the_end_does() {
    let (server, handlers) = server();
    let (mut socket, _) = device(&server, "seven");
    for number in 0..50 {
        say(&mut socket, &number.to_string());
    }
    socket.close(None).unwrap();
    eventually("told", || handlers.calls().last().unwrap() == "closed 1005");
    assert_eq!(handlers.calls().len(), 2 + 50 + 1);
}

#[test]
fn the_handler_closes_with_its_own_code_and_reason() {
    let (server, handlers) = server();
    let (mut socket, _) = device(&server, "seven");
    let peer = handlers.peer();
    peer.send_text(r#"{"type":"last"}"#);
    peer.close(4005, "replaced by another");
    // It may be done with it already.
    assert!(matches!(peer.state(), PeerState::Closing | PeerState::Closed));
    assert!(!peer.send_text("{}"), "it takes no more");
    assert_eq!(text_of(&mut socket)["type"], "last");
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("the close is next") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (4005, "replaced by another"));
    eventually("told", || handlers.calls().last().unwrap() == "closed 4005");
}

#[test]
fn devices_have_the_limits_of_users() {
    let mut config = config();
    config.rate_limiting.connections_per_user = 2;
    let (server, _) = server_with(config);
    let _two = [device(&server, "seven"), device(&server, "seven")];
    let mut third = Client::connect(&server.url("device/7f"), "seven");
    assert_eq!(third.until_closed().0, 4029);
    let _other = device(&server, "eight");
}

#[test]
fn a_flood_is_slowed_then_closed() {
    let mut config = config();
    config.rate_limiting.messages_per_second = 5;
    config.rate_limiting.burst = Some(5);
    let (server, _) = server_with(config);
    let (mut socket, _) = device(&server, "seven");
    let writer = socket.get_ref().try_clone().unwrap();
    let flood = std::thread::spawn(move || {
        let mut writer =
            WebSocket::from_raw_socket(writer, tungstenite::protocol::Role::Client, None);
        while writer.send(Message::text("1")).is_ok() {}
    });
    assert_eq!(text_of(&mut socket)["event"], "notice");
    assert_eq!(text_of(&mut socket)["error"]["code"], "RATE_LIMIT_EXCEEDED");
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("the close is next") };
    assert_eq!(u16::from(frame.code), 1008);
    drop(socket);
    flood.join().unwrap();
}

#[test]
fn whoever_follows_documents_knows_of_a_session_before_its_client_does() {
    let (server, handlers) = server();
    handlers.follows.store(true, Ordering::Relaxed);
    let mut client = Client::connect(&server.url("notes/a"), "editor:ada");
    let Frame::Json(ack) = client.next() else { panic!("the ack is first") };
    assert_eq!(handlers.calls(), ["admitted ada"]);
    assert_eq!(ack["clientId"], handlers.peer().client_name());
    handlers.peer().send_text(r#"{"type":"hello"}"#);
    client.until(|frame| matches!(frame, Frame::Json(json) if json["type"] == "hello"));
    client.vanish();
    eventually("told", || handlers.calls().len() == 2);
    assert_eq!(handlers.peer().state(), PeerState::Closed);
}

#[test]
fn a_stop_closes_and_tells() {
    let (mut server, handlers) = server();
    let (mut socket, _) = device(&server, "seven");
    server.stop();
    assert_eq!(text_of(&mut socket)["error"]["code"], "SHUTTING_DOWN");
    eventually("told", || handlers.calls().last().unwrap() == "closed 4503");
}
