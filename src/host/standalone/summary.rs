//! Reads title, status and type from the head of a record.

/// Longest value taken into the list, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// What the list shows of a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// `title` of the front matter, else the first heading.
    pub(super) title: Option<String>,
    /// `status` of the front matter.
    pub(super) status: Option<String>,
    /// `type` of the front matter.
    pub(super) kind: Option<String>,
}

/// Reads simple `key: value` lines of the front matter. The list needs three plain values, so this is no
/// YAML parser: nested and multi-line values are passed over.
pub(super) fn read(head: &str) -> Summary {
    let mut summary = Summary::default();
    let head = head.strip_prefix('\u{feff}').unwrap_or(head);
    let mut lines = head.lines().peekable();
    if lines.peek().is_some_and(|line| line.trim_end() == "---") {
        lines.next();
        for line in lines.by_ref().take_while(|line| !matches!(line.trim_end(), "---" | "...")) {
            match line.split_once(':') {
                Some(("title", value)) => summary.title = scalar(value),
                Some(("status", value)) => summary.status = scalar(value),
                Some(("type", value)) => summary.kind = scalar(value),
                _ => {}
            }
        }
    }
    if summary.title.is_none() {
        summary.title = first_heading(lines);
    }
    summary
}

fn first_heading<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut in_code = false;
    for line in lines {
        if line.starts_with("```") || line.starts_with("~~~") {
            in_code = !in_code;
        }
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        if !in_code && (1..=6).contains(&level) && text.starts_with([' ', '\t']) {
            return short(text.trim().trim_end_matches('#').trim_end());
        }
    }
    None
}

fn scalar(value: &str) -> Option<String> {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(inner) = quoted('"') {
        return short(&inner.replace("\\\"", "\"").replace("\\\\", "\\"));
    }
    if let Some(inner) = quoted('\'') {
        return short(&inner.replace("''", "'"));
    }
    // A block or a list would need a YAML parser; a comment is no part of the value.
    if value.starts_with(['|', '>', '[', '{', '&', '*']) {
        return None;
    }
    short(value.split(" #").next().unwrap_or_default().trim_end())
}

fn short(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(VALUE_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_found() {
        for (head, title) in [
            ("---\ntitle: Noise By-law\n---\n# Other\n", Some("Noise By-law")),
            ("---\ntitle: \"A: \\\"b\\\"\"\n---\n", Some("A: \"b\"")),
            ("---\ntitle: 'It''s'\n---\n", Some("It's")),
            ("---\ntitle: Plain # comment\n---\n", Some("Plain")),
            ("---\r\ntitle: Windows\r\n---\r\n", Some("Windows")),
            ("\u{feff}---\ntitle: BOM\n---\n", Some("BOM")),
            ("---\nauthor: x\n---\n\nText\n\n## Second level ##\n", Some("Second level")),
            ("---\ntitle: |\n  block\n---\n# Heading\n", Some("Heading")),
            ("---\ntitle:\n---\n# Heading\n", Some("Heading")),
            ("```\n# code\n```\n# Heading\n", Some("Heading")),
            ("#hashtag\n", None),
            ("---\ntitle: never closed\n", Some("never closed")),
            ("", None),
        ] {
            assert_eq!(read(head).title.as_deref(), title, "{head:?}");
        }
    }

    #[test]
    fn status_and_type_are_found() {
        let found = read("---\nstatus: draft\ntype: bylaw\nmeta:\n  type: nested\n---\n");
        assert_eq!(
            (found.status.as_deref(), found.kind.as_deref()),
            (Some("draft"), Some("bylaw"))
        );
    }
}
