//! What a document refers to: other records, places, attachments.

use serde::Serialize;

use super::node::{Child, Node};

/// A reference that stands in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// `record`, `geography` or `attachment`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it points to, by its own id.
    pub id: String,
    /// What is shown for it.
    pub label: String,
}

/// All references, in the document's order; what is referred to twice is there twice.
pub fn references(doc: &Node) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut stack = vec![doc];
    while let Some(node) = stack.pop() {
        if node.name == "civicRef" {
            found.push(Reference {
                kind: node.str_attr("refType").to_owned(),
                id: node.str_attr("id").to_owned(),
                label: node.str_attr("label").to_owned(),
            });
        }
        stack.extend(node.content.iter().rev().filter_map(|child| match child {
            Child::Node(node) => Some(node),
            Child::Text(_) => None,
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::markdown::parse;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let one =
            |kind: &str| format!("<!--civic-ref type=\"{kind}\" id=\"{kind}-1\" label=\"L\"-->");
        let (record, place, file) = (one("record"), one("geography"), one("attachment"));
        let text =
            format!("# See {record}\n\n* a\n  > b {place}\n\n| c |\n|---|\n| d {file} {record} |");
        let found = references(&parse(&text));
        let kinds: Vec<&str> = found.iter().map(|found| found.kind.as_str()).collect();
        assert_eq!(kinds, ["record", "geography", "attachment", "record"]);
        assert_eq!((found[1].id.as_str(), found[1].label.as_str()), ("geography-1", "L"));
    }
}
