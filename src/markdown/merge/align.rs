//! Which block of one side became which block of the other.

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::block::{Block, Keyed};

/// Most pairs of blocks compared for likeness in one changed region.
const PAIRS_MAX: usize = 4096;
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
    let old_keys: Vec<&str> = old.iter().map(Keyed::key).collect();
    let new_keys: Vec<&str> = new.iter().map(Keyed::key).collect();
    let mut steps = Vec::with_capacity(old.len().max(new.len()));
    // Neighbouring deletions and insertions are one region, whatever their order.
    let mut region = (0..0, 0..0);
    for op in capture_diff_slices(Algorithm::Myers, &old_keys, &new_keys) {
        if let DiffOp::Equal { old_index, new_index, len } = op {
            pair_region(&mut steps, old, new, &region);
            steps.extend((0..len).map(|at| Step::Keep(old_index + at, new_index + at)));
            region = (old_index + len..old_index + len, new_index + len..new_index + len);
        } else {
            region.0.end = op.old_range().end.max(region.0.end);
            region.1.end = op.new_range().end.max(region.1.end);
        }
    }
    pair_region(&mut steps, old, new, &region);
    steps
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
