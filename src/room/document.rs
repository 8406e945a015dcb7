//! A room's yrs document: the only place where peers' bytes reach yrs, always behind the guard.
//!
//! yrs never holds pending state here: an update whose dependencies are missing waits here until they
//! arrive, because pending state inside yrs can stay for ever or corrupt the document. Every call into yrs
//! runs inside `catch_unwind`; a document that panicked is [`DocumentError::Broken`] and must be dropped.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use yrs::{
    Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, WriteTxn,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::{
    limits::{HELD_BYTES_MAX, HELD_UPDATES_MAX},
    markdown::{self, MergeReport, Node},
    protocol::guard::{self, Bounds, Missing, Refusal, Scan},
};

/// What can go wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The bytes are refused; the document is as before.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// yrs panicked or stopped half-way: the document must be thrown away and rebuilt from its log.
    #[error("the document is broken")]
    Broken,
    /// Too many updates wait for missing dependencies.
    #[error("too many updates with missing dependencies")]
    TooManyHeld,
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

/// The part of an update that waits for what it builds on.
#[derive(Clone, Debug)]
pub struct Rest {
    bytes: Bytes,
    needs: Vec<Missing>,
}

/// The rest of updates, and their rows in the log.
#[derive(Clone, Debug)]
struct Held {
    seq: u64,
    rest: Rest,
}

/// The document and the updates that wait for their dependencies.
#[derive(Debug)]
pub struct Document {
    doc: Doc,
    /// End of each client's structs. Kept beside yrs because asking it copies the whole state vector.
    clocks: HashMap<u64, u64>,
    held: Vec<Held>,
    bounds: Bounds,
}

impl Document {
    /// An empty document. Its own client id is random, so that a lost tail can never be forked.
    pub fn new(document_bytes_max: u64) -> Self {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::default() };
        Self {
            doc: Doc::with_options(options),
            clocks: HashMap::new(),
            held: Vec::new(),
            bounds: Bounds::new(document_bytes_max),
        }
    }

    /// The bounds its updates are scanned with.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Rebuilds a document from a snapshot and log rows. Rows that lack a dependency are held again.
    pub fn load<'a>(
        document_bytes_max: u64,
        snapshot: Option<&[u8]>,
        rows: impl Iterator<Item = (u64, &'a Bytes)>,
    ) -> Result<Self, DocumentError> {
        let mut document = Self::new(document_bytes_max);
        if let Some(state) = snapshot {
            let scan = document.scan(state)?;
            if document.apply(state, &scan, Exact::NotWanted)? == Applied::Missing {
                return Err(DocumentError::Refused("SNAPSHOT_INCOMPLETE"));
            }
        }
        for (seq, bytes) in rows {
            let scan = document.scan(bytes)?;
            if document.apply(bytes, &scan, Exact::NotWanted)? == Applied::Missing
                && let Some(rest) = document.apply_part(bytes)?.rest
            {
                // Not bounded again: what is in the log was within the bounds when it came.
                document.held.push(Held { seq, rest });
            }
            document.settle()?;
        }
        Ok(document)
    }

    /// Judges bytes before they may be applied.
    pub fn scan(&self, bytes: &[u8]) -> Result<Scan, DocumentError> {
        guard::scan_update(bytes, &self.bounds)
            .map_err(|refusal: Refusal| DocumentError::Refused(refusal.code()))
    }

    /// Applies an update that passed the guard, if all it builds on is there.
    pub fn apply(
        &mut self,
        bytes: &[u8],
        scan: &Scan,
        exact: Exact,
    ) -> Result<Applied, DocumentError> {
        if scan.is_empty() {
            return Ok(Applied::Unchanged);
        }
        if scan.has_holes || scan.missing(|client| self.clock(client)).is_some() {
            return Ok(Applied::Missing);
        }
        let applied = guarded(|| {
            let update =
                Update::decode_v1(bytes).map_err(|_| DocumentError::Refused("UNDECODABLE"))?;
            let mut txn = self.doc.transact_mut();
            txn.apply_update(update).map_err(|_| DocumentError::Broken)?;
            if txn.has_missing_updates() {
                // The guard let through what it should have held. Leaving it inside yrs could poison the
                // document, so it goes; the sender still has it.
                drop(txn.prune_pending());
                log::error!("an update stayed pending in spite of the guard and was dropped");
            }
            if !txn.has_changes() {
                return Ok(Applied::Unchanged);
            }
            let change = (exact == Exact::Wanted).then(|| txn.encode_update_v1().into());
            Ok(Applied::Changed(change))
        })?;
        if matches!(applied, Applied::Changed(_)) {
            for section in &scan.sections {
                let clock = self.clocks.entry(section.client).or_default();
                *clock = (*clock).max(u64::from(section.end));
            }
        }
        Ok(applied)
    }

    /// Applies as much of an update as there are dependencies for; the rest can be held.
    ///
    /// Updates are not held as wholes, because two of them may each build on a part of the other.
    pub fn apply_part(&mut self, bytes: &[u8]) -> Result<Part, DocumentError> {
        let split = guard::split_update(bytes, &self.bounds, |client| self.clock(client))
            .map_err(|refusal: Refusal| DocumentError::Refused(refusal.code()))?;
        let rest = split.rest.map(|bytes| Rest { bytes, needs: split.needs });
        let Some(now) = split.now else { return Ok(Part { change: None, rest }) };
        let scan = self.scan(&now)?;
        match self.apply(&now, &scan, Exact::Wanted)? {
            Applied::Changed(change) => Ok(Part { change, rest }),
            Applied::Unchanged => Ok(Part { change: None, rest }),
            Applied::Missing => Err(DocumentError::Refused("UNSPLITTABLE")),
        }
    }

    /// Keeps the rest of an update until what it builds on arrives.
    pub fn hold(&mut self, seq: u64, rest: Rest) -> Result<(), DocumentError> {
        let held_bytes: usize = self.held.iter().map(|held| held.rest.bytes.len()).sum();
        if self.held.len() >= HELD_UPDATES_MAX || held_bytes + rest.bytes.len() > HELD_BYTES_MAX {
            return Err(DocumentError::TooManyHeld);
        }
        self.held.push(Held { seq, rest });
        Ok(())
    }

    /// The row of an equal rest that is held already. A client that reconnects sends its rest again.
    pub fn holds(&self, rest: &Rest) -> Option<u64> {
        self.held.iter().find(|held| held.rest.bytes == rest.bytes).map(|held| held.seq)
    }

    /// Applies what is held as far as its dependencies are there now. Returns each row that is fully applied
    /// or got further, with what changed.
    pub fn settle(&mut self) -> Result<Vec<(u64, Option<Bytes>)>, DocumentError> {
        let mut settled = Vec::new();
        loop {
            let position = self.held.iter().position(|held| {
                let met = |need: &Missing| self.clock(need.client) >= u64::from(need.clock);
                held.rest.needs.iter().any(met)
            });
            let Some(position) = position else { return Ok(settled) };
            let held = self.held.remove(position);
            let part = self.apply_part(&held.rest.bytes)?;
            if let Some(rest) = part.rest {
                self.held.push(Held { seq: held.seq, rest });
            }
            settled.push((held.seq, part.change));
        }
    }

    /// Log rows of the held updates.
    pub fn held_seqs(&self) -> Vec<u64> {
        self.held.iter().map(|held| held.seq).collect()
    }

    /// Whether nothing is held.
    pub fn is_whole(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether an update holds structs the document lacks.
    pub fn adds_structs(&self, scan: &Scan) -> bool {
        scan.sections.iter().any(|section| u64::from(section.end) > self.clock(section.client))
    }

    /// The state vector, encoded.
    pub fn state_vector(&self) -> Result<Vec<u8>, DocumentError> {
        guarded(|| Ok(self.doc.transact().state_vector().encode_v1()))
    }

    /// What a peer with this (guarded) state vector lacks, as update v1 with the whole delete set.
    pub fn diff(&self, state_vector: &[u8]) -> Result<Vec<u8>, DocumentError> {
        guarded(|| {
            let known = StateVector::decode_v1(state_vector)
                .map_err(|_| DocumentError::Refused("UNDECODABLE_STATE_VECTOR"))?;
            // Not encode_state_as_update: that merges pending state, and panics on some of it.
            Ok(self.doc.transact().encode_diff_v1(&known))
        })
    }

    /// The whole state as update v1.
    pub fn encode(&self) -> Result<Vec<u8>, DocumentError> {
        guarded(|| Ok(self.doc.transact().encode_diff_v1(&StateVector::default())))
    }

    /// Whether `state` rebuilds a document equal to this one; asked before a snapshot replaces a good one.
    pub fn is_rebuilt_by(&self, state: &[u8]) -> bool {
        let rebuilt = Self::load(self.bounds.document_bytes_max, Some(state), std::iter::empty());
        match (rebuilt, self.state_vector_map()) {
            (Ok(rebuilt), Ok(ours)) => {
                rebuilt.state_vector_map().is_ok_and(|theirs| theirs == ours)
            }
            _ => false,
        }
    }

    /// The record's content as a ProseMirror-shaped tree.
    pub fn content(&self) -> Result<Node, DocumentError> {
        guarded(|| {
            let fragment = self.doc.get_or_insert_xml_fragment(markdown::ROOT);
            Ok(markdown::read_fragment(&self.doc.transact(), &fragment))
        })
    }

    /// Merges an outside change three-way into the document; returns what changed, as update v1.
    pub fn merge_outside(
        &mut self,
        base: &str,
        theirs: &str,
    ) -> Result<(Option<Bytes>, MergeReport), DocumentError> {
        let (update, report, clock) = guarded(|| {
            let fragment = self.doc.get_or_insert_xml_fragment(markdown::ROOT);
            let mut txn = self.doc.transact_mut();
            let report = markdown::merge_outside(&mut txn, &fragment, base, theirs);
            let update = txn.has_changes().then(|| Bytes::from(txn.encode_update_v1()));
            drop(txn);
            let clock = self.doc.transact().state_vector().get(&self.doc.client_id());
            Ok((update, report, clock))
        })?;
        if clock > 0 {
            self.clocks.insert(self.doc.client_id().get(), u64::from(clock));
        }
        Ok((update, report))
    }

    fn clock(&self, client: u64) -> u64 {
        self.clocks.get(&client).copied().unwrap_or_default()
    }

    fn state_vector_map(&self) -> Result<HashMap<u64, u32>, DocumentError> {
        guarded(|| {
            let vector = self.doc.transact().state_vector();
            Ok(vector
                .iter()
                .map(|(client, clock)| (client.get(), *clock))
                .filter(|(_, c)| *c > 0)
                .collect())
        })
    }
}

/// The first content of a record as an update, made by a client id that no other content can share: the hash
/// of room, converter version and text. The same seed made twice is the same bytes, so that even two seeds
/// that slip past the store's claim merge to one.
pub fn seed_update(room: &str, body: &str) -> Result<Bytes, DocumentError> {
    use sha2::{Digest, Sha256};

    let mut hash = Sha256::new();
    for part in [room, markdown::CONVERTER_VERSION, body] {
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
        markdown::write_fragment(&mut txn, &fragment, &markdown::parse(body));
        Ok(txn.encode_update_v1().into())
    })
}

/// Runs a call into yrs. After a panic the document is in an unknown state; the error says so.
fn guarded<T>(call: impl FnOnce() -> Result<T, DocumentError>) -> Result<T, DocumentError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        log::error!("a document failed and will be rebuilt from its log");
        Err(DocumentError::Broken)
    })
}
