//! The table of keys beside the typed defaults, the default file, and what is shown of it.

use super::*;

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
        .filter_map(|warning| warning.split_once(" is not in this build"))
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
fn compression_is_read_and_said_to_be_missing() {
    let loaded =
        yml("performance: { compressionEnabled: true }\nnetwork: { compression_threshold: 4096 }")
            .unwrap();
    let shown = |path: &str| loaded.value(path).unwrap().value.clone();
    assert_eq!(shown("performance.compression_enabled"), true);
    assert_eq!(shown("network.compression_threshold"), 4096);
    let expected = ["performance.compression_enabled", "network.compression_threshold"];
    assert_eq!(loaded.warnings.len(), expected.len(), "{:?}", loaded.warnings);
    for (warning, path) in loaded.warnings.iter().zip(expected) {
        let said =
            format!("{path} is not in this build and has no effect: this build has no compression");
        assert!(warning.starts_with(&said) && warning.contains("realtime.yml"), "{warning}");
    }
    let variables = [
        ("CIVIC_REALTIME_PERFORMANCE__COMPRESSION_ENABLED", "true"),
        ("CIVIC_REALTIME_NETWORK__COMPRESSION_THRESHOLD", "0"),
    ];
    let warnings = from_env(&variables).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, (name, _)) in warnings.iter().zip(variables) {
        assert!(warning.contains("this build has no compression"), "{warning}");
        assert!(warning.contains(name), "{warning}");
    }
    // The defaults ask for nothing.
    let usual =
        "performance: { compression_enabled: false }\nnetwork: { compression_threshold: 1024 }";
    assert_eq!(yml(usual).unwrap().warnings, [""; 0]);
    assert!(yml("performance: { compression_enabled: perhaps }").is_err());
    assert!(yml("network: { compression_threshold: -1 }").is_err());
}
