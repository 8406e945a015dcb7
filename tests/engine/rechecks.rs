//! Who is in is asked about again while the session lasts.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use civicpress_realtime::{config::Config, limits::RECHECKS_MAX, protocol::sync};

use crate::support::{Client, FakeHandlers, FakeHost, Server, client::Frame, eventually, server};

const EDITOR: &str = "editor:ada";

fn config() -> Config {
    let mut config = server::config();
    config.auth.recheck_seconds = 1;
    config
}

fn start() -> Server {
    Server::with(config(), Arc::default())
}

fn may_edit(frame: &Frame, expected: bool) -> bool {
    matches!(frame, Frame::Json(json) if json["event"] == "connection.ack" && json["canEdit"] == expected)
}

fn acked(frame: &Frame, count: u64) -> bool {
    matches!(frame, Frame::Json(json) if json["type"] == "ack" && json["updates"] == count)
}

#[test]
fn a_token_that_no_longer_holds_ends_its_sessions() {
    let server = start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    server.host.give_role("ada", "gone");
    assert_eq!(ada.until_closed(), (4001, r#"{"code":"AUTH_FAILED"}"#.into()));
    let present = server.block_on(server.engine().presence("notes:a")).unwrap();
    assert_eq!(present.len(), 1, "gone before it is told");
    bo.type_text("still here");
    Client::join(&url, "editor:cy").until_text("still here");
}

#[test]
fn a_permission_that_is_lost_ends_the_session() {
    let server = Server::with(config(), FakeHost::with_record("a", "text"));
    let url = server.url("records/a");
    let mut ada = Client::join(&url, EDITOR);
    server.host.give_role("ada", "nobody");
    assert_eq!(ada.until_closed(), (4003, r#"{"code":"PERMISSION_DENIED"}"#.into()));
    let mut bo = Client::join(&url, "editor:bo");
    server.host.records.lock().clear();
    assert_eq!(bo.until_closed().0, 4003, "a record that is gone is not anybody's to see");
}

#[test]
fn a_client_that_comes_back_in_a_loop_is_not_asked_about_each_time() {
    let server = Server::start();
    let url = server.url("notes/a");
    for token in ["nonsense", "stranger:mallory"] {
        let asked = server.host.authentications.load(Relaxed);
        let codes: Vec<_> = (0..5).map(|_| Client::connect(&url, token).until_closed().0).collect();
        assert!(codes.iter().all(|code| *code == codes[0] && *code > 4000), "{codes:?}");
        assert_eq!(server.host.authentications.load(Relaxed), asked + 1, "{token}");
    }
    // A yes is never remembered, nor that the host failed.
    let asked = server.host.authentications.load(Relaxed);
    let (_one, _two) = (Client::join(&url, EDITOR), Client::join(&url, EDITOR));
    assert_eq!(server.host.authentications.load(Relaxed), asked + 2);
    server.host.fail_auth.store(true, Relaxed);
    assert_eq!(Client::connect(&url, EDITOR).until_closed().0, 4001);
    server.host.fail_auth.store(false, Relaxed);
    Client::join(&url, EDITOR);
}

/// From editor to reader and back, on one connection, with edits in between.
#[test]
fn a_role_change_takes_effect_on_the_live_session() {
    let server = start();
    let url = server.url("notes/a");
    let metrics = server.engine().metrics();
    let mut ada = Client::join(&format!("{url}?ack=json"), EDITOR);
    let mut bo = Client::join(&url, "editor:bo");
    ada.type_text("one ");
    bo.until_text("one ");
    ada.until(|frame| acked(frame, 2));

    server.host.give_role("ada", "viewer");
    ada.until(|frame| may_edit(frame, false));
    ada.until(|frame| *frame == Frame::Denied("read-only".into()));
    ada.type_text("two ");
    let again = ada.edit("three ");
    ada.send(sync::sync_step2(&again));
    ada.edit("four ");
    // What is missing something is refused like the rest, not held.
    ada.type_text("five ");
    eventually("refused", || metrics.updates_readonly.get() == 3);
    assert_eq!((metrics.updates_held.get(), metrics.updates_applied.get()), (0, 1));
    bo.type_text("by bo ");
    ada.until(|frame| matches!(frame, Frame::Update(_)));

    server.host.give_role("ada", "editor");
    ada.until(|frame| may_edit(frame, true));
    // The server asks for what it refused; the answer makes up for it, acknowledgements included.
    ada.until(|frame| acked(frame, 6));
    let text = ada.text();
    assert!(text.contains("two three four five"), "{text}");
    bo.until_text(&text);
    ada.type_text("six");
    ada.until(|frame| acked(frame, 7));
}

#[test]
fn rooms_flow_while_the_host_hangs_and_its_silence_has_an_end() {
    let mut config = config();
    config.auth.timeout_ms = 300;
    let server = Server::with(config, Arc::default());
    let url = server.url("notes/a");
    let metrics = server.engine().metrics();
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    server.host.auth_delay_ms.store(60_000, Relaxed);
    eventually("no answer", || metrics.rechecks.get("unanswered") >= 2);
    ada.type_text("edits flow");
    bo.until_text("edits flow");
    // An answer in time, and all is as before.
    server.host.auth_delay_ms.store(0, Relaxed);
    let kept = metrics.rechecks.get("kept");
    eventually("an answer", || metrics.rechecks.get("kept") >= kept + 4);
    assert_eq!(server.engine().health().connections.total, 2);
    server.host.auth_delay_ms.store(60_000, Relaxed);
    assert_eq!(ada.until_closed(), (4500, r#"{"code":"AUTH_UNAVAILABLE"}"#.into()));
    assert_eq!(bo.until_closed().0, 4500);
    assert_eq!(metrics.rechecks.get("given_up"), 2);
    server.host.auth_delay_ms.store(0, Relaxed);
    Client::join(&url, EDITOR).until_text("edits flow");
}

#[test]
fn one_question_serves_all_connections_of_a_user_in_a_room() {
    let server = start();
    let url = server.url("notes/a");
    let _tabs: Vec<_> = (0..6).map(|_| Client::join(&url, EDITOR)).collect();
    let metrics = server.engine().metrics();
    let before = (metrics.rechecks.get("kept"), server.host.authorizations.load(Relaxed));
    eventually("two rounds", || metrics.rechecks.get("kept") >= before.0 + 12);
    let asked = server.host.authorizations.load(Relaxed) - before.1;
    let kept = metrics.rechecks.get("kept") - before.0;
    assert!(asked * 5 <= kept, "{asked} questions for {kept} answers");
}

#[test]
fn a_slow_host_is_asked_so_much_at_once_and_no_more() {
    let server = start();
    let users: Vec<_> = (0..100)
        .map(|user| Client::join(&server.url("notes/a"), &format!("editor:u{user}")))
        .collect();
    let metrics = server.engine().metrics();
    server.host.deciding_max.store(0, Relaxed);
    server.host.authorize_delay_ms.store(400, Relaxed);
    let before = metrics.rechecks.get("kept");
    eventually("all looked at", || metrics.rechecks.get("kept") >= before + 100);
    let most = server.host.deciding_max.load(Relaxed);
    assert!((2..=RECHECKS_MAX as u64).contains(&most), "{most} at once");
    drop(users);
}

/// The token of a host's session whose end moves on with its use.
#[test]
fn a_prolonged_session_goes_on() {
    let server = start();
    let mut ada = Client::join(&server.url("notes/a"), "editor:ada:3000");
    ada.settle(Duration::from_millis(4500));
    let closed = ada.seen.iter().find(|frame| matches!(frame, Frame::Closed(..)));
    assert_eq!(closed, None);
    assert_eq!(server.engine().health().connections.total, 1);
}

/// Of a room that somebody else handles the host knows who is in, and no more.
#[test]
fn a_token_that_no_longer_holds_ends_its_session_in_a_room_of_a_handler() {
    let handlers = Arc::<FakeHandlers>::default();
    let shared: Arc<FakeHandlers> = Arc::clone(&handlers);
    let server = Server::handled(config(), Arc::default(), shared);
    let metrics = server.engine().metrics();
    let mut ada = Client::connect(&server.url("desk/a"), EDITOR);
    ada.next();
    let mut device = Client::connect(&server.url("device/7f"), "ada");
    device.next();
    eventually("asked about", || metrics.rechecks.get("kept") >= 2);
    assert_eq!(server.host.authorizations.load(Relaxed), 0, "the handler decides what it may");
    server.host.give_role("ada", "gone");
    assert_eq!(ada.until_closed(), (4001, r#"{"code":"AUTH_FAILED"}"#.into()));
    eventually("told", || handlers.calls().iter().any(|call| call == "closed 4001"));
    let asked = server.host.authentications.load(Relaxed);
    assert_eq!(Client::connect(&server.url("desk/a"), EDITOR).until_closed().0, 4001);
    assert_eq!(server.host.authentications.load(Relaxed), asked, "it was just refused");
    assert_eq!(server.engine().health().connections.total, 1, "a device is nobody's session");
}

#[test]
fn a_prolonged_session_goes_on_in_a_room_of_a_handler() {
    let server = Server::handled(config(), Arc::default(), Arc::<FakeHandlers>::default());
    let mut ada = Client::connect(&server.url("desk/a"), "editor:ada:3000");
    ada.settle(Duration::from_millis(4500));
    let closed = ada.seen.iter().find(|frame| matches!(frame, Frame::Closed(..)));
    assert_eq!(closed, None);
    assert_eq!(server.engine().health().connections.total, 1);
}
