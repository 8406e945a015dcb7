//! One id that names a connection or request in log lines, hooks and error messages alike.

use std::{fmt, sync::Arc};

/// Longest id taken from a client or proxy, in bytes.
const SENT_BYTES_MAX: usize = 64;

/// Names one connection or request; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    /// Headers an id may come in, the first one counts.
    pub const HEADERS: [&'static str; 2] = ["x-correlation-id", "x-request-id"];

    /// The id that was sent, if it is one of 1 to 64 letters, digits, `_` and `-`; else a random one.
    pub fn new<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let sent = Self::HEADERS.iter().find_map(|name| header(name).filter(|id| is_sane(id)));
        sent.map_or_else(Self::random, |id| Self(id.into()))
    }

    /// An id of our own: 16 hexadecimal digits.
    pub fn random() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_sane(id: &str) -> bool {
    (1..=SENT_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sane_ids_are_kept_and_others_replaced() {
        let of = |name: &'static str, value: &'static str| {
            CorrelationId::new(move |asked| (asked == name).then_some(value)).to_string()
        };
        assert_eq!(of("x-correlation-id", "a-B_9"), "a-B_9");
        assert_eq!(of("x-request-id", "7f3"), "7f3");
        let long: &'static str = Box::leak("a".repeat(65).into_boxed_str());
        for bad in ["", "a b", "a\"b", "é", "a;b", long] {
            let made = of("x-correlation-id", bad);
            assert!(made != bad && made.len() == 16 && is_sane(&made), "{bad} became {made}");
        }
    }
}
