//! Nothing that is shown of a configuration, sound or not, holds a secret.

use super::*;
use crate::config::{forms::Rule, rules::Kind};

#[test]
fn secrets_are_never_shown() {
    for path in [
        "auth.jwt.secret",
        "admin.token",
        "host_api.token",
        "broker.redis.password",
        "broker.nats.password",
    ] {
        let key = keys::find(path).unwrap();
        let name = key.env_name();
        let result = from_env(&[(&name, SECRET)]);
        assert!(result.is_ok() && !shown(&result).contains(SECRET), "{path}");
        assert_eq!(result.unwrap().value(path).unwrap().value, "***");
        let nested =
            path.rsplit('.').fold(json!(SECRET.len()), |inner, name| json!({ name: inner }));
        let nested = nested.to_string().replace(&SECRET.len().to_string(), "123456789012345");
        let result = yml(&nested);
        assert!(result.is_err() && !shown(&result).contains("123456789012345"), "{path}");
    }
    for text in [
        format!("auth:\n  jwt:\n    secret: {SECRET}\n   bad: ["),
        format!("auth:\n  jwt:\n    secret: {SECRET}\nport: x"),
        format!("auth:\n  jwt: {SECRET}"),
        format!("auth: {{ jwt: {{ secret: [{SECRET}] }} }}"),
        format!("auth:\n  jwt:\n    secret: *{SECRET}"),
        format!("redis: {{ url: 'redis://:{SECRET}@h', enabled: true }}"),
        format!("redis: {{ url: '{SECRET}' }}"),
        format!("store: {{ url: 'postgres://u:{SECRET}@h/d?password={SECRET}' }}"),
        format!("broker: {{ redis: {{ sentinel: {{ password: {SECRET} }} }}, enabled: 5 }}"),
    ] {
        let result = yml(&text);
        assert!(result.is_err() && !shown(&result).contains(SECRET), "{text}: {}", shown(&result));
    }
    let good = format!(
        "auth: {{ jwt: {{ secret: {SECRET} }} }}\nadmin: {{ token: {SECRET} }}\nredis: {{ url: 'redis://:{SECRET}@h' }}"
    );
    let result = yml(&good);
    assert!(result.is_ok() && !shown(&result).contains(SECRET), "{}", shown(&result));
}

#[test]
fn no_key_that_holds_a_secret_is_shown() {
    let mut count = 0;
    for key in keys::all() {
        let written = match key.kind {
            Kind::Secret { .. } => SECRET.to_owned(),
            Kind::Text(Rule::Url) => format!("redis://:{SECRET}@h/0?password={SECRET}"),
            _ if key.kind.is_open() => format!(r#"{{"password":"{SECRET}"}}"#),
            _ => continue,
        };
        count += 1;
        // What this key does not take may not be told either.
        let from_variable = from_env(&[(&key.env_name(), &written)]);
        assert!(!shown(&from_variable).contains(SECRET), "{}: {}", key.path, shown(&from_variable));
        let nested = key.path.rsplit('.').fold(
            serde_json::from_str(&written).unwrap_or(json!(written)),
            |inner, name| json!({ name: inner }),
        );
        let from_file = yml(&nested.to_string());
        assert!(!shown(&from_file).contains(SECRET), "{}: {}", key.path, shown(&from_file));
        if let Ok(loaded) = from_file {
            assert!(!effective_json(&loaded).to_string().contains(SECRET), "{}", key.path);
        }
    }
    assert!(count > 15, "{count}");
}
