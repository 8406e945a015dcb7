//! The editor's schema: which attributes, in which order marks nest, what may stand where.
//!
//! Clients delete what their schema does not know, so nothing else may be emitted. Lists have no `tight`
//! attribute here: the editor builds them from `prosemirror-schema-list`, so every list is written loose.

use serde_json::Value;

use super::node::{Attrs, Child, Mark, Node};

/// Marks from the outermost to the innermost, as `prosemirror-schema-basic` declares them.
const MARKS: [&str; 4] = ["link", "em", "strong", "code"];

/// The kinds of record a `civicRef` may point to; anything else is read as the first.
pub(super) const REF_TYPES: [&str; 3] = ["record", "geography", "attachment"];

/// Place of a mark in a set: known ones by nesting, unknown ones after them.
pub fn mark_rank(name: &str) -> usize {
    MARKS.iter().position(|known| *known == name).unwrap_or(MARKS.len())
}

/// Whether the mark belongs to the schema.
pub fn knows_mark(name: &str) -> bool {
    MARKS.contains(&name)
}

/// Whether nodes of this name stand within a line of text.
pub fn is_inline(name: &str) -> bool {
    matches!(name, "image" | "hard_break" | "civicRef")
}

/// Whether nodes of this name hold a line of text.
pub fn is_textblock(name: &str) -> bool {
    matches!(name, "paragraph" | "heading" | "code_block")
}

/// Whether nodes of this name hold blocks that can be compared one by one.
pub(super) fn is_container(name: &str) -> bool {
    matches!(name, "blockquote" | "ordered_list" | "bullet_list" | "list_item")
}

/// Adds the default of every attribute that the schema declares and `attrs` lacks.
pub(super) fn fill_attrs(name: &str, attrs: &mut Attrs) {
    let mut default = |key: &str, value: Value| {
        attrs.entry(key.to_owned()).or_insert(value);
    };
    match name {
        "heading" => default("level", 1.into()),
        "code_block" => default("params", "".into()),
        "ordered_list" => default("order", 1.into()),
        "image" => {
            default("alt", Value::Null);
            default("title", Value::Null);
        }
        "table_cell" | "table_header" => {
            default("colspan", 1.into());
            default("rowspan", 1.into());
            default("colwidth", Value::Null);
            default("align", Value::Null);
        }
        "civicRef" => {
            default("refType", "record".into());
            default("id", "".into());
            default("label", "".into());
        }
        _ => {}
    }
}

/// Adds the default of every attribute that the schema declares for a mark and `mark` lacks.
pub(super) fn fill_mark(mark: &mut Mark) {
    if mark.name == "link" {
        mark.attrs.entry("title".to_owned()).or_insert(Value::Null);
    }
}

/// Makes the content valid the way `ProseMirror`'s `createAndFill` does: with empty paragraphs.
pub(super) fn fill_content(node: &mut Node) {
    match node.name.as_ref() {
        "doc" | "blockquote" | "table_cell" | "table_header" if node.content.is_empty() => {
            node.push(Node::new("paragraph"));
        }
        "list_item" if !starts_with_paragraph(node) => {
            node.content.insert(0, Child::Node(Node::new("paragraph")));
        }
        _ => {}
    }
}

fn starts_with_paragraph(node: &Node) -> bool {
    matches!(node.content.first(), Some(Child::Node(first)) if first.name == "paragraph")
}

/// Adds a mark to a set. A mark excludes another of its own type, so the newer one replaces it.
pub(super) fn add_mark(set: &mut Vec<Mark>, mark: Mark) {
    remove_mark(set, &mark.name);
    let at = set.partition_point(|other| mark_rank(&other.name) <= mark_rank(&mark.name));
    set.insert(at, mark);
}

/// Removes the mark of this type from a set.
pub(super) fn remove_mark(set: &mut Vec<Mark>, name: &str) {
    set.retain(|mark| mark.name != name);
}
