//! The first thing a peer meets: reads the request head within a time, then upgrades it or hands it to the
//! HTTP server. What concerns the request itself is answered in HTTP; token and room are judged after the 101.

use std::{net::SocketAddr, sync::Arc};

use tokio::{io::AsyncWriteExt, net::TcpStream, sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    auth::token,
    limits::HANDSHAKE_TIMEOUT,
    net::{
        Shared, connection,
        head::{Head, HeadError},
        http,
        join::{JoinRequest, room_of_path},
        origin,
        socket::Socket,
    },
    room::member::AckMode,
    telemetry::correlation::CorrelationId,
};

/// Serves one TCP connection.
pub async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    permit: OwnedSemaphorePermit,
) {
    let head = match timeout(HANDSHAKE_TIMEOUT, Head::read(&stream)).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => return refuse_head(&mut stream, &shared, &error).await,
        Err(_) => {
            shared.metrics.requests_refused.inc("timeout");
            return answer(&mut stream, 408, "the request head did not arrive in time", "").await;
        }
    };
    drop(permit);
    if !head.asks_for_websocket() {
        return http::serve(stream, peer, head, shared).await;
    }
    match judge(&head, &shared) {
        Ok(accept_key) => upgrade(stream, peer, head, accept_key, shared).await,
        Err(Refusal { status, why, label, headers }) => {
            shared.metrics.requests_refused.inc(label);
            log::debug!(
                event = "request_refused", address:% = peer.ip(), code = label;
                "a WebSocket request from {} was refused: {why}", peer.ip()
            );
            answer(&mut stream, status, why, headers).await;
        }
    }
}

struct Refusal {
    status: u16,
    why: &'static str,
    label: &'static str,
    headers: &'static str,
}

fn judge(head: &Head, shared: &Shared) -> Result<String, Refusal> {
    let refuse = |status, why, label, headers| Err(Refusal { status, why, label, headers });
    let accept_key = match head.accept_key() {
        Ok(key) => key,
        Err(HeadError::Upgrade(426, why)) => {
            return refuse(426, why, "bad_upgrade", "Sec-WebSocket-Version: 13\r\n");
        }
        Err(HeadError::Upgrade(405, why)) => {
            return refuse(405, why, "bad_upgrade", "Allow: GET\r\n");
        }
        Err(HeadError::Upgrade(status, why)) => return refuse(status, why, "bad_upgrade", ""),
        Err(_) => return refuse(400, "malformed request", "bad_upgrade", ""),
    };
    if !head.path.starts_with(&shared.config.path) {
        return refuse(401, "no WebSocket is served at this path", "path", "");
    }
    if !origin::is_allowed(
        head.header("origin"),
        head.header("host"),
        &shared.config.allowed_origins,
    ) {
        return refuse(403, "this origin is not allowed", "origin", "");
    }
    if shared.is_draining() {
        return refuse(503, "the server is shutting down", "draining", "Retry-After: 2\r\n");
    }
    if shared.open_connections() >= shared.config.limits.max_connections {
        return refuse(
            503,
            "the server has reached its connection limit",
            "max_connections",
            "Retry-After: 5\r\n",
        );
    }
    Ok(accept_key)
}

async fn upgrade(
    mut stream: TcpStream,
    peer: SocketAddr,
    head: Head,
    accept_key: String,
    shared: Arc<Shared>,
) {
    let token = token::extract_token(
        |name| head.joined(name),
        head.query.as_deref(),
        shared.config.auth.allow_query_token,
    );
    let token = token
        .inspect_err(|why| log::debug!("a request from {} has no token: {why}", peer.ip()))
        .ok();
    let carrier = token.as_ref().and_then(|token| token.subprotocol.as_deref());
    let protocol = token::choose_subprotocol(&head.list("sec-websocket-protocol"), carrier);
    let path = head.path.get(shared.config.path.len()..).unwrap_or_default();
    let request = JoinRequest {
        connection: shared.next_connection(),
        correlation: CorrelationId::new(|name| head.header(name)),
        peer,
        target: room_of_path(path),
        token,
        ack: match head.query_value("ack").as_deref() {
            Some("json") => AckMode::Json,
            Some("echo") => AckMode::Echo,
            _ => AckMode::None,
        },
    };
    let protocol =
        protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n{protocol}\r\n"
    );
    if stream.write_all(response.as_bytes()).await.is_err() {
        return;
    }
    let rest = head.bytes.get(head.length..).unwrap_or_default().to_vec();
    let socket = Socket::new(
        stream,
        rest,
        shared.config.network.read_buffer_size,
        shared.config.limits.message_bytes_max,
    );
    // A task of its own: the handshake's buffers are given back before the connection's long life begins.
    tokio::spawn(connection::run(socket, request, shared));
}

async fn refuse_head(stream: &mut TcpStream, shared: &Shared, error: &HeadError) {
    match error {
        HeadError::Gone => {}
        HeadError::TooLarge => {
            shared.metrics.requests_refused.inc("head_too_large");
            answer(stream, 431, "the request head is too large", "").await;
        }
        HeadError::Malformed(why) | HeadError::Upgrade(_, why) => {
            shared.metrics.requests_refused.inc("malformed");
            answer(stream, 400, why, "").await;
        }
    }
}

/// A short answer and the end of the connection.
async fn answer(stream: &mut TcpStream, status: u16, why: &str, headers: &str) {
    let reason = hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let body = format!("{why}\n");
    let response = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n{headers}\r\n{body}",
        reason.unwrap_or("Error"),
        body.len(),
    );
    // A peer that does not read its refusal is cut off with it.
    drop(timeout(HANDSHAKE_TIMEOUT, stream.write_all(response.as_bytes())).await);
    drop(stream.shutdown().await);
}
