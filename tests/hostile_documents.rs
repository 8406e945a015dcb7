//! Every payload known to kill, poison or bloat yrs, against a document as a room has it: refused by name, or
//! harmless. Without sockets, so that it also runs under `AddressSanitizer`; counts what it allocates.
#![allow(missing_docs, reason = "tests")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]
#![allow(unreachable_pub, reason = "a test binary has no outside")]

#[path = "hostile_documents/corpus.rs"]
mod corpus;
#[path = "hostile_documents/honest.rs"]
mod honest;
#[path = "hostile_documents/memory.rs"]
mod memory;

use std::thread;

use bytes::Bytes;
use civicpress_realtime::{
    limits::WORKER_STACK_BYTES,
    protocol::guard::{Bounds, admit},
    room::document::{Applied, Document, DocumentError, Exact},
};
use yrs::{Doc, GetString, ReadTxn, Text, Transact, Update, WriteTxn, updates::decoder::Decode};

pub const DOCUMENT_BYTES_MAX: u64 = 256 << 20;

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Refused(&'static str),
    /// It waits for something, outside yrs.
    Waits,
    Taken,
}

/// A room's document and log, without the room.
pub struct Room {
    pub document: Document,
    log: Vec<Bytes>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { document: Document::new(DOCUMENT_BYTES_MAX), log: Vec::new() }
    }

    pub(crate) fn send(&mut self, update: &[u8]) -> Fate {
        let bounds = Bounds::new(DOCUMENT_BYTES_MAX);
        let update = match admit(Bytes::copy_from_slice(update), &bounds) {
            Ok(update) => update,
            Err(refusal) => return Fate::Refused(refusal.code()),
        };
        match self.document.apply(&update, Exact::Wanted) {
            Ok(Applied::Missing) => {
                let Ok(part) = self.document.apply_part(&update) else { return Fate::Waits };
                self.log.push(update.bytes().clone());
                if let Some(rest) = part.rest {
                    let seq = self.log.len() as u64;
                    // Over the bound its sender is cut.
                    let _ = self.document.hold(seq, rest);
                    return Fate::Waits;
                }
                Fate::Taken
            }
            Ok(Applied::Changed(_)) => {
                self.log.push(update.bytes().clone());
                self.document.settle().expect("settles");
                Fate::Taken
            }
            Ok(Applied::Unchanged) => Fate::Taken,
            Err(DocumentError::Refused(code) | DocumentError::TooLarge(code)) => {
                Fate::Refused(code)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// What every room must still be able to do: give its state and a difference, be read, be edited by an
    /// honest client, and be rebuilt from its log and from a snapshot.
    pub(crate) fn still_serves(&mut self) {
        let state = self.document.encode().expect("encodes");
        let vector = self.document.state_vector().expect("has a state vector");
        self.document.diff(&vector).expect("answers");
        self.document.content().expect("is read");
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
        assert_eq!(self.send(&edit), Fate::Taken, "an honest edit");
        let state = Bytes::from(self.document.encode().expect("encodes"));
        assert!(self.document.is_rebuilt_by(&state));
        let rows = self.log.iter().cloned().zip(1..).map(|(row, seq)| (seq, row));
        let again = Document::load(DOCUMENT_BYTES_MAX, None, rows).expect("loads from its log");
        let same = |document: &Document| {
            let doc = Doc::new();
            let mut txn = doc.transact_mut();
            txn.apply_update(Update::decode_v1(&document.encode().unwrap()).unwrap()).unwrap();
            let text = txn.get_or_insert_text("honest");
            (text.get_string(&txn), txn.state_vector())
        };
        assert_eq!(same(&again), same(&self.document));
    }
}

/// Runs on a stack as rooms have it, and with the most it may allocate.
pub(crate) fn on_a_room_thread(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(WORKER_STACK_BYTES);
    thread.spawn(work).unwrap().join().unwrap();
}
