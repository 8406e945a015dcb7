//! Signs tokens for the `token` command and for the standalone pages.

use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

use super::{jwt::JwtConfigError, key};
use crate::config::Jwt;

/// What a token shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// `sub`.
    pub user_id: String,
    /// `name`; empty = left out.
    pub name: String,
    /// `viewer`, `editor` or `admin`.
    pub role: String,
    /// Room patterns the token is limited to; empty = no limit.
    pub rooms: Vec<String>,
    /// Life of the token, in seconds.
    pub expires_in_s: u64,
}

/// Signs tokens that a [`super::jwt::JwtVerifier`] of the same configuration accepts.
pub struct JwtSigner {
    key: EncodingKey,
    algorithm: Algorithm,
    issuer: Option<String>,
    audience: Option<String>,
}

impl std::fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key must never reach a log.
        f.debug_struct("JwtSigner").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl JwtSigner {
    /// Needs `auth.jwt.secret`. Signs with HS256, or the first configured algorithm if that one is not among
    /// them.
    pub fn new(config: &Jwt) -> Result<Self, JwtConfigError> {
        if config.public_key.is_some() {
            return Err(JwtConfigError::CannotSign);
        }
        let secret = key::checked_secret(config.secret.as_deref().ok_or(JwtConfigError::NoKey)?)?;
        let pinned = key::chosen(&config.algorithms, AlgorithmFamily::Hmac.algorithms())?;
        let algorithm = match pinned.first() {
            Some(first) if !pinned.contains(&Algorithm::HS256) => *first,
            _ => Algorithm::HS256,
        };
        Ok(Self {
            key: EncodingKey::from_secret(secret),
            algorithm,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        })
    }

    /// The signed token, issued at `now_ms` (Unix milliseconds).
    pub fn sign(&self, request: &TokenRequest, now_ms: u64) -> Result<String, JwtConfigError> {
        let issued_at = now_ms / 1000;
        let mut claims = Map::new();
        claims.insert("sub".into(), request.user_id.clone().into());
        claims.insert("role".into(), request.role.clone().into());
        claims.insert("iat".into(), issued_at.into());
        claims.insert("exp".into(), issued_at.saturating_add(request.expires_in_s).into());
        if !request.name.is_empty() {
            claims.insert("name".into(), request.name.clone().into());
        }
        if !request.rooms.is_empty() {
            claims.insert("rooms".into(), json!(request.rooms));
        }
        for (claim, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if let Some(value) = value {
                claims.insert(claim.into(), value.clone().into());
            }
        }
        self.sign_claims(&Value::Object(claims))
    }

    fn sign_claims(&self, claims: &Value) -> Result<String, JwtConfigError> {
        encode(&Header::new(self.algorithm), claims, &self.key).map_err(|_| JwtConfigError::Signing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::JwtVerifier;

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn the_verifier_accepts_what_was_signed() {
        let config = Jwt {
            secret: Some("0123456789abcdef0123456789abcdef".into()),
            algorithms: vec!["HS512".into()],
            issuer: Some("town".into()),
            audience: Some("realtime".into()),
            ..Jwt::default()
        };
        let request = TokenRequest {
            user_id: "7".into(),
            name: "Zoé".into(),
            role: "editor".into(),
            rooms: vec!["records:*".into()],
            expires_in_s: 60,
        };
        let token = JwtSigner::new(&config).unwrap().sign(&request, NOW_MS).unwrap();
        let identity = JwtVerifier::new(&config).unwrap().verify(&token, NOW_MS + 59_999).unwrap();
        assert_eq!(
            (identity.user_id.as_str(), identity.name.as_str(), identity.role.as_str()),
            ("7", "Zoé", "editor")
        );
        assert_eq!(identity.room_patterns, ["records:*"]);
        assert_eq!(identity.expires_at_ms, Some(NOW_MS + 60_000));
    }

    #[test]
    fn a_public_key_cannot_sign() {
        let config = Jwt { public_key: Some("x".into()), ..Jwt::default() };
        assert_eq!(JwtSigner::new(&config).unwrap_err(), JwtConfigError::CannotSign);
    }
}
