//! Checks 17–22: cursors come, move and go as they should.

use std::time::Duration;

use civicpress_realtime::protocol::{
    lib0::{Reader, write_string, write_var_uint},
    sync,
};

use crate::support::{Client, Server, client::Frame, eventually};

const EDITOR: &str = "editor:ada";

pub fn state(id: u64, clock: u64, json: &str) -> Vec<u8> {
    let mut body = Vec::new();
    write_var_uint(&mut body, 1);
    write_var_uint(&mut body, id);
    write_var_uint(&mut body, clock);
    write_string(&mut body, json);
    sync::awareness(&body)
}

pub fn entries(frame: &Frame) -> Vec<(u64, u64, String)> {
    let Frame::Awareness(body) = frame else { return Vec::new() };
    let mut reader = Reader::new(body);
    let count = reader.var_uint().unwrap();
    (0..count)
        .map(|_| {
            let (id, clock) = (reader.var_uint().unwrap(), reader.var_uint().unwrap());
            (id, clock, reader.string().unwrap().to_owned())
        })
        .collect()
}

fn until_state(client: &mut Client, id: u64, json: &str) {
    client.until(|frame| entries(frame).iter().any(|entry| entry.0 == id && entry.2 == json));
}

#[test]
fn a_dead_sockets_cursor_is_gone_for_all_and_for_later_joiners() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    ada.send(state(11, 1, r#"{"user":"ada"}"#));
    until_state(&mut bo, 11, r#"{"user":"ada"}"#);
    ada.vanish();
    until_state(&mut bo, 11, "null");
    let mut late = Client::join(&url, "editor:cy");
    late.settle(Duration::from_millis(100));
    assert!(late.seen.iter().all(|frame| entries(frame).is_empty()));
}

#[test]
fn a_joiner_learns_who_is_there() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = Client::join(&url, EDITOR);
    ada.send(state(11, 1, r#"{"user":"ada"}"#));
    eventually("taken", || server.engine().metrics().awareness_in.get() == 1);
    let mut bo = Client::join(&url, "editor:bo");
    until_state(&mut bo, 11, r#"{"user":"ada"}"#);
    bo.send(vec![3]);
    until_state(&mut bo, 11, r#"{"user":"ada"}"#);
}

/// The case that leaves ghosts behind on the JavaScript servers.
#[test]
fn leaving_and_returning_with_one_id_leaves_no_ghost() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let mut clock = 1;
    for _ in 0..3 {
        let mut ada = Client::join(&url, EDITOR);
        ada.send(state(11, clock, r#"{"here":true}"#));
        until_state(&mut bo, 11, r#"{"here":true}"#);
        ada.vanish();
        until_state(&mut bo, 11, "null");
        clock += 2;
    }
}

#[test]
fn the_old_half_open_socket_does_not_take_the_new_cursor_with_it() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let mut old = Client::join(&url, EDITOR);
    old.send(state(11, 1, r#"{"n":1}"#));
    until_state(&mut bo, 11, r#"{"n":1}"#);
    let mut new = Client::join(&url, EDITOR);
    new.send(state(11, 2, r#"{"n":2}"#));
    until_state(&mut bo, 11, r#"{"n":2}"#);
    old.vanish();
    bo.settle(Duration::from_millis(300));
    let gone = bo.seen.iter().flat_map(entries).any(|entry| entry.2 == "null");
    assert!(!gone, "the cursor of the new socket stays");
}

#[test]
fn nobody_speaks_for_or_removes_another() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut mallory) = (Client::join(&url, EDITOR), Client::join(&url, "editor:mallory"));
    let mut bo = Client::join(&url, "editor:bo");
    ada.send(state(11, 1, r#"{"user":"ada"}"#));
    until_state(&mut bo, 11, r#"{"user":"ada"}"#);
    mallory.send(state(66, 1, r#"{"user":"mallory"}"#));
    mallory.send(state(11, 5, r#"{"user":"forged"}"#));
    mallory.send(state(11, 6, "null"));
    mallory.send(state(66, 2, r#"{"user":"mallory","done":1}"#));
    until_state(&mut bo, 66, r#"{"user":"mallory","done":1}"#);
    let of_ada: Vec<_> = bo.seen.iter().flat_map(entries).filter(|entry| entry.0 == 11).collect();
    assert!(of_ada.iter().all(|entry| entry.2 == r#"{"user":"ada"}"#), "{of_ada:?}");
}

#[test]
fn cursors_coalesce_and_the_newest_wins() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    for clock in 1..=500 {
        ada.send(state(11, clock, &format!("{{\"at\":{clock}}}")));
    }
    until_state(&mut bo, 11, r#"{"at":500}"#);
    let frames = bo.seen.iter().filter(|frame| !entries(frame).is_empty()).count();
    assert!(frames < 250, "{frames} frames for 500 moves");
}

#[test]
fn hostile_states_cost_the_sender_its_session_only() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let long = format!("{{\"x\":\"{}\"}}", "x".repeat(20_000));
    for bad in ["{not json", "", "[]", "\"text\"", "7", "{}{}", "{\"a\":NaN}", &deep, &long] {
        let mut mallory = Client::join(&url, "editor:mallory");
        mallory.send(state(66, 1, bad));
        assert_eq!(mallory.until_closed().0, 1008);
    }
    bo.type_text("still here");
    let mut reader = Client::join(&url, EDITOR);
    reader.until_text("still here");
}

/// W01–W06: what one client can do to the others' cursors is nothing.
#[test]
fn odd_states_and_clocks_harm_nobody() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (Client::join(&url, EDITOR), Client::join(&url, "editor:bo"));
    ada.send(state(11, 1, r#"{"user":"ada"}"#));
    until_state(&mut bo, 11, r#"{"user":"ada"}"#);
    let mut mallory = Client::join(&url, "editor:mallory");
    // Removing, outbidding and exhausting the clock of another's id.
    for (clock, json) in [(1, "null"), (2, "null"), (1 << 52, "{}"), ((1 << 53) - 1, "null")] {
        mallory.send(state(11, clock, json));
    }
    // Nothing of one's own to remove; a clock that goes back; keys that mean something to JavaScript.
    mallory.send(state(66, 9, "null"));
    mallory.send(state(66, 5, r#"{"__proto__":{"admin":true},"constructor":1}"#));
    mallory.send(state(66, 4, r#"{"old":1}"#));
    mallory.send(state(66, 6, r#"{"done":1}"#));
    until_state(&mut bo, 66, r#"{"done":1}"#);
    let seen: Vec<_> = bo.seen.iter().flat_map(entries).collect();
    assert!(seen.iter().filter(|entry| entry.0 == 11).all(|entry| entry.2 == r#"{"user":"ada"}"#));
    assert!(!seen.iter().any(|entry| entry.2 == r#"{"old":1}"#), "{seen:?}");
    ada.send(state(11, 2, r#"{"user":"ada","at":2}"#));
    until_state(&mut bo, 11, r#"{"user":"ada","at":2}"#);
}

#[test]
fn a_socket_speaks_for_so_many_ids_and_no_more() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut mallory, mut bo) =
        (Client::join(&url, "editor:mallory"), Client::join(&url, "editor:bo"));
    for id in 100..200 {
        mallory.send(state(id, 1, "{}"));
    }
    mallory.send(state(100, 2, r#"{"last":1}"#));
    until_state(&mut bo, 100, r#"{"last":1}"#);
    let mut ids: Vec<_> = bo.seen.iter().flat_map(entries).map(|entry| entry.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (100..108).collect::<Vec<_>>());
    // Those of a dead socket are gone at once, and free for others.
    mallory.vanish();
    until_state(&mut bo, 100, "null");
    let mut cy = Client::join(&url, "editor:cy");
    cy.send(state(100, 1, r#"{"user":"cy"}"#));
    until_state(&mut bo, 100, r#"{"user":"cy"}"#);
}

/// More than a lagging reader would be sent at once.
#[test]
fn a_joiner_of_a_crowd_sees_everybody() {
    let mut config = crate::support::server::config();
    config.awareness.ids_max = 1000;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let mut crowd = Client::join(&url, EDITOR);
    let json = format!("{{\"user\":\"{}\"}}", "x".repeat(500));
    for id in 0..300 {
        crowd.send(state(id, 1, &json));
    }
    eventually("taken", || server.engine().metrics().awareness_in.get() == 300);
    let mut late = Client::join(&url, "editor:bo");
    late.until(|frame| entries(frame).len() == 300);
}

#[test]
fn a_stamped_state_carries_the_verified_identity() {
    let mut config = crate::support::server::config();
    config.awareness.stamp_identity = true;
    let server = Server::with(config, std::sync::Arc::default());
    let url = server.url("notes/a");
    let (mut mallory, mut bo) =
        (Client::join(&url, "editor:mallory"), Client::join(&url, "editor:bo"));
    mallory.send(state(
        66,
        1,
        r##"{"user":{"name":"The Mayor","id":"1","color":"#f00"},"cursor":null}"##,
    ));
    let expected = r##"{"cursor":null,"user":{"color":"#f00","name":"mallory","id":"mallory"}}"##;
    until_state(&mut bo, 66, expected);
    let mut late = Client::join(&url, "viewer:vi");
    until_state(&mut late, 66, expected);
    let all: String =
        bo.seen.iter().chain(&late.seen).flat_map(entries).map(|entry| entry.2).collect();
    assert!(!all.contains("Mayor"));
}

#[test]
fn presence_is_data() {
    let server = Server::start();
    let url = server.url("notes/a");
    let _ada = Client::join(&url, EDITOR);
    let _vi = Client::join(&url, "viewer:vi");
    let present = server.block_on(server.engine().presence("notes:a")).unwrap();
    let names: Vec<_> =
        present.iter().map(|one| (one.name.as_str(), one.can_edit, one.idle)).collect();
    assert_eq!(names, [("ada", true, false), ("vi", false, false)]);
    assert!(server.block_on(server.engine().presence("notes:empty")).unwrap().is_empty());
}
