//! Rooms of events over HTTP: what a host in another language says and asks, and what operators look at.

#![allow(clippy::result_large_err, reason = "an answer, made once for each request")]

use std::{net::IpAddr, sync::Arc};

use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming, header};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json as object, value::RawValue};

use super::{Answer, Shared, bearer, error, is_operator, json, same_secret};
use crate::{
    events::{
        hub::connections,
        speaker::{Filter, NotSaid, Operation},
    },
    limits::{EVENT_HOST_BYTES_MAX, EVENTS_LISTED_MAX},
    net::{
        stress::{self, Plan},
        vitals,
    },
    time::{rfc3339, unix_ms},
};

/// Longest body, in bytes: the largest event, and its frame of JSON.
const BODY_BYTES_MAX: usize = EVENT_HOST_BYTES_MAX + 64 * 1024;
/// The kind of our metrics; go-deployd's own are 0 (requests) to 3 (errors).
const METRIC_KIND: u8 = 4;
/// Where hosts speak.
const HOSTS: &str = "/api/v1/realtime/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Emit {
    event: String,
    #[serde(default)]
    room: Option<String>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectionChange {
    operation: String,
    documents: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Disconnect {
    client_id: Option<String>,
    user_id: Option<String>,
    address: Option<String>,
    room: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize)]
struct History<'a> {
    room: String,
    events: Vec<&'a RawValue>,
}

/// Whether this is a route of ours.
pub(super) fn serves(path: &str) -> bool {
    path.starts_with(HOSTS) || path.starts_with("/_dashboard/api/") || is_stress(path)
}

/// Whether the request may take longer than others: it says itself how long.
pub(super) fn is_stress(path: &str) -> bool {
    path == "/_admin/test/websocket/stress"
}

pub(super) async fn answer(
    request: Request<Incoming>,
    path: &str,
    peer: IpAddr,
    shared: &Arc<Shared>,
) -> Answer {
    if !may_ask(&request, peer, shared).await {
        let message = "rooms of events are told and asked with the admin token, the service token, or an admin's";
        return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    }
    let posts = matches!(*request.method(), Method::POST);
    let gets = matches!(*request.method(), Method::GET | Method::HEAD);
    let name = path
        .strip_prefix(HOSTS)
        .or_else(|| path.strip_prefix("/_dashboard/api/"))
        .or_else(|| path.strip_prefix("/_admin/"))
        .unwrap_or_default();
    let (room, part) = match name.strip_prefix("rooms/").and_then(|rest| rest.rsplit_once('/')) {
        Some((room, part)) => (decoded(room), part),
        None => (None, name),
    };
    let said = match (part, room) {
        ("emit", None) if posts => emit(request, shared).await,
        ("disconnect", None) if posts => disconnect(request, shared).await,
        ("test/websocket/stress", None) if posts => run_stress(request, shared).await,
        ("rooms", None) if gets => {
            Ok(json(StatusCode::OK, &object!({ "rooms": shared.events.rooms().await })))
        }
        ("connections" | "realtime/connections", None) if gets => {
            Ok(listed(request.uri().query(), shared).await)
        }
        ("presence", Some(room)) if gets => {
            let people = shared.events.people(&room.as_str().into()).await;
            Ok(json(StatusCode::OK, &object!({ "room": room, "people": people })))
        }
        ("history", Some(room)) if gets => {
            let texts = shared.events.history(&room.as_str().into()).await;
            // As they were said: a value would have no place for each number and string that JSON can write.
            let events = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
            Ok(json(StatusCode::OK, &History { room, events }))
        }
        ("metrics/detailed", None) if gets => Ok(json(StatusCode::OK, &detailed(shared))),
        ("metrics/realtime", None) if gets => Ok(json(StatusCode::OK, &vitals::vitals(shared))),
        ("realtime/broker/health", None) if gets => Ok(json(StatusCode::OK, &vitals::broker())),
        (_, None) if posts && name.starts_with("collections/") => {
            match decoded(name.trim_start_matches("collections/")) {
                Some(collection) => change(request, &collection, shared).await,
                None => Err(refused("the collection's name is not UTF-8")),
            }
        }
        ("emit" | "disconnect" | "test/websocket/stress", None) => Err(only("POST")),
        _ if gets => {
            Err(error(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this path"))
        }
        _ => Err(only("GET, HEAD")),
    };
    said.unwrap_or_else(|refusal| refusal)
}

/// An operator, the service, or somebody whose token says that they are an admin.
async fn may_ask(request: &Request<Incoming>, peer: IpAddr, shared: &Shared) -> bool {
    if is_operator(request, peer, shared) {
        return true;
    }
    let Some(given) = bearer(request) else { return false };
    let service = shared.config.host_api.token.as_deref();
    if service.is_some_and(|token| same_secret(given, token)) {
        return true;
    }
    shared
        .host
        .authenticate(given)
        .await
        .is_ok_and(|identity| identity.role == "admin" && identity.room_patterns.is_empty())
}

fn decoded(name: &str) -> Option<String> {
    percent_decode_str(name).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

async fn emit(request: Request<Incoming>, shared: &Shared) -> Result<Answer, Answer> {
    let Emit { event, room, data } = body(request).await?;
    said(shared.events.tell(room.as_deref(), &event, data))
}

async fn change(
    request: Request<Incoming>,
    collection: &str,
    shared: &Shared,
) -> Result<Answer, Answer> {
    let CollectionChange { operation, documents } = body(request).await?;
    let operation = Operation::named(&operation)
        .ok_or_else(|| refused("operation is created, updated or deleted"))?;
    said(shared.events.change(collection, operation, documents))
}

async fn disconnect(request: Request<Incoming>, shared: &Shared) -> Result<Answer, Answer> {
    let Disconnect { client_id, user_id, address, room, reason } = body(request).await?;
    let filter = Filter { client_id, user_id, address, room };
    if filter == Filter::default() {
        return Err(refused("clientId, userId, address or room says whom"));
    }
    let disconnected = shared.events.disconnect(&filter, &reason).await;
    Ok(json(StatusCode::OK, &object!({ "disconnected": disconnected })))
}

async fn run_stress(request: Request<Incoming>, shared: &Arc<Shared>) -> Result<Answer, Answer> {
    let plan: Plan = body(request).await?;
    match stress::run(shared, &plan).await {
        Ok(report) => Ok(json(StatusCode::OK, &report)),
        Err(stress::Refusal::Plan(why)) => Err(refused(why)),
        Err(stress::Refusal::Busy(why)) => Err(error(StatusCode::CONFLICT, "STRESS_REFUSED", why)),
    }
}

async fn listed(query: Option<&str>, shared: &Shared) -> Answer {
    let value = |name: &str| {
        query.unwrap_or_default().split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key == name).then(|| decoded(value)).flatten()
        })
    };
    let filter = Filter {
        client_id: value("clientId"),
        user_id: value("userId"),
        address: value("address"),
        room: value("room"),
    };
    let members = shared.events.find(&filter).await;
    let shown = connections(&members, EVENTS_LISTED_MAX);
    json(StatusCode::OK, &object!({ "total": members.len(), "connections": shown }))
}

/// What is measured, in go-deployd's form (collector.go: a kind as a number, a time as text, a duration in
/// nanoseconds), and a block of its own for what is ours.
fn detailed(shared: &Shared) -> Value {
    let now = rfc3339(unix_ms());
    let block = vitals::vitals(shared);
    let metrics: Vec<Value> = block
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.is_number())
        .map(|(id, value)| {
            object!({
                "id": id, "type": METRIC_KIND, "timestamp": now, "duration": 0,
                "metadata": { "collection": "realtime", "value": value },
            })
        })
        .collect();
    let since = rfc3339(shared.started_at_ms);
    object!({ "count": metrics.len(), "metrics": metrics, "since": since, "realtime": block })
}

fn said(outcome: Result<(), NotSaid>) -> Result<Answer, Answer> {
    match outcome {
        Ok(()) => Ok(json(StatusCode::ACCEPTED, &object!({ "accepted": true }))),
        Err(why @ NotSaid::Name) => Err(refused(&why.to_string())),
        Err(why @ NotSaid::TooLarge) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            Err(error(status, "PAYLOAD_TOO_LARGE", &why.to_string()))
        }
        Err(why @ NotSaid::Busy) => {
            Err(error(StatusCode::SERVICE_UNAVAILABLE, "EVENTS_BUSY", &why.to_string()))
        }
    }
}

fn refused(why: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, "BAD_REQUEST", why)
}

fn only(methods: &'static str) -> Answer {
    let message = format!("only {methods} is served here");
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", &message);
    answer.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
    answer
}

/// The body as JSON of a form.
async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Answer> {
    // go-deployd's samples name no type, and curl then says that it is a form.
    let is_json = has_type(&request, "application/json")
        || (has_type(&request, "application/x-www-form-urlencoded") && !is_of_a_page(&request));
    if !is_json {
        // A page of another origin can send anything but JSON without being asked for leave.
        let message = "the body must be application/json";
        return Err(error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|wrong| {
        if wrong.is::<http_body_util::LengthLimitError>() {
            let message = "the body is larger than an event may be";
            error(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", message)
        } else {
            refused("the body broke off")
        }
    })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|wrong| refused(&format!("the body does not fit: {wrong}")))
}

fn has_type(request: &Request<Incoming>, wanted: &str) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()) == Some(wanted)
}

/// Whether a browser may have sent it for a page: it says so in one of these at least.
fn is_of_a_page(request: &Request<Incoming>) -> bool {
    ["origin", "referer", "sec-fetch-site"].iter().any(|name| request.headers().contains_key(*name))
}
