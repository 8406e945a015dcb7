//! Tokens as they come, and claims of anybody who has the key but no sense.
#![no_main]

use std::sync::LazyLock;

use civicpress_realtime::{auth::jwt::JwtVerifier, config::Jwt};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const SECRET: &str = "a secret of a fuzzer, long enough to be accepted by all";
const NOW_MS: u64 = 1_800_000_000_000;

static VERIFIER: LazyLock<JwtVerifier> = LazyLock::new(|| {
    let config = Jwt {
        secret: Some(SECRET.into()),
        public_key: None,
        algorithms: Vec::new(),
        issuer: None,
        audience: None,
        leeway_seconds: 0,
    };
    JwtVerifier::new(&config).expect("a key")
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(VERIFIER.verify(text, NOW_MS).is_err(), "nobody guesses a signature");
    let Ok(claims) = serde_json::from_str::<Map<String, Value>>(text) else { return };
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let Ok(token) = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key) else {
        return;
    };
    if VERIFIER.verify(&token, NOW_MS).is_ok() {
        let expires_at = claims.get("exp").and_then(Value::as_f64).expect("a number");
        assert!(expires_at * 1000.0 > NOW_MS as f64, "an expired token was accepted");
    }
});
