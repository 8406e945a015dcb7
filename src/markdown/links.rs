//! Link targets, as markdown-it normalises them.

use std::fmt::Write as _;

/// Characters beside letters and digits that a link target keeps as they are.
const KEPT: &[u8] = b";/?:@&=+$,-_.!~*'()#";
/// Characters that stay percent-encoded in the text of an autolink.
const KEPT_ENCODED: &[u8] = b";/?:@&=+$,#%";

/// Percent-encodes what a link target may not contain, leaving existing escapes alone.
pub(super) fn normalize(url: &str) -> String {
    let url = url.trim();
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
pub(super) fn readable(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    let mut rest = url.trim();
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

fn decode_into(out: &mut String, sequence: &str) {
    let mut bytes = Vec::with_capacity(sequence.len() / 3);
    for chunk in sequence.as_bytes().chunks_exact(3) {
        let value = chunk.iter().skip(1).fold(0u8, |value, digit| {
            value << 4 | u8::try_from(char::from(*digit).to_digit(16).unwrap_or(0)).unwrap_or(0)
        });
        if KEPT_ENCODED.contains(&value) {
            bytes.extend_from_slice(chunk);
        } else {
            bytes.push(value);
        }
    }
    out.push_str(&String::from_utf8_lossy(&bytes));
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
        ];
        for (url, expected) in table {
            assert_eq!(normalize(url), expected);
        }
        assert_eq!(readable("http://a/%C3%A4%20%3F%"), "http://a/ä %3F%");
        assert!(is_safe("data:image/png;base64,x") && !is_safe(" JavaScript:alert(1)"));
    }
}
