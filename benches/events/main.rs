//! `npm run bench:events`: what rooms of events cost, beside rooms on `ws` and on `socket.io` from npm, in one run.
//!
//! This process makes the load and checks it: each client follows the events' numbers, so that one lost, doubled or
//! out of order ends the run. Each measured server is a process of its own. CPU is that of all of its threads, kernel
//! included. Ratios count, not absolute numbers: those belong to the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measuring tool: it ends at the first thing that is not as expected"
)]

#[allow(dead_code, reason = "the quick load test uses the rest")]
#[path = "../quick/machine.rs"]
#[expect(dead_code, reason = "only the other benchmark binds its processes")]
mod machine;
mod peer;
mod server;

use std::{process::ExitCode, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use peer::{Peer, Since};
use server::{Child, Kind};

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|given| given != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "--serve") {
        server::serve();
        return ExitCode::SUCCESS;
    }
    let only = |name: &str| arguments.is_empty() || arguments.iter().any(|given| given == name);
    machine::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kinds = Kind::available();
        if only("base") {
            for &kind in &kinds {
                base(kind).await;
            }
        }
        if only("idle") {
            for &kind in &kinds {
                idle(kind, 10_000).await;
            }
        }
        if only("fanout") {
            for &kind in &kinds {
                fan_out(kind, 1000, 3000).await;
            }
        }
        if only("burst") {
            for &kind in &kinds {
                fan_out(kind, 500, 5000).await;
            }
        }
        if only("messages") {
            for &kind in &kinds {
                messages(kind, 50, 2000).await;
            }
        }
        if only("jitter") {
            let recovering = kinds.contains(&Kind::SocketIo).then_some(Kind::SocketIoRecovering);
            for kind in kinds.iter().copied().chain(recovering) {
                jitter(kind, 1000, Duration::from_mins(1)).await;
            }
        }
        if only("paced") {
            for &kind in &kinds {
                paced(kind, 100, 200, 5).await;
            }
        }
    });
    ExitCode::SUCCESS
}

async fn base(kind: Kind) {
    let child = Child::start(kind);
    sleep(Duration::from_secs(1)).await;
    println!("{:<10} base: {:.1} MB resident", kind.name(), child.resident_kb() / 1024.0);
}

async fn idle(kind: Kind, count: usize) {
    let child = Child::start(kind);
    let mut first = Vec::new();
    // What is allocated once does not count.
    for _ in 0..100 {
        first.push(Peer::connect(kind, child.address).await);
    }
    sleep(Duration::from_secs(1)).await;
    let before = child.resident_kb();
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        peers.push(Peer::connect(kind, child.address).await);
    }
    sleep(Duration::from_secs(1)).await;
    let each = (child.resident_kb() - before) / count as f64;
    println!("{:<10} idle: {each:.2} KiB resident per connection, of {count}", kind.name());
}

/// One speaker, as fast as it can; everybody in the room hears all of it.
async fn fan_out(kind: Kind, members: usize, events: usize) {
    let child = Child::start(kind);
    let mut readers = JoinSet::new();
    for _ in 0..members {
        let mut peer = Peer::connect(kind, child.address).await;
        peer.join("r").await;
        readers.spawn(async move { peer.follow(events).await });
    }
    let mut speaker = Peer::connect(kind, child.address).await;
    speaker.join("quiet").await;
    sleep(Duration::from_millis(500)).await;
    let (cpu, begun) = (child.cpu_seconds(), Instant::now());
    for number in 0..events {
        speaker.emit("r", number).await;
        // The readers run on this thread, too.
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut whole, mut cut) = (0, 0);
    while let Some(heard) = readers.join_next().await {
        if heard.unwrap() == events { whole += 1 } else { cut += 1 }
    }
    let (cpu, seconds) = (child.cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
    let deliveries = (members * events) as f64;
    println!(
        "{:<10} {members} members, {events} events at once: {whole} heard all in order, {cut} were cut; \
         {:.2} M deliveries per CPU-second, {:.2} M per second, {:.0} messages per second in",
        kind.name(),
        deliveries / cpu / 1e6,
        deliveries / seconds / 1e6,
        events as f64 / seconds,
    );
}

/// Speakers that each hear themselves, in rooms of their own.
async fn messages(kind: Kind, speakers: usize, each: usize) {
    let child = Child::start(kind);
    let mut all = JoinSet::new();
    let mut peers = Vec::new();
    for number in 0..speakers {
        let mut peer = Peer::connect(kind, child.address).await;
        peer.join(&format!("r{number}")).await;
        peers.push(peer);
    }
    let (cpu, begun) = (child.cpu_seconds(), Instant::now());
    for (number, mut peer) in peers.into_iter().enumerate() {
        all.spawn(async move {
            let room = format!("r{number}");
            // Half of what a server may let wait is under way at a time.
            for burst in 0..each / 50 {
                for message in 0..50 {
                    peer.emit(&room, burst * 50 + message).await;
                }
                assert_eq!(peer.follow_from(burst * 50, 50).await, 50);
            }
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    let (cpu, seconds) = (child.cpu_seconds() - cpu, begun.elapsed().as_secs_f64());
    let count = (speakers * each) as f64;
    println!(
        "{:<10} {speakers} speakers in rooms of their own: {:.0} messages per second, {:.0} per CPU-second",
        kind.name(),
        count / seconds,
        count / cpu,
    );
}

/// Each client is cut every 15 seconds, about, and comes back within one; who can asks for what it missed.
async fn jitter(kind: Kind, clients: usize, time: Duration) {
    const EACH: Duration = Duration::from_millis(100);
    let child = Child::start(kind);
    let events = (time.as_millis() / EACH.as_millis()) as usize;
    let address = child.address;
    let mut all = JoinSet::new();
    for _ in 0..clients {
        let mut peer = Peer::in_room(kind, address, "r", Since::default()).await;
        all.spawn(async move {
            let mut heard = vec![false; events];
            let mut cut_at = Instant::now() + Duration::from_secs_f64(30.0 * fastrand::f64());
            let end = Instant::now() + time + Duration::from_secs(15);
            while Instant::now() < end && !heard[events - 1] {
                let number = tokio::time::timeout_at(cut_at.min(end), peer.number()).await;
                if let Ok(Some(number)) = number {
                    assert!(!std::mem::replace(&mut heard[number], true), "heard twice");
                    continue;
                }
                let since = std::mem::take(&mut peer.since);
                drop(peer);
                sleep(Duration::from_secs_f64(fastrand::f64())).await;
                peer = Peer::in_room(kind, address, "r", since).await;
                cut_at = Instant::now() + Duration::from_secs_f64(30.0 * fastrand::f64());
            }
            heard.iter().filter(|heard| **heard).count()
        });
    }
    let mut speaker = Peer::connect(kind, address).await;
    speaker.join("quiet").await;
    let mut tick = tokio::time::interval(EACH);
    for number in 0..events {
        // Nothing is said to it, but it answers the server's pings.
        tokio::select! {
            _ = tick.tick() => {}
            heard = speaker.number() => panic!("the speaker heard {heard:?}"),
        }
        speaker.emit("r", number).await;
    }
    let mut heard = 0;
    while let Some(count) = all.join_next().await {
        heard += count.unwrap();
    }
    println!(
        "{:<10} {clients} clients cut every 15 s: {:.3} % of {} deliveries arrived",
        kind.name(),
        heard as f64 * 100.0 / (clients * events) as f64,
        clients * events,
    );
}

async fn paced(kind: Kind, members: usize, per_second: u64, seconds: u64) {
    let child = Child::start(kind);
    let events = (per_second * seconds) as usize;
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for _ in 0..members {
        let mut peer = Peer::connect(kind, child.address).await;
        peer.join("r").await;
        readers.spawn(async move { peer.times(events, start).await });
    }
    let mut speaker = Peer::connect(kind, child.address).await;
    speaker.join("quiet").await;
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / per_second));
    let cpu = child.cpu_seconds();
    for _ in 0..events {
        tick.tick().await;
        speaker.emit("r", start.elapsed().as_micros() as usize).await;
    }
    let mut micros = Vec::new();
    while let Some(times) = readers.join_next().await {
        micros.extend(times.unwrap());
    }
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!(
        "{:<10} {members} members, {per_second} events per second: p50 {} us, p95 {} us, p99 {} us; {:.1} us of CPU per delivery",
        kind.name(),
        at(0.5),
        at(0.95),
        at(0.99),
        (child.cpu_seconds() - cpu) * 1e6 / micros.len() as f64,
    );
}
