//! A room's yrs document: the only place where peers' bytes reach yrs, always behind the guard.
//!
//! yrs never holds pending state here: an update whose dependencies are missing waits here until they
//! arrive, because pending state inside yrs can stay for ever or corrupt the document. Every call into yrs
//! runs inside `catch_unwind`; a document that panicked is [`DocumentError::Broken`] and must be dropped.

mod cuts;
#[cfg(test)]
pub(crate) mod fault;
mod held;
mod replay;
mod reunion;
mod stored;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use yrs::{
    Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, TransactionMut, Update, WriteTxn,
    XmlFragmentRef,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::{
    markdown::{self, MergeReport, Naming, Node, Past},
    protocol::guard::{self, Admitted, Bounds, Refusal, Scan, Shape, Split},
};

use held::Held;
pub use held::{Rest, Settled};
pub use reunion::Reunion;
pub use stored::{LoadFault, seed_update};

/// What can go wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are refused; the document is as before.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// It would take the document over its bounds; the document is as before.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// yrs panicked or stopped half-way: the document must be thrown away and rebuilt from its log.
    #[error("the document is broken")]
    Broken,
    /// Too many updates wait for missing dependencies.
    #[error("too many updates with missing dependencies")]
    TooManyHeld,
}

impl From<Refusal> for DocumentError {
    fn from(refusal: Refusal) -> Self {
        if refusal.is_size() {
            Self::TooLarge(refusal.code())
        } else {
            Self::Refused(refusal.code())
        }
    }
}

/// What an update did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It changed the document. Holds exactly what changed, as update v1, if that was [`Exact::Wanted`].
    Changed(Option<Bytes>),
    /// Everything in it was known.
    Unchanged,
    /// Something it builds on is missing; nothing happened, see [`Document::apply_part`].
    Missing,
}

/// Whether what an update changed is to be encoded: it costs more than a typed letter's application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    /// Encode it.
    Wanted,
    /// The update itself will do.
    NotWanted,
}

/// What became of an update that is not all applicable.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Exactly what changed, as update v1.
    pub change: Option<Bytes>,
    /// What has to wait.
    pub rest: Option<Rest>,
}

/// The document and the updates that wait for their dependencies.
#[derive(Debug)]
pub struct Document {
    doc: Doc,
    /// End of each client's structs. Kept beside yrs because asking it copies the whole state vector.
    clocks: HashMap<u64, u64>,
    /// How deep its types nest, kept for the same reason.
    shape: Shape,
    held: Vec<Held>,
    bounds: Bounds,
    /// Estimate of its memory, in bytes: grows with each change, since yrs tells nothing; counted anew from the
    /// whole state with each snapshot, and before anything is refused for it.
    estimated_bytes: u64,
    /// Whether it was counted since the last change.
    counted: bool,
    broken: bool,
    changes: u64,
    naming: Naming,
}

impl Document {
    /// An empty document. Its own client id is random, so that a lost tail can never be forked.
    pub fn new(document_bytes_max: u64) -> Self {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::default() };
        Self {
            doc: Doc::with_options(options),
            clocks: HashMap::new(),
            shape: Shape::default(),
            held: Vec::new(),
            bounds: Bounds::new(document_bytes_max),
            estimated_bytes: 0,
            counted: true,
            broken: false,
            changes: 0,
            naming: Naming::default(),
        }
    }

    /// The same with the names that a schema's editors use.
    #[must_use]
    pub fn named(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Applies an update, if all it builds on is there. Of what is known already nothing reaches yrs.
    pub fn apply(&mut self, update: &Admitted, exact: Exact) -> Result<Applied, DocumentError> {
        let scan = update.scan();
        if scan.is_empty() {
            return Ok(Applied::Unchanged);
        }
        if scan.has_holes || scan.missing(|client| self.clock(client)).is_some() {
            return Ok(Applied::Missing);
        }
        if !self.repeats(scan) {
            return self.integrate(update, exact);
        }
        let split = self.split(update)?;
        match split.now {
            _ if split.rest.is_some() => Ok(Applied::Missing),
            Some(now) => self.integrate(&guard::admit(now, &self.bounds)?, Exact::Wanted),
            None => Ok(Applied::Unchanged),
        }
    }

    /// Whether an update holds structs the document has.
    fn repeats(&self, scan: &Scan) -> bool {
        scan.sections.iter().any(|section| u64::from(section.start) < self.clock(section.client))
    }

    fn split(&self, update: &Admitted) -> Result<Split, Refusal> {
        guard::split_update(update.bytes(), &self.bounds, |client| self.clock(client))
    }

    /// Applies an update that misses nothing and repeats nothing.
    fn integrate(&mut self, update: &Admitted, exact: Exact) -> Result<Applied, DocumentError> {
        let scan = update.scan();
        let growth = self.shape.judge(scan)?;
        self.afford(scan)?;
        let cuts_much = self.cuts_much(cuts::places_max(scan));
        let applied = self.guarded(|doc| {
            #[cfg(test)]
            fault::trip(update.bytes());
            let update = Update::decode_v1(update.bytes())
                .map_err(|_| DocumentError::Refused("UNDECODABLE"))?;
            let mut txn = doc.transact_mut();
            if cuts_much {
                cuts::cut(&mut txn, scan, update.delete_set());
            }
            txn.apply_update(update).map_err(|_| DocumentError::Broken)?;
            if txn.has_missing_updates() {
                // The guard let through what it should have held. Leaving it inside yrs could poison the
                // document, so it goes; the sender still has it.
                drop(txn.prune_pending());
                log::error!("an update stayed pending in spite of the guard and was dropped");
            }
            forget_subdocuments(&mut txn);
            if !txn.has_changes() {
                return Ok(Applied::Unchanged);
            }
            let change = (exact == Exact::Wanted).then(|| txn.encode_update_v1().into());
            Ok(Applied::Changed(change))
        })?;
        if let Applied::Changed(change) = &applied {
            for section in &scan.sections {
                self.clocks.insert(section.client, u64::from(section.end));
            }
            self.shape.grow(growth);
            // An answer to our step 1 repeats much; what it changed is what it costs.
            let changed = change.as_ref().and_then(|bytes| estimate(bytes));
            self.estimated_bytes += changed.unwrap_or(scan.estimated_bytes);
            self.counted = false;
        }
        Ok(applied)
    }

    /// Applies as much of an update as there are dependencies for; the rest can be held.
    ///
    /// Updates are not held as wholes, because two of them may each build on a part of the other.
    pub fn apply_part(&mut self, update: &Admitted) -> Result<Part, DocumentError> {
        let split = self.split(update)?;
        let rest = split.rest.map(|bytes| Rest { bytes, needs: split.needs });
        let Some(now) = split.now else { return Ok(Part { change: None, rest }) };
        let now = guard::admit(now, &self.bounds)?;
        match self.apply(&now, Exact::Wanted)? {
            Applied::Changed(change) => Ok(Part { change, rest }),
            Applied::Unchanged => Ok(Part { change: None, rest }),
            Applied::Missing => Err(DocumentError::Refused("UNSPLITTABLE")),
        }
    }

    /// Whether a peer could still name everybody in a state vector, were an update in.
    fn can_name_all(&self, scan: &Scan) -> bool {
        let unknown =
            scan.sections.iter().filter(|section| self.clock(section.client) == 0).count();
        unknown == 0 || self.clocks.len() + unknown <= self.bounds.clients_max
    }

    /// Whether there is room for what an update adds. Deleting is always allowed.
    fn afford(&mut self, scan: &Scan) -> Result<(), DocumentError> {
        if !self.can_name_all(scan) {
            return Err(DocumentError::TooLarge("document_clients"));
        }
        let added: u64 = scan.sections.iter().map(|section| section.estimated_bytes).sum();
        let fits = |document: &Self| {
            added == 0
                || document.estimated_bytes.saturating_add(added)
                    <= document.bounds.document_bytes_max
        };
        if fits(self) {
            return Ok(());
        }
        if !self.counted {
            // yrs joins and collects structs, which the running sum does not know.
            let state = self.encode()?;
            self.estimated_bytes = estimate(&state).unwrap_or(self.estimated_bytes);
            self.counted = true;
        }
        if fits(self) { Ok(()) } else { Err(DocumentError::TooLarge("document_bytes")) }
    }

    /// Estimate of its memory, in bytes.
    pub fn estimated_bytes(&self) -> u64 {
        self.estimated_bytes
    }

    /// Whether an update holds structs the document lacks.
    pub fn adds_structs(&self, scan: &Scan) -> bool {
        scan.sections.iter().any(|section| u64::from(section.end) > self.clock(section.client))
    }

    /// The state vector, encoded.
    pub fn state_vector(&self) -> Result<Vec<u8>, DocumentError> {
        guarded(|| Ok(self.doc.transact().state_vector().encode_v1()))
    }

    /// What a peer with this state vector lacks, as update v1 with the whole delete set.
    pub fn diff(&self, state_vector: &[u8]) -> Result<Vec<u8>, DocumentError> {
        guard::scan_state_vector(state_vector)?;
        guarded(|| {
            let known = StateVector::decode_v1(state_vector)
                .map_err(|_| DocumentError::Refused("UNDECODABLE_STATE_VECTOR"))?;
            // Not encode_state_as_update: that merges pending state, and panics on some of it.
            Ok(self.doc.transact().encode_diff_v1(&known))
        })
    }

    /// Grows with each change: while it is the same, the same question has the same answer.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The whole state as update v1.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        guarded(|| Ok(self.doc.transact().encode_diff_v1(&StateVector::default())))
    }

    /// The record's content as a ProseMirror-shaped tree.
    pub fn content(&self) -> Result<Node, DocumentError> {
        guarded(|| {
            let fragment = self.doc.get_or_insert_xml_fragment(markdown::ROOT);
            Ok(markdown::read_fragment(&self.doc.transact(), &fragment, self.naming))
        })
    }

    /// Merges an outside change three-way into the document; returns what changed, as update v1.
    pub fn merge_outside(
        &mut self,
        base: &str,
        theirs: &str,
    ) -> Result<(Option<Bytes>, MergeReport), DocumentError> {
        let naming = self.naming;
        self.edit(|txn, fragment| markdown::merge_outside(txn, fragment, base, theirs, naming))
    }

    /// The same of a text whose author may have seen an earlier state.
    pub fn merge_late(
        &mut self,
        base: &str,
        theirs: &str,
        past: &Past,
    ) -> Result<(Option<Bytes>, MergeReport), DocumentError> {
        let naming = self.naming;
        self.edit(|txn, fragment| markdown::merge_late(txn, fragment, base, theirs, past, naming))
    }

    /// An edit of the record's content by ourselves; returns what changed, as update v1.
    fn edit<T>(
        &mut self,
        edit: impl FnOnce(&mut TransactionMut<'_>, &XmlFragmentRef) -> T,
    ) -> Result<(Option<Bytes>, T), DocumentError> {
        let (update, report, clock) = self.guarded(|doc| {
            let fragment = doc.get_or_insert_xml_fragment(markdown::ROOT);
            let mut txn = doc.transact_mut();
            let report = edit(&mut txn, &fragment);
            forget_subdocuments(&mut txn);
            let update = txn.has_changes().then(|| Bytes::from(txn.encode_update_v1()));
            drop(txn);
            let clock = doc.transact().state_vector().get(&doc.client_id());
            Ok((update, report, clock))
        })?;
        if let Some(update) = &update
            && let Ok(update) = guard::admit(update.clone(), &Bounds::stored())
        {
            let _ = self.forget_deletes_ahead(None, update.scan());
            // Our own words are as deep as Markdown may nest, and never refused for it.
            if let Ok(growth) = self.shape.judge(update.scan()) {
                self.shape.grow(growth);
            }
            self.estimated_bytes += update.scan().estimated_bytes;
            self.counted = false;
        }
        if clock > 0 {
            self.clocks.insert(self.doc.client_id().get(), u64::from(clock));
        }
        Ok((update, report))
    }

    /// Runs a change; a document whose change failed half-way is never used again.
    fn guarded<T>(
        &mut self,
        change: impl FnOnce(&Doc) -> Result<T, DocumentError>,
    ) -> Result<T, DocumentError> {
        self.changes += 1;
        let outcome = guarded(|| change(&self.doc));
        self.broken |= matches!(outcome, Err(DocumentError::Broken));
        outcome
    }

    fn clock(&self, client: u64) -> u64 {
        self.clocks.get(&client).copied().unwrap_or_default()
    }
}

impl Drop for Document {
    /// Nobody knows what a broken document does when it is taken apart.
    fn drop(&mut self) {
        if self.broken {
            let doc = std::mem::take(&mut self.doc);
            // What it says of it is logged there.
            let _ = guarded(move || {
                drop(doc);
                Ok(())
            });
        }
    }
}

/// What an update of yrs' own making takes in memory, in bytes.
fn estimate(update: &[u8]) -> Option<u64> {
    guard::scan_update(update, &Bounds::stored()).ok().map(|scan| scan.estimated_bytes)
}

/// Makes yrs forget which subdocuments came and went in this transaction; nobody here asks. Its commit first
/// joins and frees deleted structs, and then reads those that removed subdocuments stood in: a use after free
/// (yrs 0.28.1, `Doc::destroy`), as soon as two neighbours are deleted.
fn forget_subdocuments(txn: &mut TransactionMut<'_>) {
    drop(std::mem::take(txn.subdocs_mut()));
}

/// Runs a call into yrs. After a panic the document is in an unknown state; the error says so.
fn guarded<T>(call: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        log::error!("a document failed and will be rebuilt from its log");
        Err(DocumentError::Broken)
    })
}
