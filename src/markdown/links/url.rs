//! A link target in parts, cut where the `mdurl` package cuts it: so that the host's name can be told from
//! the rest, which stays as it was written.

use std::fmt;

const HOST_LEN_MAX: usize = 255;
const HOST_PART_LEN_MAX: usize = 63;
/// What ends the part of a target that may hold a name and password.
const ENDS_AUTHORITY: &[char] = &['/', '?', '#'];
/// What no host's name holds.
const ENDS_HOST: &[char] = &[
    '%', '/', '?', ';', '#', '\'', '{', '}', '|', '\\', '^', '`', '<', '>', '"', ' ', '\r', '\n',
    '\t',
];
/// Schemes that have no host without slashes.
const SLASHED: &[&str] = &["http:", "https:", "ftp:", "gopher:", "file:"];
/// Schemes whose host is a name of the domain name system.
const NAMED_HOSTS: &[&str] = &["http:", "https:", "mailto:"];

#[derive(Default)]
pub(super) struct Url<'a> {
    protocol: &'a str,
    slashes: bool,
    auth: Option<&'a str>,
    host: String,
    port: &'a str,
    /// What of an ill-formed host is taken for the path's beginning.
    not_host: String,
    rest: &'a str,
}

impl<'a> Url<'a> {
    pub(super) fn parse(target: &'a str) -> Self {
        let mut url = Self::default();
        let mut rest = target.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if let Some(at) = rest.find(':') {
            let scheme = rest.get(..at).unwrap_or_default();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+-".contains(&byte);
            if !scheme.is_empty() && scheme.bytes().all(fits) {
                (url.protocol, rest) = rest.split_at(at + 1);
            }
        }
        let hostless = url.protocol == "javascript:";
        if let (false, Some(after)) = (hostless, rest.strip_prefix("//")) {
            url.slashes = true;
            rest = after;
        }
        let has_host =
            url.slashes || (!url.protocol.is_empty() && !SLASHED.contains(&url.protocol));
        url.rest = if has_host && !hostless { url.take_host(rest) } else { rest };
        url
    }

    /// The same with another spelling of the host's name, if that is one and there is such a spelling.
    pub(super) fn with_host(mut self, respell: impl Fn(&str) -> Option<String>) -> Self {
        let named = self.protocol.is_empty() || NAMED_HOSTS.contains(&self.protocol);
        if named && let Some(host) = respell(&self.host) {
            self.host = host;
        }
        self
    }

    /// Takes name, host and port off; returns what follows.
    fn take_host(&mut self, mut rest: &'a str) -> &'a str {
        // Not beyond a character that ends it, but at that character the last `@` may stand.
        let authority = rest.find(ENDS_AUTHORITY).and_then(|end| rest.get(..end)).unwrap_or(rest);
        if let Some(at) = authority.rfind('@') {
            self.auth = rest.get(..at);
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        let end = rest.find(ENDS_HOST).unwrap_or(rest.len());
        let host = rest.get(..end).unwrap_or_default();
        let host = host.strip_suffix(':').unwrap_or(host);
        let after = rest.get(host.len()..).unwrap_or_default();
        let without_port = host.trim_end_matches(|c: char| c.is_ascii_digit());
        let host = match without_port.strip_suffix(':') {
            Some(name) => {
                self.port = host.get(without_port.len()..).unwrap_or_default();
                name
            }
            None => host,
        };
        match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(address) => address.clone_into(&mut self.host),
            None => self.take_name(host),
        }
        after
    }

    fn take_name(&mut self, host: &str) {
        let mut start = 0;
        host.clone_into(&mut self.host);
        for part in host.split('.') {
            let end = part.find(|c: char| !fits_host(c)).unwrap_or(part.len());
            if end < part.len() || part.encode_utf16().count() > HOST_PART_LEN_MAX {
                // What stands before the fault is host, as far as it is ASCII.
                let valid = part.find(|c: char| !(fits_host(c) && c.is_ascii()));
                let cut = start + valid.unwrap_or(part.len()).min(HOST_PART_LEN_MAX);
                let (name, not_host) = host.split_at(cut);
                name.clone_into(&mut self.host);
                not_host.clone_into(&mut self.not_host);
                break;
            }
            start += part.len() + 1;
        }
        if self.host.encode_utf16().count() > HOST_LEN_MAX {
            self.host.clear();
        }
    }
}

fn fits_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+_-".contains(c) || !c.is_ascii()
}

impl fmt::Display for Url<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.protocol)?;
        if self.slashes {
            out.write_str("//")?;
        }
        // A name without letters is no name.
        if let Some(auth) = self.auth.filter(|auth| !auth.is_empty()) {
            write!(out, "{auth}@")?;
        }
        if self.host.contains(':') {
            write!(out, "[{}]", self.host)?;
        } else {
            out.write_str(&self.host)?;
        }
        if !self.port.is_empty() {
            write!(out, ":{}", self.port)?;
        }
        write!(out, "{}{}", self.not_host, self.rest)
    }
}
