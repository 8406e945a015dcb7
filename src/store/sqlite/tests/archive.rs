//! Backup, restore and versions, beside a running store.

use std::fs;

use super::*;

#[tokio::test]
async fn a_backup_holds_every_edit_told_before_it() {
    let (dir, store) = open();
    let one = room("1");
    let watch = CommitWatch::starting_at(0);
    let mut next = 1;
    for round in 0..5 {
        for _ in 0..200 {
            store.append(append(&one, next, &watch)).await.unwrap();
            next += 1;
        }
        until(&watch, next - 50).await;
        let told = watch.committed_seq();
        // More comes while it is copied.
        let (busy, copy) = (dir.path().join(format!("{round}.db")), store.path().to_owned());
        let copying = thread::spawn(move || {
            Archive::open(&copy).unwrap().back_up(&busy).map(|report| (busy, report))
        });
        while !copying.is_finished() {
            store.append(append(&one, next, &watch)).await.unwrap();
            next += 1;
        }
        let (file, report) = copying.join().unwrap().unwrap();
        assert_eq!((report.rooms, report.damaged.len()), (1, 0));
        let there = tempfile::tempdir().unwrap();
        let restored = options(there.path());
        let report = restore(&restored.path, &file).unwrap();
        assert_eq!(report.set_aside, None);
        let restored = SqliteStore::open(restored).unwrap();
        let stored = restored.load(&one).await.unwrap().unwrap();
        assert!(stored.last_seq >= told, "told {told}, found {}", stored.last_seq);
        assert_eq!(seqs(&stored), (1..=stored.last_seq).collect::<Vec<_>>());
        assert!(file.exists(), "a backup stays");
    }
    assert!(
        fs::read_dir(dir.path())
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("unfinished") })
    );
}

#[tokio::test]
async fn a_restore_keeps_what_was_there() {
    let (dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=3).await;
    let backup = dir.path().join("backup.db");
    Archive::open(store.path()).unwrap().back_up(&backup).unwrap();
    log(&store, &one, 4..=5).await;

    let error = restore(store.path(), &backup).unwrap_err();
    assert_eq!(error.code(), "STORE_LOCKED", "not under a running engine");
    let path = store.path().to_owned();
    drop(store);

    let report = restore(&path, &backup).unwrap();
    assert_eq!(report.backup.log_rows, 3);
    let place = report.set_aside.unwrap();
    assert!(place.to_string_lossy().contains("realtime.db.replaced-"));
    let old = Archive::open(&place).unwrap().room(&one).unwrap().unwrap();
    assert_eq!(seqs(&old), [1, 2, 3, 4, 5]);
    let store = SqliteStore::open(options(dir.path())).unwrap();
    assert_eq!(store.status().damage, None, "an older file was wanted");
    assert_eq!(seqs(&store.load(&one).await.unwrap().unwrap()), [1, 2, 3]);
    log(&store, &one, 4..=4).await;
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored() {
    let (dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=3).await;
    store.close().await.unwrap();
    let path = store.path().to_owned();
    let before = fs::read(&path).unwrap();
    let rubbish = dir.path().join("rubbish");
    fs::write(&rubbish, b"rubbish").unwrap();
    let cut = dir.path().join("cut");
    fs::write(&cut, &before[..before.len() / 2]).unwrap();
    let foreign = dir.path().join("foreign");
    sql(&foreign, "CREATE TABLE users (id INTEGER)");
    for (file, says) in [
        (dir.path().join("none"), "there is no database"),
        (rubbish, "is not a database"),
        (cut, "cut"),
        (foreign, "another program's database"),
    ] {
        let error = restore(&path, &file).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(&file.display().to_string()), "{error}");
        assert!(fs::read(&path).unwrap() == before, "the present database stays");
    }
    let error = Archive::open(&path).unwrap().back_up(&path).unwrap_err().to_string();
    assert!(error.contains("exists"), "{error}");
}

#[tokio::test]
async fn an_interrupted_restore_is_finished_by_the_next_start() {
    let (dir, store) = open();
    let one = room("1");
    log(&store, &one, 1..=3).await;
    let backup = dir.path().join("backup.db");
    Archive::open(store.path()).unwrap().back_up(&backup).unwrap();
    log(&store, &one, 4..=4).await;
    let path = store.path().to_owned();
    drop(store);
    let lock = FileLock::take(&path).unwrap();
    fs::rename(&backup, format!("{}.restored", path.display())).unwrap();
    drop(lock);
    let store = SqliteStore::open(options(dir.path())).unwrap();
    assert_eq!(store.load(&one).await.unwrap().unwrap().last_seq, 3);
    assert_eq!(store.status().damage, None);
}

#[tokio::test]
async fn damaged_rooms_are_named_and_copied_as_they_are() {
    let (dir, store) = open();
    log(&store, &room("1"), 1..=3).await;
    log(&store, &room("2"), 1..=3).await;
    sql(store.path(), "UPDATE update_log SET payload = x'00' WHERE id = 2");
    let report =
        Archive::open(store.path()).unwrap().back_up(&dir.path().join("backup.db")).unwrap();
    assert_eq!(report.damaged, ["records:1: log row 2 does not match its checksum"]);
    assert_eq!((report.rooms, report.log_rows), (2, 6));
}

#[tokio::test]
async fn versions_are_listed_and_read() {
    let (_dir, store) = open();
    let one = room("1");
    for (seq, state) in [(1, &b"first"[..]), (2, b"second")] {
        log(&store, &one, seq..=seq).await;
        store.save_snapshot(snapshot(&one, seq, &[], state)).await.unwrap();
    }
    let archive = Archive::open(store.path()).unwrap();
    let versions = archive.versions(&one).unwrap().unwrap();
    let known: Vec<_> =
        versions.iter().map(|found| (found.version, found.upto_seq, found.state_bytes)).collect();
    assert_eq!(known, [(2, 2, 6), (1, 1, 5)]);
    assert_eq!(&archive.version(&one, 1).unwrap().unwrap().state[..], b"first");
    assert_eq!(archive.version(&one, 3).unwrap(), None);
    assert_eq!(archive.versions(&room("none")).unwrap(), None);
    assert_eq!(&archive.room(&one).unwrap().unwrap().snapshot.unwrap().state[..], b"second");
}
