//! What a Markdown text holds and the editor's document cannot.
//!
//! The editor's own chain drops it without a word. Here it is reported, so that nobody saves a record without
//! what it had.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::Serialize;

use super::parse::parse_with_losses;

/// Losses reported of one text. Who has more will not read them all.
pub(super) const LOSSES_MAX: usize = 1000;
/// Characters quoted of what is lost.
const QUOTED_CHARS_MAX: usize = 60;

/// Something in a text that its document does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Where it begins: the line, counted from 1.
    pub line: usize,
    /// What it is, for people.
    pub what: String,
    /// The whole of it, so that two can be told apart.
    #[serde(skip)]
    content: u64,
}

/// Kinds of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Html,
    ExtraCells,
    Definition,
    Zero,
    Description,
    LinkedImage,
    EmptyLink,
    OuterLink,
    Depth,
    UnknownReference,
}

impl Kind {
    fn text(self) -> &'static str {
        match self {
            Self::Html => "HTML",
            Self::ExtraCells => "cells beyond the table's columns",
            Self::Definition => "a link definition that nothing uses",
            Self::Zero => "a list that begins with 0",
            Self::Description => "a part of an image's description",
            Self::LinkedImage => "the link of an image or reference",
            Self::EmptyLink => "a link without a text",
            Self::OuterLink => "a link around another",
            Self::Depth => "quotes and lists nested too deep",
            Self::UnknownReference => "a reference of an unknown kind",
        }
    }
}

impl Loss {
    pub(super) fn new(kind: Kind, line: usize, content: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (kind, content).hash(&mut hasher);
        Self {
            line,
            what: format!("{}: {}", kind.text(), quoted(content)),
            content: hasher.finish(),
        }
    }
}

/// The beginning of what is lost, on one line.
fn quoted(content: &str) -> String {
    let words: Vec<&str> = content.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// What `source` holds and `written`, the Markdown of a document made of it, does not. Both are bodies.
///
/// A line break in a table's cell, say, is written as HTML that no document is read from, but as long as the
/// document still has it, nothing is lost.
pub fn losses(source: &str, written: &str) -> Vec<Loss> {
    let mut lost = parse_with_losses(source).1;
    if lost.is_empty() {
        return lost;
    }
    let mut kept: HashMap<u64, usize> = HashMap::new();
    for loss in parse_with_losses(written).1 {
        *kept.entry(loss.content).or_default() += 1;
    }
    lost.retain(|loss| match kept.get_mut(&loss.content) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    });
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(source: &str) -> Vec<(usize, String)> {
        let (_, losses) = parse_with_losses(source);
        losses.into_iter().map(|loss| (loss.line, loss.what)).collect()
    }

    #[test]
    fn whatever_a_document_cannot_hold_is_reported_with_its_line() {
        let table = [
            ("plain *text*\n\n* a\n* b", vec![]),
            (
                "<!--civic-ref type=\"record\" id=\"a\" label=\"b\"--> at the start",
                vec![(
                    1,
                    "HTML: <!--civic-ref type=\"record\" id=\"a\" label=\"b\"--> at the start",
                )],
            ),
            ("a <!--civic-ref type=\"record\" id=\"a\" label=\"b\"-->", vec![]),
            (
                "a <!--civic-ref type=\"planet\" id=\"a\" label=\"b\"-->",
                vec![(
                    1,
                    "a reference of an unknown kind: <!--civic-ref type=\"planet\" id=\"a\" label=\"b\"-->",
                )],
            ),
            ("one\n\ntwo <u>three</u>", vec![(3, "HTML: <u>"), (3, "HTML: </u>")]),
            ("one\r\n\r\n<div>\r\nx\r\n</div>\r\n", vec![(3, "HTML: <div> x </div>")]),
            (
                "| a |\n|---|\n| b |\n| c | d | e |",
                vec![(4, "cells beyond the table's columns: d | e |")],
            ),
            ("| a |\n|---|\n| b |  |", vec![]),
            (
                "[a]: /x\n[b]: /y\n\nsee [b]",
                vec![(1, "a link definition that nothing uses: [a]: /x")],
            ),
            ("text\n\n0. none\n1. one", vec![(3, "a list that begins with 0: 0. none")]),
            (
                "![a](x) ![b `c`](y)\n![d *e*](z)",
                vec![
                    (1, "a part of an image's description: ![b `c`](y)"),
                    (2, "a part of an image's description: ![d *e*](z)"),
                ],
            ),
            ("*a ![b](c) d*", vec![]),
            ("[a](b) [](c)", vec![(1, "a link without a text: [](c)")]),
            ("[a <http://b>](c)", vec![(1, "a link around another: <http://b>")]),
            ("[![b](c)](d)", vec![(1, "the link of an image or reference: ![b](c)")]),
        ];
        for (source, expected) in table {
            let expected: Vec<_> =
                expected.into_iter().map(|(line, what)| (line, what.to_owned())).collect();
            assert_eq!(lost(source), expected, "{source:?}");
        }
        let deep = format!("{} deep", ">".repeat(1000));
        assert_eq!(lost(&deep).len(), 1);
        assert_eq!(lost(&"<b>".repeat(5000)).len(), LOSSES_MAX);
    }

    #[test]
    fn what_is_written_again_is_not_lost() {
        let lines = |source, written| -> Vec<usize> {
            losses(source, written).iter().map(|loss| loss.line).collect()
        };
        let source = "| a |\n|---|\n| b<br>c |\n| d<br>e |\n\n<!-- note -->";
        assert_eq!(lines(source, "| a |\n|---|\n| bc |\n| de |"), [3, 4, 6]);
        assert_eq!(lines(source, "| a |\n|---|\n| b<br>c |\n| de |"), [4, 6]);
        assert_eq!(lines(source, "| a |\n|---|\n| b<br>c |\n| d<br>e! |"), [6]);
        assert!(lines("same", "other <b>").is_empty());
    }
}
