//! The composition root: builds an engine from configuration and host, answers questions, stops it in phases.

pub mod health;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc, watch},
    task::JoinHandle,
};

use crate::{
    broker::SingleNode,
    compute::Compute,
    config::Config,
    error::EngineError,
    events::{Hub, records},
    host::{Hook, Host},
    ids::RoomId,
    limits::{SHUTDOWN_PHASE, WATCH_QUEUE_MAX},
    markdown::Reference,
    net::{
        Shared, exposure,
        handled::{Handlers, NoHandlers},
        http::{self, ask},
        listener,
        pages::Pages,
        recheck,
        tls::Certificate,
        vitals,
    },
    protocol::json::Moderation,
    room::{
        Participant, RoomCommand, RoomContext, copies,
        quarantine::{self, Quarantine},
        queued::Queued,
        registry::{Life, Registry},
        types::RoomTypes,
    },
    store::Store,
    telemetry::{metrics::Metrics, performance, security::SecurityEvents},
    time::unix_ms,
};

use health::{HealthStatus, health};

/// A running engine. Dropping it without [`Engine::shutdown`] stops its tasks without the final write-back.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: watch::Sender<bool>,
    stopped: watch::Sender<bool>,
    tasks: AsyncMutex<Option<Tasks>>,
}

struct Tasks {
    accept: JoinHandle<()>,
    watching: Option<Box<dyn Send + Sync>>,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks").finish_non_exhaustive()
    }
}

/// What a requested snapshot did; shape of `triggerRecordSnapshot` in the host's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotReport {
    /// Whether a live room was written back.
    pub snapshot_created: bool,
    /// Version of the operator's copy.
    pub version: Option<u64>,
    /// Unix milliseconds.
    pub timestamp: u64,
}

impl Engine {
    /// Opens the store, binds the port and starts serving. Must run inside a runtime made by [`runtime`]:
    /// yrs needs its workers' large stacks.
    pub async fn start(
        config: Config,
        host: Arc<dyn Host>,
        store: Arc<dyn Store>,
    ) -> Result<Self, EngineError> {
        Self::start_with(config, host, store, Arc::new(NoHandlers)).await
    }

    /// [`Engine::start`] with room types that `handlers` handles.
    pub async fn start_with(
        config: Config,
        host: Arc<dyn Host>,
        store: Arc<dyn Store>,
        handlers: Arc<dyn Handlers>,
    ) -> Result<Self, EngineError> {
        let config = Arc::new(within_file_descriptors(config));
        let compute = Compute::start()
            .map_err(|error| EngineError::Internal(format!("compute threads: {error}")))?;
        let certificate = Certificate::load(&config, &compute).await?;
        // The port before anything that lasts: a start that fails must leave nothing behind.
        let listener = listener::bind(&config).await?;
        let internal =
            |what: &str, error: std::io::Error| EngineError::Internal(format!("{what}: {error}"));
        let address = listener.local_addr().map_err(|error| internal("local address", error))?;
        let pages = Pages::of(&config)
            .map_err(|error| EngineError::Config(format!("the pages cannot be read: {error}")))?;
        let metrics = Arc::<Metrics>::default();
        let registry = Registry::new(RoomContext {
            config: Arc::clone(&config),
            host: Arc::clone(&host),
            store: Arc::clone(&store),
            compute,
            security: Arc::new(SecurityEvents::new(Arc::clone(&host), Arc::clone(&metrics))),
            metrics,
            queued: Queued::new(config.limits.queued_bytes_max),
            types: Arc::new(RoomTypes::of_config(&config)),
            quarantine: Quarantine::new(quarantine::folder(&config.system_data_dir)),
            broker: Arc::new(SingleNode),
            unlogged_bytes: Arc::default(),
            held_elsewhere: handlers.rooms_held(),
        });
        let (accepting, accepts) = watch::channel(true);
        let (stopped, stops) = watch::channel(false);
        let shared = Arc::new(Shared::new(
            Arc::clone(&registry),
            handlers,
            pages,
            certificate.clone(),
            address,
            stops,
        ));
        if let Some(damage) = store.status().damage {
            host.emit_hook(Hook {
                name: "realtime:snapshot:integrity-failed",
                data: serde_json::json!({ "roomId": null, "error": damage, "timestamp": unix_ms() }),
            });
        }
        if let Some(certificate) = certificate {
            tokio::spawn(certificate.watch(shared.stopped.clone()));
        }
        let (tell, changed) = mpsc::channel(WATCH_QUEUE_MAX);
        let watching = watch_sources(host.as_ref(), &registry, tell);
        if watching.is_some() && config.events.record_changes {
            tokio::spawn(records::follow(Arc::clone(&host), Arc::clone(&shared.events), changed));
        }
        let accept = tokio::spawn(listener::run(listener, Arc::clone(&shared), accepts));
        tokio::spawn(recheck::run(Arc::clone(&shared)));
        tokio::spawn(vitals::run(Arc::clone(&shared)));
        if config.snapshots.enabled {
            tokio::spawn(expire_copies(Arc::clone(&shared)));
        }
        tokio::spawn(performance::report(
            sampler(&shared),
            Arc::clone(&shared.metrics),
            shared.stopped.clone(),
        ));
        log::info!(event = "listening", address:% = address; "listening on {address}");
        if let Some(why) = exposure::unencrypted(&shared.config, address) {
            log::warn!(event = "unencrypted"; "NOT SAFE: {why}");
        }
        Ok(Self {
            shared,
            address,
            accepting,
            stopped,
            tasks: AsyncMutex::new(Some(Tasks { accept, watching })),
        })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Health, from atomics and short locks; never waits.
    pub fn health(&self) -> HealthStatus {
        health(&self.shared)
    }

    /// Writes a live room back at once and copies it for the operator. No live room: nothing happens, and
    /// the report says so.
    pub async fn trigger_snapshot(&self, room: &str) -> Result<SnapshotReport, EngineError> {
        let nothing =
            SnapshotReport { snapshot_created: false, version: None, timestamp: unix_ms() };
        let Some(handle) = self.shared.registry.get(&RoomId::parse(room)?) else {
            return Ok(nothing);
        };
        ask(&handle, |reply| RoomCommand::Snapshot { reply }).await.unwrap_or(Ok(nothing))
    }

    /// Reads the certificate's files again, for the next handshakes. On an error the one before stays in use.
    /// Without TLS there is nothing to do.
    pub async fn reload_tls(&self) -> Result<(), EngineError> {
        match &self.shared.certificate {
            Some(certificate) => Ok(certificate.reload().await?),
            None => Ok(()),
        }
    }

    /// Ends all sessions of a user at once, joins under way included; returns how many there were. An empty
    /// reason is none.
    pub fn revoke_user(&self, user_id: &str, reason: &str) -> usize {
        let count = self.shared.sessions.revoke(user_id, reason);
        let user = user_id.escape_debug();
        log::info!(
            event = "sessions_revoked", user:% = user, count = count;
            "user {user}: {count} sessions revoked"
        );
        count
    }

    /// The live room's document as Markdown, front matter included.
    pub async fn room_markdown(&self, room: &str) -> Result<String, EngineError> {
        let gone = || EngineError::RoomNotFound(room.to_owned());
        let handle = self.shared.registry.get(&RoomId::parse(room)?).ok_or_else(gone)?;
        ask(&handle, |reply| RoomCommand::Markdown { reply }).await.ok_or_else(gone)?
    }

    /// What a record refers to, by its room: other records, places, attachments. The room need not be open.
    pub async fn references(&self, room: &str) -> Result<Vec<Reference>, EngineError> {
        http::references(&RoomId::parse(room)?, &self.shared.registry).await
    }

    /// Who is in the room; empty if it is not open.
    pub async fn presence(&self, room: &str) -> Result<Vec<Participant>, EngineError> {
        let Some(handle) = self.shared.registry.get(&RoomId::parse(room)?) else {
            return Ok(Vec::new());
        };
        Ok(ask(&handle, |reply| RoomCommand::Participants { reply }).await.unwrap_or_default())
    }

    /// Sends somebody out of a room, locks it, or tells everybody in it something; returns how many sessions
    /// that concerned. A room that is not open has nobody to be concerned.
    pub async fn moderate(&self, room: &str, moderation: Moderation) -> Result<usize, EngineError> {
        let Some(handle) = self.shared.registry.get(&RoomId::parse(room)?) else { return Ok(0) };
        let moderation = Box::new(moderation);
        let ask = ask(&handle, |reply| RoomCommand::Moderate {
            by: None,
            moderation,
            reply: Some(reply),
        });
        Ok(ask.await.unwrap_or_default())
    }

    /// Raw updates that rebuild the room from nothing: its snapshot, if any, then its log rows in order.
    pub async fn export_log(&self, room: &str) -> Result<Vec<Bytes>, EngineError> {
        let gone = || EngineError::RoomNotFound(room.to_owned());
        let stored = self.shared.store.load(&RoomId::parse(room)?).await?.ok_or_else(gone)?;
        let snapshot = stored.snapshot.map(|snapshot| snapshot.state);
        Ok(snapshot.into_iter().chain(stored.tail.into_iter().map(|row| row.bytes)).collect())
    }

    /// The open room of this name, without waiting for it.
    pub fn room_life(&self, room: &str) -> Option<Life> {
        self.shared.registry.life(&RoomId::parse(room).ok()?)
    }

    /// Names of the open rooms.
    pub fn rooms(&self) -> Vec<String> {
        self.shared.registry.names()
    }

    /// Rooms of events.
    pub fn events(&self) -> &Arc<Hub> {
        &self.shared.events
    }

    /// Counters of this engine.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Stops in phases, each with a deadline: stop accepting, finalize rooms (snapshot and write-back), close
    /// connections, close the store. Calling it again waits for the first call.
    pub async fn shutdown(&self) {
        let mut tasks = self.tasks.lock().await;
        let Some(running) = tasks.take() else { return };
        self.shared.draining.store(true, Ordering::Release);
        self.accepting.send_replace(false);
        drop(running.watching);
        phase("stop accepting", running.accept).await;
        phase("finalize rooms", async {
            tokio::join!(self.shared.registry.shutdown(), self.shared.events.flush())
        })
        .await;
        self.stopped.send_replace(true);
        phase("close connections", async {
            while self.shared.open_connections() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        phase("close the store", async {
            if let Err(error) = self.shared.store.close().await {
                log::error!(
                    event = "store_close_failed", error:% = error;
                    "the store was not closed cleanly: {error}"
                );
            }
        })
        .await;
        log::info!(event = "stopped"; "stopped");
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.accepting.send_replace(false);
        self.stopped.send_replace(true);
    }
}

/// Time between two looks for old copies (the host's contract).
const COPIES_SWEEP: Duration = Duration::from_hours(6);

/// Descriptors the engine and its host need beside connections.
#[cfg(unix)]
const SPARE_DESCRIPTORS: u64 = 128;

/// Lowers `limits.max_connections` to what the process may have open: running out of descriptors would stop
/// the accept loop and the store alike.
#[cfg(unix)]
fn within_file_descriptors(mut config: Config) -> Config {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let most = limit.map_or(u64::MAX, |limit| limit.saturating_sub(SPARE_DESCRIPTORS));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if config.limits.max_connections > most {
        log::warn!(
            event = "limit_lowered", count = most;
            "limits.max_connections is lowered from {} to {most}: the process may open no more files",
            config.limits.max_connections
        );
        config.limits.max_connections = most;
    }
    config
}

/// Other systems have no such limit per process.
#[cfg(not(unix))]
fn within_file_descriptors(config: Config) -> Config {
    config
}

/// Passes the host's outside changes on to the open rooms. A full mailbox loses nothing: the room compares
/// with its source before each write-back anyway.
fn watch_sources(
    host: &dyn Host,
    registry: &Arc<Registry>,
    records: mpsc::Sender<RoomId>,
) -> Option<Box<dyn Send + Sync>> {
    let registry = Arc::downgrade(registry);
    host.watch(Arc::new(move |room: RoomId| {
        // Nobody may want to know, or too many change at once.
        if records.try_send(room.clone()).is_err() {
            log::debug!("{room}: its change is no event");
        }
        let handle = registry.upgrade().and_then(|registry| registry.get(&room));
        if let Some(handle) = handle
            && handle.try_send(RoomCommand::SourceChanged).is_err()
        {
            log::debug!("room {room}: busy, its source is compared later");
        }
    }))
}

/// Deletes old copies now and every [`COPIES_SWEEP`], until the engine stops.
async fn expire_copies(shared: Arc<Shared>) {
    let mut stopped = shared.stopped.clone();
    loop {
        let age_ms = shared.config.snapshots.ttl_hours.saturating_mul(3_600_000);
        let in_use = shared.registry.open_rooms();
        let before_ms = unix_ms().saturating_sub(age_ms);
        match copies::expire(shared.registry.context(), before_ms, in_use).await {
            Ok(0) => {}
            Ok(count) => {
                log::info!(event = "copies_expired", count = count; "{count} old copies deleted");
            }
            Err(error) => log::warn!(
                event = "copies_not_expired", error:% = error;
                "old copies were not deleted: {error}"
            ),
        }
        tokio::select! {
            () = tokio::time::sleep(COPIES_SWEEP) => {}
            _ = stopped.changed() => return,
        }
    }
}

fn sampler(shared: &Arc<Shared>) -> impl Fn() -> performance::Sample + use<> {
    let shared = Arc::clone(shared);
    move || {
        let store = shared.store.status();
        performance::Sample {
            at: tokio::time::Instant::now(),
            connections: shared.sessions.counts().0,
            rooms: shared.registry.len(),
            messages_in: shared.metrics.messages_in.get(),
            deliveries: shared.metrics.deliveries.get(),
            commits: store.commits,
            commit_micros: store.commit_micros,
            store_queued: store.queued,
        }
    }
}

async fn phase<T>(name: &str, work: impl Future<Output = T>) {
    if tokio::time::timeout(SHUTDOWN_PHASE, work).await.is_err() {
        log::warn!(
            event = "shutdown_phase_left", phase = name;
            "shutdown: '{name}' took longer than {} s and was left",
            SHUTDOWN_PHASE.as_secs()
        );
    }
}

/// Builds the runtime an engine runs on: named workers with large stacks (yrs recurses).
pub fn runtime(config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    crate::panics::install_hook();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.performance.worker_pool_size > 0 {
        builder.worker_threads(config.performance.worker_pool_size);
    }
    builder
        .max_blocking_threads(4)
        .thread_name("civic-realtime")
        .thread_stack_size(crate::limits::WORKER_STACK_BYTES)
        .enable_all()
        .build()
}
