//! The YAML head of a record: kept byte for byte, outside the shared document.

const FENCE: &str = "---";

/// Splits a file into its front matter and its Markdown body.
///
/// The first part holds both fences and the blank lines after them, or is empty if there is no complete
/// front matter. The two parts together are the text.
pub fn split_front_matter(text: &str) -> (&str, &str) {
    text.split_at(front_matter_len(text).unwrap_or(0))
}

/// Puts a file together again. It ends with exactly one newline, unless it is empty.
pub fn join(front_matter: &str, body_markdown: &str) -> String {
    let mut out = String::with_capacity(front_matter.len() + body_markdown.len() + 2);
    out.push_str(front_matter);
    let body = body_markdown.trim_end_matches(['\n', '\r']);
    if !body.is_empty() {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(body);
    }
    let end = out.trim_end_matches(['\n', '\r']).len();
    // A head without a body keeps its own kind of line end.
    let newline = if body.is_empty() && out[end..].starts_with("\r\n") { "\r\n" } else { "\n" };
    out.truncate(end);
    if !out.is_empty() {
        out.push_str(newline);
    }
    out
}

fn front_matter_len(text: &str) -> Option<usize> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut lines = text.get(mark..)?.split_inclusive('\n');
    let opening = lines.next()?;
    if opening.trim_end() != FENCE || !opening.ends_with('\n') {
        return None;
    }
    let mut len = mark + opening.len();
    let mut closed = false;
    for line in lines {
        if closed && !line.trim().is_empty() {
            break;
        }
        closed = closed || line.trim_end() == FENCE;
        len += line.len();
    }
    closed.then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_and_joins() {
        let table = [
            ("", "", "", ""),
            ("a\n", "", "a\n", "a\n"),
            ("a\n\n\n", "", "a\n\n\n", "a\n"),
            (
                "---\ntitle: x\n---\n\nbody\n",
                "---\ntitle: x\n---\n\n",
                "body\n",
                "---\ntitle: x\n---\n\nbody\n",
            ),
            ("---\r\na: 1\r\n---\r\nb", "---\r\na: 1\r\n---\r\n", "b", "---\r\na: 1\r\n---\r\nb\n"),
            ("---\na: 1\n---", "---\na: 1\n---", "", "---\na: 1\n---\n"),
            ("---\na: 1\n---\n\n\n", "---\na: 1\n---\n\n\n", "", "---\na: 1\n---\n"),
            ("---\nnever closed\n", "", "---\nnever closed\n", "---\nnever closed\n"),
            ("---- \nno\n---\n", "", "---- \nno\n---\n", "---- \nno\n---\n"),
            (
                "\u{feff}---\na: 1\n---\nb\n",
                "\u{feff}---\na: 1\n---\n",
                "b\n",
                "\u{feff}---\na: 1\n---\nb\n",
            ),
        ];
        for (text, front, body, joined) in table {
            assert_eq!(split_front_matter(text), (front, body), "{text:?}");
            assert_eq!(join(front, body), joined, "{text:?}");
        }
    }

    #[test]
    fn a_body_gets_its_own_line_after_an_unfinished_head() {
        assert_eq!(join("---\na: 1\n---", "b"), "---\na: 1\n---\nb\n");
    }
}
