//! Lines of text: breaks, code, links, images.

use std::ops::Range;

use pulldown_cmark::LinkType;

use super::super::node::{Mark, Node};
use super::super::{links, loss::Kind, schema};
use super::image::Image;
use super::{Builder, Frame, Open};

impl Builder<'_> {
    /// A line's end, as markdown-it reads it: hard after a backslash or two spaces, which go; other white
    /// space stays, but for one space.
    pub(super) fn line_break(&mut self, start: usize) {
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

    /// Whether nothing but white space, and the marks that may close a heading, follows in a heading's line.
    pub(super) fn ends_heading(&self, end: usize) -> bool {
        self.top_is(&["heading"]) && {
            let line = self.source.get(end..).and_then(|rest| rest.lines().next());
            line.is_none_or(|rest| rest.bytes().all(|byte| b" \t#".contains(&byte)))
        }
    }

    pub(super) fn begin_link(
        &mut self,
        kind: LinkType,
        url: &str,
        title: &str,
        range: &Range<usize>,
    ) -> Open {
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
        self.link_shows = false;
        if self.is_in_link() {
            self.losses.add(Kind::OuterLink, range.clone());
        }
        let mut link = Mark::plain("link");
        link.attrs.insert("href".to_owned(), href.into());
        link.attrs.insert("title".to_owned(), non_empty(title).into());
        self.begin_mark("link", link)
    }

    pub(super) fn begin_image(&mut self, url: &str, title: &str, range: Range<usize>) {
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

    pub(super) fn begin_mark(&mut self, name: &'static str, mark: Mark) -> Open {
        self.begin_inline();
        if let Some(top) = self.frames.last_mut() {
            schema::add_mark(&mut top.marks, mark);
        }
        Open::Mark(name)
    }

    /// Inline content of a tight list item comes without a paragraph: begin one.
    pub(super) fn begin_inline(&mut self) {
        let in_text = self.frames.last().is_some_and(|top| schema::is_textblock(&top.node.name));
        if !in_text {
            self.frames.push(Frame {
                node: Node::new("paragraph"),
                marks: Vec::new(),
                implied: true,
            });
        }
    }

    pub(super) fn code(&mut self, code: &str) {
        self.begin_inline();
        // markdown-it takes a space off each side of code that is nothing but spaces, too.
        let spaces = code.len() > 2 && code.bytes().all(|byte| byte == b' ');
        let code = if spaces { code.get(2..).unwrap_or_default() } else { code };
        self.link_shows = true;
        if let Some(top) = self.frames.last_mut() {
            let mut marks = top.marks.clone();
            schema::add_mark(&mut marks, Mark::plain("code"));
            top.node.push_text(code, &marks);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.begin_inline();
        self.link_shows |= !text.is_empty();
        if let Some(top) = self.frames.last_mut() {
            top.node.push_text(text, &top.marks);
        }
    }

    fn is_in_link(&self) -> bool {
        self.frames.last().is_some_and(|top| top.marks.iter().any(|mark| mark.name == "link"))
    }

    /// The same of one that may be linked. The shared document has no marks on atoms, as in y-prosemirror.
    pub(super) fn atom_in_link(&mut self, node: Node, range: Range<usize>) {
        if self.is_in_link() {
            self.losses.add(Kind::LinkedImage, range);
        }
        self.atom(node);
    }

    pub(super) fn atom(&mut self, mut node: Node) {
        self.begin_inline();
        self.link_shows = true;
        if let Some(top) = self.frames.last_mut() {
            node.marks.clone_from(&top.marks);
            top.node.push(node);
        }
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
