//! Rooms on a disk that takes its time.

use tokio::sync::Semaphore;

use super::{held::joined, *};
use crate::store::OFFERED;

/// SQLite, but for what stands still.
struct Stuck {
    store: SqliteStore,
    /// Whether rows that were taken are ever committed.
    finishes_rows: bool,
    /// A permit for each merge base that may be stored.
    bases: Arc<Semaphore>,
}

impl Store for Stuck {
    fn load<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<StoredRoom>, StoreError>> {
        self.store.load(room)
    }
    fn try_append(&self, append: Append) -> Result<(), Append> {
        if self.finishes_rows { self.store.try_append(append) } else { Ok(()) }
    }
    fn append(&self, append: Append) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.append(append)
    }
    fn seed(&self, seed: Seed) -> BoxFuture<'_, Result<SeedOutcome, StoreError>> {
        self.store.seed(seed)
    }
    fn save_snapshot(
        &self,
        snapshot: NewSnapshot,
    ) -> BoxFuture<'_, Result<SnapshotInfo, StoreError>> {
        self.store.save_snapshot(snapshot)
    }
    fn exchanged_text<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.store.exchanged_text(room)
    }
    fn source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        self.store.source_text(room, source)
    }
    fn set_source_text<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if source != OFFERED {
                self.bases.acquire().await.expect("it is never closed").forget();
            }
            self.store.set_source_text(room, source, text).await
        })
    }
    fn keep_version<'a>(
        &'a self,
        room: &'a RoomId,
        source: &'static str,
        reason: &'static str,
        text: String,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.keep_version(room, source, reason, text)
    }
    fn save_copy<'a>(
        &'a self,
        room: &'a RoomId,
        state: Bytes,
    ) -> BoxFuture<'a, Result<SnapshotInfo, StoreError>> {
        self.store.save_copy(room, state)
    }
    fn expire_copies(
        &self,
        before_ms: u64,
        in_use: Vec<RoomId>,
    ) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.store.expire_copies(before_ms, in_use)
    }
    fn rooms(&self) -> BoxFuture<'_, Result<Vec<crate::store::RoomSummary>, StoreError>> {
        self.store.rooms()
    }
    fn status(&self) -> StoreStatus {
        self.store.status()
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.store.close()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_room_on_a_stuck_disk_answers_and_lets_the_engine_stop() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let registry = registry(
        config.clone(),
        Arc::new(Stuck {
            store: sqlite(&config),
            finishes_rows: false,
            bases: Arc::new(Semaphore::new(0)),
        }),
    );
    let room = RoomId::parse("notes:a").unwrap();
    let (ada, ada_out) = member(1, "ada");
    let handle = registry.join(&room, ada).await.unwrap();
    handle.send(edit(1, write(&Doc::new(), "never committed"))).await.unwrap();
    let bad = write(&Doc::new(), str::from_utf8(BREAKS).unwrap());
    handle.send(edit(1, bad)).await.unwrap();
    eventually("told", || ada_out.is_closing()).await;
    for session in 2..5 {
        let refused = registry.join(&room, member(session, "ben").0).await;
        assert_eq!(refused.err(), Some(CloseReason::RoomFailed));
    }
    registry.shutdown().await;
}

/// Or the next opening would take what was exchanged for news.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_stays_until_the_base_of_its_next_merge_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("records/a.md");
    std::fs::create_dir(dir.path().join("records")).unwrap();
    std::fs::write(&file, "First.\n").unwrap();
    let mut config = config(dir.path());
    config.rooms.grace_period_ms = 0;
    let bases = Arc::new(Semaphore::new(0));
    let store = Stuck { store: sqlite(&config), finishes_rows: true, bases: Arc::clone(&bases) };
    let registry = registry(config, Arc::new(store));
    let come_and_go = async |room: &RoomId, update: Bytes| {
        let handle = joined(&registry, room, 1).await;
        handle.send(edit(1, update)).await.unwrap();
        handle.send(RoomCommand::Leave { session: SessionId(1), reply: None }).await.unwrap();
    };
    let record = RoomId::parse("records:a").unwrap();
    come_and_go(&record, paragraph(&Doc::new(), "Second.")).await;
    let text = || std::fs::read_to_string(&file).unwrap();
    eventually("it is written back", || text().contains("Second.")).await;
    // Rooms that wait for nothing leave meanwhile.
    for _ in 0..10 {
        let other = RoomId::parse("notes:b").unwrap();
        come_and_go(&other, write(&Doc::new(), "words")).await;
        eventually("the other left", || registry.get(&other).is_none()).await;
    }
    assert!(registry.get(&record).is_some(), "it stays");
    bases.add_permits(10);
    eventually("it left", || registry.get(&record).is_none()).await;
    let base = registry.context().store.exchanged_text(&record).await.unwrap();
    assert_eq!(base, Some(text()));
}
