//! A user, as `GET /api/v1/auth/me` tells it.

use serde::Deserialize;
use serde_json::Value;

use crate::host::{HostError, Identity};

const VIEW: &str = "records:view";
const EDIT: &str = "records:edit";
const ALL: &str = "*";

/// What the API is asked with on a user's behalf, and what it said of the user's permissions.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiUser {
    pub(super) token: String,
    pub(super) may_view: bool,
    pub(super) may_edit: bool,
}

impl ApiUser {
    /// Whether both have the same permissions.
    pub(in crate::host) fn may_the_same_as(&self, other: &Self) -> bool {
        (self.may_view, self.may_edit) == (other.may_view, other.may_edit)
    }
}

impl std::fmt::Debug for ApiUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must never reach a log.
        f.debug_struct("ApiUser").field("may_edit", &self.may_edit).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct User {
    id: Id,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    name: Option<String>,
    role: String,
    permissions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

/// The identity in an answer of `auth/me` to `token`.
pub(super) fn identity(answer: &Value, token: &str) -> Result<Identity, HostError> {
    let nonsense = || HostError::Failed("the CivicPress API answered auth/me with no user".into());
    let user = answer.pointer("/data/user").ok_or_else(nonsense)?;
    let User { id, username, name, role, permissions } =
        User::deserialize(user).map_err(|_| nonsense())?;
    let user_id = match id {
        Id::Number(number) => number.to_string(),
        Id::Text(text) if text.is_empty() => return Err(nonsense()),
        Id::Text(text) => text,
    };
    let has = |wanted: &str| permissions.iter().any(|held| held == wanted || held == ALL);
    let given = |name: Option<String>| name.filter(|name| !name.trim().is_empty());
    Ok(Identity {
        name: given(name).or(given(username)).unwrap_or_else(|| user_id.clone()),
        user_id,
        role,
        expires_at_ms: None,
        room_patterns: Vec::new(),
        api_user: Some(Box::new(ApiUser {
            token: token.into(),
            may_view: has(VIEW),
            may_edit: has(EDIT),
        })),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(user: &Value) -> Result<Identity, HostError> {
        identity(&json!({ "success": true, "data": { "user": user } }), "t")
    }

    #[test]
    fn users_have_numbers_or_texts_for_ids_and_a_name_to_show() {
        let ada =
            json!({ "id": 7, "username": "ada", "role": "clerk", "permissions": [VIEW, EDIT] });
        let who = read(&ada).unwrap();
        assert_eq!(
            (who.user_id.as_str(), who.name.as_str(), who.role.as_str()),
            ("7", "ada", "clerk")
        );
        let api = who.api_user.unwrap();
        assert!(api.may_view && api.may_edit);
        let named =
            read(&json!({ "id": "u", "name": "Ada L.", "role": "x", "permissions": [VIEW] }));
        let named = named.unwrap();
        assert_eq!((named.name.as_str(), named.api_user.unwrap().may_edit), ("Ada L.", false));
        let bare =
            read(&json!({ "id": "u", "name": " ", "role": "x", "permissions": [ALL] })).unwrap();
        assert_eq!((bare.name.as_str(), bare.api_user.unwrap().may_edit), ("u", true));
    }

    #[test]
    fn nonsense_is_nobody() {
        for user in [
            json!(null),
            json!("ada"),
            json!({}),
            json!({ "id": "", "role": "a", "permissions": [] }),
            json!({ "id": -1, "role": "a", "permissions": [] }),
            json!({ "id": 1, "permissions": [] }),
            json!({ "id": 1, "role": "a" }),
            json!({ "id": 1, "role": "a", "permissions": "*" }),
        ] {
            assert!(matches!(read(&user), Err(HostError::Failed(_))), "{user}");
        }
    }

    #[test]
    fn a_token_is_in_no_debug_line() {
        let user = json!({ "id": 1, "role": "a", "permissions": [] });
        let who = identity(&json!({ "data": { "user": user } }), "s3cret-token").unwrap();
        assert!(!format!("{who:?}").contains("s3cret"));
    }
}
