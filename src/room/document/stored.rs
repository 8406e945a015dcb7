//! Documents and the store: loads, trial loads of snapshots, and the seed a record's log begins with.

use bytes::Bytes;
use yrs::{Doc, OffsetKind, Options, ReadTxn, Transact};

use super::{Applied, Document, DocumentError, Exact, Rest, guarded, held::Held};
use crate::{
    markdown::{self, Naming},
    protocol::guard::{self, Bounds},
};

impl Document {
    /// Rebuilds a document from a snapshot and log rows: applies what was applied, in the same order, and holds
    /// what was held. If the log lost its end, some of that can go on: see [`Document::settle`].
    ///
    /// What is stored was let in before, so a document over its bounds opens: it may shrink, and be read.
    pub fn load(
        document_bytes_max: u64,
        snapshot: Option<&Bytes>,
        rows: impl Iterator<Item = (u64, Bytes)>,
    ) -> Result<Self, LoadFault> {
        let mut document = Self::new(document_bytes_max);
        document.bounds = Bounds::stored();
        if let Some(state) = snapshot {
            let fault =
                |error| LoadFault { error, seq: None, bytes: state.clone(), was_held: false };
            if document.load_one(state).map_err(fault)? == Applied::Missing {
                return Err(fault(DocumentError::Refused("SNAPSHOT_INCOMPLETE")));
            }
        }
        document.load_more(rows)?;
        document.bounds = Bounds::new(document_bytes_max);
        Ok(document)
    }

    /// Goes on with rows that follow.
    pub(super) fn load_more(
        &mut self,
        rows: impl Iterator<Item = (u64, Bytes)>,
    ) -> Result<(), LoadFault> {
        for (seq, bytes) in rows {
            let fault =
                |error| LoadFault { error, seq: Some(seq), bytes: bytes.clone(), was_held: false };
            if self.load_one(&bytes).map_err(fault)? == Applied::Missing {
                // Whose deletions these are nobody knows any more; they come again with the deleter's next answer.
                let own = guard::keep_own_deletes(&bytes, &self.bounds)
                    .map_err(|error| fault(error.into()))?;
                // Not bounded again: what is in the log was within the bounds when it came.
                self.held.extend(own.map(|bytes| {
                    let rest = Rest { bytes, needs: Vec::new() };
                    Held { seq, rest, by: None }
                }));
            }
        }
        Ok(())
    }

    fn load_one(&mut self, bytes: &Bytes) -> Result<Applied, DocumentError> {
        let update = guard::admit(bytes.clone(), &self.bounds)?;
        self.apply(&update, Exact::NotWanted)
    }

    /// Whether `state` rebuilds a document with the same structs, of which the same live; asked before a snapshot
    /// replaces a good one.
    pub fn is_rebuilt_by(&mut self, state: &Bytes) -> bool {
        let document_bytes_max = self.bounds.document_bytes_max;
        let rebuilt = Self::load(document_bytes_max, Some(state), std::iter::empty());
        let Ok(rebuilt) = rebuilt else { return false };
        let same =
            guarded(|| Ok(rebuilt.doc.transact().snapshot() == self.doc.transact().snapshot()));
        if same == Ok(true) {
            self.estimated_bytes = rebuilt.estimated_bytes;
            self.counted = true;
        }
        same == Ok(true)
    }
}

/// A stored update that does not load.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct LoadFault {
    /// What is wrong with it.
    pub error: DocumentError,
    /// Its row in the log; `None` = the snapshot.
    pub seq: Option<u64>,
    /// The update v1.
    pub bytes: Bytes,
    /// Whether it was only held, so that the document is whole without it.
    pub was_held: bool,
}

/// The first content of a record as an update, made by a client id that no other content can share: the hash
/// of room, converter version and text. The same seed made twice is the same bytes, so that even two seeds
/// that slip past the store's claim merge to one.
pub fn seed_update(room: &str, body: &str, naming: Naming) -> Result<Bytes, DocumentError> {
    use sha2::{Digest, Sha256};

    let mut hash = Sha256::new();
    let converter = match naming {
        Naming::CivicPress => markdown::CONVERTER_VERSION.to_owned(),
        Naming::Tiptap => format!("{} tiptap", markdown::CONVERTER_VERSION),
    };
    for part in [room, &converter, body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(hash.finalize().get(..8).unwrap_or(&[0; 8]));
    let client_id = u64::from_be_bytes(first) & crate::limits::CLIENT_ID_MAX;
    guarded(|| {
        let doc = Doc::with_options(Options {
            offset_kind: OffsetKind::Utf16,
            ..Options::with_client_id(yrs::block::ClientID::new(client_id))
        });
        let fragment = doc.get_or_insert_xml_fragment(markdown::ROOT);
        let mut txn = doc.transact_mut();
        markdown::write_fragment(&mut txn, &fragment, &markdown::parse(body), naming);
        Ok(txn.encode_update_v1().into())
    })
}
