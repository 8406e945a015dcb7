//! JSON Web Tokens of standalone mode: a pinned key, pinned algorithms, and a mandatory expiry.

use jsonwebtoken::{DecodingKey, Validation, decode, errors::ErrorKind};
use serde_json::{Map, Value};

use super::{claims, key};
use crate::{
    config,
    host::{HostError, Identity},
    limits::TOKEN_BYTES_MAX,
};

/// Why `auth.jwt.*` cannot be used. Texts name the key path and never the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwtConfigError {
    /// Neither a secret nor a public key.
    #[error("auth.jwt: set auth.jwt.secret (at least 32 bytes) or auth.jwt.public_key (PEM)")]
    NoKey,
    /// Both: a token could choose between them.
    #[error("auth.jwt: set either auth.jwt.secret or auth.jwt.public_key, not both")]
    TwoKeys,
    /// The secret is empty or shorter than 32 bytes.
    #[error("auth.jwt.secret must be at least 32 bytes long")]
    SecretTooShort,
    /// The secret is a PEM block.
    #[error("auth.jwt.secret holds a PEM block; a public key belongs in auth.jwt.public_key")]
    SecretIsPem,
    /// Tokens are to be signed, but only a public key is there.
    #[error("auth.jwt.secret is needed to sign tokens; a public key only verifies them")]
    CannotSign,
    /// The public key is a private one.
    #[error("auth.jwt.public_key holds a private key; give its public part")]
    KeyIsPrivate,
    /// The PEM does not hold an RSA, P-256, P-384 or Ed25519 public key.
    #[error("auth.jwt.public_key is not the PEM of an RSA, P-256, P-384 or Ed25519 public key")]
    KeyUnreadable,
    /// The RSA key is shorter than 2048 bits.
    #[error("auth.jwt.public_key: RSA keys must have at least 2048 bits")]
    RsaTooShort,
    /// No such algorithm (`none` is none).
    #[error(
        "auth.jwt.algorithms: {0:?} is not known; allowed are HS256, HS384, HS512, RS256, RS384, RS512, \
         PS256, PS384, PS512, ES256, ES384, EdDSA"
    )]
    AlgorithmUnknown(String),
    /// The algorithm belongs to another kind of key.
    #[error("auth.jwt.algorithms: {0} does not fit the configured key")]
    AlgorithmKeyMismatch(String),
    /// Signing failed.
    #[error("the token could not be signed")]
    Signing,
}

impl JwtConfigError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "REALTIME_CONFIG_INVALID"
    }
}

/// Verifies tokens by one key. Cheap to share, no locks.
pub struct JwtVerifier {
    key: DecodingKey,
    validation: Validation,
    leeway_ms: u64,
}

impl std::fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key must never reach a log.
        f.debug_struct("JwtVerifier")
            .field("algorithms", &self.validation.algorithms)
            .finish_non_exhaustive()
    }
}

impl JwtVerifier {
    /// Checks the key and pins the algorithms: those configured, else all that fit the key.
    pub fn new(config: &config::Jwt) -> Result<Self, JwtConfigError> {
        let (key, algorithms) = key::pinned_key(config)?;
        // The times are checked by `claims`, against a clock that tests can set.
        let mut validation = Validation {
            algorithms,
            validate_exp: false,
            validate_nbf: false,
            ..Validation::default()
        };
        let mut required = vec!["exp"];
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { key, validation, leeway_ms: config.leeway_seconds.saturating_mul(1000) })
    }

    /// Turns a token into an identity, as of `now_ms` (Unix milliseconds). Every failure is
    /// [`HostError::Unauthenticated`] with a text that says which check failed and holds nothing of the token.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, HostError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused("the token is too long"));
        }
        let decoded = decode::<Map<String, Value>>(token, &self.key, &self.validation)
            .map_err(|error| refused(reason(error.kind())))?;
        // A critical header extension that is not understood must fail the token (RFC 7515, 4.1.11).
        if decoded.header.crit.is_some() {
            return Err(refused("the token needs an extension that is not supported"));
        }
        claims::identity(&decoded.claims, now_ms, self.leeway_ms).map_err(refused)
    }
}

fn refused(why: &str) -> HostError {
    HostError::Unauthenticated(why.to_owned())
}

/// The library's texts may quote what was decoded; ours are fixed.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidSignature => "the token's signature does not hold",
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => "the token's algorithm is not accepted",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => "the token has no valid exp",
            "iss" => "the token has no valid iss",
            _ => "the token has no valid aud",
        },
        ErrorKind::InvalidIssuer => "the token's issuer is not accepted",
        ErrorKind::InvalidAudience => {
            "the token is meant for another audience (see auth.jwt.audience)"
        }
        _ => "the token is malformed",
    }
}

#[cfg(test)]
mod tests;
