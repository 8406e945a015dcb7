//! Tests of the conversion as a whole; parts are tested beside their code.

mod conversion;
mod late;
mod merging;
mod random_merges;
mod random_texts;
mod unrelated;

use yrs::updates::decoder::Decode;
use yrs::{
    ClientID, Doc, OffsetKind, Options, ReadTxn, Transact, TransactionMut, Update, WriteTxn,
    XmlFragmentRef,
};

use super::{Naming, ROOT, merge_outside, parse, read_fragment, serialize, write_fragment};
use crate::markdown::MergeReport;

/// A live document as a room makes it.
struct Live {
    doc: Doc,
    naming: Naming,
}

impl Live {
    fn empty(client_id: u64) -> Self {
        let options = Options {
            client_id: ClientID::new(client_id),
            offset_kind: OffsetKind::Utf16,
            ..Options::default()
        };
        Self { doc: Doc::with_options(options), naming: Naming::CivicPress }
    }

    fn new(markdown: &str) -> Self {
        Self::named(markdown, Naming::CivicPress)
    }

    fn named(markdown: &str, naming: Naming) -> Self {
        let live = Self { naming, ..Self::empty(1) };
        live.edit(|txn, root| write_fragment(txn, root, &parse(markdown), live.naming));
        live
    }

    fn copy(&self, client_id: u64) -> Self {
        let copy = Self { naming: self.naming, ..Self::empty(client_id) };
        copy.take(self);
        copy
    }

    /// Applies everything the other document has.
    fn take(&self, other: &Live) {
        let update = other.update();
        let mut txn = self.doc.transact_mut();
        txn.apply_update(Update::decode_v1(&update).unwrap()).unwrap();
    }

    fn update(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&yrs::StateVector::default())
    }

    fn edit<T>(&self, f: impl FnOnce(&mut TransactionMut<'_>, &XmlFragmentRef) -> T) -> T {
        let mut txn = self.doc.transact_mut();
        let root = txn.get_or_insert_xml_fragment(ROOT);
        f(&mut txn, &root)
    }

    fn merge(&self, base: &str, theirs: &str) -> MergeReport {
        self.edit(|txn, root| merge_outside(txn, root, base, theirs, self.naming))
    }

    fn node(&self) -> super::Node {
        self.edit(|txn, root| read_fragment(txn, root, self.naming))
    }

    fn markdown(&self) -> String {
        serialize(&self.node())
    }
}
