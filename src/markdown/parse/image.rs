//! Images: only the first piece of a label becomes the alternative text, as prosemirror-markdown reads it.

use std::ops::Range;

use pulldown_cmark::Event;

use super::super::node::Node;

/// An image being read.
pub(super) struct Image {
    /// Nothing for an image whose target is refused.
    node: Option<Node>,
    /// Where its label starts in the source.
    label: usize,
    nesting: usize,
    alt: Alt,
    /// Whether the alternative text is all of the label.
    is_whole: bool,
}

enum Alt {
    Empty,
    /// Text up to this offset of the source; what follows it directly belongs to the same piece.
    Text(String, usize),
    Done(Option<String>),
}

impl Image {
    /// An image that starts at this offset of the source.
    pub(super) fn new(node: Option<Node>, start: usize) -> Self {
        Self { node, label: start + "![".len(), nesting: 0, alt: Alt::Empty, is_whole: true }
    }

    /// Takes an event of the label; true if it ended the image.
    pub(super) fn event(&mut self, event: Event<'_>, source: &str, at: &Range<usize>) -> bool {
        match event {
            Event::End(_) if self.nesting == 0 => return true,
            Event::End(_) => self.nesting -= 1,
            Event::Start(_) => {
                self.is_whole = false;
                self.nesting += 1;
                self.finish_alt();
            }
            Event::Text(text) => self.text(&text, source, at),
            Event::Code(text) if matches!(self.alt, Alt::Empty) => {
                // The words stay, and are no code.
                self.is_whole = false;
                self.alt = Alt::Done(Some(text.into_string()));
            }
            _ => {
                self.is_whole = false;
                self.finish_alt();
            }
        }
        false
    }

    /// The finished node, and whether it says all of its label.
    pub(super) fn finish(mut self) -> Option<(Node, bool)> {
        self.finish_alt();
        let Alt::Done(alt) = self.alt else { return self.node.map(|node| (node, self.is_whole)) };
        let alt = alt.filter(|alt| !alt.is_empty());
        self.node.map(|node| (node.with("alt", alt), self.is_whole))
    }

    /// Escapes and entities are pieces of their own in markdown-it, and so is a backslash with what follows it.
    fn text(&mut self, text: &str, source: &str, at: &Range<usize>) {
        let verbatim = source.get(at.clone()) == Some(text);
        match &mut self.alt {
            Alt::Empty if !verbatim => self.alt = Alt::Done(Some(text.to_owned())),
            // What stands before it is a backslash, and the escaped character is the whole first piece.
            Alt::Empty if at.start > self.label => {
                let first = text.chars().next();
                self.is_whole &= text.chars().nth(1).is_none();
                self.alt = Alt::Done(first.map(String::from));
            }
            Alt::Empty => {
                let piece = first_piece(text);
                self.is_whole &= piece.len() == text.len();
                self.alt = if piece.len() < text.len() {
                    Alt::Done(Some(piece.to_owned()))
                } else {
                    Alt::Text(text.to_owned(), at.end)
                };
            }
            Alt::Text(alt, end) if verbatim && *end == at.start => {
                let piece = text.find('\\').and_then(|at| text.get(..at)).unwrap_or(text);
                alt.push_str(piece);
                *end = at.end;
                if piece.len() < text.len() {
                    self.is_whole = false;
                    self.finish_alt();
                }
            }
            Alt::Text(..) => {
                self.is_whole = false;
                self.finish_alt();
            }
            Alt::Done(_) => self.is_whole = false,
        }
    }

    fn finish_alt(&mut self) {
        self.alt = match std::mem::replace(&mut self.alt, Alt::Empty) {
            Alt::Empty => Alt::Done(None),
            Alt::Text(text, _) => Alt::Done(Some(text)),
            done @ Alt::Done(_) => done,
        };
    }
}

/// Text up to a backslash; one at the beginning is a piece together with the character it does not escape.
fn first_piece(text: &str) -> &str {
    let end = match text.find('\\') {
        Some(0) => text.char_indices().nth(2).map(|(at, _)| at),
        found => found,
    };
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}
