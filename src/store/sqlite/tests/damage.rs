//! Damaged, foreign and unusable files.

use super::*;

/// Changes one byte of the only row `column` of `table` has.
fn flip(store: &SqliteStore, table: &str, column: &str, filter: &str) {
    sql(
        store.path(),
        &format!(
            "UPDATE {table} SET {column} = CAST(substr({column}, 1, 2) || x'FF' || substr({column}, 4) AS BLOB)
             WHERE {filter}"
        ),
    );
}

async fn corrupt(store: &SqliteStore, room: &RoomId) -> String {
    let error = store.load(room).await.unwrap_err();
    assert_eq!(error.code(), "STORE_CORRUPT", "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_damaged_row_is_never_an_empty_room() {
    let (_dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=5).await;
    flip(&store, "update_log", "payload", "seq = 3");
    let text = corrupt(&store, &one).await;
    assert!(text.contains("records:1") && text.contains("log row 3"), "{text}");
    assert_eq!(store.rooms().await.unwrap()[0].log_rows, 5, "damaged rows stay");
}

#[tokio::test]
async fn a_row_under_another_number_is_damaged() {
    let (_dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=2).await;
    sql(store.path(), "UPDATE update_log SET seq = 7 WHERE seq = 2");
    assert!(corrupt(&store, &one).await.contains("log row 7"));
}

#[tokio::test]
async fn missing_rows_are_found() {
    for gap in ["seq = 1", "seq = 2", "seq = 3", "seq > 1"] {
        let (_dir, store) = open();
        let one = room("1");
        log(&store, &one, 1..=3).await;
        sql(store.path(), &format!("DELETE FROM update_log WHERE {gap}"));
        assert!(corrupt(&store, &one).await.contains("are missing"), "{gap}");
    }
}

#[tokio::test]
async fn a_snapshot_that_claims_other_rows_is_damaged() {
    for claim in ["upto_seq = 3", "upto_seq = 1", "keep_json = '[1]'"] {
        let (_dir, store) = open();
        let one = room("1");
        log(&store, &one, 1..=3).await;
        store.save_snapshot(snapshot(&one, 2, &[], b"state")).await.unwrap();
        sql(store.path(), &format!("UPDATE base_snapshot SET {claim}"));
        assert!(corrupt(&store, &one).await.contains("snapshot 1"), "{claim}");
    }
}

/// A room the index does not know would otherwise be new, and be seeded again.
#[tokio::test]
async fn a_room_that_only_the_table_knows_is_damaged() {
    let (dir, store) = open();
    log(&store, &room("here"), 1..=1).await;
    store.close().await.unwrap();
    let mut bytes = std::fs::read(store.path()).unwrap();
    let name = b"records:here";
    let places: Vec<_> =
        (0..bytes.len() - name.len()).filter(|at| &bytes[*at..*at + name.len()] == name).collect();
    assert_eq!(places.len(), 2, "in the table and in its index");
    for at in places {
        bytes[at + name.len() - 1] ^= 1;
        std::fs::write(store.path(), &bytes).unwrap();
        let store = SqliteStore::open(options(dir.path())).unwrap();
        assert!(corrupt(&store, &room("here")).await.contains("disagree"), "at {at}");
        store.close().await.unwrap();
        bytes[at + name.len() - 1] ^= 1;
    }
}

#[tokio::test]
async fn damaged_snapshots_are_found_whatever_the_compression() {
    for compression in [Compression::None, Compression::Zstd, Compression::Gzip] {
        let dir = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(SqliteOptions { compression, ..options(dir.path()) }).unwrap();
        let one = room("1");
        log(&store, &one, 1..=2).await;
        store.save_snapshot(snapshot(&one, 2, &[], b"a state of some length")).await.unwrap();
        assert!(store.load(&one).await.unwrap().unwrap().snapshot.is_some());
        flip(&store, "base_snapshot", "data", "version = 1");
        let text = corrupt(&store, &one).await;
        assert!(text.contains("snapshot 1"), "{text}");
    }
}

#[tokio::test]
async fn an_older_snapshot_serves_if_no_row_is_missing_since() {
    let (_dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=3).await;
    store.save_snapshot(snapshot(&one, 3, &[], b"first state")).await.unwrap();
    log(&store, &one, 4..=5).await;
    store.save_snapshot(snapshot(&one, 5, &[4, 5], b"second state")).await.unwrap();
    flip(&store, "base_snapshot", "data", "version = 2");
    let stored = store.load(&one).await.unwrap().unwrap();
    assert_eq!((stored.snapshot.as_ref().unwrap().version, seqs(&stored)), (1, vec![4, 5]));

    sql(store.path(), "DELETE FROM update_log WHERE seq = 4");
    assert!(corrupt(&store, &one).await.contains("snapshot 2"));
}

#[tokio::test]
async fn a_seeded_room_without_rows_is_damaged() {
    let (_dir, store) = open();
    let one = room("1");
    store.seed(seed(&one, "text")).await.unwrap();
    sql(store.path(), "DELETE FROM update_log");
    corrupt(&store, &one).await;
}

#[tokio::test]
async fn a_damaged_source_text_is_found() {
    let (_dir, store) = open();
    let one = room("1");
    store.set_source_text(&one, "file", "text".into()).await.unwrap();
    sql(store.path(), "UPDATE source_text SET text = 'test'");
    assert_eq!(store.source_text(&one, "file").await.unwrap_err().code(), "STORE_CORRUPT");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_moved_aside() {
    let cut = [&b"SQLite format 3\0\x10\0"[..], &[0; 1000]].concat();
    for (rubbish, name) in
        [(&b"not a database"[..], "short"), (&[7_u8; 9000], "long"), (&cut, "cut")]
    {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        std::fs::create_dir_all(options.path.parent().unwrap()).unwrap();
        std::fs::write(&options.path, rubbish).unwrap();
        std::fs::write(dir.path().join("realtime/realtime.db-wal"), b"log").unwrap();
        let store = SqliteStore::open(options).unwrap();
        let place = store.set_aside().expect(name);
        assert_eq!(std::fs::read(&place).unwrap(), rubbish);
        assert_eq!(std::fs::read(format!("{}-wal", place.display())).unwrap(), b"log");
        let status = store.status();
        assert!(status.damage.unwrap().contains(&place.display().to_string()));
        assert_eq!(status.degraded, None, "commits work, so it is ready");
        log(&store, &room("1"), 1..=1).await;
        assert!(store.status().damage.is_some(), "told until the next start");
        store.close().await.unwrap();
        let again = SqliteStore::open(super::options(dir.path())).unwrap();
        assert_eq!(again.status().damage, None);
    }
}

#[tokio::test]
async fn a_database_with_a_damaged_first_page_is_moved_aside() {
    let (dir, store) = open();
    log(&store, &room("1"), 1..=1).await;
    store.close().await.unwrap();
    let mut bytes = std::fs::read(store.path()).unwrap();
    bytes[100..400].fill(0xEE);
    std::fs::write(store.path(), bytes).unwrap();
    let store = SqliteStore::open(options(dir.path())).unwrap();
    assert!(store.set_aside().unwrap().exists());
    assert_eq!(store.load(&room("1")).await, Ok(None));
}

#[tokio::test]
async fn a_log_without_its_database_is_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    std::fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    std::fs::write(dir.path().join("realtime/realtime.db-wal"), b"log").unwrap();
    let store = SqliteStore::open(options).unwrap();
    let place = store.set_aside().unwrap();
    assert_eq!(std::fs::read(format!("{}-wal", place.display())).unwrap(), b"log");
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let (dir, store) = open();
    store.close().await.unwrap();
    sql(store.path(), "PRAGMA user_version = 9");
    let before = std::fs::read(store.path()).unwrap();
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 9, .. }), "{error}");
    assert_eq!(std::fs::read(store.path()).unwrap(), before);
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("civic.db");
    sql(&path, "CREATE TABLE users (id INTEGER)");
    let before = std::fs::read(&path).unwrap();
    let error =
        SqliteStore::open(SqliteOptions { path: path.clone(), ..options(dir.path()) }).unwrap_err();
    assert!(error.to_string().contains("another program's database"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("realtime"), b"a file where the folder should be").unwrap();
    let error = SqliteStore::open(options(dir.path())).unwrap_err();
    assert!(
        error.to_string().contains("realtime.db") && error.to_string().contains("store.url"),
        "{error}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("realtime");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let path = dir.path().to_owned();
    let error = thread::spawn(move || {
        // The superuser may write anywhere; this one thread becomes nobody.
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        }
        assert!(std::fs::write(path.join("realtime/probe"), b"").is_err(), "it is read-only");
        SqliteStore::open(options(&path)).unwrap_err().to_string()
    })
    .join()
    .unwrap();
    assert!(error.contains("realtime.db") && error.contains("check"), "{error}");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}
