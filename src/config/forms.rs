//! The forms of text values: addresses, paths, origins, algorithms.

use std::net::IpAddr;

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anything but an empty text.
    Any,
    /// An address or host name.
    Host,
    /// A path that starts with `/`.
    UrlPath,
    /// A URL; shown without its password.
    Url,
    /// `sqlite:<path>`.
    StoreUrl,
    /// `scheme://host[:port]`, the host possibly `*.something`; or `*`.
    Origin,
    /// An address or an address with a prefix length.
    Cidr,
    /// `http://` or `https://`, host, perhaps a port and a path; nothing else.
    HttpUrl,
    /// A room type.
    RoomType,
    /// A signature algorithm of JWT.
    Algorithm,
}

/// Algorithms a token may be signed with.
pub const ALGORITHMS: &[&str] = &[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "EdDSA",
];

/// Why a value is refused: what is wrong with it, as the end of a sentence that starts with the value.
pub type Problem = String;

/// The sentence for what the contract knows and this version does not serve.
pub(super) const NOT_YET: &str = "is not available in this version";

impl Rule {
    /// Checks one text.
    pub fn check(self, text: &str) -> Result<(), Problem> {
        if text.trim().is_empty() {
            return Err("is empty".into());
        }
        let fits = match self {
            Self::Any => !text.contains('\0'),
            Self::Host => is_host(text),
            Self::UrlPath => is_url_path(text),
            Self::Url => text
                .split_once("://")
                .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty()),
            Self::StoreUrl => return check_store_url(text),
            Self::Origin => is_origin(text),
            Self::Cidr => is_cidr(text),
            Self::HttpUrl => is_http_url(text),
            Self::RoomType => crate::ids::RoomId::new(text, "x").is_ok(),
            Self::Algorithm => return check_algorithm(text),
        };
        if fits { Ok(()) } else { Err("does not have the right form".into()) }
    }

    /// What texts are allowed, for people.
    pub fn allowed(self) -> String {
        match self {
            Self::Any => "a text that is not empty".into(),
            Self::Host => "an address or host name, such as 127.0.0.1".into(),
            Self::UrlPath => "a path such as /realtime".into(),
            Self::Url => "a URL".into(),
            Self::StoreUrl => "sqlite:<path>".into(),
            Self::Origin => "an origin such as https://example.org or https://*.example.org".into(),
            Self::Cidr => "an address such as 10.0.0.1 or 10.0.0.0/8".into(),
            Self::HttpUrl => {
                "http:// or https:// with host, port and path, such as http://api:3000".into()
            }
            Self::RoomType => {
                "a room type of 1 to 32 characters of a-z, 0-9, _ and -, starting with a letter"
                    .into()
            }
            Self::Algorithm => format!("one of {}", ALGORITHMS.join(", ")),
        }
    }
}

/// Whether `text` looks like PEM that holds no private key.
pub fn is_public_pem(text: &str) -> bool {
    let text = text.trim_start();
    !text.contains("PRIVATE KEY")
        && [
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN RSA PUBLIC KEY-----",
            "-----BEGIN EC PUBLIC KEY-----",
        ]
        .iter()
        .any(|head| text.starts_with(head))
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (text.len() <= 253
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            }))
}

fn is_url_path(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with('/')
        && !text.contains("//")
        && text.split('/').all(|segment| segment != "." && segment != "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

/// The form browsers send, plus `*.` before the host name, plus `*` for any.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let rest = rest.strip_prefix("*.").unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) if host.contains(':') => {
            (host, port.strip_prefix(':').or((port.is_empty()).then_some("1")))
        }
        Some(_) => return false,
        None => rest.split_once(':').map_or((rest, Some("1")), |(host, port)| (host, Some(port))),
    };
    is_scheme(scheme)
        && is_host(host)
        && port.is_some_and(|port| {
            port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+')
        })
}

/// A user or a query would carry secrets into logs.
fn is_http_url(text: &str) -> bool {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    matches!(scheme, Some("http" | "https"))
        && !text.contains(['?', '#', '@'])
        && text
            .parse::<hyper::Uri>()
            .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

fn is_cidr(text: &str) -> bool {
    let (address, bits) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    address.parse::<IpAddr>().is_ok_and(|address| {
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= bits_max))
    })
}

fn check_store_url(text: &str) -> Result<(), Problem> {
    let scheme = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if scheme == "postgres" || scheme == "postgresql" {
        return Err(format!("names a PostgreSQL store, which {NOT_YET}"));
    }
    match text.strip_prefix("sqlite:").map(|path| path.trim_start_matches('/')) {
        Some(path) if !path.trim().is_empty() && !path.contains('\0') => Ok(()),
        Some(_) => Err("names no file".into()),
        None => Err("is not a store this version knows".into()),
    }
}

fn check_algorithm(text: &str) -> Result<(), Problem> {
    if text.eq_ignore_ascii_case("none") {
        return Err("would accept tokens nobody signed".into());
    }
    if ALGORITHMS.contains(&text) { Ok(()) } else { Err("is not a known algorithm".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_text() {
        let table: &[(Rule, &[&str], &[&str])] = &[
            (
                Rule::Host,
                &["0.0.0.0", "::", "::1", "localhost", "my_host-1.example.org"],
                &["", " ", "a b", "a..b", "[::1]", "a/b"],
            ),
            (
                Rule::UrlPath,
                &["/", "/realtime", "/a/b-c"],
                &["", "realtime", "//a", "/a/../b", "/a?b", "/ä"],
            ),
            (
                Rule::Origin,
                &[
                    "https://example.org",
                    "http://localhost:3030",
                    "https://*.example.org",
                    "http://[::1]:80",
                ],
                &[
                    "",
                    "example.org",
                    "null",
                    "https://",
                    "https://a/",
                    "https://u@a",
                    "https://a:0",
                    "https://a:x",
                    "https://*",
                ],
            ),
            (
                Rule::Cidr,
                &["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"],
                &["", "10.0.0.0/33", "a", "10.0.0/8", "::/129"],
            ),
            (
                Rule::StoreUrl,
                &["sqlite:a.db", "sqlite:/a/b.db", "sqlite:///a/b.db"],
                &["", "sqlite:", "sqlite://", "mysql://a", "a.db"],
            ),
            (
                Rule::HttpUrl,
                &["http://api:3000", "https://town.example.org/civic/", "http://[::1]:3000"],
                &["", "api:3000", "ftp://api", "http://", "http://u:p@api", "http://a/?b=c"],
            ),
            (Rule::RoomType, &["notes", "a-1"], &["", "Notes", "1a", "a:b"]),
            (Rule::Algorithm, &["HS256", "EdDSA"], &["", "none", "NONE", "hs256", "HS1"]),
        ];
        for (rule, good, bad) in table {
            for text in *good {
                assert_eq!(rule.check(text), Ok(()), "{rule:?} {text}");
            }
            for text in *bad {
                assert!(rule.check(text).is_err(), "{rule:?} {text}");
            }
        }
    }
}
