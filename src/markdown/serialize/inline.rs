//! A line of text: which marks open and close where.
//!
//! Emphasis may not begin or end with white space in Markdown, so white space is moved out of it; marks
//! that may nest either way are reordered to what is already open.

use super::super::civic_ref;
use super::super::node::{Child, Mark, Node, Text};
use super::super::schema;
use super::escape::{escape, is_space};
use super::{Place, Writer};

impl<'a> Writer<'a> {
    pub(super) fn inline(&mut self, content: &'a [Child], from_block_start: bool) {
        self.at_block_start = from_block_start;
        let line = Line::new(content);
        let mut active: Vec<Mark> = Vec::new();
        let mut trailing = String::new();
        for (index, child) in content.iter().enumerate() {
            self.progress(&line, Some(child), index, &mut active, &mut trailing);
        }
        self.progress(&line, None, content.len(), &mut active, &mut trailing);
        self.at_block_start = false;
    }

    fn progress(
        &mut self,
        line: &Line<'a>,
        child: Option<&'a Child>,
        index: usize,
        active: &mut Vec<Mark>,
        trailing: &mut String,
    ) {
        let mut marks = child.map(|child| line.marks(child, index)).unwrap_or_default();
        let mut leading = std::mem::take(trailing);
        let mut piece = child.map(Piece::of);

        if let Some(Piece::Text(text)) = piece
            && marks.iter().any(|mark| expels(mark) && !active.contains(mark))
        {
            let rest = text.trim_start_matches(is_space);
            if rest.len() < text.len() {
                leading.push_str(text.get(..text.len() - rest.len()).unwrap_or_default());
                piece = (!rest.is_empty()).then_some(Piece::Text(rest));
                if piece.is_none() {
                    marks.clone_from(active);
                }
            }
        }
        if let Some(Piece::Text(text)) = piece
            && marks.iter().any(|mark| expels(mark) && !line.is_mark_ahead(index + 1, mark))
        {
            let rest = text.trim_end_matches(is_space);
            if rest.len() < text.len() {
                text.get(rest.len()..).unwrap_or_default().clone_into(trailing);
                piece = (!rest.is_empty()).then_some(Piece::Text(rest));
                if piece.is_none() {
                    marks.clone_from(active);
                }
            }
        }

        let code = marks.last().is_some_and(|mark| mark.name == "code");
        if code {
            marks.pop();
        }
        reorder(&mut marks, active);
        let keep = marks.iter().zip(active.iter()).take_while(|(mark, open)| mark == open).count();

        while active.len() > keep {
            let Some(mark) = active.pop() else { break };
            let closing = self.closing(&mark);
            self.text(&closing, false);
        }
        if !leading.is_empty() {
            self.text(&leading, true);
        }
        let Some(piece) = piece else { return };
        for mark in marks.iter().skip(active.len()) {
            let opening = self.opening(mark, line, index);
            active.push(mark.clone());
            self.text(&opening, false);
            self.at_block_start = false;
        }
        match piece {
            Piece::Text(text) if code => self.text(&code_span(text), false),
            Piece::Text(text) => self.text(text, !self.in_autolink),
            Piece::Node(node) => self.atom(node, line, index),
        }
        self.at_block_start = false;
    }

    fn opening(&mut self, mark: &Mark, line: &Line<'a>, index: usize) -> String {
        match mark.name.as_ref() {
            "em" => "*".to_owned(),
            "strong" => "**".to_owned(),
            "link" => {
                self.in_autolink = line.is_plain_url(mark, index);
                if self.in_autolink { "<".to_owned() } else { "[".to_owned() }
            }
            "code" => "`".to_owned(),
            _ => String::new(),
        }
    }

    fn closing(&mut self, mark: &Mark) -> String {
        match mark.name.as_ref() {
            "em" => "*".to_owned(),
            "strong" => "**".to_owned(),
            "link" if std::mem::take(&mut self.in_autolink) => ">".to_owned(),
            "link" => {
                let href = backslashed(str_attr(mark, "href"), &['(', ')', '"']);
                format!("]({href}{})", title(str_attr(mark, "title")))
            }
            "code" => "`".to_owned(),
            _ => String::new(),
        }
    }

    fn atom(&mut self, node: &'a Node, line: &Line<'a>, index: usize) {
        match node.name.as_ref() {
            "image" => {
                let src = backslashed(node.str_attr("src"), &['(', ')']);
                let alt = escape(node.str_attr("alt"));
                let title = title(node.str_attr("title"));
                self.write(&format!("![{alt}]({src}{title})"));
            }
            "hard_break" if self.place == Place::Cell => self.write("<br>"),
            // Breaks at the end of a line of text would be read as backslashes.
            "hard_break" if line.only_breaks_after(index) => {}
            "hard_break" => self.write("\\\n"),
            "civicRef" => self.write(&civic_ref::serialize(node)),
            _ => self.text(&node.text_content(), true),
        }
    }
}

/// What is left of a child once white space has been moved out of it.
#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    Node(&'a Node),
}

impl<'a> Piece<'a> {
    fn of(child: &'a Child) -> Self {
        match child {
            Child::Text(text) => Piece::Text(&text.text),
            Child::Node(node) => Piece::Node(node),
        }
    }
}

/// A whole line, for what depends on the neighbours.
struct Line<'a> {
    content: &'a [Child],
    /// Length without the breaks at its end.
    len_before_breaks: usize,
}

impl<'a> Line<'a> {
    fn new(content: &'a [Child]) -> Self {
        let breaks = content.iter().rev().take_while(|child| is_break(child)).count();
        Self { content, len_before_breaks: content.len() - breaks }
    }

    /// The marks to write a child with: known ones, and for a break only those that go on after it.
    fn marks(&self, child: &Child, index: usize) -> Vec<Mark> {
        let known = child.marks().iter().filter(|mark| schema::knows_mark(&mark.name));
        if !is_break(child) {
            return known.cloned().collect();
        }
        let Some(next) = self.content.get(index + 1) else { return Vec::new() };
        let blank = matches!(next, Child::Text(Text { text, .. }) if text.chars().all(is_space));
        known.filter(|mark| !blank && next.marks().contains(mark)).cloned().collect()
    }

    fn is_mark_ahead(&self, from: usize, mark: &Mark) -> bool {
        // Every second child, as the original's loop steps.
        let next = self.content.iter().skip(from).step_by(2).find(|child| !is_break(child));
        next.is_some_and(|child| child.marks().contains(mark))
    }

    fn only_breaks_after(&self, index: usize) -> bool {
        index + 1 >= self.len_before_breaks
    }

    /// Whether a link is its own text and can be written as `<https://…>`.
    fn is_plain_url(&self, link: &Mark, index: usize) -> bool {
        let href = str_attr(link, "href");
        let scheme = href.split_once(':').is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        let Some(Child::Text(text)) = self.content.get(index) else { return false };
        scheme
            && str_attr(link, "title").is_empty()
            && text.text == href
            && text.marks.last() == Some(link)
            && !self.content.get(index + 1).is_some_and(|next| next.marks().contains(link))
    }
}

fn is_break(child: &Child) -> bool {
    matches!(child, Child::Node(node) if node.name == "hard_break")
}

/// Puts marks that may nest either way into the order in which they are already open.
fn reorder(marks: &mut Vec<Mark>, active: &[Mark]) {
    let mixable = |mark: &Mark| mark.name != "code";
    'marks: for i in 0..marks.len() {
        let Some(mark) = marks.get(i).cloned() else { break };
        if !mixable(&mark) {
            break;
        }
        for (j, open) in active.iter().enumerate() {
            if !mixable(open) {
                break;
            }
            if mark == *open {
                if i > j {
                    marks.remove(i);
                    marks.insert(j.min(marks.len()), mark);
                } else if j > i {
                    marks.remove(i);
                    marks.insert((j - 1).min(marks.len()), mark);
                }
                continue 'marks;
            }
        }
    }
}

fn expels(mark: &Mark) -> bool {
    mark.name == "em" || mark.name == "strong"
}

/// Code within more backticks than it contains.
fn code_span(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{ticks}{space}{code}{space}{ticks}")
}

fn title(title: &str) -> String {
    if title.is_empty() { String::new() } else { format!(" \"{}\"", title.replace('"', "\\\"")) }
}

fn backslashed(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn str_attr<'m>(mark: &'m Mark, key: &str) -> &'m str {
    mark.attrs.get(key).and_then(serde_json::Value::as_str).unwrap_or_default()
}
