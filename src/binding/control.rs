//! The control thread: owns the runtime, starts and stops the engine, one operation after the other.
//!
//! It exists while there is something to own or to do. The JavaScript thread queues operations and never
//! waits for them, but for one bounded moment when its environment ends.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::AtomicUsize},
    thread,
    time::Duration,
};

use napi::{Status, threadsafe_function::ThreadsafeFunction};
use parking_lot::{Condvar, Mutex};
use tokio::{
    runtime::{Handle, Runtime},
    sync::watch,
};

use crate::{
    binding::{
        events::{EventWatch, SharedWatch},
        js_host::{self, Callbacks, JsHost},
        log_pump::LogPump,
        options::{ConfigSources, EngineOptions, RoomLimits, ServerAddress},
        promise::{Failure, Settler},
        rooms::{self, HandledTypes, JsHandlers},
        settings,
    },
    config::{AuthMode, Config},
    engine::{self, Engine, health::HealthStatus},
    error::EngineError,
    host::Host,
    limits::SHUTDOWN_PHASE,
    net::handled::{Handlers, NoHandlers},
};

/// Operations waiting for the control thread; more than a few mean a caller in a loop.
const OPERATIONS_MAX: usize = 64;
/// Longest graceful stop: the engine's phases, each with its own deadline, and a margin.
const STOP_MAX: Duration = Duration::from_secs(SHUTDOWN_PHASE.as_secs() * 4 + 2);
/// Longest graceful stop once the JavaScript thread goes away.
const HURRIED_STOP_MAX: Duration = Duration::from_millis(300);
/// Wait for the runtime's threads.
const RUNTIME_STOP_MAX: Duration = Duration::from_millis(150);
/// Longest hold of a JavaScript environment that ends.
const ENVIRONMENT_END_MAX: Duration = Duration::from_millis(500);

/// Holds the process while an engine listens, as a Node server does.
pub type KeepAlive = ThreadsafeFunction<(), (), (), Status, false, false, 1>;

/// What a start takes over from the JavaScript thread.
pub struct Start {
    /// Where the configuration comes from.
    pub sources: ConfigSources,
    /// The host's callbacks; none = standalone.
    pub callbacks: Option<Callbacks>,
    /// Callbacks for connections and the room types JavaScript handles.
    pub rooms: Option<rooms::Callbacks>,
    /// Where log lines go.
    pub log: Option<Arc<LogPump>>,
    /// Dropped when the engine no longer listens.
    pub keep_alive: KeepAlive,
    /// Told the address.
    pub settle: Settler<ServerAddress>,
}

enum Operation {
    Start(Box<Start>),
    Stop(Option<Settler<()>>),
}

/// A running engine as the JavaScript thread reaches it.
#[derive(Clone)]
pub struct Running {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its runtime.
    pub handle: Handle,
}

/// What only the control thread may drop.
struct Owned {
    runtime: Runtime,
    engine: Arc<Engine>,
    keep_alive: KeepAlive,
    log: Option<Arc<LogPump>>,
}

#[derive(Default)]
struct Queue {
    operations: VecDeque<Operation>,
    thread_alive: bool,
}

/// One engine's control, shared by the JavaScript object, the control thread and the environment's end.
pub struct Control {
    options: EngineOptions,
    queue: Mutex<Queue>,
    queued: Condvar,
    thread_ended: Condvar,
    running: Mutex<Option<Running>>,
    config: Mutex<Config>,
    gone: watch::Sender<bool>,
    /// The room types JavaScript handles at present.
    pub room_types: HandledTypes,
    /// How many rooms JavaScript holds.
    pub rooms_held: Arc<AtomicUsize>,
    /// What JavaScript wants to know of rooms of events.
    pub event_watch: SharedWatch,
}

impl Control {
    /// The control of an engine that does not run yet.
    pub fn new(options: EngineOptions) -> Arc<Self> {
        Arc::new(Self {
            options,
            queue: Mutex::default(),
            queued: Condvar::new(),
            thread_ended: Condvar::new(),
            running: Mutex::default(),
            config: Mutex::new(Config::default()),
            gone: watch::Sender::new(false),
            room_types: HandledTypes::default(),
            rooms_held: Arc::default(),
            event_watch: SharedWatch::default(),
        })
    }

    /// Queues a start. An engine that runs already answers its address again.
    pub fn start(self: &Arc<Self>, start: Start) {
        if let Err(Operation::Start(start)) = self.enqueue(Operation::Start(Box::new(start))) {
            start.settle.settle(Err(busy()));
        }
    }

    /// Queues a stop. An engine that does not run is stopped already.
    pub fn stop(self: &Arc<Self>, settle: Settler<()>) {
        if let Err(Operation::Stop(Some(settle))) = self.enqueue(Operation::Stop(Some(settle))) {
            settle.settle(Err(busy()));
        }
    }

    /// The JavaScript environment ends: hurries whatever is under way, stops, and waits a bounded moment.
    pub fn end_environment(self: &Arc<Self>) {
        self.gone.send_replace(true);
        let mut queue = self.queue.lock();
        if !queue.thread_alive {
            return;
        }
        queue.operations.push_back(Operation::Stop(None));
        self.queued.notify_all();
        self.thread_ended.wait_while_for(
            &mut queue,
            |queue| queue.thread_alive,
            ENVIRONMENT_END_MAX,
        );
    }

    /// The engine, if it runs.
    pub fn running(&self) -> Option<Running> {
        self.running.lock().clone()
    }

    /// Health, also of an engine that does not run.
    pub fn health(&self) -> HealthStatus {
        match self.running() {
            Some(running) => running.engine.health(),
            None => HealthStatus::stopped(&self.config.lock()),
        }
    }

    /// What rooms are kept to, also while the engine does not run.
    pub fn room_limits(&self) -> RoomLimits {
        (&self.config.lock().rooms).into()
    }

    fn enqueue(self: &Arc<Self>, operation: Operation) -> Result<(), Operation> {
        let mut queue = self.queue.lock();
        if queue.operations.len() >= OPERATIONS_MAX {
            return Err(operation);
        }
        queue.operations.push_back(operation);
        if queue.thread_alive {
            self.queued.notify_all();
            return Ok(());
        }
        let control = Arc::clone(self);
        let spawned =
            thread::Builder::new().name("civic-control".into()).spawn(move || control.run_thread());
        match spawned {
            Ok(_) => {
                queue.thread_alive = true;
                Ok(())
            }
            Err(_) => queue.operations.pop_back().map_or(Ok(()), Err),
        }
    }

    fn run_thread(self: Arc<Self>) {
        if catch_unwind(AssertUnwindSafe(|| self.run_operations())).is_ok() {
            return;
        }
        // A defect must not leave `thread_alive` behind: nothing would ever run again.
        *self.running.lock() = None;
        let mut queue = self.queue.lock();
        queue.thread_alive = false;
        queue.operations.clear();
        self.thread_ended.notify_all();
    }

    fn run_operations(&self) {
        let mut owned = None;
        while let Some(operation) = self.next_operation(owned.is_some()) {
            match operation {
                Operation::Start(start) => self.run_start(*start, &mut owned),
                Operation::Stop(settle) => {
                    if let Some(owned) = owned.take() {
                        self.run_stop(owned);
                    }
                    if let Some(settle) = settle {
                        settle.settle(Ok(()));
                    }
                }
            }
        }
    }

    /// The next operation; `None` ends the thread, which only a thread that owns nothing may.
    fn next_operation(&self, owns: bool) -> Option<Operation> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(operation) = queue.operations.pop_front() {
                return Some(operation);
            }
            if !owns {
                // Under the same lock as the check, so that no operation slips between.
                queue.thread_alive = false;
                self.thread_ended.notify_all();
                return None;
            }
            self.queued.wait(&mut queue);
        }
    }

    fn run_start(&self, start: Start, owned: &mut Option<Owned>) {
        let Start { sources, callbacks, rooms, log, keep_alive, settle } = start;
        if let Some(owned) = owned {
            settle.settle(Ok(address_of(&owned.engine)));
            return;
        }
        match self.launch(sources, callbacks, rooms, log, keep_alive) {
            Ok(Some(started)) => {
                let address = address_of(&started.engine);
                started.engine.events().observe(Arc::<EventWatch>::clone(&self.event_watch));
                *self.running.lock() = Some(Running {
                    engine: Arc::clone(&started.engine),
                    handle: started.runtime.handle().clone(),
                });
                *owned = Some(started);
                settle.settle(Ok(address));
            }
            Ok(None) => settle.settle(Ok(ServerAddress { host: None, port: None })),
            Err(failure) => settle.settle(Err(failure)),
        }
    }

    /// Starts the engine; `None` if the configuration says it shall not run.
    fn launch(
        &self,
        mut sources: ConfigSources,
        callbacks: Option<Callbacks>,
        rooms: Option<rooms::Callbacks>,
        log: Option<Arc<LogPump>>,
        keep_alive: KeepAlive,
    ) -> Result<Option<Owned>, Failure> {
        sources.standalone.get_or_insert(callbacks.is_none());
        let loaded = settings::load(&sources).map_err(EngineError::from)?;
        let mut config = loaded.config;
        config.pages_dir = self.options.pages_dir.as_ref().map(Into::into);
        config.tools_dir = self.options.tools_dir.as_ref().map(Into::into);
        if let Some(log) = &log {
            log.set_level(config.log_level);
            for warning in &loaded.warnings {
                log.warn_of_config(warning);
            }
        }
        self.config.lock().clone_from(&config);
        if !config.enabled {
            return Ok(None);
        }
        settings::complete_auth(&mut config)?;
        let host = self.host(&config, callbacks)?;
        let handlers = self.handlers(rooms);
        let runtime = engine::runtime(&config).map_err(|error| {
            Failure::from(EngineError::Internal(format!("cannot start threads: {error}")))
        })?;
        let store = settings::open_store(&config)?;
        let mut gone = self.gone.subscribe();
        let started = runtime.block_on(async {
            tokio::select! {
                started = Engine::start_with(config, host, store, handlers) => started,
                _ = gone.wait_for(|gone| *gone) => Err(EngineError::ShuttingDown),
            }
        });
        match started {
            Ok(engine) => Ok(Some(Owned { runtime, engine: Arc::new(engine), keep_alive, log })),
            Err(error) => {
                runtime.shutdown_timeout(RUNTIME_STOP_MAX);
                Err(error.into())
            }
        }
    }

    fn handlers(&self, callbacks: Option<rooms::Callbacks>) -> Arc<dyn Handlers> {
        match callbacks {
            Some(callbacks) => {
                let types = Arc::clone(&self.room_types);
                let held = Arc::clone(&self.rooms_held);
                Arc::new(JsHandlers::new(callbacks, types, held, self.gone.subscribe()))
            }
            None => Arc::new(NoHandlers),
        }
    }

    fn host(
        &self,
        config: &Config,
        callbacks: Option<Callbacks>,
    ) -> Result<Arc<dyn Host>, Failure> {
        match callbacks {
            Some(callbacks) => {
                let call_timeout = Duration::from_millis(config.auth.timeout_ms);
                Ok(js_host::shared(JsHost::new(callbacks, call_timeout, self.gone.subscribe())))
            }
            None if config.auth.mode == AuthMode::Host => {
                Err(EngineError::Config("auth.mode is host, but no host was given".into()).into())
            }
            None if config.auth.mode == AuthMode::Api => settings::api_host(config),
            None => settings::standalone_host(config),
        }
    }

    fn run_stop(&self, owned: Owned) {
        *self.running.lock() = None;
        let Owned { runtime, engine, keep_alive, log } = owned;
        let mut gone = self.gone.subscribe();
        let finished = runtime.block_on(async {
            let hurried = async {
                drop(gone.wait_for(|gone| *gone).await);
                tokio::time::sleep(HURRIED_STOP_MAX).await;
            };
            tokio::select! {
                () = engine.shutdown() => true,
                () = hurried => false,
                () = tokio::time::sleep(STOP_MAX) => false,
            }
        });
        if !finished {
            log::warn!(
                event = "stop_timeout";
                "the engine did not stop in time; what is committed is safe"
            );
        }
        drop(engine);
        runtime.shutdown_timeout(RUNTIME_STOP_MAX);
        // Last: until here the process must not end by itself.
        drop(keep_alive);
        drop(log);
    }
}

fn address_of(engine: &Engine) -> ServerAddress {
    let address = engine.address();
    ServerAddress { host: Some(address.ip().to_string()), port: Some(address.port()) }
}

fn busy() -> Failure {
    Failure::new("REALTIME_BUSY", "too many starts and stops are waiting")
}
