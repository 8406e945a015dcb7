//! What the host lately refused: a client that comes back in a loop is told the same without asking again.
//! Only verdicts are remembered, never that a host did not answer, and never a yes.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{error::CloseReason, ids::RoomId, limits::DENIALS_MAX};

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Refusals of the last seconds.
#[derive(Debug, Default)]
pub struct Denials {
    /// Keyed at random, so that nobody can make a token whose hash is another's.
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    denied: HashMap<u64, Denied>,
    /// Oldest first; all live equally long.
    order: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
struct Denied {
    reason: CloseReason,
    at: Instant,
}

impl Denials {
    /// Why `token` was refused in `room` within the last seconds, if it was.
    pub fn get(&self, token: &str, room: &RoomId) -> Option<CloseReason> {
        let mut table = self.table.lock();
        table.forget(Instant::now());
        let key = self.hasher.hash_one((token, room));
        table.denied.get(&key).map(|denied| denied.reason.clone())
    }

    /// Remembers that the host refused `token` in `room`.
    pub fn put(&self, token: &str, room: &RoomId, reason: CloseReason) {
        let (key, at) = (self.hasher.hash_one((token, room)), Instant::now());
        let mut table = self.table.lock();
        table.forget(at);
        if table.order.len() >= DENIALS_MAX {
            table.pop();
        }
        table.denied.insert(key, Denied { reason, at });
        table.order.push_back((at, key));
    }
}

impl Table {
    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| *at + REMEMBERED <= now) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some((at, key)) = self.order.pop_front() else { return };
        // It may have been refused again since.
        if self.denied.get(&key).is_some_and(|denied| denied.at == at) {
            self.denied.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_remembered_for_seconds_by_token_and_room() {
        let denials = Denials::default();
        denials.put("t", &room("n:1"), CloseReason::AuthFailed);
        assert_eq!(denials.get("t", &room("n:1")), Some(CloseReason::AuthFailed));
        assert_eq!(denials.get("t", &room("n:2")), None);
        assert_eq!(denials.get("u", &room("n:1")), None);
        tokio::time::advance(Duration::from_secs(3)).await;
        denials.put("t", &room("n:1"), CloseReason::PermissionDenied);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(denials.get("t", &room("n:1")), Some(CloseReason::PermissionDenied));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(denials.get("t", &room("n:1")), None);
        assert!(denials.table.lock().denied.is_empty());
    }

    #[test]
    fn a_flood_of_bad_tokens_fills_no_memory() {
        let denials = Denials::default();
        for token in 0..DENIALS_MAX + 100 {
            denials.put(&token.to_string(), &room("n:1"), CloseReason::AuthFailed);
        }
        let table = denials.table.lock();
        assert_eq!((table.denied.len(), table.order.len()), (DENIALS_MAX, DENIALS_MAX));
    }
}
