//! Random block lists on three sides: no live edit is ever lost, nothing ever panics.

use proptest::prelude::*;
use yrs::{Text, XmlElementPrelim, XmlFragment, XmlOut, XmlTextPrelim};

use super::*;

const BLOCKS: &[&str] = &[
    "alpha beta gamma",
    "alpha *beta* gamma",
    "# alpha beta",
    "* one\n\n* two",
    "* one\n\n* two\n\n* three",
    "> quoted words",
    "```\ncode 😀\n```",
    "| a | b |\n| --- | --- |\n| c | d |",
    "---",
    "emoji 😀😁 here",
    "[link](https://example.org) and `code`",
];

fn markdown() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..BLOCKS.len(), 0..8)
}

fn text_of(blocks: &[usize]) -> String {
    blocks.iter().map(|at| BLOCKS[*at]).collect::<Vec<_>>().join("\n\n")
}

/// A change of a block list: remove, replace or insert at a place.
fn edits() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    prop::collection::vec((0..8usize, 0..BLOCKS.len(), 0..3u8), 0..5)
}

fn edited(blocks: &[usize], edits: &[(usize, usize, u8)]) -> Vec<usize> {
    let mut blocks = blocks.to_vec();
    for (place, block, kind) in edits {
        let place = place % (blocks.len() + 1);
        match kind {
            0 if place < blocks.len() => drop(blocks.remove(place)),
            1 if place < blocks.len() => blocks[place] = *block,
            _ => blocks.insert(place, *block),
        }
    }
    blocks
}

/// Marks some live blocks, so that a lost one is noticed.
fn edit_live(live: &Live, places: &[(u32, u8)]) -> Vec<String> {
    let mut words = Vec::new();
    for (count, (place, kind)) in places.iter().enumerate() {
        let word = format!("live{count}x");
        live.edit(|txn, root| {
            let place = place % (root.len(txn) + 1);
            let text = root.get(txn, place).and_then(|child| first_text(txn, child));
            if let (Some(text), true) = (text, *kind > 0) {
                let at = text.len(txn) * u32::from(*kind % 2);
                text.insert(txn, at, &word);
            } else {
                let paragraph = root.insert(txn, place, XmlElementPrelim::empty("paragraph"));
                paragraph.push_back(txn, XmlTextPrelim::new(word.clone()));
            }
        });
        words.push(word);
    }
    words
}

fn first_text(txn: &TransactionMut<'_>, node: XmlOut) -> Option<yrs::XmlTextRef> {
    match node {
        XmlOut::Text(text) => Some(text),
        XmlOut::Element(element) => element.get(txn, 0).and_then(|child| first_text(txn, child)),
        XmlOut::Fragment(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn live_edits_survive(
        base in markdown(),
        changes in edits(),
        places in prop::collection::vec((0..9u32, 0..3u8), 0..4),
        naming in prop::sample::select(vec![Naming::CivicPress, Naming::Tiptap]),
    ) {
        let theirs = text_of(&edited(&base, &changes));
        let base = text_of(&base);
        let live = Live::named(&base, naming);
        let words = edit_live(&live, &places);
        let report = live.merge(&base, &theirs);
        let text = live.node().text_content();
        for word in &words {
            prop_assert!(text.contains(word), "{word} lost: {text}\n{base:?} -> {theirs:?}");
        }
        // Without live edits the outside text is what remains.
        if words.is_empty() {
            prop_assert_eq!(live.markdown(), serialize(&parse(&theirs)));
            prop_assert!(report.conflicts.is_empty());
        }
    }

    #[test]
    fn any_text_converts_and_merges(base in "[-*_>#|`~\\[\\]()!<>a-c😀 \n0-9.:\\\\&;]{0,80}", theirs in "[-*_>#|`~ab\n😀]{0,80}") {
        let live = Live::new(&base);
        let _ = live.markdown();
        let _ = live.merge(&base, &theirs);
        let again = parse(&live.markdown());
        let _ = serialize(&again);
    }
}
