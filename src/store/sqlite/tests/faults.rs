//! The n-th system call fails, or the process dies at it, for n = 1, 2, 3 … until a run meets no fault: the
//! real SQLite on a real disk, under a shim in C. After each run the files are opened without faults and hold
//! everything that was told.
//!
//! `STORE_FAULTS=all` tries every call; without it each kind of fault takes every few.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, Output},
    sync::OnceLock,
};

use super::*;

/// Names the folder in the child's environment; without it the child's test does nothing.
const FOLDER: &str = "FAULT_FOLDER";
const STORES: &str = "store::sqlite::tests::faults::child_that_works_under_faults";
const RESTORES: &str =
    "store::sqlite::tests::faults::child_that_backs_up_and_restores_under_faults";
/// A run with more calls than this does not end.
const CALLS_MAX: u64 = 5000;

/// What the child does with two rooms: seeds, appends, snapshots (compaction), remembers a text, closes.
/// Prints what it was told.
#[tokio::test]
async fn child_that_works_under_faults() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let options = SqliteOptions {
        durability: Durability::Power,
        copies: CopyTarget::Folder(Path::new(&folder).join("copies")),
        ..options(Path::new(&folder))
    };
    let store = match SqliteStore::open(options) {
        Ok(store) => store,
        Err(error) => return println!("\nrefused {error}"),
    };
    'rooms: for id in ["a", "b"] {
        let room = room(id);
        let Ok(stored) = store.load(&room).await else { continue };
        let mut last = stored.map_or(0, |stored| stored.last_seq);
        let watch = CommitWatch::starting_at(last);
        for step in 0..3 {
            for seq in last + 1..=last + 4 {
                store.append(append(&room, seq, &watch)).await.unwrap();
            }
            last += 4;
            if tokio::time::timeout(PATIENCE, until(&watch, last)).await.is_err() {
                break 'rooms;
            }
            println!("\ntold {id} {last}");
            // Its rows are queued before it; whether they could be written or not, it must lose none.
            if step == 1 && store.save_snapshot(snapshot(&room, last, &[], b"state")).await.is_ok()
            {
                println!("\ncompacted {id} {last}");
            }
        }
        drop(store.set_source_text(&room, "file", format!("text {last}")).await);
        if let Ok(info) = store.save_copy(&room, Bytes::from_static(b"a copy")).await {
            println!("\ncopied {id} {}", info.version);
        }
    }
    store.stop_within(Duration::from_millis(100));
    store.watch_the_end();
    if let Err(error) = store.close().await {
        println!("\nclosed {error}");
    }
}

/// How long the child waits to be told; a fault that passes is over after the first retry.
const PATIENCE: Duration = Duration::from_millis(400);

#[test]
fn child_that_backs_up_and_restores_under_faults() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (path, backup) =
        (options(Path::new(&folder)).path, Path::new(&folder).join("realtime/backup.db"));
    let backed_up = Archive::open(&path).and_then(|archive| archive.back_up(&backup));
    match backed_up.and_then(|_| restore(&path, &backup)) {
        Ok(_) => println!("\nrestored"),
        Err(error) => println!("\nrefused {error}"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    kind: &'static str,
    at: u64,
    last: u64,
}

const NONE: Fault = Fault { kind: "eio", at: 0, last: 0 };

struct Run {
    output: String,
    killed: bool,
    calls: u64,
}

fn run(child: &str, folder: &Path, fault: Fault) -> Run {
    let count = tempfile::NamedTempFile::new().unwrap();
    count.as_file().set_len(4096).unwrap();
    let Output { status, stdout, stderr } = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", child, "--nocapture"])
        .env("LD_PRELOAD", shim())
        .env(FOLDER, folder)
        .env("FAULT_KIND", fault.kind)
        .env("FAULT_AT", fault.at.to_string())
        .env("FAULT_LAST", fault.last.to_string())
        .env("FAULT_COUNT", count.path())
        .output()
        .unwrap();
    let output = String::from_utf8(stdout).unwrap();
    let killed = status.signal() == Some(9);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success() || killed, "{fault:?}: {status}\n{output}\n{stderr}");
    let calls = u64::from_ne_bytes(fs::read(count.path()).unwrap()[..8].try_into().unwrap());
    assert!(calls < CALLS_MAX, "{fault:?}: it does not end");
    Run { output, killed, calls }
}

/// The shim, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = SHIM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("shim.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.c");
        let compiled = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .args([source, "-ldl"])
            .status()
            .expect("cc is installed");
        assert!(compiled.success());
        (dir, library)
    });
    library
}

/// Numbers after a word in the child's output, by room.
fn said(run: &Run, word: &str, room: &str) -> u64 {
    let prefix = format!("{word} {room} ");
    let numbers = run.output.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok());
    numbers.max().unwrap_or(0)
}

/// Opens the files without faults: what was told is there, nothing is there twice, and it goes on.
fn judge(folder: &Path, told: [u64; 2], fault: Fault) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(options(folder)).unwrap();
        assert_eq!(store.status().damage, None, "{fault:?}");
        for (id, told) in ["a", "b"].into_iter().zip(told) {
            let room = room(id);
            let stored =
                store.load(&room).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            let stored = stored.unwrap_or_default();
            let upto = stored.snapshot.as_ref().map_or(0, |base| base.upto_seq);
            assert!(stored.last_seq >= told, "{fault:?}: told {told}, found {}", stored.last_seq);
            let expected: Vec<_> = (upto + 1..=stored.last_seq).collect();
            assert_eq!(seqs(&stored), expected, "{fault:?}: all rows, none twice");
            assert!(stored.tail.iter().all(|row| row.bytes == payload(row.seq)), "{fault:?}");
            let next = stored.last_seq + 1;
            log(&store, &room, next..=next).await;
        }
        store.close().await.unwrap();
    });
    copies_are_whole(&folder.join("copies"), fault);
}

/// A copy is there as a whole or not at all.
fn copies_are_whole(folder: &Path, fault: Fault) {
    let Ok(rooms) = fs::read_dir(folder) else { return };
    for entry in rooms.flat_map(|room| fs::read_dir(room.unwrap().path()).unwrap()) {
        let path = entry.unwrap().path();
        let Some(stem) = path.to_str().unwrap().strip_suffix(".meta.json") else { continue };
        let meta: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let data = fs::read(format!("{stem}.snapshot")).unwrap();
        assert_eq!(meta["integrity_hash"], hex(&Sha256::digest(&data)), "{fault:?}");
    }
}

/// Tries `kind` at each `step`-th call until a run meets none. Returns how many calls a run without faults has.
fn each_call(kind: &'static str, lasts: u64, step: u64, before: impl Fn(&Path) -> [u64; 2]) -> u64 {
    let step =
        if std::env::var("STORE_FAULTS").is_ok_and(|value| value == "all") { 1 } else { step };
    let mut at = 1;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let mut told = before(dir.path());
        let fault = Fault { kind, at, last: at.saturating_add(lasts - 1) };
        let run = run(STORES, dir.path(), fault);
        for (told, id) in told.iter_mut().zip(["a", "b"]) {
            *told = said(&run, "told", id).max(said(&run, "compacted", id)).max(*told);
        }
        for line in run.output.lines().filter(|line| line.starts_with("refused")) {
            assert!(line.contains("realtime.db"), "{fault:?}: a clear error: {line}");
        }
        let dies = ["kill", "cut"].contains(&kind);
        assert_eq!(run.killed, dies && run.calls >= at, "{fault:?}");
        judge(dir.path(), told, fault);
        if run.calls < at {
            assert_eq!(told, [told[0].max(12), told[1].max(12)], "a run without faults tells all");
            return run.calls;
        }
        at += step;
    }
}

/// No files yet: the first start, which creates the tables (the migration from format 0).
fn nothing(_: &Path) -> [u64; 2] {
    [0, 0]
}

/// A store that was killed in the middle, so that its start has a log to recover.
fn killed_before(folder: &Path) -> [u64; 2] {
    let whole = Fault { kind: "kill", at: 75, last: 75 };
    let run = run(STORES, folder, whole);
    ["a", "b"].map(|id| said(&run, "told", id).max(said(&run, "compacted", id)))
}

#[test]
fn one_failing_call_loses_nothing_that_was_told() {
    for (kind, step) in [("eio", 5), ("enospc", 7), ("short", 7)] {
        assert!(each_call(kind, 1, step, nothing) > 50, "{kind}");
    }
}

#[test]
fn a_disk_that_fails_for_good_loses_nothing_that_was_told() {
    for (kind, step) in [("eio", 11), ("enospc", 13)] {
        each_call(kind, CALLS_MAX, step, nothing);
    }
}

#[test]
fn failing_calls_after_a_crash_lose_nothing_that_was_told() {
    each_call("eio", 1, 7, killed_before);
    each_call("short", 3, 13, killed_before);
}

/// Also in the middle of the first start's migration, of a snapshot with its deletion, of the operator's copy,
/// and of the checkpoint at the end.
#[test]
fn death_at_any_call_loses_nothing_that_was_told() {
    assert!(each_call("kill", 1, 4, nothing) > 50);
    each_call("kill", 1, 5, killed_before);
}

/// As [`death_at_any_call_loses_nothing_that_was_told`], and what no sync has brought to the disk is gone.
#[test]
fn a_power_cut_at_any_call_loses_nothing_that_was_told() {
    assert!(each_call("cut", 1, 4, nothing) > 50);
    each_call("cut", 1, 5, killed_before);
}

#[test]
fn a_restore_that_fails_or_dies_leaves_one_whole_database() {
    for (kind, lasts, step) in [("kill", 1, 3), ("eio", 1, 4), ("enospc", CALLS_MAX, 9)] {
        let all = std::env::var("STORE_FAULTS").is_ok_and(|value| value == "all");
        for at in (1..).step_by(if all { 1 } else { step }) {
            let dir = tempfile::tempdir().unwrap();
            let before = run(STORES, dir.path(), NONE);
            let told = ["a", "b"].map(|id| said(&before, "told", id));
            assert_eq!(told, [12, 12]);
            let fault = Fault { kind, at, last: at + lasts - 1 };
            let run = run(RESTORES, dir.path(), fault);
            // The backup and the present database hold the same.
            judge(dir.path(), told, fault);
            if run.calls < at {
                assert!(run.output.contains("restored"), "{}", run.output);
                break;
            }
        }
    }
}
