//! The first documents' JSON protocol, beside clients that speak y-websocket.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use civicpress_realtime::protocol::sync;
use serde_json::{Value, json};

use crate::{
    awareness::{entries, state},
    support::{Client, FakeHost, JsonClient, Server, client::Frame, server::config},
};

const ADA: &str = "editor:ada";

fn presence(event: &'static str, user: &'static str) -> impl Fn(&Value) -> bool {
    move |message| {
        message["type"] == "presence" && message["event"] == event && message["user"]["id"] == user
    }
}

fn cursor(position: u64) -> Value {
    json!({
        "type": "presence", "event": "cursor", "user": { "id": "somebody else", "name": "Mayor" },
        "cursor": { "position": position, "selection": { "start": 1, "end": 2 } },
    })
}

#[test]
fn json_and_binary_clients_share_a_room() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = JsonClient::join(&url, ADA);
    let mut bo = Client::join(&url, "editor:bo");
    let mut cy = JsonClient::join(&url, "editor:cy");
    ada.type_text("from ada ");
    bo.until_text("from ada ");
    cy.until_text("from ada ");
    bo.type_text("and bo");
    ada.until_text("from ada and bo");
    cy.until_text("from ada and bo");
    let from: Vec<_> = cy.seen.iter().filter(|message| message["type"] == "sync").collect();
    assert_eq!((&from[0]["from"], &from[1]["from"]), (&json!("ada"), &json!("bo")));
    assert_eq!((&from[0]["version"], &from[1]["version"]), (&json!(1), &json!(2)));
    assert!(
        ada.seen.iter().all(|message| message["type"] != "sync" || message["from"] == "bo"),
        "the author gets no echo"
    );
}

#[test]
fn a_client_starts_from_the_rooms_state() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    bo.type_text("before");
    let mut ada = JsonClient::connect(&url, &["civicpress.json.v1"], "editor:ada");
    let first = ada.next().unwrap();
    assert_eq!(
        (&first["type"], &first["event"], &first["room"]["id"], &first["room"]["version"]),
        (&json!("control"), &json!("room_state"), &json!("notes:a"), &json!(1))
    );
    let people = first["room"]["participants"].as_array().unwrap();
    let people: Vec<_> = people.iter().map(|p| (p["id"].as_str(), p["name"].as_str())).collect();
    assert_eq!(people, [(Some("ada"), Some("ada")), (Some("bo"), Some("bo"))]);
    assert!(first["room"]["participants"][0]["color"].as_str().unwrap().starts_with('#'));
    assert_eq!((&first["canEdit"], ada.text()), (&json!(true), "before".into()));
}

/// As the documents print it: the client offers no protocol but its token.
#[test]
fn a_client_is_known_by_its_first_words() {
    let host = FakeHost::with_record("a", "# Title\n");
    let mut server = Server::with(config(), host);
    let mut ada = JsonClient::connect(&server.url("record/a"), &[], "editor:ada");
    ada.say(&json!({ "type": "presence", "event": "joined", "user": { "color": "#3b82f6" } }));
    let state = ada.until_event("room_state");
    assert_eq!(state["room"]["id"], "record:a", "as the client calls it");
    assert_eq!(state["room"]["version"], 1, "the record's text is the first update");
    let mut bo = JsonClient::connect(&server.url("records/a?protocol=json"), &[], "editor:bo");
    let state = bo.until_event("room_state");
    assert_eq!(state["room"]["id"], "records:a");
    assert_eq!(state["room"]["participants"][0]["color"], "#3b82f6");
    ada.type_text("beside the record");
    bo.until_text("beside the record");
    let mut cy = JsonClient::connect(&server.url("record/a"), &[], "editor:cy");
    cy.type_text("");
    assert_eq!(cy.until_event("room_state")["room"]["id"], "record:a");
    assert_eq!(server.engine().revoke_user("cy", ""), 1);
    cy.until_event("session.revoked");
    server.stop();
    let told = ada.until_event("error");
    assert_eq!(told["error"]["context"]["roomId"], "record:a", "to the end");
    let told = bo.until_event("error");
    assert_eq!(told["error"]["context"]["roomId"], "records:a");
}

#[test]
fn cursors_of_json_clients_coalesce_and_the_newest_wins() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (JsonClient::join(&url, ADA), JsonClient::join(&url, "editor:bo"));
    for position in 1..=500 {
        ada.say(&cursor(position));
    }
    bo.until(|message| message["cursor"]["position"] == 500);
    let told = bo.seen.iter().filter(|message| message["event"] == "cursor").count();
    assert!(told < 250, "{told} messages for 500 moves");
}

#[test]
fn who_spoke_binary_first_stays_with_it() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let text = tungstenite::Message::Text(cursor(1).to_string().into());
    bo.socket.send(text).unwrap();
    bo.type_text("x");
    let mut ada = JsonClient::join(&url, ADA);
    ada.until_text("x");
    assert!(!bo.seen.iter().any(|frame| matches!(frame, Frame::Text(_))));
}

#[test]
fn versions_grow_survive_a_reload_and_refuse_nothing() {
    let server = Server::start();
    let mut ada = JsonClient::join(&server.url("notes/a"), ADA);
    for (said, word) in [(0, "a"), (0, "b"), (1 << 60, "c")] {
        ada.version = said;
        ada.type_text(word);
    }
    let last = ada.until(|message| message["type"] == "ack" && message["updates"] == 3);
    assert_eq!(last["version"], 3, "the server's");
    drop(ada);
    let server = server.restart();
    let mut ada = JsonClient::join(&server.url("notes/a"), ADA);
    assert_eq!((ada.version, ada.text()), (3, "abc".into()));
    ada.type_text("d");
    assert_eq!(ada.until(|message| message["type"] == "ack")["version"], 4);
}

#[test]
fn what_is_acknowledged_to_json_survives_a_crash() {
    let mut server = Server::start();
    let mut ada = JsonClient::join(&server.url("notes/a"), ADA);
    for number in 0..20 {
        ada.type_text(&format!("{number} "));
    }
    ada.until(|message| message["type"] == "ack" && message["updates"] == 20);
    let expected = ada.text();
    server.kill();
    let server = server.again();
    assert_eq!(JsonClient::join(&server.url("notes/a"), "editor:bo").text(), expected);
}

#[test]
fn a_client_asks_for_what_it_lacks_and_is_asked() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = JsonClient::join(&url, ADA);
    ada.type_text("known");
    ada.say(&json!({ "type": "sync" }));
    let answer = ada.until(|message| message["type"] == "sync");
    assert_eq!((&answer["version"], answer.get("from")), (&json!(1), None));
    // An update that builds on one the server never got.
    ada.edit(" lost");
    ada.type_text(" later");
    ada.until_event("sync_request");
    let all = json!({ "type": "sync", "update": ada.state(), "answer": true });
    ada.say(&all);
    let mut bo = Client::join(&url, "editor:bo");
    bo.until_text("known lost later");
}

#[test]
fn presence_becomes_awareness_under_the_verified_name() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let mut ada = JsonClient::join(&url, ADA);
    ada.say(&cursor(42));
    let frame = bo.until(|frame| matches!(frame, Frame::Awareness(body) if body.len() > 1));
    let (id, _, text) = entries(&frame).remove(0);
    let state: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&state["user"]["id"], &state["user"]["name"]), (&json!("ada"), &json!("ada")));
    assert_eq!(state["textCursor"]["position"], 42);
    assert_eq!(state.get("cursor"), None, "editors would break on it");
    let mut cy = JsonClient::join(&url, "editor:cy");
    let seen = cy.until(presence("cursor", "ada"));
    assert_eq!(seen["cursor"], json!({ "position": 42, "selection": { "start": 1, "end": 2 } }));
    assert_eq!((&seen["idle"], &seen["user"]["name"]), (&json!(false), &json!("ada")));
    drop(ada);
    bo.until(|frame| entries(frame).contains(&(id, entries(frame)[0].1, "null".into())));
    cy.until(presence("left", "ada"));
}

#[test]
fn awareness_becomes_presence_of_its_owner() {
    let server = Server::start();
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (JsonClient::join(&url, ADA), Client::join(&url, "editor:bo"));
    ada.until(presence("joined", "bo"));
    let said = state(11, 1, r#"{"user":{"name":"Mayor"},"cursor":{"anchor":1}}"#);
    bo.send(said.clone());
    let seen = ada.until(presence("awareness", "bo"));
    assert_eq!(seen["user"]["name"], "bo");
    let body = STANDARD.decode(seen["awareness"].as_str().unwrap()).unwrap();
    assert_eq!(sync::awareness(&body), said);
    // Nobody speaks for another in this protocol either.
    ada.say(&json!({
        "type": "presence", "event": "awareness",
        "awareness": STANDARD.encode(&state(11, 9, "null")[2..]),
    }));
    ada.settle();
    let mut cy = JsonClient::join(&url, "editor:cy");
    cy.until(presence("awareness", "bo"));
}

#[test]
fn a_user_comes_with_the_first_and_goes_with_the_last_session() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut ada = JsonClient::join(&url, ADA);
    let (one, two) = (JsonClient::join(&url, "editor:bo"), Client::join(&url, "editor:bo"));
    drop(one);
    let mut cy = JsonClient::join(&url, "editor:cy");
    ada.until(presence("joined", "cy"));
    cy.type_text("x");
    ada.until_text("x");
    drop(two);
    ada.until(presence("left", "bo"));
    let told = ada.seen.iter().filter(|message| message["user"]["id"] == "bo").count();
    assert_eq!(told, 2, "{:?}", ada.seen);
}

#[test]
fn who_falls_idle_and_comes_back_is_told() {
    let mut config = config();
    config.presence.idle_after_seconds = 1;
    let server = Server::with(config, FakeHost::with_record("a", ""));
    let url = server.url("notes/a");
    let (mut ada, mut bo) = (JsonClient::join(&url, ADA), JsonClient::join(&url, "editor:bo"));
    bo.say(&cursor(1));
    ada.until(|message| presence("cursor", "bo")(message) && message["idle"] == false);
    ada.until(|message| presence("cursor", "bo")(message) && message["idle"] == true);
    bo.type_text("back");
    ada.until(|message| presence("cursor", "bo")(message) && message["idle"] == false);
}

#[test]
fn a_viewer_that_speaks_json_cannot_edit() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut viewer = JsonClient::connect(&url, &["civicpress.json.v1"], "viewer:vi");
    assert_eq!(viewer.until_event("room_state")["canEdit"], false);
    viewer.type_text("not allowed");
    let told = viewer.until_event("error");
    assert_eq!(told["error"]["code"], "PERMISSION_DENIED");
    viewer.settle();
    assert!(viewer.seen.iter().all(|message| message["type"] != "ack"));
    assert_eq!(server.engine().metrics().updates_applied.get(), 0);
}

#[test]
fn what_is_not_understood_is_answered_and_the_session_lives_on() {
    let server = Server::start();
    let mut ada = JsonClient::join(&server.url("notes/a"), ADA);
    for (bad, code) in [
        ("{nonsense", "control_invalid"),
        (r#"{"type":"sync","update":"!"}"#, "json_base64"),
        (r#"{"type":"sync","update":7}"#, "json_shape"),
        (r#"{"type":"sync","update":"dGVzdA=="}"#, "INVALID_YJS_UPDATE"),
        (r#"{"type":"sync","stateVector":"/w=="}"#, "INVALID_YJS_UPDATE"),
        (r#"{"type":"presence","event":"cursor","cursor":{"position":"x"}}"#, "json_shape"),
    ] {
        ada.say_text(bad);
        assert_eq!(ada.until_event("error")["error"]["code"], code, "{bad}");
    }
    let refused = &server.engine().metrics().frames_refused;
    assert_eq!((refused.get("control_invalid"), refused.get("json_shape")), (1, 2));
    ada.type_text("still here");
    ada.until(|message| message["type"] == "ack");
}

#[test]
fn who_is_refused_is_told_in_json() {
    let server = Server::start();
    let protocols = ["civicpress.json.v1"];
    let mut nobody = JsonClient::connect(&server.url("notes/a"), &protocols, "nonsense");
    assert_eq!(nobody.until_event("error")["error"]["code"], "AUTH_FAILED");
    assert_eq!(nobody.until_closed().0, 4001);
}

#[test]
fn an_admin_kicks_who_then_stays_out() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut chair = JsonClient::join(&url, "admin:chair");
    let (mut bo, mut ada) = (JsonClient::join(&url, "editor:bo"), JsonClient::join(&url, ADA));
    let kick = json!({
        "type": "control", "event": "kick", "user": { "id": "bo" }, "reason": "off topic",
    });
    ada.say(&kick);
    assert_eq!(ada.until_event("error")["error"]["code"], "PERMISSION_DENIED");
    chair.say(&kick);
    let told = bo.until_event("error");
    assert_eq!(told["error"]["code"], "KICKED");
    assert_eq!(bo.until_closed(), (4403, r#"{"code":"KICKED","reason":"off topic"}"#.into()));
    chair.until(presence("left", "bo"));
    let mut again = Client::connect(&url, "editor:bo");
    assert_eq!(again.until_closed().0, 4403);
    let elsewhere = Client::join(&server.url("notes/b"), "editor:bo");
    assert_eq!(elsewhere.text(), "");
}

#[test]
fn a_locked_room_takes_no_edits_and_loses_none() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let (mut chair, mut ada) = (JsonClient::join(&url, "admin:chair"), JsonClient::join(&url, ADA));
    chair.say(&json!({ "type": "control", "event": "lock" }));
    assert_eq!(ada.until_event("lock")["by"], "chair");
    bo.until(|frame| matches!(frame, Frame::Denied(_)));
    ada.type_text("held back ");
    ada.settle();
    bo.type_text("too");
    let mut late = JsonClient::join(&url, "editor:cy");
    late.until_event("lock");
    assert_eq!((late.text(), server.engine().metrics().updates_applied.get()), (String::new(), 0));
    chair.say(&json!({ "type": "control", "event": "unlock" }));
    ada.until_event("sync_request");
    let all = json!({ "type": "sync", "update": ada.state(), "answer": true });
    ada.say(&all);
    ada.until(|message| message["type"] == "ack" && message["updates"] == 2);
    bo.until(|frame| matches!(frame, Frame::Step1(_)));
    while !(late.text().contains("held back ") && late.text().contains("too")) {
        late.next().unwrap();
    }
}

#[test]
fn everybody_is_told_what_admins_say() {
    let server = Server::start();
    let url = server.url("notes/a");
    let mut bo = Client::join(&url, "editor:bo");
    let mut chair = JsonClient::join(&url, "admin:chair");
    chair.say(&json!({
        "type": "control", "event": "notice", "notice": { "level": "warning", "message": "Published" },
    }));
    let told = chair.until_event("notice");
    assert_eq!(told["notice"], json!({ "level": "warning", "message": "Published" }));
    bo.until(
        |frame| matches!(frame, Frame::Json(json) if json["notice"]["message"] == "Published"),
    );
}
