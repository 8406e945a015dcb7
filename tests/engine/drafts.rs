//! Hosts that keep what is edited beside the record until a person publishes it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    records::{add_paragraph, until_xml, write_paragraph, xml},
    support::{
        Client, FakeHost, Server, client::Frame, eventually, host::Drafting, server::config,
    },
};

const EDITOR: &str = "editor:ada";
const TEXT: &str = "# Title\n\nFirst.\n";

fn server_of(host: Arc<FakeHost>) -> Server {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    Server::with(config, host)
}

/// Opens the record, adds a paragraph and leaves; the room is gone afterwards.
fn visit(server: &Server, words: &str) {
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, words);
    let mut other = Client::join(&server.url("records/a"), EDITOR);
    until_xml(&mut other, words);
    drop((ada, other));
    eventually("evicted", || server.engine().rooms().is_empty());
}

fn opened(server: &Server) -> String {
    let client = Client::join(&server.url("records/a"), EDITOR);
    let text = xml(&client);
    drop(client);
    eventually("evicted", || server.engine().rooms().is_empty());
    text
}

#[test]
fn a_published_draft_is_the_same_text_in_another_place() {
    let server = server_of(FakeHost::with_drafts(Drafting::Yes, "a", TEXT));
    visit(&server, "Second.");
    let draft = server.host.draft("a").unwrap();
    assert!(draft.ends_with("First.\n\nSecond.\n"), "{draft}");
    assert_eq!(server.host.record("a"), TEXT, "publishing is a person's");

    server.host.records.lock().insert("a".into(), draft);
    server.host.drafts.lock().clear();
    assert_eq!(opened(&server).matches("Second.").count(), 1);
    assert_eq!(server.host.draft("a"), None, "no draft without an edit");
    assert!(!server.host.hook_names().contains(&"realtime:record:conflict"));
}

/// Her words are in the form before they are in the room: they are waited for, and are there once.
#[test]
fn a_draft_with_words_that_are_still_on_their_way_waits_for_them() {
    let server = server_of(FakeHost::with_drafts(Drafting::Yes, "a", TEXT));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    let mut bo = Client::join(&server.url("records/a"), "editor:bo");
    add_paragraph(&mut bo, "Before.");
    until_xml(&mut ada, "Before.");
    server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    let draft = server.host.draft("a").unwrap();

    write_paragraph(&ada, "On its way.");
    server.host.drafts.lock().insert("a".into(), format!("{draft}\nOn its way.\n"));
    let report = std::thread::scope(|scope| {
        let written =
            scope.spawn(|| server.block_on(server.engine().trigger_snapshot("records:a")));
        // Her answer is what the room lacks.
        ada.until(|frame| matches!(frame, Frame::Step1(_)));
        bo.until(|frame| matches!(frame, Frame::Step1(_)));
        written.join().unwrap()
    });
    assert!(report.unwrap().snapshot_created);
    until_xml(&mut bo, "On its way.");
    assert_eq!(xml(&bo).matches("On its way.").count(), 1);
    assert_eq!(server.host.draft("a").unwrap().matches("On its way.").count(), 1);
    assert_eq!(xml(&ada), xml(&bo));
}

#[test]
fn a_discarded_draft_stays_discarded() {
    let server = server_of(FakeHost::with_drafts(Drafting::Yes, "a", TEXT));
    visit(&server, "Second.");
    server.host.drafts.lock().clear();
    let text = opened(&server);
    assert!(text.contains("First.") && !text.contains("Second."), "{text}");
    assert_eq!(server.host.draft("a"), None);
}

#[test]
fn a_draft_discarded_under_a_live_room_is_discarded_there_too() {
    let server = server_of(FakeHost::with_drafts(Drafting::Yes, "a", TEXT));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Second.");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    server.host.drafts.lock().clear();
    server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    while xml(&ada).contains("Second.") {
        ada.next();
    }
    assert_eq!(server.host.draft("a"), None);
}

#[test]
fn what_is_saved_out_of_sight_is_no_outside_change() {
    let server = server_of(FakeHost::with_drafts(Drafting::Unseen, "a", TEXT));
    visit(&server, "Second.");
    assert!(server.host.draft("a").unwrap().contains("Second."));
    visit(&server, "Third.");
    let text = opened(&server);
    assert_eq!((text.matches("Second.").count(), text.matches("Third.").count()), (1, 1), "{text}");
    assert!(server.host.draft("a").unwrap().ends_with("Second.\n\nThird.\n"));
}

#[test]
fn what_was_saved_out_of_sight_is_not_saved_again_by_looking_at_it() {
    let server = server_of(FakeHost::with_drafts(Drafting::Unseen, "a", TEXT));
    visit(&server, "Second.");
    let saves = server.host.saves.load(Relaxed);
    assert!(opened(&server).contains("Second."));
    assert_eq!(server.host.saves.load(Relaxed), saves);
    visit(&server, "Third.");
    assert!(server.host.saves.load(Relaxed) > saves);
}

#[test]
fn bodies_may_look_like_front_matter() {
    let body = "---\n\nkey: value\n\n---\n\nText.\n";
    let server = server_of(FakeHost::with_drafts(Drafting::Yes, "a", body));
    let text = opened(&server);
    assert!(text.contains("key: value"), "{text}");
    assert_eq!(server.host.saves.load(Relaxed), 0);
    visit(&server, "More.");
    assert_eq!(server.host.draft("a").unwrap(), format!("{body}\nMore.\n"));
}
