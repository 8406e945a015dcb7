//! Check 29: rooms that nobody uses give their memory back.

use crate::support::{Client, Server, eventually, resident_bytes, server::config};

const ROUNDS: usize = 5;
const THREADS: usize = 4;
const ROOMS_PER_THREAD: usize = 500;

/// Opens, fills and leaves 2,000 rooms, and waits until the last has left memory.
fn round(server: &Server, number: usize) {
    let typists: Vec<_> = (0..THREADS)
        .map(|thread| {
            let base = server.url("notes");
            std::thread::spawn(move || {
                for room in 0..ROOMS_PER_THREAD {
                    let url = format!("{base}/{number}-{thread}-{room}");
                    Client::join(&url, "editor:ada").type_text(&"a page of text ".repeat(700));
                }
            })
        })
        .collect();
    for typist in typists {
        typist.join().unwrap();
    }
    eventually("all rooms left", || server.engine().rooms().is_empty());
    // What the test's own host remembers is not the engine's.
    server.host.hooks.lock().clear();
}

#[test]
fn ten_thousand_rooms_give_their_memory_back() {
    let mut config = config();
    config.rooms.grace_period_ms = 0;
    let server = Server::with(config, std::sync::Arc::default());
    let after: Vec<u64> = (0..ROUNDS)
        .map(|number| {
            round(&server, number);
            resident_bytes()
        })
        .collect();
    let rooms = (ROUNDS * THREADS * ROOMS_PER_THREAD) as u64;
    assert_eq!(server.engine().metrics().rooms_evicted.get(), rooms);
    println!("after each round: {after:?}");
    // The first rounds fill caches and allocator arenas; 8,000 rooms more must not add to that.
    let (second, last) = (after[1], after[ROUNDS - 1]);
    assert!(last < second + second / 5 + 16 * 1024 * 1024, "{after:?}");
}
