//! What values a key takes, and the check that turns a written value into a typed one.

use serde_json::Value;

use super::{
    forms::{NOT_YET, Problem, Rule, is_public_pem},
    value::Typed,
};

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// `true` or `false`, in a file also as text.
    LooseBool,
    /// A whole number within bounds, both included.
    Int {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// What is counted, such as `seconds`; empty = the thing the key names.
        unit: &'static str,
    },
    /// A finite number within bounds, both included.
    Float {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
        /// What is counted, such as `seconds`.
        unit: &'static str,
    },
    /// Text that is not empty.
    Text(Rule),
    /// One of a few names.
    Choice {
        /// Names this version knows how to serve.
        choices: &'static [&'static str],
        /// Names of the contract that this version does not serve yet.
        later: &'static [&'static str],
    },
    /// Texts.
    List(Rule),
    /// Text nobody may see.
    Secret {
        /// Fewest bytes.
        bytes_min: usize,
    },
    /// A public key in PEM.
    PublicKey,
    /// Anything.
    Json,
}

/// Fewest bytes a shared secret may have.
pub const SECRET_BYTES_MIN: usize = 32;

impl Kind {
    /// Checks `value`. `as_text`: it comes from an environment variable, where everything is text.
    pub fn check(&self, value: &Value, as_text: bool) -> Result<Typed, Problem> {
        let text = value.as_str().filter(|_| as_text).map(str::trim);
        match self {
            Self::Bool | Self::LooseBool => self.check_bool(value, text),
            Self::Int { min, max, .. } => {
                let number = text.map_or_else(|| whole(value), |text| text.parse().ok());
                let number = number.ok_or("is not a whole number")?;
                if (*min..=*max).contains(&number) {
                    Ok(Typed::Int(number))
                } else {
                    Err("is out of range".into())
                }
            }
            Self::Float { min, max, .. } => {
                let number = text.map_or_else(|| value.as_f64(), |text| text.parse().ok());
                let number = number.filter(|number| number.is_finite()).ok_or("is not a number")?;
                if (*min..=*max).contains(&number) {
                    Ok(Typed::Float(number))
                } else {
                    Err("is out of range".into())
                }
            }
            Self::Text(rule) => {
                let text = value.as_str().ok_or("is not text")?;
                rule.check(text)?;
                Ok(Typed::Text(text.to_owned()))
            }
            Self::Choice { choices, later } => {
                let name = value.as_str().ok_or("is not text")?.trim().to_ascii_lowercase();
                if later.contains(&name.as_str()) {
                    return Err(NOT_YET.into());
                }
                if choices.contains(&name.as_str()) {
                    Ok(Typed::Text(name))
                } else {
                    Err("is not known".into())
                }
            }
            Self::List(rule) => {
                let items = list(value, as_text)?;
                items.iter().try_for_each(|item| {
                    rule.check(item).map_err(|problem| {
                        format!("holds {:?}, which {problem}", super::value::cut(item))
                    })
                })?;
                Ok(Typed::List(items))
            }
            Self::Secret { bytes_min } => match value.as_str() {
                Some(text) if text.trim().is_empty() => Err("is empty".into()),
                Some(text) if text.trim().len() < *bytes_min => {
                    Err(format!("is shorter than {bytes_min} bytes"))
                }
                Some(text) => Ok(Typed::Text(text.to_owned())),
                None => Err("is not text (put it in quotes)".into()),
            },
            Self::PublicKey => {
                // Environment files cannot hold line ends, so PEM is written there with `\n`.
                let pem = value.as_str().ok_or("is not text")?.replace("\\n", "\n");
                if pem.contains("PRIVATE KEY-----") {
                    return Err("is a private key, which the engine must not have".into());
                }
                if is_public_pem(&pem) {
                    Ok(Typed::Text(pem))
                } else {
                    Err("is not a public key in PEM".into())
                }
            }
            Self::Json => Ok(Typed::Json(match text {
                Some(text) => serde_json::from_str(text).map_err(|_| "is not JSON")?,
                None => value.clone(),
            })),
        }
    }

    fn check_bool(&self, value: &Value, text: Option<&str>) -> Result<Typed, Problem> {
        let text = text.or_else(|| value.as_str().filter(|_| *self == Self::LooseBool));
        let yes = match text.map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            Some("true" | "1" | "yes" | "on") => Some(true),
            Some("false" | "0" | "no" | "off") => Some(false),
            Some(_) => None,
            None => value.as_bool(),
        };
        yes.map(Typed::Bool).ok_or_else(|| "is neither true nor false".into())
    }

    /// What values are allowed, for people.
    pub fn allowed(&self) -> String {
        match self {
            Self::Bool | Self::LooseBool => "true or false".into(),
            Self::Int { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::Float { min, max, .. } => format!("a number from {min} to {max}"),
            Self::Text(rule) => rule.allowed(),
            Self::Choice { choices, .. } => choices.join(", "),
            Self::List(rule) => format!("a list; each item {}", rule.allowed()),
            Self::Secret { bytes_min: 1 } => "a secret text".into(),
            Self::Secret { bytes_min } => format!("a secret text of at least {bytes_min} bytes"),
            Self::PublicKey => "a public key in PEM (-----BEGIN PUBLIC KEY-----)".into(),
            Self::Json => "a list or section".into(),
        }
    }

    /// What a number counts; empty = no number, or the thing the key names.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Int { unit, .. } | Self::Float { unit, .. } => unit,
            _ => "",
        }
    }

    /// Whether the value may hold anything, secrets included.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Json)
    }
}

/// JavaScript and YAML write whole numbers as `3001.0` at times.
fn whole(value: &Value) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float = || value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=EXACT_MAX).contains(n));
    // `{:.0}` of a whole float below 2^53 is its exact decimal form.
    value.as_u64().or_else(|| float().and_then(|n| format!("{n:.0}").parse().ok()))
}

fn list(value: &Value, as_text: bool) -> Result<Vec<String>, Problem> {
    let parsed;
    let items = match value {
        Value::Array(items) => items,
        Value::String(text) if as_text && text.trim_start().starts_with('[') => {
            parsed = serde_json::from_str::<Vec<Value>>(text).map_err(|_| "is not a JSON list")?;
            &parsed
        }
        Value::String(text) if as_text => {
            return Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect());
        }
        _ => return Err("is not a list".into()),
    };
    items
        .iter()
        .map(|item| {
            item.as_str()
                .map(str::to_owned)
                .ok_or_else(|| "holds something that is not text".into())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers() {
        let int = Kind::Int { min: 1, max: 10, unit: "" };
        for (value, text, good) in [
            (json!(1), false, true),
            (json!(10.0), false, true),
            (json!("7"), true, true),
            (json!("7"), false, false),
            (json!(0), false, false),
            (json!(11), false, false),
            (json!(-1), false, false),
            (json!(1.5), false, false),
            (json!(true), false, false),
            (json!(1e300), false, false),
            (json!("0x7"), true, false),
        ] {
            assert_eq!(int.check(&value, text).is_ok(), good, "{value}");
        }
        let float = Kind::Float { min: 0.0, max: 9.0, unit: "seconds" };
        for (text, good) in [
            ("0.25", true),
            ("9", true),
            ("NaN", false),
            ("inf", false),
            ("-1", false),
            ("-0.1", false),
        ] {
            assert_eq!(float.check(&json!(text), true).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn lists_from_text() {
        let kind = Kind::List(Rule::Any);
        for (text, items) in
            [("a, b,,c", vec!["a", "b", "c"]), (r#"["a,b"]"#, vec!["a,b"]), ("", vec![])]
        {
            assert!(
                kind.check(&json!(text), true).is_ok_and(|typed| typed.list() == items),
                "{text}"
            );
        }
        assert!(kind.check(&json!("a"), false).is_err());
        assert!(kind.check(&json!([1]), false).is_err());
        assert!(kind.check(&json!("[1]"), true).is_err());
    }

    #[test]
    fn a_private_key_is_no_public_key() {
        let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert!(Kind::PublicKey.check(&json!(pem), false).is_err());
        let escaped = "-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----";
        let typed = Kind::PublicKey.check(&json!(escaped), true);
        assert!(typed.is_ok_and(|typed| typed.str().lines().count() == 3));
    }
}
