//! An engine on a free port with its own folder and runtime.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use civicpress_realtime::{
    config::{Config, Durability},
    engine::{self, Engine},
    limits::WORKER_STACK_BYTES,
    net::handled::{Handlers, NoHandlers},
    store::sqlite::{SqliteOptions, SqliteStore},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time,
};

use super::FakeHost;

pub struct Server {
    engine: Option<Engine>,
    runtime: Option<Arc<Runtime>>,
    /// Drives a runtime that has no threads of its own.
    driver: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// The clock stands still as long as this is not dropped.
    frozen: Option<mpsc::SyncSender<()>>,
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

/// The same with `events.rules`.
pub fn with_rules(rules: &serde_json::Value) -> Config {
    let mut config = config();
    config.events.rules = civicpress_realtime::events::Rules::parse(rules).unwrap();
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

    pub fn on(folder: Arc<tempfile::TempDir>, config: Config, host: Arc<FakeHost>) -> Self {
        let runtime = Arc::new(engine::runtime(&config).unwrap());
        Self::in_runtime(runtime, None, folder, config, host, Arc::new(NoHandlers))
    }

    /// As [`Self::with`], and `handlers` handles its room types.
    pub fn handled(config: Config, host: Arc<FakeHost>, handlers: Arc<dyn Handlers>) -> Self {
        let runtime = Arc::new(engine::runtime(&config).unwrap());
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_runtime(runtime, None, folder, config, host, handlers)
    }

    /// As [`Self::with`], and [`Self::forward`] works.
    pub fn with_clock(config: Config, host: Arc<FakeHost>) -> Self {
        Self::handled_with_clock(config, host, Arc::new(NoHandlers))
    }

    /// As [`Self::handled`], and [`Self::forward`] works.
    pub fn handled_with_clock(
        config: Config,
        host: Arc<FakeHost>,
        handlers: Arc<dyn Handlers>,
    ) -> Self {
        // Tokio's clock can be set in a runtime of one thread only.
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build().unwrap());
        let (stop, stopped) = oneshot::channel();
        let drive = {
            let runtime = Arc::clone(&runtime);
            move || drop(runtime.block_on(stopped))
        };
        let driver = thread::Builder::new().stack_size(WORKER_STACK_BYTES).spawn(drive).unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let driver = Some((stop, driver));
        Self::in_runtime(runtime, driver, folder, config, host, handlers)
    }

    /// As [`Self::with_clock`], and the clock stands still but for [`Self::forward`], however slow the machine.
    #[allow(clippy::disallowed_methods, reason = "one thread that only waits")]
    pub fn with_frozen_clock(config: Config, host: Arc<FakeHost>) -> Self {
        let mut server = Self::with_clock(config, host);
        let (thaw, thawed) = mpsc::sync_channel(0);
        let freeze = server.runtime.as_ref().unwrap().spawn(async move {
            time::pause();
            // A paused clock goes on by itself when nothing else is to do, unless a thread is at work.
            drop(tokio::task::spawn_blocking(move || thawed.recv()));
        });
        server.block_on(freeze).unwrap();
        server.frozen = Some(thaw);
        server
    }

    /// Puts the server's clock forward; what is due by then happens.
    pub fn forward(&self, by: Duration) {
        let is_frozen = self.frozen.is_some();
        let put = self.runtime.as_ref().unwrap().spawn(async move {
            if !is_frozen {
                time::pause();
            }
            time::advance(by).await;
            if !is_frozen {
                time::resume();
            }
        });
        self.block_on(put).unwrap();
    }

    /// A server that ends has time-outs of its own.
    fn thaw(&mut self) {
        if let (Some(frozen), Some(runtime)) = (self.frozen.take(), &self.runtime) {
            drop(frozen);
            let resume = runtime.spawn(async { time::resume() });
            runtime.block_on(resume).unwrap();
        }
    }

    fn in_runtime(
        runtime: Arc<Runtime>,
        driver: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
        folder: Arc<tempfile::TempDir>,
        mut config: Config,
        host: Arc<FakeHost>,
        handlers: Arc<dyn Handlers>,
    ) -> Self {
        config.system_data_dir = folder.path().into();
        let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
        let shared: Arc<FakeHost> = Arc::clone(&host);
        let started = Engine::start_with(config.clone(), shared, Arc::new(store), handlers);
        let engine = runtime.block_on(started).unwrap();
        let address = engine.address();
        let (engine, runtime) = (Some(engine), Some(runtime));
        Self { engine, runtime, driver, frozen: None, host, address, folder, config }
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
        self.thaw();
        if let (Some(engine), Some(runtime)) = (self.engine.take(), self.runtime.take()) {
            runtime.block_on(engine.shutdown());
            drop(engine);
            self.end(runtime);
        }
    }

    /// Stops without any farewell, as a crash would.
    pub fn kill(&mut self) {
        self.thaw();
        self.engine = None;
        if let Some(runtime) = self.runtime.take() {
            self.end(runtime);
        }
    }

    fn end(&mut self, runtime: Arc<Runtime>) {
        if let Some((stop, driver)) = self.driver.take() {
            drop(stop);
            driver.join().unwrap();
        }
        Arc::into_inner(runtime).unwrap().shutdown_timeout(Duration::from_secs(1));
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
