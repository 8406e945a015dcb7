//! Deleted ranges out of order, as no Yjs writes them.
//!
//! yrs cuts a client's structs where ranges begin and end, in the order in which they stand. From the last to
//! the first each cut moves all structs behind it: 60 000 ranges took yrs 0.28.1 5 s, in order 0.2 s.

use super::rewrite::Rewrite;
use crate::protocol::lib0::write_var_uint;

/// Puts a client's ranges at `from..to`, as first clocks and clocks after the last, in order; those that touch
/// become one.
pub(super) fn in_order(from: usize, to: usize, mut ranges: Vec<(u32, u32)>) -> Rewrite {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let touches = next.0 <= last.1;
        if touches {
            last.1 = last.1.max(next.1);
        }
        touches
    });
    let mut bytes = Vec::with_capacity(to - from);
    write_var_uint(&mut bytes, ranges.len() as u64);
    for (start, end) in ranges {
        write_var_uint(&mut bytes, u64::from(start));
        write_var_uint(&mut bytes, u64::from(end - start));
    }
    Rewrite { from, to, bytes }
}
