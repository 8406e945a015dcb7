//! SQLite's integers are signed; ours are not.

/// As SQLite stores it.
pub(in crate::store) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// As it was before; a negative number was never ours and becomes 0.
pub(in crate::store) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
