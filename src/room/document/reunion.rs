//! Two histories of one record in one document.
//!
//! A record that the store lost is seeded anew from its Markdown, and nothing in a CRDT tells that the seed and
//! what a client still holds are the same text: the client would bring it a second time. So the seed gives way
//! to the first other history that comes. Clients that hold it go on as if nothing had happened, however many
//! they are and whatever they have not sent; what stood in the room goes into it as text.

use std::collections::HashSet;

use bytes::Bytes;
use yrs::{BranchID, TransactionMut, XmlFragment, XmlFragmentRef};

use super::{Document, DocumentError, Exact};
use crate::{
    markdown,
    protocol::guard::{self, Admitted, Bounds},
};

/// What became of a room whose record had two histories.
#[derive(Clone, Debug)]
pub struct Reunion {
    /// All that changed, as one update v1, so that the log has all of it or nothing.
    pub change: Bytes,
    /// Of it what the update brought.
    pub brought: Bytes,
    /// Of it what we made of that.
    pub own: Option<Bytes>,
    /// The room's text before, if parts of it were left out for what the other history says there.
    pub conflict: Option<String>,
}

impl Document {
    /// Whether an update may bring another history of the record: it names clients who wrote nothing here.
    pub fn may_reunite(&self, update: &Admitted) -> bool {
        update.scan().sections.iter().any(|section| self.clock(section.client) == 0)
    }

    /// Lets what stands here give way to the history of the record that an update brings, if it brings another
    /// one; `seed` is the Markdown body that the history here began with.
    ///
    /// Takes in what of the update stands by itself; for the rest, apply it as usual afterwards.
    pub fn reunite(
        &mut self,
        update: &Admitted,
        seed: &str,
    ) -> Result<Option<Reunion>, DocumentError> {
        let Some(history) = self.other_history(update)? else { return Ok(None) };
        let before = self.state_vector()?;
        let here = markdown::serialize(&self.content()?);
        let (_, stood_here) = self.edit(|txn, fragment| children(txn, fragment))?;
        self.apply(&history, Exact::NotWanted)?;
        let naming = self.naming;
        let (own, has_conflicts) = self.edit(|txn, fragment| {
            remove(txn, fragment, &stood_here);
            // The other history may lack what the record's text got since, or have more.
            let unrelated = markdown::merge_unrelated(txn, fragment, seed, naming);
            let outside = markdown::merge_outside(txn, fragment, seed, &here, naming);
            !(unrelated.conflicts.is_empty() && outside.conflicts.is_empty())
        })?;
        let change = Bytes::from(self.diff(&before)?);
        let (brought, conflict) = (history.bytes().clone(), has_conflicts.then_some(here));
        Ok(Some(Reunion { change, brought, own, conflict }))
    }

    /// The part of an update that builds on nothing here and holds a text of its own.
    ///
    /// Whoever has the seed cannot make such a part: everything in its text stands beside something of the seed.
    fn other_history(&self, update: &Admitted) -> Result<Option<Admitted>, DocumentError> {
        let Some(alone) = guard::split_update(update.bytes(), &self.bounds, |_| 0)?.now else {
            return Ok(None);
        };
        let alone = guard::admit(alone, &self.bounds)?;
        if alone.scan().sections.iter().any(|section| self.clock(section.client) > 0) {
            return Ok(None);
        }
        let mut document = Self::new(Bounds::stored().document_bytes_max).named(self.naming);
        document.apply(&alone, Exact::NotWanted)?;
        let has_text = !markdown::serialize(&document.content()?).trim().is_empty();
        Ok(has_text.then_some(alone))
    }
}

fn children(txn: &TransactionMut<'_>, fragment: &XmlFragmentRef) -> HashSet<BranchID> {
    fragment.children(txn).map(|child| child.id()).collect()
}

fn remove(txn: &mut TransactionMut<'_>, fragment: &XmlFragmentRef, gone: &HashSet<BranchID>) {
    let places = (0u32..).zip(fragment.children(txn));
    let places: Vec<u32> =
        places.filter(|(_, child)| gone.contains(&child.id())).map(|(place, _)| place).collect();
    for place in places.into_iter().rev() {
        fragment.remove(txn, place);
    }
}
