//! How the engine goes, told to operators in a room of events of its own, while somebody is in it.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use serde_json::{Value, json, value::to_raw_value};

use super::Shared;
use crate::{limits::VITALS_INTERVAL, time::unix_ms};

/// The room; its name makes it one of admins, and of the newest event only.
pub const ROOM: &str = "system:metrics";

/// Tells for as long as the engine runs.
pub async fn run(shared: Arc<Shared>) {
    let mut stopped = shared.stopped.clone();
    let room = ROOM.into();
    loop {
        tokio::select! {
            () = tokio::time::sleep(VITALS_INTERVAL) => {}
            _ = stopped.changed() => return,
        }
        if shared.events.people(&room).await.is_empty() {
            continue;
        }
        let data = to_raw_value(&vitals(&shared)).ok();
        if let Err(why) = shared.events.tell(Some(ROOM), "metrics", data) {
            log::debug!("how the engine goes is not told: {why}");
        }
    }
}

/// What operators look at.
pub fn vitals(shared: &Shared) -> Value {
    let metrics = &shared.metrics;
    let (connections, users, _) = shared.sessions.counts();
    let store = shared.store.status();
    json!({
        "connections": connections,
        "eventConnections": metrics.event_connections.get(),
        "connectionsMax": shared.config.limits.max_connections,
        "users": users,
        "rooms": shared.events.rooms_open(),
        "roomMembers": metrics.event_members.get(),
        "documentRooms": shared.registry.len(),
        "messagesReceived": metrics.messages_in.get(),
        "messagesPerSecond": metrics.messages_per_second.load(Relaxed),
        "eventsEmitted": metrics.events_emitted.get(),
        "eventDeliveries": metrics.event_deliveries.get(),
        "eventDeliveryTimes": metrics.event_delivery_time.classes(),
        "eventsDropped": metrics.events_dropped.get(),
        "eventsRefused": metrics.event_refusals.all().iter().map(|(_, count)| count).sum::<u64>(),
        "bytesReceived": metrics.bytes_in.get(),
        "bytesSent": metrics.bytes_out.get(),
        "queuedBytes": shared.registry.context().queued.bytes(),
        "slowConsumers": metrics.closes.get("SLOW_CONSUMER"),
        "storeQueued": store.queued,
        "storeDegraded": store.degraded,
        "uptimeSeconds": unix_ms().saturating_sub(shared.started_at_ms) / 1000,
        "broker": broker(),
    })
}

/// One node carries all its rooms itself.
pub fn broker() -> Value {
    json!({
        "type": "memory", "enabled": false, "status": "healthy", "connected": true,
        "circuitBreaker": "closed", "nodes": 1,
    })
}
