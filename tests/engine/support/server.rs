//! An engine on a free port with its own folder and runtime.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use civicpress_realtime::{
    config::{Config, Durability},
    engine::{self, Engine},
    store::sqlite::{SqliteOptions, SqliteStore},
};
use tokio::runtime::Runtime;

use super::FakeHost;

pub struct Server {
    engine: Option<Engine>,
    runtime: Option<Runtime>,
    pub host: Arc<FakeHost>,
    pub address: SocketAddr,
    folder: Arc<tempfile::TempDir>,
    config: Config,
}

/// A configuration with open rooms of type `notes` and limits no test means to meet.
pub fn config() -> Config {
    let mut config = Config { host: "127.0.0.1".into(), port: 0, ..Config::default() };
    config.rooms.open_types = vec!["notes".into()];
    config.rooms.grace_period_ms = 60_000;
    config.rooms.max_rooms = 10_000;
    config.rate_limiting.connections_per_user = 10_000;
    config.rate_limiting.connections_per_ip = 10_000;
    config.rate_limiting.messages_per_second = 1_000_000;
    config.snapshots.durability = Durability::Process;
    config.snapshots.interval = 0.0;
    config.snapshots.max_updates = 0;
    config
}

impl Server {
    pub fn start() -> Self {
        Self::with(config(), Arc::default())
    }

    pub fn with(config: Config, host: Arc<FakeHost>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::on(folder, config, host)
    }

    pub fn on(folder: Arc<tempfile::TempDir>, mut config: Config, host: Arc<FakeHost>) -> Self {
        config.system_data_dir = folder.path().into();
        let runtime = engine::runtime(&config).unwrap();
        let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
        let shared: Arc<FakeHost> = Arc::clone(&host);
        let started = Engine::start(config.clone(), shared, Arc::new(store));
        let engine = runtime.block_on(started).unwrap();
        let address = engine.address();
        Self { engine: Some(engine), runtime: Some(runtime), host, address, folder, config }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn database(&self) -> PathBuf {
        self.config.database_file()
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    pub fn url(&self, path: &str) -> String {
        format!("ws://{}/realtime/{path}", self.address)
    }

    pub fn stop(&mut self) {
        if let (Some(engine), Some(runtime)) = (self.engine.take(), self.runtime.take()) {
            runtime.block_on(engine.shutdown());
            drop(engine);
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// Stops without any farewell, as a crash would.
    pub fn kill(&mut self) {
        self.engine = None;
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }

    /// The same data and port again.
    pub fn restart(mut self) -> Self {
        self.stop();
        self.again()
    }

    pub fn again(mut self) -> Self {
        self.kill();
        let mut config = self.config.clone();
        config.port = self.address.port();
        Self::on(Arc::clone(&self.folder), config, Arc::clone(&self.host))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
