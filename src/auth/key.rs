//! Keys and the algorithms pinned to them.
//!
//! A verifier has one key and only algorithms of that key's own family, so a token can never choose how its
//! signature is checked (CVE-2022-23540 and its kin).

use std::str::FromStr;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, crypto::rust_crypto::DEFAULT_PROVIDER,
};

use super::jwt::JwtConfigError;
use crate::config::Jwt;

/// Shortest shared secret: as long as the output of SHA-256 (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// Shortest RSA modulus (RFC 7518, 3.3).
const RSA_MODULUS_BYTES_MIN: usize = 256;

/// The configured key and the algorithms a token may name.
pub(super) fn pinned_key(config: &Jwt) -> Result<(DecodingKey, Vec<Algorithm>), JwtConfigError> {
    let (key, fitting) = match (config.secret.as_deref(), config.public_key.as_deref()) {
        (Some(_), Some(_)) => return Err(JwtConfigError::TwoKeys),
        (None, None) => return Err(JwtConfigError::NoKey),
        (Some(secret), None) => {
            let secret = checked_secret(secret)?;
            (DecodingKey::from_secret(secret), AlgorithmFamily::Hmac.algorithms().to_vec())
        }
        (None, Some(pem)) => public_key(pem)?,
    };
    let pinned =
        if config.algorithms.is_empty() { fitting } else { chosen(&config.algorithms, &fitting)? };
    Ok((key, pinned))
}

/// The secret's bytes, if it is long enough and no public key by mistake.
pub(super) fn checked_secret(secret: &str) -> Result<&[u8], JwtConfigError> {
    // A published key used as a shared secret would let everybody sign.
    if secret.trim_start().starts_with("-----BEGIN") {
        return Err(JwtConfigError::SecretIsPem);
    }
    if secret.trim().len() < SECRET_BYTES_MIN {
        return Err(JwtConfigError::SecretTooShort);
    }
    Ok(secret.as_bytes())
}

/// The configured algorithms, each of which must fit the key.
pub(super) fn chosen(
    names: &[String],
    fitting: &[Algorithm],
) -> Result<Vec<Algorithm>, JwtConfigError> {
    names
        .iter()
        .map(|name| match Algorithm::from_str(name.trim()) {
            Ok(algorithm) if fitting.contains(&algorithm) => Ok(algorithm),
            Ok(_) => Err(JwtConfigError::AlgorithmKeyMismatch(name.clone())),
            Err(_) => Err(JwtConfigError::AlgorithmUnknown(name.clone())),
        })
        .collect()
}

fn public_key(pem: &str) -> Result<(DecodingKey, Vec<Algorithm>), JwtConfigError> {
    if pem.contains("PRIVATE KEY-----") {
        return Err(JwtConfigError::KeyIsPrivate);
    }
    // A certificate's dates and issuer would not be checked, so it is not taken for a bare key.
    if pem.contains("BEGIN CERTIFICATE") {
        return Err(JwtConfigError::KeyUnreadable);
    }
    let bytes = pem.as_bytes();
    let known = DecodingKey::from_ed_pem(bytes)
        .or_else(|_| DecodingKey::from_ec_pem(bytes))
        .or_else(|_| DecodingKey::from_rsa_pem(bytes))
        .map_err(|_| JwtConfigError::KeyUnreadable)?;
    let fitting = fitting(&known)?;
    Ok((known, fitting))
}

fn fitting(key: &DecodingKey) -> Result<Vec<Algorithm>, JwtConfigError> {
    let der = key.try_get_as_bytes().map_err(|_| JwtConfigError::KeyUnreadable)?;
    let algorithms = match (key.family(), der.len()) {
        (AlgorithmFamily::Ed, 32) => vec![Algorithm::EdDSA],
        (AlgorithmFamily::Ec, 65) => vec![Algorithm::ES256],
        (AlgorithmFamily::Ec, 97) => vec![Algorithm::ES384],
        (AlgorithmFamily::Rsa, _) => {
            let (modulus, _) = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der)
                .map_err(|_| JwtConfigError::KeyUnreadable)?;
            if modulus.len() < RSA_MODULUS_BYTES_MIN {
                return Err(JwtConfigError::RsaTooShort);
            }
            AlgorithmFamily::Rsa.algorithms().to_vec()
        }
        _ => return Err(JwtConfigError::KeyUnreadable),
    };
    // Building a verifier once finds a point off the curve now instead of at the first login.
    let usable = algorithms
        .iter()
        .all(|algorithm| (DEFAULT_PROVIDER.verifier_factory)(algorithm, key).is_ok());
    if usable { Ok(algorithms) } else { Err(JwtConfigError::KeyUnreadable) }
}
