//! A CivicPress API over real HTTP, as much of it as microservice mode asks for, that can misbehave.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    body::{Body, Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Token of the service's own user; a person's token is `role:name`, as at the other fake host.
pub const SERVICE: &str = "service:realtime";

/// What goes wrong with one request. It was carried out all the same.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Status(u16),
    NoJson,
    BrokenJson,
    WrongShape,
    Huge,
    Redirect,
    HalfBody,
    EndlessBody,
    Hangs,
    Closes,
}

#[derive(Default)]
pub struct Api {
    /// Published texts.
    pub records: Mutex<HashMap<String, String>>,
    pub drafts: Mutex<HashMap<String, String>>,
    /// The bodies of the copies it was given, by record.
    pub copies: Mutex<HashMap<String, Vec<Value>>>,
    /// Whether it has the route `collab-snapshot`, which CivicPress 0.3 has not.
    pub takes_snapshots: bool,
    /// For the next requests, one each.
    pub faults: Mutex<VecDeque<Fault>>,
    /// Method, path, token, body.
    pub requests: Mutex<Vec<(String, String, String, Value)>>,
}

impl Api {
    /// An API with one published record.
    pub fn with_record(id: &str, text: &str) -> Self {
        let records = Mutex::new(HashMap::from([(id.into(), text.into())]));
        Self { records, takes_snapshots: true, ..Self::default() }
    }

    /// Serves until the runtime ends; returns its address.
    pub async fn serve(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = Arc::clone(&api);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&api), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    drop(connection.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        format!("http://{address}")
    }

    pub fn misbehave(&self, fault: Fault, times: usize) {
        self.faults.lock().extend(std::iter::repeat_n(fault, times));
    }

    /// Requests so far whose method and path begin so.
    pub fn count(&self, begin: &str) -> usize {
        let requests = self.requests.lock();
        requests.iter().filter(|(m, p, ..)| format!("{m} {p}").starts_with(begin)).count()
    }

    fn carry_out(&self, method: &Method, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let refuse = |status, code: &str| {
            (status, json!({ "success": false, "error": { "message": code, "code": code } }))
        };
        let ok = |data: Value| (200, json!({ "success": true, "data": data }));
        let Some((role, name)) = token.split_once(':') else {
            return refuse(401, "INVALID_TOKEN");
        };
        let edits = matches!(role, "editor" | "service");
        if path == "auth/me" {
            let permissions = match role {
                "editor" | "service" => json!(["records:view", "records:edit"]),
                "viewer" => json!(["records:view"]),
                "admin" => json!(["*"]),
                _ => json!([]),
            };
            let user =
                json!({ "id": 7, "username": name, "role": role, "permissions": permissions });
            return ok(json!({ "user": user }));
        }
        let Some((id, rest)) = path
            .strip_prefix("records/")
            .map(|rest| rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at)))
        else {
            return refuse(404, "NOT_FOUND");
        };
        let id = percent_encoding::percent_decode_str(id).decode_utf8().unwrap();
        let draft = self.drafts.lock().get(&*id).cloned().filter(|_| edits);
        let record = self.records.lock().get(&*id).cloned();
        let present = draft.clone().or_else(|| record.clone());
        match (method.as_str(), rest, present) {
            ("GET" | "PUT", "?edit=true" | "/draft", None) => refuse(404, "RECORD_NOT_FOUND"),
            ("GET", "?edit=true", Some(text)) if draft.is_some() => {
                ok(json!({ "isDraft": true, "markdownBody": text, "title": "T" }))
            }
            ("GET", "?edit=true", Some(text)) => ok(json!({
                "isDraft": false, "content": text, "markdownBody": text, "title": "T",
                "type": "bylaw", "geography": { "type": "Point" },
            })),
            ("GET" | "POST", "/collab-snapshot", _) if !self.takes_snapshots => {
                refuse(404, "NOT_FOUND")
            }
            ("POST" | "PUT", ..) if !edits => refuse(403, "INSUFFICIENT_PERMISSIONS"),
            ("GET", "/collab-snapshot", _) if role != "service" => {
                refuse(403, "INSUFFICIENT_PERMISSIONS")
            }
            ("GET", "/collab-snapshot", _) => {
                match self.copies.lock().get(&*id).and_then(|copies| copies.last()) {
                    Some(copy) => ok(copy.clone()),
                    None => refuse(404, "SNAPSHOT_NOT_FOUND"),
                }
            }
            ("POST", "/collab-snapshot", _) if body["state"].is_string() => {
                let mut copies = self.copies.lock();
                let copies = copies.entry(id.into_owned()).or_default();
                copies.push(body.clone());
                ok(json!({ "version": copies.len(), "timestamp": 1_700_000_000_000_u64 }))
            }
            ("POST", "/collab-snapshot", present) => {
                if present.as_deref() != body["expected"].as_str() {
                    return refuse(409, "CHANGED");
                }
                self.save_draft(&id, &body["markdown"]);
                ok(json!({ "saved": true, "source": "draft" }))
            }
            ("PUT", "/draft", Some(_)) if draft.is_none() && body["title"].is_null() => {
                refuse(400, "TITLE_REQUIRED")
            }
            ("PUT", "/draft", Some(_)) => {
                self.save_draft(&id, &body["markdownBody"]);
                ok(json!({ "id": id }))
            }
            _ => refuse(404, "NOT_FOUND"),
        }
    }

    fn save_draft(&self, id: &str, text: &Value) {
        self.drafts.lock().insert(id.into(), text.as_str().unwrap().into());
    }
}

async fn answer(
    api: Arc<Api>,
    request: Request<Incoming>,
) -> Result<Response<Answer>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path_and_query().unwrap().as_str();
    let path = path.strip_prefix("/api/v1/").unwrap_or(path).to_owned();
    let token = head.headers["authorization"].to_str().unwrap();
    let token = token.strip_prefix("Bearer ").unwrap().to_owned();
    let (status, json) = api.carry_out(&head.method, &path, &token, &body);
    api.requests.lock().push((head.method.to_string(), path, token, body));
    let fault = api.faults.lock().pop_front();
    let text = json.to_string();
    let half = Bytes::from(text[..text.len() / 2].to_owned());
    let response = |status: u16, kind: &str, body: Answer| {
        let response = Response::builder().status(status).header("content-type", kind);
        Ok(response.body(body).unwrap())
    };
    let json = "application/json; charset=utf-8";
    match fault {
        None => response(status, json, Answer::Whole(Some(text.into()))),
        Some(Fault::Status(status)) => {
            response(status, "text/plain", Answer::Whole(Some("no".into())))
        }
        Some(Fault::NoJson) => response(200, "text/html", Answer::Whole(Some(text.into()))),
        Some(Fault::BrokenJson) => response(200, json, Answer::Whole(Some(half))),
        Some(Fault::WrongShape) => response(200, json, Answer::Whole(Some("[1]".into()))),
        Some(Fault::Huge) => response(200, json, Answer::Huge),
        Some(Fault::HalfBody) => response(200, json, Answer::Breaks(Some(half))),
        Some(Fault::EndlessBody) => response(200, json, Answer::Stalls(Some(half))),
        Some(Fault::Hangs) => std::future::pending().await,
        Some(Fault::Closes) => Err(std::io::Error::other("on purpose")),
        Some(Fault::Redirect) => {
            let mut answer = response(307, json, Answer::Whole(Some("{}".into())))?;
            answer.headers_mut().insert("location", "/api/v1/auth/me".parse().unwrap());
            Ok(answer)
        }
    }
}

/// A body that comes as it should, or not.
enum Answer {
    Whole(Option<Bytes>),
    Breaks(Option<Bytes>),
    Stalls(Option<Bytes>),
    Huge,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        const MEGABYTE: &[u8] = &[b' '; 1024 * 1024];
        let (data, end) = match &mut *self {
            Self::Whole(data) => (data.take(), Poll::Ready(None)),
            Self::Breaks(data) => {
                (data.take(), Poll::Ready(Some(Err(std::io::Error::other("on purpose")))))
            }
            Self::Stalls(data) => (data.take(), Poll::Pending),
            Self::Huge => (Some(Bytes::from_static(MEGABYTE)), Poll::Pending),
        };
        data.map_or(end, |data| Poll::Ready(Some(Ok(Frame::data(data)))))
    }
}
