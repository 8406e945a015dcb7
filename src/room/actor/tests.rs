//! A room on a real store whose document breaks, or whose log stands still.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use yrs::{Doc, GetString, Text, Transact, WriteTxn, XmlElementPrelim, XmlFragment, XmlTextPrelim};

use super::*;
use crate::{
    broker::SingleNode,
    compute::Compute,
    config::Config,
    future::BoxFuture,
    host::{
        Grant, Identity,
        standalone::{StandaloneHost, StandaloneOptions},
    },
    limits::COMPUTE_THREADS,
    protocol::guard::{Bounds, admit},
    room::{
        NewMember,
        document::fault::BREAKS,
        member::AckMode,
        outbox::Outbox,
        quarantine::{self, Quarantine},
        queued::Queued,
        registry::RoomHandle,
        types::RoomTypes,
    },
    store::{
        Append, NewSnapshot, Seed, SeedOutcome, SnapshotInfo, Store, StoreError, StoreStatus,
        StoredRoom,
        sqlite::{SqliteOptions, SqliteStore},
    },
    telemetry::{correlation::CorrelationId, metrics::Metrics, security::SecurityEvents},
};

mod held;
mod slow_disk;

fn config(dir: &Path) -> Config {
    let mut config = Config { system_data_dir: dir.into(), ..Config::default() };
    config.rooms.open_types = vec!["notes".into()];
    config.auth.jwt.secret = Some("a-test-secret-of-more-than-32-bytes!".into());
    config
}

fn registry(config: Config, store: Arc<dyn Store>) -> Arc<Registry> {
    let options = StandaloneOptions {
        records_dir: config.system_data_dir.join("records"),
        create_missing: false,
        open_types: vec!["notes".into()],
        jwt: config.auth.jwt.clone(),
    };
    let host: Arc<dyn crate::host::Host> = Arc::new(StandaloneHost::new(options).unwrap());
    let metrics = Arc::<Metrics>::default();
    Registry::new(RoomContext {
        security: Arc::new(SecurityEvents::new(Arc::clone(&host), Arc::clone(&metrics))),
        quarantine: Quarantine::new(quarantine::folder(&config.system_data_dir)),
        types: Arc::new(RoomTypes::of_config(&config)),
        queued: Queued::new(config.limits.queued_bytes_max),
        config: Arc::new(config),
        host,
        store,
        compute: Compute::start().unwrap(),
        metrics,
        broker: Arc::new(SingleNode),
        unlogged_bytes: Arc::default(),
        held_elsewhere: Arc::default(),
    })
}

fn sqlite(config: &Config) -> SqliteStore {
    SqliteStore::open(SqliteOptions::from_config(config).unwrap()).unwrap()
}

fn member(session: u64, user: &str) -> (Box<NewMember>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    let identity = Identity {
        user_id: user.into(),
        name: user.into(),
        role: "editor".into(),
        expires_at_ms: None,
        room_patterns: Vec::new(),
        api_user: None,
    };
    let member = NewMember {
        session: SessionId(session),
        identity,
        grant: Grant { can_edit: true },
        outbox: Arc::clone(&outbox),
        ack: AckMode::None,
        json: None,
        address: [127, 0, 0, 1].into(),
        correlation: CorrelationId::random(),
    };
    (Box::new(member), outbox)
}

/// An update that appends `words`.
fn write(doc: &Doc, words: &str) -> Bytes {
    let mut txn = doc.transact_mut();
    let text = txn.get_or_insert_text("t");
    let len = text.get_string(&txn).len();
    text.insert(&mut txn, u32::try_from(len).unwrap(), words);
    txn.encode_update_v1().into()
}

fn edit(session: u64, update: Bytes) -> RoomCommand {
    let update = admit(update, &Bounds::new(1 << 20)).unwrap();
    RoomCommand::Update { session: SessionId(session), update, answer: false }
}

/// Waits until `condition` holds; the time is only how long a failing test hangs.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_the_offender_its_session_and_the_others_a_reconnect() {
    for size in [0, 100_000] {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let registry = registry(config.clone(), Arc::new(sqlite(&config)));
        let room = RoomId::parse("notes:a").unwrap();
        let author = Doc::new();
        let (ada, ada_out) = member(1, "ada");
        let (mallory, mallory_out) = member(2, "mallory");
        let handle = registry.join(&room, ada).await.unwrap();
        registry.join(&room, mallory).await.unwrap();
        handle.send(edit(1, write(&author, "before "))).await.unwrap();
        let bad = format!("{}{}", "x".repeat(size), str::from_utf8(BREAKS).unwrap());
        let bad = write(&Doc::new(), &bad);
        handle.send(edit(2, bad.clone())).await.unwrap();
        eventually("both are told", || ada_out.is_closing() && mallory_out.is_closing()).await;
        assert_eq!(mallory_out.closing(), Some(CloseReason::Policy(ROOM_FAULT.into())));
        assert_eq!(ada_out.closing(), Some(CloseReason::RoomFailed));

        // The successor has what was there before, and serves.
        let (ada, ada_out) = member(3, "ada");
        let handle = loop {
            match registry.join(&room, member(3, "ada").0).await {
                Ok(handle) => break handle,
                Err(reason) => assert_eq!(reason, CloseReason::RoomFailed),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        drop((ada, ada_out));
        handle.send(edit(3, write(&author, "after"))).await.unwrap();
        let (reply, step) = oneshot::channel();
        handle.send(RoomCommand::Participants { reply }).await.unwrap();
        assert_eq!(step.await.unwrap().len(), 1);
        let store = Arc::clone(&registry.context().store);
        let mut rows = 0;
        for _ in 0..4000 {
            rows = store.load(&room).await.unwrap().map_or(0, |stored| stored.tail.len());
            if rows == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(rows, 2, "the two honest edits, not the other");

        let folder = quarantine::folder(dir.path());
        eventually("kept for study", || !quarantine::list(&folder).unwrap().is_empty()).await;
        let kept = quarantine::list(&folder).unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].room.as_str(), kept[0].code.as_str()), ("notes:a", ROOM_FAULT));
        assert_eq!(kept[0].user_id.as_deref(), Some("mallory"));
        assert_eq!(kept[0].bytes, bad.len() as u64);
        assert_eq!(registry.context().metrics.rooms_failed.get(), 1);
        assert_eq!(registry.context().metrics.violations.get("room_fault"), 1);
    }
}

/// Of what is deleted ahead only what the deleter brings itself goes; also after the room was loaded again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_deletes_what_another_is_yet_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("notes:a").unwrap();
    let author = Doc::with_options(yrs::Options::with_client_id(yrs::block::ClientID::new(7)));
    let handle = registry.join(&room, member(1, "ada").0).await.unwrap();
    registry.join(&room, member(2, "mallory").0).await.unwrap();
    handle.send(edit(1, write(&author, "first "))).await.unwrap();
    // 100 letters of client 7 from clock 6 on, and of client 8 from 0 on.
    let ahead = Bytes::from_static(&[0, 2, 7, 1, 6, 100, 8, 1, 0, 100]);
    handle.send(edit(2, ahead)).await.unwrap();
    handle.send(edit(1, write(&author, "second "))).await.unwrap();
    // What a session brings itself it may delete ahead.
    let own = Doc::with_options(yrs::Options::with_client_id(yrs::block::ClientID::new(9)));
    handle.send(edit(2, Bytes::from_static(&[0, 1, 9, 1, 0, 3]))).await.unwrap();
    handle.send(edit(2, write(&own, "bye"))).await.unwrap();
    let store = Arc::clone(&registry.context().store);
    eventually("all are applied", || registry.context().metrics.updates_applied.get() >= 6).await;
    let text = async || {
        let Some(stored) = store.load(&room).await.unwrap() else { return String::new() };
        let rows = stored.tail.into_iter().map(|row| (row.seq, row.bytes));
        let state = stored.snapshot.map(|snapshot| snapshot.state);
        let document = Document::load(1 << 20, state.as_ref(), rows).unwrap();
        let doc = Doc::new();
        let update = yrs::updates::decoder::Decode::decode_v1(&document.encode().unwrap()).unwrap();
        doc.transact_mut().apply_update(update).unwrap();
        doc.get_or_insert_text("t").get_string(&doc.transact())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while text().await != "first second " && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(text().await, "first second ");
    let (reader, outbox) = member(3, "eve");
    registry.join(&room, reader).await.unwrap();
    let state_vector = Bytes::from_static(&[0]);
    let session = SessionId(3);
    handle.send(RoomCommand::SyncStep1 { session, state_vector }).await.unwrap();
    let mut seen = Vec::new();
    eventually("answered", || {
        seen.extend(outbox.take().frames);
        seen.iter().any(|frame| frame.windows(6).any(|part| part == b"second"))
    })
    .await;
}

/// A client that waits for something itself answers each question with the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answered_is_not_asked_the_same_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("notes:a").unwrap();
    let (ada, outbox) = member(1, "ada");
    let handle = registry.join(&room, ada).await.unwrap();
    drop(outbox.take());
    // A letter of client 88 at clock 5, and what client 99 wrote deleted.
    let waits = Bytes::from_static(&[1, 1, 88, 5, 4, 1, 1, b't', 1, b'a', 1, 99, 1, 5, 5]);
    for (answer, questions) in [(false, 1), (true, 0), (true, 0), (false, 1)] {
        let RoomCommand::Update { session, update, .. } = edit(1, waits.clone()) else { panic!() };
        handle.send(RoomCommand::Update { session, update, answer }).await.unwrap();
        let (reply, done) = oneshot::channel();
        handle.send(RoomCommand::Participants { reply }).await.unwrap();
        done.await.unwrap();
        assert_eq!(outbox.take().frames.len(), questions, "answer: {answer}");
    }
}

/// So a crowd of readers that stop costs a large document's bytes once, not each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_opens_a_document_shares_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let queued = Arc::clone(&registry.context().queued);
    let room = RoomId::parse("notes:a").unwrap();
    let author = Doc::new();
    let handle = registry.join(&room, member(0, "ada").0).await.unwrap();
    let size = 300_000;
    for (turn, sessions) in [(1, 10..15), (2, 20..25)] {
        handle.send(edit(0, write(&author, &"x".repeat(size)))).await.unwrap();
        let mut frames = Vec::new();
        for session in sessions {
            let (reader, outbox) = member(session, "bo");
            registry.join(&room, reader).await.unwrap();
            let state_vector = Bytes::from_static(&[0]);
            let session = SessionId(session);
            handle.send(RoomCommand::SyncStep1 { session, state_vector }).await.unwrap();
            let mut answers = 0;
            eventually("answered", || {
                let taken = outbox.take();
                answers += taken.answers;
                frames.extend(taken.frames.into_iter().filter(|frame| frame.len() > size));
                answers == 1
            })
            .await;
        }
        assert_eq!(frames.len(), 5);
        assert!(frames.windows(2).all(|two| two[0].as_ptr() == two[1].as_ptr()));
        assert!(frames.iter().all(|frame| frame.len() > turn * size), "as it is now");
        // The earlier ones were sent the second edit, once.
        let bytes_max = (turn + 1) * size;
        assert!(queued.bytes() < bytes_max + 10_000, "{} bytes", queued.bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_does_not_load_closes_the_room_and_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store: Arc<dyn Store> = Arc::new(sqlite(&config));
    let room = RoomId::parse("notes:a").unwrap();
    let watch = CommitWatch::starting_at(0);
    let bytes = write(&Doc::new(), str::from_utf8(BREAKS).unwrap());
    let row = Append { room: room.clone(), seq: 1, bytes, watch: Arc::clone(&watch) };
    store.append(row).await.unwrap();
    eventually("committed", || watch.committed_seq() == 1).await;
    let registry = registry(config, store);
    let refused = registry.join(&room, member(1, "ada").0).await;
    assert!(matches!(refused, Err(CloseReason::LoadFailed(_))), "{refused:?}");
    let folder = quarantine::folder(dir.path());
    eventually("kept for study", || !quarantine::list(&folder).unwrap().is_empty()).await;
    let kept = quarantine::list(&folder).unwrap();
    assert_eq!((kept[0].code.as_str(), kept[0].user_id.as_deref()), ("LOAD_FAILED", None));
    assert!(registry.context().store.load(&room).await.unwrap().is_some(), "nothing is deleted");
}

/// The state holds in one piece what no update held, and does not load back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_does_not_load_back_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.rooms.grace_period_ms = 0;
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("notes:a").unwrap();
    let (ada, _out) = member(1, "ada");
    let handle = registry.join(&room, ada).await.unwrap();
    let author = Doc::new();
    let (front, back) = str::from_utf8(BREAKS).unwrap().split_at(5);
    for words in [front, back] {
        handle.send(edit(1, write(&author, words))).await.unwrap();
    }
    handle.send(RoomCommand::Leave { session: SessionId(1), reply: None }).await.unwrap();
    eventually("it left", || registry.get(&room).is_none()).await;
    let stored = registry.context().store.load(&room).await.unwrap().unwrap();
    assert_eq!((stored.snapshot.is_none(), stored.tail.len()), (true, 2), "the log is kept");
    assert_eq!(registry.context().metrics.snapshots.get(), 0);
    registry.join(&room, member(2, "ada").0).await.expect("it opens from its log");
}

/// An update that appends a paragraph.
fn paragraph(doc: &Doc, words: &str) -> Bytes {
    let mut txn = doc.transact_mut();
    let root = txn.get_or_insert_xml_fragment("default");
    let paragraph = root.push_back(&mut txn, XmlElementPrelim::empty("paragraph"));
    paragraph.push_back(&mut txn, XmlTextPrelim::new(words));
    txn.encode_update_v1().into()
}

/// The threads that turn documents into Markdown are all taken; so what becomes of edits cannot depend on them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_flow_while_a_record_becomes_markdown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("records/a.md");
    std::fs::create_dir(dir.path().join("records")).unwrap();
    std::fs::write(&file, "First.\n").unwrap();
    let config = config(dir.path());
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("records:a").unwrap();
    let (ada, _out) = member(1, "ada");
    let handle = registry.join(&room, ada).await.unwrap();
    let author = Doc::new();
    handle.send(edit(1, paragraph(&author, "Before."))).await.unwrap();

    let taken: Vec<std::sync::mpsc::SyncSender<()>> = (0..COMPUTE_THREADS)
        .map(|_| {
            let (free, wait) = std::sync::mpsc::sync_channel(0);
            let compute = registry.context().compute.clone();
            tokio::spawn(async move { compute.run(move || wait.recv().is_err()).await });
            free
        })
        .collect();
    let (reply, report) = oneshot::channel();
    handle.send(RoomCommand::Snapshot { reply }).await.unwrap();
    let applied = || registry.context().metrics.updates_applied.get();
    for number in 1..=100 {
        handle.send(edit(1, paragraph(&author, &format!("During {number}.")))).await.unwrap();
    }
    eventually("all edits are in", || applied() == 101).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "First.\n", "nothing is written yet");
    drop(taken);
    report.await.unwrap().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("First.\n") && text.contains("Before.\n"), "{text}");
    let (reply, report) = oneshot::channel();
    handle.send(RoomCommand::Snapshot { reply }).await.unwrap();
    report.await.unwrap().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains("During 100.\n"));
}
