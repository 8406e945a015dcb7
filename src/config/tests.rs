use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use super::*;

mod secrets;

const SECRET: &str = "correct-horse-battery-staple-0123456789";

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// Loads `text` as a file with `extension`.
fn load_text(
    extension: &str,
    text: &str,
    variables: &[(&str, &str)],
) -> Result<Loaded, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("realtime.{extension}"));
    std::fs::write(&file, text).unwrap();
    load(&Sources {
        file: Some(file),
        env: env(variables),
        cwd: dir.path().into(),
        standalone: false,
    })
}

fn yml(text: &str) -> Result<Loaded, ConfigErrors> {
    load_text("yml", text, &[])
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load_text("yml", "", variables)
}

fn standalone(dir: &Path, variables: &[(&str, &str)]) -> Result<Loaded, ConfigErrors> {
    load(&Sources { file: None, env: env(variables), cwd: dir.into(), standalone: true })
}

/// Every way an error or a loaded configuration can be shown.
fn shown(result: &Result<Loaded, ConfigErrors>) -> String {
    match result {
        Ok(loaded) => format!(
            "{loaded:?} {} {}",
            print_effective(loaded),
            serde_json::to_string(&loaded.values).unwrap()
        ),
        Err(errors) => format!("{errors} {errors:?} {}", serde_json::to_string(errors).unwrap()),
    }
}

fn embedded_default() -> Config {
    let mut config = Config::default();
    config.auth.mode = AuthMode::Host;
    config
}

#[test]
fn the_table_is_sound() {
    let mut paths = std::collections::BTreeSet::new();
    for key in keys::all() {
        assert!(paths.insert(key.path), "{} twice", key.path);
        let default = key.kind.check(&Value::from(key.default), true);
        assert!(key.default.is_empty() || default.is_ok(), "{}", key.path);
        assert!(!key.doc.is_empty() && !key.doc.contains('\n'), "{}", key.path);
    }
}

#[test]
fn the_table_and_the_typed_defaults_agree() {
    assert_eq!(from_env(&[]).unwrap().config, embedded_default());
}

#[test]
fn the_default_file_loads_back_to_the_defaults() {
    let loaded = yml(&default_file()).unwrap();
    assert_eq!(loaded.config, embedded_default());
    assert_eq!(loaded.warnings, [""; 0]);
    for key in keys::all() {
        assert!(default_file().contains(key.doc), "{}", key.path);
    }
    // With every unavailable key uncommented it must load, too.
    let mut seen_head = false;
    let full: String = default_file()
        .lines()
        .map(|line| {
            seen_head |= !line.starts_with('#');
            let bare = line.trim_start().strip_prefix("# ").unwrap_or_default();
            let is_entry = seen_head
                && bare.split(':').next().is_some_and(|name| {
                    keys::all().iter().any(|key| key.path.rsplit('.').next() == Some(name))
                });
            if is_entry { line.replacen("# ", "", 1) + "\n" } else { format!("{line}\n") }
        })
        .collect();
    let loaded = yml(&full).unwrap();
    assert_eq!(loaded.config, embedded_default());
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn environment_over_options_over_file_over_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yml");
    std::fs::write(&file, "realtime:\n  rooms: { max_rooms: 1 }\n  port: 1\n  path: /a\n").unwrap();
    let sources = Sources {
        file: Some(file.clone()),
        env: env(&[("CIVIC_REALTIME_ROOMS__MAX_ROOMS", "3")]),
        cwd: dir.path().into(),
        standalone: false,
    };
    let loaded = load_value(json!({ "rooms": { "maxRooms": 2 }, "port": 2 }), &sources).unwrap();
    let config = &loaded.config;
    assert_eq!((config.rooms.max_rooms, config.port, config.path.as_str()), (3, 2, "/a"));
    assert_eq!(config.rooms.cleanup_timeout, 3600);
    let source = |path| loaded.value(path).unwrap().source.clone();
    assert_eq!(source("rooms.max_rooms"), Source::Env("CIVIC_REALTIME_ROOMS__MAX_ROOMS".into()));
    assert_eq!(source("port"), Source::Options);
    assert_eq!(source("path"), Source::File(file));
    assert_eq!(source("host"), Source::Default);
}

#[test]
fn every_key_is_taken_from_the_environment() {
    for key in keys::all() {
        if !key.default.is_empty() {
            let loaded = from_env(&[(&key.env_name(), key.default)]).unwrap();
            assert_eq!(loaded.warnings, [""; 0], "{}", key.path);
            assert_eq!(loaded.value(key.path).unwrap().source, Source::Env(key.env_name()));
        }
    }
    let loaded = from_env(&[
        ("CIVIC_REALTIME_RATE_LIMITING__MESSAGES_PER_SECOND", "20"),
        ("CIVIC_REALTIME_ALLOWED_ORIGINS", "https://a.example, https://b.example"),
        ("CIVIC_REALTIME_ROOMS__OPEN_TYPES", r#"["notes","boards"]"#),
        ("CIVIC_REALTIME_SNAPSHOTS__INTERVAL", "0.25"),
        ("CIVIC_REALTIME_SNAPSHOTS__ENABLED", "No"),
    ])
    .unwrap();
    assert_eq!(loaded.config.rate_limiting.messages_per_second, 20);
    assert_eq!(loaded.config.allowed_origins, ["https://a.example", "https://b.example"]);
    assert_eq!(loaded.config.rooms.open_types, ["notes", "boards"]);
    assert!((loaded.config.snapshots.interval - 0.25).abs() < f64::EPSILON);
    assert!(!loaded.config.snapshots.enabled);
}

#[test]
fn json_yaml_and_camel_case_are_equal() {
    let yaml = "realtime:\n  rateLimiting:\n    messagesPerSecond: 7\n    connectionsPerIP: 3\n  allowedOrigins: [ 'https://a.example' ]\n  snapshots: { interval: 0.5, compression: NONE }\n";
    let snake = "rate_limiting:\n  messages_per_second: 7\n  connections_per_ip: 3\nallowed_origins:\n  - https://a.example\nsnapshots:\n  interval: 0.5\n  compression: none\n";
    let json = r#"{ "rateLimiting": { "messagesPerSecond": 7, "connectionsPerIp": 3 },
        "allowedOrigins": ["https://a.example"], "snapshots": { "interval": 0.5, "compression": "none" } }"#;
    let expected = yml(yaml).unwrap();
    assert_eq!(expected.config.rate_limiting.messages_per_second, 7);
    assert_eq!(expected.config.rate_limiting.connections_per_ip, 3);
    assert_eq!(yml(snake).unwrap().config, expected.config);
    assert_eq!(yml(json).unwrap().config, expected.config);
    assert_eq!(load_text("json", json, &[]).unwrap().config, expected.config);
}

#[test]
fn wrong_values_name_key_value_allowed_and_source() {
    for (text, parts) in [
        ("port: abc", &["port:", "\"abc\"", "whole number from 0 to 65535", "realtime.yml"][..]),
        ("port: 70000", &["port: 70000 is out of range"]),
        ("port: '3001'", &["port:", "whole number"]),
        ("rooms: { max_rooms: 0 }", &["rooms.max_rooms: 0 is out of range"]),
        ("rooms: { max_rooms: 1.5 }", &["rooms.max_rooms: 1.5", "whole number"]),
        ("rooms: 5", &["rooms: is a single value", "section"]),
        ("rooms: [1]", &["rooms: is a list"]),
        ("port: { a: 1 }", &["port: a section is not a whole number"]),
        ("snapshots: { interval: .nan }", &["snapshots.interval", "not a number"]),
        ("snapshots: { interval: .inf }", &["snapshots.interval"]),
        ("snapshots: { interval: -1 }", &["snapshots.interval: -1 is out of range"]),
        (
            "snapshots: { storage: disk }",
            &["snapshots.storage: \"disk\" is not known; allowed: database, filesystem, api"],
        ),
        ("snapshots: { enabled: maybe }", &["snapshots.enabled: \"maybe\"", "true or false"]),
        ("path: realtime", &["path: \"realtime\"", "/realtime"]),
        ("host: ''", &["host: \"\" is empty"]),
        ("allowed_origins: example.org", &["allowed_origins", "is not a list"]),
        ("allowed_origins: [example.org]", &["allowed_origins", "\"example.org\"", "https://"]),
        ("rooms: { open_types: [Notes] }", &["rooms.open_types", "Notes"]),
        ("auth: { jwt: { algorithms: [none] } }", &["auth.jwt.algorithms", "nobody signed"]),
        (
            "auth: { jwt: { algorithms: [HS255] } }",
            &["auth.jwt.algorithms", "not a known algorithm", "HS256"],
        ),
        ("auth: { jwt: { secret: '' } }", &["auth.jwt.secret: *** is empty"]),
        ("auth: { jwt: { secret: 'short' } }", &["auth.jwt.secret: *** is shorter than 32 bytes"]),
        ("auth: { jwt: { public_key: abc } }", &["auth.jwt.public_key: *** is not a public key"]),
        ("log_level: loud", &["log_level: \"loud\"", "debug, info, warn, error"]),
        ("port: ${NO_SUCH}", &["port:", "NO_SUCH", "not set"]),
        ("path: ${", &["path:", "${NAME}"]),
        ("max_rooms: 1\nrooms: { max_rooms: 1, maxRooms: 2 }", &["rooms.max_rooms", "twice"]),
        ("- a", &["realtime", "section"]),
        ("realtime: 1", &["realtime", "section"]),
        ("a: [", &["configuration file", "not valid YAML", "line"]),
        ("port: 1\nport: 2", &["configuration file", "\"port\" twice"]),
        ("port: 1\n---\nport: 2", &["more than one YAML document"]),
    ] {
        let error = yml(text).expect_err(text).to_string();
        for part in parts {
            assert!(error.contains(part), "{text}: {error:?} lacks {part:?}");
        }
    }
}

#[test]
fn what_is_not_built_yet_says_so() {
    for (text, path) in [
        ("broker: { enabled: true, type: redis }", "broker.type"),
        ("redis: { enabled: true }", "redis.enabled"),
        ("auth: { jwt: { jwks_file: a.json } }", "auth.jwt.jwks_file"),
        ("store: { url: 'postgres://u:hunter2@db/x' }", "store.url"),
        ("store: { url: 'postgresql://u:hunter2@db/x' }", "store.url"),
    ] {
        let errors = yml(text).expect_err(text);
        assert_eq!(errors.0.len(), 1, "{errors}");
        assert_eq!(errors.0[0].path, path);
        assert!(errors.to_string().contains("not available in this version"), "{errors}");
        assert!(!shown(&Err(errors)).contains("hunter2"));
    }
    let loaded = yml("performance: { compression_enabled: true }\nnetwork: { write_buffer_size: 512 }\nmessage_ttl: 3600\nbroker: { enabled: true, redis: { host: cache } }").unwrap();
    let named: Vec<_> = loaded
        .warnings
        .iter()
        .filter_map(|warning| warning.split_once(" is not available"))
        .collect();
    let keys: Vec<_> = named.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["performance.compression_enabled", "network.write_buffer_size"]);
    assert_eq!(loaded.warnings.len(), keys.len(), "{:?}", loaded.warnings);
    // Their values are checked all the same.
    for text in [
        "trusted_proxies: [x]",
        "network: { write_buffer_size: a }",
        "broker: { type: kafka }",
        "tls: { enabled: 3 }",
    ] {
        assert!(yml(text).is_err(), "{text}");
    }
}

#[test]
fn tls_needs_its_files_and_may_be_required() {
    for (text, path, part) in [
        ("tls: { require: true }", "tls.require", "refuses to start without TLS"),
        ("tls: { enabled: true, key: k.pem }", "tls.cert", "is needed"),
        ("tls: { enabled: true, cert: c.pem }", "tls.key", "is needed"),
    ] {
        let errors = yml(text).expect_err(text);
        assert_eq!((errors.0.len(), errors.0[0].path), (1, path), "{errors}");
        assert!(errors.to_string().contains(part), "{errors}");
    }
    let tls = yml("tls: { enabled: true, require: true, cert: c.pem, key: k.pem }").unwrap();
    assert!(tls.config.tls.enabled && tls.config.tls.require);
    assert_eq!(tls.config.tls.cert, Some("c.pem".into()));
}

#[test]
fn all_errors_are_told() {
    let errors = yml("port: a\nhost: ''\nrooms: { max_rooms: 0 }\nstore: { url: 'postgres://a' }")
        .unwrap_err();
    let paths: Vec<_> = errors.0.iter().map(|error| error.path).collect();
    assert_eq!(paths, ["host", "port", "rooms.max_rooms", "store.url"]);
    assert_eq!(errors.to_string().lines().count(), 4);
    let error = crate::error::EngineError::from(errors);
    assert_eq!(error.code(), "REALTIME_CONFIG_INVALID");
}

#[test]
fn unknown_keys_warn_with_the_nearest() {
    let loaded =
        yml("prot: 1\nrooms:\n  max_room: 5\nrate_limits:\n  a: 1\n\"evil\\x1b[31m\": 1\n")
            .unwrap();
    let text = loaded.warnings.join("\n");
    for part in [
        "prot; did you mean port?",
        "rooms.max_room; did you mean rooms.max_rooms?",
        "rate_limits; did you mean rate_limiting?",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\u{1b}'));
    let loaded =
        from_env(&[("CIVIC_REALTIME_PROT", "1"), ("CIVIC_REALTIME_ROOMS_MAX_ROOMS", "1")]).unwrap();
    assert_eq!(loaded.warnings.len(), 2);
    assert!(
        loaded.warnings[0].contains("CIVIC_REALTIME_PROT; did you mean CIVIC_REALTIME_PORT?"),
        "{:?}",
        loaded.warnings
    );
    assert!(
        loaded.warnings[1].contains("CIVIC_REALTIME_ROOMS__MAX_ROOMS?"),
        "{:?}",
        loaded.warnings
    );
    let beside = yml("realtime: { port: 5 }\nport: 6").unwrap();
    assert_eq!((beside.config.port, beside.warnings.len()), (5, 1));
    let many = (0..5000).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join("\n");
    assert!(yml(&many).unwrap().warnings.len() <= 60);
}

#[test]
fn empty_files_and_sections_are_defaults() {
    for text in
        ["", "\n# nothing\n", "---\n", "realtime:\n", "rooms:\nport:\n", "{}", "\u{feff}port: 3001"]
    {
        assert_eq!(yml(text).expect(text).config, embedded_default(), "{text:?}");
    }
}

#[test]
fn hostile_files_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let items = vec![format!("*a{}", n - 1); 10].join(",");
        bomb.push_str(&["a", &n.to_string(), ": &a", &n.to_string(), " [", &items, "]\n"].concat());
    }
    let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
    for text in [bomb, deep] {
        let error = yml(&text).unwrap_err().to_string();
        assert!(error.contains("configuration file"), "{error}");
    }
    let error = yml(&"# x\n".repeat(300_000)).unwrap_err().to_string();
    assert!(error.contains("1 MiB"), "{error}");
    assert!(load_text("json", "{ \"port\": 1, ", &[]).unwrap_err().to_string().contains("line 1"));
    assert!(load_text("json", &"[".repeat(10_000), &[]).is_err());
}

#[test]
fn references_to_the_environment() {
    let vars =
        &[("P", "4000"), ("TYPES", "notes,boards"), ("S", SECRET), ("ON", "true"), ("EMPTY", "")];
    let text = "port: ${P}\npath: /r${P}\nrooms: { open_types: \"${TYPES}\" }\nadmin: { token: \"${S}\" }\nrecords: { watch: \"${ON}\" }";
    let loaded = load_text("yml", text, vars).unwrap();
    assert_eq!((loaded.config.port, loaded.config.path.as_str()), (4000, "/r4000"));
    assert_eq!(loaded.config.rooms.open_types, ["notes", "boards"]);
    assert_eq!(loaded.config.admin.token.as_deref(), Some(SECRET));
    assert!(
        load_text("yml", "auth: { jwt: { secret: \"${EMPTY}\" } }", vars)
            .unwrap_err()
            .to_string()
            .contains("is empty")
    );
    // A variable that landed in the wrong place is not told.
    for text in [
        "port: ${S}",
        "path: ${S}",
        "allowed_origins: ${S}",
        "allowed_origins: [\"${S}\"]",
        "snapshots: { storage: \"${S}\" }",
    ] {
        let result = load_text("yml", text, vars);
        assert!(result.is_err() && !shown(&result).contains(SECRET), "{text}: {}", shown(&result));
    }
}

#[test]
fn a_file_with_some_limits_keeps_the_others_and_no_limit_is_zero() {
    // go-deployd takes what its file leaves out for 0, and a limit of 0 for none.
    let sample = r#"{ "enabled": true, "broker": { "type": "memory", "enabled": false },
        "limits": { "maxConnections": 5000 }, "eventss": 1 }"#;
    let loaded = load_text("json", sample, &[]).unwrap();
    let mut expected = embedded_default();
    expected.limits.max_connections = 5000;
    assert_eq!(loaded.config, expected);
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("eventss; did you mean events?"), "{:?}", loaded.warnings);
    let limits = |key: &&keys::Key| {
        ["limits.", "message_ttl", "rooms.max_rooms"]
            .iter()
            .any(|begin| key.path.starts_with(begin))
            || ["_max", "_per_ip", "_per_user", "messages_per_second"]
                .iter()
                .any(|end| key.path.ends_with(end))
    };
    let mut count = 0;
    for key in keys::all().iter().filter(limits) {
        for wrong in ["0", "-1", "many", "1.5"] {
            let error = from_env(&[(&key.env_name(), wrong)]).expect_err(key.path).to_string();
            assert!(error.contains(&format!("{}: ", key.path)), "{error}");
        }
        count += 1;
    }
    assert!(count > 15, "{count}");
}

#[test]
fn log_level_in_any_case() {
    for (value, level) in [
        ("debug", LogLevel::Debug),
        ("INFO", LogLevel::Info),
        ("Warn", LogLevel::Warn),
        ("ERROR", LogLevel::Error),
        ("", LogLevel::Info),
    ] {
        assert_eq!(from_env(&[("LOG_LEVEL", value)]).unwrap().config.log_level, level, "{value}");
    }
    let error = from_env(&[("LOG_LEVEL", "verbose")]).unwrap_err().to_string();
    assert!(error.contains("LOG_LEVEL") && error.contains("debug, info, warn, error"), "{error}");
    assert_eq!(
        from_env(&[("REALTIME_DEBUG", "1"), ("LOG_LEVEL", "warn")]).unwrap().config.log_level,
        LogLevel::Debug
    );
    assert_eq!(from_env(&[("REALTIME_DEBUG", "false")]).unwrap().config.log_level, LogLevel::Info);
    let both =
        from_env(&[("REALTIME_DEBUG", "true"), ("CIVIC_REALTIME_LOG_LEVEL", "error")]).unwrap();
    assert_eq!(both.config.log_level, LogLevel::Error);
}

#[test]
fn enabled_by_many_spellings() {
    for (text, enabled) in [
        ("enabled: 'false'", false),
        ("enabled: \"true\"", true),
        ("enabled: no", false),
        ("enabled: false", false),
        ("", true),
    ] {
        assert_eq!(yml(text).unwrap().config.enabled, enabled, "{text}");
    }
    for (vars, enabled) in [
        (&[("REALTIME_ENABLED", "false")][..], false),
        (&[("REALTIME_ENABLED", "FALSE")], false),
        (&[("REALTIME_ENABLED", "")], true),
        (&[("REALTIME_ENABLED", "false"), ("CIVIC_REALTIME_ENABLED", "true")], true),
        (&[("CIVIC_REALTIME_ENABLED", "0")], false),
    ] {
        assert_eq!(from_env(vars).unwrap().config.enabled, enabled, "{vars:?}");
    }
    let error = from_env(&[("REALTIME_ENABLED", "perhaps")]).unwrap_err().to_string();
    assert!(error.contains("REALTIME_ENABLED"), "{error}");
}

#[test]
fn files_are_looked_for_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, port: u16| {
        let file = dir.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("{{\"port\": {port}}}")).unwrap();
    };
    let mut sources = Sources { cwd: dir.path().into(), ..Sources::default() };
    assert_eq!(load(&sources).unwrap().file, None);
    let port = |sources: &Sources| load(sources).unwrap().config.port;
    write("config/realtime.json", 1);
    assert_eq!(port(&sources), 1);
    for (name, number) in [("realtime.json", 2), ("realtime.yaml", 3), ("realtime.yml", 4)] {
        write(&format!(".system-data/{name}"), number);
        assert_eq!(port(&sources), number);
    }
    write("sys/realtime.yml", 5);
    sources.env = env(&[("CIVIC_SYSTEM_DATA_DIR", "sys")]);
    assert_eq!(port(&sources), 5);
    write("named.yml", 6);
    sources.env.insert("CIVIC_REALTIME_CONFIG".into(), "named.yml".into());
    let loaded = load(&sources).unwrap();
    assert_eq!((loaded.config.port, loaded.warnings.len()), (6, 0));
    write("first.yml", 7);
    sources.file = Some("first.yml".into());
    assert_eq!(port(&sources), 7);
    sources.file = Some("missing.yml".into());
    assert!(load(&sources).unwrap_err().to_string().contains("missing.yml"));
    sources.file = None;
    sources.env.insert("CIVIC_REALTIME_CONFIG".into(), "gone.yml".into());
    let error = load(&sources).unwrap_err().to_string();
    assert!(error.contains("gone.yml") && error.contains("CIVIC_REALTIME_CONFIG"), "{error}");
}

#[test]
fn folders_and_databases() {
    let loaded = from_env(&[
        ("CIVIC_DATA_DIR", "/d/"),
        ("CIVIC_SYSTEM_DATA_DIR", "/s"),
        ("DATABASE_URL", "postgres://x"),
    ])
    .unwrap();
    assert_eq!(loaded.config.records.dir, Path::new("/d/records"));
    assert_eq!(loaded.config.database_file(), Path::new("/s/realtime/realtime.db"));
    assert_eq!(loaded.value("records.dir").unwrap().source, Source::Env("CIVIC_DATA_DIR".into()));
    assert_eq!(loaded.value("store.url").unwrap().value, "sqlite:/s/realtime/realtime.db");
    let named = load_text("yml", "records: { dir: /r }", &[("CIVIC_DATA_DIR", "/d")]).unwrap();
    assert_eq!(named.config.records.dir, Path::new("/r"));
    for (url, file) in [
        ("sqlite:a.db", "a.db"),
        ("sqlite:/a.db", "/a.db"),
        ("sqlite:///a.db", "/a.db"),
        ("sqlite://a.db", "a.db"),
    ] {
        let loaded = yml(&format!("store: {{ url: '{url}' }}")).unwrap();
        assert_eq!(loaded.config.database_file(), Path::new(file), "{url}");
    }
}

#[test]
fn standalone_without_a_file_stays_local() {
    let dir = tempfile::tempdir().unwrap();
    let config = standalone(dir.path(), &[]).unwrap().config;
    assert_eq!(config.host, "127.0.0.1");
    assert_eq!(config.auth.mode, AuthMode::Jwt);
    assert_eq!(config.records.dir, Path::new("./data/records"));
    assert_eq!(config.system_data_dir, Path::new("./data/.system-data"));
    assert_eq!(config.database_file(), Path::new("./data/.system-data/realtime/realtime.db"));
    let loaded =
        standalone(dir.path(), &[("CIVIC_DATA_DIR", "/d"), ("CIVIC_REALTIME_HOST", "::")]).unwrap();
    assert_eq!(loaded.config.host, "::");
    assert_eq!(loaded.config.system_data_dir, Path::new("/d/.system-data"));
    assert_eq!(loaded.value("system_data_dir").unwrap().value, "/d/.system-data");
    let config = standalone(dir.path(), &[("CIVIC_SYSTEM_DATA_DIR", "/s")]).unwrap().config;
    assert_eq!(
        (config.system_data_dir.as_path(), config.records.dir.as_path()),
        (Path::new("/s"), Path::new("./data/records"))
    );

    std::fs::create_dir(dir.path().join(".system-data")).unwrap();
    std::fs::write(dir.path().join(".system-data/realtime.yml"), "port: 1").unwrap();
    let config = standalone(dir.path(), &[]).unwrap().config;
    assert_eq!(
        (config.host.as_str(), config.system_data_dir.as_path()),
        ("0.0.0.0", Path::new(".system-data"))
    );
}

#[test]
fn standalone_reads_database_url_and_has_no_host() {
    let dir = tempfile::tempdir().unwrap();
    let result = standalone(dir.path(), &[("DATABASE_URL", "postgresql://u:hunter2@db/x")]);
    let text = shown(&result);
    assert!(
        text.contains("DATABASE_URL") && text.contains("store.url") && !text.contains("hunter2"),
        "{text}"
    );
    let vars = [("DATABASE_URL", "postgres://x"), ("CIVIC_REALTIME_STORE__URL", "sqlite:a.db")];
    assert!(standalone(dir.path(), &vars).is_ok());
    let error =
        standalone(dir.path(), &[("CIVIC_REALTIME_AUTH__MODE", "host")]).unwrap_err().to_string();
    assert!(error.contains("auth.mode"), "{error}");
}

#[test]
fn an_api_for_a_host_needs_address_and_token() {
    let dir = tempfile::tempdir().unwrap();
    let url = ("CIVIC_REALTIME_HOST_API__URL", "http://api:3000");
    let token = ("CIVIC_REALTIME_HOST_API__TOKEN", "a-service-token");
    let loaded = standalone(dir.path(), &[url, token]).unwrap();
    assert_eq!(loaded.config.auth.mode, AuthMode::Api, "the address says so");
    assert_eq!(loaded.value("auth.mode").unwrap().value, "api");
    let mode = ("CIVIC_REALTIME_AUTH__MODE", "api");
    for (variables, missing) in [
        (vec![url], "host_api.token"),
        (vec![mode, token], "host_api.url"),
        (vec![("CIVIC_REALTIME_HOST_API__URL", "http://u:hunter2@api"), token], "host_api.url"),
    ] {
        let text = shown(&standalone(dir.path(), &variables));
        assert!(text.contains(missing) && !text.contains("hunter2"), "{text}");
    }
    let copies = ("CIVIC_REALTIME_SNAPSHOTS__STORAGE", "api");
    let loaded = standalone(dir.path(), &[url, token, copies]).unwrap();
    assert_eq!(loaded.config.snapshots.storage, SnapshotStorage::Api);
    let jwt = ("CIVIC_REALTIME_AUTH__MODE", "jwt");
    for variables in [vec![copies], vec![copies, url, token, jwt]] {
        let text = shown(&standalone(dir.path(), &variables));
        assert!(text.contains("snapshots.storage: \"api\" needs the CivicPress API"), "{text}");
    }
    assert!(from_env(&[copies]).unwrap_err().to_string().contains("snapshots.storage"));
    let jwt = standalone(dir.path(), &[url, ("CIVIC_REALTIME_AUTH__MODE", "jwt")]).unwrap();
    assert_eq!(jwt.config.auth.mode, AuthMode::Jwt);
    let embedded = from_env(&[mode, url, token]).unwrap_err().to_string();
    assert!(embedded.contains("auth.mode"), "{embedded}");
}

#[test]
fn keys_and_algorithms_fit() {
    // The public key of RFC 8032, 7.1, test 1.
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    let broken = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
    for (secret, public_key, algorithms, fits) in [
        (None, None, &[][..], false),
        (None, None, &["HS256"], false),
        (Some(SECRET), None, &[], true),
        (Some(SECRET), None, &["HS256", "HS512"], true),
        (Some(SECRET), None, &["HS256", "RS256"], false),
        (None, Some(pem), &[], true),
        (None, Some(pem), &["EdDSA"], true),
        (None, Some(pem), &["RS256"], false),
        (None, Some(broken), &[], false),
        (Some(SECRET), Some(pem), &[], false),
        (None, Some(pem), &["HS256"], false),
    ] {
        let mut config = Config::default();
        config.auth.jwt.secret = secret.map(Into::into);
        config.auth.jwt.public_key = public_key.map(Into::into);
        config.auth.jwt.algorithms = algorithms.iter().map(|&name| name.into()).collect();
        let result = validate_auth(&config);
        assert_eq!(result.is_ok(), fits, "{secret:?} {public_key:?} {algorithms:?}");
        if let Err(errors) = result {
            assert!(
                errors.to_string().contains("auth.jwt.") && !shown(&Err(errors)).contains(SECRET)
            );
        }
        config.auth.mode = AuthMode::Host;
        assert!(validate_auth(&config).is_ok());
    }
}

#[test]
fn the_effective_table_is_aligned() {
    let text = print_effective(&yml("port: 5\nadmin: { token: abcdef }").unwrap());
    let columns: Vec<_> = text.lines().map(|line| line.find(" = ").unwrap()).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("port ")
            && line.contains("= 5 ")
            && line.contains("(file ")),
        "{text}"
    );
    assert!(
        text.lines().any(|line| line.starts_with("admin.token ") && line.contains("= ***")),
        "{text}"
    );
}

#[test]
fn the_effective_values_have_the_form_of_a_file() {
    let json = effective_json(&yml("port: 5\nadmin: { token: abcdef }").unwrap());
    assert_eq!((&json["port"], &json["rooms"]["max_rooms"]), (&5.into(), &100.into()));
    assert_eq!(json["admin"]["token"], "***");
    assert_eq!(json["connection_cleanup"]["check_interval"], 60);
    assert!(json["tls"].get("cert").is_none(), "what is unset is left out");
}
