//! Turning a live block into another text with as few operations as needed, so that cursors and concurrent
//! typing survive.

use std::sync::Arc;

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices};
use yrs::types::Attrs as Formats;
use yrs::{Any, Text as _, TransactionMut, Xml, XmlElementRef, XmlFragment, XmlOut, XmlTextRef};

use super::super::fragment::{
    self, Group, any, groups, insert_children, mark_value, read_text, utf16_len,
};
use super::super::naming::Naming;
use super::super::node::{Child, Mark, Node, Text};
use super::super::schema;

/// Words beyond which a text's change is taken as one piece.
const WORDS_MAX: usize = 20_000;

/// Gives an element the attributes and content of a node of the same name.
pub(super) fn edit_element(
    txn: &mut TransactionMut<'_>,
    element: &XmlElementRef,
    target: &Node,
    naming: Naming,
) {
    let live = fragment::read_attrs(txn, element, naming);
    for (key, value) in &target.attrs {
        if live.get(key).unwrap_or(&Value::Null) == value {
            continue;
        }
        let key = naming.stored_attr(&target.name, key);
        if value.is_null() {
            element.remove_attribute(txn, &key);
        } else {
            element.insert_attribute(txn, key, any(value));
        }
    }
    edit_children(txn, element, &target.content, naming);
}

fn edit_children(
    txn: &mut TransactionMut<'_>,
    parent: &XmlElementRef,
    target: &[Child],
    naming: Naming,
) {
    let live: Vec<XmlOut> = parent.children(txn).collect();
    let want = groups(target);
    let same = |txn: &TransactionMut<'_>, live: &XmlOut, want: &Group<'_>| {
        is_same(txn, live, want, naming)
    };
    let left = live.iter().zip(&want).take_while(|(live, want)| same(txn, live, want)).count();
    let room = live.len().min(want.len()) - left;
    let right = live
        .iter()
        .rev()
        .zip(want.iter().rev())
        .take(room)
        .take_while(|(live, want)| same(txn, live, want))
        .count();
    let live = live.get(left..live.len() - right).unwrap_or_default();
    let want = want.get(left..want.len() - right).unwrap_or_default();
    let index = |at: usize| u32::try_from(left + at).unwrap_or(u32::MAX);
    for (at, (live, want)) in live.iter().zip(want).enumerate() {
        match (live, want) {
            (XmlOut::Text(text), Group::Texts(runs)) if edit_text(txn, text, runs, naming) => {}
            (XmlOut::Element(element), Group::Node(node)) if has_name(element, node, naming) => {
                edit_element(txn, element, node, naming);
            }
            _ => {
                parent.remove(txn, index(at));
                insert_group(txn, parent, index(at), want, naming);
            }
        }
    }
    let paired = live.len().min(want.len());
    if live.len() > paired {
        let count = u32::try_from(live.len() - paired).unwrap_or(0);
        parent.remove_range(txn, index(paired), count);
    }
    for (at, group) in want.iter().enumerate().skip(paired) {
        insert_group(txn, parent, index(at), group, naming);
    }
}

fn insert_group(
    txn: &mut TransactionMut<'_>,
    parent: &XmlElementRef,
    index: u32,
    group: &Group<'_>,
    naming: Naming,
) {
    let children: Vec<Child> = match group {
        Group::Texts(runs) => runs.iter().map(|run| Child::Text((*run).clone())).collect(),
        Group::Node(node) => vec![Child::Node((*node).clone())],
    };
    insert_children(txn, parent, index, &children, naming);
}

fn has_name(element: &XmlElementRef, node: &Node, naming: Naming) -> bool {
    element.try_tag().is_some_and(|tag| naming.node(tag) == node.name)
}

fn is_same(txn: &TransactionMut<'_>, live: &XmlOut, want: &Group<'_>, naming: Naming) -> bool {
    match (live, want) {
        (XmlOut::Text(text), Group::Texts(runs)) => {
            read_text(txn, text, naming).iter().eq(runs.iter().copied())
        }
        (XmlOut::Element(element), Group::Node(node)) => {
            has_name(element, node, naming)
                && is_stored_alike(&fragment::read_element(txn, element, 1, naming), node)
        }
        _ => false,
    }
}

/// Equality of what the shared document stores: marks of inline atoms are not.
fn is_stored_alike(a: &Node, b: &Node) -> bool {
    a.name == b.name
        && a.attrs == b.attrs
        && a.content.len() == b.content.len()
        && a.content.iter().zip(&b.content).all(|pair| match pair {
            (Child::Node(a), Child::Node(b)) => is_stored_alike(a, b),
            (a, b) => a == b,
        })
}

/// Edits a text in place; refuses one that holds more than characters.
fn edit_text(
    txn: &mut TransactionMut<'_>,
    text: &XmlTextRef,
    target: &[&Text],
    naming: Naming,
) -> bool {
    let old: String = read_text(txn, text, naming).into_iter().map(|run| run.text).collect();
    if utf16_len(&old) != text.len(txn) {
        return false;
    }
    let new: String = target.iter().map(|run| run.text.as_str()).collect();
    for hunk in hunks(&old, &new).into_iter().rev() {
        if hunk.removed > 0 {
            text.remove_range(txn, hunk.at, hunk.removed);
        }
        if !hunk.inserted.is_empty() {
            text.insert(txn, hunk.at, hunk.inserted);
        }
    }
    correct_formats(txn, text, target, naming);
    true
}

/// One replaced piece, in UTF-16 units of the old text.
#[derive(Debug, PartialEq, Eq)]
struct Hunk<'a> {
    at: u32,
    removed: u32,
    inserted: &'a str,
}

/// The changed pieces, word by word and each as short as possible. Borders are borders of characters, so no
/// surrogate pair is ever split.
fn hunks<'a>(old: &str, new: &'a str) -> Vec<Hunk<'a>> {
    let (old_words, new_words) = (words(old), words(new));
    if old_words.len().max(new_words.len()) > WORDS_MAX {
        return hunk(old, 0..old.len(), new, 0..new.len()).into_iter().collect();
    }
    let start = |words: &[(usize, &str)], at: usize, whole: &str| {
        words.get(at).map_or(whole.len(), |(start, _)| *start)
    };
    let old_keys: Vec<&str> = old_words.iter().map(|(_, word)| *word).collect();
    let new_keys: Vec<&str> = new_words.iter().map(|(_, word)| *word).collect();
    let ops = capture_diff_slices(Algorithm::Myers, &old_keys, &new_keys);
    ops.into_iter()
        .filter(|op| !matches!(op, DiffOp::Equal { .. }))
        .filter_map(|op| {
            let (from, to) = (op.old_range(), op.new_range());
            let old_range = start(&old_words, from.start, old)..start(&old_words, from.end, old);
            let new_range = start(&new_words, to.start, new)..start(&new_words, to.end, new);
            hunk(old, old_range, new, new_range)
        })
        .collect()
}

fn hunk<'a>(
    old: &str,
    old_range: std::ops::Range<usize>,
    new: &'a str,
    new_range: std::ops::Range<usize>,
) -> Option<Hunk<'a>> {
    let (before, removed) = (old.get(..old_range.start)?, old.get(old_range)?);
    let inserted = new.get(new_range)?;
    let prefix = common_len(removed.chars(), inserted.chars());
    let (kept, removed) = removed.split_at(prefix);
    let inserted = inserted.get(prefix..)?;
    let suffix = common_len(removed.chars().rev(), inserted.chars().rev());
    let removed = removed.get(..removed.len() - suffix)?;
    let inserted = inserted.get(..inserted.len() - suffix)?;
    let at = utf16_len(before) + utf16_len(kept);
    let hunk = Hunk { at, removed: utf16_len(removed), inserted };
    (hunk.removed > 0 || !hunk.inserted.is_empty()).then_some(hunk)
}

fn common_len(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// Words and the white space between them, each with its place.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let space = c.is_whitespace();
        if before.is_some_and(|before| before != space) {
            words.push((start, text.get(start..at).unwrap_or_default()));
            start = at;
        }
        before = Some(space);
    }
    if start < text.len() {
        words.push((start, text.get(start..).unwrap_or_default()));
    }
    words
}

/// Sets the schema's marks where they differ. Marks of other editors stay as they are.
fn correct_formats(
    txn: &mut TransactionMut<'_>,
    text: &XmlTextRef,
    target: &[&Text],
    naming: Naming,
) {
    let live = read_text(txn, text, naming);
    let (mut live_runs, mut target_runs) =
        (live.iter().map(run_of), target.iter().map(|run| run_of(run)));
    let (mut a, mut b) = (live_runs.next(), target_runs.next());
    let mut at = 0;
    while let (Some((a_len, a_marks)), Some((b_len, b_marks))) = (a, b) {
        let len = a_len.min(b_len);
        for (key, value) in format_changes(a_marks, b_marks, naming) {
            text.format(txn, at, len, Formats::from([(key, value)]));
        }
        at += len;
        a = if a_len > len { Some((a_len - len, a_marks)) } else { live_runs.next() };
        b = if b_len > len { Some((b_len - len, b_marks)) } else { target_runs.next() };
    }
}

fn run_of(run: &Text) -> (u32, &[Mark]) {
    (utf16_len(&run.text), &run.marks)
}

fn format_changes(from: &[Mark], to: &[Mark], naming: Naming) -> Vec<(Arc<str>, Any)> {
    let key = |mark: &Mark| Arc::from(naming.stored_mark(&mark.name));
    let gone = from
        .iter()
        .filter(|mark| {
            schema::knows_mark(&mark.name) && !to.iter().any(|other| other.name == mark.name)
        })
        .map(|mark| (key(mark), Any::Null));
    let new =
        to.iter().filter(|mark| !from.contains(mark)).map(|mark| (key(mark), mark_value(mark)));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunks_are_short_and_count_utf16() {
        let hunk = |at, removed, inserted| Hunk { at, removed, inserted };
        assert_eq!(hunks("a b c", "a b c"), []);
        assert_eq!(hunks("one two three", "one too three"), [hunk(5, 1, "o")]);
        assert_eq!(hunks("😀 x", "😁 x"), [hunk(0, 2, "😁")]);
        assert_eq!(hunks("😀 x y z", "😀 X y Z"), [hunk(3, 1, "X"), hunk(7, 1, "Z")]);
        assert_eq!(hunks("aa", "a"), [hunk(1, 1, "")]);
        assert_eq!(hunks("", "a b"), [hunk(0, 0, "a b")]);
    }
}
