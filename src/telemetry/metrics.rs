//! All that one engine counts, under the names of its metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    counter::{Counter, Labelled, Level, Sum},
    exposition::Exposition,
    histogram::Histogram,
};

/// All counters of one engine.
#[derive(Debug, Default)]
pub struct Metrics {
    /// WebSocket connections accepted (after the 101).
    pub connections_opened: Counter,
    /// WebSocket connections ended.
    pub connections_closed: Counter,
    /// Closes by [`crate::error::CloseReason::code`].
    pub closes: Labelled,
    /// HTTP requests refused before the upgrade, by reason.
    pub requests_refused: Labelled,
    /// Messages received.
    pub messages_in: Counter,
    /// Payload bytes received.
    pub bytes_in: Counter,
    /// Bytes written to sockets.
    pub bytes_out: Counter,
    /// Frames refused, by the codec's or the guard's code.
    pub frames_refused: Labelled,
    /// Connections that were not read from for a while because they sent too much, by
    /// [`crate::net::rate::Class::name`].
    pub throttled: Labelled,
    /// Warnings to who keeps sending too much.
    pub rate_notices: Counter,
    /// Updates applied to documents.
    pub updates_applied: Counter,
    /// Updates that changed nothing.
    pub updates_unchanged: Counter,
    /// Updates held because a dependency was missing.
    pub updates_held: Counter,
    /// Updates refused because the session may not edit.
    pub updates_readonly: Counter,
    /// Document updates queued towards clients.
    pub deliveries: Counter,
    /// Awareness messages received.
    pub awareness_in: Counter,
    /// Awareness frames queued towards clients.
    pub awareness_out: Counter,
    /// Rooms opened.
    pub rooms_opened: Counter,
    /// Rooms evicted.
    pub rooms_evicted: Counter,
    /// Rooms that met a fault and were dropped.
    pub rooms_failed: Counter,
    /// Base snapshots stored.
    pub snapshots: Counter,
    /// Base snapshots that could not be made or stored; the log was kept.
    pub snapshot_failures: Counter,
    /// Rooms that opened from a snapshot.
    pub snapshot_loads: Counter,
    /// Rooms that did not open because what is stored of them is damaged or unreadable.
    pub snapshot_load_failures: Counter,
    /// Tokens that did not hold.
    pub auth_failures: Counter,
    /// Users who asked for what they may not.
    pub permission_denials: Counter,
    /// Sessions in rooms.
    pub room_members: Sum,
    /// Estimated memory of all open documents, in bytes.
    pub document_bytes: Sum,
    /// Messages received per second, over the last [`crate::limits::RATE_INTERVAL`].
    pub messages_per_second: AtomicU64,
    /// Write-backs by outcome.
    pub write_backs: Labelled,
    /// Looks whether a live session still holds, by outcome.
    pub rechecks: Labelled,
    /// Security events by [`crate::telemetry::security::Violation::kind`].
    pub violations: Labelled,
    /// Outside changes merged into live documents.
    pub outside_changes: Counter,
    /// Open connections for events.
    pub event_connections: Level,
    /// Memberships of rooms of events.
    pub event_members: Level,
    /// Messages of clients on connections for events.
    pub event_messages_in: Counter,
    /// Events said to rooms or to everybody.
    pub events_emitted: Counter,
    /// Events encoded: once for each protocol that is spoken in the room, however many hear it.
    pub event_encodes: Counter,
    /// Events queued towards clients.
    pub event_deliveries: Counter,
    /// From when an event is read, or said by the host, until it is queued towards all who hear it.
    pub event_delivery_time: Histogram,
    /// Messages on connections for events that were refused, by [`crate::protocol::events::EventError::code`].
    pub event_refusals: Labelled,
    /// Clients that came back to a room of events: whether they heard all they missed, or there is a gap.
    pub event_recoveries: Labelled,
    /// Events of the host that were not said because too much waited.
    pub events_dropped: Counter,
    /// Facts about rooms of events that the host was too slow to take.
    pub facts_dropped: Counter,
}

/// Values read at the moment of the scrape.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Open WebSocket connections.
    pub connections: usize,
    /// `limits.max_connections`.
    pub connections_max: usize,
    /// Distinct users with a connection.
    pub users: usize,
    /// Distinct addresses with a connection.
    pub addresses: usize,
    /// Memory of the whole process, in bytes; 0 = not known.
    pub resident_bytes: u64,
    /// Open rooms with a document.
    pub rooms: usize,
    /// Rooms that somebody else holds.
    pub rooms_held: usize,
    /// Rooms of events.
    pub event_rooms: usize,
    /// Bytes that wait for clients.
    pub queued_bytes: usize,
    /// `rooms.max_rooms`.
    pub rooms_max: usize,
    /// Appends waiting for the store's writer.
    pub store_queued: usize,
    /// Commits so far.
    pub store_commits: u64,
    /// Log rows committed so far.
    pub store_rows: u64,
    /// Time all commits took, in microseconds.
    pub store_commit_micros: u64,
    /// Whether commits fail at the moment.
    pub store_degraded: bool,
    /// Whether the database was damaged when it was opened.
    pub store_damaged: bool,
    /// Whether the host cannot be asked at the moment.
    pub host_degraded: bool,
    /// Calls of a host that is somewhere else, by outcome.
    pub host_calls: Vec<(&'static str, u64)>,
}

impl Metrics {
    /// The Prometheus text exposition, version 0.0.4.
    pub fn render(&self, gauges: &Gauges) -> String {
        let mut out = String::with_capacity(4096);
        let mut text = Exposition(&mut out);
        text.gauge("connections", "Open WebSocket connections.", gauges.connections as u64);
        text.gauge("connections_max", "limits.max_connections.", gauges.connections_max as u64);
        text.gauge("users", "Distinct users with a connection.", gauges.users as u64);
        text.gauge("addresses", "Distinct addresses with a connection.", gauges.addresses as u64);
        text.gauge("rooms", "Open rooms.", (gauges.rooms + gauges.rooms_held) as u64);
        text.alias("websocket_connections_per_pod", gauges.connections as u64);
        text.gauge(
            "event_connections",
            "Open connections for events.",
            self.event_connections.get(),
        );
        text.gauge("event_rooms", "Rooms of events.", gauges.event_rooms as u64);
        text.gauge("event_members", "Memberships of rooms of events.", self.event_members.get());
        text.gauge("room_members", "Sessions in rooms.", self.room_members.get());
        text.average("room_size_average", "Sessions per open room.", self.room_size(gauges.rooms));
        text.gauge(
            "document_bytes",
            "Estimated memory of all open documents.",
            self.document_bytes.get(),
        );
        text.gauge("resident_bytes", "Memory of the whole process.", gauges.resident_bytes);
        text.gauge(
            "messages_per_second",
            "Messages received per second of late.",
            self.messages_per_second.load(Relaxed),
        );
        text.gauge("queued_bytes", "Bytes waiting for clients.", gauges.queued_bytes as u64);
        text.gauge("rooms_max", "rooms.max_rooms.", gauges.rooms_max as u64);
        text.gauge("store_queued", "Appends waiting for the store.", gauges.store_queued as u64);
        text.gauge("store_degraded", "1 while commits fail.", u64::from(gauges.store_degraded));
        text.gauge(
            "store_damaged",
            "1 if the database was damaged when it was opened.",
            u64::from(gauges.store_damaged),
        );
        text.gauge(
            "host_degraded",
            "1 while the host cannot be asked.",
            u64::from(gauges.host_degraded),
        );
        text.value("store_commits_total", "counter", "Commits.", gauges.store_commits);
        text.value("store_rows_total", "counter", "Log rows committed.", gauges.store_rows);
        text.value(
            "store_commit_microseconds_total",
            "counter",
            "Time spent in commits, in microseconds.",
            gauges.store_commit_micros,
        );
        self.render_counters(&mut text);
        text.labelled("closes_total", "Connections closed by the server.", "code", &self.closes);
        text.labelled(
            "requests_refused_total",
            "Requests refused.",
            "reason",
            &self.requests_refused,
        );
        text.labelled("frames_refused_total", "Frames refused.", "reason", &self.frames_refused);
        text.labelled(
            "throttled_total",
            "Times a connection was not read from because it sent too much.",
            "class",
            &self.throttled,
        );
        text.labelled(
            "rechecks_total",
            "Looks whether a live session still holds.",
            "outcome",
            &self.rechecks,
        );
        text.labelled(
            "event_refusals_total",
            "Messages for events that were refused.",
            "code",
            &self.event_refusals,
        );
        text.labelled(
            "event_recoveries_total",
            "Clients that came back to a room of events.",
            "outcome",
            &self.event_recoveries,
        );
        text.histogram(
            "event_delivery_seconds",
            "From when an event is said until it is queued towards all who hear it.",
            &self.event_delivery_time,
        );
        text.labelled("violations_total", "Security events.", "kind", &self.violations);
        text.labelled("write_backs_total", "Write-backs.", "outcome", &self.write_backs);
        let calls = &gauges.host_calls;
        text.labels("host_calls_total", "Calls to the CivicPress API.", "outcome", calls);
        out
    }
}

impl Metrics {
    fn render_counters(&self, text: &mut Exposition<'_>) {
        for (name, help, counter) in [
            (
                "connections_opened_total",
                "WebSocket connections accepted.",
                &self.connections_opened,
            ),
            ("connections_closed_total", "WebSocket connections ended.", &self.connections_closed),
            ("messages_in_total", "Messages received.", &self.messages_in),
            ("bytes_in_total", "Payload bytes received.", &self.bytes_in),
            ("bytes_out_total", "Bytes written to sockets.", &self.bytes_out),
            ("rate_notices_total", "Warnings to who sent too much.", &self.rate_notices),
            ("updates_applied_total", "Updates applied to documents.", &self.updates_applied),
            ("updates_unchanged_total", "Updates that changed nothing.", &self.updates_unchanged),
            ("updates_held_total", "Updates held for a missing dependency.", &self.updates_held),
            (
                "updates_readonly_total",
                "Updates refused to read-only sessions.",
                &self.updates_readonly,
            ),
            ("deliveries_total", "Document updates queued towards clients.", &self.deliveries),
            ("awareness_in_total", "Awareness messages received.", &self.awareness_in),
            (
                "awareness_out_total",
                "Awareness frames queued towards clients.",
                &self.awareness_out,
            ),
            ("rooms_opened_total", "Rooms opened.", &self.rooms_opened),
            ("rooms_evicted_total", "Rooms evicted.", &self.rooms_evicted),
            ("rooms_failed_total", "Rooms dropped after a fault.", &self.rooms_failed),
            ("snapshots_total", "Base snapshots stored.", &self.snapshots),
            ("snapshot_failures_total", "Snapshots that failed.", &self.snapshot_failures),
            ("snapshot_loads_total", "Rooms opened from a snapshot.", &self.snapshot_loads),
            (
                "snapshot_load_failures_total",
                "Rooms whose stored state could not be read.",
                &self.snapshot_load_failures,
            ),
            ("auth_failures_total", "Tokens that did not hold.", &self.auth_failures),
            (
                "permission_denials_total",
                "Users who asked for what they may not.",
                &self.permission_denials,
            ),
            ("outside_changes_total", "Outside changes merged.", &self.outside_changes),
            ("event_messages_in_total", "Messages of clients for events.", &self.event_messages_in),
            ("events_emitted_total", "Events said.", &self.events_emitted),
            ("event_encodes_total", "Events encoded.", &self.event_encodes),
            ("event_deliveries_total", "Events queued towards clients.", &self.event_deliveries),
            ("events_dropped_total", "Events of the host not said.", &self.events_dropped),
            ("facts_dropped_total", "Facts the host was too slow for.", &self.facts_dropped),
        ] {
            text.value(name, "counter", help, counter.get());
        }
    }

    /// Sessions per room, in two digits.
    #[allow(clippy::cast_precision_loss, reason = "shown to people, in two digits")]
    pub fn room_size(&self, rooms: usize) -> f64 {
        let size = self.room_members.get() as f64 / rooms.max(1) as f64;
        (size * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_share_goes_with_the_room() {
        let metrics = Metrics::default();
        let (mut one, mut other) = (metrics.room_members.share(), metrics.room_members.share());
        one.set(5);
        other.set(2);
        one.set(1);
        assert_eq!((metrics.room_members.get(), metrics.room_size(2)), (3, 1.5));
        drop(one);
        assert_eq!((metrics.room_members.get(), metrics.room_size(0)), (2, 2.0));
    }

    #[test]
    fn renders_labels_and_values() {
        let metrics = Metrics::default();
        metrics.event_delivery_time.record(std::time::Duration::from_micros(70));
        metrics.event_delivery_time.record(std::time::Duration::from_secs(2));
        metrics.updates_applied.add(3);
        metrics.closes.inc("AUTH_FAILED");
        let text = metrics.render(&Gauges { connections: 2, ..Gauges::default() });
        assert!(text.contains("civicpress_realtime_connections 2\n"));
        assert!(text.contains("civicpress_realtime_updates_applied_total 3\n"));
        for line in [
            "# TYPE civicpress_realtime_event_delivery_seconds histogram",
            "civicpress_realtime_event_delivery_seconds_bucket{le=\"0.00005\"} 0",
            "civicpress_realtime_event_delivery_seconds_bucket{le=\"0.0001\"} 1",
            "civicpress_realtime_event_delivery_seconds_bucket{le=\"1\"} 1",
            "civicpress_realtime_event_delivery_seconds_bucket{le=\"+Inf\"} 2",
            "civicpress_realtime_event_delivery_seconds_sum 2.00007",
            "civicpress_realtime_event_delivery_seconds_count 2",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}");
        }
        assert!(text.contains("civicpress_realtime_closes_total{code=\"AUTH_FAILED\"} 1\n"));
    }
}
