use std::{
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::json;

use super::{checklist::Tick, *};
use crate::config::{Sources, load_value};

fn questions() -> Questions<'static> {
    Questions::default()
}

fn loaded(dir: &Path, mut options: serde_json::Value) -> Loaded {
    let standalone = options.get("auth").is_some();
    options["host"] = "127.0.0.1".into();
    let env = [("CIVIC_SYSTEM_DATA_DIR", dir.join("system")), ("CIVIC_DATA_DIR", dir.to_owned())];
    let env = env.map(|(name, path)| (name.to_owned(), path.display().to_string())).into();
    load_value(options, &Sources { env, cwd: dir.into(), standalone, file: None }).unwrap()
}

fn find<'a>(checks: &'a [Check], name: &str, part: &str) -> &'a Check {
    let found = checks.iter().find(|check| check.name == name && check.detail.contains(part));
    found.unwrap_or_else(|| panic!("{name} {part} in:\n{}", render(checks)))
}

#[test]
fn a_fresh_folder_is_fine_and_stays_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        json!({ "port": 0, "auth": { "jwt": { "secret": "0123456789abcdef0123456789abcdef" } } });
    let checks = run(&loaded(dir.path(), options), &questions());
    assert!(is_healthy(&checks), "{}", render(&checks));
    assert_eq!(find(&checks, "storage", "system data").state, CheckState::Ok);
    assert_eq!(find(&checks, "records", "will be made").state, CheckState::Ok);
    assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    let text = render(&checks);
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[test]
fn a_port_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = loaded(dir.path(), json!({ "port": port }));
    // Nobody accepts: the connection opens and no answer comes.
    let checks = run(&config, &questions());
    let check = find(&checks, "port", "by whom cannot be told");
    assert_eq!(check.state, CheckState::Fail);
    assert!(check.remedy.is_some());
    let server = std::thread::spawn(move || {
        // The first connection is the one given up above.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 512];
            let _ = stream.read(&mut head);
            let body = r#"{"status":"healthy","server":{},"rooms":{"total":0}}"#;
            let _ =
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let checks = run(&config, &questions());
    assert_eq!(find(&checks, "port", "running engine").state, CheckState::Warn);
    server.join().unwrap();
}

#[test]
fn tokens_and_origins_are_tried_and_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let config = loaded(dir.path(), json!({ "port": 0, "auth": { "jwt": { "secret": secret } } }));
    let bad =
        Questions { token: Some("a.b.c"), origin: Some("https://pages.example"), ..questions() };
    let checks = run(&config, &bad);
    assert_eq!(find(&checks, "token", "does not hold").state, CheckState::Fail);
    assert_eq!(find(&checks, "origin", "refused").state, CheckState::Fail);
    assert!(!render(&checks).contains("a.b.c"));
    let exp = crate::time::unix_ms() / 1000 + 600;
    let claims = json!({ "sub": "7", "role": "editor", "exp": exp });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let good = Questions { token: Some(&token), host: Some("pages.example:3001"), ..bad };
    let checks = run(&config, &good);
    assert_eq!(find(&checks, "token", "user 7").state, CheckState::Ok);
    assert_eq!(find(&checks, "origin", "is allowed").state, CheckState::Ok);
    assert!(!render(&checks).contains(&token));
    let any = loaded(dir.path(), json!({ "port": 0, "allowed_origins": ["*"] }));
    assert_eq!(find(&run(&any, &good), "origin", "any web page").state, CheckState::Warn);
    assert_eq!(find(&run(&any, &good), "token", "host verifies").state, CheckState::Warn);
}

#[test]
fn updates_in_quarantine_are_listed() {
    use crate::room::quarantine::{Quarantine, Sender, folder};

    let dir = tempfile::tempdir().unwrap();
    let config = loaded(dir.path(), json!({ "port": 0 }));
    assert_eq!(find(&run(&config, &questions()), "quarantine", "no update").state, CheckState::Ok);
    let folder = folder(&config.config.system_data_dir);
    let room = crate::ids::RoomId::parse("notes:a").unwrap();
    let kept = Quarantine::new(folder.clone());
    let sender = Sender { user_id: "mal\u{1b}lory", correlation_id: "7f" };
    kept.keep(&room, Some(sender), "ROOM_FAULT", "why".into(), b"bad".as_slice().into());
    while crate::room::quarantine::list(&folder).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let checks = run(&config, &questions());
    assert_eq!(find(&checks, "quarantine", "1 of at most").state, CheckState::Warn);
    find(&checks, "quarantine", "room notes:a, by mal");
    assert!(!render(&checks).contains('\u{1b}'));
}

#[test]
fn weak_and_missing_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        loaded(dir.path(), json!({ "port": 0, "auth": { "jwt": { "secret": "a".repeat(40) } } }));
    assert_eq!(
        find(&run(&config, &questions()), "authentication", "guessable").state,
        CheckState::Warn
    );
    let config = loaded(dir.path(), json!({ "port": 0, "auth": {} }));
    assert_eq!(
        find(&run(&config, &questions()), "authentication", "set auth.jwt.secret").state,
        CheckState::Fail
    );
}

#[test]
fn warnings_and_files_readable_by_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("realtime.yml");
    std::fs::write(&file, "prot: 1\nadmin:\n  token: abc\nport: 0\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let sources =
        Sources { file: Some(file.clone()), cwd: dir.path().into(), ..Sources::default() };
    let config = crate::config::load(&sources).unwrap();
    let checks = run(&config, &questions());
    assert_eq!(find(&checks, "configuration", "readable by everybody").state, CheckState::Warn);
    assert_eq!(find(&checks, "configuration", "prot").state, CheckState::Warn);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        find(&run(&config, &questions()), "configuration", "realtime.yml").state,
        CheckState::Ok
    );
}

#[test]
fn files_of_tls() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    std::fs::write(&key, "x").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let options =
        json!({ "port": 0, "tls": { "cert": dir.path().join("missing.pem"), "key": key } });
    let checks = run(&loaded(dir.path(), options), &questions());
    assert_eq!(find(&checks, "tls", "tls.cert").state, CheckState::Fail);
    assert_eq!(find(&checks, "tls", "readable by others").state, CheckState::Warn);
}

#[test]
fn files_that_are_no_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, "not a certificate").unwrap();
    std::fs::write(&key, "not a key").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let options = json!({ "port": 0, "tls": { "enabled": true, "cert": cert, "key": key } });
    let checks = run(&loaded(dir.path(), options), &questions());
    assert_eq!(find(&checks, "tls", "holds no certificate").state, CheckState::Fail);
}

#[test]
fn storage_that_cannot_work() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("system"), "a file").unwrap();
    let checks = run(&loaded(dir.path(), json!({ "port": 0 })), &questions());
    assert_eq!(find(&checks, "storage", "is not a folder").state, CheckState::Fail);

    let dir = tempfile::tempdir().unwrap();
    let realtime = dir.path().join("system/realtime");
    std::fs::create_dir_all(&realtime).unwrap();
    std::fs::write(realtime.join("realtime.db"), "").unwrap();
    let config = loaded(dir.path(), json!({ "port": 0 }));
    assert_eq!(
        find(&run(&config, &questions()), "storage", "realtime.db is writable").state,
        CheckState::Ok
    );
    let lock = std::fs::File::create(realtime.join("realtime.db.lock")).unwrap();
    assert_eq!(
        find(&run(&config, &questions()), "storage", "realtime.db is writable").state,
        CheckState::Ok
    );
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(find(&run(&config, &questions()), "storage", "in use").state, CheckState::Warn);
}

#[test]
fn bounds_of_the_machine() {
    const MIB: u64 = 1024 * 1024;
    for (free, state) in [
        (99 * MIB, CheckState::Fail),
        (100 * MIB, CheckState::Warn),
        (1023 * MIB, CheckState::Warn),
        (1024 * MIB, CheckState::Ok),
    ] {
        assert_eq!(machine::space_check("disk space", Path::new("x"), free).state, state, "{free}");
    }
    for (limit, connections, state) in [
        (1024, 10_000, CheckState::Warn),
        (10_064, 10_000, CheckState::Ok),
        (u64::MAX, 10_000, CheckState::Ok),
    ] {
        assert_eq!(machine::descriptors_check(limit, connections).state, state, "{limit}");
    }
}

fn points(dir: &Path, options: serde_json::Value) -> Vec<checklist::Point> {
    checklist::points(&loaded(dir, options))
}

fn tick(points: &[checklist::Point], name: &str) -> Tick {
    points.iter().find(|point| point.name == name).unwrap().tick
}

#[test]
fn the_checklist_is_ticked_by_what_can_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let sound = points(dir.path(), json!({ "auth": { "jwt": { "secret": secret } } }));
    assert_eq!(sound.iter().map(|point| point.name).collect::<Vec<_>>(), checklist::NAMES);
    for name in ["WSS", "Limits", "Origins", "Tokens", "Logging", "Firewall"] {
        assert_eq!(tick(&sound, name), Tick::Done, "{name}");
    }
    assert_eq!(tick(&sound, "Updates"), Tick::Unknown);
    let careless = points(
        dir.path(),
        json!({
            "auth": { "jwt": { "secret": "a".repeat(32) }, "allow_query_token": true },
            "allowed_origins": ["*"],
            "log_level": "error",
            "limits": { "message_bytes_max": 512 * 1024 * 1024, "max_connections": 1_000_000 },
            "rate_limiting": { "connections_per_ip": 100_000 },
        }),
    );
    for name in ["Limits", "Origins", "Tokens", "Logging", "Connection limits"] {
        assert_eq!(tick(&careless, name), Tick::Open, "{name}");
    }
}

#[test]
fn the_checklist_says_who_reaches_an_open_address() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = loaded(dir.path(), json!({}));
    open.config.host = "0.0.0.0".into();
    let points = checklist::points(&open);
    assert_eq!(tick(&points, "WSS"), Tick::Open);
    assert_eq!(tick(&points, "Firewall"), Tick::Unknown);
}

#[test]
fn others_may_not_read_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let system = dir.path().join("system");
    std::fs::create_dir(&system).unwrap();
    let permit = |mode| {
        std::fs::set_permissions(&system, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    permit(0o700);
    assert_eq!(checklist::permissions(&system, false).tick, Tick::Done);
    assert_eq!(checklist::permissions(&system, true).tick, Tick::Open, "root");
    permit(0o755);
    let open = checklist::permissions(&system, false);
    assert_eq!(open.tick, Tick::Open);
    assert!(open.advice.contains("chmod o-rwx"), "{}", open.advice);
}

#[test]
fn the_checklist_fits_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let text = checklist::render(&points(dir.path(), json!({})));
    assert_eq!(text.lines().count(), 1 + 2 * 9);
    for line in text.lines().filter(|line| !line.contains("chmod")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
