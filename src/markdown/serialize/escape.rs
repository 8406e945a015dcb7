//! Which characters of plain text would be read as markup.

use std::borrow::Cow;

/// JavaScript's `\s`.
pub(super) fn is_space(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}'
}

/// Appends text with a backslash before whatever would be markup there.
pub(super) fn escape_into(out: &mut String, text: &str, start_of_line: bool) {
    let escaped = escape(text);
    if start_of_line {
        out.push_str(&escape_line_start(&escaped));
    } else {
        out.push_str(&escaped);
    }
}

/// Escapes characters that are markup anywhere. An underscore between word characters is not.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let within_word = c == '_'
            && before.is_some_and(is_word)
            && chars.peek().is_some_and(|next| is_word(*next));
        if matches!(c, '`' | '*' | '\\' | '~' | '[' | ']' | '_') && !within_word {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
    out
}

/// Escapes what is a list item, quote or heading only at the start of a line.
fn escape_line_start(text: &str) -> Cow<'_, str> {
    if text.starts_with(['-', '*', '>']) || text.starts_with("+ ") {
        return Cow::Owned(format!("\\{text}"));
    }
    let body = text.trim_start_matches(is_space);
    let indent = text.get(..text.len() - body.len()).unwrap_or_default();
    let after_hashes = body.trim_start_matches('#');
    let hashes = body.len() - after_hashes.len();
    if (1..=6).contains(&hashes) && (after_hashes.is_empty() || after_hashes.starts_with(is_space))
    {
        return Cow::Owned(format!("{indent}\\{body}"));
    }
    let after_digits = body.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = body.get(..body.len() - after_digits.len()).unwrap_or_default();
    if let Some(rest) = after_digits.strip_prefix('.')
        && !digits.is_empty()
        && rest.starts_with(is_space)
    {
        let rest: String = rest.chars().skip(1).collect();
        return Cow::Owned(format!("{indent}{digits}\\. {rest}"));
    }
    Cow::Borrowed(text)
}

/// JavaScript's `\w`.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_only_what_is_markup() {
        let table = [
            ("a*b_c d_ _e", "a\\*b_c d\\_ \\_e", false),
            ("- a", "- a", false),
            ("- a", "\\- a", true),
            ("+ a", "\\+ a", true),
            ("+a", "+a", true),
            ("> a", "\\> a", true),
            ("# a", "\\# a", true),
            ("#", "\\#", true),
            ("#a", "#a", true),
            ("####### a", "####### a", true),
            ("  ## a", "  \\## a", true),
            ("12. a", "12\\. a", true),
            ("12.a", "12.a", true),
            ("* a", "\\* a", true),
            ("~`[x]\\", "\\~\\`\\[x\\]\\\\", true),
        ];
        for (text, expected, start) in table {
            let mut out = String::new();
            escape_into(&mut out, text, start);
            assert_eq!(out, expected, "{text:?}");
        }
    }
}
