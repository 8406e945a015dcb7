//! Replaces stretches of an update's bytes.

use bytes::Bytes;

/// These bytes instead of those at `from..to`.
pub(super) struct Rewrite {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) bytes: Vec<u8>,
}

/// `bytes` with all rewrites made; none overlaps another.
pub(super) fn apply(bytes: &[u8], mut rewrites: Vec<Rewrite>) -> Bytes {
    rewrites.sort_unstable_by_key(|rewrite| rewrite.from);
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for rewrite in rewrites {
        out.extend_from_slice(bytes.get(at..rewrite.from).unwrap_or_default());
        out.extend_from_slice(&rewrite.bytes);
        at = rewrite.to;
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or_default());
    out.into()
}
