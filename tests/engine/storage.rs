//! Disks that are full, locked or damaged, and what an operator does about it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use civicpress_realtime::{
    ids::RoomId,
    maintenance::{self, ExportForm},
    store::sqlite::{self, Archive},
};

use yrs::{
    Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, WriteTxn, XmlElementPrelim,
    XmlFragment, XmlTextPrelim, updates::decoder::Decode,
};

use crate::{
    records::{add_paragraph, until_xml, xml},
    support::{Client, FakeHost, Server, client::Frame, eventually, server::config},
};

const EDITOR: &str = "editor:ada";

/// A small disk of its own. Needs the right to mount one.
struct Disk {
    folder: Arc<tempfile::TempDir>,
}

impl Disk {
    fn of(size: &str) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .expect("there is a mount command");
        assert!(
            mounted.status.success(),
            "a tmpfs must be mounted to make a disk full; run as root or under 'unshare -rm': {}",
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { folder }
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![7; size]).is_ok() {}
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.folder.path()).status());
    }
}

fn acked(client: &Client) -> u64 {
    let acks = client.seen.iter().filter_map(|frame| match frame {
        Frame::Json(json) if json["type"] == "ack" => json["updates"].as_u64(),
        _ => None,
    });
    acks.max().unwrap_or(0)
}

fn told(client: &Client, event: &str) -> bool {
    client.seen.iter().any(|frame| matches!(frame, Frame::Json(json) if json["event"] == event))
}

fn until_acked(client: &mut Client, updates: u64) {
    while acked(client) < updates {
        if let Frame::Closed(code, reason) = client.next() {
            panic!("closed: {code} {reason}");
        }
    }
}

fn is_ready(server: &Server) -> bool {
    server.engine().health().store.degraded.is_none()
}

#[test]
fn a_full_disk_loses_nothing_and_heals_by_itself() {
    let disk = Disk::of("64m");
    let mut server = Server::on(Arc::clone(&disk.folder), config(), Arc::default());
    let url = server.url("notes/a?ack=json");
    let mut ada = Client::join(&url, EDITOR);
    let mut bo = Client::join(&url, "editor:bo");
    ada.type_text("before ");
    until_acked(&mut ada, 2);

    disk.fill();
    // The log may have some room left of its own; then nothing is acknowledged any more.
    let mut typed = String::from("before ");
    let mut sent = 2;
    while is_ready(&server) {
        ada.type_text("more ");
        typed += "more ";
        sent += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    ada.type_text("waits ");
    typed += "waits ";
    sent += 1;
    bo.until_text(&typed);
    ada.settle(Duration::from_millis(300));
    assert!(acked(&ada) < sent, "no acknowledgement without a commit");
    let mut eve = Client::join(&url, "editor:eve");
    assert_eq!(eve.text(), typed, "joins of open rooms go on");
    let people = server.block_on(server.engine().presence("notes:a")).unwrap();
    assert_eq!(people.len(), 3, "and so do questions");
    assert_eq!(crate::http::get(&server, "/ready", "").0, 503);
    drop((bo, eve.socket.close(None)));

    // From memory, but not without bound.
    let chunk = "x".repeat(256 * 1024);
    let mut taken = 0;
    while !told(&ada, "storage.degraded") {
        ada.type_text(&chunk);
        taken += 1;
        ada.settle(Duration::from_millis(50));
        assert!(taken <= 40, "8 MiB are 32 chunks");
    }
    assert!(taken >= 30, "8 MiB are taken from memory, not {taken} chunks");
    ada.type_text("refused");
    let reader = Client::join(&url, "editor:eve");
    assert!(told(&reader, "storage.degraded"), "who comes later is told, too");
    assert!(!reader.text().contains("refused"));
    assert!(acked(&ada) < sent);
    drop(reader);

    disk.free();
    // All of it: what waited, and what was refused and is in the answer to the server's question.
    until_acked(&mut ada, sent + taken + 2);
    assert!(told(&ada, "storage.recovered"));
    eventually("ready again", || crate::http::get(&server, "/ready", "").0 == 200);
    let whole = ada.text();
    assert!(whole.ends_with("refused"));
    assert!(Client::join(&url, "editor:eve").text() == whole);

    server.kill();
    let server = server.again();
    assert!(Client::join(&server.url("notes/a"), "editor:bo").text() == whole);
}

#[test]
fn a_locked_database_holds_up_acknowledgements_only() {
    let server = Server::start();
    let url = server.url("notes/a?ack=json");
    let mut ada = Client::join(&url, EDITOR);
    let mut bo = Client::join(&url, "editor:bo");
    let other = rusqlite::Connection::open(server.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ada.type_text("waits");
    bo.until_text("waits");
    eventually("degraded", || !is_ready(&server));
    assert_eq!(Client::join(&url, "editor:eve").text(), "waits");
    assert!(acked(&ada) <= 1);
    other.execute_batch("ROLLBACK").unwrap();
    until_acked(&mut ada, 2);
    eventually("well again", || is_ready(&server));
}

#[test]
fn a_database_that_was_set_aside_is_told_and_doubles_nothing() {
    let host = FakeHost::with_record("a", "# Title\n\nText.\n");
    let mut server = Server::with(config(), host);
    let ada = Client::join(&server.url("records/a"), EDITOR);
    let before = xml(&ada);
    server.stop();
    fs::write(server.database(), "no database").unwrap();

    let server = server.again();
    let health = server.engine().health();
    let damage = health.store.damage.unwrap();
    assert!(damage.contains(".corrupt-"), "{damage}");
    assert_eq!((health.status, health.store.degraded), ("degraded", None));
    assert_eq!(crate::http::get(&server, "/ready", "").0, 200, "it works, so it is ready");
    assert!(server.host.hook_names().contains(&"realtime:snapshot:integrity-failed"));
    let mut back = Client::with_doc(&server.url("records/a"), EDITOR, ada.doc.clone()).unwrap();
    back.say_hello();
    back.sync();
    assert_eq!(xml(&back), before);
    assert_eq!(xml(&Client::join(&server.url("records/a"), "editor:bo")), before);
}

/// A record that was edited and written back before its database was lost, and the tab that still holds it.
fn with_a_lost_database() -> (Server, Doc) {
    let host = FakeHost::with_record("a", "---\nid: a\n---\n# Title\n\nText.\n");
    let mut server = Server::with(config(), host);
    let mut ada = Client::join(&server.url("records/a?ack=json"), EDITOR);
    add_paragraph(&mut ada, "Written back.");
    until_acked(&mut ada, 2);
    server.stop();
    assert!(server.host.record("a").contains("Written back."));
    fs::write(server.database(), "no database").unwrap();
    (server.again(), ada.doc.clone())
}

/// Comes back with the state of an earlier session.
fn come_back(server: &Server, before: Doc) -> Client {
    let url = server.url("records/a?ack=json");
    let mut client = Client::with_doc(&url, EDITOR, before).unwrap();
    client.say_hello();
    client.sync();
    until_acked(&mut client, 1);
    client
}

/// Adds a paragraph that reaches nobody yet.
fn add_unsent(doc: &Doc, words: &str) {
    let mut txn = doc.transact_mut();
    let fragment = txn.get_or_insert_xml_fragment("default");
    let paragraph = fragment.push_back(&mut txn, XmlElementPrelim::empty("paragraph"));
    paragraph.push_back(&mut txn, XmlTextPrelim::new(words));
}

/// Everybody, a newcomer and the record's source have these paragraphs, each once, and nothing else.
fn assert_paragraphs(server: &Server, clients: &mut [&mut Client], mut paragraphs: Vec<&str>) {
    paragraphs.sort_unstable();
    let expected: Vec<_> =
        paragraphs.iter().map(|words| format!("<paragraph>{words}</paragraph>")).collect();
    let shown = |client: &Client| {
        let text = xml(client);
        let mut found: Vec<_> = text
            .split_inclusive("</paragraph>")
            .map(|part| part.replace("<heading level=\"1\">Title</heading>", ""))
            .collect();
        found.sort_unstable();
        (found, text.matches("Title").count())
    };
    for client in clients {
        while shown(client) != (expected.clone(), 1) {
            if let Frame::Closed(code, reason) = client.next() {
                panic!("closed: {code} {reason}; shows {:?}", shown(client));
            }
        }
    }
    let newcomer = Client::join(&server.url("records/a"), "viewer:eve");
    assert_eq!(shown(&newcomer), (expected, 1));
    server.block_on(server.engine().trigger_snapshot("records:a")).unwrap();
    let text = server.host.record("a");
    for words in paragraphs {
        assert_eq!(text.matches(words).count(), 1, "{words} in {text}");
    }
}

#[test]
fn a_tab_with_the_lost_history_doubles_nothing_and_keeps_its_edits() {
    let (server, ada) = with_a_lost_database();
    add_unsent(&ada, "Not sent.");
    let mut ada = come_back(&server, ada);
    assert_paragraphs(&server, &mut [&mut ada], vec!["Text.", "Written back.", "Not sent."]);
    add_paragraph(&mut ada, "Afterwards.");
    let all = vec!["Text.", "Written back.", "Not sent.", "Afterwards."];
    assert_paragraphs(&server, &mut [&mut ada], all.clone());
    let server = server.restart();
    assert_paragraphs(&server, &mut [&mut come_back(&server, ada.doc.clone())], all);
}

#[test]
fn edits_on_the_new_seed_and_on_the_lost_history_meet() {
    let (server, ada) = with_a_lost_database();
    let url = server.url("records/a?ack=json");
    let mut newcomer = Client::join(&url, "editor:bo");
    add_paragraph(&mut newcomer, "By a newcomer.");
    until_acked(&mut newcomer, 2);
    // Another restart must not make the store forget that it lost something.
    drop(newcomer);
    let server = server.restart();
    let mut newcomer = Client::join(&server.url("records/a?ack=json"), "editor:bo");
    // Two tabs of the lost history, each with words the other does not have.
    let other = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
    let state = ada.transact().encode_diff_v1(&StateVector::default());
    other.transact_mut().apply_update(Update::decode_v1(&state).unwrap()).unwrap();
    add_unsent(&ada, "Ada, not sent.");
    add_unsent(&other, "Other tab, not sent.");
    let mut ada = come_back(&server, ada);
    let mut other = come_back(&server, other);
    assert_paragraphs(
        &server,
        &mut [&mut ada, &mut other, &mut newcomer],
        vec!["Text.", "Written back.", "By a newcomer.", "Ada, not sent.", "Other tab, not sent."],
    );
}

#[test]
fn a_record_that_changed_outside_keeps_the_change_when_the_lost_history_comes() {
    let (mut server, ada) = with_a_lost_database();
    server.kill();
    let text = server.host.record("a");
    server.host.change("a", &text.replace("Text.", "Text, by the form."));
    let server = server.again();
    let mut ada = come_back(&server, ada);
    assert_paragraphs(&server, &mut [&mut ada], vec!["Text, by the form.", "Written back."]);
}

#[test]
fn a_damaged_room_refuses_tells_and_leaves_the_others_alone() {
    let server = Server::start();
    Client::join(&server.url("notes/a"), EDITOR).type_text("kept");
    let mut bo = Client::join(&server.url("notes/b?ack=json"), "editor:bo");
    bo.type_text("fine");
    until_acked(&mut bo, 2);
    let server = server.restart();
    let database = rusqlite::Connection::open(server.database()).unwrap();
    database.execute_batch("UPDATE base_snapshot SET data = x'00' WHERE room_id = 1").unwrap();
    let (code, reason) = Client::connect(&server.url("notes/a"), EDITOR).until_closed();
    assert_eq!((code, reason.contains("LOAD_FAILED")), (4500, true));
    assert!(server.host.hooks.lock().iter().any(|hook| {
        hook.name == "realtime:snapshot:integrity-failed" && hook.data["roomId"] == "notes:a"
    }));
    assert_eq!(Client::join(&server.url("notes/b"), EDITOR).text(), "fine");
}

/// What was acknowledged before a backup began is there after its restore, while people go on typing.
#[test]
fn a_backup_under_load_holds_every_acknowledged_edit() {
    let server = Server::start();
    let stop = AtomicBool::new(false);
    let durable = parking_lot::Mutex::new(Vec::new());
    let backup = tempfile::tempdir().unwrap();
    let file = backup.path().join("backup.db");
    let expected: Vec<String> = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (server, durable, stop) = (&server, &durable, &stop);
            scope.spawn(move || {
                let url = server.url(&format!("notes/{}?ack=json", writer % 2));
                let mut client = Client::join(&url, &format!("editor:{writer}"));
                let mut number = 0;
                while !stop.load(Relaxed) {
                    let word = format!("[{writer}.{number}]");
                    client.type_text(&word);
                    number += 1;
                    until_acked(&mut client, number + 1);
                    durable.lock().push(word);
                }
            });
        }
        eventually("some edits", || durable.lock().len() > 100);
        let acknowledged = durable.lock().clone();
        let report = Archive::open(&server.database()).unwrap().back_up(&file).unwrap();
        assert_eq!((report.rooms, report.damaged.len()), (2, 0));
        eventually("more edits", || durable.lock().len() > acknowledged.len() + 20);
        stop.store(true, Relaxed);
        acknowledged
    });

    let elsewhere = Arc::new(tempfile::tempdir().unwrap());
    let database = elsewhere.path().join("realtime/realtime.db");
    sqlite::restore(&database, &file).unwrap();
    let server = Server::on(elsewhere, config(), Arc::default());
    let texts: Vec<_> = ["notes/0", "notes/1"]
        .map(|room| Client::join(&server.url(room), EDITOR).text())
        .into_iter()
        .collect();
    for word in expected {
        let found: usize = texts.iter().map(|text| text.matches(&word).count()).sum();
        assert_eq!(found, 1, "{word}");
    }
}

#[test]
fn a_version_brought_back_reaches_those_who_have_the_newer_state() {
    let host = FakeHost::with_record("a", "---\nid: a\n---\n# Title\n\nText.\n");
    let mut server = Server::with(config(), host);
    let room = RoomId::parse("records:a").unwrap();
    let mut ada = Client::join(&server.url("records/a?ack=json"), EDITOR);
    add_paragraph(&mut ada, "First.");
    until_acked(&mut ada, 2);
    server.stop();
    let mut server = server.again();
    let mut ada = Client::with_doc(&server.url("records/a?ack=json"), EDITOR, ada.doc).unwrap();
    ada.say_hello();
    ada.sync();
    add_paragraph(&mut ada, "Second.");
    until_acked(&mut ada, 2);
    let error = maintenance::restore_version(server.config(), &room, 1).unwrap_err();
    assert_eq!(error.code(), "STORE_LOCKED", "not under a running engine");
    let live = maintenance::export(server.config(), &room, None, ExportForm::Markdown).unwrap();
    assert_eq!(
        String::from_utf8(live).unwrap(),
        "---\nid: a\n---\n# Title\n\nText.\n\nFirst.\n\nSecond.\n",
        "the present state is exported beside a running engine"
    );
    server.stop();

    let old = maintenance::export(server.config(), &room, Some(1), ExportForm::Markdown).unwrap();
    let old = String::from_utf8(old).unwrap();
    assert!(old.ends_with("Text.\n\nFirst.\n"), "{old}");
    let restored = maintenance::restore_version(server.config(), &room, 1).unwrap();
    assert_eq!((restored.changed, restored.kept_as), (true, Some(3)));
    let again = maintenance::restore_version(server.config(), &room, 1).unwrap();
    assert!(!again.changed);
    let error = maintenance::restore_version(server.config(), &room, 99).unwrap_err();
    assert_eq!(error.code(), "VERSION_NOT_FOUND");

    let server = server.again();
    let mut back = Client::with_doc(&server.url("records/a"), EDITOR, ada.doc).unwrap();
    back.say_hello();
    back.sync();
    let shown = xml(&back);
    assert!(shown.contains("First.") && !shown.contains("Second."), "{shown}");
    // And what comes next builds on it.
    add_paragraph(&mut back, "Third.");
    let mut bo = Client::join(&server.url("records/a"), "editor:bo");
    until_xml(&mut bo, "Third.");
    drop((back, bo));
    eventually("written back", || server.host.record("a").ends_with("First.\n\nThird.\n"));
}

#[test]
fn a_room_without_a_record_is_exported_as_an_update() {
    let mut server = Server::start();
    Client::join(&server.url("notes/a"), EDITOR).type_text("kept");
    eventually("taken", || server.engine().metrics().updates_applied.get() == 1);
    server.stop();
    let room = RoomId::parse("notes:a").unwrap();
    let update = maintenance::export(server.config(), &room, None, ExportForm::Update).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let other = Server::on(Arc::new(folder), config(), Arc::default());
    let mut client = Client::join(&other.url("notes/b"), EDITOR);
    client.apply(&update);
    assert_eq!(client.text(), "kept");
    for (version, form) in [(None, ExportForm::Markdown), (Some(7), ExportForm::Update)] {
        assert!(maintenance::export(server.config(), &room, version, form).is_err());
    }
    let database = server.database();
    assert!(maintenance::restore_version(server.config(), &room, 1).is_err());
    assert!(Path::new(&database).exists());
}
