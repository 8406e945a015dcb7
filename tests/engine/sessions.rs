//! What a session may do can end while it lasts.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use civicpress_realtime::protocol::sync;
use tungstenite::Message;

use crate::support::{Client, FakeHost, Server, client::Frame, eventually, server::config};

const EDITOR: &str = "editor:ada";

fn is_event(frame: &Frame, event: &str) -> bool {
    matches!(frame, Frame::Json(json) if json["event"] == event)
}

#[test]
fn a_revoked_user_is_told_and_gone() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    assert_eq!(server.engine().revoke_user("ada", "password changed"), 1);
    ada.type_text("too late");
    let (code, reason) = ada.until_closed();
    assert_eq!(code, 4001);
    assert!(reason.contains("SESSION_REVOKED"), "{reason}");
    assert!(ada.seen.iter().any(|frame| matches!(frame, Frame::Json(json)
        if json["event"] == "session.revoked" && json["reason"] == "password changed")));
    bo.settle(Duration::from_millis(100));
    assert_eq!(bo.text(), "", "what came after the revocation is not applied");
}

#[test]
fn a_session_ends_with_its_token() {
    let server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), "editor:ada:300");
    assert_eq!(ada.until_closed(), (4001, r#"{"code":"TOKEN_EXPIRED"}"#.into()));
    eventually("gone", || server.engine().health().connections.total == 0);
}

/// The mailbox is full of edits when the call returns; none of them applies after it.
#[test]
fn nothing_applies_after_a_revocation_returned() {
    const EDITS: u64 = 4000;
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    let before = server.engine().metrics().updates_applied.get();
    for _ in 0..EDITS {
        let update = ada.edit("x");
        ada.socket.write(Message::Binary(sync::update(&update).into())).unwrap();
    }
    let sending = std::thread::spawn(move || {
        // The server may stop reading before all is sent.
        let _ = ada.socket.flush();
        ada
    });
    let metrics = server.engine().metrics();
    eventually("edits apply", || metrics.updates_applied.get() > before + 10);
    assert_eq!(server.engine().revoke_user("ada", "left"), 1);
    let returned = metrics.updates_applied.get();
    let mut ada = sending.join().unwrap();
    assert_eq!(ada.until_closed().0, 4001);
    let after = metrics.updates_applied.get();
    assert!(returned < before + EDITS, "the revocation came in the middle");
    // One may have been in the document's hands.
    assert!(after <= returned + 1, "{after} applied, {returned} when the call returned");
    let text = Client::join(&url, "editor:bo").text();
    assert_eq!(text.len() as u64, after - before);
}

#[test]
fn a_revoked_session_is_gone_before_it_is_told() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, _bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    ada.send(crate::awareness::state(11, 1, r#"{"user":"ada"}"#));
    eventually("taken", || server.engine().metrics().awareness_in.get() == 1);
    assert_eq!(server.engine().revoke_user("ada", "left"), 1);
    assert_eq!(server.engine().health().connections.total, 1, "the table is clean when it returns");
    ada.until(|frame| is_event(frame, "session.revoked"));
    let present = server.block_on(server.engine().presence("notes:a")).unwrap();
    assert!(present.iter().all(|one| one.user_id != "ada"), "{present:?}");
    let mut late = Client::join(&url, "editor:cy");
    late.settle(Duration::from_millis(100));
    assert!(
        !late.seen.iter().any(|frame| matches!(frame, Frame::Awareness(body) if body.len() > 1))
    );
}

/// The host said yes before the revocation; the join must not complete after it.
#[test]
fn a_join_under_way_does_not_slip_past_a_revocation() {
    let host = FakeHost::with_record("a", "text");
    let server = Server::with(config(), host);
    // While the host says what the user may do, and while the room loads.
    for (delay, admitted) in [(&server.host.authorize_delay_ms, 0), (&server.host.load_delay_ms, 1)]
    {
        delay.store(500, Relaxed);
        let asked = server.host.authorizations.load(Relaxed);
        let loads = server.host.loads.load(Relaxed);
        let mut ada = Client::connect(&server.url("records/a"), EDITOR);
        ada.say_hello();
        eventually("authenticated", || server.host.authorizations.load(Relaxed) > asked);
        if admitted > 0 {
            eventually("loading", || server.host.loads.load(Relaxed) > loads);
        }
        assert_eq!(server.engine().revoke_user("ada", "left"), admitted);
        let (code, reason) = ada.until_closed();
        assert_eq!((code, reason.contains("SESSION_REVOKED")), (4001, true), "{reason}");
        assert!(!ada.seen.iter().any(|frame| matches!(frame, Frame::Step1(_) | Frame::Step2(_))));
        delay.store(0, Relaxed);
    }
    assert_eq!(server.engine().health().connections.total, 0);
    Client::join(&server.url("records/a"), EDITOR);
}

#[test]
fn what_a_session_may_not_do_is_a_security_event() {
    let server = Server::with(config(), FakeHost::with_record("a", "text"));
    let metrics = server.engine().metrics();
    for (token, path, kind, code) in [
        ("", "notes/a", "auth_failed", 4001),
        ("nonsense", "notes/a", "auth_failed", 4001),
        (EDITOR, "records/other", "permission_denied", 4003),
    ] {
        let before = metrics.violations.get(kind);
        assert_eq!(Client::connect(&server.url(path), token).until_closed().0, code);
        assert_eq!(metrics.violations.get(kind), before + 1, "{kind}");
    }
    let mut vi = Client::join(&server.url("notes/a"), "viewer:vi");
    vi.type_text("not allowed");
    vi.until(|frame| matches!(frame, Frame::Denied(_)));
    assert_eq!(metrics.violations.get("read_only_edit"), 1);
    server.host.fail_auth.store(true, Relaxed);
    assert_eq!(Client::connect(&server.url("notes/a"), EDITOR).until_closed().0, 4001);
    assert_eq!(
        metrics.violations.get("auth_failed"),
        2,
        "a host that fails is no fault of the peer"
    );
}
