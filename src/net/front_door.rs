//! The first thing a peer meets: TLS if configured and the request head, both within one time; then the
//! request is upgraded or handed to the HTTP server. What concerns the request itself is answered in HTTP;
//! token and room are judged after the 101.

use std::{net::IpAddr, sync::Arc};

use hyper::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    auth::token::{self, NoToken},
    ids::SessionId,
    limits::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT},
    net::{
        OpenConnection, Shared, connection,
        events::{self, EventsRequest},
        handled::{self, HandledRequest},
        head::{Head, HeadError, TLS_HANDSHAKE},
        http,
        join::{JoinRequest, room_of_path, spelling},
        origin,
        places::Place,
        socket::Socket,
        stream::{Stream, TlsStream},
    },
    room::member::AckMode,
    telemetry::{correlation::CorrelationId, security::Violation},
};

/// Who asks, and what the request is called in log lines and answers.
struct Caller {
    address: IpAddr,
    correlation: CorrelationId,
}

/// Serves one TCP connection of `peer`, which holds `place` until somebody is authenticated on it.
pub async fn serve(tcp: TcpStream, peer: IpAddr, shared: Arc<Shared>, mut place: Place) {
    let unknown = Caller { address: peer, correlation: CorrelationId::random() };
    let asked = tokio::select! {
        asked = hear(tcp, &unknown, &shared) => asked,
        () = place.lost() => return unknown.gave_way(&shared),
    };
    let Some((mut stream, head)) = asked else { return };
    if !place.keep() {
        return unknown.gave_way(&shared);
    }
    let address = shared.proxies.client(peer, &head);
    let caller = Caller { address, correlation: CorrelationId::new(|name| head.header(name)) };
    if place.belongs_to(address).is_err() {
        return refuse(&mut stream, &caller, &shared, &FLOOD).await;
    }
    if !head.asks_for_websocket() {
        let Ok(_place) = shared.http_connections.take(Some(address)) else {
            return refuse(&mut stream, &caller, &shared, &FLOOD).await;
        };
        drop(place);
        return http::serve(stream, address, head, shared).await;
    }
    match judge(&head, &shared) {
        Ok((accept_key, open)) => {
            upgrade(stream, caller, head, &accept_key, (open, place), shared).await;
        }
        Err(refusal) => refuse(&mut stream, &caller, &shared, &refusal).await,
    }
}

/// Hears what a peer asks for, TLS first if the port speaks it, all within one time; `None` if it came to nothing.
async fn hear(tcp: TcpStream, caller: &Caller, shared: &Shared) -> Option<(Stream, Head)> {
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let mut stream = secure(tcp, caller, shared, deadline).await?;
    let mut bytes = Vec::with_capacity(1024);
    match timeout_at(deadline, Head::read(&mut stream, &mut bytes)).await {
        Ok(Ok(head)) => return Some((stream, head)),
        Ok(Err(error)) => refuse_head(&mut stream, caller, shared, &error).await,
        Err(_) => {
            // Browsers open sockets ahead of need and say nothing on them.
            let violation = (!bytes.is_empty()).then_some(Violation::BadHandshake);
            let why = "the request head did not arrive in time";
            let late = Refusal { status: 408, why, label: "timeout", headers: "", violation };
            refuse(&mut stream, caller, shared, &late).await;
        }
    }
    None
}

impl Caller {
    fn did(&self, violation: Violation, shared: &Shared) {
        shared.security.report(violation, self.address, None, &self.correlation);
    }

    /// It was silent while others had no place.
    fn gave_way(&self, shared: &Shared) {
        let Self { address, correlation } = self;
        shared.metrics.requests_refused.inc("gave_way");
        log::debug!(
            event = "handshake_failed", address:% = address, correlation_id = correlation.as_str(),
            code = "gave_way";
            "{address} asked for nothing while others had no place, and gave way"
        );
    }

    /// Counts and logs that the request is refused, and gives the answer: it ends the connection.
    fn refused(&self, shared: &Shared, refusal: &Refusal) -> String {
        let Self { address, correlation } = self;
        let Refusal { status, why, label, headers, violation } = refusal;
        shared.metrics.requests_refused.inc(label);
        log::debug!(
            event = "request_refused", address:% = address, correlation_id = correlation.as_str(),
            code = label;
            "a request from {address} was refused with {status}: {why}"
        );
        if let Some(violation) = violation {
            self.did(*violation, shared);
        }
        let name = StatusCode::from_u16(*status).ok().and_then(|code| code.canonical_reason());
        let body = format!("{why} (correlation id {correlation})\n");
        format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\nX-Correlation-Id: {correlation}\r\n\
             {headers}\r\n{body}",
            name.unwrap_or("Error"),
            body.len(),
        )
    }
}

/// Goes through the TLS handshake, if the port speaks TLS.
async fn secure(
    tcp: TcpStream,
    caller: &Caller,
    shared: &Shared,
    deadline: Instant,
) -> Option<Stream> {
    let Some(certificate) = &shared.certificate else { return Some(tcp.into()) };
    let Caller { address: peer, correlation } = caller;
    let handshake = async {
        let mut first = [0];
        match tcp.peek(&mut first).await {
            Ok(0) | Err(_) => return None,
            Ok(_) if first != [TLS_HANDSHAKE] => {
                refuse(&mut tcp.into(), caller, shared, &PLAIN_ON_TLS).await;
                return None;
            }
            Ok(_) => {}
        }
        match TlsStream::accept(tcp, certificate.server_config()).await {
            Ok(stream) => Some(Stream::Tls(Box::new(stream))),
            Err(error) => {
                shared.metrics.requests_refused.inc("tls");
                log::debug!(
                    event = "handshake_failed", address:% = peer,
                    correlation_id = correlation.as_str(), code = "tls", error:% = error;
                    "the TLS handshake of {peer} failed: {error}"
                );
                // Who just goes away, such as a probe of the port, broke nothing.
                if error.kind() == std::io::ErrorKind::InvalidData {
                    caller.did(Violation::BadHandshake, shared);
                }
                None
            }
        }
    };
    if let Ok(stream) = timeout_at(deadline, handshake).await {
        return stream;
    }
    shared.metrics.requests_refused.inc("timeout");
    log::debug!(
        event = "handshake_failed", address:% = peer, correlation_id = correlation.as_str(),
        code = "timeout";
        "the TLS handshake of {peer} did not end in time"
    );
    None
}

struct Refusal {
    status: u16,
    why: &'static str,
    label: &'static str,
    /// Whole lines.
    headers: &'static str,
    violation: Option<Violation>,
}

const FLOOD: Refusal = Refusal {
    status: 429,
    why: "too many connections without a session",
    label: "handshakes",
    headers: "Retry-After: 1\r\n",
    violation: Some(Violation::ConnectionFlood),
};

const PLAIN_ON_TLS: Refusal = Refusal {
    status: 400,
    why: "this port speaks TLS: use https:// or wss://",
    label: "plain_on_tls",
    headers: "",
    violation: None,
};

/// Refuses a connection beyond the places of those that are half-open; the answer.
pub(super) fn turn_away(peer: IpAddr, shared: &Shared) -> String {
    Caller { address: peer, correlation: CorrelationId::random() }.refused(shared, &FLOOD)
}

fn judge(head: &Head, shared: &Arc<Shared>) -> Result<(String, OpenConnection), Refusal> {
    let refuse =
        |status, why, label, headers| Err(Refusal { status, why, label, headers, violation: None });
    let accept_key = match head.accept_key() {
        Ok(key) => key,
        Err(HeadError::Upgrade(426, why)) => {
            return refuse(426, why, "bad_upgrade", "Sec-WebSocket-Version: 13\r\n");
        }
        Err(HeadError::Upgrade(405, why)) => {
            return refuse(405, why, "bad_upgrade", "Allow: GET\r\n");
        }
        Err(error) => {
            let why = match error {
                HeadError::Upgrade(_, why) => why,
                _ => "malformed request",
            };
            return Err(Refusal {
                status: 400,
                why,
                label: "bad_upgrade",
                headers: "",
                violation: Some(Violation::BadHandshake),
            });
        }
    };
    let for_events = events::is_path(&head.path, &shared.config);
    if for_events && head.query_value("EIO").is_some() {
        let why = "this path speaks plain JSON over WebSocket, not Socket.IO";
        return refuse(400, why, "socket_io", "");
    }
    if !for_events && !head.path.starts_with(&shared.config.path) {
        return refuse(401, "no WebSocket is served at this path", "path", "");
    }
    let host = head.header("host");
    let is_allowed = |origin| origin::is_allowed(origin, host, &shared.config.allowed_origins);
    if !head.values("origin").all(is_allowed) {
        return Err(Refusal {
            status: 403,
            why: "this origin is not allowed",
            label: "origin",
            headers: "",
            violation: Some(Violation::OriginRefused),
        });
    }
    if shared.is_draining() {
        return refuse(503, "the server is shutting down", "draining", "Retry-After: 2\r\n");
    }
    shared.open_connection().map_or_else(
        || {
            let why = "the server has reached its connection limit";
            refuse(503, why, "max_connections", "Retry-After: 5\r\n")
        },
        |open| Ok((accept_key, open)),
    )
}

/// Says no and ends the connection.
async fn refuse(stream: &mut Stream, caller: &Caller, shared: &Shared, refusal: &Refusal) {
    let response = caller.refused(shared, refusal);
    // A peer that does not read its refusal is cut off with it.
    let said = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with bytes unread would reset the connection, and the answer with it.
        let mut forgotten = [0; 1024];
        while stream.read(&mut forgotten).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    drop(timeout(CLOSE_TIMEOUT, said).await);
}

async fn upgrade(
    mut stream: Stream,
    caller: Caller,
    head: Head,
    accept_key: &str,
    (open, place): (OpenConnection, Place),
    shared: Arc<Shared>,
) {
    let extracted = token::extract_token(
        |name| head.joined(name),
        head.query.as_deref(),
        shared.config.auth.allow_query_token,
    );
    let Caller { address, correlation } = caller;
    let token = extracted
        .as_ref()
        .inspect_err(|why| {
            log::debug!(
                correlation_id = correlation.as_str();
                "a request from {address} has no token: {why}"
            );
        })
        .ok()
        .cloned();
    let carrier = token.as_ref().and_then(|token| token.subprotocol.as_deref());
    let offered = head.list("sec-websocket-protocol");
    let protocol = token::choose_subprotocol(&offered, carrier);
    if events::is_path(&head.path, &shared.config) {
        let reader = events::reader(protocol.as_deref(), &head, &shared.config);
        let session = SessionId(shared.next_connection().0);
        let token = match (extracted, &shared.config.events.cookie) {
            (Err(NoToken::Missing), Some(name)) => {
                token::cookie_token(head.joined("cookie").as_deref(), name)
            }
            (extracted, _) => extracted,
        };
        let request = EventsRequest { session, correlation, address, token, reader };
        if accept(&mut stream, accept_key, protocol.as_deref()).await.is_ok() {
            let rest = head.bytes.get(head.length..).unwrap_or_default().to_vec();
            let (config, buffer) = (&shared.config, shared.config.network.read_buffer_size);
            let bytes_max = config.events.message_bytes_max.min(config.limits.message_bytes_max);
            let socket = Socket::new(stream, rest, buffer, bytes_max);
            drop(tokio::spawn(events::run(socket, request, open, place, shared)));
        }
        return;
    }
    let path = head.path.get(shared.config.path.len()..).unwrap_or_default();
    let target = room_of_path(path);
    let spelled = target.as_ref().ok().and_then(|room| spelling(path, room));
    let speaks_json = protocol.as_deref() == Some(token::JSON_SUBPROTOCOL)
        || head.query_value("protocol").as_deref() == Some("json");
    let json = speaks_json.then(|| {
        let ours = || target.as_ref().map_or_else(|_| "".into(), |room| room.as_str().into());
        spelled.clone().unwrap_or_else(ours)
    });
    let handling = target.as_ref().ok().and_then(|room| shared.handlers.handling(room.kind()));
    let request = JoinRequest {
        connection: shared.next_connection(),
        correlation,
        address,
        spelled,
        target,
        token,
        ack: match head.query_value("ack").as_deref() {
            Some("json") => AckMode::Json,
            Some("echo") => AckMode::Echo,
            _ => AckMode::None,
        },
        json,
    };
    let socket = accept(&mut stream, accept_key, protocol.as_deref()).await.map(|()| {
        let rest = head.bytes.get(head.length..).unwrap_or_default().to_vec();
        let config = &shared.config;
        Socket::new(stream, rest, config.network.read_buffer_size, config.limits.message_bytes_max)
    });
    // A task of its own: the handshake's buffers are given back before the connection's long life begins.
    let Ok(socket) = socket else { return };
    match handling {
        Some(handling) => {
            if let Some(request) = HandledRequest::new(request, handling, head) {
                tokio::spawn(handled::run(socket, request, open, place, shared));
            }
        }
        None => drop(tokio::spawn(connection::run(socket, request, open, place, shared))),
    }
}

/// Answers 101. No extension is ever accepted: what is compressed would have no bound before it is inflated.
pub async fn accept(
    stream: &mut Stream,
    accept_key: &str,
    protocol: Option<&str>,
) -> std::io::Result<()> {
    let protocol =
        protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n{protocol}\r\n"
    );
    stream.write_all(response.as_bytes()).await?;
    stream.flush().await
}

async fn refuse_head(stream: &mut Stream, caller: &Caller, shared: &Shared, error: &HeadError) {
    let Caller { address: peer, correlation } = caller;
    let (label, status, why) = match error {
        HeadError::Gone => return,
        HeadError::Tls => {
            shared.metrics.requests_refused.inc("tls_on_plain");
            log::debug!(
                event = "handshake_failed", address:% = peer, correlation_id = correlation.as_str(),
                code = "tls_on_plain";
                "{peer} spoke TLS to this port, which does not (tls.enabled is false)"
            );
            return;
        }
        HeadError::TooLarge => ("head_too_large", 431, "the request head is too large"),
        HeadError::Malformed(why) | HeadError::Upgrade(_, why) => ("malformed", 400, *why),
    };
    let violation = Some(Violation::BadHandshake);
    refuse(stream, caller, shared, &Refusal { status, why, label, headers: "", violation }).await;
}
