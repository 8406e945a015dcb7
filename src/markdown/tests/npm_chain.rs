//! Comparison with the editor's own JavaScript (`tests/fixtures/markdown/generate.mjs`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use yrs::updates::decoder::Decode;
use yrs::{Transact, Update};

use super::super::{Child, Mark, Node};
use super::*;

struct Case {
    markdown: String,
    tree: Value,
    markdown_out: String,
    update: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let fixture = include_str!("../../../tests/fixtures/markdown/npm-chain.json");
    let cases: Vec<Value> = serde_json::from_str(fixture).unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    cases
        .iter()
        .map(|case| Case {
            markdown: text(case, "markdown"),
            tree: case["prosemirror_json"].clone(),
            markdown_out: text(case, "markdown_out"),
            update: unhex(&text(case, "update_v1_hex")),
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A tree as `ProseMirror` writes it, for comparison. The shared document has no marks on inline atoms.
fn to_json(node: &Node, marks_of_atoms: bool) -> Value {
    let mut out = Map::from_iter([("type".to_owned(), json!(node.name))]);
    if !node.attrs.is_empty() {
        out.insert("attrs".to_owned(), json!(node.attrs));
    }
    if !node.content.is_empty() {
        let content = node.content.iter().map(|child| match child {
            Child::Node(node) => to_json(node, marks_of_atoms),
            Child::Text(text) => {
                let mut out = json!({ "type": "text", "text": text.text });
                set_marks(&mut out, &text.marks);
                out
            }
        });
        out.insert("content".to_owned(), content.collect());
    }
    let mut out = Value::Object(out);
    if marks_of_atoms {
        set_marks(&mut out, &node.marks);
    }
    out
}

fn set_marks(out: &mut Value, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    let marks = marks.iter().map(|mark| {
        if mark.attrs.is_empty() {
            json!({ "type": mark.name })
        } else {
            json!({ "type": mark.name, "attrs": mark.attrs })
        }
    });
    out["marks"] = marks.collect();
}

fn without_marks_of_atoms(mut tree: Value) -> Value {
    let is_text = tree["type"] == "text";
    if let Some(object) = tree.as_object_mut()
        && !is_text
    {
        object.remove("marks");
    }
    if let Some(content) = tree.get_mut("content").and_then(Value::as_array_mut) {
        for child in content {
            *child = without_marks_of_atoms(child.take());
        }
    }
    tree
}

/// Reports every difference at once: one at a time would hide how they are related.
fn compare<T: PartialEq + std::fmt::Display>(check: impl Fn(&Case) -> (T, T)) {
    let mut report = String::new();
    for case in cases() {
        let (ours, theirs) = check(&case);
        if ours != theirs {
            writeln!(report, "{:?}\n  ours {ours}\n  npm  {theirs}", case.markdown).unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn parses_like_the_editor() {
    compare(|case| (to_json(&parse(&case.markdown), true), case.tree.clone()));
}

#[test]
fn serializes_like_the_editor() {
    compare(|case| {
        (format!("{:?}", serialize(&parse(&case.markdown))), format!("{:?}", case.markdown_out))
    });
}

#[test]
fn reads_what_y_prosemirror_writes() {
    compare(|case| {
        let live = Live::empty(1);
        live.doc.transact_mut().apply_update(Update::decode_v1(&case.update).unwrap()).unwrap();
        (to_json(&live.node(), false), without_marks_of_atoms(case.tree.clone()))
    });
}

/// Every element, attribute, type and formatting of the shared document, as text.
fn stored(live: &Live) -> String {
    use yrs::types::text::YChange;
    use yrs::{Any, Out, Text, Xml, XmlFragment, XmlOut};
    fn walk(txn: &impl ReadTxn, parent: &impl XmlFragment, depth: usize, out: &mut String) {
        let sorted = |any: &Any| match any {
            Any::Map(map) => format!("map {:?}", map.iter().collect::<BTreeMap<_, _>>()),
            any => format!("{any:?}"),
        };
        for child in parent.children(txn) {
            write!(out, "\n{}", " ".repeat(depth)).unwrap();
            match child {
                XmlOut::Element(element) => {
                    let mut attrs: Vec<String> = element
                        .attributes(txn)
                        .map(|(key, value)| match value {
                            Out::Any(value) => format!(" {key}={}", sorted(&value)),
                            _ => format!(" {key}?"),
                        })
                        .collect();
                    attrs.sort();
                    write!(out, "<{}{}>", element.tag(), attrs.concat()).unwrap();
                    walk(txn, &element, depth + 1, out);
                }
                XmlOut::Text(text) => {
                    for chunk in text.diff(txn, YChange::identity) {
                        let mut formats: Vec<String> = chunk
                            .attributes
                            .iter()
                            .flat_map(|formats| formats.iter())
                            .map(|(key, value)| format!(" {key}={}", sorted(value)))
                            .collect();
                        formats.sort();
                        let insert = chunk.insert.to_string(txn);
                        write!(out, "[{insert:?}{}]", formats.concat()).unwrap();
                    }
                }
                XmlOut::Fragment(_) => *out += "fragment",
            }
        }
    }
    let mut out = String::new();
    live.edit(|txn, root| walk(txn, root, 0, &mut out));
    out
}

#[test]
fn writes_what_y_prosemirror_writes() {
    compare(|case| {
        let theirs = Live::empty(2);
        theirs.doc.transact_mut().apply_update(Update::decode_v1(&case.update).unwrap()).unwrap();
        (stored(&Live::new(&case.markdown)), stored(&theirs))
    });
}

#[test]
fn the_same_text_gives_the_same_update() {
    for case in cases() {
        assert_eq!(Live::new(&case.markdown).update(), Live::new(&case.markdown).update());
    }
}
