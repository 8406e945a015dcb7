//! Checks 1–10 of the Yjs research: what a sync must do, frame by frame.

use std::time::Duration;

use civicpress_realtime::protocol::sync;
use tungstenite::Message;
use yrs::{
    ReadTxn, StateVector, Text, Transact,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::support::{Client, Server, client::Frame, eventually};

const EDITOR: &str = "editor:ada";

#[test]
fn two_clients_see_each_others_edits_and_no_echo() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    ada.type_text("hello ");
    bo.until_text("hello ");
    bo.type_text("world");
    ada.until_text("hello world");
    ada.settle(Duration::from_millis(100));
    let echoes = ada.seen.iter().filter(|frame| matches!(frame, Frame::Update(_))).count();
    assert_eq!(echoes, 1, "only the other's edit came");
}

#[test]
fn the_server_greets_in_the_contracts_order() {
    let server = Server::start();
    let mut ada = Client::connect(&server.url("notes/a"), EDITOR);
    ada.say_hello();
    assert!(matches!(ada.next(), Frame::Json(json) if json["event"] == "connection.ack"
        && json["roomId"] == "notes:a" && json["canEdit"] == true));
    assert!(matches!(ada.next(), Frame::Step1(_)));
    assert_eq!(ada.next(), Frame::Step2(vec![0, 0]), "an empty document");
}

#[test]
fn a_lone_client_hears_something_before_y_websocket_gives_up() {
    let server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), "editor:ada");
    // It closes a connection that brought no message for 30 s, and pings are none.
    ada.socket.get_ref().set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    ada.until(|frame| *frame == Frame::Awareness(vec![0]));
}

#[test]
fn a_client_that_says_nothing_gets_the_whole_state() {
    let server = Server::start();
    let url = server.url("notes/a");
    Client::join(&url, EDITOR).type_text("already here");
    eventually("stored", || server.engine().metrics().updates_applied.get() == 1);
    let mut silent = Client::connect(&url, EDITOR);
    let state = loop {
        match silent.socket.read().unwrap() {
            Message::Binary(bytes) if bytes.starts_with(&[0, 1]) => break bytes,
            _ => {}
        }
    };
    silent.apply(&state[3..]);
    assert_eq!(silent.text(), "already here");
}

/// As the clients of CivicPress's own tests do.
#[test]
fn a_client_that_answers_and_never_asks_gets_the_state_at_once() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    bo.type_text("before");
    let mut ada = Client::connect(&url, EDITOR);
    ada.until(|frame| matches!(frame, Frame::Step1(_)));
    // Once the room passes her own words on, it has done with her answer.
    ada.type_text("hers");
    bo.until(|frame| matches!(frame, Frame::Update(_)));
    bo.type_text("after");
    ada.until(|frame| matches!(frame, Frame::Step2(_)));
    assert!(ada.text().contains("before") && !ada.text().contains("after"));
    ada.until(|frame| matches!(frame, Frame::Update(_)));
    assert!(ada.text().contains("after"));
}

#[test]
fn offline_edits_upload() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    let mut offline = Client::with_doc(&url, EDITOR, yrs::Doc::new()).unwrap();
    offline.edit("made offline");
    offline.say_hello();
    offline.sync();
    ada.until_text("made offline");
}

#[test]
fn a_reconnect_brings_only_what_is_missing() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    ada.type_text(&"a long text that need not travel twice. ".repeat(500));
    let mut bo = Client::join(&url, EDITOR);
    let doc = {
        bo.settle(Duration::from_millis(50));
        bo.vanish()
    };
    ada.type_text("new");
    {
        // A deletion made while the other is away must arrive too.
        let text = ada.doc.get_or_insert_text("t");
        let update = {
            let mut txn = ada.doc.transact_mut();
            text.remove_range(&mut txn, 0, 7);
            txn.encode_update_v1()
        };
        ada.send(sync::update(&update));
    }
    eventually("both are in", || server.engine().metrics().updates_applied.get() == 3);
    let mut back = Client::with_doc(&url, EDITOR, doc).unwrap();
    back.say_hello();
    let Frame::Step2(diff) = back.until(|frame| matches!(frame, Frame::Step2(_))) else {
        unreachable!()
    };
    assert!(diff.len() < 200, "{} bytes", diff.len());
    back.until_text(&ada.text());
}

#[test]
fn an_answer_to_one_client_never_reaches_others_as_it_is() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    ada.type_text("known to all");
    let mut bo = Client::join(&url, EDITOR);
    bo.settle(Duration::from_millis(50));
    // The whole state again, with one new word: only the word may travel on.
    ada.edit("!");
    let state = ada.doc.transact().encode_diff_v1(&StateVector::default());
    ada.send(sync::sync_step2(&state));
    let Frame::Update(update) = bo.until(|frame| matches!(frame, Frame::Update(_))) else {
        unreachable!()
    };
    assert!(update.len() < state.len(), "{} of {} bytes", update.len(), state.len());
    bo.until_text("known to all!");
}

#[test]
fn duplicates_change_and_send_nothing() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, EDITOR));
    let update = ada.type_text("once");
    bo.until_text("once");
    ada.send(sync::update(&update));
    ada.send(sync::sync_step2(&update));
    ada.send(sync::sync_step2(&[0, 0]));
    bo.settle(Duration::from_millis(100));
    assert_eq!(bo.seen.iter().filter(|frame| matches!(frame, Frame::Update(_))).count(), 1);
    assert_eq!(server.engine().metrics().updates_applied.get(), 1, "nothing is logged twice");
}

/// Two clients append alternately; every order of the six updates must end the same, with nothing stuck.
#[test]
fn all_720_orders_end_the_same() {
    let server = Server::start();
    let (one, two) = (yrs::Doc::with_client_id(1), yrs::Doc::with_client_id(2));
    let mut updates: Vec<Vec<u8>> = Vec::new();
    for (index, word) in ["a", "b", "c", "d", "e", "f"].iter().enumerate() {
        let (here, there) = if index % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let text = here.get_or_insert_text("t");
        let update = {
            let mut txn = here.transact_mut();
            text.push(&mut txn, word);
            txn.encode_update_v1()
        };
        let known = yrs::Update::decode_v1(&update).unwrap();
        there.transact_mut().apply_update(known).unwrap();
        updates.push(update);
    }
    for (number, order) in permutations(6).into_iter().enumerate() {
        let url = server.url(&format!("notes/order-{number}"));
        let mut sender = Client::connect(&url, EDITOR);
        for index in &order {
            sender.send(sync::update(&updates[*index]));
        }
        let mut reader = Client::join(&url, EDITOR);
        reader.until_text("abcdef");
        sender.vanish();
        reader.vanish();
    }
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for _ in 0..count {
        let mut longer = Vec::new();
        for order in &all {
            for next in (0..count).filter(|next| !order.contains(next)) {
                longer.push([order.as_slice(), &[next]].concat());
            }
        }
        all = longer;
    }
    all
}

/// A later update arrives first: it is kept through a crash and goes on when the gap fills.
#[test]
fn a_gapped_update_survives_a_crash_and_completes() {
    let mut server = Server::start();
    let url = server.url("notes/a");
    let author = yrs::Doc::new();
    let text = author.get_or_insert_text("t");
    let write = |word: &str| {
        let mut txn = author.transact_mut();
        text.push(&mut txn, word);
        txn.encode_update_v1()
    };
    let (first, second) = (write("first "), write("second"));
    let mut ada = Client::join(&format!("{url}?ack=json"), EDITOR);
    ada.send(sync::update(&second));
    let step1 = ada.until(|frame| matches!(frame, Frame::Step1(_)));
    assert_eq!(step1, Frame::Step1(vec![0]), "the server asks for what is missing");
    eventually("held and logged", || server.engine().metrics().updates_held.get() == 1);
    std::thread::sleep(Duration::from_millis(100));
    server.kill();
    let _server = server.again();
    let mut bo = Client::join(&url, EDITOR);
    assert_eq!(bo.text(), "");
    bo.send(sync::update(&first));
    let mut cy = Client::join(&url, EDITOR);
    cy.until_text("first second");
}

#[test]
fn rooms_with_any_name_are_apart() {
    let server = Server::start();
    let names = ["a", "a%20b", "%C3%A4", "a%3Fb", "a%2Fb", "%F0%9F%98%80", "a%252Fb"];
    for name in names {
        Client::join(&server.url(&format!("notes/{name}")), EDITOR).type_text(name);
    }
    eventually("all typed", || {
        server.engine().metrics().updates_applied.get() == names.len() as u64
    });
    for name in names {
        let mut reader = Client::join(&server.url(&format!("notes/{name}?x=1")), EDITOR);
        reader.until_text(name);
    }
    assert_eq!(server.engine().rooms().len(), names.len());
}

#[test]
fn a_big_document_does_not_stop_other_rooms() {
    let server = Server::start();
    let mut big = Client::join(&server.url("notes/big"), EDITOR);
    let megabyte = "x".repeat(1024 * 1024);
    for _ in 0..9 {
        big.type_text(&megabyte);
    }
    let mut small = Client::join(&server.url("notes/small"), EDITOR);
    small.type_text("quick");
    let mut other = Client::join(&server.url("notes/small"), EDITOR);
    other.until_text("quick");
    let mut joiner = Client::join(&server.url("notes/big"), EDITOR);
    while joiner.text().len() < 9 * megabyte.len() {
        joiner.next();
    }
}

/// Client ids beyond 32 bits, surrogate pairs, and text that JavaScript counts differently.
#[test]
fn wide_ids_and_emoji_travel() {
    let server = Server::start();
    let url = server.url("notes/a");
    let doc = yrs::Doc::with_client_id((1 << 53) - 1);
    let mut wide = Client::with_doc(&url, EDITOR, doc).unwrap();
    wide.say_hello();
    wide.sync();
    wide.type_text("😀 naïve שלום 👩‍👩‍👧");
    let mut reader = Client::join(&url, EDITOR);
    reader.until_text("😀 naïve שלום 👩‍👩‍👧");
}

#[test]
fn what_is_sent_before_the_join_is_complete_is_kept_in_order() {
    let server = Server::start();
    server.host.auth_delay_ms.store(300, std::sync::atomic::Ordering::Relaxed);
    let url = server.url("notes/a");
    let mut ada = Client::connect(&url, EDITOR);
    for word in ["one ", "two ", "three"] {
        ada.type_text(word);
    }
    ada.say_hello();
    let mut bo = Client::join(&url, EDITOR);
    bo.until_text("one two three");
}

#[test]
fn an_editor_of_version_4_gets_its_update_back_once_durable() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&format!("{url}?ack=echo"), EDITOR);
    let update = ada.type_text("echo me");
    let echo = ada.until(|frame| matches!(frame, Frame::Update(_)));
    assert_eq!(echo, Frame::Update(update));
    let vector = ada.doc.transact().state_vector().encode_v1();
    assert!(!vector.is_empty());
}
