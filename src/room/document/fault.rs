//! No update is known that passes the guard and breaks a document, so tests have to make one break it.

/// Updates with these bytes in them panic while they are applied.
pub(crate) const BREAKS: &[u8] = b"break this document";

pub(super) fn trip(update: &[u8]) {
    assert!(!update.windows(BREAKS.len()).any(|window| window == BREAKS), "on purpose");
}
