//! Which block of one side became which block of the other.

use std::collections::{HashMap, HashSet};

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::block::{Block, Keyed};

/// Most pairs of blocks compared for likeness in one changed region.
const PAIRS_MAX: usize = 4096;
/// Most blocks of a side, of those both sides have, that the least changes are looked for in: that takes time
/// by the number of blocks and of changes.
const DIFFED_MAX: usize = 4096;
/// Likeness from which blocks of different types are taken for one changed block.
const LIKENESS_MIN: f64 = 0.5;

/// One step of the way from old blocks to new ones, in their order; numbers are places on each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Keep(usize, usize),
    Change(usize, usize),
    Delete(usize),
    Insert(usize),
}

impl Step {
    pub(super) fn old_place(self) -> Option<usize> {
        match self {
            Step::Keep(old, _) | Step::Change(old, _) | Step::Delete(old) => Some(old),
            Step::Insert(_) => None,
        }
    }

    pub(super) fn new_place(self) -> Option<usize> {
        match self {
            Step::Keep(_, new) | Step::Change(_, new) | Step::Insert(new) => Some(new),
            Step::Delete(_) => None,
        }
    }

    pub(super) fn sides<'s, 'a>(
        self,
        old: &'s [Block<'a>],
        new: &'s [Block<'a>],
    ) -> (Option<&'s Block<'a>>, Option<&'s Block<'a>>) {
        (self.old_place().and_then(|at| old.get(at)), self.new_place().and_then(|at| new.get(at)))
    }
}

/// Aligns two sequences of blocks.
pub(super) fn align(old: &[impl Keyed], new: &[impl Keyed]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(old.len().max(new.len()));
    let (mut row, mut column) = (0, 0);
    for (old_at, new_at) in equal_blocks(old, new) {
        // Neighbouring deletions and insertions are one region, whatever their order.
        pair_region(&mut steps, old, new, &(row..old_at, column..new_at));
        steps.push(Step::Keep(old_at, new_at));
        (row, column) = (old_at + 1, new_at + 1);
    }
    pair_region(&mut steps, old, new, &(row..old.len(), column..new.len()));
    steps
}

/// Places of equal blocks that keep the order.
fn equal_blocks(old: &[impl Keyed], new: &[impl Keyed]) -> Vec<(usize, usize)> {
    // What only one side has is equal to nothing, and would cost most of the time.
    let known = |blocks: &[_]| -> HashSet<_> { blocks.iter().copied().collect() };
    let old_keys: Vec<&str> = old.iter().map(Keyed::key).collect();
    let new_keys: Vec<&str> = new.iter().map(Keyed::key).collect();
    let (in_old, in_new) = (known(&old_keys), known(&new_keys));
    let shared = |keys: &[&str], other: &HashSet<&str>| -> Vec<usize> {
        let places = keys.iter().enumerate().filter(|(_, key)| other.contains(*key));
        places.map(|(at, _)| at).collect()
    };
    let (rows, columns) = (shared(&old_keys, &in_new), shared(&new_keys, &in_old));
    let key_of = |keys: &[&str], places: &[usize]| -> Vec<String> {
        places.iter().filter_map(|at| keys.get(*at)).map(|key| (*key).to_owned()).collect()
    };
    let (old_keys, new_keys) = (key_of(&old_keys, &rows), key_of(&new_keys, &columns));
    let places = if rows.len().max(columns.len()) > DIFFED_MAX {
        in_rough_order(&old_keys, &new_keys)
    } else {
        let mut places = Vec::new();
        for op in capture_diff_slices(Algorithm::Myers, &old_keys, &new_keys) {
            if let DiffOp::Equal { old_index, new_index, len } = op {
                places.extend((0..len).map(|at| (old_index + at, new_index + at)));
            }
        }
        places
    };
    places
        .into_iter()
        .filter_map(|(old, new)| Some((*rows.get(old)?, *columns.get(new)?)))
        .collect()
}

/// The same without the least changes: what both begin and end with, and between that the longest row of keys
/// that stand once on each side. The time grows with the number of blocks, whatever changed.
fn in_rough_order(old: &[String], new: &[String]) -> Vec<(usize, usize)> {
    let left = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let room = old.len().min(new.len()) - left;
    let right =
        old.iter().rev().zip(new.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let once = |keys: &'_ [String], len: usize| -> HashMap<String, Option<usize>> {
        let mut places = HashMap::new();
        for (at, key) in keys.iter().enumerate().take(len - right).skip(left) {
            places.entry(key.clone()).and_modify(|place| *place = None).or_insert(Some(at));
        }
        places
    };
    let (in_old, in_new) = (once(old, old.len()), once(new, new.len()));
    let mut pairs: Vec<(usize, usize)> = in_old
        .iter()
        .filter_map(|(key, at)| Some(((*at)?, in_new.get(key).copied().flatten()?)))
        .collect();
    pairs.sort_unstable();
    let mut places: Vec<(usize, usize)> = (0..left).map(|at| (at, at)).collect();
    places.extend(longest_rising(&pairs));
    places.extend((0..right).rev().map(|at| (old.len() - 1 - at, new.len() - 1 - at)));
    places
}

/// The longest row of pairs, sorted by the one side, that rises on the other.
fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // The best end of each length so far, and what precedes each pair.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    let column = |at: &usize| pairs.get(*at).map_or(0, |pair| pair.1);
    for (at, (_, new)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| column(end) < *new);
        before.push(length.checked_sub(1).and_then(|shorter| ends.get(shorter)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut row = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        row.extend(pairs.get(at));
        next = before.get(at).copied().flatten();
    }
    row.reverse();
    row
}

type Region = (std::ops::Range<usize>, std::ops::Range<usize>);

fn pair_region(steps: &mut Vec<Step>, old: &[impl Keyed], new: &[impl Keyed], region: &Region) {
    let (rows, columns) = (region.0.len(), region.1.len());
    let single = rows == 1 && columns == 1;
    let large = rows.saturating_mul(columns) > PAIRS_MAX;
    let likeness = |row: usize, column: usize| -> f64 {
        let (Some(a), Some(b)) = (old.get(region.0.start + row), new.get(region.1.start + column))
        else {
            return 0.0;
        };
        let same_type = a.name() == b.name();
        if large {
            return if same_type { 1.0 } else { 0.0 };
        }
        let ratio = common_ratio(a.key(), b.key());
        match (same_type, single) {
            (true, _) => 0.1 + ratio,
            (false, true) => 1.0,
            (false, false) if ratio >= LIKENESS_MIN => ratio,
            (false, false) => 0.0,
        }
    };
    let pairs = if large {
        pairs_in_order(rows, columns, likeness)
    } else {
        best_pairs(rows, columns, likeness)
    };
    let (mut row, mut column) = (region.0.start, region.1.start);
    for (old_at, new_at) in pairs {
        let (old_at, new_at) = (region.0.start + old_at, region.1.start + new_at);
        steps.extend((row..old_at).map(Step::Delete));
        steps.extend((column..new_at).map(Step::Insert));
        steps.push(Step::Change(old_at, new_at));
        (row, column) = (old_at + 1, new_at + 1);
    }
    steps.extend((row..region.0.end).map(Step::Delete));
    steps.extend((column..region.1.end).map(Step::Insert));
}

/// Pairs with the greatest total likeness that keep the order.
fn best_pairs(
    rows: usize,
    columns: usize,
    likeness: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    let width = columns + 1;
    let mut best = vec![0.0f64; (rows + 1) * width];
    let at = |best: &[f64], row: usize, column: usize| {
        best.get(row * width + column).copied().unwrap_or(0.0)
    };
    let mut paired = vec![false; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let like = likeness(row, column);
            let pair = if like > 0.0 { like + at(&best, row + 1, column + 1) } else { -1.0 };
            let skip = at(&best, row + 1, column).max(at(&best, row, column + 1));
            let cell = row * width + column;
            if let (Some(score), Some(mark)) = (best.get_mut(cell), paired.get_mut(cell)) {
                *score = pair.max(skip);
                *mark = pair >= skip;
            }
        }
    }
    let mut pairs = Vec::new();
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if paired.get(row * width + column).copied().unwrap_or(false) {
            pairs.push((row, column));
            row += 1;
            column += 1;
        } else if at(&best, row + 1, column) >= at(&best, row, column + 1) {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}

/// Pairs place by place, where a full comparison would take too long.
fn pairs_in_order(
    rows: usize,
    columns: usize,
    likeness: impl Fn(usize, usize) -> f64,
) -> Vec<(usize, usize)> {
    (0..rows.min(columns)).filter(|at| likeness(*at, *at) > 0.0).map(|at| (at, at)).collect()
}

/// Share of the longer text that both begin and end with.
pub(super) fn common_ratio(a: &str, b: &str) -> f64 {
    let longer = a.len().max(b.len());
    if longer == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share of two lengths, not a count")]
    let ratio = common_bytes(a, b) as f64 / longer as f64;
    ratio
}

/// Bytes that the one text has between what both begin and end with, and those that the other has.
pub(super) fn changed_bytes(a: &str, b: &str) -> (usize, usize) {
    let common = common_bytes(a, b);
    (a.len() - common, b.len() - common)
}

fn common_bytes(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let prefix = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let room = a.len().min(b.len()) - prefix;
    let suffix = a.iter().rev().zip(b.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    prefix + suffix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_keep_the_order_are_found_without_a_diff() {
        let keys = |words: &str| -> Vec<String> { words.split(' ').map(str::to_owned).collect() };
        let table = [
            ("a b c", "a b c", 3),
            ("a x b y c", "a y b x c", 3),
            ("1 2 3 4 5", "5 1 2 4 3", 3),
            ("x a a b", "y a b a", 1),
            ("", "", 1),
        ];
        for (old, new, expected) in table {
            let found = in_rough_order(&keys(old), &keys(new));
            assert_eq!(found.len(), expected, "{old} -> {new}: {found:?}");
            assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].1), "{found:?}");
            for (old_at, new_at) in &found {
                assert_eq!(keys(old)[*old_at], keys(new)[*new_at]);
            }
        }
    }
}
