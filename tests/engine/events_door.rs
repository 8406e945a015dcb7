//! Who gets a connection for events, and how many: origins, tokens, limits exact at N and N + 1.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use civicpress_realtime::events::speaker::Filter;
use serde_json::json;
use tungstenite::Message;

use crate::support::{EventClient, FakeHost, Server, eventually, log, server::config};

const ADA: &str = "editor:ada";
const PATHS: [&str; 2] = ["/socket.io/", "/realtime/events"];

#[test]
fn pages_of_listed_origins_only_connect_for_events() {
    let mut listed = config();
    listed.allowed_origins =
        vec!["https://app.example.org".into(), "https://*.city.example".into()];
    let own = Server::start();
    let server = Server::with(listed, Arc::default());
    for path in PATHS {
        let opens = |server: &Server, origin: &str| {
            let headers = [("Origin", origin)];
            match EventClient::at(server.address, path, &headers) {
                Ok(mut client) => client.next()["type"] == "connect",
                Err(status) => {
                    assert_eq!(status, 403, "{path} {origin}");
                    false
                }
            }
        };
        for origin in [
            "https://app.example.org",
            "https://APP.example.org:443",
            "https://parks.city.example",
            "https://a.b.city.example",
        ] {
            assert!(opens(&server, origin), "{path} {origin}");
        }
        for origin in [
            "http://app.example.org",
            "https://app.example.org:8443",
            "https://app.example.org.evil.example",
            "https://city.example",
            "https://evilcity.example",
            "http://127.0.0.1",
            "null",
            "",
        ] {
            assert!(!opens(&server, origin), "{path} {origin}");
        }
        // Without a list the server's own host name counts.
        assert!(opens(&own, "http://127.0.0.1:3000"), "{path}");
        assert!(!opens(&own, "https://app.example.org"), "{path}");
        // Who says no origin is no browser.
        for server in [&server, &own] {
            assert_eq!(EventClient::connect(server, path, &[]).next()["type"], "connect");
        }
    }
    assert_eq!(server.engine().metrics().violations.get("origin_refused"), 16);
}

#[test]
fn no_token_of_a_connection_for_events_is_in_a_line() {
    log::keep();
    let mut config = config();
    config.auth.allow_query_token = true;
    config.events.cookie = Some("session".into());
    let server = Server::with(config, Arc::default());
    let metrics = server.engine().metrics();
    let mut number = 0;
    // What is secret of a token that holds is its last part, since the host takes the name from the middle.
    let mut token = |role: &str| {
        number += 1;
        format!("{role}:events{number}:{}", 6_040_302_010_000_u64 + number)
    };
    let subprotocol = |token: &str| format!("civicpress.events.v1, auth.{token}");
    let mut secrets = Vec::new();
    for role in ["editor", "gone"] {
        server.host.give_role("events", role);
        for way in ["message", "subprotocol", "header", "cookie", "url"] {
            let token = token("editor");
            let user = token.split(':').nth(1).unwrap().to_owned();
            server.host.give_role(&user, role);
            let path = match way {
                "url" => format!("/socket.io/?token={token}&x=1"),
                _ => "/socket.io/".into(),
            };
            let (name, value) = match way {
                "subprotocol" => ("Sec-WebSocket-Protocol", subprotocol(&token)),
                "header" => ("Authorization", format!("Bearer {token}")),
                "cookie" => ("Cookie", format!("session={token}")),
                _ => ("X-Nothing", "1".into()),
            };
            let mut client = EventClient::with_headers(&server, &path, &[(name, &value)]);
            assert_eq!(client.next()["type"], "connect");
            if way == "message" {
                client.say(&json!({ "type": "auth", "token": token }));
            }
            let answer = client.next();
            assert_eq!(answer["type"] == "auth", role == "editor", "{way} {role}: {answer}");
            // In a message that is none, and where none belongs.
            client.say_text(&format!("{{\"type\":\"auth\",\"token\":\"{token}\""));
            client.say(&json!({ "type": "emit", "room": "", "event": token, "token": token }));
            client.say(&json!({ "type": token }));
            client.settle();
            secrets.push(token.rsplit(':').next().unwrap().to_owned());
        }
    }
    // Refused before it is anybody's, with the token in the line of the request.
    let refused = token("editor");
    let path = format!("/socket.io/?EIO=4&token={refused}");
    assert_eq!(EventClient::at(server.address, &path, &[]).err(), Some(400));
    secrets.push(refused.rsplit(':').next().unwrap().to_owned());
    eventually("all ends are told", || metrics.event_connections.get() == 0);
    assert!(!log::with("event", "token_in_url").is_empty(), "lines are kept");
    let lines = log::all();
    for secret in secrets {
        let telling = lines.iter().find(|line| line.contains(&secret));
        assert!(telling.is_none(), "{telling:?}");
    }
}

/// Whether somebody else of this user and address is let in at the moment.
fn fits(address: SocketAddr) -> bool {
    let Ok(mut client) = EventClient::at(address, "/socket.io/", &[]) else { return false };
    let Ok(_greeting) = client.try_next() else { return false };
    client.say(&json!({ "type": "auth", "token": ADA }));
    client.try_next().is_ok_and(|answer| answer.contains("\"authenticated\":true"))
}

type End = fn(&Server, EventClient);

#[test]
fn limits_of_connections_for_events_are_exact_and_places_come_back() {
    let ends: [(&str, End); 6] = [
        ("a close", |_, mut client| {
            client.socket.close(None).unwrap();
            while client.socket.read().is_ok() {}
        }),
        ("an abort", |_, client| drop(client)),
        ("a hostile frame", |_, mut client| {
            std::io::Write::write_all(client.socket.get_mut(), &[0x83, 0x80, 0, 0, 0, 0]).unwrap();
            assert_eq!(client.until_closed().1, 1002);
        }),
        ("too large a message", |_, mut client| {
            client.socket.send(Message::Text("x".repeat(65_537).into())).unwrap();
            assert_eq!(client.until_closed().1, 1009);
        }),
        ("a revocation", |server, mut client| {
            client.auth("editor:bo");
            server.engine().revoke_user("bo", "left");
            assert_eq!(client.until_closed().1, 4001);
        }),
        ("a kick", |server, mut client| {
            let filter = Filter { client_id: Some(client.id.clone()), ..Filter::default() };
            server.block_on(server.engine().events().disconnect(&filter, ""));
            assert_eq!(client.until_closed().1, 4403);
        }),
    ];
    for limit in ["max_connections", "connections_per_ip", "connections_per_user"] {
        let mut config = config();
        let place = match limit {
            "max_connections" => &mut config.limits.max_connections,
            "connections_per_ip" => &mut config.rate_limiting.connections_per_ip,
            _ => &mut config.rate_limiting.connections_per_user,
        };
        *place = 3;
        let server = Server::with(config, Arc::new(FakeHost::default()));
        let connections = || server.engine().health().connections.total;
        let held = [0; 2].map(|_| EventClient::of(&server, ADA));
        for (name, end) in &ends {
            let mut third = EventClient::of(&server, ADA);
            third.join("r");
            for _ in 0..3 {
                assert!(!fits(server.address), "{limit}: the fourth, before {name}");
            }
            eventually("refused ones are gone", || connections() == 3);
            end(&server, third);
            eventually(&format!("{limit}: free again after {name}"), || connections() == 2);
            eventually("a place", || fits(server.address));
            eventually("and it is given back", || connections() == 2);
        }
        drop(held);
        eventually("empty", || connections() == 0);
    }
}

#[test]
fn the_rate_passes_for_ever_and_its_burst_is_slowed_not_lost() {
    let mut config = config();
    config.limits.message_rate_limit = 20;
    let server = Server::with_clock(config, Arc::default());
    let metrics = server.engine().metrics();
    let mut ada = EventClient::of(&server, ADA);
    ada.join("r");
    server.forward(Duration::from_secs(2));
    // Nearly as many at once as in a second, then a minute at the rate.
    for number in 0..19 {
        ada.emit("r", "e", &json!(number));
    }
    for number in 0..19 {
        assert_eq!(ada.event("e")["data"], number);
    }
    for number in 0..20 * 60 {
        server.forward(Duration::from_millis(50));
        ada.emit("r", "e", &json!(number));
        assert_eq!(ada.event("e")["data"], number);
    }
    assert_eq!(metrics.throttled.get("events"), 0);
    // More than that waits, and is lost nowhere.
    for number in 0..50 {
        ada.emit("r", "f", &json!(number));
    }
    for number in 0..50 {
        if number % 20 == 0 {
            server.forward(Duration::from_secs(1));
        }
        assert_eq!(ada.event("f")["data"], number);
    }
    assert!(metrics.throttled.get("events") > 0);
}
