//! Microservice mode against an API over real HTTP that misbehaves.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use civicpress_realtime::{
    config::{Config, HostApi, SnapshotStorage},
    host::{CopyInfo, Host, HostCopy, HostError, Identity, RecordText, SaveOutcome, api::ApiHost},
    ids::RoomId,
};

use crate::support::{
    PATIENCE,
    api::{Api, Fault, SERVICE},
    log,
};

/// Every way an API may fail that another try does not help.
const LASTING: [Fault; 5] =
    [Fault::NoJson, Fault::BrokenJson, Fault::WrongShape, Fault::Huge, Fault::Redirect];
/// Every way that may be over with the next try.
const PASSING: [Fault; 6] = [
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(429),
    Fault::HalfBody,
    Fault::Closes,
];

fn room() -> RoomId {
    RoomId::new("records", "minutes/2026-03").unwrap()
}

fn text(source: &'static str, text: &str) -> RecordText {
    RecordText { source, text: text.into() }
}

fn config(url: &str) -> Config {
    let (url, token) = (Some(url.into()), Some(SERVICE.into()));
    Config { host_api: HostApi { url, token, timeout_ms: 20_000 }, ..Config::default() }
}

async fn api() -> (Arc<Api>, ApiHost) {
    let api = Arc::new(Api::with_record("minutes/2026-03", "# Minutes"));
    let host = ApiHost::new(&config(&api.serve().await)).unwrap();
    (api, host)
}

/// A host whose calls end soon.
async fn hasty(api: &Arc<Api>) -> ApiHost {
    let mut config = config(&api.serve().await);
    config.host_api.timeout_ms = 100;
    ApiHost::new(&config).unwrap()
}

async fn user(host: &ApiHost, token: &str) -> Identity {
    host.authenticate(token).await.unwrap()
}

#[tokio::test]
async fn the_api_decides_who_may_see_what() {
    let (api, host) = api().await;
    let ada = user(&host, "editor:ada").await;
    assert_eq!(
        (ada.user_id.as_str(), ada.name.as_str(), ada.role.as_str()),
        ("7", "ada", "editor")
    );
    assert!(host.authorize(&ada, &room()).await.unwrap().can_edit);
    assert!(!host.authorize(&user(&host, "viewer:vi").await, &room()).await.unwrap().can_edit);
    assert!(host.authorize(&user(&host, "admin:al").await, &room()).await.unwrap().can_edit);
    let nobody = user(&host, "public:p").await;
    assert_eq!(host.authorize(&nobody, &room()).await, Err(HostError::Denied));
    for token in ["unknown", "", "a\nb", "ä"] {
        let refused = host.authenticate(token).await;
        assert!(matches!(refused, Err(HostError::Unauthenticated(_))), "{token:?} {refused:?}");
    }
    let missing = RoomId::new("records", "missing").unwrap();
    assert_eq!(host.authorize(&ada, &missing).await, Err(HostError::Denied));
    let notes = RoomId::new("notes", "a").unwrap();
    assert_eq!(host.authorize(&ada, &notes).await, Err(HostError::Denied), "no open type");
    // Who may see a draft is asked with the user's own token, as one path segment.
    api.records.lock().clear();
    api.drafts.lock().insert("minutes/2026-03".into(), "# New".into());
    assert!(host.authorize(&ada, &room()).await.unwrap().can_edit);
    let vi = user(&host, "viewer:vi").await;
    assert_eq!(host.authorize(&vi, &room()).await, Err(HostError::Denied));
    let (method, path, token, _) = api.requests.lock().last().unwrap().clone();
    assert_eq!(
        (method.as_str(), path.as_str(), token.as_str()),
        ("GET", "records/minutes%2F2026-03?edit=true", "viewer:vi")
    );
}

#[tokio::test]
async fn texts_go_both_ways_and_never_over_somebody_elses() {
    for takes_snapshots in [true, false] {
        let mut api = Api::with_record("minutes/2026-03", "# Minutes");
        api.takes_snapshots = takes_snapshots;
        let api = Arc::new(api);
        let host = ApiHost::new(&config(&api.serve().await)).unwrap();
        let load = async || host.load_record(&room()).await.unwrap();
        assert_eq!(load().await, Some(text("record", "# Minutes")));
        let saved = host.save_record(&room(), "# One", Some("# Minutes")).await;
        assert_eq!(saved, Ok(SaveOutcome::Saved("draft")));
        assert_eq!(load().await, Some(text("draft", "# One")), "the record itself is not touched");
        assert_eq!(api.records.lock()["minutes/2026-03"], "# Minutes");
        let late = host.save_record(&room(), "# Two", Some("# Minutes")).await;
        assert_eq!(late, Ok(SaveOutcome::Changed(text("draft", "# One"))));
        let saved = host.save_record(&room(), "# Two", Some("# One")).await;
        assert_eq!(saved, Ok(SaveOutcome::Saved("draft")));
        let missing = RoomId::new("records", "missing").unwrap();
        assert_eq!(host.load_record(&missing).await, Ok(None));
        assert_eq!(api.drafts.lock()["minutes/2026-03"], "# Two");
        let made = api.requests.lock().iter().find(|(method, ..)| method == "PUT").cloned();
        assert_eq!(made.is_none(), takes_snapshots);
        if let Some((.., body)) = made {
            assert_eq!(
                (&body["title"], &body["geography"]["type"]),
                (&"T".into(), &"Point".into())
            );
        }
    }
}

/// An API that keeps copies, and a host that gives it some.
async fn copying(token: &str) -> (Arc<Api>, ApiHost) {
    let api = Arc::new(Api::with_record("minutes/2026-03", "# Minutes"));
    let mut config = config(&api.serve().await);
    config.host_api.token = Some(token.into());
    config.snapshots.storage = SnapshotStorage::Api;
    (Arc::clone(&api), ApiHost::new(&config).unwrap())
}

#[tokio::test]
async fn copies_go_both_ways_with_their_hash() {
    assert!(api().await.1.copies().is_none(), "only if the configuration says so");
    let (api, host) = copying(SERVICE).await;
    let copies = host.copies().unwrap();
    assert_eq!(copies.load(&room()).await, Ok(HostCopy::Missing));
    for version in 1..=2 {
        let state = Bytes::from(vec![0, version]);
        let saved = copies.save(&room(), state.clone()).await;
        let created_at_ms = 1_700_000_000_000;
        assert_eq!(saved, Ok(CopyInfo { version: version.into(), created_at_ms }));
        assert_eq!(copies.load(&room()).await, Ok(HostCopy::Sound(state)));
    }
    let (method, path, token, body) = api.requests.lock()[1].clone();
    assert_eq!(
        (&*method, &*path, &*token),
        ("POST", "records/minutes%2F2026-03/collab-snapshot", SERVICE)
    );
    assert_eq!(
        (&body["roomId"], &body["byteSize"]),
        (&"records:minutes/2026-03".into(), &2.into())
    );
    api.copies.lock().get_mut("minutes/2026-03").unwrap()[1]["integrityHash"] = "rotten".into();
    assert!(matches!(copies.load(&room()).await, Ok(HostCopy::Damaged(_))));
    assert_eq!(copies.expire(0, vec![room()]).await, Ok(0));
}

#[tokio::test]
async fn copies_bear_an_api_that_misbehaves() {
    for fault in PASSING {
        let (api, host) = copying(SERVICE).await;
        api.misbehave(fault, 2);
        let saved = host.copies().unwrap().save(&room(), Bytes::from_static(b"x")).await;
        assert!(saved.is_ok(), "{fault:?} {saved:?}");
        api.misbehave(fault, 2);
        let loaded = host.copies().unwrap().load(&room()).await;
        assert_eq!(loaded, Ok(HostCopy::Sound(Bytes::from_static(b"x"))), "{fault:?}");
    }
    for fault in
        [Fault::NoJson, Fault::BrokenJson, Fault::Huge, Fault::Redirect, Fault::Status(418)]
    {
        let (api, host) = copying(SERVICE).await;
        api.misbehave(fault, 2);
        let saved = host.copies().unwrap().save(&room(), Bytes::from_static(b"x")).await;
        let loaded = host.copies().unwrap().load(&room()).await;
        let failed =
            matches!((&saved, &loaded), (Err(HostError::Failed(_)), Err(HostError::Failed(_))));
        assert!(failed, "{fault:?} {saved:?} {loaded:?}");
    }
    let (api, host) = copying(SERVICE).await;
    api.misbehave(Fault::WrongShape, 1);
    let saved = host.copies().unwrap().save(&room(), Bytes::from_static(b"x")).await;
    assert!(matches!(saved, Err(HostError::Failed(_))), "{saved:?}");
    // One that may not: a fault of the configuration.
    let (_, weak) = copying("viewer:weak").await;
    let copies = weak.copies().unwrap();
    let saved = copies.save(&room(), Bytes::from_static(b"x")).await.map(drop);
    for outcome in [saved, copies.load(&room()).await.map(drop)] {
        assert!(matches!(&outcome, Err(HostError::Failed(why)) if why.contains("host_api.token")));
    }
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_is_known_for_done() {
    let (api, host) = api().await;
    api.misbehave(Fault::Closes, 1);
    let saved = host.save_record(&room(), "# One", Some("# Minutes")).await;
    assert_eq!(saved, Ok(SaveOutcome::Saved("draft")));
    assert_eq!(api.count("POST"), 2, "made again, and refused as changed");
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for fault in PASSING {
        let (api, host) = api().await;
        api.misbehave(fault, 2);
        let loaded = host.load_record(&room()).await;
        assert_eq!(loaded, Ok(Some(text("record", "# Minutes"))), "{fault:?}");
        assert_eq!(api.count("GET"), 3, "{fault:?}");
        assert_eq!(host.status().calls, [("ok", 1), ("retried", 2)], "{fault:?}");
        assert_eq!(host.status().degraded, None);
    }
}

#[tokio::test]
async fn nonsense_is_an_error_and_not_asked_for_twice() {
    for fault in LASTING {
        let (api, host) = api().await;
        let ada = user(&host, "editor:ada").await;
        api.misbehave(fault, 4);
        let outcomes = [
            host.load_record(&room()).await.map(drop),
            host.authenticate("editor:ada").await.map(drop),
            host.authorize(&ada, &room()).await.map(drop),
            // Any JSON will do for an answer to this one.
            host.save_record(&room(), "# One", Some("# Minutes")).await.map(drop),
        ];
        let failed = outcomes.iter().filter(|o| matches!(o, Err(HostError::Failed(_)))).count();
        let expected = if matches!(fault, Fault::WrongShape) { 3 } else { 4 };
        assert_eq!(failed, expected, "{fault:?} {outcomes:?}");
        assert_eq!(api.requests.lock().len(), 5, "{fault:?}");
    }
}

#[tokio::test]
async fn a_call_has_one_deadline() {
    for fault in [Fault::Hangs, Fault::EndlessBody] {
        let api = Arc::new(Api::with_record("minutes/2026-03", "# Minutes"));
        let host = hasty(&api).await;
        api.misbehave(fault, 1);
        assert_eq!(host.load_record(&room()).await, Err(HostError::Timeout), "{fault:?}");
        assert_eq!(host.status().calls, [("timeout", 1)], "{fault:?}");
    }
}

#[tokio::test]
async fn an_api_that_fails_is_left_alone_and_asked_again() {
    log::keep();
    let (api, host) = api().await;
    api.misbehave(Fault::Redirect, 5);
    for _ in 0..5 {
        assert!(host.load_record(&room()).await.is_err());
    }
    let why = host.status().degraded.expect("it is known");
    assert!(why.starts_with("host: "), "{why}");
    let asked = api.requests.lock().len();
    assert!(host.load_record(&room()).await.is_err(), "at once");
    assert_eq!(api.requests.lock().len(), asked, "and without asking");
    assert!(host.status().calls.contains(&("not_tried", 1)));
    let healed = async {
        while host.load_record(&room()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.unwrap();
    assert_eq!(host.status().degraded, None);
    let lines = log::with("event", "host_api_down");
    assert!(lines.iter().any(|line| line["level"] == "warn"), "{lines:?}");
    assert!(!log::with("event", "host_api_up").is_empty());
}

#[tokio::test]
async fn an_api_that_is_not_there_fails_and_may_come_later() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let host = ApiHost::new(&config(&format!("http://{address}"))).unwrap();
    let failed = host.authenticate("editor:ada").await;
    assert!(matches!(&failed, Err(HostError::Failed(why)) if why.contains("cannot be reached")));
}

#[tokio::test]
async fn the_service_users_rights_are_no_verdict_on_a_user() {
    let api = Arc::new(Api::with_record("minutes/2026-03", "# Minutes"));
    let url = api.serve().await;
    // One that may not write, and one that nobody knows any more.
    for (token, may_read) in [("viewer:weak", true), ("expired", false)] {
        let mut config = config(&url);
        config.host_api.token = Some(token.into());
        let host = ApiHost::new(&config).unwrap();
        let saved = host.save_record(&room(), "# One", Some("# Minutes")).await.map(drop);
        let loaded = host.load_record(&room()).await.map(drop);
        assert_eq!(loaded.is_ok(), may_read);
        let refused = if may_read { vec![saved] } else { vec![saved, loaded] };
        for outcome in refused {
            assert!(
                matches!(&outcome, Err(HostError::Failed(why)) if why.contains("host_api.token"))
            );
            assert!(!format!("{host:?} {config:?} {outcome:?}").contains(token));
        }
        // A user is judged by the user's own token all the same.
        let ada = user(&host, "editor:ada").await;
        assert!(host.authorize(&ada, &room()).await.unwrap().can_edit);
        assert_eq!(host.status().degraded, None, "it answers");
    }
}

#[tokio::test]
async fn an_address_may_have_a_path_and_end_as_it_likes() {
    let api = Arc::new(Api::with_record("a", "# A"));
    let url = api.serve().await;
    for end in ["", "/", "/api/v1", "/api/v1/"] {
        let host = ApiHost::new(&config(&format!("{url}{end}"))).unwrap();
        assert!(host.authenticate("editor:ada").await.is_ok(), "{end}");
    }
    let host = ApiHost::new(&config(&format!("{url}/civic/"))).unwrap();
    assert!(host.authenticate("editor:ada").await.is_err());
    assert_eq!(api.requests.lock().last().unwrap().1, "/civic/api/v1/auth/me");
}
