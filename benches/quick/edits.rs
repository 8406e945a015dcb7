//! What the writers type: real updates of real documents, made before the clock starts.

use civicpress_realtime::protocol::sync;
use yrs::{
    Doc, GetString, Options, ReadTxn, Text, Transact, Update, block::ClientID,
    updates::decoder::Decode,
};

use crate::peer;

/// Client ids as Yjs draws them: 32 bits.
const FIRST_CLIENT_ID: u64 = 0x4000_0000;

/// One writer's edits as frames, one after the other.
pub(crate) struct Edits {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Edits {
    /// Writer `writer` types its letter `count` times, one update each.
    pub(crate) fn type_letters(writer: usize, count: usize) -> Self {
        let id = ClientID::new(FIRST_CLIENT_ID + writer as u64);
        let doc = Doc::with_options(Options::with_client_id(id));
        let text = doc.get_or_insert_text("t");
        let letter = letter(writer).to_string();
        let mut edits = Self { bytes: Vec::new(), ends: Vec::with_capacity(count) };
        for _ in 0..count {
            let mut txn = doc.transact_mut();
            text.push(&mut txn, &letter);
            edits.bytes.extend(peer::frame(&sync::update(&txn.encode_update_v1())));
            edits.ends.push(edits.bytes.len());
        }
        edits
    }

    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The frames `from..to`.
    pub(crate) fn frames(&self, from: usize, to: usize) -> &[u8] {
        let end = |count: usize| if count == 0 { 0 } else { self.ends[count - 1] };
        &self.bytes[end(from)..end(to)]
    }
}

/// The writer and the clock of an update of ours, from the payload of a frame.
pub(crate) fn writer_and_clock(payload: &[u8]) -> Option<(usize, usize)> {
    // Sync, update, a length below 128; one section, one struct, client, clock.
    let [0, 2, _, 1, 1, rest @ ..] = payload else { return None };
    let (client, rest) = var_uint(rest)?;
    let (clock, _) = var_uint(rest)?;
    let writer = client.checked_sub(FIRST_CLIENT_ID)?;
    Some((writer as usize, clock as usize))
}

/// Whether a sync step 2 (its length-prefixed update) holds every letter that was typed.
pub(crate) fn holds_all(answer: &[u8], writers: usize, each: usize) -> bool {
    let Some((_, update)) = var_uint(answer) else { return false };
    let doc = Doc::new();
    let text = doc.get_or_insert_text("t");
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
    let text = text.get_string(&doc.transact());
    let vector = doc.transact().state_vector();
    text.len() == writers * each
        && (0..writers).all(|writer| {
            let id = ClientID::new(FIRST_CLIENT_ID + writer as u64);
            vector.get(&id) as usize == each
        })
}

fn letter(writer: usize) -> char {
    char::from(b'a' + (writer % 26) as u8)
}

fn var_uint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(8) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
