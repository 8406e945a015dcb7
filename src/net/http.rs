//! The HTTP routes: health for operators, the records API of the standalone pages, and pages.

mod collab_snapshot;
mod events;

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

use crate::{
    engine::health::health,
    error::EngineError,
    host::{HostError, Identity},
    ids::{RoomId, RoomIdError},
    limits::{HANDSHAKE_TIMEOUT, HEADERS_MAX},
    markdown::Reference,
    net::{Shared, events::is_path as is_events_path, head::Head, stream::Stream},
    room::{RECORDS, RoomCommand, export, registry::Registry},
    store::StoreStatus,
    telemetry::{correlation::CorrelationId, metrics::Gauges, performance},
};

type Answer = Response<Full<Bytes>>;

/// Time one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves HTTP on a stream whose first head was read already.
pub async fn serve(stream: Stream, peer: IpAddr, head: Head, shared: Arc<Shared>) {
    let stream = Rewound { prefix: head.bytes, position: 0, stream };
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move {
            let header = |name: &str| request.headers().get(name)?.to_str().ok();
            let correlation = CorrelationId::new(header);
            let answer = route(request, peer, &shared).await;
            Ok::<_, Infallible>(named(answer, &correlation))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE_TIMEOUT)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        log::debug!("HTTP connection of {peer} ended: {error}");
    }
}

async fn route(request: Request<Incoming>, peer: IpAddr, shared: &Arc<Shared>) -> Answer {
    let path = request.uri().path().to_owned();
    if events::is_stress(&path) {
        return events::answer(request, &path, peer, shared).await;
    }
    let work = async {
        match collab_snapshot::id_in(&path) {
            Some(id) => collab_snapshot::answer(request, id, peer, shared).await,
            None if events::serves(&path) => events::answer(request, &path, peer, shared).await,
            None => read(&request, &path, peer, shared).await,
        }
    };
    tokio::time::timeout(REQUEST_TIMEOUT, work).await.unwrap_or_else(|_| {
        error(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", "the request took too long")
    })
}

/// What is only read.
async fn read(request: &Request<Incoming>, path: &str, peer: IpAddr, shared: &Shared) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer =
            error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "only GET is served here");
        answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/health" => json(StatusCode::OK, &health(shared)),
        "/ready" => ready(shared),
        "/metrics" => metrics(request, peer, shared),
        _ if path.starts_with("/api/v1/") => {
            api(request, path, shared).await.unwrap_or_else(|wrong| failure(&wrong))
        }
        _ if path == shared.config.path
            || path.starts_with(&format!("{}/", shared.config.path))
            || is_events_path(path, &shared.config) =>
        {
            let mut answer =
                error(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", "this is a WebSocket");
            answer
                .headers_mut()
                .insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
            answer
        }
        _ => {
            let known =
                request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
            shared.pages.get(path, known).unwrap_or_else(|| {
                error(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path")
            })
        }
    }
}

fn ready(shared: &Shared) -> Answer {
    let StoreStatus { degraded: store, damage, .. } = shared.store.status();
    let degraded = shared.degraded();
    // Without its store an engine should get no new work; with anything else it can.
    let (status, state) = if shared.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if store.is_some() {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    } else if degraded.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::OK, "degraded")
    };
    let store = serde_json::json!({ "degraded": store, "damage": damage });
    json(status, &serde_json::json!({ "status": state, "degraded": degraded, "store": store }))
}

fn metrics(request: &Request<Incoming>, peer: IpAddr, shared: &Shared) -> Answer {
    if !is_operator(request, peer, shared) {
        return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "metrics need the admin token");
    }
    let store = shared.store.status();
    let host = shared.host.status();
    let (connections, users, addresses) = shared.sessions.counts();
    let text = shared.metrics.render(&Gauges {
        connections,
        users,
        addresses,
        resident_bytes: performance::resident_bytes().unwrap_or_default(),
        connections_max: shared.config.limits.max_connections,
        rooms: shared.registry.len(),
        rooms_held: shared.registry.held_elsewhere(),
        event_rooms: shared.events.rooms_open(),
        queued_bytes: shared.registry.context().queued.bytes(),
        rooms_max: shared.config.rooms.max_rooms,
        store_queued: store.queued,
        store_commits: store.commits,
        store_rows: store.rows,
        store_commit_micros: store.commit_micros,
        store_degraded: store.degraded.is_some(),
        store_damaged: store.damage.is_some(),
        host_degraded: host.degraded.is_some(),
        host_calls: host.calls,
    });
    with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// With an admin token: whoever shows it. Without: loopback, unless a proxy speaks for somebody else.
fn is_operator(request: &Request<Incoming>, peer: IpAddr, shared: &Shared) -> bool {
    match &shared.config.admin.token {
        Some(_) => bearer(request)
            .or_else(|| master_key(request))
            .is_some_and(|given| shared.is_operators(given)),
        None => {
            peer.is_loopback()
                && !["x-forwarded-for", "forwarded", "x-real-ip"]
                    .iter()
                    .any(|name| request.headers().contains_key(*name))
        }
    }
}

/// Compares without telling by its time where the first difference is.
pub(super) fn same_secret(given: &str, secret: &str) -> bool {
    use sha2::{Digest, Sha256};
    let (a, b) = (Sha256::digest(given.as_bytes()), Sha256::digest(secret.as_bytes()));
    a.iter().zip(b.iter()).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// go-deployd's name for the operator's token.
fn master_key(request: &Request<Incoming>) -> Option<&str> {
    request.headers().get("x-master-key")?.to_str().ok()
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn api(
    request: &Request<Incoming>,
    path: &str,
    shared: &Shared,
) -> Result<Answer, EngineError> {
    let no_token = || HostError::Unauthenticated("a bearer token is needed".into());
    let token = bearer(request).ok_or_else(no_token)?;
    let identity = shared.host.authenticate(token).await?;
    let rest = path.strip_prefix("/api/v1/").unwrap_or_default();
    match rest {
        "me" => Ok(json(StatusCode::OK, &identity)),
        "records" => {
            let records = shared.host.list_records(&identity).await?;
            Ok(json(StatusCode::OK, &serde_json::json!({ "records": records })))
        }
        _ => match rest.strip_prefix("records/") {
            Some(rest) => record(rest, &identity, shared).await,
            None => Ok(error(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path")),
        },
    }
}

/// `records/<id>`, and behind it `/markdown`, `/references` or `/presence`; the id may be percent-encoded as one
/// segment or stand as several.
async fn record(rest: &str, identity: &Identity, shared: &Shared) -> Result<Answer, EngineError> {
    let (id, part) = match rest.rsplit_once('/') {
        Some((id, part @ ("markdown" | "references" | "presence"))) => (id, part),
        _ => (rest, ""),
    };
    let room = record_room(id)?;
    let grant = shared.host.authorize(identity, &room).await?;
    match part {
        "markdown" => Ok(with_type(
            StatusCode::OK,
            "text/markdown; charset=utf-8",
            markdown(&room, shared).await?,
        )),
        "references" => {
            let found = references(&room, &shared.registry).await?;
            Ok(json(StatusCode::OK, &serde_json::json!({ "references": found })))
        }
        "presence" => {
            let participants = match shared.registry.get(&room) {
                Some(handle) => ask(&handle, |reply| RoomCommand::Participants { reply })
                    .await
                    .unwrap_or_default(),
                None => Vec::new(),
            };
            Ok(json(StatusCode::OK, &serde_json::json!({ "participants": participants })))
        }
        _ => Ok(json(
            StatusCode::OK,
            &serde_json::json!({ "id": room.id(), "roomId": room.as_str(), "canEdit": grant.can_edit }),
        )),
    }
}

/// The room of a record by its id in a path.
fn record_room(id: &str) -> Result<RoomId, RoomIdError> {
    let id = percent_decode_str(id).decode_utf8().map_err(|_| RoomIdError::Character)?;
    RoomId::new(RECORDS, &id)
}

/// The live document's Markdown, or the source's text if nobody has the record open.
async fn markdown(room: &RoomId, shared: &Shared) -> Result<String, EngineError> {
    if let Some(handle) = shared.registry.get(room)
        && let Some(text) = ask(&handle, |reply| RoomCommand::Markdown { reply }).await
    {
        return text;
    }
    let record = shared.host.load_record(room).await?;
    record.map(|record| record.text).ok_or_else(|| EngineError::RoomNotFound(room.to_string()))
}

/// What a record refers to, as its room has it if that is open.
pub(crate) async fn references(
    room: &RoomId,
    registry: &Registry,
) -> Result<Vec<Reference>, EngineError> {
    if let Some(handle) = registry.get(room)
        && let Some(found) = ask(&handle, |reply| RoomCommand::References { reply }).await
    {
        return Ok(found);
    }
    let found = export::references(registry.context(), room).await?;
    found.ok_or_else(|| EngineError::RoomNotFound(room.to_string()))
}

/// Asks a room; `None` if it went away.
pub(crate) async fn ask<T>(
    room: &crate::room::registry::RoomHandle,
    command: impl FnOnce(oneshot::Sender<T>) -> RoomCommand,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    room.send(command(reply)).await.ok()?;
    answer.await.ok()
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    with_type(status, "application/json", serde_json::to_string(value).unwrap_or_default())
}

/// What went wrong, until the answer gets its body from [`named`].
#[derive(Clone)]
struct Failed {
    code: String,
    message: String,
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let mut answer = with_type(status, "application/json", String::new());
    let failed = Failed { code: code.to_owned(), message: message.to_owned() };
    answer.extensions_mut().insert(failed);
    answer
}

fn failure(wrong: &EngineError) -> Answer {
    let status = StatusCode::from_u16(wrong.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error(status, wrong.code(), &wrong.to_string())
}

/// The answer with the request's correlation id, in a header and in what is said of a failure.
fn named(mut answer: Answer, correlation: &CorrelationId) -> Answer {
    if let Ok(value) = header::HeaderValue::from_str(correlation.as_str()) {
        answer.headers_mut().insert("x-correlation-id", value);
    }
    if let Some(Failed { code, message }) = answer.extensions_mut().remove() {
        let error = serde_json::json!({
            "error": { "code": code, "message": message, "correlationId": correlation.as_str() },
        });
        *answer.body_mut() = Full::new(Bytes::from(error.to_string()));
    }
    answer
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    answer
}

/// A stream that gives back what was read from it already.
struct Rewound {
    prefix: Vec<u8>,
    position: usize,
    stream: Stream,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let left = self.prefix.get(self.position..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = left.len().min(buf.remaining());
        buf.put_slice(left.get(..count).unwrap_or_default());
        self.position += count;
        if self.position >= self.prefix.len() {
            (self.prefix, self.position) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
