//! Values between the text they were written as and the typed configuration.

use serde_json::Value;

use super::{forms::Rule, rules::Kind};
use crate::events::Rules;

/// A value that has passed its key's check. The accessors answer an empty value where the kind differs,
/// which a key's own setter never asks for.
#[derive(Clone, PartialEq)]
pub enum Typed {
    /// Not given and without a default.
    Unset,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(u64),
    /// A finite number.
    Float(f64),
    /// Text.
    Text(String),
    /// Texts.
    List(Vec<String>),
    /// Anything; checked by whoever reads it.
    Json(Value),
}

impl Typed {
    /// The boolean.
    pub fn bool(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The number.
    pub fn u64(&self) -> u64 {
        if let Self::Int(number) = self { *number } else { 0 }
    }

    /// The number if it is set.
    pub fn optional_u64(&self) -> Option<u64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// The number as a size.
    pub fn usize(&self) -> usize {
        usize::try_from(self.u64()).unwrap_or(usize::MAX)
    }

    /// The number as a port.
    pub fn u16(&self) -> u16 {
        u16::try_from(self.u64()).unwrap_or(u16::MAX)
    }

    /// The number, fractions included.
    pub fn f64(&self) -> f64 {
        if let Self::Float(number) = self { *number } else { 0.0 }
    }

    /// The text, empty if unset.
    pub fn str(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The text, empty if unset.
    pub fn string(&self) -> String {
        self.str().to_owned()
    }

    /// The text if it is set.
    pub fn optional(&self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }

    /// The texts.
    pub fn list(&self) -> Vec<String> {
        if let Self::List(items) = self { items.clone() } else { Vec::new() }
    }

    /// The rules; those that hold anyway if none are given, or wrong ones, which the checks tell.
    pub fn rules(&self) -> Rules {
        let given = if let Self::Json(value) = self { Rules::parse(value).ok() } else { None };
        given.unwrap_or_default()
    }

    /// The value as it may be shown to anybody who reads a log.
    pub fn shown(&self, kind: &Kind) -> Value {
        match self {
            Self::Unset => Value::Null,
            Self::Bool(yes) => Value::from(*yes),
            Self::Int(number) => Value::from(*number),
            Self::Float(number) => Value::from(*number),
            Self::Text(text) => Value::from(mask_text(text, kind)),
            Self::List(items) => Value::from(items.clone()),
            Self::Json(_) if kind.is_open() => Value::from(MASK),
            Self::Json(value) => value.clone(),
        }
    }
}

/// What is shown instead of a secret.
pub const MASK: &str = "***";

/// `text` as it may be shown: secrets as [`MASK`], URLs without password and query.
pub fn mask_text(text: &str, kind: &Kind) -> String {
    match kind {
        Kind::Secret { .. } => MASK.into(),
        Kind::PublicKey => {
            if super::forms::is_public_pem(text) {
                "(public key)".into()
            } else {
                MASK.into()
            }
        }
        Kind::Text(Rule::Url | Rule::HttpUrl | Rule::StoreUrl) => mask_url(text),
        _ => cut(text),
    }
}

/// A written value as it may be quoted in an error.
pub fn mask_json(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (_, Kind::Secret { .. }) => MASK.into(),
        (Value::String(text), _) => {
            let shown = mask_text(text, kind);
            if shown == MASK { shown } else { format!("{shown:?}") }
        }
        (Value::Array(_), Kind::List(_)) => cut(&value.to_string()),
        (Value::Array(_), _) => "a list".into(),
        (Value::Object(_), _) => "a section".into(),
        _ => cut(&value.to_string()),
    }
}

fn mask_url(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return cut(text);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return MASK.into();
    };
    let (rest, query) = rest.split_once(['?', '#']).map_or((rest, ""), |(rest, _)| (rest, "?***"));
    // A password may itself hold `@` or `/`; the last `@` is the safe place to cut.
    match rest.rsplit_once('@') {
        Some((_, host)) => cut(&format!("{scheme}://***@{host}{query}")),
        None => cut(&format!("{scheme}://{rest}{query}")),
    }
}

/// Keeps one line of a bounded length: what a file holds must not break or flood a terminal.
pub fn cut(text: &str) -> String {
    const CHARS_MAX: usize = 120;
    let mut line: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_what_must_stay_secret() {
        for (url, shown) in [
            ("postgres://u:p@ss/w@db:5432/x?password=q", "postgres://***@db:5432/x?***"),
            ("redis://cache:6379", "redis://cache:6379"),
            ("sqlite:/a b/c.db", "sqlite:/a b/c.db"),
            ("no-url-but-maybe-a-password", "***"),
        ] {
            assert_eq!(mask_url(url), shown);
        }
    }

    #[test]
    fn quoted_values_stay_on_one_short_line() {
        let shown = cut(&"a\u{1b}[31m\n".repeat(100));
        assert!(shown.chars().count() <= 121 && !shown.contains(['\n', '\u{1b}']), "{shown}");
    }
}
