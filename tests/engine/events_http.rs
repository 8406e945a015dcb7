//! Rooms of events over HTTP, and the descriptions in docs/ held against the running server.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    http::get,
    support::{EventClient, PATIENCE, Server, eventually, server::config},
};

fn description(name: &str) -> Value {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn post_as(server: &Server, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    post_as(server, path, "Content-Type: application/json\r\n", &body.to_string())
}

fn read(server: &Server, path: &str) -> Value {
    let (status, body) = get(server, path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn what_is_said_over_http_is_heard_and_what_is_asked_is_so() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, "editor:ada");
    ada.join("a room/with: everything?");
    ada.join("collection:todos");
    let emit = json!({ "event": "hello", "room": "a room/with: everything?", "data": [0] });
    assert_eq!(post(&server, "/api/v1/realtime/emit", &emit), (202, json!({ "accepted": true })));
    let heard = ada.event("hello");
    assert_eq!(heard["data"], json!([0]));
    assert_eq!(post(&server, "/api/v1/realtime/emit", &json!({ "event": "all" })).0, 202);
    assert!(ada.event("all").get("room").is_none());
    let change = json!({ "operation": "updated", "documents": [{ "id": 1, "password": "x" }] });
    assert_eq!(post(&server, "/api/v1/realtime/collections/todos", &change).0, 202);
    assert_eq!(ada.event("updated")["data"], json!({ "id": 1 }));

    let rooms = read(&server, "/api/v1/realtime/rooms");
    assert_eq!(rooms["rooms"][0], json!({ "room": "a room/with: everything?", "members": 1 }));
    let encoded = "/api/v1/realtime/rooms/a%20room%2Fwith%3A%20everything%3F";
    assert_eq!(read(&server, &format!("{encoded}/presence"))["people"][0]["user_id"], "ada");
    assert_eq!(read(&server, &format!("{encoded}/history"))["events"][0]["event"], "hello");
    let shown = read(&server, "/api/v1/realtime/connections?userId=ada");
    assert_eq!(
        (&shown["total"], &shown["connections"][0]["clientId"]),
        (&json!(1), &json!(ada.id))
    );
    assert_eq!(read(&server, "/api/v1/realtime/connections?userId=bo")["total"], 0);

    let ended = post(&server, "/api/v1/realtime/disconnect", &json!({ "clientId": ada.id }));
    assert_eq!(ended, (200, json!({ "disconnected": 1 })));
    assert_eq!(ada.until_closed().1, 4403);
}

#[test]
fn operators_services_and_admins_may_and_nobody_else() {
    let mut config = config();
    config.admin.token = Some("s3cret".into());
    config.host_api.token = Some("the-service".into());
    let server = Server::with(config, Arc::default());
    let paths: Vec<String> =
        description("openapi.json")["paths"].as_object().unwrap().keys().cloned().collect();
    for path in paths {
        for headers in [
            "",
            "Authorization: Bearer wrong\r\n",
            "Authorization: Bearer editor:ada\r\n",
            "X-Master-Key: wrong\r\n",
        ] {
            assert_eq!(get(&server, &path, headers).0, 401, "{path} {headers}");
            let json = format!("Content-Type: application/json\r\n{headers}");
            assert_eq!(post_as(&server, &path, &json, "{}").0, 401, "{path} {headers}");
        }
    }
    for headers in [
        "Authorization: Bearer s3cret\r\n",
        "X-Master-Key: s3cret\r\n",
        "Authorization: Bearer the-service\r\n",
        "Authorization: Bearer admin:eve\r\n",
    ] {
        let (status, body) = get(&server, "/_dashboard/api/metrics/realtime", headers);
        assert_eq!(status, 200, "{headers}: {body}");
    }
    assert_eq!(get(&server, "/metrics", "").0, 401);
}

/// Without a token for operators whoever is on the machine is one; whom a proxy there brings is not.
#[test]
fn whoever_comes_through_a_proxy_is_no_operator() {
    let server = Server::start();
    let paths: Vec<String> =
        description("openapi.json")["paths"].as_object().unwrap().keys().cloned().collect();
    for path in paths.iter().map(String::as_str).chain(["/metrics"]) {
        for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP"] {
            let headers = format!("{name}: 127.0.0.1\r\n");
            assert_eq!(get(&server, path, &headers).0, 401, "{path} {headers}");
            let json = format!("Content-Type: application/json\r\n{headers}");
            let posted = post_as(&server, path, &json, "{}").0;
            assert!([401, 405].contains(&posted), "{path} {headers}: {posted}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    let server = Server::start();
    for (path, body, status) in [
        ("emit", "{", 400),
        ("emit", "[]", 400),
        ("emit", r#"{"event":""}"#, 400),
        ("emit", r#"{"event":"e","room":"\n"}"#, 400),
        ("emit", r#"{"event":"e","rom":"r"}"#, 400),
        ("collections/todos", r#"{"operation":"drop","documents":[]}"#, 400),
        ("collections/%ff", r#"{"operation":"created","documents":[]}"#, 400),
        ("disconnect", "{}", 400),
        ("nothing", "{}", 405),
    ] {
        let path = format!("/api/v1/realtime/{path}");
        let (given, answer) = post_as(&server, &path, "Content-Type: application/json\r\n", body);
        assert_eq!(given, status, "{path} {body}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    // A page of another origin can send anything else without asking for leave, and says that it is one.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for kind in [
        "Content-Type: text/plain\r\n".to_owned(),
        format!("{form}Origin: null\r\n"),
        format!("{form}Referer: http://a/\r\n"),
        format!("{form}Sec-Fetch-Site: cross-site\r\n"),
        String::new(),
    ] {
        let (status, _) = post_as(&server, "/api/v1/realtime/emit", &kind, r#"{"event":"e"}"#);
        assert_eq!(status, 415, "{kind}");
    }
    let huge = json!({ "event": "e", "data": "x".repeat(1_060_000) });
    assert_eq!(post(&server, "/api/v1/realtime/emit", &huge).0, 413);
    assert_eq!(get(&server, "/api/v1/realtime/emit", "").0, 405);
    assert_eq!(get(&server, "/api/v1/realtime/rooms/a/b", "").0, 404);
}

#[test]
fn the_history_has_every_event_as_it_was_said() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, "editor:ada");
    ada.join("lobby");
    let data = r#"[1e999, "\ud800", -0.0]"#;
    let emit = r#"{"type":"emit","event":"odd","room":"lobby","data":"#;
    ada.say_text(&format!("{emit}{data}}}"));
    let heard = ada.next_text();
    assert!(heard.contains(data), "{heard}");
    let (status, history) = get(&server, "/api/v1/realtime/rooms/lobby/history", "");
    assert!(status == 200 && history.contains(data), "{history}");
}

#[test]
fn a_load_test_measures_round_trips_and_leaves_nothing() {
    let mut config = config();
    // Its clients count for nobody.
    config.rate_limiting.connections_per_user = 1;
    config.rate_limiting.connections_per_ip = 2;
    let server = Server::with(config, Arc::default());
    let path = "/_admin/test/websocket/stress";
    let plan = json!({ "connections": 20, "messagesPerSecond": 200, "duration": 1 });
    let (status, report) = post(&server, path, &plan);
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["connections"], json!({ "requested": 20, "opened": 20 }), "{report}");
    let messages = &report["messages"];
    let sent = messages["sent"].as_u64().unwrap();
    assert!(sent >= 20, "{report}");
    assert_eq!(messages["deliveries"].as_u64().unwrap(), sent * 20, "{report}");
    assert!((messages["deliveryRatio"].as_f64().unwrap() - 1.0).abs() < f64::EPSILON, "{report}");
    assert_eq!(report["roundTripMs"]["measured"].as_u64().unwrap(), sent, "{report}");
    assert!(report["roundTripMs"]["p50"].as_f64().unwrap() > 0.0);
    assert_eq!(report["errors"], json!([]));
    let metrics = server.engine().metrics();
    eventually("its clients are gone", || metrics.event_connections.get() == 0);
    for wrong in [
        json!({ "connections": 0 }),
        json!({ "connections": 1001 }),
        json!({ "messagesPerSecond": 0 }),
        json!({ "messagesPerSecond": 10_001 }),
        json!({ "duration": 301 }),
        json!({ "duration": -1 }),
        json!({ "payloadBytes": 16385 }),
        json!({ "room": "" }),
        json!({ "host": "example.org" }),
        json!({ "url": "ws://example.org/socket.io/" }),
        json!({ "target": "example.org" }),
    ] {
        let (status, answer) = post(&server, path, &wrong);
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
}

#[test]
fn one_load_test_runs_at_a_time_and_goes_where_the_engine_listens() {
    let server = Server::start();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let stress = "/_admin/test/websocket/stress";
    let plan = json!({ "connections": 5, "messagesPerSecond": 10, "duration": 30 }).to_string();
    // Whatever the request calls this host.
    let mut stream = TcpStream::connect(server.address).unwrap();
    write!(
        stream,
        "POST {stress} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{plan}",
        elsewhere.local_addr().unwrap(),
        plan.len()
    )
    .unwrap();
    let metrics = server.engine().metrics();
    eventually("its clients are in", || metrics.event_members.get() == 5);
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let (status, answer) = post(&server, stress, &json!({ "connections": 1, "duration": 1 }));
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("STRESS_REFUSED")));
    // Who asked for it is gone: so is the test.
    drop(stream);
    eventually("it ends", || metrics.event_connections.get() == 0);
    let plan = json!({ "connections": 1, "messagesPerSecond": 10, "duration": 0.1 });
    assert_eq!(post(&server, stress, &plan).0, 200);
}

/// Whether a value has the kinds and members that a schema wants.
fn fits(value: &Value, schema: &Value, at: &str) {
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{at}: a kind {other}"),
    };
    assert!(kinds.iter().any(|kind| is(kind)), "{at} is no {kinds:?}: {value}");
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        assert!(value.get(name).is_some(), "{at} has no {name}: {value}");
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            fits(value, schema, &format!("{at}.{name}"));
        }
    }
    for item in value.as_array().into_iter().flatten() {
        fits(item, &schema["items"], &format!("{at}[]"));
    }
}

#[test]
fn the_openapi_file_is_what_the_server_answers() {
    let server = Server::start();
    let mut ada = EventClient::of(&server, "editor:ada");
    ada.join("lobby");
    let openapi = description("openapi.json");
    let mut asked = 0;
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let mut url = path.clone();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "path" {
                    let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                    url = url.replace(&name, parameter["example"].as_str().unwrap());
                }
            }
            let (status, answer) = if method == "get" {
                let (status, body) = get(&server, &url, "");
                (status, serde_json::from_str(&body).unwrap())
            } else {
                let content = &operation["requestBody"]["content"]["application/json"];
                fits(&content["example"], &content["schema"], path);
                post(&server, &url, &content["example"])
            };
            let described = &operation["responses"][status.to_string()];
            assert!(described.is_object(), "{method} {path} answers {status}: {answer}");
            assert!(status < 300, "{method} {path} answers {status}: {answer}");
            fits(&answer, &described["content"]["application/json"]["schema"], path);
            asked += 1;
        }
    }
    assert_eq!(asked, 12);
    // And the other way round: what the code serves is described.
    let source =
        fs::read_to_string(format!("{}/src/net/http/events.rs", env!("CARGO_MANIFEST_DIR")))
            .unwrap();
    let arms =
        source.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", "));
    let names: BTreeSet<&str> = arms.flat_map(|(names, _)| names.split("\" | \"")).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let there = openapi["paths"].as_object().unwrap().keys().any(|path| path.ends_with(name));
        assert!(there, "docs/openapi.json has no {name}");
    }
}

#[test]
fn the_asyncapi_file_is_what_is_said_on_sockets() {
    let server = Server::start();
    let asyncapi = description("asyncapi.json");
    let messages = asyncapi["components"]["messages"].as_object().unwrap();
    let schema = |kind: &str| {
        let name = format!("server.{kind}");
        let found = messages.get(&name).unwrap_or_else(|| panic!("{name} is not described"));
        found["payload"].clone()
    };
    let address = asyncapi["channels"]["events"]["address"].as_str().unwrap();
    let mut client = EventClient::connect(&server, address, &[]);
    let mut heard = BTreeSet::new();
    let mut hear = |message: &Value| {
        let kind = message["type"].as_str().unwrap().to_owned();
        fits(message, &schema(&kind), &kind);
        heard.insert(kind);
    };
    hear(&client.next());
    for (name, message) in messages.iter().filter(|(name, _)| name.starts_with("client.")) {
        // `auth` comes first and `leave` before `presence` by their names, which nobody minds.
        let payload = &message["examples"][0]["payload"];
        fits(payload, &message["payload"], name);
        client.say(payload);
        if name == "client.auth" {
            hear(&client.next());
        }
    }
    client.say(&json!({ "type": "nonsense" }));
    // What was emitted goes through its room first.
    for message in client.settle() {
        hear(&message);
    }
    let mut other = EventClient::of(&server, "editor:bo");
    other.join("lobby");
    client.join("lobby");
    other.emit("lobby", "e", &json!(1));
    hear(&client.event("e"));
    hear(&client.ask(json!({ "type": "leave", "room": "lobby" })));
    client.say(&json!({ "type": "ping" }));
    hear(&client.next());
    let described = messages.keys().filter_map(|name| name.strip_prefix("server."));
    let missing: Vec<_> = described.filter(|kind| !heard.contains(*kind)).collect();
    assert!(missing.is_empty(), "never said: {missing:?}");
}

/// What `curl` prints, given a line of go-deployd's documents with this server's address in it.
fn curl(server: &Server, line: &str) -> String {
    let line = line.replace("localhost:2403", &server.address.to_string());
    let out = Command::new("sh").args(["-c", &line]).output().expect("sh starts");
    assert!(!out.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_samples_of_go_deployds_documents_work_as_they_are() {
    let server = Server::start();
    for path in ["metrics/realtime", "realtime/connections", "realtime/broker/health"] {
        let told = curl(&server, &format!("curl http://localhost:2403/_dashboard/api/{path}"));
        assert!(serde_json::from_str::<Value>(&told).unwrap().get("error").is_none(), "{told}");
    }
    // But for its five minutes.
    let told = curl(
        &server,
        r#"curl -X POST http://localhost:2403/_admin/test/websocket/stress \
             -d '{"connections": 100, "messagesPerSecond": 100, "duration": 0.5}'"#,
    );
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(report["connections"]["opened"], 100, "{told}");
    // A handshake is its health check; the connection would stay.
    let told = curl(
        &server,
        r#"timeout 2 curl -s -i -N -H "Connection: Upgrade" \
             -H "Upgrade: websocket" \
             -H "Sec-WebSocket-Key: SGVsbG8gV2ViU29ja2V0IQ==" \
             -H "Sec-WebSocket-Version: 13" \
             http://localhost:2403/socket.io/ | head -n 1"#,
    );
    assert!(told.starts_with("HTTP/1.1 101"), "{told}");
    let detailed = read(&server, "/_dashboard/api/metrics/detailed");
    assert_eq!(
        detailed["count"].as_u64().unwrap(),
        detailed["metrics"].as_array().unwrap().len() as u64
    );
    let _ada = EventClient::of(&server, "editor:ada");
    eventually("the connection is counted", || {
        get(&server, "/metrics", "").1.contains("\nwebsocket_connections_per_pod 1\n")
    });
}
