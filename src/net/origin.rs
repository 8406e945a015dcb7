//! Which web pages may open a socket (RFC 6454). A browser sends the page's origin with each WebSocket
//! request, and nothing else protects a server on a private address from any page its user visits.

/// Whether a request with this `Origin` and `Host` may be upgraded. One without an `Origin` is no browser's.
///
/// With no `allowed` list the origin's host name must equal the server's, whatever port and scheme (the
/// host's pages come from another port), and loopback names equal each other. With a list only exact
/// `scheme://host[:port]` entries and `scheme://*.domain` patterns count.
pub fn is_allowed(origin: &str, host: Option<&str>, allowed: &[String]) -> bool {
    let Some((scheme, origin_host, port)) = split(origin) else { return false };
    if !allowed.is_empty() {
        return allowed.iter().any(|entry| matches(entry, scheme, origin_host, port));
    }
    let Some(host) = host.and_then(host_name) else { return false };
    same_name(origin_host, host)
}

fn matches(entry: &str, scheme: &str, host: &str, port: Option<&str>) -> bool {
    if entry == "*" {
        return true;
    }
    let Some((entry_scheme, entry_host, entry_port)) = split(entry) else { return false };
    if !entry_scheme.eq_ignore_ascii_case(scheme)
        || effective(scheme, entry_port) != effective(scheme, port)
    {
        return false;
    }
    match entry_host.strip_prefix("*.") {
        Some(domain) => host
            .to_ascii_lowercase()
            .strip_suffix(&domain.to_ascii_lowercase())
            .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
        None => entry_host.eq_ignore_ascii_case(host),
    }
}

fn effective<'a>(scheme: &str, port: Option<&'a str>) -> &'a str {
    port.unwrap_or(if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" })
}

/// Scheme, host and port of an origin; `None` for `null`, userinfo, paths and everything else odd.
fn split(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@\\\"'<>".contains(&b));
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) || !plain(rest) {
        return None;
    }
    let (host, port) = split_port(rest)?;
    Some((scheme, host, port))
}

fn host_name(host: &str) -> Option<&str> {
    split_port(host).map(|(name, _)| name)
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end_of_name = authority.rfind(']').map_or(0, |end| end + 1);
    let (name, port) = match authority.get(end_of_name..)?.rfind(':') {
        Some(colon) => {
            let colon = end_of_name + colon;
            (authority.get(..colon)?, Some(authority.get(colon + 1..)?))
        }
        None => (authority, None),
    };
    let port_is_number = port.is_none_or(|port| {
        !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())
    });
    (!name.is_empty() && port_is_number).then_some((name, port))
}

fn same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (is_loopback(a) && is_loopback(b))
}

fn is_loopback(name: &str) -> bool {
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_host_by_default() {
        let ok = |origin, host| is_allowed(origin, Some(host), &[]);
        assert!(ok("http://localhost:3030", "localhost:3001"));
        assert!(ok("https://Records.example.org", "records.example.org"));
        assert!(ok("http://127.0.0.1:5173", "localhost:3001"));
        assert!(ok("http://[::1]:3000", "127.0.0.1:3001"));
        for evil in [
            "https://evil.example",
            "null",
            "http://localhost.evil.example",
            "http://localhost@evil.example",
            "http://evil.example/localhost",
            "http://localhost:3030x",
            "localhost",
            "",
            "http://",
        ] {
            assert!(!ok(evil, "localhost:3001"), "{evil}");
        }
        assert!(!is_allowed("http://a", None, &[]));
    }

    #[test]
    fn a_list_is_exact() {
        let list = ["https://app.example.org".to_owned(), "https://*.city.example".to_owned()];
        let ok = |origin| is_allowed(origin, Some("app.example.org"), &list);
        assert!(ok("https://app.example.org"));
        assert!(ok("https://app.example.org:443"));
        assert!(ok("https://a.b.city.example"));
        for refused in [
            "http://app.example.org",
            "https://app.example.org:8443",
            "https://city.example",
            "https://evilcity.example",
            "https://other.example",
        ] {
            assert!(!ok(refused), "{refused}");
        }
    }
}
