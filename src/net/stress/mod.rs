//! A load test of the engine's own port: clients of ours in this process, over the loopback interface, that
//! speak to each other in a room of their own. It measures true round trips and whether all that was said was
//! heard, and can reach nothing but this engine.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and shares of a bounded test, for people"
)]

mod client;
mod trust;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};

use self::client::Client;
use super::Shared;
use crate::limits::{
    STRESS_CONNECTIONS_MAX, STRESS_MESSAGES_PER_SECOND_MAX, STRESS_PAYLOAD_BYTES_MAX,
    STRESS_SECONDS_MAX, STRESS_SETTLE, STRESS_STEP,
};

/// What to do. The names are go-deployd's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Plan {
    /// Clients.
    pub connections: usize,
    /// Messages of all of them together.
    pub messages_per_second: u64,
    /// Seconds.
    pub duration: f64,
    /// The room; without one a room that nobody else is in.
    pub room: Option<String>,
    /// Bytes of each message's data, about.
    pub payload_bytes: usize,
}

impl Default for Plan {
    fn default() -> Self {
        let (connections, messages_per_second, duration) = (100, 10, 30.0);
        Self { connections, messages_per_second, duration, room: None, payload_bytes: 64 }
    }
}

/// Why it is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A number is out of its bounds.
    Plan(&'static str),
    /// It cannot be done at the moment, or here.
    Busy(&'static str),
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    connections: Opened,
    messages: Messages,
    round_trip_ms: Times,
    duration_seconds: f64,
    errors: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    requested: usize,
    opened: usize,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Messages {
    sent: u64,
    expected_deliveries: u64,
    deliveries: u64,
    delivery_ratio: f64,
    deliveries_per_second: f64,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    measured: usize,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// Counts of all clients of a test.
#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    heard: AtomicU64,
    ended: AtomicBool,
}

/// One at a time: gives the turn back on every path.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Runs a test to its end. Its clients are gone when this returns or is dropped.
pub async fn run(shared: &Arc<Shared>, plan: &Plan) -> Result<Report, Refusal> {
    check(plan)?;
    if shared.stressing.swap(true, Ordering::AcqRel) {
        return Err(Refusal::Busy("another test is under way"));
    }
    let _turn = Turn(&shared.stressing);
    let room = plan.room.clone().unwrap_or_else(|| format!("stress:{:016x}", fastrand::u64(..)));
    let (mut clients, errors) = open(shared, plan, &room).await;
    let opened = clients.len();
    let counts = Arc::<Counts>::default();
    let mut fleet = JoinSet::new();
    let begun = Instant::now();
    let pause = Duration::from_secs_f64(opened.max(1) as f64 / plan.messages_per_second as f64);
    let until = begun + Duration::from_secs_f64(plan.duration);
    for (number, client) in clients.drain(..).enumerate() {
        // Spread over the time between two messages of one client.
        let first = begun + pause.mul_f64(number as f64 / opened.max(1) as f64);
        fleet.spawn(client.speak(
            room.clone(),
            plan.payload_bytes,
            (first, pause, until),
            Arc::clone(&counts),
        ));
    }
    tokio::time::sleep_until(until).await;
    let seconds = begun.elapsed().as_secs_f64();
    let expected = settle(&counts, opened as u64).await;
    counts.ended.store(true, Ordering::Release);
    let mut times = Vec::new();
    while let Some(ended) = fleet.join_next().await {
        times.extend(ended.unwrap_or_default());
    }
    let heard = counts.heard.load(Ordering::Acquire);
    Ok(Report {
        connections: Opened { requested: plan.connections, opened },
        messages: Messages {
            sent: counts.sent.load(Ordering::Acquire),
            expected_deliveries: expected,
            deliveries: heard,
            delivery_ratio: if expected == 0 { 0.0 } else { heard as f64 / expected as f64 },
            deliveries_per_second: (heard as f64 / seconds).round(),
        },
        round_trip_ms: percentiles(times),
        duration_seconds: seconds,
        errors,
    })
}

fn check(plan: &Plan) -> Result<(), Refusal> {
    if !(1..=STRESS_CONNECTIONS_MAX).contains(&plan.connections) {
        return Err(Refusal::Plan("connections is a number from 1 to 1000"));
    }
    if !(1..=STRESS_MESSAGES_PER_SECOND_MAX).contains(&plan.messages_per_second) {
        return Err(Refusal::Plan("messagesPerSecond is a number from 1 to 10000"));
    }
    if !(0.1..=STRESS_SECONDS_MAX).contains(&plan.duration) {
        return Err(Refusal::Plan("duration is a number of seconds from 0.1 to 300"));
    }
    if plan.payload_bytes > STRESS_PAYLOAD_BYTES_MAX {
        return Err(Refusal::Plan("payloadBytes is a number up to 16384"));
    }
    if plan.room.as_deref().is_some_and(|room| !crate::protocol::events::is_name(room)) {
        return Err(Refusal::Plan("room is a room's name"));
    }
    Ok(())
}

/// Opens all clients and takes them into the room; what failed is told once each.
async fn open(shared: &Arc<Shared>, plan: &Plan, room: &str) -> (Vec<Client>, Vec<String>) {
    let address = loopback(shared.address);
    let token: Arc<str> = shared.own_token.as_str().into();
    let path: Arc<str> = format!("{}/", shared.config.events.path).into();
    let tls = match shared.certificate.as_ref().map(trust::in_this_engine).transpose() {
        Ok(tls) => tls,
        Err(error) => return (Vec::new(), vec![format!("TLS cannot be spoken: {error}")]),
    };
    let (mut clients, mut errors) = (Vec::new(), Vec::<String>::new());
    let mut opening = JoinSet::new();
    // Others of this machine find half-open places, too.
    let at_once = (shared.config.rate_limiting.connections_per_ip / 2).clamp(1, 16);
    for started in 0..plan.connections {
        let (token, path, room) = (Arc::clone(&token), Arc::clone(&path), room.to_owned());
        let tls = tls.clone();
        opening.spawn(async move {
            tokio::time::timeout(STRESS_STEP, Client::open(address, tls, &path, &token, &room))
                .await
                .unwrap_or_else(|_| Err("a connection took too long".into()))
        });
        while opening.len() >= at_once || (started + 1 == plan.connections && !opening.is_empty()) {
            let Some(opened) = opening.join_next().await else { break };
            match opened {
                Ok(Ok(client)) => clients.push(client),
                Ok(Err(why)) if errors.contains(&why) => {}
                Ok(Err(why)) => errors.push(why),
                Err(_) => {}
            }
        }
    }
    (clients, errors)
}

/// Waits until all that was sent is heard, or nothing new is heard for a while; what was to be heard.
async fn settle(counts: &Counts, members: u64) -> u64 {
    let end = Instant::now() + STRESS_STEP;
    loop {
        let before = counts.heard.load(Ordering::Acquire);
        tokio::time::sleep(STRESS_SETTLE).await;
        let expected = counts.sent.load(Ordering::Acquire) * members;
        let heard = counts.heard.load(Ordering::Acquire);
        if heard >= expected || heard == before || Instant::now() >= end {
            return expected;
        }
    }
}

/// Where this engine is reached from itself.
fn loopback(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, bound.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, bound.port()).into()
        }
        _ => bound,
    }
}

fn percentiles(mut times: Vec<Duration>) -> Times {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
        let time = times.get(index.min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| (time.as_secs_f64() * 1e6).round() / 1e3)
    };
    Times { measured: times.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_exact_and_go_deployds_sample_is_within() {
        let plan =
            |text: &str| serde_json::from_str::<Plan>(text).is_ok_and(|plan| check(&plan).is_ok());
        assert!(plan(r#"{"connections": 1000, "messagesPerSecond": 100, "duration": 300}"#));
        assert!(plan(r#"{"messagesPerSecond": 10000, "payloadBytes": 16384, "duration": 0.1}"#));
        for (most, more) in [
            (r#"{"connections":1000}"#, r#"{"connections":1001}"#),
            (r#"{"messagesPerSecond":10000}"#, r#"{"messagesPerSecond":10001}"#),
            (r#"{"duration":300}"#, r#"{"duration":300.1}"#),
            (r#"{"payloadBytes":16384}"#, r#"{"payloadBytes":16385}"#),
        ] {
            assert!(plan(most) && !plan(more), "{most}");
        }
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let json = |times| serde_json::json!(percentiles(times)).to_string();
        let expected = r#"{"max":100.0,"measured":100,"p50":50.0,"p95":95.0,"p99":99.0}"#;
        assert_eq!(json(times), expected);
        assert!(json(Vec::new()).contains(r#""p99":0.0"#));
    }
}
