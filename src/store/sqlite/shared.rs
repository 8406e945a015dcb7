//! What the handle and the writer both see: figures, the present trouble, and when to stop.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::time::Instant;

use crate::{
    limits::STORE_STALL,
    store::{StoreError, StoreStatus},
};

#[derive(Debug, Default)]
pub(super) struct Shared {
    commits: AtomicU64,
    rows: AtomicU64,
    commit_micros: AtomicU64,
    /// Appends the writer has taken from the queue and not yet committed.
    pending: AtomicUsize,
    degraded: Mutex<Option<String>>,
    damage: Option<String>,
    has_predecessor: bool,
    /// When the commit under way began.
    committing_since: Mutex<Option<Instant>>,
    end: Mutex<End>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct End {
    /// From then on a failing commit is given up.
    give_up_at: Option<Instant>,
    /// How the writer ended.
    ended: Option<Result<(), StoreError>>,
}

impl Shared {
    pub(super) fn new(damage: Option<String>, has_predecessor: bool) -> Self {
        Self { damage, has_predecessor, ..Self::default() }
    }

    /// A commit begins, or ended.
    pub(super) fn set_committing(&self, since: Option<Instant>) {
        *self.committing_since.lock() = since;
    }

    fn hangs(&self) -> Option<String> {
        let waited = (*self.committing_since.lock())?.elapsed();
        (waited >= STORE_STALL).then(|| {
            format!("the disk has not answered for {} s; check the system's log", waited.as_secs())
        })
    }

    pub(super) fn count_commit(&self, rows: u64, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn set_pending(&self, appends: usize) {
        self.pending.store(appends, Ordering::Relaxed);
    }

    /// Says why commits fail; `None` = all is well again. Changes are logged once.
    pub(super) fn set_degraded(&self, why: Option<String>) {
        let mut degraded = self.degraded.lock();
        if *degraded == why {
            return;
        }
        match &why {
            Some(why) => log::error!(
                event = "store_degraded", error:% = why;
                "the realtime store is degraded: {why}"
            ),
            None => log::info!(event = "store_healed"; "the realtime store works again"),
        }
        *degraded = why;
    }

    pub(super) fn status(&self, queued: usize) -> StoreStatus {
        StoreStatus {
            degraded: self.degraded.lock().clone().or_else(|| self.hangs()),
            damage: self.damage.clone(),
            has_predecessor: self.has_predecessor,
            commits: self.commits.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            commit_micros: self.commit_micros.load(Ordering::Relaxed),
            queued: queued.saturating_add(self.pending.load(Ordering::Relaxed)),
        }
    }

    /// Lets a failing commit be tried for `time` more; also ends its present wait.
    pub(super) fn stop_within(&self, time: Duration) {
        self.end.lock().give_up_at = Some(Instant::now() + time);
        self.changed.notify_all();
    }

    /// Waits before a failed commit is tried again. `false` = the time is over, give up.
    pub(super) fn wait_to_retry(&self, wait: Duration) -> bool {
        let mut end = self.end.lock();
        let left =
            |end: &End| end.give_up_at.map(|at| at.saturating_duration_since(Instant::now()));
        let wait = match left(&end) {
            Some(Duration::ZERO) => return false,
            Some(left) => wait.min(left),
            None => wait,
        };
        self.changed.wait_for(&mut end, wait);
        left(&end) != Some(Duration::ZERO)
    }

    pub(super) fn set_ended(&self, result: Result<(), StoreError>) {
        self.end.lock().ended = Some(result);
        self.changed.notify_all();
    }

    /// Waits at most `time` for the writer's end; `None` = it still works.
    pub(super) fn wait_for_end(&self, time: Duration) -> Option<Result<(), StoreError>> {
        let until = Instant::now() + time;
        let mut end = self.end.lock();
        while end.ended.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.changed.wait_for(&mut end, left);
        }
        end.ended.clone()
    }
}
