//! The front door against hostile and odd requests, floods and slow peers.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use civicpress_realtime::{limits::HEADERS_MAX, net::head::Head};
use tungstenite::protocol::Message;

use crate::support::{Client, FakeHost, Server, eventually, server::config};

pub const UPGRADE: &str = "GET /realtime/notes/a HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub const EDITOR: &str = "Authorization: Bearer editor:ada\r\n";

pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// Whether `answer` is all there is, by its own length.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    head.starts_with("http/1.1 101")
        || (!head.contains("connection: close")
            && length
                .and_then(|length| length.parse().ok())
                .is_some_and(|length| body.len() >= length))
}

/// What the server answers before it closes or waits for the next request.
pub fn ask(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server);
    // It may have refused and closed before all of it is written.
    let _ = stream.write_all(request);
    read_answer(&mut stream)
}

pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
        if is_whole(&answer) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn still_serves(server: &Server) {
    let url = server.url("notes/still");
    let (mut ada, mut bo) = (Client::join(&url, "editor:ada"), Client::join(&url, "editor:bo"));
    let expected = format!("{}+", ada.text());
    ada.type_text("+");
    bo.until_text(&expected);
}

#[test]
fn hostile_heads_get_one_status_and_one_line() {
    let server = Server::start();
    let with = |lines: &str| format!("{UPGRADE}{EDITOR}{lines}\r\n").into_bytes();
    let without = |from: &str, to: &str| {
        assert!(UPGRADE.contains(from), "{from}");
        format!("{}{EDITOR}\r\n", UPGRADE.replace(from, to)).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("sound", with(""), "101"),
        ("no Upgrade", without("Upgrade: websocket\r\n", ""), "426"),
        ("another Upgrade", without("Upgrade: websocket", "Upgrade: h2c"), "426"),
        ("no Connection", without("Connection: Upgrade\r\n", ""), "400"),
        ("no version", without("Sec-WebSocket-Version: 13\r\n", ""), "426"),
        ("version 8", without("Version: 13", "Version: 8"), "426"),
        ("version 13 and 8", without("Version: 13", "Version: 13, 8"), "426"),
        ("no key", without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), "400"),
        ("short key", without("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"),
        (
            "key that is no base64",
            without("dGhlIHNhbXBsZSBub25jZQ==", "!!!!!!!!!!!!!!!!!!!!!!!!"),
            "400",
        ),
        ("two keys", with("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), "400"),
        ("no Host", without("Host: 127.0.0.1\r\n", ""), "400"),
        ("two Hosts", with("Host: evil.example\r\n"), "400"),
        ("POST", without("GET", "POST"), "405"),
        ("HEAD", without("GET", "HEAD"), "405"),
        ("HTTP/1.0", without("HTTP/1.1", "HTTP/1.0"), "400"),
        ("HTTP/2.0", without("HTTP/1.1", "HTTP/2.0"), "400"),
        ("HTTP/9.9", without("HTTP/1.1", "HTTP/9.9"), "400"),
        ("a body", with("Content-Length: 5\r\n"), "400"),
        ("a chunked body", with("Transfer-Encoding: chunked\r\n"), "400"),
        ("both", with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), "400"),
        ("two lengths", with("Content-Length: 0\r\nContent-Length: 5\r\n"), "400"),
        ("an obscure length", with("Content-Length: +5\r\n"), "400"),
        ("a folded line", with("X: a\r\n b\r\n"), "400"),
        ("a space before the colon", with("X : a\r\n"), "400"),
        ("a NUL", with("X: a\0b\r\n"), "400"),
        ("a lone carriage return", with("X: a\rb\r\n"), "400"),
        ("a control character in a name", with("X\x01: a\r\n"), "400"),
        ("a NUL in the target", without("/notes/a", "/notes/a\0"), "400"),
        ("an absolute target elsewhere", without("GET /", "GET http://evil.example/"), "401"),
        ("a target without a slash", without("GET /realtime/notes/a", "GET realtime"), "401"),
        ("another path", without("/realtime/notes", "/elsewhere"), "401"),
        ("a path that only begins alike", without("/realtime/notes", "/realtimeX/notes"), "101"),
        ("too many headers", with(&"a: b\r\n".repeat(HEADERS_MAX)), "431"),
        ("a long header", with(&format!("X: {}\r\n", "y".repeat(20_000))), "431"),
        ("a long target", without("/notes/a", &format!("/notes/{}", "a".repeat(20_000))), "431"),
        ("a long name without end", vec![b'a'; 70_000], "4"),
        (
            "8 KB of commas",
            with(&format!("Sec-WebSocket-Protocol: {}\r\n", ",".repeat(8192))),
            "101",
        ),
        (
            "8 KB of protocols",
            with(&format!("Sec-WebSocket-Protocol: {}x\r\n", "x, ".repeat(2700))),
            "101",
        ),
        ("a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "400"),
        ("a proxy's preface", b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n".repeat(3), "400"),
    ];
    for (name, request, status) in cases {
        let answer = ask(&server, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {answer:.300}");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(body.lines().count() <= 1 || status == "101", "{name}: {body}");
    }
    still_serves(&server);
}

/// Nothing after a refused upgrade is taken for a second request: a proxy in front might see it as somebody
/// else's.
#[test]
fn a_refused_upgrade_ends_the_connection() {
    let server = Server::start();
    let smuggled = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    for lines in [
        format!("Content-Length: {}\r\n", smuggled.len()),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Origin: https://evil.example\r\n".to_owned(),
    ] {
        let answer = ask(&server, format!("{UPGRADE}{EDITOR}{lines}\r\n{smuggled}").as_bytes());
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[test]
fn pages_of_other_origins_are_refused_before_the_101() {
    let server = Server::start();
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://127.0.0.1.evil.example",
        "file://",
        "",
        "http://127.0.0.1:99999999",
        "http://127.0.0.1\r\nOrigin: https://evil.example",
    ] {
        let answer = ask(&server, format!("{UPGRADE}{EDITOR}Origin: {origin}\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403"), "{origin}: {answer}");
    }
    let own =
        ask(&server, format!("{UPGRADE}{EDITOR}Origin: http://127.0.0.1:3030\r\n\r\n").as_bytes());
    assert!(own.starts_with("HTTP/1.1 101"), "{own}");
    assert_eq!(server.engine().metrics().violations.get("origin_refused"), 9);
}

#[test]
fn compression_is_never_negotiated() {
    let server = Server::start();
    for offer in
        ["permessage-deflate", "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame"]
    {
        let answer = ask(
            &server,
            format!("{UPGRADE}{EDITOR}Sec-WebSocket-Extensions: {offer}\r\n\r\n").as_bytes(),
        );
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        assert!(!answer.to_lowercase().contains("extensions"), "{answer}");
    }
    // Who compresses all the same breaks the protocol.
    let mut mallory = Client::join(&server.url("notes/a"), "editor:ada");
    mallory.socket.get_mut().write_all(&[0xc2, 0x83, 0, 0, 0, 0, 0xaa, 1, 0]).unwrap();
    assert_eq!(mallory.until_closed().0, 1002);
    eventually("reported", || server.engine().metrics().violations.get("bad_frame") == 1);
}

#[test]
fn slow_and_silent_peers_are_cut() {
    let server = Server::start();
    let mut silent = connect(&server);
    let mut slow = connect(&server);
    let mut writer = slow.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        for byte in UPGRADE.bytes() {
            if writer.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(150));
        }
    });
    for stream in [&mut silent, &mut slow] {
        let answer = read_answer(stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    drip.join().unwrap();
    assert_eq!(server.engine().metrics().requests_refused.get("timeout"), 2);
    // A browser's spare socket is no attack, half a request is.
    assert_eq!(server.engine().metrics().violations.get("bad_handshake"), 1);
    // A connection kept alive ends too when nothing more is asked.
    let mut idle = connect(&server);
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let answer = read_answer(&mut idle);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    still_serves(&server);
}

/// Until somebody is authenticated nothing is read: the kernel's buffers are all a flood fills.
#[test]
fn a_flood_before_authentication_waits_in_the_kernel() {
    let host = Arc::new(FakeHost::default());
    host.auth_delay_ms.store(60_000, Ordering::Relaxed);
    let server = Server::with(config(), host);
    let mut flood = connect(&server);
    flood.write_all(format!("{UPGRADE}{EDITOR}\r\n").as_bytes()).unwrap();
    assert!(read_answer(&mut flood).starts_with("HTTP/1.1 101"));
    flood.set_nonblocking(true).unwrap();
    // Pings of 125 bytes, masked with zeroes.
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[0; 125]].concat().repeat(500);
    let mut taken = 0;
    loop {
        match flood.write(&ping) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Nobody reads, or it would not stay full.
                std::thread::sleep(Duration::from_millis(100));
                if flood.write(&ping).is_err() {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(taken < 64 * 1024 * 1024, "no end to what is taken");
    }
    assert_eq!(server.engine().metrics().messages_in.get(), 0);
    drop(flood);
    server.host.auth_delay_ms.store(0, Ordering::Relaxed);
    still_serves(&server);
}

/// The length in the header is enough: not one byte of the payload is waited for.
#[test]
fn an_oversize_frame_ends_with_1009_at_its_header() {
    let server = Server::start();
    for length in [(10 << 20) + 1, u64::from(u32::MAX), 1 << 40, (1 << 63) - 1] {
        let mut mallory = Client::join(&server.url("notes/a"), "editor:ada");
        let mut head = vec![0x82, 0xff];
        head.extend(length.to_be_bytes());
        head.extend([1, 2, 3, 4]);
        mallory.socket.get_mut().write_all(&head).unwrap();
        assert_eq!(mallory.until_closed().0, 1009, "{length}");
    }
    // In fragments, each of them small enough.
    let mut mallory = Client::join(&server.url("notes/a"), "editor:ada");
    let mut first = 0x02;
    let code = loop {
        let mut part = vec![first, 0xff];
        part.extend((1_u64 << 20).to_be_bytes());
        part.extend([0; 4]);
        part.resize(part.len() + (1 << 20), 0);
        if mallory.socket.get_mut().write_all(&part).is_err() {
            break mallory.until_closed().0;
        }
        first = 0;
        mallory.socket.get_ref().set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        if let Ok(Message::Close(Some(frame))) = mallory.socket.read() {
            break frame.code.into();
        }
    };
    assert_eq!(code, 1009);
    still_serves(&server);
}

#[test]
fn an_unencrypted_production_says_so() {
    let mut open = config();
    open.host = "0.0.0.0".into();
    open.production = true;
    let server = Server::with(open, Arc::default());
    let health = server.engine().health();
    assert_eq!(health.status, "degraded");
    assert!(health.degraded[0].contains("trusted_proxies"), "{:?}", health.degraded);
    let mut stream = TcpStream::connect(("127.0.0.1", server.address.port())).unwrap();
    write!(stream, "GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"status\":\"degraded\""),
        "{answer}"
    );
    let local = Server::with(
        civicpress_realtime::config::Config { production: true, ..config() },
        Arc::default(),
    );
    assert_eq!(local.engine().health().status, "healthy");
}

/// A head that comes byte by byte costs its length, not its square.
#[test]
fn a_head_is_found_however_it_is_cut() {
    for size in [1, 2, 3, 5, 7, 64] {
        let request = format!("{UPGRADE}{EDITOR}\r\nrest");
        let (client, server) = pair();
        let mut client = client;
        let parts = request.clone();
        let writer = std::thread::spawn(move || {
            for part in parts.as_bytes().chunks(size) {
                client.write_all(part).unwrap();
            }
            client
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let head = runtime.block_on(async {
            server.set_nonblocking(true).unwrap();
            let mut stream = tokio::net::TcpStream::from_std(server).unwrap().into();
            Head::read(&mut stream, &mut Vec::new()).await.unwrap()
        });
        assert!(head.asks_for_websocket());
        assert_eq!(head.length, request.len() - 4, "{size}");
        drop(writer.join());
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nodelay(true).unwrap();
    (client, listener.accept().unwrap().0)
}
