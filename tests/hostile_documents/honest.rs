//! What real yjs clients write passes, whole (`tests/fixtures/yjs/generate.mjs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use civicpress_realtime::{
    protocol::guard::{Bounds, admit},
    room::document::{Applied, Document, DocumentError, Exact},
};
use serde::Deserialize;
use yrs::{StateVector, updates::decoder::Decode};

use crate::{Fate, Room, on_a_room_thread};

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
            let mut room = Room::new();
            for update in &session.updates {
                assert_eq!(room.send(&unhex(update)), Fate::Taken, "{update}");
                updates += 1;
            }
            assert_eq!(vector(&room.document), session.vector);
            for whole in [&session.merged, &session.whole] {
                let mut room = Room::new();
                assert_eq!(room.send(&unhex(whole)), Fate::Taken, "{whole}");
                assert_eq!(vector(&room.document), session.vector);
                room.still_serves();
            }
            room.still_serves();
        }
        assert!(updates > 500, "{updates}");
    });
}

/// A bound that was lowered, or a document that is older than it.
#[test]
fn a_document_over_its_bound_opens_and_takes_deletions() {
    let mut room = Room::new();
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
