//! Every payload known to kill, poison or bloat yrs, against a document as a room has it: refused by name, or
//! harmless. Without sockets, so that it also runs under `AddressSanitizer`; counts what it allocates.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "tests"
)]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[path = "hostile_documents/corpus.rs"]
mod corpus;
#[path = "hostile_documents/honest.rs"]
mod honest;
#[path = "hostile_documents/memory.rs"]
mod memory;
#[path = "hostile_documents/rebuilt.rs"]
mod rebuilt;
#[path = "../fuzz/src/room.rs"]
mod room;

use std::thread;

use civicpress_realtime::limits::WORKER_STACK_BYTES;
use yrs::{Doc, ReadTxn, Text, Transact, Update, WriteTxn, updates::decoder::Decode};

pub use room::{Fate, Room};

pub const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

pub(crate) fn empty_room() -> Room {
    Room::new(DOCUMENT_BYTES_MAX)
}

/// What every room must still be able to do: give its state and a difference, be read, be edited by an honest
/// client, and be rebuilt from its log and from a snapshot.
pub(crate) fn still_serves(room: &mut Room) {
    let state = room.document.encode().expect("encodes");
    let vector = room.document.state_vector().expect("has a state vector");
    room.document.diff(&vector).expect("answers");
    let client = Doc::new();
    let edit = {
        let mut txn = client.transact_mut();
        txn.apply_update(Update::decode_v1(&state).unwrap()).unwrap();
        assert!(!txn.has_missing_updates());
        let text = txn.get_or_insert_text("honest");
        let len = text.len(&txn);
        text.insert(&mut txn, len, "word ");
        if len >= 5 {
            text.remove_range(&mut txn, 1, 2);
        }
        txn.encode_diff_v1(&yrs::StateVector::decode_v1(&vector).unwrap())
    };
    assert_eq!(room.send(&edit), Fate::Taken, "an honest edit");
    room.edit("a paragraph");
    room.check();
}

/// Runs on a stack as rooms have it, and with the most it may allocate.
pub(crate) fn on_a_room_thread(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(WORKER_STACK_BYTES);
    thread.spawn(work).unwrap().join().unwrap();
}
