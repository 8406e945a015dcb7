//! What a document may cost, over real sockets.

use std::time::Duration;

use civicpress_realtime::{
    limits::{DOCUMENT_CLIENTS_MAX, HELD_UPDATES_MAX, HELD_USER_SHARE},
    protocol::{lib0::write_var_uint, sync},
};
use yrs::{ReadTxn, Text, Transact};

use crate::support::{Client, Server, client::Frame, eventually};

const EDITOR: &str = "editor:ada";

/// Edits made offline: letters, each a struct of its own. Every `jump`th is written somewhere else, and every
/// tenth is deleted again.
fn offline_edits(clients: &[u64], edits: u64, jump: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut out = Vec::new();
    write_var_uint(&mut out, clients.len() as u64);
    for client in clients {
        write_var_uint(&mut out, edits);
        write_var_uint(&mut out, *client);
        out.push(0);
        for at in 0..edits {
            if at == 0 {
                out.extend([4, 1, 1, b't']);
            } else {
                let origin = if at % jump == 0 { random.u64(0..at) } else { at - 1 };
                out.push(0x84);
                write_var_uint(&mut out, *client);
                write_var_uint(&mut out, origin);
            }
            out.extend([1, b'a' + (at % 26) as u8]);
        }
    }
    write_var_uint(&mut out, clients.len() as u64);
    for client in clients {
        write_var_uint(&mut out, *client);
        write_var_uint(&mut out, edits / 10);
        for at in 0..edits / 10 {
            write_var_uint(&mut out, at * 10 + 5);
            out.push(1);
        }
    }
    out
}

#[test]
fn half_a_million_offline_edits_are_taken_and_acknowledged() {
    let server = Server::start();
    for (room, clients, edits, jump) in [
        // Two people, who went from place to place; and one who wrote on and on.
        ("notes/jumping", &[11, 12][..], 250_000, 25),
        ("notes/straight", &[13][..], 500_000, u64::MAX),
    ] {
        let url = server.url(room);
        let mut ada = Client::join(&format!("{url}?ack=json"), EDITOR);
        ada.socket.get_ref().set_read_timeout(Some(Duration::from_mins(5))).unwrap();
        ada.send(sync::update(&offline_edits(clients, edits, jump)));
        // The answer to step 1 was the first message.
        ada.until(|frame| matches!(frame, Frame::Json(json) if json["updates"] == 2));
        let mut bo = Client::connect(&url, "editor:bo");
        bo.socket.get_ref().set_read_timeout(Some(Duration::from_mins(5))).unwrap();
        bo.say_hello();
        bo.sync();
        let letters = clients.len() as u64 * edits;
        assert_eq!(bo.text().len() as u64, letters - letters / 10, "{room}");
        bo.type_text("!");
        ada.until(|frame| matches!(frame, Frame::Update(_)));
    }
    assert_eq!(server.engine().metrics().rooms_failed.get(), 0);
}

#[test]
fn a_full_document_tells_its_writer_and_takes_deletions() {
    let mut config = crate::support::server::config();
    config.limits.document_bytes_max = 1 << 20;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    let mut bo = Client::join(&url, "editor:bo");
    let metrics = server.engine().metrics();
    let chunk = "x".repeat(50_000);
    let mut taken = 0;
    let full = || metrics.frames_refused.get("document_bytes") == 1;
    while !full() {
        assert!(taken < 100, "never full");
        ada.type_text(&chunk);
        eventually("taken or not", || metrics.updates_applied.get() > taken || full());
        taken = metrics.updates_applied.get();
    }
    let (code, reason) = ada.until_closed();
    assert_eq!(code, 4413, "{reason}");
    assert!(reason.contains("DOCUMENT_TOO_LARGE"), "{reason}");
    assert!(taken >= 8, "half of the bound at least: {taken}");
    // The other lives on, may delete, and then write again.
    let length = chunk.len() * usize::try_from(taken).unwrap();
    while bo.text().len() < length {
        bo.next();
    }
    let update = {
        let text = bo.doc.get_or_insert_text("t");
        let mut txn = bo.doc.transact_mut();
        text.remove_range(&mut txn, 0, 150_000);
        txn.encode_update_v1()
    };
    bo.send(sync::update(&update));
    let mut fresh = Client::join(&url, "editor:cy");
    fresh.type_text(&chunk);
    bo.until(|frame| matches!(frame, Frame::Update(_)));
    assert_eq!(bo.text().len(), length - 100_000);
    assert_eq!(metrics.rooms_failed.get(), 0);
}

/// One struct each of so many clients.
fn crowd(first: u64, clients: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_var_uint(&mut out, clients);
    for client in first..first + clients {
        out.push(1);
        write_var_uint(&mut out, client);
        out.extend([0, 0, 1]);
    }
    out.push(0);
    out
}

#[test]
fn a_document_has_as_many_clients_as_a_state_vector_can_name() {
    let server = Server::start();
    let url = server.url("notes/a?ack=json");
    let mut bo = Client::join(&url, "editor:bo");
    bo.type_text("before ");
    let mut mallory = Client::join(&url, "editor:mallory");
    let most = DOCUMENT_CLIENTS_MAX as u64;
    // Bo is one of them.
    mallory.send(sync::update(&crowd(1 << 40, most - 1)));
    bo.until(|frame| matches!(frame, Frame::Update(_)));
    mallory.send(sync::update(&crowd(1 << 50, 1)));
    let (code, reason) = mallory.until_closed();
    assert_eq!((code, reason.contains("DOCUMENT_TOO_LARGE")), (4413, true), "{reason}");
    assert_eq!(server.engine().metrics().frames_refused.get("document_clients"), 1);
    // The room lives on for who is in it, and for who comes with a state vector of all of them.
    bo.type_text("and after");
    let mut eve = Client::join(&url, "viewer:eve");
    eve.until_text("before and after");
    let known = eve.doc.transact().state_vector();
    assert_eq!(known.len() as u64, most);
    eve.say_hello();
    eve.until(|frame| matches!(frame, Frame::Step2(_)));
}

/// A letter of a client whose first letter never comes.
fn gapped(client: u64) -> Vec<u8> {
    let mut out = vec![1, 1];
    write_var_uint(&mut out, client);
    out.extend([1, 0x84]);
    write_var_uint(&mut out, client);
    out.extend([0, 1, b'x', 0]);
    out
}

#[test]
fn one_user_leaves_the_others_places_for_what_waits() {
    let server = Server::start();
    let url = server.url("notes/a");
    let metrics = server.engine().metrics();
    let share = (HELD_UPDATES_MAX / HELD_USER_SHARE) as u64;
    // Coming back does not help.
    for visit in 0..10 {
        let mut mallory = Client::join(&url, "editor:mallory");
        for number in 0..=share {
            mallory.send(sync::update(&gapped(1000 + visit * 100 + number)));
        }
        let (code, reason) = mallory.until_closed();
        assert_eq!(code, 4500, "{reason}");
    }
    assert_eq!(metrics.updates_held.get(), share);
    assert_eq!(metrics.frames_refused.get("TOO_MANY_HELD"), 10);
    // Somebody else's updates still may come out of order.
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    let updates: Vec<_> = ["one ", "two ", "three"].map(|word| ada.edit(word)).into();
    for update in updates.iter().rev() {
        ada.send(sync::update(update));
    }
    bo.until_text("one two three");
    assert_eq!(metrics.rooms_failed.get(), 0);
}
