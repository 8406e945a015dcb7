//! What others' dashboards and alerts ask for stays: the names of metrics, their kinds and labels.

use std::{collections::BTreeSet, sync::Arc};

use civicpress_realtime::events::speaker::Filter;
use serde_json::json;

use crate::{
    http::get,
    invariants::files_below,
    support::{Client, EventClient, Server, eventually, server::config},
};

/// Never taken away from, never renamed: kind, label if there is one, names.
const KEPT: [(&str, &str, &str); 9] = [
    (
        "gauge",
        "",
        "connections connections_max users addresses rooms room_members event_connections event_rooms \
         event_members room_size_average document_bytes resident_bytes messages_per_second queued_bytes \
         rooms_max store_queued store_degraded store_damaged host_degraded",
    ),
    (
        "counter",
        "",
        "store_commits_total store_rows_total store_commit_microseconds_total connections_opened_total \
         connections_closed_total messages_in_total bytes_in_total bytes_out_total rate_notices_total \
         updates_applied_total updates_unchanged_total updates_held_total updates_readonly_total \
         deliveries_total awareness_in_total awareness_out_total rooms_opened_total rooms_evicted_total \
         rooms_failed_total snapshots_total snapshot_failures_total snapshot_loads_total \
         snapshot_load_failures_total auth_failures_total permission_denials_total outside_changes_total \
         event_messages_in_total events_emitted_total event_encodes_total event_deliveries_total \
         events_dropped_total facts_dropped_total",
    ),
    ("counter", "code", "closes_total event_refusals_total"),
    ("counter", "reason", "requests_refused_total frames_refused_total"),
    ("counter", "class", "throttled_total"),
    (
        "counter",
        "outcome",
        "rechecks_total write_backs_total host_calls_total event_recoveries_total",
    ),
    ("histogram", "le", "event_delivery_seconds"),
    ("counter", "kind", "violations_total"),
    // The one that go-deployd's documents scale by.
    ("gauge", "", "websocket_connections_per_pod"),
];

/// Peers choose every name here, and each holds this.
const THEIRS: &str = "evil\"}";

#[test]
fn metrics_keep_their_names_and_no_label_is_a_peers() {
    let mut config = config();
    config.rate_limiting.connections_per_ip = 3;
    let server = Server::with(config, Arc::default());
    let mut client = EventClient::of(&server, &format!("editor:{THEIRS}"));
    client.join(THEIRS);
    client.emit(THEIRS, THEIRS, &json!(THEIRS));
    for message in [
        json!({ "type": THEIRS }),
        json!({ "type": "auth", "token": THEIRS }),
        json!({ "type": "join", "room": format!("user:{THEIRS}") }),
        json!({ "type": "emit", "event": THEIRS, "room": format!("collection:{THEIRS}") }),
    ] {
        client.say(&message);
    }
    client.say_text(THEIRS);
    client.settle();
    let filter = Filter { client_id: Some(client.id.clone()), ..Filter::default() };
    server.block_on(server.engine().events().disconnect(&filter, THEIRS));
    client.until_closed();
    for (name, value) in [("Origin", "https://evil.example"), ("X-Correlation-Id", "evil-id")] {
        drop(EventClient::at(server.address, "/socket.io/?a=evil", &[(name, value)]));
    }
    let _open = Client::join(&server.url("notes/evil"), "editor:evil");
    let mut refused = Client::connect(&server.url("notes/evil"), "evil");
    refused.until_closed();
    eventually("counted", || server.engine().metrics().closes.get("AUTH_FAILED") == 1);

    let text = get(&server, "/metrics", "").1;
    assert!(!text.contains("evil"), "{text}");
    let sources: String = files_below("src").into_iter().map(|(_, code)| code).collect();
    let mut labels = BTreeSet::new();
    for line in text.lines().filter(|line| line.contains('{')) {
        let (name, rest) = line.split_once('{').unwrap();
        let (label, rest) = rest.split_once("=\"").unwrap();
        let (value, _) = rest.split_once("\"} ").unwrap();
        assert!(sources.contains(&format!("\"{value}\"")), "the code never says {line}");
        labels.insert((name.trim_end_matches("_bucket"), label));
    }
    assert!(labels.len() > 3, "{text}");

    let mut there: BTreeSet<(String, String)> = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        there.insert((name.to_owned(), kind.to_owned()));
    }
    let mut kept = BTreeSet::new();
    for (kind, label, names) in KEPT {
        for name in names.split_whitespace() {
            let whole = match name {
                "websocket_connections_per_pod" => name.to_owned(),
                _ => format!("civicpress_realtime_{name}"),
            };
            for (_, other) in labels.iter().filter(|(labelled, _)| *labelled == whole) {
                assert_eq!(*other, label, "the label of {name}");
            }
            kept.insert((whole, kind.to_owned()));
        }
    }
    let gone: Vec<_> = kept.difference(&there).collect();
    assert!(gone.is_empty(), "somebody's dashboard asks for {gone:?}");
    let new: Vec<_> = there.difference(&kept).collect();
    assert!(new.is_empty(), "to be kept from now on: {new:?}");
}
