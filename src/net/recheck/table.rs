//! Live sessions whose rights are asked for again, grouped by user and room, with the time each group is due.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    config::Config,
    host::{Grant, Identity},
    ids::{RoomId, SessionId},
    limits::RECHECKS_MAX,
    room::{outbox::Outbox, registry::RoomHandle},
    telemetry::correlation::CorrelationId,
};

/// A user in a room: what one question to the host is about.
pub(super) type Key = (Arc<str>, RoomId);

/// The live sessions.
#[derive(Debug)]
pub struct Rechecks {
    period: Duration,
    /// For questions under way.
    places: Arc<Semaphore>,
    table: Mutex<Table>,
    /// Told when a group is due before all others.
    pub(super) earlier: Notify,
}

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Key, Group>,
    due: BTreeSet<(Instant, Key)>,
}

#[derive(Debug)]
struct Group {
    due_at: Instant,
    asking: bool,
    sessions: Vec<Arc<Standing>>,
}

/// A live session's rights, as the host said last.
pub struct Standing {
    /// The session.
    pub session: SessionId,
    /// Where its frames go, and what ends it.
    pub outbox: Arc<Outbox>,
    /// Its room, if that is a document; a room that somebody else handles has no rights of ours, and those of
    /// rooms of events follow from the role.
    pub room: Option<RoomHandle>,
    /// What its connection is called in log lines.
    pub(super) correlation: CorrelationId,
    pub(super) token: String,
    pub(super) heard: Mutex<Heard>,
    expires_at_ms: AtomicU64,
    admin: AtomicBool,
    role: Mutex<Box<str>>,
    role_changes: AtomicU64,
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must never reach a log.
        f.debug_struct("Standing").field("session", &self.session).finish_non_exhaustive()
    }
}

/// The host's last word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// What it may do in its document.
    pub(super) grant: Option<Grant>,
    pub(super) at: Instant,
}

/// The role that moderates rooms.
const ADMIN: &str = "admin";

/// No expiry known.
const NEVER_MS: u64 = u64::MAX;

impl Standing {
    /// The rights of a session that just joined.
    pub fn new(
        (session, correlation): (SessionId, CorrelationId),
        outbox: Arc<Outbox>,
        document: Option<(RoomHandle, Grant)>,
        token: String,
        identity: &Identity,
    ) -> Self {
        let (room, grant) = document.unzip();
        let heard = Mutex::new(Heard { grant, at: Instant::now() });
        let expires_at_ms = AtomicU64::new(identity.expires_at_ms.unwrap_or(NEVER_MS));
        let admin = AtomicBool::new(identity.role == ADMIN);
        let role = Mutex::new(identity.role.as_str().into());
        Self {
            session,
            outbox,
            room,
            correlation,
            token,
            heard,
            expires_at_ms,
            admin,
            role,
            role_changes: AtomicU64::new(0),
        }
    }

    /// Whether the user may kick, lock and tell everybody, as the host said last.
    pub fn is_admin(&self) -> bool {
        self.admin.load(Ordering::Relaxed)
    }

    /// The user's role, as the host said last.
    pub fn role(&self) -> Box<str> {
        self.role.lock().clone()
    }

    /// How often the role changed since the session began.
    pub fn role_changes(&self) -> u64 {
        self.role_changes.load(Ordering::Acquire)
    }

    /// Notes what the host says of the user by now.
    pub(super) fn renew(&self, identity: &Identity) {
        self.expires(identity.expires_at_ms);
        self.admin.store(identity.role == ADMIN, Ordering::Relaxed);
        let mut role = self.role.lock();
        if **role != *identity.role {
            *role = identity.role.as_str().into();
            self.role_changes.fetch_add(1, Ordering::Release);
            drop(role);
            self.outbox.nudge();
        }
    }

    /// When the token's time is over, in Unix milliseconds, as the host said last; `None` = not known.
    pub fn expires_at_ms(&self) -> Option<u64> {
        Some(self.expires_at_ms.load(Ordering::Relaxed)).filter(|at_ms| *at_ms != NEVER_MS)
    }

    fn expires(&self, at_ms: Option<u64>) {
        self.expires_at_ms.store(at_ms.unwrap_or(NEVER_MS), Ordering::Relaxed);
    }
}

/// A session in the table; leaves it when dropped.
#[derive(Debug)]
pub struct Watched {
    rechecks: Arc<Rechecks>,
    key: Key,
    standing: Arc<Standing>,
}

impl Watched {
    /// The session's rights.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }
}

/// A group whose question is under way; the next one may begin once this is dropped.
#[derive(Debug)]
pub(super) struct Due {
    rechecks: Arc<Rechecks>,
    pub(super) key: Key,
    pub(super) sessions: Vec<Arc<Standing>>,
}

impl Rechecks {
    /// An empty table with the configured period (`auth.recheck_seconds`).
    pub fn new(config: &Config) -> Self {
        Self {
            period: Duration::from_secs(config.auth.recheck_seconds),
            places: Arc::new(Semaphore::new(RECHECKS_MAX)),
            table: Mutex::default(),
            earlier: Notify::new(),
        }
    }

    /// Time between two questions about the same session, at most.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// When to ask again what was asked at `at`: before the period is over, and not all at once.
    pub fn again_after(&self, at: Instant) -> Instant {
        at + self.period.mul_f64(0.75 + 0.25 * random())
    }

    /// Waits for one of the places for questions under way; an error = the engine has ended.
    pub async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.places).acquire_owned().await
    }

    /// Watches a session that just joined.
    pub fn watch(self: &Arc<Self>, user: &str, room: RoomId, standing: Standing) -> Watched {
        let (key, standing): (Key, _) = ((user.into(), room), Arc::new(standing));
        let mut table = self.table.lock();
        if let Some(group) = table.groups.get_mut(&key) {
            group.sessions.push(Arc::clone(&standing));
        } else {
            // Sessions that came all at once are spread over most of the first period.
            let due_at = Instant::now() + self.period.mul_f64(0.25 + 0.75 * random());
            let sessions = vec![Arc::clone(&standing)];
            table.groups.insert(key.clone(), Group { due_at, asking: false, sessions });
            table.due.insert((due_at, key.clone()));
            if table.due.first().is_some_and(|(first, _)| *first == due_at) {
                self.earlier.notify_one();
            }
        }
        Watched { rechecks: Arc::clone(self), key, standing }
    }

    /// A session that nobody is asked about again.
    pub fn keep(self: &Arc<Self>, user: &str, room: RoomId, standing: Standing) -> Watched {
        let standing = Arc::new(standing);
        Watched { rechecks: Arc::clone(self), key: (user.into(), room), standing }
    }

    /// When the next group is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.table.lock().due.first().map(|(due_at, _)| *due_at)
    }

    /// A group that is due, unless a question about it is under way.
    pub(super) fn take_due(self: &Arc<Self>, now: Instant) -> Option<Due> {
        let mut table = self.table.lock();
        if table.due.first().is_none_or(|(due_at, _)| *due_at > now) {
            return None;
        }
        let (_, key) = table.due.pop_first()?;
        let group = table.groups.get_mut(&key)?;
        group.due_at = self.again_after(now);
        let (due_at, asking) = (group.due_at, std::mem::replace(&mut group.asking, true));
        let sessions = group.sessions.clone();
        table.due.insert((due_at, key.clone()));
        (!asking).then(|| Due { rechecks: Arc::clone(self), key, sessions })
    }

    /// Sessions watched.
    pub fn len(&self) -> usize {
        self.table.lock().groups.values().map(|group| group.sessions.len()).sum()
    }

    /// Whether no session is watched.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Due {
    /// Asks again sooner than usual, because there was no answer.
    pub(super) fn retry(&self) {
        let mut table = self.rechecks.table.lock();
        let due_at = Instant::now() + self.rechecks.period.mul_f64(0.25);
        let Some(group) = table.groups.get_mut(&self.key) else { return };
        if due_at < group.due_at {
            let before = std::mem::replace(&mut group.due_at, due_at);
            table.due.remove(&(before, self.key.clone()));
            table.due.insert((due_at, self.key.clone()));
            self.rechecks.earlier.notify_one();
        }
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        if let Some(group) = self.rechecks.table.lock().groups.get_mut(&self.key) {
            group.asking = false;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut table = self.rechecks.table.lock();
        let Some(group) = table.groups.get_mut(&self.key) else { return };
        group.sessions.retain(|standing| !Arc::ptr_eq(standing, &self.standing));
        if group.sessions.is_empty() {
            let due_at = group.due_at;
            table.groups.remove(&self.key);
            table.due.remove(&(due_at, self.key.clone()));
        }
    }
}

/// A number from 0 to 1. Spreads load, guards nothing.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(bits).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn rechecks() -> Arc<Rechecks> {
        Arc::new(Rechecks::new(&Config::default()))
    }

    fn watch(rechecks: &Arc<Rechecks>, session: u64, user: &str, room: &str) -> Watched {
        let identity = Identity {
            user_id: user.into(),
            name: user.into(),
            role: "editor".into(),
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        };
        let (handle, _) = mpsc::channel(1);
        let grant = Grant { can_edit: true };
        let standing = Standing::new(
            (SessionId(session), CorrelationId::random()),
            Arc::default(),
            Some((handle, grant)),
            "token".into(),
            &identity,
        );
        rechecks.watch(user, RoomId::parse(room).unwrap(), standing)
    }

    #[test]
    fn sessions_of_one_user_in_one_room_are_one_question() {
        let rechecks = rechecks();
        let _watched: Vec<_> = [("a", "n:1"), ("a", "n:1"), ("a", "n:2"), ("b", "n:1")]
            .iter()
            .zip(1..)
            .map(|((user, room), session)| watch(&rechecks, session, user, room))
            .collect();
        let later = Instant::now() + Duration::from_mins(1);
        let due: Vec<_> = std::iter::from_fn(|| rechecks.take_due(later)).collect();
        let mut counts: Vec<_> = due.iter().map(|due| due.sessions.len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 1, 2]);
    }

    #[test]
    fn every_session_is_due_within_a_period_and_not_all_at_once() {
        let rechecks = rechecks();
        let now = Instant::now();
        let _watched: Vec<_> =
            (0..1000).map(|n| watch(&rechecks, n, &format!("u{n}"), "n:1")).collect();
        let mut due = 0;
        let mut most = 0;
        for second in 0..=61 {
            let at = now + Duration::from_secs(second);
            let taken = std::iter::from_fn(|| rechecks.take_due(at)).count();
            (due, most) = (due + taken, most.max(taken));
        }
        // Some were due a second time already.
        assert!(due >= 1000, "{due} of 1000");
        assert!(most < 100, "{most} in one second");
    }

    #[test]
    fn a_group_is_asked_about_once_at_a_time_and_sooner_after_no_answer() {
        let rechecks = rechecks();
        let _watched = watch(&rechecks, 1, "a", "n:1");
        let mut now = Instant::now() + Duration::from_mins(1);
        let due = rechecks.take_due(now).unwrap();
        now += Duration::from_mins(1);
        assert!(rechecks.take_due(now).is_none(), "one is under way");
        due.retry();
        drop(due);
        assert!(rechecks.next_due().unwrap() <= Instant::now() + Duration::from_secs(15));
    }

    #[test]
    fn who_leaves_is_not_asked_about() {
        let rechecks = rechecks();
        let one = watch(&rechecks, 1, "a", "n:1");
        let two = watch(&rechecks, 2, "a", "n:1");
        drop(one);
        assert_eq!(rechecks.len(), 1);
        drop(two);
        assert!(rechecks.is_empty() && rechecks.next_due().is_none());
    }
}
