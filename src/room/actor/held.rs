//! Whose updates wait for what they build on: one user must not take up all the places a room has.

use crate::limits::{HELD_BYTES_MAX, HELD_UPDATES_MAX, HELD_USER_SHARE};

/// What each user has waiting.
#[derive(Debug, Default)]
pub(super) struct HeldShares {
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    seq: u64,
    user: String,
    bytes: usize,
}

impl HeldShares {
    /// Whether a user may have so many bytes more waiting; `held` are the log rows that wait.
    ///
    /// What was loaded with the room counts for nobody, only for the room.
    pub(super) fn has_place(&mut self, user: &str, bytes: usize, held: &[u64]) -> bool {
        self.held.retain(|row| held.contains(&row.seq));
        let own = self.held.iter().filter(|row| row.user == user);
        let (updates, waiting) = own.fold((0, 0), |(n, sum), row| (n + 1, sum + row.bytes));
        updates < HELD_UPDATES_MAX / HELD_USER_SHARE
            && waiting + bytes <= HELD_BYTES_MAX / HELD_USER_SHARE
    }

    /// Notes that a user's update waits as this log row.
    pub(super) fn take(&mut self, user: &str, bytes: usize, seq: u64) {
        self.held.push(Held { seq, user: user.to_owned(), bytes });
    }
}
