//! Acknowledged means durable.

use std::time::Duration;

use civicpress_realtime::protocol::sync;

use crate::support::{Client, Server, client::Frame};

fn acked(frame: &Frame) -> Option<u64> {
    match frame {
        Frame::Json(json) if json["type"] == "ack" => json["updates"].as_u64(),
        _ => None,
    }
}

#[test]
fn every_acknowledged_edit_survives_a_crash() {
    let mut server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&format!("{url}?ack=json"), "editor:ada");
    for number in 0..50 {
        ada.type_text(&format!("{number} "));
    }
    // 50 edits, and the answer to the server's step 1.
    let mut durable = 0;
    while durable < 51 {
        if let Some(count) = acked(&ada.next()) {
            assert!(count > durable, "acknowledgements grow");
            durable = count;
        }
    }
    let expected = ada.text();
    server.kill();
    let server = server.again();
    let reader = Client::join(&server.url("notes/a"), "editor:bo");
    assert_eq!(reader.text(), expected);
}

#[test]
fn a_refused_edit_is_never_acknowledged() {
    let server = Server::start();
    let url = server.url("notes/a?ack=json");
    let mut viewer = Client::join(&url, "viewer:vi");
    viewer.type_text("not allowed");
    viewer.settle(Duration::from_millis(300));
    let most = viewer.seen.iter().filter_map(acked).max();
    assert_eq!(most, Some(1), "only the empty answer to step 1");
    assert_eq!(server.engine().metrics().updates_applied.get(), 0);
}

#[test]
fn an_edit_that_changes_nothing_is_acknowledged() {
    let server = Server::start();
    let url = server.url("notes/a?ack=json");
    let mut ada = Client::join(&url, "editor:ada");
    let update = ada.type_text("x");
    ada.send(sync::update(&update));
    ada.until(|frame| acked(frame) == Some(3));
}

#[test]
fn stock_clients_get_no_acknowledgement() {
    let server = Server::start();
    let mut ada = Client::join(&server.url("notes/a"), "editor:ada");
    ada.type_text("x");
    ada.settle(Duration::from_millis(200));
    assert!(ada.seen.iter().all(|frame| acked(frame).is_none()));
    assert!(!ada.seen.iter().any(|frame| matches!(frame, Frame::Text(_))), "never a text frame");
}
