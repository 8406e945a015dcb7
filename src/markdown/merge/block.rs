//! Blocks of the three sides in a form that can be compared.

use yrs::{ReadTxn, XmlOut};

use super::super::fragment;
use super::super::naming::Naming;
use super::super::node::{Child, Name, Node};
use super::super::parse::parse;
use super::super::serialize::serialize;

/// A block of a Markdown text.
pub(super) struct Block<'a> {
    pub(super) node: &'a Node,
    /// Its Markdown.
    pub(super) key: String,
}

/// A block of the live document.
pub(super) struct Live {
    /// Its index among the parent's children.
    pub(super) index: usize,
    /// The Markdown it would be after a write and a read, which is what a text can say about it.
    pub(super) key: String,
    node: Node,
}

/// What alignment needs to know.
pub(super) trait Keyed {
    fn key(&self) -> &str;
    fn name(&self) -> &Name;
}

impl Keyed for Block<'_> {
    fn key(&self) -> &str {
        &self.key
    }
    fn name(&self) -> &Name {
        &self.node.name
    }
}

impl Keyed for Live {
    fn key(&self) -> &str {
        &self.key
    }
    fn name(&self) -> &Name {
        &self.node.name
    }
}

impl Live {
    pub(super) fn name(&self) -> &Name {
        &self.node.name
    }

    /// Whether the live block has nothing that its Markdown does not say: then it may be replaced by what
    /// a text says. White space at the end of lines does not count.
    pub(super) fn holds_no_more_than(&self, node: &Node) -> bool {
        outline(&self.node) == outline(node)
    }
}

/// The blocks of a Markdown text. Empty paragraphs are invisible in Markdown and left out.
pub(super) fn blocks(parent: &Node) -> Vec<Block<'_>> {
    let nodes = parent.content.iter().filter_map(|child| match child {
        Child::Node(node) => Some(node),
        Child::Text(_) => None,
    });
    nodes.map(|node| Block { node, key: key(node) }).filter(|block| !is_vacant(block)).collect()
}

/// The blocks of the live document, without empty paragraphs.
pub(super) fn live_blocks(txn: &impl ReadTxn, children: &[XmlOut], naming: Naming) -> Vec<Live> {
    let mut blocks = Vec::with_capacity(children.len());
    for (index, child) in children.iter().enumerate() {
        let XmlOut::Element(element) = child else { continue };
        let mut node = fragment::read_element(txn, element, 1, naming);
        forget_tight(&mut node);
        let live = Live { index, key: reread_key(&node), node };
        if !is_vacant(&live) {
            blocks.push(live);
        }
    }
    blocks
}

fn is_vacant(block: &impl Keyed) -> bool {
    block.name() == "paragraph" && block.key().is_empty()
}

fn key(node: &Node) -> String {
    serialize(&doc_of(node.clone()))
}

fn reread_key(node: &Node) -> String {
    let in_list = node.name == "list_item";
    let block = if in_list { wrap("bullet_list", node.clone()) } else { node.clone() };
    let mut read = parse(&serialize(&doc_of(block)));
    if let (true, Some(Child::Node(list))) = (in_list, read.content.first_mut()) {
        let content = std::mem::take(&mut list.content);
        read.content = content;
    }
    serialize(&read)
}

fn doc_of(node: Node) -> Node {
    wrap("doc", node)
}

fn wrap(name: &'static str, node: Node) -> Node {
    let mut parent = Node::new(name);
    parent.push(node);
    parent
}

/// Tightness is another editor's; Markdown read here does not have it.
fn forget_tight(node: &mut Node) {
    node.attrs.remove("tight");
    for child in &mut node.content {
        if let Child::Node(node) = child {
            forget_tight(node);
        }
    }
}

/// Names of all nodes in order, and all characters that are not white space.
fn outline(node: &Node) -> (Vec<&str>, String) {
    let mut names = Vec::new();
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        names.push(node.name.as_ref());
        stack.extend(node.content.iter().rev().filter_map(|child| match child {
            Child::Node(node) => Some(node),
            Child::Text(_) => None,
        }));
    }
    (names, node.text_content().split_whitespace().collect())
}
