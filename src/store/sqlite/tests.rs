//! The store from outside: what is told is there, whatever happened in between.

mod archive;
mod crash;
mod damage;
#[cfg(target_os = "linux")]
mod faults;
mod flips;

use tempfile::TempDir;

use super::*;
use crate::{
    config::{Compression, Config, Durability},
    store::{CommitWatch, LoggedUpdate, OFFERED, RESEEDED},
};

fn options(dir: &Path) -> SqliteOptions {
    SqliteOptions {
        path: dir.join("realtime/realtime.db"),
        durability: Durability::Process,
        compression: Compression::Zstd,
        copies: CopyTarget::Table,
        copies_kept: 3,
        copy_bytes_warning: 1 << 20,
    }
}

fn open() -> (TempDir, SqliteStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(dir.path())).unwrap();
    (dir, store)
}

fn room(id: &str) -> RoomId {
    RoomId::new("records", id).unwrap()
}

fn payload(seq: u64) -> Bytes {
    format!("update {seq}").into()
}

fn append(room: &RoomId, seq: u64, watch: &Arc<CommitWatch>) -> Append {
    Append { room: room.clone(), seq, bytes: payload(seq), watch: Arc::clone(watch) }
}

async fn until(watch: &CommitWatch, seq: u64) {
    while watch.committed_seq() < seq {
        watch.advanced.notified().await;
    }
}

/// Appends `seqs` and waits for their commit.
async fn log(store: &SqliteStore, room: &RoomId, seqs: std::ops::RangeInclusive<u64>) {
    let watch = CommitWatch::starting_at(seqs.start() - 1);
    let last = *seqs.end();
    for seq in seqs {
        store.append(append(room, seq, &watch)).await.unwrap();
    }
    until(&watch, last).await;
}

fn snapshot(room: &RoomId, upto_seq: u64, keep: &[u64], state: &'static [u8]) -> NewSnapshot {
    NewSnapshot {
        room: room.clone(),
        upto_seq,
        keep: keep.to_vec(),
        state: Bytes::from_static(state),
    }
}

fn seed(room: &RoomId, text: &str) -> Seed {
    Seed {
        room: room.clone(),
        update: Bytes::from_static(b"seed"),
        source: "file",
        text: text.into(),
    }
}

fn seqs(stored: &StoredRoom) -> Vec<u64> {
    stored.tail.iter().map(|row| row.seq).collect()
}

/// Runs SQL on the file as another program would.
fn sql(store_path: &Path, text: &str) {
    rusqlite::Connection::open(store_path).unwrap().execute_batch(text).unwrap();
}

#[tokio::test]
async fn what_was_appended_is_loaded_in_order() {
    let (_dir, store) = open();
    let (one, two) = (room("1"), room("2"));
    assert_eq!(store.load(&one).await.unwrap(), None);
    log(&store, &one, 1..=3).await;
    log(&store, &two, 1..=1).await;
    let stored = store.load(&one).await.unwrap().unwrap();
    let rows: Vec<_> = (1..=3).map(|seq| LoggedUpdate { seq, bytes: payload(seq) }).collect();
    assert_eq!(stored, StoredRoom { snapshot: None, tail: rows, last_seq: 3 });
    let names: Vec<_> =
        store.rooms().await.unwrap().into_iter().map(|room| (room.room, room.log_rows)).collect();
    assert_eq!(names, [(one, 3), (two, 1)]);
}

#[tokio::test]
async fn a_thousand_appends_of_ten_rooms_share_commits() {
    let (_dir, store) = open();
    let rooms: Vec<_> =
        (0..10).map(|n| (room(&n.to_string()), CommitWatch::starting_at(0))).collect();
    for seq in 1..=100 {
        for (room, watch) in &rooms {
            assert!(store.try_append(append(room, seq, watch)).is_ok());
        }
    }
    for (room, watch) in &rooms {
        until(watch, 100).await;
        assert_eq!(seqs(&store.load(room).await.unwrap().unwrap()), (1..=100).collect::<Vec<_>>());
    }
    let status = store.status();
    assert_eq!((status.rows, status.queued, status.degraded), (1000, 0, None));
    assert!(status.commits < 500, "{} commits", status.commits);
}

#[tokio::test]
async fn one_of_two_seeds_wins() {
    let (_dir, store) = open();
    let one = room("1");
    let outcomes = tokio::join!(store.seed(seed(&one, "a")), store.seed(seed(&one, "b")));
    assert_eq!(outcomes, (Ok(SeedOutcome::Claimed), Ok(SeedOutcome::AlreadySeeded)));
    assert_eq!(store.source_text(&one, "file").await.unwrap().as_deref(), Some("a"));
    let stored = store.load(&one).await.unwrap().unwrap();
    assert_eq!(stored.tail, [LoggedUpdate { seq: 1, bytes: Bytes::from_static(b"seed") }]);
    assert_eq!(stored.last_seq, 1);
}

#[tokio::test]
async fn a_room_with_rows_is_not_seeded_even_within_one_transaction() {
    let (_dir, store) = open();
    let one = room("1");
    let watch = CommitWatch::starting_at(0);
    assert!(store.try_append(append(&one, 1, &watch)).is_ok());
    assert_eq!(store.seed(seed(&one, "a")).await, Ok(SeedOutcome::AlreadySeeded));
    assert_eq!(store.source_text(&one, "file").await, Ok(None));
}

#[tokio::test]
async fn a_snapshot_replaces_the_rows_it_contains() {
    let (_dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=6).await;
    let info = store.save_snapshot(snapshot(&one, 5, &[2, 4], b"state")).await.unwrap();
    assert_eq!(info.version, 1);
    let stored = store.load(&one).await.unwrap().unwrap();
    assert_eq!(seqs(&stored), [2, 4, 6]);
    assert_eq!(stored.last_seq, 6);
    let base = stored.snapshot.unwrap();
    assert_eq!((base.version, base.upto_seq, &base.state[..]), (1, 5, &b"state"[..]));

    store.save_snapshot(snapshot(&one, 6, &[], b"later")).await.unwrap();
    let stored = store.load(&one).await.unwrap().unwrap();
    assert!(stored.tail.is_empty());
    assert_eq!(stored.snapshot.unwrap().version, 2);
    assert_eq!(store.rooms().await.unwrap()[0].snapshot_version, Some(2));
}

#[tokio::test]
async fn source_texts_come_back() {
    let (_dir, store) = open();
    let one = room("1");
    assert_eq!(store.source_text(&one, "file").await, Ok(None));
    for text in ["# Ä\n", "", "third"] {
        store.set_source_text(&one, "file", text.into()).await.unwrap();
        assert_eq!(store.source_text(&one, "file").await.unwrap().as_deref(), Some(text));
    }
    assert_eq!(store.source_text(&one, "draft").await, Ok(None));
    store.set_source_text(&one, OFFERED, "offered".into()).await.unwrap();
    store.set_source_text(&one, RESEEDED, "reseeded".into()).await.unwrap();
    assert_eq!(store.exchanged_text(&one).await.unwrap().as_deref(), Some("third"));
    // A record has one text at a time, wherever it lies.
    store.set_source_text(&one, "draft", "fourth".into()).await.unwrap();
    assert_eq!(store.source_text(&one, "file").await, Ok(None));
    assert_eq!(store.source_text(&one, OFFERED).await.unwrap().as_deref(), Some("offered"));
    assert_eq!(store.source_text(&one, RESEEDED).await.unwrap().as_deref(), Some("reseeded"));
    assert_eq!(store.exchanged_text(&one).await.unwrap().as_deref(), Some("fourth"));
    assert_eq!(store.load(&one).await, Ok(None), "a text alone is not a room's content");
    assert!(store.rooms().await.unwrap().is_empty());
}

#[tokio::test]
async fn texts_that_lost_are_kept_once_and_bounded() {
    let (_dir, store) = open();
    let one = room("1");
    for n in 0..crate::limits::KEPT_VERSIONS_MAX + 5 {
        for _ in 0..2 {
            store.keep_version(&one, "file", "conflict", format!("text {n}")).await.unwrap();
        }
    }
    let (count, first): (i64, String) = store
        .read(|reading| {
            reading.query(|connection| {
                connection.query_row("SELECT count(*), (SELECT text FROM kept_version ORDER BY id LIMIT 1) FROM kept_version", [], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
        })
        .await
        .unwrap();
    assert_eq!((count, first.as_str()), (200, "text 5"));
}

#[tokio::test]
async fn closing_leaves_one_file_and_a_closed_store() {
    let (dir, store) = open();
    let one = room("1");
    let watch = CommitWatch::starting_at(0);
    for seq in 1..=50 {
        assert!(store.try_append(append(&one, seq, &watch)).is_ok());
    }
    assert_eq!(tokio::join!(store.close(), store.close()), (Ok(()), Ok(())));
    assert_eq!(watch.committed_seq(), 50);
    assert_eq!(store.close().await, Ok(()));
    assert_eq!(store.load(&one).await, Err(StoreError::Closed));
    assert_eq!(store.append(append(&one, 51, &watch)).await, Err(StoreError::Closed));
    assert!(store.try_append(append(&one, 51, &watch)).is_err());
    assert_eq!(store.save_snapshot(snapshot(&one, 1, &[], b"x")).await, Err(StoreError::Closed));
    assert_eq!(store.seed(seed(&one, "")).await, Err(StoreError::Closed));
    assert!(!dir.path().join("realtime/realtime.db-wal").exists());
    let again = SqliteStore::open(options(dir.path())).unwrap();
    assert_eq!(again.load(&one).await.unwrap().unwrap().last_seq, 50);
}

#[tokio::test]
async fn a_dropped_store_lets_go_of_its_file_with_everything_in_it() {
    let (dir, store) = open();
    let one = room("1");
    let watch = CommitWatch::starting_at(0);
    for seq in 1..=50 {
        assert!(store.try_append(append(&one, seq, &watch)).is_ok());
    }
    drop(store);
    let again = SqliteStore::open(options(dir.path())).unwrap();
    assert_eq!(seqs(&again.load(&one).await.unwrap().unwrap()).len(), 50);
}

#[tokio::test]
async fn a_second_engine_is_refused() {
    let (dir, store) = open();
    let refused = SqliteStore::open(options(dir.path())).unwrap_err();
    assert_eq!(refused.code(), "STORE_LOCKED");
    assert!(refused.to_string().contains("realtime.db"), "{refused}");
    store.close().await.unwrap();
    assert!(SqliteStore::open(options(dir.path())).is_ok());
}

#[tokio::test]
async fn failing_commits_withhold_acknowledgements_until_they_work_again() {
    let (_dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=1).await;
    store.write(|context| context.connection.busy_timeout(Duration::ZERO)).await.unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();

    let watch = CommitWatch::starting_at(1);
    store.append(append(&one, 2, &watch)).await.unwrap();
    let refused = store.set_source_text(&one, "file", "text".into()).await.unwrap_err();
    assert!(refused.to_string().contains("another program has locked it"), "{refused}");
    assert!(store.status().degraded.unwrap().contains("another program has locked it"));
    assert_eq!((watch.committed_seq(), store.status().queued), (1, 1));
    assert_eq!(store.load(&one).await.unwrap().unwrap().last_seq, 1);

    other.execute_batch("ROLLBACK").unwrap();
    until(&watch, 2).await;
    store.set_source_text(&one, "file", "text".into()).await.unwrap();
    assert_eq!(store.status().degraded, None);
    assert_eq!(seqs(&store.load(&one).await.unwrap().unwrap()), [1, 2]);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_told() {
    let (dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=3).await;
    let full =
        |context: &mut Context| context.connection.pragma(None, "max_page_count", 1, |_| Ok(()));
    store.write(full).await.unwrap();
    let watch = CommitWatch::starting_at(3);
    let large = Append { bytes: vec![1; 1 << 20].into(), ..append(&one, 4, &watch) };
    store.append(large).await.unwrap();
    let refused = store.save_copy(&one, vec![1; 1 << 20].into()).await.unwrap_err();
    assert!(refused.to_string().contains("the disk is full"), "{refused}");
    assert!(store.status().degraded.unwrap().contains("the disk is full"));
    assert_eq!(watch.committed_seq(), 3);
    assert_eq!(seqs(&store.load(&one).await.unwrap().unwrap()), [1, 2, 3]);
    drop(store);
    let again = SqliteStore::open(options(dir.path())).unwrap();
    let found = seqs(&again.load(&one).await.unwrap().unwrap());
    assert!(found.starts_with(&[1, 2, 3]), "{found:?}");
}

#[tokio::test]
async fn a_store_that_cannot_commit_can_still_be_closed() {
    let (_dir, store) = open();
    let one = room("1");
    store.write(|context| context.connection.busy_timeout(Duration::ZERO)).await.unwrap();
    let other = rusqlite::Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let watch = CommitWatch::starting_at(0);
    store.append(append(&one, 1, &watch)).await.unwrap();
    store.stop_within(Duration::from_millis(50));
    store.watch_the_end();
    let error = store.close().await.unwrap_err();
    assert_eq!((error.code(), watch.committed_seq()), ("STORE_FAILED", 0));
}

#[tokio::test]
async fn a_row_that_contradicts_the_log_stops_its_own_room_only() {
    let (_dir, store) = open();
    let (one, two) = (room("1"), room("2"));
    log(&store, &one, 1..=2).await;
    let (stale, fine) = (CommitWatch::starting_at(0), CommitWatch::starting_at(0));
    let foreign = Append { bytes: Bytes::from_static(b"foreign"), ..append(&one, 2, &stale) };
    for append in
        [append(&one, 1, &stale), foreign, append(&one, 3, &stale), append(&two, 1, &fine)]
    {
        assert!(store.try_append(append).is_ok());
    }
    until(&fine, 1).await;
    assert!(stale.committed_seq() < 2, "a later row must not acknowledge a refused one");
    assert!(store.status().degraded.unwrap().contains("records:1"));
    assert_eq!(seqs(&store.load(&one).await.unwrap().unwrap()), [1, 2]);
    drop(stale);
    log(&store, &one, 3..=3).await;
    assert_eq!(store.status().degraded, None);
}

#[tokio::test]
async fn copies_are_kept_in_the_table_or_in_files() {
    let (dir, store) = open();
    let one = room("1");
    for version in 1..=5 {
        let info = store.save_copy(&one, Bytes::from_static(b"state")).await.unwrap();
        assert_eq!((info.version, info.stored_bytes), (version, 5));
    }
    store.close().await.unwrap();

    let folder = dir.path().join("copies");
    let options = SqliteOptions {
        copies: CopyTarget::Folder(folder.clone()),
        copies_kept: 1,
        ..options(dir.path())
    };
    let store = SqliteStore::open(options).unwrap();
    for version in 1..=2 {
        assert_eq!(
            store.save_copy(&one, Bytes::from_static(b"state")).await.unwrap().version,
            version
        );
    }
    let room_folder = folder.join("records:1");
    assert_eq!(std::fs::read_dir(room_folder).unwrap().count(), 2);
    let connection = rusqlite::Connection::open(store.path()).unwrap();
    let (rows, hash): (i64, String) = connection
        .query_row("SELECT count(*), max(integrity_hash) FROM realtime_snapshots", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((rows, hash), (3, hex(&Sha256::digest(b"state"))));
}

#[test]
fn options_follow_the_configuration() {
    let mut config = Config { system_data_dir: "data".into(), ..Config::default() };
    let options = SqliteOptions::from_config(&config).unwrap();
    assert_eq!(options.path, Path::new("data/realtime/realtime.db"));
    assert_eq!(options.copies, CopyTarget::Table);
    for (url, path) in
        [("sqlite:a/b.db", "a/b.db"), ("sqlite:///a/b.db", "/a/b.db"), ("sqlite:/a.db", "/a.db")]
    {
        config.store.url = Some(url.into());
        assert_eq!(SqliteOptions::from_config(&config).unwrap().path, Path::new(path), "{url}");
    }
    for url in [
        "postgres://a:secret@b/c",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:file:x?mode=memory",
        "a.db",
    ] {
        config.store.url = Some(url.into());
        let error = SqliteOptions::from_config(&config).unwrap_err().to_string();
        assert!(error.contains("store.url") && !error.contains("secret"), "{error}");
    }
}
