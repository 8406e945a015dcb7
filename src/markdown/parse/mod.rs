//! Markdown to the document tree: pulldown-cmark's events, told in the editor's schema.

mod image;
mod inline;
mod losses;

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::node::{Mark, Node};
use super::{
    civic_ref, links,
    loss::{Kind, Loss},
    schema,
};
use crate::limits::XML_DEPTH_MAX;
use image::Image;
use losses::Losses;

/// Open nodes under which nothing deeper is begun: leaves room for a table or list and its text.
const OPEN_MAX: usize = XML_DEPTH_MAX - 6;

/// Reads a Markdown body (without front matter) as a `doc` node. Every text is valid Markdown.
///
/// What is nested deeper than [`XML_DEPTH_MAX`] is kept, without its deepest quotes and lists.
pub fn parse(markdown: &str) -> Node {
    parse_with_losses(markdown).0
}

/// The same, with what of the text is not in the document, in its order.
pub fn parse_with_losses(markdown: &str) -> (Node, Vec<Loss>) {
    let source = normalize(markdown);
    let mut builder = Builder::new(&source);
    let mut events = Parser::new_ext(&source, Options::ENABLE_TABLES).into_offset_iter();
    for (event, range) in events.by_ref() {
        builder.event(event, range);
    }
    let mut definitions: Vec<_> = events.reference_definitions().iter().collect();
    definitions.sort_unstable_by_key(|(_, definition)| definition.span.start);
    for (label, definition) in definitions {
        builder.losses.definition(label, definition.span.clone());
    }
    builder.finish()
}

/// Line ends and NUL as markdown-it normalises them. It has no last line of white space alone.
fn normalize(markdown: &str) -> Cow<'_, str> {
    let end = markdown.trim_end_matches([' ', '\t']);
    let blank = end.is_empty() || end.ends_with(['\n', '\r']);
    let markdown = if blank { end } else { markdown };
    if markdown.contains(['\r', '\0']) {
        markdown.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}").into()
    } else {
        markdown.into()
    }
}

/// What an event began, so that its end can be told.
enum Open {
    Node,
    /// A cell and the paragraph within it.
    Cell,
    Mark(&'static str),
    /// A link whose target is refused: its source stands as text.
    Refused,
    /// An HTML block: dropped, with the white space before its lines.
    Html,
    /// Nothing: nesting beyond the bound.
    Nothing,
}

/// A node under construction and the marks active in it.
struct Frame {
    node: Node,
    marks: Vec<Mark>,
    /// A tight list item's paragraph, which has no event of its own.
    implied: bool,
}

struct Builder<'a> {
    source: &'a str,
    frames: Vec<Frame>,
    open: Vec<Open>,
    alignments: Vec<Alignment>,
    column: usize,
    /// Where the last cell ended in the source.
    cell_end: usize,
    in_head: bool,
    image: Option<Image>,
    /// Within `<https://…>`, whose text is shown decoded.
    in_autolink: bool,
    /// Whether anything stands in the link that was begun last.
    link_shows: bool,
    /// Where the label of a refused link ends, as far as it has been read. Links do not nest.
    refused_end: usize,
    /// Where the last inline content ended in the source.
    inline_end: usize,
    losses: Losses<'a>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a str) -> Self {
        let doc = Frame { node: Node::new("doc"), marks: Vec::new(), implied: false };
        Self {
            source,
            frames: vec![doc],
            open: Vec::new(),
            alignments: Vec::new(),
            column: 0,
            cell_end: 0,
            in_head: false,
            image: None,
            in_autolink: false,
            link_shows: false,
            refused_end: 0,
            inline_end: 0,
            losses: Losses::new(source),
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        if !matches!(event, Event::End(TagEnd::Link)) {
            self.refused_end = range.end;
        }
        if let Some(image) = &mut self.image {
            if image.event(event, self.source, &range)
                && let Some((node, is_whole)) = self.image.take().and_then(Image::finish)
            {
                if !is_whole {
                    self.losses.add(Kind::Description, range.clone());
                }
                self.atom_in_link(node, range);
            }
            return;
        }
        let end = range.end;
        let ends_inline = !matches!(event, Event::Start(_) | Event::SoftBreak | Event::HardBreak);
        self.tell(event, range);
        if ends_inline {
            self.inline_end = end;
        }
    }

    fn tell(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, &range),
            Event::Text(_) if matches!(self.open.last(), Some(Open::Html)) => {}
            Event::Text(text) => {
                if self.in_autolink {
                    self.text(&links::readable(&text));
                } else if self.ends_heading(range.end) {
                    self.text(text.trim_end_matches('\t'));
                } else {
                    self.text(&text);
                }
            }
            Event::Code(text) => self.code(&text),
            Event::InlineHtml(html) => {
                self.begin_inline();
                match civic_ref::parse(&html) {
                    Some(node) => {
                        if !civic_ref::is_of_known_kind(&html, &node) {
                            self.losses.add(Kind::UnknownReference, range.clone());
                        }
                        self.atom_in_link(node, range);
                    }
                    None => self.losses.add(Kind::Html, range),
                }
            }
            Event::SoftBreak | Event::HardBreak => self.line_break(range.start),
            Event::Rule => {
                self.end_implied();
                self.push(Node::new("horizontal_rule"));
            }
            // HTML blocks are dropped; the rest is not enabled.
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        let open = match tag {
            Tag::Paragraph => self.begin(Node::new("paragraph")),
            Tag::Heading { level, .. } => {
                self.begin(Node::new("heading").with("level", level_number(level)))
            }
            Tag::BlockQuote(_) => self.begin_nested("blockquote", range.start, |node| node),
            Tag::CodeBlock(kind) => {
                let params = match kind {
                    CodeBlockKind::Fenced(_) => self.fence_params(range.start),
                    CodeBlockKind::Indented => "",
                };
                self.begin(Node::new("code_block").with("params", params))
            }
            Tag::List(None) => self.begin_nested("bullet_list", range.start, |node| node),
            Tag::List(Some(first)) => {
                // The editor reads a list's zero as "not given".
                if first == 0 {
                    self.losses.add_line(Kind::Zero, range.start);
                }
                let start = range.start;
                self.begin_nested("ordered_list", start, |node| node.with("order", first.max(1)))
            }
            Tag::Item => self.begin_within(&["bullet_list", "ordered_list"], "list_item"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.begin_nested("table", range.start, |node| node)
            }
            Tag::TableHead | Tag::TableRow => {
                self.in_head = matches!(tag, Tag::TableHead);
                self.column = 0;
                self.begin_within(&["table"], "table_row")
            }
            Tag::TableCell => self.begin_cell(),
            Tag::Emphasis => self.begin_mark("em", Mark::plain("em")),
            Tag::Strong => self.begin_mark("strong", Mark::plain("strong")),
            Tag::Link { link_type, dest_url, title, id } => {
                self.losses.uses(link_type, &id);
                self.begin_link(link_type, &dest_url, &title, &range)
            }
            Tag::Image { link_type, dest_url, title, id } => {
                self.losses.uses(link_type, &id);
                return self.begin_image(&dest_url, &title, range);
            }
            _ => {
                self.end_implied();
                self.losses.add(Kind::Html, range);
                Open::Html
            }
        };
        self.open.push(open);
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::TableCell => self.cell_end = range.end,
            TagEnd::TableRow => self.losses.cells_after(self.cell_end..range.end),
            _ => {}
        }
        if matches!(tag, TagEnd::Item | TagEnd::BlockQuote(_) | TagEnd::List(_)) {
            self.end_implied();
        }
        match self.open.pop() {
            Some(Open::Node) => self.close(),
            Some(Open::Cell) => {
                self.close();
                self.close();
            }
            Some(Open::Mark(name)) => {
                self.in_autolink = false;
                if name == "link" && !self.link_shows {
                    self.losses.add(Kind::EmptyLink, range.clone());
                }
                if let Some(top) = self.frames.last_mut() {
                    schema::remove_mark(&mut top.marks, name);
                }
            }
            Some(Open::Refused) => {
                let rest = self.source.get(self.refused_end..range.end).unwrap_or_default();
                self.text(rest);
            }
            Some(Open::Html | Open::Nothing) | None => {}
        }
    }

    /// The info string as it stands in the source: markdown-it neither trims nor unescapes it.
    fn fence_params(&self, start: usize) -> &'a str {
        let line =
            self.source.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let line = line.trim_start_matches(' ');
        let fence = line.chars().next().unwrap_or('`');
        line.trim_start_matches(fence)
    }

    fn begin_cell(&mut self) -> Open {
        let name = if self.in_head { "table_header" } else { "table_cell" };
        let Open::Node = self.begin_within(&["table_row"], name) else { return Open::Nothing };
        let align = match self.alignments.get(self.column) {
            Some(Alignment::Left) => Some("left"),
            Some(Alignment::Center) => Some("center"),
            Some(Alignment::Right) => Some("right"),
            Some(Alignment::None) | None => None,
        };
        self.column += 1;
        if let (Some(align), Some(top)) = (align, self.frames.last_mut()) {
            top.node.attrs.insert("align".to_owned(), align.into());
        }
        self.begin(Node::new("paragraph"));
        Open::Cell
    }

    /// Begins a quote, list or table, unless the document is already as deep as it may be.
    fn begin_nested(
        &mut self,
        name: &'static str,
        start: usize,
        with: impl FnOnce(Node) -> Node,
    ) -> Open {
        self.end_implied();
        if self.frames.len() >= OPEN_MAX {
            self.losses.too_deep(start);
            return Open::Nothing;
        }
        self.begin(with(Node::new(name)))
    }

    /// Begins a part of a list or table, unless that was not begun itself.
    fn begin_within(&mut self, parents: &[&str], name: &'static str) -> Open {
        self.end_implied();
        if self.top_is(parents) { self.begin(Node::new(name)) } else { Open::Nothing }
    }

    fn begin(&mut self, node: Node) -> Open {
        self.end_implied();
        self.frames.push(Frame { node, marks: Vec::new(), implied: false });
        Open::Node
    }

    fn end_implied(&mut self) {
        if self.frames.last().is_some_and(|top| top.implied) {
            self.close();
        }
    }

    fn push(&mut self, node: Node) {
        if let Some(top) = self.frames.last_mut() {
            top.node.push(node);
        }
    }

    fn close(&mut self) {
        let Some(Frame { mut node, .. }) = self.frames.pop() else { return };
        if node.name == "code_block" {
            drop_last_newline(&mut node);
        }
        schema::fill_content(&mut node);
        self.push(node);
    }

    fn top_is(&self, names: &[&str]) -> bool {
        self.frames.last().is_some_and(|top| names.contains(&top.node.name.as_ref()))
    }

    fn finish(mut self) -> (Node, Vec<Loss>) {
        while self.frames.len() > 1 {
            self.close();
        }
        let mut doc = self.frames.pop().map_or_else(|| Node::new("doc"), |frame| frame.node);
        schema::fill_content(&mut doc);
        (doc, self.losses.finish())
    }
}

fn drop_last_newline(node: &mut Node) {
    let Some(super::node::Child::Text(last)) = node.content.last_mut() else { return };
    if last.text.ends_with('\n') {
        last.text.pop();
    }
    if last.text.is_empty() {
        node.content.pop();
    }
}

fn level_number(level: HeadingLevel) -> u8 {
    level as u8
}
