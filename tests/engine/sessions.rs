//! What a session may do can end while it lasts.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use civicpress_realtime::{
    broker::SingleNode,
    compute::Compute,
    config::Config,
    host::{Grant, Host, Identity},
    ids::{ConnectionId, RoomId, SessionId},
    limits::JOIN_TIMEOUT,
    net::sessions::Sessions,
    protocol::guard::{self, Bounds},
    room::{
        NewMember, RoomCommand, RoomContext,
        member::AckMode,
        outbox::Outbox,
        quarantine::{self, Quarantine},
        queued::Queued,
        registry::Registry,
        types::RoomTypes,
    },
    store::sqlite::{SqliteOptions, SqliteStore},
    telemetry::{correlation::CorrelationId, metrics::Metrics, security::SecurityEvents},
};
use tokio::sync::oneshot;

use crate::support::{Client, FakeHost, Server, client::Frame, eventually, log, server::config};

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

/// The mailbox is full of edits when the call returns; none of them applies after it. Everything is on one
/// thread, so the room cannot get a turn before the call.
#[tokio::test]
async fn nothing_applies_after_a_revocation_returned() {
    let folder = tempfile::tempdir().unwrap();
    let config = Arc::new(Config { system_data_dir: folder.path().into(), ..config() });
    let host: Arc<dyn Host> = Arc::new(FakeHost::default());
    let metrics = Arc::<Metrics>::default();
    let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
    let registry = Registry::new(RoomContext {
        host: Arc::clone(&host),
        store: Arc::new(store),
        compute: Compute::start().unwrap(),
        security: Arc::new(SecurityEvents::new(host, Arc::clone(&metrics))),
        metrics: Arc::clone(&metrics),
        queued: Queued::new(config.limits.queued_bytes_max),
        types: Arc::new(RoomTypes::of_config(&config)),
        quarantine: Quarantine::new(quarantine::folder(&config.system_data_dir)),
        broker: Arc::new(SingleNode),
        unlogged_bytes: Arc::default(),
        held_elsewhere: Arc::default(),
        config: Arc::clone(&config),
    });
    let sessions = Arc::new(Sessions::new(&config));
    let (address, room) = ([127, 0, 0, 1].into(), RoomId::parse("notes:a").unwrap());
    let mut members = Vec::new();
    for (user, number) in [("ada", 1), ("bo", 2)] {
        let (session, outbox) = (SessionId(number), Arc::<Outbox>::default());
        let joining = sessions.begin();
        members
            .push(joining.admit(ConnectionId(number), address, user, Arc::clone(&outbox)).unwrap());
        let identity = Identity {
            user_id: user.into(),
            name: user.into(),
            role: "editor".into(),
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        };
        let (grant, ack) = (Grant { can_edit: true }, AckMode::None);
        let correlation = CorrelationId::random();
        let json = None;
        let member =
            NewMember { session, identity, grant, outbox, ack, json, address, correlation };
        registry.join(&room, Box::new(member)).await.unwrap();
    }
    let handle = registry.get(&room).unwrap();
    let bounds = Bounds::new(config.limits.document_bytes_max);
    for edit in 0..50 {
        for session in [1, 2] {
            // One letter of a client of its own.
            let client = 50 * (session - 1) + edit;
            let bytes = vec![1, 1, client, 0, 4, 1, 1, b't', 1, b'x', 0];
            let update = guard::admit(bytes.into(), &bounds).unwrap();
            let command =
                RoomCommand::Update { session: SessionId(session.into()), update, answer: false };
            assert!(handle.try_send(command).is_ok(), "the mailbox holds them all");
        }
    }
    assert_eq!(sessions.revoke("ada", "left"), 1);
    let (reply, present) = oneshot::channel();
    handle.send(RoomCommand::Participants { reply }).await.unwrap();
    present.await.unwrap();
    assert_eq!(metrics.updates_applied.get(), 50, "those of the other, and nobody else's");
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

/// A host that never answers holds nobody for ever, whatever it was asked.
#[test]
fn a_join_that_the_host_never_answers_has_an_end() {
    log::keep();
    let host = FakeHost::with_record("a", "text");
    let server = Server::with_clock(config(), host);
    let url = server.url("records/a");
    let never = 1000 * 3600;
    let auth_timeout = Duration::from_millis(server.config().auth.timeout_ms);
    for (delay, asked, time, code) in [
        (&server.host.auth_delay_ms, &server.host.authentications, auth_timeout, 4001),
        (&server.host.authorize_delay_ms, &server.host.authorizations, auth_timeout, 4001),
        (&server.host.load_delay_ms, &server.host.loads, JOIN_TIMEOUT, 4500),
    ] {
        delay.store(never, Relaxed);
        let before = asked.load(Relaxed);
        let mut ada = Client::connect(&url, EDITOR);
        eventually("asked", || asked.load(Relaxed) > before);
        server.forward(time);
        assert_eq!(ada.until_closed().0, code);
        delay.store(0, Relaxed);
    }
    assert_eq!(log::with("event", "join_timeout").len(), 1);
    eventually("no place is kept", || server.engine().health().connections.total == 0);
    // The room's own question is still open.
    server.forward(Duration::from_millis(never));
    Client::join(&url, EDITOR);
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
