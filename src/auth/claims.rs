//! From verified claims to an [`Identity`].

use serde_json::{Map, Value};

use super::grant::is_pattern;
use crate::host::Identity;

/// Longest user id, in bytes; it stands in logs and in per-user tables.
const USER_ID_BYTES_MAX: usize = 256;
/// Longest name shown to others, in characters.
const NAME_CHARS_MAX: usize = 128;

/// Reads the claims as of `now_ms`. What is present but not understood refuses the token: a limit that is
/// overlooked would widen what it may do. Errors are fixed sentences.
pub(super) fn identity(
    claims: &Map<String, Value>,
    now_ms: u64,
    leeway_ms: u64,
) -> Result<Identity, &'static str> {
    let expires_at_ms =
        time_ms(claims.get("exp")).ok_or("the token has no valid exp")?.saturating_add(leeway_ms);
    if now_ms >= expires_at_ms {
        return Err("the token has expired");
    }
    if let Some(not_before) = claims.get("nbf") {
        let not_before_ms = time_ms(Some(not_before)).ok_or("the token has no valid nbf")?;
        if not_before_ms > now_ms.saturating_add(leeway_ms) {
            return Err("the token is not valid yet");
        }
    }
    let user_id = claims
        .get("sub")
        .or_else(|| claims.get("user_id"))
        .and_then(id_text)
        .ok_or("the token has no usable sub")?;
    let name = ["name", "username"]
        .iter()
        .find_map(|key| claims.get(*key).and_then(Value::as_str).and_then(shown_name))
        .unwrap_or_else(|| user_id.clone());
    Ok(Identity {
        role: role(claims)?.to_owned(),
        room_patterns: room_patterns(claims.get("rooms"))?,
        api_user: None,
        user_id,
        name,
        expires_at_ms: Some(expires_at_ms),
    })
}

/// An explicit role decides; without one, go-deployd's `is_root` does.
fn role(claims: &Map<String, Value>) -> Result<&'static str, &'static str> {
    match (claims.get("role"), claims.get("is_root")) {
        (Some(Value::String(role)), _) => match role.as_str() {
            "viewer" => Ok("viewer"),
            "editor" => Ok("editor"),
            "admin" => Ok("admin"),
            _ => Err("the token's role is not known"),
        },
        (Some(_), _) => Err("the token's role is not known"),
        (None, Some(Value::Bool(true))) => Ok("admin"),
        (None, None | Some(Value::Bool(false))) => Ok("viewer"),
        (None, Some(_)) => Err("the token's is_root is not a boolean"),
    }
}

/// An empty list would read as "no limit" in an [`Identity`], so it is refused.
fn room_patterns(rooms: Option<&Value>) -> Result<Vec<String>, &'static str> {
    let Some(rooms) = rooms else { return Ok(Vec::new()) };
    let patterns: Option<Vec<String>> = rooms
        .as_array()
        .filter(|list| !list.is_empty())
        .and_then(|list| list.iter().map(|entry| entry.as_str().map(str::to_owned)).collect());
    patterns
        .filter(|list| list.iter().all(|pattern| is_pattern(pattern)))
        .ok_or("the token's rooms are not a list of type:id patterns")
}

/// A numeric date (RFC 7519, 2) in Unix milliseconds; fractions of a second count.
fn time_ms(value: Option<&Value>) -> Option<u64> {
    let number = value?.as_number()?;
    if let Some(seconds) = number.as_u64() {
        return Some(seconds.saturating_mul(1000));
    }
    let ms = number.as_f64()? * 1000.0;
    if !ms.is_finite() || ms < 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above to be finite and not negative; the cast saturates"
    )]
    Some(ms as u64)
}

fn id_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return None,
    };
    let usable = !text.trim().is_empty()
        && text.len() <= USER_ID_BYTES_MAX
        && !text.chars().any(char::is_control);
    usable.then_some(text)
}

fn shown_name(text: &str) -> Option<String> {
    let cleaned: String = text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    let trimmed = cleaned.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}
