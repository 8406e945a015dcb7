//! The head of an HTTP request: read with a bound, judged before anything else happens. Pure but for the
//! reading.

use tokio::io::AsyncReadExt;

use crate::{
    limits::{HEAD_BYTES_MAX, HEADERS_MAX},
    net::stream::Stream,
};

/// First byte of a TLS handshake (RFC 8446, 5.1); no HTTP method begins with it.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// A request head and the bytes that came after it.
#[derive(Debug)]
pub struct Head {
    /// Method, as sent.
    pub method: String,
    /// Request target without its query.
    pub path: String,
    /// The query, if any, without `?`.
    pub query: Option<String>,
    /// Minor version of HTTP/1.
    pub minor_version: u8,
    headers: Vec<(String, String)>,
    /// Everything read, head first.
    pub bytes: Vec<u8>,
    /// Length of the head within `bytes`.
    pub length: usize,
}

/// Why a head is refused, with its HTTP answer.
#[derive(Debug)]
pub enum HeadError {
    /// The peer went away or the socket failed; there is nobody to answer.
    Gone,
    /// The beginning of a TLS handshake, which plain HTTP cannot answer.
    Tls,
    /// Not HTTP (400).
    Malformed(&'static str),
    /// More or longer headers than allowed (431).
    TooLarge,
    /// Not something a WebSocket request may be: 405, 426 or 400.
    Upgrade(u16, &'static str),
}

impl Head {
    /// Reads a head, at most [`HEAD_BYTES_MAX`] bytes. The caller holds the clock.
    ///
    /// `bytes` takes what is read, so that the caller can tell a slow head from none.
    pub async fn read(stream: &mut Stream, bytes: &mut Vec<u8>) -> Result<Self, HeadError> {
        loop {
            let known = bytes.len();
            match stream.read_buf(bytes).await {
                Ok(1..) => {}
                _ => return Err(HeadError::Gone),
            }
            if bytes.first() == Some(&TLS_HANDSHAKE) {
                return Err(HeadError::Tls);
            }
            // Parsed at first, for an early answer to nonsense, and then only where it may be complete:
            // a head that comes byte by byte must not cost its square.
            if (known == 0 || has_blank_line(bytes.get(known.saturating_sub(3)..)))
                && let Some(head) = Self::parse(bytes)?
            {
                return Ok(Self { bytes: std::mem::take(bytes), ..head });
            }
            if bytes.len() >= HEAD_BYTES_MAX {
                return Err(HeadError::TooLarge);
            }
        }
    }

    /// Parses what is there; `None` while the head is incomplete. `bytes` of the result is empty.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(_) => return Err(HeadError::Malformed("malformed request")),
        };
        if length > HEAD_BYTES_MAX {
            return Err(HeadError::TooLarge);
        }
        let target = request.path.unwrap_or_default();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let headers = request
            .headers
            .iter()
            .map(|header| {
                (
                    header.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(header.value).trim().to_owned(),
                )
            })
            .collect();
        Ok(Some(Self {
            method: request.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            query,
            minor_version: request.version.unwrap_or_default(),
            headers,
            bytes: Vec::new(),
            length,
        }))
    }

    /// The request target, query included.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// All headers in order, names in lower case.
    pub fn into_headers(self) -> Vec<(String, String)> {
        self.headers
    }

    /// First header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// All headers of this (lower-case) name.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// All values of a header that holds a comma-separated list.
    pub fn list(&self, name: &str) -> Vec<&str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect()
    }

    /// All values of a header, joined with commas (RFC 9110, 5.3).
    pub fn joined(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.values(name).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// First value of a query parameter, percent-decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query.as_deref()?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| {
                percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
            })
        })
    }

    /// Whether the peer asks for a WebSocket.
    pub fn asks_for_websocket(&self) -> bool {
        self.list("upgrade").iter().any(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// The `Sec-WebSocket-Accept` of a sound WebSocket request (RFC 6455, 4.2.1).
    pub fn accept_key(&self) -> Result<String, HeadError> {
        if self.method != "GET" {
            return Err(HeadError::Upgrade(405, "a WebSocket request must be a GET"));
        }
        if self.minor_version == 0 {
            return Err(HeadError::Upgrade(400, "a WebSocket request must be HTTP/1.1"));
        }
        if self.count("host") != 1 {
            return Err(HeadError::Upgrade(400, "exactly one Host is needed"));
        }
        if self.values("content-length").any(|length| length != "0")
            || self.header("transfer-encoding").is_some()
        {
            return Err(HeadError::Upgrade(400, "a WebSocket request has no body"));
        }
        if !self.list("connection").iter().any(|value| value.eq_ignore_ascii_case("upgrade")) {
            return Err(HeadError::Upgrade(400, "Connection must hold Upgrade"));
        }
        if self.header("sec-websocket-version") != Some("13") {
            return Err(HeadError::Upgrade(426, "Sec-WebSocket-Version must be 13"));
        }
        match self.header("sec-websocket-key") {
            Some(key) if self.count("sec-websocket-key") == 1 && is_nonce(key) => {
                Ok(tungstenite::handshake::derive_accept_key(key.as_bytes()))
            }
            _ => Err(HeadError::Upgrade(400, "Sec-WebSocket-Key must be 16 bytes in base64")),
        }
    }
}

/// Whether `key` is 16 bytes in base64.
fn is_nonce(key: &str) -> bool {
    key.len() == 24
        && key.strip_suffix("==").is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        })
}

/// Whether a line ends right after another, by which a head ends; with or without carriage returns.
fn has_blank_line(bytes: Option<&[u8]>) -> bool {
    let bytes = bytes.unwrap_or_default();
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|part| part == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /realtime/records/a?ack=json&x=%20y HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: civicpress.v1, auth.t\r\n\r\n";

    fn parse(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn reads_a_websocket_request() {
        let head = parse(UPGRADE);
        assert!(head.asks_for_websocket());
        assert_eq!(head.accept_key().unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(head.list("sec-websocket-protocol"), ["civicpress.v1", "auth.t"]);
        assert_eq!(
            (head.path.as_str(), head.query_value("x").as_deref()),
            ("/realtime/records/a", Some(" y"))
        );
    }

    #[test]
    fn waits_for_the_whole_head() {
        for end in 0..UPGRADE.len() {
            assert!(Head::parse(&UPGRADE.as_bytes()[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn answers_each_defect_with_its_status() {
        let status = |from: &str, to: &str| match parse(&UPGRADE.replace(from, to)).accept_key() {
            Err(HeadError::Upgrade(status, _)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status("GET", "POST"), 405);
        assert_eq!(status("HTTP/1.1", "HTTP/1.0"), 400);
        assert_eq!(status("Version: 13", "Version: 8"), 426);
        assert_eq!(status("keep-alive, Upgrade", "keep-alive"), 400);
        assert_eq!(status("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400);
        assert_eq!(status("Host: a\r\n", "Host: a\r\nContent-Length: 5\r\n"), 400);
        assert_eq!(status("Host: a\r\n", "Host: a\r\nTransfer-Encoding: chunked\r\n"), 400);
    }

    #[test]
    fn refuses_too_many_headers_and_nonsense() {
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1));
        assert!(matches!(Head::parse(many.as_bytes()), Err(HeadError::TooLarge)));
        assert!(matches!(Head::parse(b"\x16\x03\x01\x02\x00\x01"), Err(HeadError::Malformed(_))));
    }
}
