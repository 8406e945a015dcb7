//! Markdown to the document tree: pulldown-cmark's events, told in the editor's schema.

mod image;

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{
    Alignment, CodeBlockKind, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd,
};

use super::node::{Mark, Node};
use super::{civic_ref, links, schema};
use crate::limits::XML_DEPTH_MAX;
use image::Image;

/// Open nodes under which nothing deeper is begun: leaves room for a table or list and its text.
const OPEN_MAX: usize = XML_DEPTH_MAX - 6;

/// Reads a Markdown body (without front matter) as a `doc` node. Every text is valid Markdown.
///
/// What is nested deeper than [`XML_DEPTH_MAX`] is kept, without its deepest quotes and lists.
pub fn parse(markdown: &str) -> Node {
    let source = normalize(markdown);
    let mut builder = Builder::new(&source);
    for (event, range) in Parser::new_ext(&source, Options::ENABLE_TABLES).into_offset_iter() {
        builder.event(event, range);
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
    in_head: bool,
    image: Option<Image>,
    /// Within `<https://…>`, whose text is shown decoded.
    in_autolink: bool,
    /// Where the label of a refused link ends, as far as it has been read. Links do not nest.
    refused_end: usize,
    /// Where the last inline content ended in the source.
    inline_end: usize,
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
            in_head: false,
            image: None,
            in_autolink: false,
            refused_end: 0,
            inline_end: 0,
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        if !matches!(event, Event::End(TagEnd::Link)) {
            self.refused_end = range.end;
        }
        if let Some(image) = &mut self.image {
            if image.event(event, self.source, &range)
                && let Some(node) = self.image.take().and_then(Image::finish)
            {
                self.atom(node);
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
                if let Some(node) = civic_ref::parse(&html) {
                    self.atom(node);
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
            Tag::BlockQuote(_) => self.begin_nested("blockquote", |node| node),
            Tag::CodeBlock(kind) => {
                let params = match kind {
                    CodeBlockKind::Fenced(_) => self.fence_params(range.start),
                    CodeBlockKind::Indented => "",
                };
                self.begin(Node::new("code_block").with("params", params))
            }
            Tag::List(None) => self.begin_nested("bullet_list", |node| node),
            // The editor reads a list's zero as "not given".
            Tag::List(Some(first)) => {
                self.begin_nested("ordered_list", |node| node.with("order", first.max(1)))
            }
            Tag::Item => self.begin_within(&["bullet_list", "ordered_list"], "list_item"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.begin_nested("table", |node| node)
            }
            Tag::TableHead | Tag::TableRow => {
                self.in_head = matches!(tag, Tag::TableHead);
                self.column = 0;
                self.begin_within(&["table"], "table_row")
            }
            Tag::TableCell => self.begin_cell(),
            Tag::Emphasis => self.begin_mark("em", Mark::plain("em")),
            Tag::Strong => self.begin_mark("strong", Mark::plain("strong")),
            Tag::Link { link_type, dest_url, title, .. } => {
                self.begin_link(link_type, &dest_url, &title, &range)
            }
            Tag::Image { dest_url, title, .. } => {
                return self.begin_image(&dest_url, &title, range);
            }
            _ => {
                self.end_implied();
                Open::Html
            }
        };
        self.open.push(open);
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
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

    /// Whether nothing but white space, and the marks that may close a heading, follows in a heading's line.
    fn ends_heading(&self, end: usize) -> bool {
        self.top_is(&["heading"]) && {
            let line = self.source.get(end..).and_then(|rest| rest.lines().next());
            line.is_none_or(|rest| rest.bytes().all(|byte| b" \t#".contains(&byte)))
        }
    }

    /// A line's end, as markdown-it reads it: hard after a backslash or two spaces, which go; other white
    /// space stays, but for one space.
    fn line_break(&mut self, start: usize) {
        let source = self.source;
        let length = source.get(start..).and_then(|rest| rest.find('\n')).unwrap_or(0);
        let line = source.get(self.inline_end..start + length).unwrap_or_default();
        let before = line.trim_end_matches([' ', '\t']);
        if before.ends_with('\\') && before.len() == line.len() {
            return self.atom(Node::new("hard_break"));
        }
        let space = line.get(before.len()..).unwrap_or_default();
        let kept = space.trim_end_matches(' ');
        self.text(kept);
        if space.len() - kept.len() >= 2 {
            self.atom(Node::new("hard_break"));
        } else {
            self.text(" ");
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

    fn begin_link(&mut self, kind: LinkType, url: &str, title: &str, range: &Range<usize>) -> Open {
        let href = match kind {
            LinkType::Email => links::normalize(&format!("mailto:{url}")),
            _ => links::normalize(url),
        };
        self.begin_inline();
        if !links::is_safe(&href) {
            let opening = if matches!(kind, LinkType::Autolink) { "<" } else { "[" };
            self.text(opening);
            self.refused_end = range.start + opening.len();
            return Open::Refused;
        }
        self.in_autolink = matches!(kind, LinkType::Autolink | LinkType::Email);
        let mut link = Mark::plain("link");
        link.attrs.insert("href".to_owned(), href.into());
        link.attrs.insert("title".to_owned(), non_empty(title).into());
        self.begin_mark("link", link)
    }

    fn begin_image(&mut self, url: &str, title: &str, range: Range<usize>) {
        self.begin_inline();
        let src = links::normalize(url);
        if links::is_safe(&src) {
            let node = Node::new("image").with("src", src).with("title", non_empty(title));
            self.image = Some(Image::new(Some(node), range.start));
        } else {
            // Its source stands as text, so the events of its label are swallowed.
            let start = range.start;
            self.text(self.source.get(range).unwrap_or_default());
            self.image = Some(Image::new(None, start));
        }
    }

    /// Begins a quote, list or table, unless the document is already as deep as it may be.
    fn begin_nested(&mut self, name: &'static str, with: impl FnOnce(Node) -> Node) -> Open {
        self.end_implied();
        if self.frames.len() >= OPEN_MAX {
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

    fn begin_mark(&mut self, name: &'static str, mark: Mark) -> Open {
        self.begin_inline();
        if let Some(top) = self.frames.last_mut() {
            schema::add_mark(&mut top.marks, mark);
        }
        Open::Mark(name)
    }

    /// Inline content of a tight list item comes without a paragraph: begin one.
    fn begin_inline(&mut self) {
        let in_text = self.frames.last().is_some_and(|top| schema::is_textblock(&top.node.name));
        if !in_text {
            self.frames.push(Frame {
                node: Node::new("paragraph"),
                marks: Vec::new(),
                implied: true,
            });
        }
    }

    fn end_implied(&mut self) {
        if self.frames.last().is_some_and(|top| top.implied) {
            self.close();
        }
    }

    fn code(&mut self, code: &str) {
        self.begin_inline();
        // markdown-it takes a space off each side of code that is nothing but spaces, too.
        let spaces = code.len() > 2 && code.bytes().all(|byte| byte == b' ');
        let code = if spaces { code.get(2..).unwrap_or_default() } else { code };
        if let Some(top) = self.frames.last_mut() {
            let mut marks = top.marks.clone();
            schema::add_mark(&mut marks, Mark::plain("code"));
            top.node.push_text(code, &marks);
        }
    }

    fn text(&mut self, text: &str) {
        self.begin_inline();
        if let Some(top) = self.frames.last_mut() {
            top.node.push_text(text, &top.marks);
        }
    }

    fn atom(&mut self, mut node: Node) {
        self.begin_inline();
        if let Some(top) = self.frames.last_mut() {
            node.marks.clone_from(&top.marks);
            top.node.push(node);
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

    fn finish(mut self) -> Node {
        while self.frames.len() > 1 {
            self.close();
        }
        let mut doc = self.frames.pop().map_or_else(|| Node::new("doc"), |frame| frame.node);
        schema::fill_content(&mut doc);
        doc
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

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
