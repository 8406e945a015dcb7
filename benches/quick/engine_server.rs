//! Our engine as it ships, with a host in the process that allows everything.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use civicpress_realtime::{
    config::Config,
    engine::{self, Engine},
    future::BoxFuture,
    host::{Grant, Hook, Host, HostError, Identity, RecordSummary, RecordText, SaveOutcome},
    ids::RoomId,
    store::sqlite::{SqliteOptions, SqliteStore},
};

pub(crate) fn serve(wait: impl FnOnce(SocketAddr)) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        host: "127.0.0.1".into(),
        port: 0,
        system_data_dir: folder.path().into(),
        ..Config::default()
    };
    // Only the limits that one generator on one address would meet; all else is the default.
    config.rooms.open_types = vec!["notes".into()];
    config.rooms.max_rooms = 100_000;
    config.limits.max_connections = 100_000;
    config.rate_limiting.connections_per_ip = 100_000;
    config.rate_limiting.connections_per_user = 100_000;
    config.rate_limiting.messages_per_second = 1_000_000;
    let runtime = engine::runtime(&config).unwrap();
    let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
    let engine =
        runtime.block_on(Engine::start(config, Arc::new(OpenHost), Arc::new(store))).unwrap();
    wait(engine.address());
    drop(engine);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

struct OpenHost;

impl Host for OpenHost {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>> {
        Box::pin(std::future::ready(Ok(Identity {
            user_id: token.into(),
            name: token.into(),
            role: "editor".into(),
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        })))
    }

    fn authorize<'a>(
        &'a self,
        _identity: &'a Identity,
        _room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>> {
        Box::pin(std::future::ready(Ok(Grant { can_edit: true })))
    }

    fn load_record<'a>(
        &'a self,
        _room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn save_record<'a>(
        &'a self,
        _room: &'a RoomId,
        _text: &'a str,
        _expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>> {
        Box::pin(std::future::ready(Ok(SaveOutcome::Saved("file"))))
    }

    fn emit_hook(&self, _hook: Hook) {}

    fn list_records<'a>(
        &'a self,
        _identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
