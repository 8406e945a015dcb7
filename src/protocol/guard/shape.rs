//! Where the structs of a document stand: how many shared types are around each, and which may hold others.
//!
//! yrs recurses into nested types when it deletes, collects or prints them, so their depth is bounded for the
//! document as a whole, whoever nests what in how many updates. yrs does not tell the depth of a struct, so it is
//! kept beside it, in stretches of clocks: eight bytes each, about three per paragraph of a record.

use std::collections::HashMap;

use super::{Refusal, Scan};
use crate::limits::XML_DEPTH_MAX;

/// What a struct may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: text and values.
    Leaf,
    /// Other structs: a shared type.
    Type,
    /// Nothing any more, whatever it was: deleted or collected.
    Opaque,
}

/// A struct, by one of its clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) client: u64,
    pub(super) clock: u32,
}

/// Neighbouring structs of an update that stand in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Index of the section they are in.
    pub(super) section: u32,
    pub(super) start: u32,
    /// What is to the left, or around them when `within_left`.
    pub(super) left: Option<Place>,
    pub(super) right: Option<Place>,
    pub(super) within_left: bool,
    pub(super) kind: Kind,
    /// Whether they say that they are values of a key.
    pub(super) keyed: bool,
    /// Whether one of them can stand in a list only: has a right neighbour, or is several values or letters that do
    /// not say that a key has them.
    pub(super) listed: bool,
}

impl Stretch {
    /// The clocks after its left and before its right neighbour, which it parts from what was there.
    pub(super) fn cuts(&self) -> impl Iterator<Item = (u64, u32)> + use<> {
        let left = self.left.filter(|_| !self.within_left);
        let after = left.map(|place| (place.client, place.clock.saturating_add(1)));
        let before = self.right.map(|place| (place.client, place.clock));
        after.into_iter().chain(before)
    }
}

/// Structs from a clock on, up to the next run of their client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    start: u32,
    depth: u16,
    kind: Kind,
    keyed: bool,
}

/// The shape of a document.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    clients: HashMap<u64, Vec<Run>>,
}

/// What an update adds to a shape.
#[derive(Debug, Default)]
pub struct Growth {
    /// Client, first clock, structs; one per section.
    sections: Vec<(u64, u32, Vec<Run>)>,
    index: HashMap<u64, usize>,
}

/// Sections found by looking through a list.
const LISTED_SECTIONS_MAX: usize = 8;

impl Shape {
    /// Whether an update fits that misses nothing and repeats nothing.
    pub fn judge(&self, scan: &Scan) -> Result<Growth, Refusal> {
        let mut growth = Growth::default();
        for section in &scan.sections {
            if scan.sections.len() > LISTED_SECTIONS_MAX {
                growth.index.insert(section.client, growth.sections.len());
            }
            growth.sections.push((section.client, section.start, Vec::new()));
        }
        for stretch in &scan.stretches {
            let (depth, keyed) = self.surroundings(&growth, stretch)?;
            if stretch.kind == Kind::Type && usize::from(depth) >= XML_DEPTH_MAX {
                return Err(Refusal::TypeDepth);
            }
            let run = Run { start: stretch.start, depth, kind: stretch.kind, keyed };
            if let Some((_, _, runs)) = growth.sections.get_mut(stretch.section as usize) {
                push(runs, run);
            }
        }
        Ok(growth)
    }

    /// Takes up what an update added.
    pub fn grow(&mut self, growth: Growth) {
        for (client, _, runs) in growth.sections {
            let known = self.clients.entry(client).or_default();
            for run in runs {
                push(known, run);
            }
        }
    }

    /// Depth, and whether a key has it. Siblings share a parent, so a struct stands where its origins stand; of
    /// two that differ the deeper counts, because yrs falls back to the right one.
    fn surroundings(&self, growth: &Growth, stretch: &Stretch) -> Result<(u16, bool), Refusal> {
        let find = |place: Option<Place>| {
            let place = place?;
            growth.at(place).or_else(|| self.at(place))
        };
        let left = find(stretch.left);
        if stretch.within_left {
            return match left {
                Some(Run { kind: Kind::Leaf, .. }) => Err(Refusal::Parent),
                Some(run) => Ok((run.depth.saturating_add(1), stretch.keyed)),
                None => Ok((0, stretch.keyed)),
            };
        }
        let right = find(stretch.right);
        let beside = || [left, right].into_iter().flatten();
        let depth = beside().map(|run| run.depth).max().unwrap_or_default();
        // Merged updates leave out what the neighbours tell anyway.
        let keyed = stretch.keyed || beside().any(|run| run.keyed);
        if keyed && stretch.listed {
            return Err(Refusal::Key);
        }
        Ok((depth, keyed))
    }

    fn at(&self, place: Place) -> Option<Run> {
        find(self.clients.get(&place.client)?, place.clock)
    }
}

impl Growth {
    fn at(&self, place: Place) -> Option<Run> {
        let section = if self.sections.len() > LISTED_SECTIONS_MAX {
            self.sections.get(*self.index.get(&place.client)?)?
        } else {
            self.sections.iter().find(|section| section.0 == place.client)?
        };
        if place.clock < section.1 { None } else { find(&section.2, place.clock) }
    }
}

fn find(runs: &[Run], clock: u32) -> Option<Run> {
    runs.get(runs.partition_point(|run| run.start <= clock).checked_sub(1)?).copied()
}

fn push(runs: &mut Vec<Run>, run: Run) {
    let same = |last: &Run| (last.depth, last.kind, last.keyed) == (run.depth, run.kind, run.keyed);
    if !runs.last().is_some_and(same) {
        runs.push(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        guard::{Bounds, scan_update},
        lib0::write_var_uint,
    };

    /// Takes updates one after the other, as a document does.
    #[derive(Default)]
    struct Taken {
        shape: Shape,
    }

    impl Taken {
        fn take(&mut self, update: &[u8]) -> Result<(), Refusal> {
            let scan = scan_update(update, &Bounds::new(1 << 30))?;
            let growth = self.shape.judge(&scan)?;
            self.shape.grow(growth);
            Ok(())
        }

        fn runs(&self) -> usize {
            self.shape.clients[&1].len()
        }
    }

    /// An update of client 1 with one struct.
    fn one(clock: u32, body: &[&[u8]]) -> Vec<u8> {
        let mut out = vec![1, 1, 1];
        write_var_uint(&mut out, u64::from(clock));
        out.extend(body.concat());
        out.push(0);
        out
    }

    fn var(value: u32) -> Vec<u8> {
        let mut out = Vec::new();
        write_var_uint(&mut out, u64::from(value));
        out
    }

    const DEPTH_MAX: u32 = 256;

    /// Y.Map (1), Y.Array (0), element (3) and XML text (6) alike.
    const TYPES: [&[u8]; 4] = [&[1], &[0], &[3, 1, b'p'], &[6]];

    #[test]
    fn depth_is_bounded_over_many_updates_whatever_the_types() {
        assert_eq!(usize::try_from(DEPTH_MAX), Ok(XML_DEPTH_MAX));
        for kind in TYPES {
            let mut taken = Taken::default();
            taken.take(&one(0, &[&[7, 1, 1, b'r'], kind])).unwrap();
            for clock in 1..DEPTH_MAX {
                taken.take(&one(clock, &[&[7, 0, 1], &var(clock - 1), kind])).unwrap();
            }
            let last = DEPTH_MAX;
            let deeper = one(last, &[&[7, 0, 1], &var(last - 1), kind]);
            assert_eq!(taken.take(&deeper), Err(Refusal::TypeDepth));
            // Beside the deepest one, by way of its origin, is as deep and no deeper.
            taken.take(&one(last, &[&[0x87, 1], &var(last - 1), kind])).unwrap();
            let inside = one(last + 1, &[&[7, 0, 1], &var(last), kind]);
            assert_eq!(taken.take(&inside), Err(Refusal::TypeDepth));
            let by_right = one(last + 1, &[&[0x47, 1], &var(last), kind]);
            taken.take(&by_right).unwrap();
            // Text may still be written there.
            taken.take(&one(last + 2, &[&[4, 0, 1], &var(last), &[1, b'a']])).unwrap();
        }
    }

    #[test]
    fn depth_as_values_of_keys_counts_too() {
        let mut taken = Taken::default();
        taken.take(&one(0, &[&[0x27, 1, 1, b'r', 1, b'k', 1]])).unwrap();
        for clock in 1..DEPTH_MAX {
            taken.take(&one(clock, &[&[0x27, 0, 1], &var(clock - 1), &[1, b'k', 1]])).unwrap();
        }
        let last = DEPTH_MAX;
        let deeper = one(last, &[&[0x27, 0, 1], &var(last - 1), &[1, b'k', 1]]);
        assert_eq!(taken.take(&deeper), Err(Refusal::TypeDepth));
    }

    #[test]
    fn a_parent_must_be_a_type() {
        let mut taken = Taken::default();
        taken.take(&one(0, &[&[4, 1, 1, b't', 1, b'a']])).unwrap();
        assert_eq!(taken.take(&one(1, &[&[4, 0, 1, 0, 1, b'b']])), Err(Refusal::Parent));
        // What is collected may have been one.
        taken.take(&one(1, &[&[0, 1]])).unwrap();
        taken.take(&one(2, &[&[4, 0, 1, 1, 1, b'b']])).unwrap();
    }

    #[test]
    fn typing_takes_no_room() {
        let mut taken = Taken::default();
        taken.take(&one(0, &[&[4, 1, 1, b't', 1, b'a']])).unwrap();
        for clock in 1..1000 {
            taken.take(&one(clock, &[&[0x84, 1], &var(clock - 1), &[1, b'a']])).unwrap();
        }
        assert_eq!(taken.runs(), 1);
    }
}
