//! Calls over HTTP: one deadline for all attempts of a call, a bounded answer, a breaker.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    header::{self, HeaderValue},
};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

use super::breaker::{Breaker, Change};
use crate::{
    host::{HostError, HostStatus},
    limits::{
        HOST_API_ANSWER_BYTES_MAX, HOST_API_ATTEMPTS_MAX, HOST_API_IDLE_TIMEOUT,
        HOST_API_RETRY_WAIT, HOST_CALLS_MAX,
    },
    telemetry::counter::Labelled,
};

/// What is asked of the API. Every call may be made twice without harm.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Below `/api/v1/`, encoded.
    pub(super) path: String,
    pub(super) authorization: HeaderValue,
    /// JSON; empty = no body.
    pub(super) body: Bytes,
}

/// What the API answered: anything but a fault of its own.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The body; `null` if it is no JSON, which only a refusal may do.
    pub(super) json: Value,
}

impl Answer {
    /// The code of an error's body, as CivicPress writes it.
    pub(super) fn code(&self) -> Option<&str> {
        self.json.pointer("/error/code")?.as_str()
    }
}

/// A client of one API. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: String,
    time: Duration,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    places: Semaphore,
    breaker: Breaker,
    calls: Labelled,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
enum Fault {
    /// Another attempt may do better.
    Passing(String),
    /// Another attempt would end the same.
    Lasting(String),
}

impl Client {
    /// A client of the API at `url`; calls have `time` each. Connects to nothing yet.
    pub(super) fn new(url: &str, time: Duration) -> Result<Self, String> {
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
        let plain = url.starts_with("http://");
        let tls = if plain {
            // A machine without certificates is none the worse for it.
            tls.with_root_certificates(rustls::RootCertStore::empty())
        } else {
            let roots = tls.with_native_roots();
            roots.map_err(|error| format!("the system's certificates: {error}"))?
        };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().with_tls_config(tls.with_no_client_auth());
        let connector = if plain { tls.https_or_http() } else { tls.https_only() };
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(HOST_API_IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector.enable_http1().wrap_connector(tcp));
        let url = url.trim_end_matches('/');
        Ok(Self(Arc::new(Inner {
            base: format!("{}/api/v1/", url.strip_suffix("/api/v1").unwrap_or(url)),
            time,
            pool,
            places: Semaphore::new(HOST_CALLS_MAX),
            breaker: Breaker::default(),
            calls: Labelled::default(),
        })))
    }

    /// Makes a call, again where that may help. An answer of any status that is not a fault of the API is an
    /// answer. Runs to its end even if nobody waits any more: the breaker has to know.
    pub(super) async fn call(&self, call: Call) -> Result<Answer, HostError> {
        let client = self.clone();
        let outcome = tokio::spawn(async move { client.0.call(call).await }).await;
        outcome.unwrap_or_else(|_| Err(HostError::Failed("the call was given up".into())))
    }

    /// How it goes.
    pub(super) fn status(&self) -> HostStatus {
        let open = !self.0.breaker.is_closed();
        HostStatus {
            degraded: open.then(|| {
                format!("host: the CivicPress API at {} does not answer as it should", self.0.base)
            }),
            calls: self.0.calls.all(),
        }
    }
}

impl Inner {
    async fn call(&self, call: Call) -> Result<Answer, HostError> {
        let deadline = Instant::now() + self.time;
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            self.calls.inc("timeout");
            return Err(HostError::Timeout);
        };
        if !self.breaker.admits(Instant::now()) {
            self.calls.inc("not_tried");
            return Err(HostError::Failed("the CivicPress API is left alone for a while".into()));
        }
        let outcome = timeout_at(deadline, self.attempts(&call, deadline)).await;
        let outcome = outcome.unwrap_or(Err(HostError::Timeout));
        self.calls.inc(match &outcome {
            Ok(answer) if answer.status.is_success() => "ok",
            Ok(_) => "refused",
            Err(HostError::Timeout) => "timeout",
            Err(_) => "failed",
        });
        if let Err(error) = &outcome {
            log::debug!(
                event = "host_api_failed", error:% = error;
                "{} {}: {error}", call.method, call.path
            );
        }
        match self.breaker.ended(outcome.is_ok(), Instant::now()) {
            Some(Change::Opened(wait)) => log::warn!(
                event = "host_api_down", error:? = outcome.as_ref().err().map(ToString::to_string);
                "the CivicPress API fails and is left alone for {} s", wait.as_secs()
            ),
            Some(Change::Closed) => {
                log::info!(event = "host_api_up"; "the CivicPress API answers again");
            }
            None => {}
        }
        outcome
    }

    async fn attempts(&self, call: &Call, deadline: Instant) -> Result<Answer, HostError> {
        let mut wait = HOST_API_RETRY_WAIT;
        for attempt in 1.. {
            let why = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Lasting(why)) => return Err(HostError::Failed(why)),
                Err(Fault::Passing(why)) => why,
            };
            // Half of it by chance, so that what failed together does not come back together.
            let jittered = wait.mul_f64(0.5 + fastrand::f64() / 2.0);
            if attempt >= HOST_API_ATTEMPTS_MAX || Instant::now() + jittered >= deadline {
                return Err(HostError::Failed(why));
            }
            self.calls.inc("retried");
            sleep(jittered).await;
            wait *= 2;
        }
        Err(HostError::Timeout)
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Fault> {
        let lasting = |what: &str| Fault::Lasting(format!("the CivicPress API {what}"));
        let passing = |what: &str| Fault::Passing(format!("the CivicPress API {what}"));
        let answer = self.pool.request(self.request(call)?).await.map_err(|error| {
            passing(if error.is_connect() { "cannot be reached" } else { "broke off" })
        })?;
        let status = answer.status();
        if status.is_redirection() {
            // Following it would take tokens to where nobody configured.
            return Err(lasting(&format!("answered {status}, and redirects are not followed")));
        }
        if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || status == StatusCode::TOO_MANY_REQUESTS
        {
            return Err(passing(&format!("answered {status}")));
        }
        let is_json = answer.headers().get(header::CONTENT_TYPE).is_some_and(is_json);
        let body = Limited::new(answer.into_body(), HOST_API_ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                lasting("answered more than a record may hold")
            } else {
                passing("broke off in its answer")
            }
        })?;
        let json = is_json.then(|| serde_json::from_slice(&body.to_bytes()).ok()).flatten();
        match json {
            Some(json) => Ok(Answer { status, json }),
            None if status.is_success() => Err(lasting("answered something that is no JSON")),
            None => Ok(Answer { status, json: Value::Null }),
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Fault> {
        let uri = format!("{}{}", self.base, call.path).parse::<Uri>();
        let request = uri.map_err(Into::into).and_then(|uri| {
            let request = Request::builder()
                .method(call.method.clone())
                .uri(uri)
                .header(header::AUTHORIZATION, call.authorization.clone())
                .header(header::ACCEPT, "application/json")
                .header(header::USER_AGENT, "civicpress-realtime");
            if call.body.is_empty() {
                request.body(Full::default())
            } else {
                request
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(call.body.clone()))
            }
        });
        request.map_err(|error: hyper::http::Error| Fault::Lasting(error.to_string()))
    }
}

fn is_json(content_type: &HeaderValue) -> bool {
    let kind = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}
