//! Where an update cuts strings, and what that costs.
//!
//! yrs 0.28.1 copies both halves of a string that it cuts. An update that cuts one string at n places from one
//! end to the other has nearly all of it copied n times; halved first, and the halves again, each cut copies
//! little.

use std::collections::{BTreeMap, HashMap};

use yrs::{
    IdSet, Snapshot, StateVector, Text, TransactionMut, WriteTxn,
    block::ClientID,
    types::text::{Diff, YChange},
};

use super::Document;
use crate::{
    limits::{INLINE_COPY_BYTES_MAX, INLINE_UPDATE_BYTES_MAX},
    protocol::guard::{Admitted, Scan},
};

/// Cuts closer than this, in clocks, are left to yrs: copying so little is cheaper than another struct is in the
/// list that later ones are inserted into.
const PIECE_CLOCKS: u32 = 8 * 1024;

/// A root that nothing is ever in: [`Text::diff_range`] cuts, and then reads the text it is called on.
const EMPTY_ROOT: &str = "civicpress:empty";

impl Document {
    /// Whether an update may keep the thread that applies it for longer than a room's neighbours should wait.
    pub fn is_heavy(&self, update: &Admitted) -> bool {
        update.bytes().len() > INLINE_UPDATE_BYTES_MAX || self.cuts_much(places_max(update.scan()))
    }

    /// The same of everything held; not even a deleted range cuts at more places than it has bytes.
    pub fn is_held_heavy(&self) -> bool {
        let bytes = self.held_bytes();
        bytes > INLINE_UPDATE_BYTES_MAX || self.cuts_much(bytes as u64)
    }

    /// Whether cutting at so many places may copy much. A document may be one string.
    pub(super) fn cuts_much(&self, places: u64) -> bool {
        places.saturating_mul(self.estimated_bytes) > INLINE_COPY_BYTES_MAX
    }
}

/// At how many places an update may cut what is there: a struct between two others, a deleted range at its ends.
pub(super) fn places_max(scan: &Scan) -> u64 {
    scan.structs as u64 + 2 * scan.delete_ranges as u64
}

/// Cuts the document at some of the places where an update is about to cut it, in an order that copies little.
/// Cut nowhere else: half a surrogate pair is lost.
pub(super) fn cut(txn: &mut TransactionMut<'_>, scan: &Scan, deletes: &IdSet) {
    let mut places: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (client, clock) in scan.cuts() {
        places.entry(client).or_default().push(clock);
    }
    for (client, ranges) in deletes.iter() {
        let places = places.entry(client.get()).or_default();
        places.extend(ranges.iter().flat_map(|range| [range.start, range.end]));
    }
    let empty = txn.get_or_insert_text(EMPTY_ROOT);
    for (client, places) in places {
        let client = ClientID::new(client);
        for clock in halving(far_apart(places)) {
            let until = StateVector::new(HashMap::from_iter([(client, clock)]));
            let snapshot = Snapshot::new(until, IdSet::default());
            let _: Vec<Diff<YChange>> =
                empty.diff_range(txn, Some(&snapshot), None, YChange::identity);
        }
    }
}

/// Of these clocks so many, in order, that none is near another or the first of all.
fn far_apart(mut clocks: Vec<u32>) -> Vec<u32> {
    clocks.sort_unstable();
    let mut last = 0;
    clocks.retain(|clock| {
        let far = clock - last >= PIECE_CLOCKS;
        if far {
            last = *clock;
        }
        far
    });
    clocks
}

/// The middle first, then the middles of both halves, and so on.
fn halving(clocks: Vec<u32>) -> impl Iterator<Item = u32> {
    let widest = clocks.len().next_power_of_two();
    let steps = std::iter::successors(Some(widest), |step| (*step > 1).then_some(step / 2));
    steps.flat_map(move |step| {
        let level: Vec<u32> = clocks.iter().skip(step - 1).step_by(2 * step).copied().collect();
        level
    })
}

#[cfg(test)]
mod tests;
