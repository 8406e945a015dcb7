//! Where values come from, and in which forms.

use super::*;

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
