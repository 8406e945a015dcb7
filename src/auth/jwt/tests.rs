//! The attack table of tokens. The keys below exist for these tests only.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::config::Jwt;

const SECRET: &str = "a-test-secret-of-more-than-32-bytes!";
const NOW_S: u64 = 1_800_000_000;
const NOW_MS: u64 = NOW_S * 1000;
/// `{"alg":"none"}`
const HEADER_NONE: &str = "eyJhbGciOiJub25lIn0";

const ED_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIGz8UEFNgqdAJD+hlKYo0Ns6JCkjl05mDvbl9NWJ5poo\n\
-----END PRIVATE KEY-----\n\
";
const ED_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MCowBQYDK2VwAyEAUkLKXzmlKNZzDyzgcrAn5vQf2KXlkAJ8Q1dPejj9b4U=\n\
-----END PUBLIC KEY-----\n\
";
const EC_PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7xMPGxplw21k30EX\n\
8MYdVfEotDTJiDg3qK+LH9dmgH6hRANCAARN5eSgjedwL6q/S716lvI5zXvZvUxV\n\
UHo33FdhU0hNwmVU2EmJcbwqzMcCDU6dnQdoBRFfHXVISWyodPBvrZmr\n\
-----END PRIVATE KEY-----\n\
";
const EC_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETeXkoI3ncC+qv0u9epbyOc172b1M\n\
VVB6N9xXYVNITcJlVNhJiXG8KszHAg1OnZ0HaAURXx11SElsqHTwb62Zqw==\n\
-----END PUBLIC KEY-----\n\
";
const RSA_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3tzxTvsvgBgfd4XT0cFV\n\
UF1hrYIqgOTlKSYtEXM9KL8aEw4uxpvMDrTfGa8NH5+RCb+5UYRUZynBg/rAGxTa\n\
JPD90L13Ax2LX9T8PKWx6ku0eMje5Ls79uhJLRnGkQD//uogGenOHEvI0YgVlfsb\n\
YdLq/SZaw4q6RcWohs1FTxBt/bDbyiv76xtmYCNJFw+1yh/RiyIa8ieaTsFzdUN6\n\
DLRlofKjxKJmVQOljXk4MrgmdScpxDk8Bq5CJ3UW7fe/l84Nz6JyPAb8U1zl9CZL\n\
T1SP2roQIMxqRWjNkxJcZ5iJwH5aKFfeY37LgHZKp/SvpVwFabKzUQSrGxxYQURJ\n\
TQIDAQAB\n\
-----END PUBLIC KEY-----\n\
";
const RSA_1024_PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDZ+nrqXPOhTrfTU6SVygb5lT+U\n\
gYnpVUnJEwHzAC+tiANarJIN17FjkfbL709yhhLD4SQf4cANNGpqEGMjU+NqLdPq\n\
8tqHH2k3rcN+Kx1PU+bVEERGrvVrVzGo/dvYBHP7N9o/Xl10+bf9MJcTkS1+QCew\n\
G/cDkksGya9gbywQGwIDAQAB\n\
-----END PUBLIC KEY-----\n\
";

/// Signed outside this library with the private part of [`RSA_PUBLIC`].
const RSA_TOKEN: &str = "\
     eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAidTEiLCAicm9sZSI6ICJlZGl0b3IiLCAiZXhwIjogMTgwMDA\
     wMDA2MH0.k4fsN7XTlEPOCM2s9PxuMGJ2WBXm5_sdX5AkZp8hhOvIWyuuT1Rh-TXq92WzFvooUR9nZpzYLY9q5kQbGW7WEEqtKPk\
     gVDZkEjDihVNOpGcf4PJ7h5i5Z70vxmi1O9nsCLUnIM7gLAYrtTeqYPE1ZMuom_ha21CyicKuPpc-u3f8zTWAcQMgPsHourUmb8W\
     IvPsbXMs7FS_x8zR87gKviWkHYQdhOJ-QpIoQSulYNyEzWULy-uOIhsnoEr2gfauFzBaQICjuZd9-_p3pQgo7pOiKOQTWowMncGE\
     h4M5uC1_6IWtJal2YCYIov158UIWWMsU-Jdip-051NV52061ETg";

fn secret_config() -> Jwt {
    Jwt { secret: Some(SECRET.into()), ..Jwt::default() }
}

fn signed(algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn token(claims: &Value) -> String {
    signed(Algorithm::HS256, SECRET.as_bytes(), claims)
}

fn verify(config: &Jwt, token: &str) -> Result<Identity, String> {
    JwtVerifier::new(config).unwrap().verify(token, NOW_MS).map_err(|error| match error {
        HostError::Unauthenticated(why) => why,
        other => panic!("{other:?}"),
    })
}

fn good() -> Value {
    json!({ "sub": "u1", "name": "Ada", "role": "editor", "exp": NOW_S + 60 })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = good();
    claims[key] = value;
    claims
}

fn without(key: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(key);
    claims
}

#[test]
fn a_good_token_gives_its_identity() {
    let identity = verify(&secret_config(), &token(&good())).unwrap();
    assert_eq!(
        identity,
        Identity {
            user_id: "u1".into(),
            name: "Ada".into(),
            role: "editor".into(),
            expires_at_ms: Some(NOW_MS + 60_000),
            room_patterns: Vec::new(),
            api_user: None,
        }
    );
}

#[test]
fn every_member_of_the_family_is_taken_unless_pinned() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = signed(algorithm, SECRET.as_bytes(), &good());
        assert!(verify(&secret_config(), &token).is_ok(), "{algorithm:?}");
        let pinned = Jwt { algorithms: vec!["HS256".into()], ..secret_config() };
        assert_eq!(verify(&pinned, &token).is_ok(), algorithm == Algorithm::HS256, "{algorithm:?}");
    }
}

#[test]
fn public_keys_verify_their_own_algorithm_only() {
    let ed = encode(
        &Header::new(Algorithm::EdDSA),
        &good(),
        &EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).unwrap(),
    );
    let ec = encode(
        &Header::new(Algorithm::ES256),
        &good(),
        &EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).unwrap(),
    );
    let (ed, ec) = (ed.unwrap(), ec.unwrap());
    let key = |pem: &str| Jwt { public_key: Some(pem.into()), ..Jwt::default() };
    assert!(verify(&key(ED_PUBLIC), &ed).is_ok());
    assert!(verify(&key(EC_PUBLIC), &ec).is_ok());
    assert!(verify(&key(RSA_PUBLIC), RSA_TOKEN).is_ok());
    let pss = Jwt { algorithms: vec!["PS256".into()], ..key(RSA_PUBLIC) };
    assert!(verify(&pss, RSA_TOKEN).is_err());
    assert!(verify(&key(ED_PUBLIC), &ec).is_err());
    assert!(verify(&key(EC_PUBLIC), &ed).is_err());
    assert!(verify(&key(RSA_PUBLIC), &ed).is_err());
    assert!(verify(&secret_config(), &ed).is_err());
}

#[test]
fn a_public_key_is_never_a_shared_secret() {
    for pem in [ED_PUBLIC, EC_PUBLIC, RSA_PUBLIC] {
        let config = Jwt { public_key: Some(pem.into()), ..Jwt::default() };
        for secret in [pem, pem.trim()] {
            let forged = signed(Algorithm::HS256, secret.as_bytes(), &good());
            assert_eq!(
                verify(&config, &forged).unwrap_err(),
                "the token's algorithm is not accepted"
            );
        }
    }
}

#[test]
fn forged_and_broken_tokens_are_refused() {
    let valid = token(&good());
    let payload = valid.split('.').nth(1).unwrap();
    let signature = valid.split('.').nth(2).unwrap();
    let header = valid.split('.').next().unwrap();
    let other = token(&with("role", json!("admin")));
    let other_payload = other.split('.').nth(1).unwrap();
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".into()]);
    for (case, token) in [
        ("empty", String::new()),
        ("dots", "..".into()),
        ("alg none, no signature", format!("{HEADER_NONE}.{payload}.")),
        ("alg none, old signature", format!("{HEADER_NONE}.{payload}.{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{valid}.x")),
        ("truncated", valid[..valid.len() - 1].to_owned()),
        ("payload exchanged", format!("{header}.{other_payload}.{signature}")),
        (
            "wrong secret",
            signed(Algorithm::HS256, b"another-secret-of-more-than-32-bytes", &good()),
        ),
        ("not base64", "a b.c d.e f".into()),
        ("not ASCII", "é.é.é".into()),
        ("leading space", format!(" {valid}")),
        ("9 KB", token(&with("pad", json!("x".repeat(9 * 1024))))),
        (
            "critical extension",
            encode(&critical, &good(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap(),
        ),
        ("claims are no object", token(&json!(["exp"]))),
    ] {
        let why = verify(&secret_config(), &token).unwrap_err();
        assert!(!why.contains(payload), "{case}: {why}");
    }
}

#[test]
fn claims_that_do_not_hold_are_refused() {
    for (case, claims) in [
        ("no exp", without("exp")),
        ("exp as text", with("exp", json!((NOW_S + 60).to_string()))),
        ("exp null", with("exp", Value::Null)),
        ("exp negative", with("exp", json!(-1))),
        ("exp list", with("exp", json!([NOW_S + 60]))),
        ("exp true", with("exp", json!(true))),
        ("expired", with("exp", json!(NOW_S - 1))),
        ("expires now", with("exp", json!(NOW_S))),
        ("exp fraction, past", with("exp", json!(1_799_999_999.5))),
        ("nbf in future", with("nbf", json!(NOW_S + 30))),
        ("nbf as text", with("nbf", json!("0"))),
        ("no sub", without("sub")),
        ("sub empty", with("sub", json!(" "))),
        ("sub list", with("sub", json!(["u1"]))),
        ("sub with a line break", with("sub", json!("u1\nadmin"))),
        ("sub too long", with("sub", json!("u".repeat(300)))),
        ("unknown role", with("role", json!("owner"))),
        ("role in capitals", with("role", json!("Admin"))),
        ("role list", with("role", json!(["admin"]))),
        ("role null", with("role", Value::Null)),
        ("rooms null", with("rooms", Value::Null)),
        ("rooms empty", with("rooms", json!([]))),
        ("rooms text", with("rooms", json!("records:*"))),
        ("rooms with a number", with("rooms", json!(["records:*", 1]))),
        ("rooms with nonsense", with("rooms", json!(["records:../*"]))),
        ("aud of someone else", with("aud", json!("billing"))),
    ] {
        assert!(verify(&secret_config(), &token(&claims)).is_err(), "{case}");
    }
}

#[test]
fn leeway_shifts_both_ends() {
    let config = Jwt { leeway_seconds: 5, ..secret_config() };
    let late = verify(&config, &token(&with("exp", json!(NOW_S - 4)))).unwrap();
    assert_eq!(
        late.expires_at_ms,
        Some(NOW_MS + 1000),
        "the session ends when the token would be refused"
    );
    assert!(verify(&config, &token(&with("exp", json!(NOW_S - 5)))).is_err());
    assert!(verify(&config, &token(&with("nbf", json!(NOW_S + 5)))).is_ok());
    assert!(verify(&config, &token(&with("nbf", json!(NOW_S + 6)))).is_err());
}

#[test]
fn issuer_and_audience_are_required_once_configured() {
    let config =
        Jwt { issuer: Some("town".into()), audience: Some("realtime".into()), ..secret_config() };
    let claims = |iss: Value, aud: Value| {
        let mut claims = with("iss", iss);
        claims["aud"] = aud;
        token(&claims)
    };
    assert!(verify(&config, &claims(json!("town"), json!("realtime"))).is_ok());
    assert!(verify(&config, &claims(json!("town"), json!(["x", "realtime"]))).is_ok());
    assert!(verify(&config, &claims(json!("village"), json!("realtime"))).is_err());
    assert!(verify(&config, &claims(json!("town"), json!("billing"))).is_err());
    assert!(verify(&config, &claims(json!(1), json!("realtime"))).is_err());
    assert!(verify(&config, &token(&good())).is_err());
}

#[test]
fn claims_of_both_code_bases_are_understood() {
    let exp = NOW_S + 60;
    for (claims, user_id, name, role) in [
        (json!({ "sub": 7, "exp": exp }), "7", "7", "viewer"),
        (
            json!({ "sub": "u", "username": "ada", "role": "viewer", "exp": exp }),
            "u",
            "ada",
            "viewer",
        ),
        (json!({ "sub": "u", "name": "Ada", "username": "ada", "exp": exp }), "u", "Ada", "viewer"),
        (json!({ "sub": "u", "name": "", "username": "ada", "exp": exp }), "u", "ada", "viewer"),
        (
            json!({ "user_id": "5f", "username": "root", "is_root": true, "exp": exp }),
            "5f",
            "root",
            "admin",
        ),
        (
            json!({ "user_id": 12, "username": "joe", "is_root": false, "exp": exp }),
            "12",
            "joe",
            "viewer",
        ),
        (json!({ "sub": "u", "role": "viewer", "is_root": true, "exp": exp }), "u", "u", "viewer"),
        (json!({ "sub": "u", "name": "A\nB", "exp": 1_800_000_060.0 }), "u", "AB", "viewer"),
    ] {
        let identity = verify(&secret_config(), &token(&claims)).unwrap();
        assert_eq!(
            (identity.user_id.as_str(), identity.name.as_str(), identity.role.as_str()),
            (user_id, name, role),
            "{claims}"
        );
        assert_eq!(identity.expires_at_ms, Some(exp * 1000), "{claims}");
    }
}

#[test]
fn unusable_configurations_are_refused() {
    let secret = |text: &str| Jwt { secret: Some(text.into()), ..Jwt::default() };
    let public = |text: &str| Jwt { public_key: Some(text.into()), ..Jwt::default() };
    let pinned = |base: Jwt, name: &str| Jwt { algorithms: vec![name.into()], ..base };
    for (config, error) in [
        (Jwt::default(), JwtConfigError::NoKey),
        (secret(""), JwtConfigError::SecretTooShort),
        (secret(&"x".repeat(31)), JwtConfigError::SecretTooShort),
        (secret(&" ".repeat(40)), JwtConfigError::SecretTooShort),
        (secret(RSA_PUBLIC), JwtConfigError::SecretIsPem),
        (Jwt { public_key: Some(ED_PUBLIC.into()), ..secret_config() }, JwtConfigError::TwoKeys),
        (public(""), JwtConfigError::KeyUnreadable),
        (
            public("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
            JwtConfigError::KeyUnreadable,
        ),
        (public(ED_PRIVATE), JwtConfigError::KeyIsPrivate),
        (public(RSA_1024_PUBLIC), JwtConfigError::RsaTooShort),
        (pinned(secret_config(), "none"), JwtConfigError::AlgorithmUnknown("none".into())),
        (pinned(secret_config(), "RS256"), JwtConfigError::AlgorithmKeyMismatch("RS256".into())),
        (pinned(public(RSA_PUBLIC), "HS256"), JwtConfigError::AlgorithmKeyMismatch("HS256".into())),
        (pinned(public(EC_PUBLIC), "ES384"), JwtConfigError::AlgorithmKeyMismatch("ES384".into())),
    ] {
        assert_eq!(JwtVerifier::new(&config).unwrap_err(), error);
    }
}

#[test]
fn debug_hides_the_key() {
    let shown = format!("{:?}", JwtVerifier::new(&secret_config()).unwrap());
    assert!(!shown.contains(SECRET) && !shown.contains("97, 45"), "{shown}");
}
