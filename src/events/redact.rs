//! What of a document nobody hears: passwords, tokens, and what the configuration names.

use serde_json::Value;

/// Fields that are taken out of documents before they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redactions(Vec<(Option<String>, String)>);

/// Names that are taken out wherever they stand in a field's name, and those it must end with.
const ANYWHERE: [&str; 5] = ["password", "passwd", "passphrase", "secret", "privatekey"];
const AT_THE_END: [&str; 4] = ["token", "tokens", "apikey", "salt"];

impl Redactions {
    /// `field` of all collections, or `collection.field` of one.
    pub fn new(fields: &[String]) -> Self {
        let split = |field: &String| match field.split_once('.') {
            Some((collection, name)) => (Some(collection.to_owned()), squash(name)),
            None => (None, squash(field)),
        };
        Self(fields.iter().map(split).collect())
    }

    /// Takes fields out of a document of a collection, at any depth.
    pub fn take_out(&self, collection: &str, document: &mut Value) {
        match document {
            Value::Object(fields) => {
                fields.retain(|name, _| !self.covers(collection, name));
                for value in fields.values_mut() {
                    self.take_out(collection, value);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.take_out(collection, item);
                }
            }
            _ => {}
        }
    }

    fn covers(&self, collection: &str, name: &str) -> bool {
        let name = squash(name);
        ANYWHERE.iter().any(|word| name.contains(word))
            || AT_THE_END.iter().any(|word| name.ends_with(word))
            || self
                .0
                .iter()
                .any(|(of, field)| *field == name && of.as_ref().is_none_or(|of| of == collection))
    }
}

/// `resetToken`, `reset_token` and `Reset-Token` are one name.
fn squash(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_and_tokens_are_taken_out_at_any_depth() {
        let redactions = Redactions::new(&["notes".into(), "users.email".into()]);
        let mut user = json!({
            "id": 7, "name": "Ada", "email": "a@b", "notes": "x", "Password": "x",
            "password_hash": "x", "verificationToken": "x", "reset-token": "x", "tokenCount": 3,
            "sessions": [{ "access_token": "x", "at": 1 }], "keys": { "apiKey": "x", "salt": "x" },
        });
        redactions.take_out("users", &mut user);
        let expected = json!({
            "id": 7, "name": "Ada", "tokenCount": 3, "sessions": [{ "at": 1 }], "keys": {},
        });
        assert_eq!(user, expected);
        let mut todo = json!({ "email": "stays" });
        redactions.take_out("todos", &mut todo);
        assert_eq!(todo, json!({ "email": "stays" }));
    }
}
