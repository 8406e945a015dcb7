//! Writes the verified identity into a state, over whatever its client claims to be.
//!
//! Everything else stays as it is written, byte for byte: a client takes its own state back when its clock was
//! raised, and must find it unchanged. So a state that is stamped already is not changed either.

/// An identity as it is written into states.
#[derive(Debug)]
pub(super) struct Stamp {
    /// `"name":…,"id":…`
    members: Box<str>,
}

/// Longest name that is written, in characters.
const NAME_CHARS_MAX: usize = 128;

impl Stamp {
    pub(super) fn new(name: &str, user_id: &str) -> Self {
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        let text = |text: &str| serde_json::Value::from(text).to_string();
        Self { members: format!("\"name\":{},\"id\":{}", text(&name), text(user_id)).into() }
    }

    /// `state`, a valid JSON object, with `user.name` and `user.id` replaced. The rest of `user`, such as the
    /// color, stays; a `user` that is no object goes.
    pub(super) fn put_on(&self, state: &str) -> String {
        let mut out = String::with_capacity(state.len() + self.members.len() + 16);
        out.push('{');
        let mut users = Vec::new();
        for (name, value) in members(state) {
            if is(name, "user") {
                users.push(value);
            } else {
                push(&mut out, name, value);
            }
        }
        out.push_str("\"user\":{");
        // Readers take the last of several members with one name.
        let user = users.last().filter(|user| user.starts_with('{'));
        for (name, value) in user.map(|user| members(user)).unwrap_or_default() {
            if !is(name, "name") && !is(name, "id") {
                push(&mut out, name, value);
            }
        }
        out.push_str(&self.members);
        out.push_str("}}");
        out
    }
}

fn push(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    out.push_str(value);
    out.push(',');
}

/// Whether `written`, a JSON string in its quotes, says `name`.
fn is(written: &str, name: &str) -> bool {
    serde_json::from_str::<String>(written).is_ok_and(|said| said == name)
}

/// The members of a valid JSON object: names in their quotes, and values, as they are written.
fn members(object: &str) -> Vec<(&str, &str)> {
    let object = object.trim_ascii();
    let inner =
        object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let mut members = Vec::new();
    let (mut name, mut start) = ("", 0);
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    let part = |from: usize, to: usize| inner.get(from..to).unwrap_or_default().trim_ascii();
    for (at, byte) in inner.bytes().enumerate() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => (name, start) = (part(start, at), at + 1),
            b',' if depth == 0 => {
                members.push((name, part(start, at)));
                start = at + 1;
            }
            _ => {}
        }
    }
    if !name.is_empty() {
        members.push((name, part(start, inner.len())));
    }
    members
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stamped(state: &str) -> Value {
        let stamp = Stamp::new("Ann \"A\"", "7");
        let once = stamp.put_on(state);
        assert_eq!(stamp.put_on(&once), once, "stamping twice changes nothing");
        serde_json::from_str(&once).unwrap()
    }

    #[test]
    fn name_and_id_are_the_verified_ones_and_the_rest_stays() {
        let ann = json!({ "name": "Ann \"A\"", "id": "7" });
        for empty in ["{}", " { } ", r#"{"user":null}"#, r#"{"user":"Mayor"}"#, r#"{"user":[1]}"#] {
            assert_eq!(stamped(empty), json!({ "user": ann }), "{empty}");
        }
        assert_eq!(
            stamped(
                r##"{ "user" : {"name":"Mayor","color":"#f00","id":1} , "cursor":{"anchor":[1,"}"]}}"##
            ),
            json!({ "user": { "name": "Ann \"A\"", "id": "7", "color": "#f00" }, "cursor": { "anchor": [1, "}"] } })
        );
    }

    #[test]
    fn no_spelling_smuggles_a_name_past() {
        for state in [
            r#"{"user":{"name":"Mayor"},"user":{"name":"Mayor"}}"#,
            r#"{"us\u0065r":{"name":"Mayor","n\u0061me":"Mayor"}}"#,
            r#"{"user":{"name":"Mayor","name":"Mayor"}}"#,
            r#"{"a":"\"},\"user\":{","user":{"name":"Mayor"},"b":"\\"}"#,
        ] {
            let state = stamped(state);
            assert_eq!(state["user"]["name"], "Ann \"A\"");
            assert!(!state.to_string().contains("Mayor"), "{state}");
        }
    }

    #[test]
    fn what_is_no_identity_is_kept_as_written() {
        let stamp = Stamp::new("a", "1");
        let state = r#"{"n":1.50,"e":1E400,"__proto__":{"x":1},"é😀":"\ud83d\ude00"}"#;
        let out = stamp.put_on(state);
        assert!(out.starts_with(&state[..state.len() - 1]), "{out}");
    }
}
