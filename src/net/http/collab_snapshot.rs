//! `GET` and `POST /api/v1/records/<id>/collab-snapshot`: an API takes a room's content, has it written back, or
//! hands in a text.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming, header};
use serde::Deserialize;

use super::{
    Answer, Shared, ask, bearer, error, failure, is_operator, json, record_room, same_secret,
};
use crate::{
    engine::SnapshotReport,
    error::EngineError,
    ids::RoomId,
    limits::RECORD_BYTES_MAX,
    room::{RoomCommand, export},
    time::unix_ms,
};

/// Longest body, in bytes: two records, as JSON.
const BODY_BYTES_MAX: usize = 4 * RECORD_BYTES_MAX;

/// What may be asked with `POST`; nothing = write back.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// A text to merge into the open document.
    markdown: Option<String>,
    /// The text it was made of; without it the one last exchanged with the record's source.
    base: Option<String>,
}

/// The record's id, if this is its route.
pub(super) fn id_in(path: &str) -> Option<&str> {
    path.strip_prefix("/api/v1/records/")?.strip_suffix("/collab-snapshot")
}

pub(super) async fn answer(
    request: Request<Incoming>,
    id: &str,
    peer: IpAddr,
    shared: &Shared,
) -> Answer {
    if !is_service(&request, peer, shared) {
        let message = "collab snapshots need the admin token or the service token";
        return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    }
    let room = match record_room(id) {
        Ok(room) => room,
        Err(wrong) => return failure(&wrong.into()),
    };
    let answered = match *request.method() {
        Method::GET | Method::HEAD => content(&room, shared).await,
        Method::POST => match asked(request).await {
            Ok(Wish { markdown: None, .. }) => write_back(&room, shared).await,
            Ok(Wish { markdown: Some(text), base }) => take(&room, text, base, shared).await,
            Err(answer) => return answer,
        },
        _ => {
            let message = "GET and POST are served here";
            let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message);
            let allowed = header::HeaderValue::from_static("GET, HEAD, POST");
            answer.headers_mut().insert(header::ALLOW, allowed);
            return answer;
        }
    };
    answered.unwrap_or_else(|wrong| failure(&wrong))
}

/// An operator, or who has the token this engine shows the API.
fn is_service(request: &Request<Incoming>, peer: IpAddr, shared: &Shared) -> bool {
    let service = shared.config.host_api.token.as_deref();
    is_operator(request, peer, shared)
        || service
            .is_some_and(|token| bearer(request).is_some_and(|given| same_secret(given, token)))
}

async fn content(room: &RoomId, shared: &Shared) -> Result<Answer, EngineError> {
    let live = match shared.registry.get(room) {
        Some(handle) => ask(&handle, |reply| RoomCommand::Export { reply }).await,
        None => None,
    };
    let is_live = live.is_some();
    let content = match live {
        Some(content) => content?,
        None => export::stored(shared.registry.context(), room)
            .await?
            .ok_or_else(|| EngineError::VersionNotFound(format!("{room} is not in the store")))?,
    };
    Ok(json(
        StatusCode::OK,
        &serde_json::json!({
            "id": room.id(),
            "roomId": room.as_str(),
            "live": is_live,
            "version": content.version,
            "state": BASE64.encode(&content.state),
            "markdown": content.markdown,
            "timestamp": unix_ms(),
        }),
    ))
}

/// A record that nobody has open is in its source already.
async fn write_back(room: &RoomId, shared: &Shared) -> Result<Answer, EngineError> {
    let report = match shared.registry.get(room) {
        Some(handle) => ask(&handle, |reply| RoomCommand::Snapshot { reply }).await.transpose()?,
        None => None,
    };
    let nothing = SnapshotReport { snapshot_created: false, version: None, timestamp: unix_ms() };
    Ok(json(StatusCode::OK, &report.unwrap_or(nothing)))
}

/// A text for a record that nobody has open belongs into its source; the next opening finds it there.
async fn take(
    room: &RoomId,
    text: String,
    base: Option<String>,
    shared: &Shared,
) -> Result<Answer, EngineError> {
    let closed = || EngineError::RoomNotFound(room.to_string());
    let handle = shared.registry.get(room).ok_or_else(closed)?;
    let report = ask(&handle, |reply| RoomCommand::TakeText { text, base, reply }).await;
    Ok(json(StatusCode::OK, &report.ok_or_else(closed)??))
}

async fn asked(request: Request<Incoming>) -> Result<Wish, Answer> {
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str().is_ok_and(|kind| kind.split(';').next() == Some("application/json"))
    });
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|wrong| {
        if wrong.is::<http_body_util::LengthLimitError>() {
            let message = "the body is larger than a record may be";
            error(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        } else {
            error(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the body broke off")
        }
    })?;
    let body = body.to_bytes();
    if body.is_empty() {
        return Ok(Wish::default());
    }
    if !is_json {
        // A page of another origin can send anything but this without being asked for leave.
        let message = "the body must be application/json";
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let asked: Wish = serde_json::from_slice(&body).map_err(|wrong| {
        error(StatusCode::BAD_REQUEST, "BAD_REQUEST", &format!("the body does not fit: {wrong}"))
    })?;
    let too_long =
        |text: &Option<String>| text.as_ref().is_some_and(|t| t.len() > RECORD_BYTES_MAX);
    if too_long(&asked.markdown) || too_long(&asked.base) {
        let message = "a text is larger than a record may be";
        return Err(error(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message));
    }
    Ok(asked)
}
