//! What nodes, attributes and marks are called in the shared document. Everywhere else they have the names of
//! CivicPress's editor.

/// A schema of editors, by what it calls things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// CivicPress's editor: `ProseMirror`'s own names, such as `bullet_list` and `em`.
    #[default]
    CivicPress,
    /// Tiptap's `StarterKit` and tables: `bulletList`, `italic`.
    Tiptap,
}

/// Ours and Tiptap's; what is not here has one name.
const NODES: [(&str, &str); 9] = [
    ("bullet_list", "bulletList"),
    ("code_block", "codeBlock"),
    ("hard_break", "hardBreak"),
    ("horizontal_rule", "horizontalRule"),
    ("list_item", "listItem"),
    ("ordered_list", "orderedList"),
    ("table_cell", "tableCell"),
    ("table_header", "tableHeader"),
    ("table_row", "tableRow"),
];
const MARKS: [(&str, &str); 2] = [("em", "italic"), ("strong", "bold")];
/// An attribute belongs to one node, so its name alone says which.
const ATTRS: [(&str, &str); 2] = [("order", "start"), ("params", "language")];

impl Naming {
    pub(super) fn stored_node(self, name: &str) -> &str {
        self.stored(&NODES, name)
    }

    pub(super) fn node(self, stored: &str) -> &str {
        self.ours(&NODES, stored)
    }

    pub(super) fn stored_mark(self, name: &str) -> &str {
        self.stored(&MARKS, name)
    }

    pub(super) fn mark(self, stored: &str) -> &str {
        self.ours(&MARKS, stored)
    }

    /// `node` is one of ours.
    pub(super) fn stored_attr<'a>(self, node: &str, name: &'a str) -> &'a str {
        if has_renamed_attr(node) { self.stored(&ATTRS, name) } else { name }
    }

    pub(super) fn attr<'a>(self, node: &str, stored: &'a str) -> &'a str {
        if has_renamed_attr(node) { self.ours(&ATTRS, stored) } else { stored }
    }

    fn stored<'a>(self, names: &[(&'static str, &'static str)], name: &'a str) -> &'a str {
        let found = || names.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| *theirs);
        if self == Self::CivicPress { name } else { found().unwrap_or(name) }
    }

    fn ours<'a>(self, names: &[(&'static str, &'static str)], stored: &'a str) -> &'a str {
        let found = || names.iter().find(|(_, theirs)| *theirs == stored).map(|(ours, _)| *ours);
        if self == Self::CivicPress { stored } else { found().unwrap_or(stored) }
    }
}

fn has_renamed_attr(node: &str) -> bool {
    matches!(node, "ordered_list" | "code_block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for (ours, theirs) in NODES {
            assert_eq!(Naming::Tiptap.stored_node(ours), theirs);
            assert_eq!(Naming::Tiptap.node(theirs), ours);
            assert_eq!(Naming::CivicPress.stored_node(ours), ours);
            assert_eq!(Naming::CivicPress.node(theirs), theirs);
        }
        assert_eq!(Naming::Tiptap.mark("bold"), "strong");
        assert_eq!(Naming::Tiptap.stored_mark("code"), "code");
        assert_eq!(Naming::Tiptap.attr("ordered_list", "start"), "order");
        assert_eq!(Naming::Tiptap.attr("callout", "start"), "start");
    }
}
