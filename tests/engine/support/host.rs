//! A host in memory. A token is `role:name`, such as `editor:ada`, or `role:name:ms` to expire in so long.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use civicpress_realtime::{
    future::BoxFuture,
    host::{
        CopyInfo, Grant, Hook, Host, HostCopies, HostCopy, HostError, Identity, RecordSummary,
        RecordText, SaveOutcome,
    },
    ids::RoomId,
    time::unix_ms,
};
use parking_lot::Mutex;

type Changed = Arc<dyn Fn(RoomId) + Send + Sync>;

#[derive(Default)]
pub struct FakeHost {
    pub records: Mutex<HashMap<String, String>>,
    /// Texts that stand before the records', as CivicPress's drafts do.
    pub drafts: Mutex<HashMap<String, String>>,
    pub drafting: Drafting,
    /// Texts have no front matter.
    pub bodies_only: bool,
    pub hooks: Mutex<Vec<Hook>>,
    pub loads: AtomicU64,
    pub saves: AtomicU64,
    pub load_delay_ms: AtomicU64,
    pub auth_delay_ms: AtomicU64,
    pub authorize_delay_ms: AtomicU64,
    /// Roles that differ from their tokens' by now, by user; `gone` = the token no longer holds.
    pub roles: Mutex<HashMap<String, String>>,
    pub authentications: AtomicU64,
    pub authorizations: AtomicU64,
    /// Calls of both kinds under way, and the most there ever were.
    pub deciding: AtomicU64,
    pub deciding_max: AtomicU64,
    /// Both kinds fail, as a database that is down makes them.
    pub fail_auth: AtomicBool,
    pub fail_loads: AtomicBool,
    pub fail_saves: AtomicBool,
    /// Saves, and says that it failed.
    pub lose_answers: AtomicBool,
    /// Where the caller's task panics: `authenticate`, or the name of a hook.
    pub panics_in: Mutex<Option<&'static str>>,
    /// Whether the host keeps copies of rooms.
    pub keeps_copies: AtomicBool,
    /// Copies by room, the newest last.
    pub copies: Mutex<HashMap<String, Vec<Bytes>>>,
    pub copies_are_damaged: AtomicBool,
    /// So many copies from now on fail.
    pub fail_copies: AtomicU64,
    changed: Mutex<Option<Changed>>,
}

/// Where saves go.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Drafting {
    /// Into the records.
    #[default]
    No,
    /// Into drafts, which loads prefer.
    Yes,
    /// Into drafts that loads do not see.
    Unseen,
}

impl FakeHost {
    /// A host that saves into drafts, or where `drafting` says.
    pub fn with_drafts(drafting: Drafting, id: &str, text: &str) -> Arc<Self> {
        let host = Self { drafting, bodies_only: true, ..Self::default() };
        host.records.lock().insert(id.into(), text.into());
        Arc::new(host)
    }

    pub fn draft(&self, id: &str) -> Option<String> {
        self.drafts.lock().get(id).cloned()
    }

    fn present(&self, id: &str) -> Option<RecordText> {
        let draft = (self.drafting == Drafting::Yes).then(|| self.draft(id)).flatten();
        if let Some(text) = draft {
            return Some(RecordText { source: "draft", text });
        }
        let source = if self.drafting == Drafting::No { "file" } else { "record" };
        self.records.lock().get(id).cloned().map(|text| RecordText { source, text })
    }

    pub fn with_record(id: &str, text: &str) -> Arc<Self> {
        let host = Self::default();
        host.records.lock().insert(id.into(), text.into());
        Arc::new(host)
    }

    /// Changes a record behind the engine's back.
    pub fn change(&self, id: &str, text: &str) {
        self.records.lock().insert(id.into(), text.into());
        if let Some(changed) = self.changed.lock().clone() {
            changed(RoomId::new("records", id).unwrap());
        }
    }

    /// Changes what a user may do behind the engine's back.
    pub fn give_role(&self, user: &str, role: &str) {
        self.roles.lock().insert(user.into(), role.into());
    }

    fn may_panic_in(&self, place: &str) {
        assert!(*self.panics_in.lock() != Some(place), "on purpose, in {place}");
    }

    async fn decide(&self, delay_ms: &AtomicU64) -> Result<(), HostError> {
        let deciding = Deciding::new(self);
        wait(delay_ms).await;
        drop(deciding);
        if self.fail_auth.load(Ordering::Relaxed) {
            return Err(HostError::Failed("on purpose".into()));
        }
        Ok(())
    }

    pub fn record(&self, id: &str) -> String {
        self.records.lock().get(id).cloned().unwrap_or_default()
    }

    /// Copies ever made of a room that are still there.
    pub fn copies_of(&self, id: &str) -> usize {
        self.copies.lock().get(&format!("records:{id}")).map_or(0, Vec::len)
    }

    pub fn hook_names(&self) -> Vec<&'static str> {
        self.hooks.lock().iter().map(|hook| hook.name).collect()
    }
}

/// A call under way; given back also when nobody waits for its end.
struct Deciding<'a>(&'a FakeHost);

impl<'a> Deciding<'a> {
    fn new(host: &'a FakeHost) -> Self {
        let now = host.deciding.fetch_add(1, Ordering::Relaxed) + 1;
        host.deciding_max.fetch_max(now, Ordering::Relaxed);
        Self(host)
    }
}

impl Drop for Deciding<'_> {
    fn drop(&mut self) {
        self.0.deciding.fetch_sub(1, Ordering::Relaxed);
    }
}

/// No time is none at all, also on a clock that stands still.
async fn wait(delay_ms: &AtomicU64) {
    let delay_ms = delay_ms.load(Ordering::Relaxed);
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
}

fn identity(token: &str) -> Result<Identity, HostError> {
    let (role, rest) =
        token.split_once(':').ok_or_else(|| HostError::Unauthenticated("unknown token".into()))?;
    let (name, life_ms) = rest.split_once(':').unwrap_or((rest, ""));
    Ok(Identity {
        user_id: name.into(),
        name: name.into(),
        role: role.into(),
        expires_at_ms: life_ms.parse().ok().map(|ms: u64| unix_ms() + ms),
        room_patterns: Vec::new(),
        api_user: None,
    })
}

impl Host for FakeHost {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>> {
        Box::pin(async move {
            self.authentications.fetch_add(1, Ordering::Relaxed);
            self.may_panic_in("authenticate");
            self.decide(&self.auth_delay_ms).await?;
            let mut identity = identity(token)?;
            if let Some(role) = self.roles.lock().get(&identity.user_id) {
                if role == "gone" {
                    return Err(HostError::Unauthenticated("logged out".into()));
                }
                identity.role.clone_from(role);
            }
            Ok(identity)
        })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>> {
        Box::pin(async move {
            self.authorizations.fetch_add(1, Ordering::Relaxed);
            self.decide(&self.authorize_delay_ms).await?;
            if room.kind() == "records" && !self.records.lock().contains_key(room.id()) {
                return Err(HostError::Denied);
            }
            match identity.role.as_str() {
                "editor" | "admin" => Ok(Grant { can_edit: true }),
                "viewer" => Ok(Grant { can_edit: false }),
                _ => Err(HostError::Denied),
            }
        })
    }

    fn load_record<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>> {
        Box::pin(async move {
            self.loads.fetch_add(1, Ordering::Relaxed);
            wait(&self.load_delay_ms).await;
            if self.fail_loads.load(Ordering::Relaxed) {
                return Err(HostError::Failed("on purpose".into()));
            }
            Ok(self.present(room.id()))
        })
    }

    fn save_record<'a>(
        &'a self,
        room: &'a RoomId,
        text: &'a str,
        expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>> {
        Box::pin(async move {
            self.saves.fetch_add(1, Ordering::Relaxed);
            if self.fail_saves.load(Ordering::Relaxed) {
                return Err(HostError::Failed("on purpose".into()));
            }
            let current = self.present(room.id());
            if current.as_ref().map(|current| current.text.as_str()) != expected {
                let gone = RecordText { source: "file", text: String::new() };
                return Ok(SaveOutcome::Changed(current.unwrap_or(gone)));
            }
            let (texts, outcome) = match self.drafting {
                Drafting::No => (&self.records, SaveOutcome::Saved("file")),
                Drafting::Yes => (&self.drafts, SaveOutcome::Saved("draft")),
                Drafting::Unseen => (&self.drafts, SaveOutcome::SavedElsewhere),
            };
            texts.lock().insert(room.id().into(), text.into());
            if self.lose_answers.load(Ordering::Relaxed) {
                return Err(HostError::Failed("after the fact".into()));
            }
            Ok(outcome)
        })
    }

    fn texts_have_front_matter(&self) -> bool {
        !self.bodies_only
    }

    fn emit_hook(&self, hook: Hook) {
        self.may_panic_in(hook.name);
        self.hooks.lock().push(hook);
    }

    fn list_records<'a>(
        &'a self,
        _identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>> {
        Box::pin(async move {
            let records = self.records.lock();
            let summary = |id: &String| RecordSummary {
                id: id.clone(),
                title: id.clone(),
                status: None,
                kind: None,
                modified_at_ms: 0,
            };
            Ok(records.keys().map(summary).collect())
        })
    }

    fn copies(&self) -> Option<&dyn HostCopies> {
        self.keeps_copies.load(Ordering::Relaxed).then_some(self as &dyn HostCopies)
    }

    fn watch(&self, changed: Changed) -> Option<Box<dyn Send + Sync>> {
        *self.changed.lock() = Some(changed);
        None
    }
}

impl HostCopies for FakeHost {
    fn save<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<CopyInfo, HostError>> {
        Box::pin(async move {
            let failing = &self.fail_copies;
            if failing
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                return Err(HostError::Failed("on purpose".into()));
            }
            let mut copies = self.copies.lock();
            let kept = copies.entry(room.to_string()).or_default();
            kept.push(state);
            Ok(CopyInfo { version: kept.len() as u64, created_at_ms: unix_ms() })
        })
    }

    fn load<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<HostCopy, HostError>> {
        Box::pin(async move {
            let copies = self.copies.lock();
            let newest = copies.get(room.as_str()).and_then(|kept| kept.last().cloned());
            Ok(match newest {
                Some(_) if self.copies_are_damaged.load(Ordering::Relaxed) => {
                    HostCopy::Damaged("its hash does not match".into())
                }
                Some(state) => HostCopy::Sound(state),
                None => HostCopy::Missing,
            })
        })
    }

    fn expire(
        &self,
        _before_ms: u64,
        in_use: Vec<RoomId>,
    ) -> BoxFuture<'_, Result<u64, HostError>> {
        Box::pin(async move {
            let mut copies = self.copies.lock();
            let before = copies.len();
            copies.retain(|name, _| in_use.iter().any(|room| room.as_str() == name));
            Ok((before - copies.len()) as u64)
        })
    }
}
