//! Rights to rooms of events that change while somebody is there: by the host, another token, or time.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{EventClient, FakeHost, Server, eventually, server::with_rules};

const ADA: &str = "editor:ada";
const BO: &str = "editor:bo";

fn refused(answer: &Value) -> bool {
    answer["code"] == "PERMISSION_DENIED"
}

#[test]
fn presence_asked_for_by_a_second_join_is_told() {
    let server = Server::start();
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("r");
    ada.ask(json!({ "type": "join", "room": "r", "presence": true }));
    let mut bo = EventClient::extended(&server, BO);
    bo.join("r");
    let told = ada.settle();
    assert!(told.iter().any(|message| message["type"] == "presence"), "{told:?}");
}

#[test]
fn presence_by_the_host_is_asked_of_the_host() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "presence": "host" }]);
    let server = Server::with(with_rules(&rules), FakeHost::with_record("budget", "# B\n"));
    let mut ada = EventClient::extended(&server, ADA);
    ada.ask(json!({ "type": "join", "room": "records:budget", "presence": true }));
    let mut bo = EventClient::extended(&server, BO);
    bo.join("records:budget");
    let told = ada.settle();
    assert!(told.iter().any(|message| message["type"] == "presence"), "{told:?}");
}

#[test]
fn who_lost_the_right_to_presence_is_told_of_nobody() {
    let rules = json!([{ "rooms": "desk", "join": "users", "presence": ["clerk"] }]);
    let server = Server::with(with_rules(&rules), Arc::default());
    let mut client = EventClient::extended(&server, "clerk:cy");
    client.ask(json!({ "type": "join", "room": "desk", "presence": true }));
    client.auth("viewer:val");
    assert!(refused(&client.ask(json!({ "type": "presence", "room": "desk" }))));
    let mut bo = EventClient::extended(&server, BO);
    bo.join("desk");
    let told = client.settle();
    assert!(!told.iter().any(|message| message["type"] == "presence"), "{told:?}");
}

#[test]
fn who_has_expired_says_nothing_as_somebody() {
    let rules = json!([{ "rooms": "open:*", "join": "anyone", "emit": "anyone" }]);
    let server = Server::with(with_rules(&rules), Arc::default());
    let mut ada = EventClient::extended(&server, "editor:ada:1500");
    let mut bo = EventClient::extended(&server, BO);
    ada.join("open:a");
    bo.join("open:a");
    ada.until(|message| message["code"] == "TOKEN_EXPIRED");
    ada.emit("open:a", "e", &json!(1));
    let heard = bo.event("e");
    assert_eq!(heard["from"].get("user_id"), None, "{heard}");
}

#[test]
fn what_the_host_allowed_another_is_left() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "emit": "host" }]);
    let server = Server::with(with_rules(&rules), FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "viewer:val");
    client.join("records:budget");
    // A role that the host lets see nothing.
    client.say(&json!({ "type": "auth", "token": "stranger:sam" }));
    client.until(|message| message["type"] == "left");
    client.until(|message| message["type"] == "auth");
    server.engine().revoke_user("val", "left");
    let hub = server.engine().events();
    hub.tell(Some("records:budget"), "secret", None).unwrap();
    let heard = client.settle();
    assert!(!heard.iter().any(|message| message["event"] == "secret"), "{heard:?}");
}

#[test]
fn what_the_host_takes_back_is_left() {
    let rules = json!([{ "rooms": "records:*", "join": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 10;
    let host = FakeHost::with_record("budget", "# B\n");
    let server = Server::with_clock(config, host);
    let mut client = EventClient::extended(&server, "viewer:val");
    client.join("records:budget");
    server.host.give_role("val", "stranger");
    server.forward(Duration::from_secs(11));
    client.until(|message| message["type"] == "left" && message["room"] == "records:budget");
    let again = client.ask(json!({ "type": "leave", "room": "none" }));
    assert_eq!(again["type"], "left", "the session lives");
    server.engine().events().tell(Some("records:budget"), "secret", None).unwrap();
    let heard = client.settle();
    assert!(!heard.iter().any(|message| message["event"] == "secret"), "{heard:?}");
}

#[test]
fn the_host_is_asked_of_who_speaks_from_outside() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "emit": "host" }]);
    let server = Server::with(with_rules(&rules), FakeHost::with_record("budget", "# B\n"));
    let mut ada = EventClient::extended(&server, ADA);
    let emit = json!({ "type": "emit", "room": "records:budget", "event": "e" });
    assert_eq!(ada.ask(emit)["type"], "ack", "the host lets it in, and speak");
}

/// The sample of docs/events.md.
#[test]
fn a_users_board_is_no_other_users() {
    let nobody = "nobody";
    let rules = json!([
        { "rooms": "board:{user}:*", "join": "users" },
        { "rooms": "board:*", "join": nobody, "emit": nobody, "presence": nobody },
    ]);
    let server = Server::with(with_rules(&rules), Arc::default());
    let mut ada = EventClient::extended(&server, ADA);
    ada.join("board:ada:notes");
    let mut bo = EventClient::extended(&server, BO);
    assert!(refused(&bo.ask(json!({ "type": "join", "room": "board:ada:notes" }))));
}

#[test]
fn a_host_that_does_not_answer_is_taken_at_its_word_for_a_while() {
    let rules = json!([{ "rooms": "records:*", "join": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 10;
    config.auth.timeout_ms = 1000;
    let server = Server::with_clock(config, FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "viewer:val");
    client.join("records:budget");
    server.host.authorize_delay_ms.store(100_000, Ordering::Relaxed);
    let looks = |outcome: &str| server.engine().metrics().rechecks.get(outcome);
    for look in 1..=2 {
        server.forward(Duration::from_secs(10));
        eventually("the host is asked", || server.host.deciding.load(Ordering::Relaxed) > 0);
        server.forward(Duration::from_secs(1));
        eventually("and gave no answer", || looks("unanswered") == look);
    }
    server.engine().events().tell(Some("records:budget"), "e", None).unwrap();
    client.event("e");
    server.forward(Duration::from_secs(10));
    eventually("the host is asked", || server.host.deciding.load(Ordering::Relaxed) > 0);
    server.forward(Duration::from_secs(1));
    client.until(|message| message["type"] == "left");
    assert_eq!(looks("given_up"), 1);
}

/// docs/events.md: "a host that does not answer three times in a row counts as a no". Two questions of one look are no two times.
#[test]
fn who_watches_is_given_three_looks_too() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "presence": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 10;
    config.auth.timeout_ms = 1000;
    let server = Server::with_clock(config, FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "viewer:val");
    client.ask(json!({ "type": "join", "room": "records:budget", "presence": true }));
    server.host.authorize_delay_ms.store(100_000, Ordering::Relaxed);
    for _ in 1..=2 {
        server.forward(Duration::from_secs(10));
        eventually("the host is asked", || server.host.deciding.load(Ordering::Relaxed) > 0);
        server.forward(Duration::from_secs(1));
        eventually("no answer", || server.host.deciding.load(Ordering::Relaxed) == 0);
    }
    let told = client.settle();
    assert!(!told.iter().any(|message| message["type"] == "left"), "after two looks: {told:?}");
}

/// A look that is under way when the token's time is over says nothing of nobody.
#[test]
fn a_look_is_not_remembered_for_nobody() {
    let rules = json!([{ "rooms": "records:*", "join": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 1;
    config.auth.timeout_ms = 5000;
    let server = Server::with(config, FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "viewer:val:2000");
    client.ask(json!({ "type": "join", "room": "records:budget" }));
    server.host.authorize_delay_ms.store(1500, Ordering::Relaxed);
    // Else looks at the session renew what the token of this fake holds.
    server.host.auth_delay_ms.store(60_000, Ordering::Relaxed);
    client.until(|message| message["code"] == "TOKEN_EXPIRED");
    std::thread::sleep(Duration::from_millis(900));
    server.host.authorize_delay_ms.store(0, Ordering::Relaxed);
    let asked = server.host.authorizations.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(100));
    client.ask(json!({ "type": "leave", "room": "records:budget" }));
    let again = client.ask(json!({ "type": "join", "room": "records:budget" }));
    let asked = server.host.authorizations.load(Ordering::Relaxed) - asked;
    assert_eq!(
        again["code"], "PERMISSION_DENIED",
        "nobody came in, the host was asked {asked} times: {again}"
    );
}

/// A token whose time ends while the host is asked about its rooms is not accepted after it ended.
#[test]
fn who_has_expired_meanwhile_is_not_authenticated() {
    let rules = json!([{ "rooms": "records:*", "join": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.timeout_ms = 5000;
    let server = Server::with(config, FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "viewer:val");
    client.join("records:budget");
    server.host.authorize_delay_ms.store(1500, Ordering::Relaxed);
    client.say(&json!({ "type": "auth", "token": "editor:ada:700", "ack": "a" }));
    client.until(|message| message["code"] == "TOKEN_EXPIRED");
    let answer = client.until(|message| message["ack"] == "a");
    assert_ne!(answer["type"], "auth", "{answer}");
}

/// The host's word on a role that changed while it was asked.
#[test]
fn what_the_host_said_of_the_former_role_is_not_remembered() {
    let rules = json!([{ "rooms": "records:*", "join": "host", "emit": "host" }]);
    let mut config = with_rules(&rules);
    config.auth.recheck_seconds = 4;
    config.auth.timeout_ms = 60_000;
    let server = Server::with(config, FakeHost::with_record("budget", "# B\n"));
    let mut client = EventClient::extended(&server, "editor:ada");
    client.join("records:budget");
    let authentications = server.host.authentications.load(Ordering::Relaxed);
    // The host answers of the editor only after the role has changed.
    server.host.authorize_delay_ms.store(5000, Ordering::Relaxed);
    client.say(&json!({ "type": "emit", "room": "records:budget", "event": "e", "ack": "one" }));
    eventually("asked", || server.host.deciding.load(Ordering::Relaxed) > 0);
    server.host.give_role("ada", "viewer");
    eventually("renewed", || server.host.authentications.load(Ordering::Relaxed) > authentications);
    client.until(|message| message["ack"] == "one");
    server.host.authorize_delay_ms.store(0, Ordering::Relaxed);
    let again = client.ask(json!({ "type": "emit", "room": "records:budget", "event": "e" }));
    assert_eq!(again["code"], "PERMISSION_DENIED", "a viewer spoke: {again}");
}
