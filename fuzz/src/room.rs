//! A room without tasks: what `room/actor/updates.rs` does with an update, and the log beside it.

use bytes::Bytes;
use civicpress_realtime::{
    markdown,
    protocol::guard::{self, Admitted, Bounds},
    room::document::{Applied, Document, DocumentError, Exact},
};

const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

pub struct Room {
    document: Document,
    log: Vec<(u64, Bytes)>,
}

impl Default for Room {
    fn default() -> Self {
        Self { document: Document::new(DOCUMENT_BYTES_MAX), log: Vec::new() }
    }
}

impl Room {
    /// Whether the update was accepted; held ones are.
    pub fn receive(&mut self, update: &[u8]) -> bool {
        if std::env::var_os("SHOW").is_some() {
            eprintln!(
                "update {}",
                update.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            );
        }
        let Ok(update) =
            guard::admit(Bytes::copy_from_slice(update), &Bounds::new(DOCUMENT_BYTES_MAX))
        else {
            return false;
        };
        match sound(self.document.apply(&update, Exact::Wanted)) {
            Some(Applied::Changed(change)) => self.append(change.expect("it was asked for")),
            Some(Applied::Unchanged) => return true,
            Some(Applied::Missing) => return self.take_part(&update),
            None => return false,
        }
        self.settle();
        true
    }

    fn take_part(&mut self, update: &Admitted) -> bool {
        let Some(part) = sound(self.document.apply_part(update)) else { return false };
        match part.rest {
            Some(rest) if self.document.holds(&rest).is_some() && part.change.is_none() => {}
            Some(rest) => match self.document.hold(self.log.len() as u64 + 1, rest) {
                Ok(()) => self.append(update.bytes().clone()),
                Err(_) => {
                    if let Some(change) = part.change {
                        self.append(change);
                    }
                }
            },
            None => self.append(update.bytes().clone()),
        }
        self.settle();
        true
    }

    fn settle(&mut self) {
        // Refused now, it would be refused with each load of the log, and nobody could open the room again.
        self.document.settle().expect("what was held had passed the guard");
    }

    fn append(&mut self, update: Bytes) {
        self.log.push((self.log.len() as u64 + 1, update));
    }

    /// A session asks for what it lacks.
    pub fn answer(&self, state_vector: &[u8]) {
        if guard::scan_state_vector(state_vector).is_ok() {
            sound(self.document.diff(state_vector)).expect("a guarded vector is answered");
        }
    }

    /// Somebody changes the record outside: what an editor and the write-back do with the document.
    pub fn edit(&mut self, more: &str) {
        let before = self.text();
        let after = format!("{before}\n\n{more}\n");
        let (change, _) = sound(self.document.merge_outside(&before, &after)).expect("a merge");
        if let Some(change) = change {
            self.append(change);
        }
        self.settle();
    }

    fn text(&self) -> String {
        markdown::serialize(&sound(self.document.content()).expect("content"))
    }

    /// What must hold of any room, whatever it was sent. `is_told_apart`: nobody wrote two things under one clock
    /// of one client, of which the log may keep the one and the room the other.
    pub fn check(&mut self, is_told_apart: bool) {
        let state = Bytes::from(sound(self.document.encode()).expect("a state"));
        if let Err(fault) = Document::load(DOCUMENT_BYTES_MAX, Some(&state), std::iter::empty()) {
            panic!("a snapshot does not load: {fault}");
        }
        assert!(self.document.is_rebuilt_by(&state), "a snapshot does not rebuild the document");
        let rows = self.log.iter().cloned();
        let mut reloaded =
            Document::load(DOCUMENT_BYTES_MAX, None, rows).expect("a log that loads");
        let again = markdown::serialize(&sound(reloaded.content()).expect("content"));
        if is_told_apart {
            assert!(reloaded.is_rebuilt_by(&state), "the log rebuilds another document");
            assert_eq!(again, self.text(), "the log rebuilds another text");
        }
    }
}

/// A refusal is an answer; a broken document is a finding.
fn sound<T>(outcome: Result<T, DocumentError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(DocumentError::Broken) => panic!("the document is broken"),
        Err(_) => None,
    }
}
