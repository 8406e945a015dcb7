//! Places of connections: half-open ones, those with a session, per address and in all; exact at N and N + 1, and
//! given back on every path.

use std::{
    io::{Read, Write},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use civicpress_realtime::limits::HANDSHAKE_GRACE;

use crate::{
    front_door::{EDITOR, UPGRADE, ask, connect, read_answer},
    support::{Client, FakeHost, Server, eventually, server::config},
};

/// Whether a new connection of this address is served at the moment.
fn is_let_in(server: &Server) -> bool {
    let answer = ask(server, b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answer.starts_with("HTTP/1.1 200")
}

#[test]
fn half_open_connections_of_one_address_are_counted_exactly() {
    let mut few = config();
    few.rate_limiting.connections_per_ip = 3;
    // Nobody gives way before time passes.
    let server = Server::with_frozen_clock(few, Arc::default());
    let metrics = server.engine().metrics();
    let mut held: Vec<_> = (0..2).map(|_| connect(&server)).collect();
    // The third is the one that asks, again and again: it gives its place back.
    for _ in 0..20 {
        assert!(is_let_in(&server), "the third");
    }
    held.push(connect(&server));
    for _ in 0..20 {
        assert!(!is_let_in(&server), "the fourth is refused, and stays refused");
    }
    assert_eq!(metrics.requests_refused.get("handshakes"), 20);
    assert!(metrics.violations.get("connection_flood") > 0);
    held.pop();
    eventually("given back", || is_let_in(&server));
    // Whoever has asked for a page is no longer among them.
    let mut asked = connect(&server);
    asked.write_all(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(read_answer(&mut asked).starts_with("HTTP/1.1 200"));
    held.push(connect(&server));
    assert!(!is_let_in(&server), "three again");

    let moment = Duration::from_millis(1);
    server.forward(HANDSHAKE_GRACE.checked_sub(moment).unwrap());
    assert!(!is_let_in(&server), "a moment too early");
    server.forward(moment);
    assert_eq!(metrics.requests_refused.get("gave_way"), 0, "not while nobody wants a place");
    assert!(is_let_in(&server), "the one that is silent longest gives way");
    assert_eq!(held[0].read(&mut [0]).unwrap(), 0, "and is told by its end");
    assert_eq!(metrics.requests_refused.get("gave_way"), 1);
    // Its place is free now: nobody else has to give way.
    for _ in 0..20 {
        assert!(is_let_in(&server));
    }
    assert_eq!(metrics.requests_refused.get("gave_way"), 1);
}

#[test]
fn places_of_half_open_connections_come_back_on_every_path() {
    let mut few = config();
    few.rate_limiting.connections_per_ip = 3;
    let server = Server::with(few, Arc::default());
    // Nonsense, a refused upgrade, an upgrade, a failed one, an abort.
    for request in [
        "nonsense\r\n\r\n".to_owned(),
        format!("{UPGRADE}Origin: null\r\n\r\n"),
        format!("{UPGRADE}{EDITOR}\r\n"),
        format!("{UPGRADE}\r\n"),
        "GET / HT".to_owned(),
    ] {
        for _ in 0..5 {
            eventually("a place", || {
                let mut stream = connect(&server);
                let _ = stream.write_all(request.as_bytes());
                let mut first = [0; 12];
                stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let told = stream.read_exact(&mut first).is_ok();
                !(told && first.ends_with(b"429"))
            });
        }
    }
    eventually("all given back", || is_let_in(&server));
    for _ in 0..5 {
        panic_in(&server, "authenticate");
    }
    eventually("given back after a panic", || is_let_in(&server));
}

#[test]
fn who_is_not_authenticated_yet_counts_as_half_open() {
    let mut few = config();
    few.rate_limiting.connections_per_ip = 2;
    let host = Arc::new(FakeHost::default());
    host.auth_delay_ms.store(60_000, Ordering::Relaxed);
    let server = Server::with_frozen_clock(few, host);
    let _first = Client::connect(&server.url("notes/a"), "editor:ada");
    let second = Client::connect(&server.url("notes/a"), "editor:bo");
    assert!(Client::try_connect(&server.url("notes/a"), "editor:cy").is_err());
    server.forward(HANDSHAKE_GRACE * 2);
    assert!(Client::try_connect(&server.url("notes/a"), "editor:cy").is_err(), "who asked stays");
    second.vanish();
    // The host is asked with a time-out, which ends the wait even for a peer that is gone.
    server.forward(Duration::from_millis(server.config().auth.timeout_ms));
    eventually("given back", || server.engine().metrics().closes.get("AUTH_FAILED") == 2);
    eventually("let in", || Client::try_connect(&server.url("notes/a"), "editor:cy").is_ok());
}

#[test]
fn forwarded_addresses_are_counted_behind_a_trusted_proxy_only() {
    let join = |server: &Server, forwarded: &str| {
        let mut stream = connect(server);
        let request = format!("{UPGRADE}{EDITOR}X-Forwarded-For: {forwarded}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut seen = Vec::new();
        let mut part = [0; 1024];
        loop {
            let count = stream.read(&mut part).unwrap_or(0);
            seen.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&seen);
            if text.contains("connection.ack") {
                return Some(stream);
            }
            if count == 0 || text.contains("CONNECTION_LIMIT_EXCEEDED") {
                return None;
            }
        }
    };
    let limited = |trusted: &[&str]| {
        let mut config = config();
        config.rate_limiting.connections_per_ip = 2;
        config.trusted_proxies = trusted.iter().map(|&text| text.to_owned()).collect();
        Server::with(config, Arc::default())
    };
    let server = limited(&[]);
    let _held = [join(&server, "198.51.100.1"), join(&server, "198.51.100.2")].map(Option::unwrap);
    assert!(join(&server, "198.51.100.3").is_none(), "the header counts for nothing");

    let server = limited(&["127.0.0.0/8"]);
    let held = [join(&server, "198.51.100.1"), join(&server, "198.51.100.1")].map(Option::unwrap);
    assert!(join(&server, "198.51.100.1").is_none());
    assert!(
        join(&server, "8.8.8.8, 198.51.100.1").is_none(),
        "what the client sent itself is left out"
    );
    assert!(join(&server, "198.51.100.1, 127.0.0.9").is_none(), "through two proxies");
    let _others =
        ["198.51.100.2", "2001:db8::1", "2001:db8::2"].map(|at| join(&server, at).unwrap());
    assert!(join(&server, "2001:db8::3").is_none(), "of one /64");
    assert_eq!(server.engine().health().connections.per_ip, 3);
    drop(held);
    eventually("given back", || join(&server, "198.51.100.1").is_some());
}

type End = fn(&Server);

/// The task of a connection panics in the host's code.
fn panic_in(server: &Server, place: &'static str) {
    *server.host.panics_in.lock() = Some(place);
    let mut client = Client::connect(&server.url("notes/a"), "editor:ada");
    assert_eq!(client.until_closed().0, 1006, "nobody is left to say why");
    *server.host.panics_in.lock() = None;
}

/// Joins that end in each way there is; the last place must be free again after each.
#[test]
fn connection_limits_are_exact_and_places_come_back_on_every_path() {
    for limit in ["max_connections", "connections_per_ip", "connections_per_user"] {
        let mut config = config();
        let place = match limit {
            "max_connections" => &mut config.limits.max_connections,
            "connections_per_ip" => &mut config.rate_limiting.connections_per_ip,
            _ => &mut config.rate_limiting.connections_per_user,
        };
        *place = 3;
        let host = FakeHost::with_record("there", "text");
        let server = Server::with(config, host);
        let url = server.url("notes/a");
        let fits = || {
            Client::try_connect(&url, "editor:ada").is_ok_and(|mut client| {
                client.say_hello();
                matches!(client.next(), crate::support::client::Frame::Json(ack)
                    if ack["event"] == "connection.ack")
            })
        };
        let held = [0; 2].map(|_| Client::join(&url, "editor:ada"));
        let ends: [(&str, End); 8] = [
            ("a normal close", |server| {
                let mut client = Client::join(&server.url("notes/a"), "editor:ada");
                client.socket.close(None).unwrap();
                assert_eq!(client.until_closed().0, 1005);
            }),
            ("an abort", |server| {
                Client::join(&server.url("notes/a"), "editor:ada").vanish();
            }),
            ("a violation", |server| {
                let mut client = Client::join(&server.url("notes/a"), "editor:ada");
                client.send(vec![200]);
                assert_eq!(client.until_closed().0, 1008);
            }),
            ("a bad token", |server| {
                let mut client = Client::connect(&server.url("notes/a"), "nobody");
                assert_eq!(client.until_closed().0, 4001);
            }),
            ("no permission", |server| {
                let mut client = Client::connect(&server.url("records/missing"), "editor:ada");
                assert_eq!(client.until_closed().0, 4003);
            }),
            ("a failed load", |server| {
                server.host.fail_loads.store(true, Ordering::Relaxed);
                let mut client = Client::connect(&server.url("records/there"), "editor:ada");
                assert_eq!(client.until_closed().0, 4500);
                server.host.fail_loads.store(false, Ordering::Relaxed);
            }),
            ("a panic before the session", |server| panic_in(server, "authenticate")),
            ("a panic in the session", |server| panic_in(server, "realtime:client:connected")),
        ];
        for (name, end) in ends {
            eventually("a place", fits);
            eventually("free", || server.engine().health().connections.total == 2);
            end(&server);
            eventually(&format!("{limit}: free again after {name}"), || {
                server.engine().health().connections.total == 2 && fits()
            });
        }
        eventually("free", || server.engine().health().connections.total == 2);
        let third = Client::join(&url, "editor:ada");
        for _ in 0..5 {
            assert!(!fits(), "{limit}: the fourth");
        }
        drop(third);
        drop(held);
        eventually("empty", || server.engine().health().connections.total == 0);
    }
}
