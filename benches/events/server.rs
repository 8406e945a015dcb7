//! The measured servers: our engine in a process of its own, and rooms on `ws` and `socket.io` in Node.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use civicpress_realtime::{
    config::Config,
    engine::{self, Engine},
    events::Rules,
    host::standalone::{StandaloneHost, StandaloneOptions},
    store::sqlite::{SqliteOptions, SqliteStore},
};

use crate::machine;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Engine,
    Ws,
    SocketIo,
    /// With what it calls connection state recovery.
    SocketIoRecovering,
}

impl Kind {
    /// Ours, and those whose packages are there (`BENCH_PEERS`, a folder with `node_modules`).
    pub(crate) fn available() -> Vec<Self> {
        match std::env::var("BENCH_PEERS") {
            Ok(_) => vec![Self::Engine, Self::Ws, Self::SocketIo],
            Err(_) => vec![Self::Engine],
        }
    }

    pub(crate) fn speaks_engine_io(self) -> bool {
        matches!(self, Self::SocketIo | Self::SocketIoRecovering)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::SocketIoRecovering => "socket.io-recovering",
        }
    }
}

/// Our engine as it ships, but for the limits that one generator on one address would meet.
pub(crate) fn serve() {
    machine::raise_open_files();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        host: "127.0.0.1".into(),
        port: 0,
        system_data_dir: folder.path().into(),
        ..Config::default()
    };
    config.records.dir = folder.path().join("records");
    config.auth.jwt.secret = Some("for-this-run-only-for-this-run-only".into());
    config.limits.max_connections = 100_000;
    config.limits.message_rate_limit = 1_000_000;
    config.rate_limiting.connections_per_ip = 100_000;
    config.rate_limiting.bytes_per_second = Some(0);
    let rules = serde_json::json!([{ "rooms": "*", "join": "anyone", "emit": "anyone" }]);
    config.events.rules = Rules::parse(&rules).unwrap();
    let runtime = engine::runtime(&config).unwrap();
    let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
    let host = StandaloneHost::new(StandaloneOptions::from(&config)).unwrap();
    let engine = runtime.block_on(Engine::start(config, Arc::new(host), Arc::new(store))).unwrap();
    println!("{}", engine.address());
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
    drop(engine);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// A running server; ended when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) address: SocketAddr,
}

impl Child {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut command = if kind == Kind::Engine {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.arg("--serve");
            command
        } else {
            let mut command = Command::new("node");
            command.arg(format!("{}/benches/events/peers.mjs", env!("CARGO_MANIFEST_DIR")));
            command.arg(kind.name());
            command
        };
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.expect("the server starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().expect("the server's address"), process }
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        machine::cpu_seconds(self.process.id())
    }

    pub(crate) fn resident_kb(&self) -> f64 {
        machine::resident_kb(self.process.id())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
