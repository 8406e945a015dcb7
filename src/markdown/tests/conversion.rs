//! What the comparison with the editor's chain (`tests/markdown/`) does not cover: bounds, strangers, fixed points.

use std::fmt::Write as _;

use yrs::{Any, Text, Xml, XmlElementPrelim, XmlFragment, XmlTextPrelim};

use super::super::{Child, Node, parse_with_losses};
use super::*;
use crate::limits::XML_DEPTH_MAX;

/// Markdown that is already as the serializer writes it.
const CANONICAL: &[&str] = &[
    "",
    "Hello *big* **world** with `code`",
    "# One\n\n## Two\n\ntext",
    "* a\n\n* b\n\n  * c",
    " 9. nine\n\n10. ten",
    "* a\n\n1. b",
    "> quote\n>\n> > deeper",
    "```js\nlet a = 1\n\nlet b\n```",
    "````\n```\n````",
    "| a | b |\n| --- | :-: |\n| 1 | *2* |",
    "> | a |\n> | --- |\n> | x \\| y |",
    "* item\n\n  | a |\n  | --- |\n  | 1 |",
    "one\\\ntwo",
    "[text](https://example.org \"Title\") and <https://example.org>",
    "![alt](a.png \"T\")",
    "See <!--civic-ref type=\"record\" id=\"r-1\" label=\"The &quot;one&quot;\"-->.",
    "\\# not a heading, 1\\*2\\*3, a\\_ \\[x\\]",
    "1\\. not a list",
    "---",
    "emoji 😀 and *é*",
];

#[test]
fn canonical_text_is_a_fixed_point() {
    for markdown in CANONICAL {
        assert_eq!(serialize(&parse(markdown)), *markdown);
        for naming in [Naming::CivicPress, Naming::Tiptap] {
            let live = Live::named(markdown, naming);
            assert_eq!(live.markdown(), *markdown, "through the shared document of {naming:?}");
        }
    }
}

#[test]
fn the_same_text_gives_the_same_update() {
    for markdown in CANONICAL {
        assert_eq!(Live::new(markdown).update(), Live::new(markdown).update());
    }
}

fn depth(node: &Node) -> usize {
    let below = node.content.iter().map(|child| match child {
        Child::Node(node) => depth(node),
        Child::Text(_) => 1,
    });
    1 + below.max().unwrap_or(0)
}

#[test]
fn deep_nesting_is_flattened_and_keeps_its_text() {
    let mut indented = String::new();
    for level in 0..400 {
        writeln!(indented, "{}- item {level}", "  ".repeat(level)).unwrap();
    }
    for markdown in [
        format!("{} deep", ">".repeat(10_000)),
        format!("{} deep", "- ".repeat(10_000)),
        format!("{} deep", "> 1. ".repeat(2_000)),
        format!("{}deep{}", "*a **b ".repeat(2_000), "** *".repeat(2_000)),
        format!("{}deep{}", "[".repeat(10_000), "](x)".repeat(10_000)),
        format!("{indented}{}deep", "  ".repeat(401)),
    ] {
        let node = parse(&markdown);
        assert!(depth(&node) <= XML_DEPTH_MAX, "{}", depth(&node));
        assert!(node.text_content().contains("deep"));
        let live = Live::empty(1);
        live.edit(|txn, root| write_fragment(txn, root, &node, Naming::CivicPress));
        assert!(live.markdown().contains("deep"));
    }
}

/// What takes quadratic time never ends here; `npm run bench:markdown` shows how the time grows.
#[test]
fn a_megabyte_of_hard_markup_is_read_and_written() {
    const BYTES: usize = 1 << 20;
    for unit in [
        "> ",
        "- ",
        "1. > ",
        "[",
        "[a](",
        "![",
        "*",
        "*a **b ",
        "_",
        "`",
        "`` ` ",
        "<a ",
        "<!--",
        "&a",
        "\\",
        "|",
        "[a]: /x\n",
        "a  \n",
        "# ",
        "~~~\n",
    ] {
        let text = unit.repeat(BYTES / unit.len());
        let (tree, losses) = parse_with_losses(&text);
        assert!(losses.len() <= 1000, "{unit}");
        assert!(depth(&tree) <= XML_DEPTH_MAX, "{unit}");
        assert!(serialize(&tree).len() <= 16 * BYTES, "{unit}");
    }
    let table = format!("|a|b|\n|-|-|\n{}", "|c|d|e|\n".repeat(BYTES / 8));
    assert_eq!(parse(&serialize(&parse(&table))), parse(&table));
}

#[test]
fn elements_beyond_the_bound_are_read_as_text() {
    let live = Live::empty(1);
    live.edit(|txn, root| {
        let mut parent = root.push_back(txn, XmlElementPrelim::empty("blockquote"));
        for _ in 0..XML_DEPTH_MAX + 50 {
            parent = parent.push_back(txn, XmlElementPrelim::empty("blockquote"));
        }
        let paragraph = parent.push_back(txn, XmlElementPrelim::empty("paragraph"));
        paragraph.push_back(txn, XmlTextPrelim::new("deep"));
    });
    let node = live.node();
    assert!(depth(&node) <= XML_DEPTH_MAX + 1);
    assert_eq!(node.text_content(), "deep");
    assert!(serialize(&node).contains("deep"));
}

#[test]
fn what_the_schema_does_not_know_is_kept_and_its_text_written() {
    let live = Live::empty(1);
    live.edit(|txn, root| {
        let callout = root.push_back(txn, XmlElementPrelim::empty("callout"));
        callout.insert_attribute(txn, "kind", Any::from("warning"));
        let paragraph = callout.push_back(txn, XmlElementPrelim::empty("paragraph"));
        let text = paragraph.push_back(txn, XmlTextPrelim::new("mind the gap"));
        let highlight = [("highlight--AbCd12+/".into(), Any::from(vec![true]))];
        text.format(txn, 0, 4, highlight.into());
        let mention = paragraph.push_back(txn, XmlElementPrelim::empty("mention"));
        mention.push_back(txn, XmlTextPrelim::new(" @ada"));
        root.push_back(txn, XmlTextPrelim::new("stray *text*"));
    });
    let node = live.node();
    let Some(Child::Node(callout)) = node.content.first() else { panic!("{node:?}") };
    assert_eq!((callout.name.as_ref(), callout.str_attr("kind")), ("callout", "warning"));
    let Some(Child::Node(paragraph)) = callout.content.first() else { panic!("{node:?}") };
    assert_eq!(paragraph.content.first().unwrap().marks().first().unwrap().name, "highlight");
    assert_eq!(serialize(&node), "mind the gap @ada\n\nstray \\*text\\*");
}

#[test]
fn tight_lists_of_other_editors_are_written_tight() {
    let live = Live::new("* a\n* b");
    live.edit(|txn, root| {
        let yrs::XmlOut::Element(list) = root.get(txn, 0).unwrap() else { panic!() };
        list.insert_attribute(txn, "tight", Any::from(true));
    });
    assert_eq!(live.markdown(), "* a\n* b");
}

#[test]
fn cells_stay_on_one_line() {
    let live = Live::new("| a | b |\n| - | - |\n| x | y |");
    live.edit(|txn, root| {
        let yrs::XmlOut::Element(table) = root.get(txn, 0).unwrap() else { panic!() };
        let yrs::XmlOut::Element(row) = table.get(txn, 1).unwrap() else { panic!() };
        let yrs::XmlOut::Element(cell) = row.get(txn, 0).unwrap() else { panic!() };
        let yrs::XmlOut::Element(paragraph) = cell.get(txn, 0).unwrap() else { panic!() };
        paragraph.push_back(txn, XmlElementPrelim::empty("hard_break"));
        paragraph.push_back(txn, XmlTextPrelim::new("one\r\r\n\ntwo|"));
    });
    assert_eq!(live.markdown(), "| a | b |\n| --- | --- |\n| x<br>one two\\| | y |");
}

#[test]
fn refused_targets_stand_as_their_source() {
    for markdown in ["[x *y*](javascript:alert(1))", "![x](vbscript:y)", "<javascript:x>"] {
        let node = parse(markdown);
        let text = node.text_content();
        assert_eq!(text, markdown.replace('*', ""), "{node:?}");
        assert!(!format!("{node:?}").contains("href"));
    }
}

#[test]
fn one_mark_of_a_kind_is_read_however_many_are_stored() {
    let live = Live::new("word");
    live.edit(|txn, root| {
        let yrs::XmlOut::Element(paragraph) = root.get(txn, 0).unwrap() else { panic!() };
        let yrs::XmlOut::Text(text) = paragraph.get(txn, 0).unwrap() else { panic!() };
        for hash in ["em--AAAAAAAA", "em--BBBBBBBB", "em"] {
            text.format(txn, 0, 4, [(hash.into(), Any::from(true))].into());
        }
    });
    assert_eq!(live.markdown(), "*word*");
}
