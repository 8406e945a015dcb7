//! The host's own copies of rooms: when they are made, and what they are good for at a load.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use bytes::Bytes;

use crate::{
    records::{add_paragraph, until_xml, xml},
    support::{Client, FakeHost, Server, eventually, server::config},
};

const EDITOR: &str = "editor:ada";
const TEXT: &str = "---\ntitle: A\n---\n\n# Title\n\nFirst.\n";

fn copying_host() -> Arc<FakeHost> {
    let host = FakeHost::with_record("a", TEXT);
    host.keeps_copies.store(true, Relaxed);
    host
}

fn leaving_at_once(host: Arc<FakeHost>) -> Server {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    config.snapshots.interval = 0.0;
    Server::with(config, host)
}

fn type_and_leave(server: &Server, words: &str) {
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    let before = server.engine().metrics().updates_applied.get();
    add_paragraph(&mut ada, words);
    eventually("applied", || server.engine().metrics().updates_applied.get() > before);
    drop(ada);
    eventually("evicted", || server.engine().rooms().is_empty());
}

/// The document of a host that wrote `words`, as a copy.
fn copy_of(words: &str) -> Bytes {
    let server = leaving_at_once(copying_host());
    type_and_leave(&server, words);
    server.host.copies.lock().remove("records:a").unwrap().pop().unwrap()
}

#[test]
fn a_change_is_copied_and_opening_and_leaving_is_not() {
    let server = leaving_at_once(copying_host());
    drop(Client::join(&server.url("records/a"), EDITOR));
    eventually("evicted", || server.engine().rooms().is_empty());
    assert_eq!(server.host.copies_of("a"), 0);
    type_and_leave(&server, "Typed.");
    assert_eq!(server.host.copies_of("a"), 1);
    let report = server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    assert!(!report.snapshot_created, "the room is not open");
}

#[test]
fn a_request_is_answered_with_the_copy_s_version() {
    let server = Server::with(config(), copying_host());
    let _ada = Client::join(&server.url("records/a"), EDITOR);
    for version in 1..=3 {
        let report = server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
        assert_eq!(report.version, Some(version));
    }
}

#[test]
fn a_copy_that_fails_is_tried_again_before_the_room_leaves() {
    let server = leaving_at_once(copying_host());
    server.host.fail_copies.store(2, Relaxed);
    type_and_leave(&server, "Typed.");
    assert_eq!(server.host.fail_copies.load(Relaxed), 0);
    assert_eq!(server.host.copies_of("a"), 1);
}

#[test]
fn a_stop_waits_for_a_copy_that_fails_once() {
    let mut server = leaving_at_once(copying_host());
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Typed.");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    server.host.fail_copies.store(1, Relaxed);
    server.stop();
    assert_eq!(server.host.copies_of("a"), 1);
    assert!(server.host.record("a").contains("Typed."));
}

#[test]
fn a_room_the_store_never_saw_begins_with_the_copy_and_the_record_s_newer_text() {
    let copy = copy_of("Typed.");
    let host = copying_host();
    host.copies.lock().insert("records:a".into(), vec![copy]);
    let newer = format!("{TEXT}\nTyped.\n\nWritten by hand since.\n");
    host.records.lock().insert("a".into(), newer.clone());
    let server = leaving_at_once(host);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    until_xml(&mut ada, "Written by hand since.");
    let text = xml(&ada);
    assert!(text.matches("First.").count() == 1 && text.matches("Typed.").count() == 1, "{text}");
    drop(ada);
    eventually("evicted", || server.engine().rooms().is_empty());
    assert_eq!(server.host.record("a"), newer, "byte for byte");
}

#[test]
fn a_stale_copy_never_beats_the_record() {
    let copy = copy_of("Struck out since.");
    let host = copying_host();
    host.copies.lock().insert("records:a".into(), vec![copy]);
    let server = leaving_at_once(host);
    let ada = Client::join(&server.url("records/a"), EDITOR);
    assert!(!xml(&ada).contains("Struck out") && xml(&ada).contains("First."), "{}", xml(&ada));
}

#[test]
fn a_copy_of_hostile_bytes_is_not_loaded() {
    let host = copying_host();
    host.copies.lock().insert("records:a".into(), vec![Bytes::from_static(&[0xff; 64])]);
    let server = leaving_at_once(host);
    let ada = Client::join(&server.url("records/a"), EDITOR);
    assert!(xml(&ada).contains("First."), "seeded from the record");
}

#[test]
fn a_damaged_copy_gives_the_record_s_text_back() {
    let server = leaving_at_once(copying_host());
    type_and_leave(&server, "Lost with the copy.");
    server.host.records.lock().insert("a".into(), TEXT.into());
    server.host.copies_are_damaged.store(true, Relaxed);
    let ada = Client::join(&server.url("records/a"), EDITOR);
    assert!(!xml(&ada).contains("Lost with the copy."), "{}", xml(&ada));
    assert!(xml(&ada).contains("First."));
    server.host.copies_are_damaged.store(false, Relaxed);
    drop(ada);
    eventually("evicted", || server.engine().rooms().is_empty());
    assert_eq!(server.host.copies_of("a"), 2, "a sound one took its place");
    type_and_leave(&server, "Typed since.");
    let bo = Client::join(&server.url("records/a"), "editor:bo");
    assert!(xml(&bo).contains("Typed since."), "{}", xml(&bo));
}
