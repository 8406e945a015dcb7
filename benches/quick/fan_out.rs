//! One room: ten writers type, everybody else reads. Each client follows each writer's clock, so that an edit
//! lost, doubled or out of order ends the run.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    child::{Child, Kind},
    edits::{self, Edits},
    peer::{self, Peer},
};

const WRITERS: usize = 10;
/// Edits of one writer that not everybody has yet.
const WINDOW: usize = 64;
const DELIVERIES: usize = 5_000_000;
const SATURATING_EDITS_MAX: usize = 50_000;
const PACED_SECONDS: usize = 4;
/// For the log's last commit, which belongs to the edits.
const AFTERWARDS: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_mins(2);

/// What is done to the room.
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Edits per second of all writers; `None` = as fast as the windows allow.
    pub(crate) pace: Option<usize>,
    edits: Vec<Edits>,
}

impl Load {
    pub(crate) fn new(clients: usize, paced: bool, edits: usize) -> Self {
        let writers = WRITERS.min(clients);
        let pace = match clients {
            ..50 => 500,
            50..500 => 100,
            _ => 10,
        };
        let saturating =
            if edits > 0 { edits } else { (DELIVERIES / (clients - 1)).min(SATURATING_EDITS_MAX) };
        let total = if paced { pace * PACED_SECONDS } else { saturating };
        let edits = (0..writers).map(|writer| Edits::type_letters(writer, total / writers));
        Self { clients, pace: paced.then_some(pace), edits: edits.collect() }
    }

    fn each(&self) -> usize {
        self.edits[0].count()
    }

    fn deliveries(&self) -> usize {
        self.edits.len() * self.each() * (self.clients - 1)
    }
}

/// What a run cost.
pub(crate) struct Figures {
    /// CPU seconds of the server per million deliveries.
    pub(crate) cpu_per_million: f64,
    /// Thousand deliveries per second of the wall clock.
    pub(crate) thousand_per_second: f64,
    /// Latencies in microseconds, sorted; empty unless paced.
    pub(crate) micros: Vec<u32>,
}

/// What all clients of a run write down.
struct Tally {
    readers: usize,
    /// How many have each edit of each writer.
    delivered: RefCell<Vec<Vec<u32>>>,
    /// Edits of each writer that everybody has.
    complete: Vec<Cell<usize>>,
    progress: Vec<Notify>,
    left: Cell<usize>,
    done: Notify,
    sent_at: RefCell<Vec<Vec<Instant>>>,
    micros: RefCell<Vec<u32>>,
}

impl Tally {
    fn new(load: &Load) -> Self {
        let writers = load.edits.len();
        Self {
            readers: load.clients - 1,
            delivered: RefCell::new(vec![vec![0; load.each()]; writers]),
            complete: vec![Cell::new(0); writers],
            progress: (0..writers).map(|_| Notify::new()).collect(),
            left: Cell::new(load.deliveries()),
            done: Notify::new(),
            sent_at: RefCell::new(vec![Vec::new(); writers]),
            micros: RefCell::default(),
        }
    }

    fn deliver(&self, writer: usize, clock: usize, now: Instant) {
        if let Some(sent_at) = self.sent_at.borrow()[writer].get(clock) {
            self.micros.borrow_mut().push(now.duration_since(*sent_at).as_micros() as u32);
        }
        let mut delivered = self.delivered.borrow_mut();
        let count = &mut delivered[writer][clock];
        *count += 1;
        if *count as usize == self.readers {
            self.complete[writer].set(clock + 1);
            self.progress[writer].notify_one();
        }
        self.left.set(self.left.get() - 1);
        if self.left.get() == 0 {
            self.done.notify_one();
        }
    }
}

/// Runs a load against a fresh server.
pub(crate) async fn run(child: &Child, kind: Kind, load: &Rc<Load>) -> Figures {
    let tally = Rc::new(Tally::new(load));
    let mut tasks = JoinSet::new();
    let peers = join_all(child, kind, load.clients).await;
    let mut writers = Vec::new();
    for (index, mut peer) in peers.into_iter().enumerate() {
        peer.expect_much(8 * 1024);
        let peer_stream = Rc::clone(&peer.stream);
        if index < load.edits.len() {
            writers.push(peer_stream);
        }
        let (tally, own) = (Rc::clone(&tally), index);
        tasks.spawn_local(async move { follow(peer, own, &tally).await });
    }
    let (cpu, begun) = (child.cpu_seconds(), Instant::now());
    if let Some(pace) = load.pace {
        let (tally, load) = (Rc::clone(&tally), Rc::clone(load));
        tasks.spawn_local(async move { type_at_a_pace(&writers, &load, &tally, pace).await });
    } else {
        for (writer, stream) in writers.into_iter().enumerate() {
            let (tally, load) = (Rc::clone(&tally), Rc::clone(load));
            tasks.spawn_local(async move { type_at_once(&stream, writer, &load, &tally).await });
        }
    }
    let finished = tokio::select! {
        finished = timeout(PATIENCE, tally.done.notified()) => finished,
        ended = failure(&mut tasks) => panic!("{}: a client ended: {ended:?}", kind.name()),
    };
    finished.unwrap_or_else(|_| panic!("{}: {} deliveries lost", kind.name(), tally.left.get()));
    let wall = begun.elapsed();
    sleep(AFTERWARDS).await;
    let cpu = child.cpu_seconds() - cpu;
    // What came after the last delivery was one too many.
    while let Some(ended) = tasks.try_join_next() {
        ended.expect("a client that counts right").expect("a client that stays");
    }
    if kind == Kind::Engine {
        let (_, answer) = Peer::join(child.address, kind, "room", load.clients).await;
        let whole = edits::holds_all(&answer, load.edits.len(), load.each());
        assert!(whole, "who joins afterwards does not hold all that was typed");
    }
    let mut micros = tally.micros.take();
    micros.sort_unstable();
    let millions = load.deliveries() as f64 / 1e6;
    Figures {
        cpu_per_million: cpu / millions,
        thousand_per_second: millions * 1000.0 / wall.as_secs_f64(),
        micros,
    }
}

async fn join_all(child: &Child, kind: Kind, clients: usize) -> Vec<Peer> {
    let mut peers = Vec::with_capacity(clients);
    let mut joins = JoinSet::new();
    for user in 0..clients {
        joins.spawn_local(Peer::join(child.address, kind, "room", user));
        if joins.len() >= 32 {
            peers.extend(joins.join_next().await.map(|joined| joined.unwrap().0));
        }
    }
    while let Some(joined) = joins.join_next().await {
        peers.push(joined.unwrap().0);
    }
    peers
}

/// Returns when a task fails; those that end well are done typing.
async fn failure(tasks: &mut JoinSet<io::Result<()>>) -> String {
    loop {
        match tasks.join_next().await {
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(error))) => return error.to_string(),
            Some(Err(error)) => return error.to_string(),
            None => std::future::pending().await,
        }
    }
}

/// Reads all that comes to one client. A delivery out of order is one lost or doubled.
async fn follow(mut peer: Peer, own: usize, tally: &Tally) -> io::Result<()> {
    let mut clocks = vec![0; tally.complete.len()];
    loop {
        peer.read().await?;
        let now = Instant::now();
        peer.frames(|payload| {
            let Some((writer, clock)) = edits::writer_and_clock(payload) else { return };
            assert_ne!(writer, own, "an author got its own edit");
            assert_eq!(clock, clocks[writer], "client {own}: edits of writer {writer}");
            clocks[writer] += 1;
            tally.deliver(writer, clock, now);
        });
    }
}

async fn type_at_once(
    stream: &TcpStream,
    writer: usize,
    load: &Load,
    tally: &Tally,
) -> io::Result<()> {
    let edits = &load.edits[writer];
    let mut sent = 0;
    while sent < edits.count() {
        let end = edits.count().min(tally.complete[writer].get() + WINDOW);
        if sent < end {
            peer::write(stream, edits.frames(sent, end)).await?;
            sent = end;
        } else {
            tally.progress[writer].notified().await;
        }
    }
    Ok(())
}

async fn type_at_a_pace(
    writers: &[Rc<TcpStream>],
    load: &Load,
    tally: &Tally,
    pace: usize,
) -> io::Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(pace).unwrap_or(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for edit in 0..load.each() {
        for (writer, stream) in writers.iter().enumerate() {
            ticks.tick().await;
            tally.sent_at.borrow_mut()[writer].push(Instant::now());
            peer::write(stream, load.edits[writer].frames(edit, edit + 1)).await?;
        }
    }
    Ok(())
}
