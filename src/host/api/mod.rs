//! The host of microservice mode: the CivicPress API over HTTP. Users are asked for with their own tokens, so
//! that the API decides what each may see; texts are read and written with the service's token.

mod breaker;
mod client;
mod copies;
mod record;
mod user;

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode, header::HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use self::{
    client::{Answer, Call, Client},
    record::Record,
};
pub use user::ApiUser;

use super::{
    DRAFT, Grant, Hook, Host, HostCopies, HostError, HostStatus, Identity, RecordSummary,
    RecordText, SaveOutcome,
};
use crate::{
    config::{Config, HostApi, SnapshotStorage},
    future::BoxFuture,
    ids::RoomId,
    room::RECORDS,
};

/// What stands unencoded in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The CivicPress API as the host.
#[derive(Debug)]
pub struct ApiHost {
    client: Client,
    service: HeaderValue,
    open_types: Vec<String>,
    /// The API keeps copies of rooms, too.
    keeps_copies: bool,
}

impl ApiHost {
    /// Checks the address and the token; the API itself may come up later.
    pub fn new(config: &Config) -> Result<Self, String> {
        let HostApi { url, token, timeout_ms } = &config.host_api;
        let url = url.as_deref().ok_or("host_api.url is needed")?;
        let token = token.as_deref().ok_or("host_api.token is needed")?;
        Ok(Self {
            client: Client::new(url, Duration::from_millis(*timeout_ms))
                .map_err(|error| format!("host_api.url: {error}"))?,
            service: bearer(token).ok_or("host_api.token holds what no token may")?,
            open_types: config.rooms.open_types.clone(),
            keeps_copies: config.snapshots.storage == SnapshotStorage::Api,
        })
    }

    async fn call(
        &self,
        method: Method,
        path: String,
        authorization: &HeaderValue,
        body: &Value,
    ) -> Result<Answer, HostError> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.client.call(Call { method, path, authorization: authorization.clone(), body }).await
    }

    async fn identify(&self, token: &str) -> Result<Identity, HostError> {
        let nobody = || HostError::Unauthenticated("nobody has this token".into());
        let authorization = bearer(token).ok_or_else(nobody)?;
        let answer = self.call(Method::GET, "auth/me".into(), &authorization, &Value::Null).await?;
        match answer.status {
            StatusCode::OK => user::identity(&answer.json, token),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(nobody()),
            status => Err(unexpected("auth/me", status)),
        }
    }

    async fn grant(&self, identity: &Identity, room: &RoomId) -> Result<Grant, HostError> {
        let user = identity.api_user.as_deref().ok_or(HostError::Denied)?;
        let may_look = user.may_view
            && if room.kind() == RECORDS {
                // The API knows what else decides: drafts and unpublished records are not for everybody.
                let authorization = bearer(&user.token).ok_or(HostError::Denied)?;
                self.record(room, &authorization).await?.is_some()
            } else {
                self.open_types.iter().any(|kind| kind == room.kind())
            };
        if may_look { Ok(Grant { can_edit: user.may_edit }) } else { Err(HostError::Denied) }
    }

    /// The draft if there is one and whoever asks may see it, else the record.
    async fn record(
        &self,
        room: &RoomId,
        authorization: &HeaderValue,
    ) -> Result<Option<Record>, HostError> {
        let path = format!("records/{}?edit=true", segment(room));
        let answer = self.call(Method::GET, path, authorization, &Value::Null).await?;
        match answer.status {
            StatusCode::OK => Record::read(&answer.json).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(HostError::Denied),
            status => Err(unexpected("the record", status)),
        }
    }

    async fn load(&self, room: &RoomId) -> Result<Option<RecordText>, HostError> {
        if room.kind() != RECORDS {
            return Ok(None);
        }
        let record = self.record(room, &self.service).await.map_err(service_refused)?;
        Ok(record.map(Record::into_text))
    }

    async fn save(
        &self,
        room: &RoomId,
        text: &str,
        expected: Option<&str>,
    ) -> Result<SaveOutcome, HostError> {
        if room.kind() != RECORDS {
            return Err(HostError::Failed(format!("rooms of type {} have no record", room.kind())));
        }
        let body = json!({ "roomId": room.as_str(), "markdown": text, "expected": expected });
        let answer = self.call(Method::POST, collab_snapshot(room), &self.service, &body).await?;
        match answer.status {
            status if status.is_success() => Ok(SaveOutcome::Saved(record::saved_as(&answer.json))),
            StatusCode::CONFLICT => match self.load(room).await? {
                // An earlier attempt arrived, and its answer did not.
                Some(present) if present.text == text => Ok(SaveOutcome::Saved(present.source)),
                Some(present) => Ok(SaveOutcome::Changed(present)),
                None => Err(HostError::Failed("the record is gone".into())),
            },
            StatusCode::NOT_FOUND if answer.code() == Some(record::NOT_FOUND) => {
                Err(HostError::Failed("the record is gone".into()))
            }
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => self.save_draft(room, text, expected).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(service_refused(HostError::Denied))
            }
            status => Err(unexpected("the collab-snapshot", status)),
        }
    }

    /// For an API without the route above. It compares nothing, so we do, just before.
    async fn save_draft(
        &self,
        room: &RoomId,
        text: &str,
        expected: Option<&str>,
    ) -> Result<SaveOutcome, HostError> {
        let present = self.record(room, &self.service).await.map_err(service_refused)?;
        let Some(present) = present else {
            return Err(HostError::Failed("the record is gone".into()));
        };
        if expected != Some(present.text()) {
            return Ok(SaveOutcome::Changed(present.into_text()));
        }
        let path = format!("records/{}/draft", segment(room));
        let answer = self.call(Method::PUT, path, &self.service, &present.draft_with(text)).await?;
        match answer.status {
            status if status.is_success() => Ok(SaveOutcome::Saved(DRAFT)),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(service_refused(HostError::Denied))
            }
            status => Err(unexpected("the draft", status)),
        }
    }
}

/// Anything but visible ASCII would be another token on the other side, or two headers.
fn bearer(token: &str) -> Option<HeaderValue> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn segment(room: &RoomId) -> String {
    utf8_percent_encode(room.id(), SEGMENT).to_string()
}

fn collab_snapshot(room: &RoomId) -> String {
    format!("records/{}/collab-snapshot", segment(room))
}

fn unexpected(what: &str, status: StatusCode) -> HostError {
    HostError::Failed(format!("the CivicPress API answered {status} for {what}"))
}

/// That the service may not do it is a fault of the configuration, no verdict on a user.
fn service_refused(error: HostError) -> HostError {
    match error {
        HostError::Denied => {
            HostError::Failed("the CivicPress API refuses host_api.token its records".into())
        }
        error => error,
    }
}

impl Host for ApiHost {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Identity, HostError>> {
        Box::pin(self.identify(token))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Grant, HostError>> {
        Box::pin(self.grant(identity, room))
    }

    fn load_record<'a>(
        &'a self,
        room: &'a RoomId,
    ) -> BoxFuture<'a, Result<Option<RecordText>, HostError>> {
        Box::pin(self.load(room))
    }

    fn save_record<'a>(
        &'a self,
        room: &'a RoomId,
        text: &'a str,
        expected: Option<&'a str>,
    ) -> BoxFuture<'a, Result<SaveOutcome, HostError>> {
        Box::pin(self.save(room, text, expected))
    }

    fn emit_hook(&self, hook: Hook) {
        // The API has no route that takes them.
        log::debug!("hook {}", hook.name);
    }

    fn list_records<'a>(
        &'a self,
        _identity: &'a Identity,
    ) -> BoxFuture<'a, Result<Vec<RecordSummary>, HostError>> {
        // The record list belongs to the standalone pages; the API has its own.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn status(&self) -> HostStatus {
        self.client.status()
    }

    fn copies(&self) -> Option<&dyn HostCopies> {
        self.keeps_copies.then_some(self)
    }
}
