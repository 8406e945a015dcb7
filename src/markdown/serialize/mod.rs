//! The document tree to Markdown, byte for byte as prosemirror-markdown 1.13.4 writes it.
//!
//! Where that serializer stops with an error (nodes and marks it does not know), this one writes the text;
//! where it would lose text (a line end within a run), this one keeps it.

mod blocks;
mod escape;
mod inline;
mod table;

use super::node::Node;

/// Writes a document as a Markdown body without a trailing newline.
pub fn serialize(doc: &Node) -> String {
    let mut writer = Writer::new(Place::Document);
    writer.children(doc, 0);
    writer.out
}

/// Where Markdown is written: a table's cell is one line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Cell,
}

/// What has been written and what the next line needs.
struct Writer<'a> {
    out: String,
    place: Place,
    /// Prefix of every line within quotes and list items.
    delim: String,
    /// Name of the block that has just ended; the blank line after it depends on what follows.
    closed: Option<&'a str>,
    /// Within `<https://…>`, where nothing is escaped.
    in_autolink: bool,
    at_block_start: bool,
    in_tight_list: bool,
}

impl<'a> Writer<'a> {
    fn new(place: Place) -> Self {
        Self {
            out: String::new(),
            place,
            delim: String::new(),
            closed: None,
            in_autolink: false,
            at_block_start: false,
            in_tight_list: false,
        }
    }

    /// Ends the closed block with `lines` line ends.
    fn flush_close(&mut self, lines: usize) {
        if self.closed.take().is_none() {
            return;
        }
        if !self.at_blank() {
            self.out.push('\n');
        }
        for _ in 1..lines {
            self.out.push_str(self.delim.trim_end());
            self.out.push('\n');
        }
    }

    fn at_blank(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn write(&mut self, content: &str) {
        self.flush_close(2);
        if self.at_blank() {
            self.out.push_str(&self.delim);
        }
        self.out.push_str(content);
    }

    /// Writes text line by line, so that every line gets its prefix.
    fn text(&mut self, text: &str, escaped: bool) {
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            self.write("");
            if escaped {
                escape::escape_into(&mut self.out, line, self.at_block_start);
            } else {
                if line.starts_with('[') {
                    self.escape_exclamation();
                }
                self.out.push_str(line);
            }
            if lines.peek().is_some() {
                self.out.push('\n');
            }
        }
    }

    /// An exclamation mark before a link would make it an image.
    fn escape_exclamation(&mut self) {
        if self.out.ends_with('!') && !self.out.ends_with("\\!") {
            self.out.pop();
            self.out.push_str("\\!");
        }
    }

    fn close_block(&mut self, node: &'a Node) {
        self.closed = Some(&node.name);
    }
}
