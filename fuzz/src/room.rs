//! A room without tasks: what `room/actor/updates.rs` does with an update, and the log beside it. The targets and
//! `tests/hostile_documents.rs` share it.

use bytes::Bytes;
use civicpress_realtime::{
    markdown,
    protocol::guard::{self, Admitted, Bounds},
    room::document::{Applied, Document, DocumentError, Exact, Settled},
};

/// What became of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Refused(&'static str),
    /// Something of it waits, outside yrs.
    Waits,
    Taken,
}

pub struct Room {
    pub document: Document,
    snapshot: Option<Bytes>,
    log: Vec<(u64, Bytes)>,
    last_seq: u64,
    /// For what comes and for what is loaded, in bytes.
    pub document_bytes_max: u64,
}

impl Room {
    pub fn new(document_bytes_max: u64) -> Self {
        Self {
            document: Document::new(document_bytes_max),
            snapshot: None,
            log: Vec::new(),
            last_seq: 0,
            document_bytes_max,
        }
    }

    pub fn send(&mut self, update: &[u8]) -> Fate {
        let bounds = Bounds::new(self.document_bytes_max);
        let update = match guard::admit(Bytes::copy_from_slice(update), &bounds) {
            Ok(update) => update,
            Err(refusal) => return Fate::Refused(refusal.code()),
        };
        // As of an answer and of an edit by turns.
        let exact = if self.last_seq.is_multiple_of(2) { Exact::Wanted } else { Exact::NotWanted };
        match self.document.apply(&update, exact) {
            Ok(Applied::Changed(change)) => {
                self.append(change.unwrap_or_else(|| update.bytes().clone()));
                self.settle();
                Fate::Taken
            }
            Ok(Applied::Unchanged) => Fate::Taken,
            Ok(Applied::Missing) => self.take_part(&update),
            Err(error) => Fate::Refused(refused(&error)),
        }
    }

    fn take_part(&mut self, update: &Admitted) -> Fate {
        let part = match self.document.apply_part(update) {
            Ok(part) => part,
            Err(error) => return Fate::Refused(refused(&error)),
        };
        let changed = part.change.is_some();
        if let Some(change) = part.change {
            self.append(change);
        }
        let fate = if part.rest.is_some() { Fate::Waits } else { Fate::Taken };
        if let Some(rest) = part.rest
            && self.document.holds(&rest).is_none()
        {
            let bytes = rest.bytes().clone();
            // Over the bound its sender is cut.
            if self
                .document
                .hold(self.last_seq + 1, rest, civicpress_realtime::ids::SessionId(1))
                .is_ok()
            {
                self.append(bytes);
            }
        }
        if changed {
            self.settle();
        }
        fate
    }

    fn settle(&mut self) {
        while let Some(Settled { seq, outcome, .. }) = self.document.settle() {
            match outcome {
                Ok(Some(change)) => self.append(change),
                Ok(None) => {}
                Err(error) => {
                    refused(&error);
                    // Given up, and never acknowledged: whether a load takes up its row again is all the same.
                    self.log.retain(|row| row.0 != seq);
                }
            }
        }
    }

    fn append(&mut self, update: Bytes) {
        self.last_seq += 1;
        self.log.push((self.last_seq, update));
    }

    /// Somebody changes the record outside: what an editor and the write-back do with the document.
    pub fn edit(&mut self, more: &str) {
        let before = text(&self.document);
        let after = format!("{before}\n\n{more}\n");
        let (change, _) = self.document.merge_outside(&before, &after).expect("a merge");
        if let Some(change) = change {
            self.append(change);
        }
        self.settle();
    }

    /// What must hold of any room, whatever it was sent: a snapshot has all that is in it, and the log rebuilds it.
    pub fn check(&mut self) {
        let state = self.state();
        let (mut reloaded, settled) = self.load();
        assert!(settled.is_empty(), "the log lacks what was held");
        assert!(reloaded.is_rebuilt_by(&state), "the log rebuilds another document");
        assert_eq!(text(&reloaded), text(&self.document), "the log rebuilds another text");
    }

    /// It leaves memory, with a snapshot, and is opened again. What hostile origins leave undecided may then stand
    /// in another order, but all of it is there.
    pub fn reopen(&mut self) {
        self.snapshot = Some(self.state());
        let held = self.document.held_seqs();
        self.log.retain(|(seq, _)| held.contains(seq));
        let (document, settled) = self.load();
        assert!(settled.is_empty(), "the log lacks what was held");
        self.document = document;
    }

    fn state(&mut self) -> Bytes {
        let state = Bytes::from(self.document.encode().expect("a state"));
        assert!(self.document.is_rebuilt_by(&state), "a snapshot does not rebuild the document");
        state
    }

    fn load(&self) -> (Document, Vec<Bytes>) {
        let rows = self.log.iter().cloned();
        let mut document = Document::load(self.document_bytes_max, self.snapshot.as_ref(), rows)
            .expect("a log that loads");
        let mut settled = Vec::new();
        while let Some(Settled { outcome, .. }) = document.settle() {
            settled.extend(outcome.ok().flatten());
        }
        (document, settled)
    }
}

fn text(document: &Document) -> String {
    markdown::serialize(&document.content().expect("content"))
}

/// A refusal is an answer; a broken document is a finding.
fn refused(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::Refused(code) | DocumentError::TooLarge(code) => code,
        error => panic!("{error}"),
    }
}
