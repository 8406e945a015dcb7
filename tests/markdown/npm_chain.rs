//! Differences between ours and the npm chain: none but those listed in `known.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use civicpress_realtime::markdown::{self, Child, Mark, Naming, Node};
use serde_json::{Map, Value, json};
use yrs::{
    Any, ClientID, Doc, OffsetKind, Options, Out, ReadTxn, Text as _, Transact, TransactionMut,
    Update, WriteTxn, Xml, XmlFragment, XmlFragmentRef, XmlOut, types::text::YChange,
    updates::decoder::Decode,
};

use crate::{
    known::KNOWN,
    oracle::{self, Case},
};

/// Differences shown in full; the others are counted.
const SHOWN_MAX: usize = 20;
/// What is shown of a text before and after a difference.
const CONTEXT_CHARS: usize = 80;

fn shared_document() -> Doc {
    let options = Options {
        client_id: ClientID::new(1),
        offset_kind: OffsetKind::Utf16,
        ..Options::default()
    };
    Doc::with_options(options)
}

fn within<T>(doc: &Doc, f: impl FnOnce(&mut TransactionMut<'_>, &XmlFragmentRef) -> T) -> T {
    let mut txn = doc.transact_mut();
    let root = txn.get_or_insert_xml_fragment(markdown::ROOT);
    f(&mut txn, &root)
}

/// A tree as `ProseMirror` writes it. The shared document has no marks on inline atoms.
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

/// Tiptap's names and the editor's, as they are known outside: not taken from the converter.
const TIPTAP: [(&str, &str); 13] = [
    ("bulletList", "bullet_list"),
    ("codeBlock", "code_block"),
    ("hardBreak", "hard_break"),
    ("horizontalRule", "horizontal_rule"),
    ("listItem", "list_item"),
    ("orderedList", "ordered_list"),
    ("tableCell", "table_cell"),
    ("tableHeader", "table_header"),
    ("tableRow", "table_row"),
    ("italic", "em"),
    ("bold", "strong"),
    ("start", "order"),
    ("language", "params"),
];

/// A tree with the editor's own names.
fn in_our_names(tree: Value) -> Value {
    let ours = |name: &str| {
        let found = TIPTAP.iter().find(|(theirs, _)| *theirs == name);
        found.map_or(name, |(_, ours)| ours).to_owned()
    };
    match tree {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("type", Value::String(name)) => (key, ours(&name).into()),
                (_, value) => (ours(&key), in_our_names(value)),
            })
            .collect(),
        Value::Array(list) => list.into_iter().map(in_our_names).collect(),
        other => other,
    }
}

/// Every element, attribute, type and formatting of a shared document, as text.
fn stored(doc: &Doc) -> String {
    let mut out = String::new();
    within(doc, |txn, root| walk(txn, root, 0, &mut out));
    out
}

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

/// The part of a text around where it stops being the other.
fn from_difference(text: &str, other: &str) -> String {
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    text.chars().skip(same.saturating_sub(CONTEXT_CHARS)).take(2 * CONTEXT_CHARS).collect()
}

/// What is not as the npm chain has it.
#[derive(Default)]
struct Report {
    naming: Naming,
    count: usize,
    cases: usize,
    differ: usize,
    shown: String,
    /// Listed cases that were met.
    known: BTreeSet<&'static str>,
}

impl Report {
    /// Of `count` cases of each kind, where the suite makes them.
    fn of(naming: Naming, suite: &str, count: usize) -> Self {
        let mut report = Self { naming, count, ..Self::default() };
        let names = if naming == Naming::Tiptap { "tiptap" } else { "civicpress" };
        let arguments = [names, suite, "0", &count.to_string()];
        oracle::each(&arguments, |case| report.compare(&case));
        report
    }

    fn compare(&mut self, case: &Case) {
        self.cases += 1;
        let mut differences = String::new();
        let mut check = |what: &str, ours: &str, npm: &str| {
            if ours != npm {
                let (ours, npm) = (from_difference(ours, npm), from_difference(npm, ours));
                write!(differences, "\n  {what}\n    ours {ours}\n    npm  {npm}").unwrap();
            }
        };
        // Where it does not come to rest at once, neither does the editor.
        let again = format!("{:?}", markdown::serialize(&markdown::parse(&case.written)));
        check("read and written again", &again, &format!("{:?}", case.again));
        let tree = in_our_names(case.tree.clone());
        let theirs = shared_document();
        theirs.transact_mut().apply_update(Update::decode_v1(&case.update).unwrap()).unwrap();
        let read = within(&theirs, |txn, root| markdown::read_fragment(txn, root, self.naming));
        if let Some(text) = &case.markdown {
            let parsed = markdown::parse(text);
            check("parsed", &to_json(&parsed, true).to_string(), &tree.to_string());
            let written = format!("{:?}", markdown::serialize(&parsed));
            check("written", &written, &format!("{:?}", case.written));
            let ours = shared_document();
            within(&ours, |txn, root| markdown::write_fragment(txn, root, &parsed, self.naming));
            check("stored", &stored(&ours), &stored(&theirs));
        }
        let npm = without_marks_of_atoms(tree);
        check("read", &to_json(&read, false).to_string(), &npm.to_string());
        let shared = format!("{:?}", markdown::serialize(&read));
        check("saved", &shared, &format!("{:?}", case.shared));
        let known = KNOWN.iter().flat_map(|known| known.cases).find(|name| **name == case.name);
        if let Some(name) = known {
            assert!(!differences.is_empty(), "{name} is listed as a difference and is none");
            self.known.insert(name);
        } else if !differences.is_empty() {
            self.differ += 1;
            if self.differ <= SHOWN_MAX {
                writeln!(self.shown, "{}: {:?}{differences}", case.name, case.markdown).unwrap();
            }
        }
    }

    /// Of the listed differences, those of these kinds of cases must have been met.
    fn assert_none_but(&self, kinds: &[&str]) {
        let of_kinds = |name: &&str| {
            let (kind, number) = name.split_once(' ').unwrap();
            kinds.contains(&kind) && number.parse::<usize>().unwrap() < self.count
        };
        let listed = KNOWN.iter().flat_map(|known| known.cases).copied().filter(of_kinds).collect();
        assert_eq!(self.differ, 0, "{} of {} differ\n{}", self.differ, self.cases, self.shown);
        assert_eq!(self.known, listed);
    }
}

#[test]
fn every_example_of_the_specifications_is_as_the_editor_has_it() {
    for naming in [Naming::CivicPress, Naming::Tiptap] {
        Report::of(naming, "specs", 0).assert_none_but(&[]);
    }
}

#[test]
fn municipal_records_are_as_the_editor_has_them() {
    for naming in [Naming::CivicPress, Naming::Tiptap] {
        Report::of(naming, "records", 0).assert_none_but(&[]);
    }
}

/// Four kinds.
#[test]
fn ten_thousand_generated_texts_are_as_the_editor_has_them() {
    let kinds = ["noise", "markup", "written", "mutated"];
    Report::of(Naming::CivicPress, "texts", 2500).assert_none_but(&kinds);
    Report::of(Naming::Tiptap, "texts", 100).assert_none_but(&kinds);
}

#[test]
fn documents_edited_in_real_editors_are_saved_as_the_editor_saves_them() {
    Report::of(Naming::CivicPress, "edits", 400).assert_none_but(&["edits"]);
    Report::of(Naming::Tiptap, "edits", 100).assert_none_but(&["edits"]);
}

#[test]
fn generated_documents_are_saved_as_the_editor_saves_them() {
    Report::of(Naming::CivicPress, "trees", 2500).assert_none_but(&["tree"]);
    Report::of(Naming::Tiptap, "trees", 500).assert_none_but(&["tree"]);
}
