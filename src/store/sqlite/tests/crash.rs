//! What was told as committed survives the death of the process.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

/// Names the folder in the child's environment; without it the child's test does nothing.
const FOLDER: &str = "STORE_CRASH_TEST_FOLDER";
const CHILD: &str = "store::sqlite::tests::crash::child_that_writes_until_it_is_killed";

#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let store = SqliteStore::open(options(Path::new(&folder))).unwrap();
    let one = room("1");
    let first = store.load(&one).await.unwrap().map_or(1, |stored| stored.last_seq + 1);
    let watch = CommitWatch::starting_at(first - 1);
    let mut told = first - 1;
    for seq in first.. {
        store.append(append(&one, seq, &watch)).await.unwrap();
        if seq % 64 == 0 {
            until(&watch, seq).await;
            store.save_snapshot(snapshot(&one, seq, &[], b"state")).await.unwrap();
        }
        if watch.committed_seq() > told {
            told = watch.committed_seq();
            println!("\ntold {told}");
        }
    }
}

#[tokio::test]
async fn told_commits_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=5_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut numbers = output
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("told ")?.parse::<u64>().ok());
        let mut told = numbers.by_ref().take(7 * round).last().expect("the child tells numbers");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it told before it died counts as well.
        told = numbers.last().unwrap_or(told);

        let store = SqliteStore::open(options(dir.path())).unwrap();
        let stored = store.load(&room("1")).await.unwrap().unwrap();
        let upto = stored.snapshot.as_ref().map_or(0, |base| base.upto_seq);
        assert!(stored.last_seq >= told, "told {told}, found {}", stored.last_seq);
        assert_eq!(
            seqs(&stored),
            (upto + 1..=stored.last_seq).collect::<Vec<_>>(),
            "no row is missing"
        );
        assert!(stored.tail.iter().all(|row| row.bytes == payload(row.seq)));
        store.close().await.unwrap();
    }
}
