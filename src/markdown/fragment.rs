//! The document tree in a shared XML fragment, encoded as y-prosemirror encodes it.
//!
//! A node is an XML element with typed attributes (`null` is not stored), a run of text is one XML text,
//! each mark is a formatting attribute whose value is the mark's attributes. Marks of inline atoms are not
//! stored.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use yrs::types::Attrs as Formats;
use yrs::types::text::YChange;
use yrs::{
    Any, Number, Out, ReadTxn, Text as _, TransactionMut, Xml, XmlElementPrelim, XmlElementRef,
    XmlFragment, XmlFragmentRef, XmlOut, XmlTextPrelim, XmlTextRef,
};

use super::naming::Naming;
use super::node::{Attrs, Child, Mark, Name, Node, Text};
use super::schema;
use crate::limits::XML_DEPTH_MAX;

/// Length of the hash that y-prosemirror appends to marks that may overlap themselves.
const MARK_HASH_LEN: usize = 8;
/// Attempts to find a map that lists its keys in order; each has at least one chance in two for two keys.
const ORDERED_MAP_TRIES: usize = 64;

/// Writes a document into an empty fragment.
///
/// The same tree written by the same client id gives the same update.
pub fn write_fragment(
    txn: &mut TransactionMut<'_>,
    fragment: &XmlFragmentRef,
    doc: &Node,
    naming: Naming,
) {
    insert_children(txn, fragment, 0, &doc.content, naming);
}

/// Reads a fragment as a `doc` node. Nodes and marks that the schema does not know are kept.
///
/// Elements deeper than [`XML_DEPTH_MAX`] are read as their text.
pub fn read_fragment(txn: &impl ReadTxn, fragment: &XmlFragmentRef, naming: Naming) -> Node {
    let mut doc = Node::new("doc");
    read_children(txn, fragment, 1, naming, &mut doc);
    doc
}

/// Inserts nodes and texts at a child's index.
///
/// From the last to the first: an insertion walks all children before its index, so pushing each behind
/// the others would take quadratic time.
pub(super) fn insert_children(
    txn: &mut TransactionMut<'_>,
    parent: &impl XmlFragment,
    index: u32,
    children: &[Child],
    naming: Naming,
) {
    for group in groups(children).into_iter().rev() {
        match group {
            Group::Texts(texts) => {
                let joined: String = texts.iter().map(|text| text.text.as_str()).collect();
                let text = parent.insert(txn, index, XmlTextPrelim::new(joined));
                format_texts(txn, &text, &texts, naming);
            }
            Group::Node(node) => {
                let name = naming.stored_node(&node.name);
                let element = parent.insert(txn, index, XmlElementPrelim::empty(name));
                for (key, value) in node.attrs.iter().filter(|(_, value)| !value.is_null()) {
                    let key = naming.stored_attr(&node.name, key);
                    element.insert_attribute(txn, key, any(value));
                }
                insert_children(txn, &element, 0, &node.content, naming);
            }
        }
    }
}

/// Content as the fragment holds it: neighbouring texts are one XML text.
pub(super) enum Group<'a> {
    Texts(Vec<&'a Text>),
    Node(&'a Node),
}

pub(super) fn groups(children: &[Child]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for child in children {
        match (child, groups.last_mut()) {
            (Child::Text(text), Some(Group::Texts(texts))) => texts.push(text),
            (Child::Text(text), _) => groups.push(Group::Texts(vec![text])),
            (Child::Node(node), _) => groups.push(Group::Node(node)),
        }
    }
    groups
}

/// Formats fresh text mark by mark: a map of several formats would be written in a random order.
fn format_texts(txn: &mut TransactionMut<'_>, text: &XmlTextRef, runs: &[&Text], naming: Naming) {
    let mut marks: Vec<&Mark> = Vec::new();
    for mark in runs.iter().flat_map(|run| &run.marks) {
        if !marks.contains(&mark) {
            marks.push(mark);
        }
    }
    marks.sort_by_key(|mark| schema::mark_rank(&mark.name));
    for mark in marks {
        let mut at = 0;
        let mut start = None;
        for run in runs {
            let covered = run.marks.contains(mark);
            match (covered, start) {
                (true, None) => start = Some(at),
                (false, Some(from)) => {
                    text.format(txn, from, at - from, format_of(mark, naming));
                    start = None;
                }
                _ => {}
            }
            at += utf16_len(&run.text);
        }
        if let Some(from) = start {
            text.format(txn, from, at - from, format_of(mark, naming));
        }
    }
}

fn format_of(mark: &Mark, naming: Naming) -> Formats {
    Formats::from([(Arc::from(naming.stored_mark(&mark.name)), mark_value(mark))])
}

/// The value of a mark's formatting attribute.
pub(super) fn mark_value(mark: &Mark) -> Any {
    any_map(mark.attrs.iter())
}

/// Length in UTF-16 units, the unit of every position in the shared text.
pub(super) fn utf16_len(text: &str) -> u32 {
    u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX)
}

fn read_children(
    txn: &impl ReadTxn,
    parent: &impl XmlFragment,
    depth: usize,
    naming: Naming,
    into: &mut Node,
) {
    for child in parent.children(txn) {
        match child {
            XmlOut::Text(text) => {
                for run in read_text(txn, &text, naming) {
                    into.push_text(&run.text, &run.marks);
                }
            }
            XmlOut::Element(element) if depth >= XML_DEPTH_MAX => {
                into.push_text(&deep_text(txn, &element, naming), &[]);
            }
            XmlOut::Element(element) => into.push(read_element(txn, &element, depth, naming)),
            // A fragment within a fragment has no name to keep; its content stands in its place.
            XmlOut::Fragment(fragment) if depth < XML_DEPTH_MAX => {
                read_children(txn, &fragment, depth + 1, naming, into);
            }
            XmlOut::Fragment(_) => {}
        }
    }
}

/// Reads one element. `depth` is the number of its ancestors.
pub(super) fn read_element(
    txn: &impl ReadTxn,
    element: &XmlElementRef,
    depth: usize,
    naming: Naming,
) -> Node {
    let mut node = Node {
        name: name_of(naming.node(element.try_tag().map_or("", AsRef::as_ref))),
        attrs: Attrs::new(),
        marks: Vec::new(),
        content: Vec::new(),
    };
    node.attrs = read_attrs(txn, element, naming);
    read_children(txn, element, depth + 1, naming, &mut node);
    node
}

/// An element's attributes, completed with the schema's defaults.
pub(super) fn read_attrs(txn: &impl ReadTxn, element: &XmlElementRef, naming: Naming) -> Attrs {
    let name = naming.node(element.try_tag().map_or("", AsRef::as_ref));
    let mut attrs = Attrs::new();
    for (key, value) in element.attributes(txn) {
        if let Out::Any(value) = value {
            attrs.insert(naming.attr(name, key).to_owned(), json(&value));
        }
    }
    schema::fill_attrs(name, &mut attrs);
    attrs
}

/// The runs of an XML text. What is embedded in it and is not text is left out.
pub(super) fn read_text(txn: &impl ReadTxn, text: &XmlTextRef, naming: Naming) -> Vec<Text> {
    let mut runs = Vec::new();
    for chunk in text.diff(txn, YChange::identity) {
        let Out::Any(Any::String(insert)) = chunk.insert else { continue };
        let (mut marks, mut unknown) = (Vec::new(), Vec::new());
        for (key, value) in chunk.attributes.iter().flat_map(|attributes| attributes.iter()) {
            if matches!(value, Any::Null) {
                continue;
            }
            let mut mark = Mark { name: name_of(naming.mark(mark_name(key))), attrs: Attrs::new() };
            if let Any::Map(map) = value {
                mark.attrs.extend(map.iter().map(|(key, value)| (key.clone(), json(value))));
            }
            schema::fill_mark(&mut mark);
            if schema::knows_mark(&mark.name) {
                schema::add_mark(&mut marks, mark);
            } else {
                unknown.push(mark);
            }
        }
        unknown.sort_by(|a, b| a.name.cmp(&b.name));
        marks.append(&mut unknown);
        runs.push(Text { text: insert.to_string(), marks });
    }
    runs
}

/// The text below an element, without walking it recursively.
fn deep_text(txn: &impl ReadTxn, element: &XmlElementRef, naming: Naming) -> String {
    let mut out = String::new();
    for node in element.successors(txn) {
        if let XmlOut::Text(text) = node {
            out.extend(read_text(txn, &text, naming).into_iter().map(|run| run.text));
        }
    }
    out
}

/// The mark of a formatting attribute: y-prosemirror adds a hash to marks that may overlap themselves.
fn mark_name(key: &str) -> &str {
    match key.rsplit_once("--") {
        Some((name, hash))
            if hash.len() == MARK_HASH_LEN
                && hash
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) =>
        {
            name
        }
        _ => key,
    }
}

fn name_of(name: &str) -> Name {
    Name::Owned(name.to_owned())
}

/// A value as the shared document stores it.
pub(super) fn any(value: &Value) -> Any {
    match value {
        Value::Null => Any::Null,
        Value::Bool(value) => Any::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(int) => Any::Number(Number::Int(int)),
            None => Any::Number(Number::Float(number.as_f64().unwrap_or_default())),
        },
        Value::String(text) => Any::from(text.as_str()),
        Value::Array(values) => Any::Array(values.iter().map(any).collect()),
        Value::Object(map) => any_map(map.iter()),
    }
}

/// A map that lists its keys in the given order: it is stored as JSON text, and the same document has to
/// give the same bytes.
fn any_map<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> Any {
    let entries: Vec<(String, Any)> =
        entries.map(|(key, value)| (key.clone(), any(value))).collect();
    let mut map = HashMap::new();
    for _ in 0..ORDERED_MAP_TRIES {
        map = entries.iter().cloned().collect();
        if HashMap::keys(&map).eq(entries.iter().map(|(key, _)| key)) {
            break;
        }
    }
    Any::Map(Arc::new(map))
}

/// A stored value as JSON; whole numbers are integers, whatever their encoding.
fn json(value: &Any) -> Value {
    match value {
        Any::Null | Any::Undefined | Any::Buffer(_) => Value::Null,
        Any::Bool(value) => Value::Bool(*value),
        Any::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64().into(),
        },
        Any::String(text) => Value::String(text.to_string()),
        Any::Array(values) => values.iter().map(json).collect(),
        Any::Map(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}
