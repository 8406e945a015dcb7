//! Finds the token in a request's head, in the host's order (contract, section 7), and picks the
//! subprotocol to answer with.

use percent_encoding::percent_decode_str;

use crate::{limits::TOKEN_BYTES_MAX, protocol::events};

/// The subprotocol the engine prefers among those offered.
pub const SUBPROTOCOL: &str = "civicpress.v1";
/// The subprotocol of clients whose documents travel as JSON.
pub const JSON_SUBPROTOCOL: &str = "civicpress.json.v1";

/// The host's clients prefix the token with this in a subprotocol.
const TOKEN_PREFIX: &str = "auth.";
/// A subprotocol longer than this, without `/` or space, is a bare token.
const BARE_TOKEN_CHARS_MIN: usize = 20;

/// Where the token stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// `Authorization: Bearer`.
    Authorization,
    /// `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// A cookie.
    Cookie,
    /// `?token=`, deprecated: the caller warns, and never logs the query.
    Query,
}

/// A token and where it stood.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtractedToken {
    /// The token as sent, at most [`TOKEN_BYTES_MAX`] bytes.
    pub token: String,
    /// Where it stood.
    pub via: TokenSource,
    /// The offered subprotocol that carries it, if it came that way.
    pub subprotocol: Option<String>,
}

impl std::fmt::Debug for ExtractedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token must never reach a log.
        f.debug_struct("ExtractedToken").field("via", &self.via).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// None was sent.
    #[error("no token was sent")]
    Missing,
    /// One came as `?token=`, which is off.
    #[error(
        "a token in the URL is not accepted; send it as a subprotocol or an Authorization header"
    )]
    QueryRefused,
    /// It is longer than [`TOKEN_BYTES_MAX`].
    #[error("the token is too long")]
    TooLong,
}

/// The first token of a request. `header` gives a header's value by its lower-case name (several values
/// joined by commas), `query` is the raw query without `?`.
pub fn extract_token(
    header: impl Fn(&str) -> Option<String>,
    query: Option<&str>,
    allow_query: bool,
) -> Result<ExtractedToken, NoToken> {
    if let Some(token) = header("authorization").as_deref().and_then(bearer) {
        return bounded(token, TokenSource::Authorization, None);
    }
    let offered = header("sec-websocket-protocol").unwrap_or_default();
    let entries = subprotocols(&offered);
    let prefixed = entries.iter().find_map(|entry| {
        entry
            .strip_prefix(TOKEN_PREFIX)
            .filter(|token| !token.is_empty())
            .map(|token| (*entry, token))
    });
    let bare = || entries.iter().find(|entry| is_bare_token(entry)).map(|entry| (*entry, *entry));
    if let Some((entry, token)) = prefixed.or_else(bare) {
        return bounded(token, TokenSource::Subprotocol, Some(entry));
    }
    match query.and_then(query_token) {
        Some(token) if allow_query => bounded(&token, TokenSource::Query, None),
        Some(_) => Err(NoToken::QueryRefused),
        None => Err(NoToken::Missing),
    }
}

/// The token in a cookie of this name. Browsers send cookies by themselves, from pages of any origin: whoever
/// asks has looked at the origin before.
pub fn cookie_token(cookies: Option<&str>, name: &str) -> Result<ExtractedToken, NoToken> {
    let value = cookies.unwrap_or_default().split(';').find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then(|| value.trim_matches('"'))
    });
    match value {
        Some(token) if !token.is_empty() => bounded(token, TokenSource::Cookie, None),
        _ => Err(NoToken::Missing),
    }
}

/// The entries of a `Sec-WebSocket-Protocol` value.
pub fn subprotocols(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()
}

/// The subprotocol to echo: the first of ours that is offered, else the first that is not the token, else the first.
/// Browsers fail a connection whose offer is not answered; `None` only if nothing was offered.
pub fn choose_subprotocol(offered: &[&str], token_entry: Option<&str>) -> Option<String> {
    let no_token = |entry: &&&str| {
        Some(**entry) != token_entry && !entry.starts_with(TOKEN_PREFIX) && !is_bare_token(entry)
    };
    let sound = || offered.iter().filter(|entry| is_http_token(entry));
    sound()
        .find(|entry| [SUBPROTOCOL, JSON_SUBPROTOCOL, events::SUBPROTOCOL].contains(entry))
        .or_else(|| sound().find(no_token))
        .or_else(|| sound().next())
        .map(|entry| (*entry).to_owned())
}

/// A token in the sense of RFC 9110, 5.6.2, as subprotocols have to be. Nothing else is echoed.
fn is_http_token(entry: &str) -> bool {
    entry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn bounded(token: &str, via: TokenSource, entry: Option<&str>) -> Result<ExtractedToken, NoToken> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(NoToken::TooLong);
    }
    Ok(ExtractedToken { token: token.to_owned(), via, subprotocol: entry.map(str::to_owned) })
}

/// The scheme's name is case-insensitive (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let token = rest.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn is_bare_token(entry: &str) -> bool {
    entry.len() > BARE_TOKEN_CHARS_MIN && !entry.contains(['/', ' '])
}

fn query_token(query: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let value = pair.strip_prefix("token=")?;
        // Decoding only shrinks, so this bounds the work before it is done.
        if value.is_empty() || value.len() > TOKEN_BYTES_MAX * 3 {
            return None;
        }
        percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "0123456789abcdef0123456789abcdef.fedcba";

    fn extract(
        authorization: Option<&str>,
        protocols: Option<&str>,
        query: Option<&str>,
        allow_query: bool,
    ) -> Result<(String, TokenSource), NoToken> {
        let header = |name: &str| match name {
            "authorization" => authorization.map(str::to_owned),
            "sec-websocket-protocol" => protocols.map(str::to_owned),
            _ => None,
        };
        extract_token(header, query, allow_query).map(|found| (found.token, found.via))
    }

    #[test]
    fn tokens_are_found_in_the_hosts_order() {
        use TokenSource::{Authorization, Query, Subprotocol};
        let auth = format!("auth.{SESSION}");
        let mixed = format!("yjs, civicpress.v1,{auth}");
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        let found = |token: &str, via| Ok((token.to_owned(), via));
        for (case, authorization, protocols, query, allow, expected) in [
            ("bearer", Some("Bearer t"), None, None, false, found("t", Authorization)),
            (
                "scheme in any case",
                Some("bearer  t "),
                None,
                None,
                false,
                found("t", Authorization),
            ),
            (
                "bearer first",
                Some("Bearer t"),
                Some(auth.as_str()),
                None,
                false,
                found("t", Authorization),
            ),
            ("basic is no bearer", Some("Basic t"), None, None, false, Err(NoToken::Missing)),
            ("empty bearer", Some("Bearer "), None, None, false, Err(NoToken::Missing)),
            ("prefixed", None, Some(auth.as_str()), None, false, found(SESSION, Subprotocol)),
            ("among others", None, Some(mixed.as_str()), None, false, found(SESSION, Subprotocol)),
            ("bare", None, Some(SESSION), None, false, found(SESSION, Subprotocol)),
            ("empty prefix", None, Some("auth."), None, false, Err(NoToken::Missing)),
            (
                "20 chars are no token",
                None,
                Some("abcdefghijklmnopqrst"),
                None,
                false,
                Err(NoToken::Missing),
            ),
            (
                "21 chars are",
                None,
                Some("abcdefghijklmnopqrstu"),
                None,
                false,
                found("abcdefghijklmnopqrstu", Subprotocol),
            ),
            (
                "a slash is no token",
                None,
                Some("application/very-long-name"),
                None,
                false,
                Err(NoToken::Missing),
            ),
            ("query off", None, None, Some("token=t"), false, Err(NoToken::QueryRefused)),
            ("query on", None, None, Some("a=b&token=a%2Eb+c"), true, found("a.b+c", Query)),
            ("empty query", None, None, Some("token="), true, Err(NoToken::Missing)),
            ("query not UTF-8", None, None, Some("token=%ff"), true, Err(NoToken::Missing)),
            (
                "protocol before query",
                None,
                Some(auth.as_str()),
                Some("token=t"),
                true,
                found(SESSION, Subprotocol),
            ),
            ("nothing", None, None, None, true, Err(NoToken::Missing)),
            ("too long", Some(long.as_str()), None, None, true, Err(NoToken::TooLong)),
        ] {
            assert_eq!(extract(authorization, protocols, query, allow), expected, "{case}");
        }
    }

    #[test]
    fn a_cookie_of_the_name_holds_the_token() {
        let find = |cookies| cookie_token(cookies, "sid").map(|found| found.token);
        assert_eq!(find(Some("a=b; sid=t.o-k; sidx=c")), Ok("t.o-k".into()));
        assert_eq!(find(Some("sid=\"quoted\"")), Ok("quoted".into()));
        for none in [None, Some(""), Some("sid="), Some("xsid=t"), Some("sid")] {
            assert_eq!(find(none), Err(NoToken::Missing), "{none:?}");
        }
        let long = format!("sid={}", "x".repeat(TOKEN_BYTES_MAX + 1));
        assert_eq!(find(Some(&long)), Err(NoToken::TooLong));
    }

    #[test]
    fn an_offer_is_always_answered_without_the_token_if_possible() {
        let auth = format!("auth.{SESSION}");
        let auth = auth.as_str();
        for (offered, chosen) in [
            (vec![auth, "civicpress.v1"], Some("civicpress.v1")),
            (vec!["yjs", auth, "civicpress.v1"], Some("civicpress.v1")),
            (vec![auth, "civicpress.json.v1"], Some("civicpress.json.v1")),
            (vec![SESSION, "yjs"], Some("yjs")),
            (vec![auth], Some(auth)),
            (vec![], None),
        ] {
            assert_eq!(choose_subprotocol(&offered, Some(auth)).as_deref(), chosen, "{offered:?}");
        }
    }

    #[test]
    fn only_sound_names_are_echoed() {
        assert_eq!(
            choose_subprotocol(&["a\tb", "a/b", "y-sweet"], None).as_deref(),
            Some("y-sweet")
        );
        assert_eq!(choose_subprotocol(&["a\tb"], None), None);
    }

    #[test]
    fn debug_hides_the_token() {
        let found = extract_token(|_| Some(format!("Bearer {SESSION}")), None, false).unwrap();
        assert!(!format!("{found:?}").contains("0123"));
    }
}
