//! What is wrong, and how it is told.

use super::*;

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
