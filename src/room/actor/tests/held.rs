//! Updates that wait for what they build on, and their rows.

use super::*;

/// Two updates of one author, `words` in the second, which therefore waits for the first.
fn dependent(words: &str) -> (Bytes, Bytes) {
    let author = Doc::new();
    let first = write(&author, "first ");
    (first, write(&author, words))
}

pub(super) async fn joined(registry: &Arc<Registry>, room: &RoomId, session: u64) -> RoomHandle {
    loop {
        match registry.join(room, member(session, "ada").0).await {
            Ok(handle) => return handle,
            Err(reason) => assert_eq!(reason, CloseReason::RoomFailed),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn rows(registry: &Registry, room: &RoomId) -> Vec<Bytes> {
    let stored = registry.context().store.load(room).await.unwrap().unwrap();
    stored.tail.into_iter().map(|row| row.bytes).collect()
}

/// The process ended after the row that an update waited for, and before the row of its own integration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_held_and_could_go_on_goes_on_and_is_logged_when_the_room_opens() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let store: Arc<dyn Store> = Arc::new(sqlite(&config));
    let room = RoomId::parse("notes:a").unwrap();
    let (first, second) = dependent("second");
    let watch = CommitWatch::starting_at(0);
    for (seq, bytes) in [(1, second.clone()), (2, first.clone())] {
        let row = Append { room: room.clone(), seq, bytes, watch: Arc::clone(&watch) };
        store.append(row).await.unwrap();
    }
    eventually("committed", || watch.committed_seq() == 2).await;
    let registry = registry(config, store);
    joined(&registry, &room, 1).await;
    let mut found = Vec::new();
    while found.len() < 3 {
        found = rows(&registry, &room).await;
    }
    assert_eq!(found, [second.clone(), first, second], "as it was integrated, at its place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_update_that_breaks_the_document_costs_its_author_the_session_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("notes:a").unwrap();
    let (first, bad) = dependent(str::from_utf8(BREAKS).unwrap());
    let (ada, ada_out) = member(1, "ada");
    let (mut mallory, mallory_out) = member(2, "mallory");
    mallory.ack = AckMode::Json;
    let handle = registry.join(&room, ada).await.unwrap();
    registry.join(&room, mallory).await.unwrap();
    handle.send(edit(2, bad.clone())).await.unwrap();
    handle.send(edit(1, first.clone())).await.unwrap();
    eventually("both are told", || ada_out.is_closing() && mallory_out.is_closing()).await;
    assert_eq!(mallory_out.closing(), Some(CloseReason::Policy(ROOM_FAULT.into())));
    assert_eq!(ada_out.closing(), Some(CloseReason::RoomFailed));

    // It breaks the successor too, which then opens without it.
    let handle = joined(&registry, &room, 3).await;
    let (reply, text) = oneshot::channel();
    handle.send(RoomCommand::Participants { reply }).await.unwrap();
    assert_eq!(text.await.unwrap().len(), 1);
    assert_eq!(rows(&registry, &room).await, [bad.clone(), first], "nothing is deleted");
    let folder = quarantine::folder(dir.path());
    eventually("kept for study", || !quarantine::list(&folder).unwrap().is_empty()).await;
    let kept = quarantine::list(&folder).unwrap();
    assert_eq!((kept.len(), kept[0].bytes), (1, bad.len() as u64));
    assert_eq!(registry.context().metrics.violations.get("room_fault"), 1);
}

/// Snapshots take the place of rows, but what waits is in no state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_stays_in_the_log_beside_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.rooms.grace_period_ms = 0;
    let registry = registry(config.clone(), Arc::new(sqlite(&config)));
    let room = RoomId::parse("notes:a").unwrap();
    let (first, second) = dependent("second");
    let handle = joined(&registry, &room, 1).await;
    handle.send(edit(1, second.clone())).await.unwrap();
    handle.send(edit(1, write(&Doc::new(), "of another author "))).await.unwrap();
    handle.send(RoomCommand::Leave { session: SessionId(1), reply: None }).await.unwrap();
    eventually("it left", || registry.get(&room).is_none()).await;
    let stored = registry.context().store.load(&room).await.unwrap().unwrap();
    assert!(stored.snapshot.is_some(), "the other author's words are in a state");
    assert_eq!(rows(&registry, &room).await, std::slice::from_ref(&second));

    let handle = joined(&registry, &room, 2).await;
    handle.send(edit(2, first.clone())).await.unwrap();
    let mut found = Vec::new();
    while found.len() < 3 {
        found = rows(&registry, &room).await;
    }
    assert_eq!(found, [second.clone(), first, second], "it went on");
}
