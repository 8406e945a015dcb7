//! Rooms of events with many members, fast speakers and slow readers.

use std::{sync::Arc, thread};

use civicpress_realtime::limits::OUTBOX_BYTES_MAX;
use serde_json::{Value, json, value::to_raw_value};
use tungstenite::Message;

use crate::{
    events::quick,
    support::{EventClient, Server, eventually, resident_bytes, server::config},
};

const ADA: &str = "editor:ada";

#[test]
fn an_event_is_encoded_once_for_a_thousand_members() {
    let server = quick();
    let mut members: Vec<_> = (0..1000).map(|_| EventClient::plain(&server)).collect();
    for member in &mut members {
        member.join("public:r");
    }
    let mut ada = EventClient::of(&server, ADA);
    ada.emit("public:r", "e", &json!("x"));
    for member in &mut members {
        assert_eq!(member.next()["event"], "e");
    }
    let metrics = server.engine().metrics();
    assert_eq!((metrics.event_encodes.get(), metrics.event_deliveries.get()), (1, 1000));
    // With one who understands more there are two forms.
    let mut cy = EventClient::extended(&server, "editor:cy");
    cy.join("public:r");
    ada.emit("public:r", "e", &json!("x"));
    assert_eq!(cy.event("e")["from"]["user_id"], "ada");
    assert_eq!(metrics.event_encodes.get(), 3);
}

/// Hears `count` events in order; how many frames that took.
fn frames_of(client: &mut EventClient, count: u64) -> usize {
    let (mut heard, mut frames) = (0, 0);
    while heard < count {
        let text = client.next_text();
        frames += 1;
        let messages = match serde_json::from_str(&text).unwrap() {
            Value::Array(several) => {
                assert!(several.len() > 1, "a lone one stands by itself");
                several
            }
            one => vec![one],
        };
        for message in messages {
            assert_eq!((&message["data"], &message["offset"]), (&json!(heard), &json!(heard + 1)));
            heard += 1;
        }
    }
    frames
}

#[test]
fn who_asks_for_it_hears_neighbouring_events_in_one_message() {
    let burst = 2000;
    for allowed in [true, false] {
        let mut config = config();
        config.performance.batch_message_processing = allowed;
        config.limits.message_rate_limit = 100_000;
        let server = Server::with(config, Arc::default());
        let [mut ada, mut bo] = ["/socket.io/?batch=true", "/socket.io/"].map(|path| {
            EventClient::greeted(&server, path, &["civicpress.events.v1", "auth.editor:ada"])
        });
        for client in [&mut ada, &mut bo] {
            assert_eq!(client.next()["type"], "auth");
            client.join("r");
        }
        for number in 0..burst {
            server.engine().events().tell(Some("r"), "e", to_raw_value(&number).ok()).unwrap();
        }
        let batched = frames_of(&mut ada, burst) < 2000;
        assert_eq!((batched, frames_of(&mut bo, burst)), (allowed, 2000));
        let encodes = server.engine().metrics().event_encodes.get();
        assert_eq!(encodes, burst, "once for both");
    }
}

#[test]
fn healthy_clients_survive_a_burst_whole_and_in_order() {
    let server = quick();
    let burst = 5000;
    let mut ada = EventClient::of(&server, ADA);
    let mut members: Vec<_> = (0..50).map(|_| EventClient::plain(&server)).collect();
    for member in &mut members {
        member.join("public:r");
    }
    let readers: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            thread::spawn(move || {
                for number in 0..burst {
                    assert_eq!(member.next()["data"], number);
                }
            })
        })
        .collect();
    for number in 0..burst {
        ada.emit("public:r", "e", &json!(number));
    }
    for reader in readers {
        reader.join().unwrap();
    }
    let metrics = server.engine().metrics();
    assert_eq!(metrics.event_deliveries.get(), 50 * burst);
    assert_eq!(metrics.closes.get("SLOW_CONSUMER"), 0);
}

#[test]
fn who_does_not_read_is_cut_and_delays_nobody() {
    let server = quick();
    let mut ada = EventClient::of(&server, ADA);
    let mut bo = EventClient::of(&server, "editor:bo");
    bo.join("r");
    let mut stuck: Vec<_> = (0..5).map(|_| EventClient::of(&server, ADA)).collect();
    for client in &mut stuck {
        client.join("r");
    }
    let before = resident_bytes();
    let data = json!("x".repeat(60_000));
    let metrics = server.engine().metrics();
    let mut sent = 0;
    while metrics.closes.get("SLOW_CONSUMER") < 5 {
        assert!(sent < 2000, "never cut");
        // One of them also sends nonsense all the time, before and after it is cut.
        drop(stuck[0].socket.send(Message::Text("nonsense".into())));
        ada.emit("r", "e", &data);
        assert_eq!(bo.next()["event"], "e", "who reads hears each at once");
        sent += 1;
    }
    assert!(resident_bytes() < before + 16 * OUTBOX_BYTES_MAX as u64, "memory is bounded");
    eventually("they are out of the room", || metrics.event_members.get() == 1);
    let (_, code, reason) = stuck.pop().unwrap().until_closed();
    assert_eq!((code, reason.contains("SLOW_CONSUMER")), (4508, true), "{reason}");
}

#[test]
fn who_reads_nothing_for_long_is_cut_before_its_queue_is_full() {
    let mut config = config();
    config.limits.message_rate_limit = 1_000_000;
    config.limits.message_buffer_size = 10;
    let server = Server::with_clock(config, Arc::default());
    let mut ada = EventClient::of(&server, ADA);
    let mut stuck = EventClient::of(&server, ADA);
    stuck.join("r");
    let data = json!("x".repeat(60_000));
    let metrics = server.engine().metrics();
    let mut said = 0;
    eventually("it is cut", || {
        // Enough that the kernel is full; then time passes.
        if said < 150 {
            ada.emit("r", "e", &data);
            ada.settle();
            said += 1;
        } else {
            server.forward(std::time::Duration::from_secs(1));
        }
        metrics.closes.get("SLOW_CONSUMER") == 1
    });
}
