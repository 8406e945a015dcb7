//! The document tree: `ProseMirror`'s shape, owned.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::schema;

/// A node's or mark's name: static for what the schema knows, owned for what only a client knew.
pub type Name = Cow<'static, str>;

/// Typed attributes, in a fixed order so that two conversions of one text are the same bytes.
pub type Attrs = BTreeMap<String, Value>;

/// Formatting of inline content.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The mark's type, e.g. `em`.
    pub name: Name,
    /// Its attributes, e.g. a link's `href` and `title`.
    pub attrs: Attrs,
}

impl Mark {
    /// A mark without attributes.
    pub fn plain(name: impl Into<Name>) -> Self {
        Self { name: name.into(), attrs: Attrs::new() }
    }
}

/// A run of text under one set of marks.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// The characters.
    pub text: String,
    /// The marks, outermost first ([`schema::mark_rank`]).
    pub marks: Vec<Mark>,
}

/// What a node contains.
#[derive(Debug, Clone, PartialEq)]
pub enum Child {
    /// A block, or an inline atom such as an image.
    Node(Node),
    /// Text.
    Text(Text),
}

impl Child {
    /// The marks of inline content; a block has none.
    pub fn marks(&self) -> &[Mark] {
        match self {
            Child::Node(node) => &node.marks,
            Child::Text(text) => &text.marks,
        }
    }

    /// Whether this stands within a line of text.
    pub fn is_inline(&self) -> bool {
        match self {
            Child::Node(node) => schema::is_inline(&node.name),
            Child::Text(_) => true,
        }
    }
}

/// An element of the document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The node's type, e.g. `paragraph`.
    pub name: Name,
    /// Its attributes. A node of the schema has all of them, `null` where unset.
    pub attrs: Attrs,
    /// Marks of an inline atom. The shared document does not carry them (as in y-prosemirror).
    pub marks: Vec<Mark>,
    /// What it contains. Neighbouring texts have different marks.
    pub content: Vec<Child>,
}

impl Node {
    /// An empty node with the schema's default attributes.
    pub fn new(name: impl Into<Name>) -> Self {
        let mut node =
            Self { name: name.into(), attrs: Attrs::new(), marks: Vec::new(), content: Vec::new() };
        schema::fill_attrs(&node.name, &mut node.attrs);
        node
    }

    /// The same node with one attribute set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attrs.insert(key.to_owned(), value.into());
        self
    }

    /// Appends a node.
    pub fn push(&mut self, node: Node) {
        self.content.push(Child::Node(node));
    }

    /// Appends text, joining it with a preceding text of the same marks.
    pub fn push_text(&mut self, text: &str, marks: &[Mark]) {
        if text.is_empty() {
            return;
        }
        match self.content.last_mut() {
            Some(Child::Text(last)) if last.marks == marks => last.text.push_str(text),
            _ => self
                .content
                .push(Child::Text(Text { text: text.to_owned(), marks: marks.to_vec() })),
        }
    }

    /// A string attribute; empty if unset or of another type.
    pub fn str_attr(&self, key: &str) -> &str {
        self.attrs.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// All text below this node, without any markup.
    pub fn text_content(&self) -> String {
        let mut out = String::new();
        let mut stack: Vec<&Child> = self.content.iter().rev().collect();
        while let Some(child) = stack.pop() {
            match child {
                Child::Text(text) => out.push_str(&text.text),
                Child::Node(node) => stack.extend(node.content.iter().rev()),
            }
        }
        out
    }

    /// Whether the content is a line of text rather than blocks.
    pub fn has_inline_content(&self) -> bool {
        schema::is_textblock(&self.name) || self.content.iter().any(Child::is_inline)
    }
}
