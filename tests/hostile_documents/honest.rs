//! What real yjs clients write passes, whole (`tests/fixtures/yjs/generate.mjs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use civicpress_realtime::{
    protocol::guard::{Bounds, admit},
    room::document::{Applied, Document, DocumentError, Exact},
};
use serde::Deserialize;
use yrs::{Doc, StateVector, Transact, Update, types::ToJson, updates::decoder::Decode};

use crate::{Fate, empty_room, on_a_room_thread, still_serves};

#[derive(Deserialize)]
struct Session {
    /// In an order in which a server could get them.
    updates: Vec<String>,
    /// All of them in one, made without a document.
    merged: String,
    /// The state of a yjs server.
    whole: String,
    vector: BTreeMap<u64, u32>,
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn vector(document: &Document) -> BTreeMap<u64, u32> {
    let vector = StateVector::decode_v1(&document.state_vector().unwrap()).unwrap();
    vector
        .iter()
        .map(|(client, clock)| (client.get(), *clock))
        .filter(|(_, clock)| *clock > 0)
        .collect()
}

#[test]
fn honest_yjs_traffic_passes_whole() {
    on_a_room_thread(|| {
        let sessions: Vec<Session> =
            serde_json::from_str(include_str!("../fixtures/yjs/honest.json")).unwrap();
        let mut updates = 0;
        for session in &sessions {
            let mut room = empty_room();
            for update in &session.updates {
                assert_eq!(room.send(&unhex(update)), Fate::Taken, "{update}");
                updates += 1;
            }
            assert_eq!(vector(&room.document), session.vector);
            for whole in [&session.merged, &session.whole] {
                let mut room = empty_room();
                assert_eq!(room.send(&unhex(whole)), Fate::Taken, "{whole}");
                assert_eq!(vector(&room.document), session.vector);
                still_serves(&mut room);
            }
            still_serves(&mut room);
        }
        assert!(updates > 500, "{updates}");
    });
}

/// `ContentJSON` of Yjs before 13, which Yjs 13.6 reads as `[1, undefined, null, {a: [1.5]}]`, and a letter that
/// follows its second value.
const OLD: &str = "010101000201017404013109756e646566696e6564046e756c6c0b7b2261223a5b312e355d7d00";
const FOLLOWS: &str = "01010200c8010101020177017800";

#[test]
fn old_yjs_documents_open_wherever_they_come_from() {
    let old = Bytes::from(unhex(OLD));
    let value = |document: &Document| {
        let doc = Doc::new();
        let state = document.encode().unwrap();
        doc.transact_mut().apply_update(Update::decode_v1(&state).unwrap()).unwrap();
        let array = doc.get_or_insert_array("t");
        array.to_json(&doc.transact()).to_string()
    };
    let expected = "[1, undefined, null, {a: [1.5]}]";
    // A client, the log, a snapshot.
    let mut room = empty_room();
    assert_eq!(room.send(&old), Fate::Taken);
    assert_eq!(value(&room.document), expected);
    let rows = [(1, old.clone())];
    let load = |snapshot, rows: &[(u64, Bytes)]| {
        let mut document = Document::load(1 << 20, snapshot, rows.iter().cloned()).unwrap();
        while document.settle().is_some() {}
        document
    };
    assert_eq!(value(&load(None, &rows)), expected);
    assert_eq!(value(&load(Some(&old), &[])), expected);
    // What follows it may come first, and waits; in the log too.
    let follows = Bytes::from(unhex(FOLLOWS));
    let expected = "[1, undefined, x, null, {a: [1.5]}]";
    let mut room = empty_room();
    assert_eq!(room.send(&follows), Fate::Waits);
    assert_eq!(room.send(&old), Fate::Taken);
    assert_eq!(value(&room.document), expected);
    assert_eq!(value(&load(None, &[(1, follows), (2, old.clone())])), expected);
    // It waits itself, being the second of its client.
    let later = Bytes::from(unhex("0101010482010301013500"));
    let mut room = empty_room();
    assert_eq!(room.send(&later), Fate::Waits);
    assert_eq!(room.send(&old), Fate::Taken);
    assert_eq!(value(&room.document), "[1, undefined, null, {a: [1.5]}, 5]");
    // A client that has the first two values sends all of them: only the rest is taken.
    let first = Bytes::from(unhex("010101000201017402013109756e646566696e656400"));
    let mut room = empty_room();
    assert_eq!(room.send(&first), Fate::Taken);
    assert_eq!(room.send(&old), Fate::Taken);
    assert_eq!(value(&room.document), "[1, undefined, null, {a: [1.5]}]");
}

/// The deepest Markdown that is read makes a document that opens.
#[test]
fn the_deepest_record_opens() {
    on_a_room_thread(|| {
        for text in [">".repeat(2_000) + " deep", "- ".repeat(2_000) + "deep"] {
            let seed = civicpress_realtime::room::document::seed_update(
                "records:a",
                &text,
                civicpress_realtime::markdown::Naming::CivicPress,
            )
            .unwrap();
            Document::load(1 << 30, None, [(1, seed)].into_iter()).unwrap();
        }
    });
}

/// A bound that was lowered, or a document that is older than it.
#[test]
fn a_document_over_its_bound_opens_and_takes_deletions() {
    let mut room = empty_room();
    let mut text = vec![1, 1, 1, 0, 4, 1, 1, b't', 0x90, 0x4e];
    text.extend([b'a'; 10_000]);
    text.push(0);
    assert_eq!(room.send(&text), Fate::Taken);
    let state = Bytes::from(room.document.encode().unwrap());
    let mut small = Document::load(10_000, Some(&state), std::iter::empty()).unwrap();
    let mut send = |bytes: &[u8]| {
        let update = admit(Bytes::copy_from_slice(bytes), &Bounds::new(10_000)).unwrap();
        small.apply(&update, Exact::NotWanted)
    };
    let letter = [1, 1, 2, 0, 0x84, 1, 0, 1, b'x', 0];
    assert_eq!(send(&letter), Err(DocumentError::TooLarge("document_bytes")));
    assert_eq!(send(&[0, 1, 1, 1, 0, 0x90, 0x4e]), Ok(Applied::Changed(None)));
    assert_eq!(send(&letter), Ok(Applied::Changed(None)), "there is room again");
}
