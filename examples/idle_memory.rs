//! What idle connections take, and where it goes: opens connections for events and for one document, and counts the
//! heap they hold by the place in the code that asked for it.
//!
//! ```sh
//! CARGO_PROFILE_RELEASE_DEBUG=line-tables-only cargo run --release --example idle_memory
//! ```
//!
//! The clients are bare sockets in this process, which hold no heap. What the allocator adds to each piece, and what
//! the kernel holds for each socket, is not in here: `npm run bench:events -- idle` has the resident memory.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring tool; an allocator is unsafe by its trait"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    backtrace::Backtrace,
    cell::Cell,
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use civicpress_realtime::{
    auth::sign::{JwtSigner, TokenRequest},
    config::Config,
    engine::{self, Engine},
    host::standalone::{StandaloneHost, StandaloneOptions},
    store::sqlite::{SqliteOptions, SqliteStore},
};

const CONNECTIONS: usize = 400;
const SHOWN: usize = 14;

/// Counts what is asked for while it is on.
struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static HELD: Mutex<Option<HashMap<usize, (usize, String)>>> = Mutex::new(None);

thread_local! {
    /// What is asked for to count is not counted.
    static COUNTING: Cell<bool> = const { Cell::new(false) };
}

fn apart(work: impl FnOnce()) {
    let Ok(false) = COUNTING.try_with(|counting| counting.replace(true)) else { return };
    work();
    COUNTING.set(false);
}

// SAFETY: all memory comes from and goes to the system's allocator, untouched.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        let block = unsafe { System.alloc(layout) };
        if ON.load(Ordering::Relaxed) {
            apart(|| {
                let place = place(&Backtrace::force_capture().to_string());
                let mut held = HELD.lock();
                held.get_or_insert_default().insert(block as usize, (layout.size(), place));
            });
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if ON.load(Ordering::Relaxed) {
            apart(|| {
                if let Some(held) = HELD.lock().as_mut() {
                    held.remove(&(block as usize));
                }
            });
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The line of ours that asked.
fn place(backtrace: &str) -> String {
    let mut ours = backtrace.lines().filter_map(|line| line.trim().strip_prefix("at ./src/"));
    let line = ours.next().unwrap_or("elsewhere");
    line.rsplit_once(':').map_or(line, |(line, _column)| line).to_owned()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        host: "127.0.0.1".into(),
        port: 0,
        system_data_dir: folder.path().into(),
        ..Config::default()
    };
    config.records.dir = folder.path().join("records");
    config.rooms.open_types = vec!["notes".into()];
    config.auth.jwt.secret = Some("for-this-run-only-for-this-run-only".into());
    config.rate_limiting.connections_per_ip = 10_000;
    config.rate_limiting.connections_per_user = 10_000;
    let request = TokenRequest {
        user_id: "ada".into(),
        name: "Ada".into(),
        role: "editor".into(),
        rooms: Vec::new(),
        expires_in_s: 3600,
    };
    let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let signer = JwtSigner::new(&config.auth.jwt).unwrap();
    let token = signer.sign(&request, u64::try_from(now_ms).unwrap()).unwrap();
    let runtime = engine::runtime(&config).unwrap();
    let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
    let host = StandaloneHost::new(StandaloneOptions::from(&config)).unwrap();
    let engine = runtime.block_on(Engine::start(config, Arc::new(host), Arc::new(store))).unwrap();
    for (what, path) in [("for events", "/socket.io/"), ("for one document", "/realtime/notes/one")]
    {
        measure(what, engine.address(), path, &token);
    }
}

fn measure(what: &str, address: SocketAddr, path: &str, token: &str) {
    // What is made once does not count.
    let mut open: Vec<_> = (0..50).map(|_| connect(address, path, token)).collect();
    std::thread::sleep(Duration::from_secs(2));
    ON.store(true, Ordering::SeqCst);
    open.extend((0..CONNECTIONS).map(|_| connect(address, path, token)));
    std::thread::sleep(Duration::from_secs(2));
    ON.store(false, Ordering::SeqCst);
    let held = HELD.lock().take().unwrap_or_default();
    let mut places: HashMap<(&str, usize), (usize, usize)> = HashMap::new();
    for (bytes, place) in held.values() {
        let (all, count) = places.entry((place, *bytes)).or_default();
        (*all, *count) = (*all + bytes, *count + 1);
    }
    let mut places: Vec<_> = places.into_iter().collect();
    places.sort_unstable_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    let each = |bytes: usize| bytes as f64 / CONNECTIONS as f64;
    let all: usize = places.iter().map(|(_, (bytes, _))| bytes).sum();
    println!("{:.0} bytes of heap for each idle connection {what}, in", each(all));
    for ((place, _), (bytes, count)) in places.iter().take(SHOWN) {
        println!("{:>8.0} bytes, {:>5.2} pieces  {place}", each(*bytes), each(*count));
    }
}

/// Opens a connection and reads its greeting.
fn connect(address: SocketAddr, path: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    )
    .unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    stream
}
