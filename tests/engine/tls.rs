//! TLS on the port: https and wss with a real client, certificates that change, peers that do not speak it.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use civicpress_realtime::{
    config::{Config, Tls},
    engine::{self, Engine},
    protocol::sync,
    store::sqlite::{SqliteOptions, SqliteStore},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket, client::IntoClientRequest};
use yrs::{Doc, GetString, Text, Transact, Update, updates::decoder::Decode};

use crate::support::{FakeHost, Server, eventually, server::config};

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost` and its key, self-signed.
fn write_pair(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    // The key first: the watcher must not take a certificate without it for the new pair.
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

fn tls_config(folder: &Path) -> Config {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let tls = Tls { enabled: true, cert: Some(cert), key: Some(key), require: true };
    Config { tls, ..config() }
}

struct TlsServer {
    server: Server,
    folder: tempfile::TempDir,
    cert: String,
}

fn start() -> TlsServer {
    let folder = tempfile::tempdir().unwrap();
    let cert = write_pair(folder.path());
    let server = Server::with(tls_config(folder.path()), Arc::default());
    TlsServer { server, folder, cert }
}

/// A TLS connection to whoever shows `cert`.
fn connect(server: &Server, cert: &str, alpn: &[&[u8]]) -> std::io::Result<TlsStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let tcp = TcpStream::connect(server.address)?;
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut stream = StreamOwned::new(session, tcp);
    stream.flush()?;
    Ok(stream)
}

fn get(server: &Server, cert: &str, path: &str) -> String {
    let mut stream = connect(server, cert, &[b"http/1.1"]).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    // An end without `close_notify` would be an error: nobody could tell it from a cut.
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// What the load test of a server reports; its messages are larger than what TLS packs at once.
fn stress(server: &Server, cert: &str) -> Value {
    let plan = json!({
        "connections": 20, "messagesPerSecond": 100, "duration": 1, "payloadBytes": 16_384,
    })
    .to_string();
    let mut stream = connect(server, cert, &[]).unwrap();
    write!(
        stream,
        "POST /_admin/test/websocket/stress HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{plan}",
        plan.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

struct TlsClient {
    socket: WebSocket<TlsStream>,
    doc: Doc,
}

impl TlsClient {
    fn join(server: &Server, cert: &str, user: &str) -> Self {
        let mut request = "wss://localhost/realtime/notes/a".into_client_request().unwrap();
        request.headers_mut().insert("Authorization", format!("Bearer {user}").parse().unwrap());
        let stream = connect(server, cert, &[]).unwrap();
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        let mut client = Self { socket, doc: Doc::new() };
        client.send(sync::sync_step1(&[0]));
        client.until(|message| message.starts_with(&[0, 1]));
        client
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).unwrap();
    }

    /// Reads until a message for which `what` holds, applying updates on the way.
    fn until(&mut self, what: impl Fn(&[u8]) -> bool) {
        loop {
            let Message::Binary(bytes) = self.socket.read().unwrap() else { continue };
            if let [0, 1 | 2, ..] = &bytes[..] {
                let update = civicpress_realtime::protocol::lib0::Reader::new(&bytes[2..])
                    .bytes()
                    .unwrap()
                    .to_vec();
                self.doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
            }
            if what(&bytes) {
                return;
            }
        }
    }

    fn type_text(&mut self, words: &str) {
        let text = self.doc.get_or_insert_text("t");
        let mut txn = self.doc.transact_mut();
        text.push(&mut txn, words);
        let update = txn.encode_update_v1();
        drop(txn);
        self.send(sync::update(&update));
    }

    fn text(&self) -> String {
        self.doc.get_or_insert_text("t").get_string(&self.doc.transact())
    }

    fn until_text(&mut self, expected: &str) {
        while self.text() != expected {
            self.until(|message| message.starts_with(&[0]));
        }
    }
}

#[test]
fn https_and_wss_on_one_port() {
    let TlsServer { server, cert, .. } = start();
    let answer = get(&server, &cert, "/health");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"healthy\""), "{answer}");
    let mut ada = TlsClient::join(&server, &cert, "editor:ada");
    let mut bo = TlsClient::join(&server, &cert, "editor:bo");
    ada.type_text("over TLS");
    bo.until_text("over TLS");
    // More than the kernel and the encrypted buffer take at once, while nobody reads.
    let large = "x".repeat(3_000_000);
    ada.type_text(&large);
    eventually("applied", || server.engine().metrics().updates_applied.get() == 2);
    bo.until_text(&format!("over TLS{large}"));
    let mut late = TlsClient::join(&server, &cert, "editor:late");
    late.until_text(&format!("over TLS{large}"));
    bo.socket.close(None).unwrap();
    let ended = loop {
        match bo.socket.read() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, tungstenite::Error::ConnectionClosed), "{ended}");
}

#[test]
fn a_load_test_speaks_tls_to_its_own_port_whichever_certificate_that_shows() {
    let TlsServer { server, folder, cert } = start();
    let first = stress(&server, &cert);
    let renewed = write_pair(folder.path());
    server.block_on(server.engine().reload_tls()).unwrap();
    for report in [first, stress(&server, &renewed)] {
        assert_eq!(report["connections"], json!({ "requested": 20, "opened": 20 }), "{report}");
        let sent = report["messages"]["sent"].as_u64().unwrap();
        assert!(sent >= 20, "{report}");
        assert_eq!(report["messages"]["deliveries"].as_u64(), Some(sent * 20), "{report}");
        assert_eq!(report["messages"]["deliveryRatio"], json!(1.0), "{report}");
        assert_eq!(report["errors"], json!([]));
    }
    let metrics = server.engine().metrics();
    eventually("its clients are gone", || metrics.event_connections.get() == 0);
    assert_eq!(metrics.requests_refused.get("plain_on_tls"), 0);
}

#[test]
fn a_violation_is_told_through_tls() {
    let TlsServer { server, cert, .. } = start();
    let mut mallory = TlsClient::join(&server, &cert, "editor:mallory");
    // Unmasked.
    mallory.socket.get_mut().write_all(&[0x82, 1, 0]).unwrap();
    let code = loop {
        if let Message::Close(frame) = mallory.socket.read().unwrap() {
            break u16::from(frame.unwrap().code);
        }
    };
    assert_eq!(code, 1002);
}

#[test]
fn who_does_not_speak_tls_is_told_in_words() {
    let TlsServer { server, cert, .. } = start();
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
    assert!(answer.contains("X-Correlation-Id: "), "{answer}");
    assert_eq!(server.engine().metrics().requests_refused.get("plain_on_tls"), 1);
    // Nonsense after the first byte, and an HTTP/2-only client.
    let mut broken = TcpStream::connect(server.address).unwrap();
    broken.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    broken.write_all(&[0x16; 64]).unwrap();
    let mut alert = Vec::new();
    let _ = broken.read_to_end(&mut alert);
    assert_eq!(alert.first(), Some(&0x15), "an alert: {alert:?}");
    assert!(connect(&server, &cert, &[b"h2"]).and_then(|mut s| s.read(&mut [0])).is_err());
    eventually("reported", || server.engine().metrics().violations.get("bad_handshake") == 2);
    eventually("counted", || server.engine().metrics().requests_refused.get("tls") == 2);
    assert!(get(&server, &cert, "/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn tls_towards_a_plain_port_is_closed() {
    let server = Server::start();
    let cert = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
    let error = connect(&server, &cert, &[]).and_then(|mut stream| stream.read(&mut [0]));
    assert!(error.is_err());
    eventually("counted", || server.engine().metrics().requests_refused.get("tls_on_plain") == 1);
}

#[test]
fn a_slow_handshake_is_cut() {
    let TlsServer { server, cert, .. } = start();
    let mut slow = TcpStream::connect(server.address).unwrap();
    // The beginning of a ClientHello, then nothing.
    slow.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
    let mut silent = connect(&server, &cert, &[]).unwrap();
    silent.write_all(b"GET / HT").unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    let end = slow.read_to_end(&mut rest);
    assert!(end.is_ok() || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    eventually("counted", || server.engine().metrics().requests_refused.get("timeout") == 2);
}

#[test]
fn new_files_serve_new_connections_and_old_ones_live_on() {
    let TlsServer { server, folder, cert } = start();
    let mut ada = TlsClient::join(&server, &cert, "editor:ada");
    let second = write_pair(folder.path());
    eventually("taken by itself", || {
        connect(&server, &second, &[]).is_ok_and(|mut stream| {
            write!(stream, "GET /health HTTP/1.0\r\n\r\n").is_ok() && stream.read(&mut [0]).is_ok()
        })
    });
    let mut bo = TlsClient::join(&server, &second, "editor:bo");
    ada.type_text("still here");
    bo.until_text("still here");

    // A broken key changes nothing but the health, and heals.
    let good = fs::read(folder.path().join("key.pem")).unwrap();
    fs::write(folder.path().join("key.pem"), "broken").unwrap();
    let error = server.block_on(server.engine().reload_tls()).unwrap_err();
    assert!(error.to_string().starts_with("tls.key:"), "{error}");
    let health = server.engine().health();
    assert_eq!(health.status, "degraded");
    assert!(health.degraded[0].starts_with("tls.key:"), "{:?}", health.degraded);
    assert!(get(&server, &second, "/ready").contains("200 OK"));
    fs::write(folder.path().join("key.pem"), good).unwrap();
    eventually("healed", || server.engine().health().status == "healthy");
    let third = write_pair(folder.path());
    server.block_on(server.engine().reload_tls()).unwrap();
    assert!(get(&server, &third, "/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_bad_certificate_stops_the_start_and_names_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |config: Config| {
        let runtime = engine::runtime(&config).unwrap();
        let data = tempfile::tempdir().unwrap();
        let config = Config { system_data_dir: data.path().into(), ..config };
        let store = SqliteStore::open(SqliteOptions::from_config(&config).unwrap()).unwrap();
        let host: Arc<FakeHost> = Arc::default();
        let started = runtime.block_on(Engine::start(config, host, Arc::new(store)));
        let error = started.expect_err("refused");
        assert_eq!(error.code(), "REALTIME_CONFIG_INVALID");
        error.to_string()
    };
    let config = || tls_config(folder.path());
    assert!(refused(config()).starts_with("tls.cert:"));
    write_pair(folder.path());
    let good = fs::read(folder.path().join("key.pem")).unwrap();
    fs::write(folder.path().join("key.pem"), "x").unwrap();
    assert!(refused(config()).starts_with("tls.key:"));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("key.pem"), other.signing_key.serialize_pem()).unwrap();
    assert!(refused(config()).contains("is not the key of the certificate"));
    fs::write(folder.path().join("key.pem"), good).unwrap();
    fs::write(folder.path().join("cert.pem"), "x").unwrap();
    assert!(refused(config()).starts_with("tls.cert:"));
    let mut off = config();
    off.tls.enabled = false;
    assert!(refused(off).starts_with("tls.require:"));
}
