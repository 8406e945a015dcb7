//! Link targets, as markdown-it normalises them.

mod punycode;
mod url;

use std::fmt::Write as _;

use url::Url;

/// Characters beside letters and digits that a link target keeps as they are.
const KEPT: &[u8] = b";/?:@&=+$,-_.!~*'()#";
/// Characters that stay percent-encoded in the text of an autolink.
const KEPT_ENCODED: &[u8] = b";/?:@&=+$,#%";

/// Percent-encodes what a link target may not contain, leaving existing escapes alone. Of a host's name the
/// letters beyond ASCII become Punycode.
pub(super) fn normalize(target: &str) -> String {
    let url = Url::parse(target).with_host(punycode::to_ascii).to_string();
    let bytes = url.as_bytes();
    let mut out = String::with_capacity(url.len());
    for (at, byte) in bytes.iter().copied().enumerate() {
        let kept = byte.is_ascii_alphanumeric()
            || KEPT.contains(&byte)
            || (byte == b'%' && is_escape(bytes.get(at..at + 3)));
        if kept {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The readable form of an autolink's target, shown as the link's text.
pub(super) fn readable(target: &str) -> String {
    let url = Url::parse(target).with_host(punycode::to_unicode).to_string();
    let mut out = String::with_capacity(url.len());
    let mut rest = url.as_str();
    while let Some(at) = rest.find('%') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let escapes =
            tail.as_bytes().chunks_exact(3).take_while(|chunk| is_escape(Some(chunk))).count();
        if escapes == 0 {
            out.push('%');
            rest = tail.get(1..).unwrap_or_default();
            continue;
        }
        let (sequence, after) = tail.split_at(escapes * 3);
        decode_into(&mut out, sequence);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Whether a normalised target may be linked to: nothing that runs or reads local files.
pub(super) fn is_safe(url: &str) -> bool {
    let url = url.trim().to_lowercase();
    let harmful = ["vbscript:", "javascript:", "file:", "data:"];
    let images = ["data:image/gif;", "data:image/png;", "data:image/jpeg;", "data:image/webp;"];
    let starts = |list: &[&str]| list.iter().any(|prefix| url.starts_with(prefix));
    !starts(&harmful) || starts(&images)
}

fn is_escape(bytes: Option<&[u8]>) -> bool {
    matches!(bytes, Some([b'%', high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// Decodes escapes only; each byte that is no part of a character shows as one that cannot be shown.
fn decode_into(out: &mut String, sequence: &str) {
    let mut bytes = Vec::with_capacity(sequence.len() / 3);
    for chunk in sequence.as_bytes().chunks_exact(3) {
        let value = chunk.iter().skip(1).fold(0u8, |value, digit| {
            value << 4 | u8::try_from(char::from(*digit).to_digit(16).unwrap_or(0)).unwrap_or(0)
        });
        if KEPT_ENCODED.contains(&value) {
            bytes.extend(chunk.iter().map(u8::to_ascii_uppercase));
        } else {
            bytes.push(value);
        }
    }
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_like_markdown_it() {
        let table = [
            ("https://a.b/c?d=e#f", "https://a.b/c?d=e#f"),
            (" /ä b ", "/%C3%A4%20b"),
            ("/%20%zz%2", "/%20%25zz%252"),
            ("a\"b<c>[d]", "a%22b%3Cc%3E%5Bd%5D"),
            ("https://examplée.com:80/é", "https://xn--example-gya.com:80/%C3%A9"),
            ("//münchen.de", "//xn--mnchen-3ya.de"),
            ("mailto:rat@köln.de", "mailto:rat@xn--kln-sna.de"),
            ("skype:köln", "skype:k%C3%B6ln"),
            ("http://a!b:80/", "http://a:80!b/"),
            ("http://[::1]:80/x", "http://%5B::1%5D:80/x"),
        ];
        for (url, expected) in table {
            assert_eq!(normalize(url), expected);
        }
    }

    #[test]
    fn autolinks_are_shown_readable() {
        let table = [
            ("http://a/%C3%A4%20%3F%", "http://a/ä %3F%"),
            ("http://a/%2f%e4%bdx", "http://a/%2F\u{fffd}\u{fffd}x"),
            ("https://xn--mnchen-3ya.de/", "https://münchen.de/"),
            ("https://xn--a-.de/", "https://a.de/"),
            ("https://xn--999999b.de/", "https://xn--999999b.de/"),
        ];
        for (url, expected) in table {
            assert_eq!(readable(url), expected);
        }
    }

    #[test]
    fn what_runs_is_not_linked_to() {
        assert!(is_safe("data:image/png;base64,x") && !is_safe(" JavaScript:alert(1)"));
    }
}
