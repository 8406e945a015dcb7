//! Records: Markdown in, Markdown out, outside changes merged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use civicpress_realtime::{markdown::Naming, protocol::sync};
use yrs::{
    GetString, ReadTxn, Text, Transact, WriteTxn, XmlElementPrelim, XmlFragment, XmlOut,
    XmlTextPrelim,
};

use crate::support::{Client, FakeHost, Server, eventually, server::config};

const EDITOR: &str = "editor:ada";

/// Names of the document's top-level blocks.
pub fn blocks(client: &Client) -> Vec<String> {
    let fragment = client.doc.get_or_insert_xml_fragment("default");
    let txn = client.doc.transact();
    let name = |node| match node {
        XmlOut::Element(element) => element.tag().to_string(),
        other => format!("{other:?}"),
    };
    fragment.children(&txn).map(name).collect()
}

pub fn xml(client: &Client) -> String {
    let fragment = client.doc.get_or_insert_xml_fragment("default");
    fragment.get_string(&client.doc.transact())
}

/// Types into the text of a top-level block, as an editor would; sends the update.
fn type_into(client: &mut Client, block: u32, at: u32, words: &str) {
    let fragment = client.doc.get_or_insert_xml_fragment("default");
    let update = {
        let mut txn = client.doc.transact_mut();
        let Some(XmlOut::Element(element)) = fragment.get(&txn, block) else {
            panic!("no block {block}")
        };
        let Some(XmlOut::Text(text)) = element.get(&txn, 0) else {
            panic!("no text in block {block}")
        };
        text.insert(&mut txn, at, words);
        txn.encode_update_v1()
    };
    client.send(sync::update(&update));
}

/// Appends a paragraph.
pub fn add_paragraph(client: &mut Client, words: &str) {
    let update = write_paragraph(client, words);
    client.send(sync::update(&update));
}

/// Writes without sending.
pub fn write_paragraph(client: &Client, words: &str) -> Vec<u8> {
    let mut txn = client.doc.transact_mut();
    let fragment = txn.get_or_insert_xml_fragment("default");
    let paragraph = fragment.push_back(&mut txn, XmlElementPrelim::empty("paragraph"));
    paragraph.push_back(&mut txn, XmlTextPrelim::new(words));
    txn.encode_update_v1()
}

pub fn until_xml(client: &mut Client, part: &str) {
    while !xml(client).contains(part) {
        client.next();
    }
}

fn server_with(text: &str) -> Server {
    Server::with(config(), FakeHost::with_record("a", text))
}

fn snapshot(server: &Server) {
    let report = server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    assert!(report.snapshot_created);
}

const TEXT: &str = "---\ntitle: A\nodd:   [kept,  as is]\n---\n\n# Title\n\nFirst.\n\nSecond.\n";

#[test]
fn an_edit_reaches_the_source_and_the_front_matter_stays() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(blocks(&ada), ["heading", "paragraph", "paragraph"]);
    type_into(&mut ada, 1, 5, " and more");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    snapshot(&server);
    assert_eq!(server.host.record("a"), TEXT.replace("First", "First and more"));
    let live = server.block_on(server.engine().room_markdown("records:a")).unwrap();
    assert_eq!(live, server.host.record("a"), "the view says what the archive gets");
}

#[test]
fn editors_of_tiptap_find_their_own_names() {
    let mut config = config();
    config.markdown.schema = Naming::Tiptap;
    config.rooms.grace_period_ms = 0;
    let text = "* one\n\n* two\n\nSome **bold** and *italic*.\n\n3. three\n";
    let server = Server::with(config, FakeHost::with_record("a", text));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(blocks(&ada), ["bulletList", "paragraph", "orderedList"]);
    for part in ["<listItem>", "<bold>", "<italic>", "start=\"3\""] {
        assert!(xml(&ada).contains(part), "{part}: {}", xml(&ada));
    }
    type_into(&mut ada, 1, 0, "Typed. ");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    snapshot(&server);
    assert_eq!(server.host.record("a"), text.replace("Some", "Typed. Some"));
    let outside = server.host.record("a").replace("3. three", "5. five\n\n```js\nx\n```");
    server.host.change("a", &outside);
    until_xml(&mut ada, "<codeBlock");
    assert!(xml(&ada).contains("start=\"5\"") && xml(&ada).contains("language=\"js\""));
    add_paragraph(&mut ada, "End.");
    eventually("applied", || server.engine().metrics().updates_applied.get() > 2);
    drop(ada);
    eventually("written", || server.host.record("a") == format!("{outside}\nEnd.\n"));
    eventually("closed", || server.engine().rooms().is_empty());
    let back = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(blocks(&back), ["bulletList", "paragraph", "orderedList", "codeBlock", "paragraph"]);
}

#[test]
fn opening_and_leaving_writes_nothing() {
    let odd = "Title\n=====\n\n* a\n* b\n\n\n\nText  with `odd` *ways*   of writing.";
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", odd));
    drop(Client::join(&server.url("records/a"), EDITOR));
    eventually("evicted", || server.engine().rooms().is_empty());
    assert_eq!(server.host.saves.load(Relaxed), 0);
    assert_eq!(server.host.record("a"), odd, "byte for byte");
}

#[test]
fn the_last_leave_writes_back() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Third.");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    drop(ada);
    eventually("written", || server.host.record("a").ends_with("Second.\n\nThird.\n"));
}

#[test]
fn counts_and_time_write_back_by_themselves() {
    for (max_updates, interval) in [(5, 0.0), (0, 0.2)] {
        let mut config = config();
        config.snapshots.max_updates = max_updates;
        config.snapshots.interval = interval;
        let server = Server::with(config, FakeHost::with_record("a", TEXT));
        let mut ada = Client::join(&server.url("records/a"), EDITOR);
        for number in 0..6 {
            add_paragraph(&mut ada, &format!("Number {number}."));
        }
        eventually("written", || server.host.record("a").contains("Number 5."));
    }
}

#[test]
fn shutdown_writes_back_and_a_restart_finds_every_character() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Last words.");
    let expected = xml(&ada);
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    let server = server.restart();
    assert!(server.host.record("a").ends_with("Last words.\n"));
    let back = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(xml(&back), expected);
}

/// As by Git: what was written back a moment ago is undone on purpose.
#[test]
fn a_record_that_is_put_back_to_an_earlier_text_is_put_back() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    type_into(&mut ada, 1, 0, "Typed. ");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    snapshot(&server);
    assert!(server.host.record("a").contains("Typed. First."));
    server.host.change("a", TEXT);
    while xml(&ada).contains("Typed.") {
        ada.next();
    }
}

#[test]
fn an_outside_change_reaches_the_live_room_and_nobodys_typing_is_undone() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    type_into(&mut ada, 1, 0, "Typed. ");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    server.host.change(
        "a",
        &TEXT.replace("Second.", "Second, changed outside.").replace("title: A", "title: B"),
    );
    until_xml(&mut ada, "Second, changed outside.");
    assert!(xml(&ada).contains("Typed. First."));
    eventually("both in the source", || {
        let text = server.host.record("a");
        text.contains("Typed. First.")
            && text.contains("Second, changed outside.")
            && text.contains("title: B")
    });
}

#[test]
fn a_change_outside_while_nobody_is_here_is_merged_on_opening() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, FakeHost::with_record("a", TEXT));
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Third.");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    drop(ada);
    eventually("evicted", || server.engine().rooms().is_empty());
    let text = server.host.record("a").replace("Second.", "Second, by the form.");
    server.host.change("a", &text);
    let back = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(
        blocks(&back),
        ["heading", "paragraph", "paragraph", "paragraph"],
        "nothing doubled"
    );
    assert!(xml(&back).contains("Second, by the form."));
}

#[test]
fn what_both_sides_changed_keeps_the_live_text_and_theirs_is_kept_aside() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    type_into(&mut ada, 1, 0, "Ours: ");
    eventually("applied", || server.engine().metrics().updates_applied.get() == 1);
    server.host.change("a", &TEXT.replace("First.", "Theirs."));
    eventually("told", || server.host.hook_names().contains(&"realtime:record:conflict"));
    eventually("written", || server.host.record("a").contains("Ours: First."));
    assert!(xml(&ada).contains("Ours: First."));
}

#[test]
fn a_failing_source_is_tried_again_and_edits_go_on() {
    let server = server_with(TEXT);
    server.host.fail_saves.store(true, Relaxed);
    let url = server.url("records/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    add_paragraph(&mut ada, "Third.");
    until_xml(&mut bo, "Third.");
    let failed = server.block_on(server.engine().trigger_snapshot("records:a"));
    assert_eq!(failed.unwrap_err().code(), "HOST_FAILED");
    assert!(server.host.hook_names().contains(&"realtime:snapshot:writeback-failed"));
    add_paragraph(&mut bo, "Fourth.");
    until_xml(&mut ada, "Fourth.");
    server.host.fail_saves.store(false, Relaxed);
    eventually("written in the end", || server.host.record("a").contains("Fourth."));
}

/// What somebody asks for while a write-back runs is the next one's, also if that one fails.
#[test]
fn who_asks_while_a_write_back_fails_is_answered_by_the_next() {
    let server = Server::with_clock(config(), FakeHost::with_record("a", TEXT));
    let url = server.url("records/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    add_paragraph(&mut ada, "Third.");
    until_xml(&mut bo, "Third.");
    let host = &server.host;
    let hour = Duration::from_hours(1);
    let before = host.loads.load(Relaxed);
    host.load_delay_ms.store(3_600_000, Relaxed);
    host.fail_loads.store(true, Relaxed);
    let asked = AtomicBool::new(false);
    let request = || server.engine().trigger_snapshot("records:a");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| server.block_on(request()));
        eventually("the first runs", || host.loads.load(Relaxed) > before);
        let second = scope.spawn(|| {
            let noted = async { asked.store(true, Relaxed) };
            server.block_on(async { tokio::join!(request(), noted).0 })
        });
        eventually("the second waits", || asked.load(Relaxed));
        server.forward(hour);
        assert_eq!(first.join().unwrap().unwrap_err().code(), "HOST_FAILED");
        eventually("the second runs", || host.loads.load(Relaxed) > before + 1);
        host.fail_loads.store(false, Relaxed);
        server.forward(hour);
        assert!(second.join().unwrap().unwrap().snapshot_created);
    });
    assert!(host.record("a").contains("Third."));
}

/// The source takes "Third." and nobody is told; meanwhile the paragraph goes on.
fn with_a_lost_answer() -> (Server, Client) {
    let server = server_with(TEXT);
    server.host.lose_answers.store(true, Relaxed);
    let url = server.url("records/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    add_paragraph(&mut ada, "Third.");
    until_xml(&mut bo, "Third.");
    let lost = server.block_on(server.engine().trigger_snapshot("records:a"));
    assert_eq!(lost.unwrap_err().code(), "HOST_FAILED");
    assert!(server.host.record("a").contains("Third."));
    type_into(&mut ada, 3, 6, " And more.");
    until_xml(&mut bo, "Third. And more.");
    server.host.lose_answers.store(false, Relaxed);
    (server, ada)
}

fn assert_once(server: &Server) {
    snapshot(server);
    let text = server.host.record("a");
    assert!(text.contains("Third. And more.") && text.matches("Third.").count() == 1, "{text}");
}

#[test]
fn a_text_whose_saving_got_no_answer_is_known_for_ours() {
    let (server, _ada) = with_a_lost_answer();
    assert_once(&server);
}

#[test]
fn a_text_saved_just_before_a_crash_is_known_for_ours() {
    let (server, ada) = with_a_lost_answer();
    drop(ada);
    let server = server.again();
    let mut bo = Client::join(&server.url("records/a"), "editor:bo");
    until_xml(&mut bo, "And more.");
    assert_eq!(xml(&bo).matches("Third.").count(), 1, "{}", xml(&bo));
    assert_once(&server);
}

#[test]
fn a_hanging_source_does_not_hold_up_edits() {
    let server = server_with(TEXT);
    let url = server.url("records/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    server.host.load_delay_ms.store(3000, Relaxed);
    server.host.change("a", TEXT);
    for number in 0..20 {
        add_paragraph(&mut ada, &format!("Number {number}."));
        until_xml(&mut bo, &format!("Number {number}."));
    }
    assert_eq!(server.engine().metrics().write_backs.get("unchanged"), 0, "the host still hangs");
    server.host.load_delay_ms.store(0, Relaxed);
}

#[test]
fn a_record_removed_outside_is_not_written_again() {
    let server = server_with(TEXT);
    let mut ada = Client::join(&server.url("records/a"), EDITOR);
    add_paragraph(&mut ada, "Third.");
    server.host.records.lock().clear();
    snapshot(&server);
    assert!(server.host.records.lock().is_empty());
    assert!(xml(&ada).contains("Third."));
    let known = ada.doc.transact().state_vector();
    assert!(!known.is_empty());
}

#[test]
fn a_large_record_opens() {
    let paragraphs: Vec<_> =
        (0..20_000).map(|line| format!("Paragraph {line} of a long record.\n\n")).collect();
    let long = paragraphs.concat();
    let server = Server::with(config(), FakeHost::with_record("a", &long));
    let ada = Client::join(&server.url("records/a"), EDITOR);
    assert_eq!(blocks(&ada).len(), 20_000);
    let _also: Arc<FakeHost> = Arc::clone(&server.host);
}
