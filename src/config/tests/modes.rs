//! What follows from how the engine runs.

use super::*;

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
