//! Sockets: the listener, the HTTP front door, and one task per WebSocket connection. Start reading at
//! [`connection`], the hot path.

mod client;
pub mod client_address;
pub mod connection;
pub mod denials;
pub mod events;
pub mod exposure;
pub mod front_door;
pub mod handled;
pub mod head;
mod hearing;
pub mod http;
pub mod join;
pub mod listener;
pub mod origin;
pub mod pages;
pub mod places;
mod pulse;
pub mod rate;
pub mod recheck;
pub mod session;
pub mod sessions;
pub mod socket;
pub mod stream;
pub mod stress;
pub mod tls;
pub mod vitals;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    config::Config,
    events::{EventsContext, Hub},
    host::Host,
    ids::ConnectionId,
    limits::{
        EVENT_FAREWELL, EVENT_FAREWELL_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_ADDRESS_MAX,
        HTTP_CONNECTIONS_MAX,
    },
    net::{
        client_address::TrustedProxies, denials::Denials, handled::Handlers, places::Places,
        recheck::Rechecks, sessions::Sessions, tls::Certificate,
    },
    room::registry::Registry,
    store::Store,
    telemetry::{metrics::Metrics, security::SecurityEvents},
    time::unix_ms,
};

/// What every connection needs from the engine.
pub struct Shared {
    /// Configuration.
    pub config: Arc<Config>,
    /// The host.
    pub host: Arc<dyn Host>,
    /// The rooms.
    pub registry: Arc<Registry>,
    /// Rooms of events.
    pub events: Arc<Hub>,
    /// The update log.
    pub store: Arc<dyn Store>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Security events.
    pub security: Arc<SecurityEvents>,
    /// Room types that somebody else handles.
    pub handlers: Arc<dyn Handlers>,
    /// Admitted connections.
    pub sessions: Arc<Sessions>,
    /// Live sessions whose rights are asked for again.
    pub rechecks: Arc<Rechecks>,
    /// What the host lately refused.
    pub denials: Denials,
    /// Static pages.
    pub pages: pages::Pages,
    /// The proxies whose forwarded addresses count.
    pub proxies: TrustedProxies,
    /// The certificate; `None` = the port speaks plain TCP.
    pub certificate: Option<Arc<Certificate>>,
    /// Connections that nobody is authenticated on yet.
    pub half_open: Arc<Places>,
    /// Connections that speak plain HTTP.
    pub http_connections: Arc<Places>,
    /// No new connection from now on.
    pub draining: AtomicBool,
    /// Ends the connections' tasks at last.
    pub stopped: tokio::sync::watch::Receiver<bool>,
    /// The bound address.
    pub address: SocketAddr,
    /// When it began, in Unix milliseconds.
    pub started_at_ms: u64,
    /// What the clients of a load test are known by; nobody else learns it.
    own_token: String,
    /// A load test is under way.
    stressing: AtomicBool,
    next_connection: AtomicU64,
    open_connections: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Puts the parts together. Must run inside a runtime.
    pub fn new(
        registry: Arc<Registry>,
        handlers: Arc<dyn Handlers>,
        pages: pages::Pages,
        certificate: Option<Arc<Certificate>>,
        address: SocketAddr,
        stopped: tokio::sync::watch::Receiver<bool>,
    ) -> Self {
        let context = registry.context().clone();
        let per_address =
            context.config.rate_limiting.connections_per_ip.min(HANDSHAKES_PER_ADDRESS_MAX);
        let (config, metrics) = (Arc::clone(&context.config), Arc::clone(&context.metrics));
        let events = EventsContext::new(config, metrics, Arc::clone(&context.queued));
        Self {
            events: Hub::start(&events),
            handlers,
            sessions: Arc::new(Sessions::new(&context.config)),
            rechecks: Arc::new(Rechecks::new(&context.config)),
            denials: Denials::default(),
            proxies: TrustedProxies::new(&context.config.trusted_proxies),
            config: context.config,
            host: context.host,
            store: context.store,
            metrics: context.metrics,
            security: context.security,
            registry,
            pages,
            certificate,
            half_open: Places::new(HANDSHAKES_MAX, per_address),
            http_connections: Places::new(HTTP_CONNECTIONS_MAX, per_address),
            draining: AtomicBool::new(false),
            stopped,
            address,
            started_at_ms: unix_ms(),
            own_token: own_token(),
            stressing: AtomicBool::new(false),
            next_connection: AtomicU64::new(1),
            open_connections: AtomicUsize::new(0),
        }
    }

    /// A number no connection of this engine had before.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Counts an upgraded connection until the guard is dropped; `None` at `limits.max_connections`.
    pub(crate) fn open_connection(self: &Arc<Self>) -> Option<OpenConnection> {
        let max = self.config.limits.max_connections;
        self.open_connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < max).then_some(open + 1)
            })
            .ok()
            .map(|_| OpenConnection(Arc::clone(self)))
    }

    /// Upgraded connections whose task has not ended.
    pub fn open_connections(&self) -> usize {
        self.open_connections.load(Ordering::Acquire)
    }

    /// How long a connection for events goes on once the engine stops: not all are to come back at the same moment.
    pub(crate) fn farewell(&self) -> Duration {
        let connections = u32::try_from(self.open_connections()).unwrap_or(u32::MAX);
        let over = EVENT_FAREWELL.saturating_mul(connections).min(EVENT_FAREWELL_MAX);
        over.mul_f64(fastrand::f64())
    }

    /// What works, but not as an operator wants it, one sentence each; empty = all is well.
    pub fn degraded(&self) -> Vec<String> {
        let store = self.store.status();
        let damage = store.damage;
        let store = store.degraded.map(|why| format!("store: {why}"));
        let tls = self.certificate.as_ref().and_then(|certificate| certificate.problem());
        let open = exposure::unencrypted(&self.config, self.address).map(str::to_owned);
        let host = self.host.status().degraded;
        [store, damage, host, tls, open].into_iter().flatten().collect()
    }

    /// Whether a token is the operator's, `admin.token`.
    pub(crate) fn is_operators(&self, token: &str) -> bool {
        self.config.admin.token.as_deref().is_some_and(|known| http::same_secret(token, known))
    }

    /// Whether a token is that of the engine's own clients.
    pub(crate) fn is_own(&self, token: &str) -> bool {
        !self.own_token.is_empty() && http::same_secret(token, &self.own_token)
    }

    /// Whether new connections are turned away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// A token that cannot be guessed. Without randomness there is none, and no load test.
fn own_token() -> String {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => bytes.iter().fold("own.".into(), |text, byte| format!("{text}{byte:02x}")),
        Err(_) => String::new(),
    }
}

/// An upgraded connection, counted while it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Shared>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open_connections.fetch_sub(1, Ordering::AcqRel);
    }
}
