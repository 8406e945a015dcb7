//! Outside changes against live ones.

use yrs::{Text, XmlElementPrelim, XmlFragment, XmlOut, XmlTextPrelim, XmlTextRef};

use super::super::Conflict;
use super::*;

const BASE: &str = "# Title\n\nFirst paragraph.\n\nSecond paragraph.\n\nThird paragraph.";

/// The first text below a child of the root.
fn text_at(txn: &TransactionMut<'_>, root: &XmlFragmentRef, path: &[u32]) -> XmlTextRef {
    let mut node = root.get(txn, path[0]).unwrap();
    for index in &path[1..] {
        let XmlOut::Element(element) = &node else { panic!("no element at {path:?}") };
        let child = element.get(txn, *index).unwrap();
        node = child;
    }
    let XmlOut::Text(text) = node else { panic!("no text at {path:?}") };
    text
}

fn type_at(live: &Live, path: &[u32], at: u32, text: &str) {
    live.edit(|txn, root| text_at(txn, root, path).insert(txn, at, text));
}

#[test]
fn merges_one_sided_and_separate_changes() {
    // name, what the live side does, theirs, result
    type Edit = fn(&Live);
    let table: [(&str, Edit, &str, &str); 9] = [
        (
            "outside only",
            |_| {},
            "# Title\n\nFirst paragraph!\n\nSecond paragraph.\n\nThird paragraph.",
            "# Title\n\nFirst paragraph!\n\nSecond paragraph.\n\nThird paragraph.",
        ),
        (
            "different blocks",
            |live| type_at(live, &[3, 0], 0, "Live: "),
            "# Title\n\nFirst outside paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
            "# Title\n\nFirst outside paragraph.\n\nSecond paragraph.\n\nLive: Third paragraph.",
        ),
        (
            "insert before a live change",
            |live| type_at(live, &[1, 0], 0, "Live: "),
            "# Title\n\nNew.\n\nFirst paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
            "# Title\n\nNew.\n\nLive: First paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
        ),
        (
            "insert at both ends",
            |live| type_at(live, &[2, 0], 0, "Live: "),
            "Top.\n\n# Title\n\nFirst paragraph.\n\nSecond paragraph.\n\nThird paragraph.\n\n---",
            "Top.\n\n# Title\n\nFirst paragraph.\n\nLive: Second paragraph.\n\nThird paragraph.\n\n---",
        ),
        (
            "delete beside a live change",
            |live| type_at(live, &[1, 0], 0, "Live: "),
            "# Title\n\nFirst paragraph.\n\nThird paragraph.",
            "# Title\n\nLive: First paragraph.\n\nThird paragraph.",
        ),
        (
            "live deleted another block",
            |live| live.edit(|txn, root| root.remove(txn, 1)),
            "# Title\n\nFirst paragraph.\n\nSecond paragraph.\n\nThird, changed.",
            "# Title\n\nSecond paragraph.\n\nThird, changed.",
        ),
        (
            "both made the same change",
            |live| type_at(live, &[1, 0], 5, "!"),
            "# Title\n\nFirst! paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
            "# Title\n\nFirst! paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
        ),
        (
            "a block becomes another type",
            |live| type_at(live, &[3, 0], 0, "Live: "),
            "# Title\n\n## First paragraph.\n\nSecond paragraph.\n\nThird paragraph.",
            "# Title\n\n## First paragraph.\n\nSecond paragraph.\n\nLive: Third paragraph.",
        ),
        (
            "formats change",
            |live| type_at(live, &[3, 0], 0, "Live: "),
            "## Title\n\n*First* [paragraph](x).\n\nSecond paragraph.\n\nThird paragraph.",
            "## Title\n\n*First* [paragraph](x).\n\nSecond paragraph.\n\nLive: Third paragraph.",
        ),
    ];
    for (name, edit, theirs, expected) in table {
        for naming in [Naming::CivicPress, Naming::Tiptap] {
            let live = Live::named(BASE, naming);
            edit(&live);
            let report = live.merge(BASE, theirs);
            assert_eq!(live.markdown(), expected, "{name} {naming:?}");
            assert_eq!(report.conflicts, [], "{name} {naming:?}");
        }
    }
}

#[test]
fn the_same_meaning_touches_nothing() {
    let live = Live::new("* a\n\n* b");
    type_at(&live, &[0, 0, 0, 0], 1, "!");
    let before = live.update();
    for (base, theirs) in
        [("- a\n- b\n", "- a\n- b\n"), ("- a\n- b\n", "* a\n\n* b"), ("a", "a\n\n\n")]
    {
        assert_eq!(live.merge(base, theirs), MergeReport::default());
    }
    assert_eq!(live.update(), before);
}

#[test]
fn the_live_side_wins_a_conflict() {
    let live = Live::new(BASE);
    type_at(&live, &[1, 0], 0, "Live: ");
    type_at(&live, &[2, 0], 0, "Live: ");
    live.edit(|txn, root| root.remove(txn, 3));
    let before = live.update();
    let report =
        live.merge(BASE, "# Title\n\nFirst outside paragraph.\n\nThird *outside* paragraph.");
    let conflict = |theirs: &str| Conflict { theirs: theirs.to_owned() };
    let expected = [
        conflict("First outside paragraph."),
        conflict(""),
        conflict("Third *outside* paragraph."),
    ];
    assert_eq!(report, MergeReport { changed: false, conflicts: expected.into() });
    assert_eq!(live.update(), before);
}

#[test]
fn an_edit_in_place_keeps_concurrent_typing_and_cursors() {
    let live = Live::new("Hello 😀 big old world, *really* nice.");
    let other = live.copy(2);
    // Typed before the outside change arrives: at the start, within a kept word, at the end.
    type_at(&other, &[0, 0], 0, ">");
    type_at(&other, &[0, 0], 10, "ooo");
    let end = other.edit(|txn, root| text_at(txn, root, &[0, 0]).len(txn));
    type_at(&other, &[0, 0], end, "<");
    let report = live.merge(
        "Hello 😀 big old world, *really* nice.",
        "Hello 😁 big new world, *really, really* nice.",
    );
    assert!(report.changed && report.conflicts.is_empty());
    assert_eq!(live.markdown(), "Hello 😁 big new world, *really, really* nice.");
    live.take(&other);
    other.take(&live);
    assert_eq!(live.markdown(), other.markdown());
    assert_eq!(live.markdown(), "\\>Hello 😁 ooobig new world, *really, really* nice.<");
}

#[test]
fn items_of_one_list_are_merged_one_by_one() {
    let base = "* one\n\n* two\n\n* three";
    let live = Live::new(base);
    type_at(&live, &[0, 0, 0, 0], 3, " live");
    let report = live.merge(base, "* one\n\n* two outside\n\n* three\n\n* four");
    assert_eq!(live.markdown(), "* one live\n\n* two outside\n\n* three\n\n* four");
    assert_eq!(report, MergeReport { changed: true, conflicts: Vec::new() });

    let report = live.merge("* one\n\n* two outside", "* ONE\n\n* two outside");
    assert_eq!(report.conflicts, [Conflict { theirs: "ONE".to_owned() }]);
    assert_eq!(live.markdown(), "* one live\n\n* two outside\n\n* three\n\n* four");
}

#[test]
fn a_list_whose_items_both_sides_removed_stays_valid() {
    let live = Live::new("* one\n\n* two");
    live.edit(|txn, root| {
        let XmlOut::Element(list) = root.get(txn, 0).unwrap() else { panic!() };
        list.remove(txn, 1);
    });
    live.merge("* one\n\n* two", "* two");
    let node = live.node();
    assert_eq!(node, parse("*"));
}

#[test]
fn an_ordered_list_takes_its_new_start_and_a_table_its_new_cell() {
    for naming in [Naming::CivicPress, Naming::Tiptap] {
        let live = Live::named("3. a\n\n4. b\n\n| a |\n| - |\n| b |", naming);
        live.merge(
            "3. a\n\n4. b\n\n| a |\n| - |\n| b |",
            "5. a\n\n6. b\n\n| a |\n| -: |\n| c |\n| d |",
        );
        assert_eq!(live.markdown(), "5. a\n\n6. b\n\n| a |\n| --: |\n| c |\n| d |");
    }
}

#[test]
fn the_first_text_and_the_last_deletion() {
    let live = Live::new("");
    live.merge("", "# New\n\ntext");
    assert_eq!(live.markdown(), "# New\n\ntext");
    live.merge("# New\n\ntext", "");
    assert_eq!(live.markdown(), "");
    assert!(live.edit(|txn, root| root.len(txn)) > 0, "the schema wants at least one block");
}

#[test]
fn an_untouched_block_with_a_trailing_space_is_no_conflict() {
    let live = Live::new("one\n\ntwo");
    type_at(&live, &[0, 0], 3, " ");
    let report = live.merge(&live.markdown(), "one more\n\ntwo");
    assert_eq!(report.conflicts, []);
    assert_eq!(live.markdown(), "one more\n\ntwo");
}

#[test]
fn what_markdown_cannot_say_is_not_overwritten() {
    let live = Live::new("| a |\n| - |\n| b |");
    live.edit(|txn, root| {
        let XmlOut::Element(table) = root.get(txn, 0).unwrap() else { panic!() };
        let XmlOut::Element(row) = table.get(txn, 1).unwrap() else { panic!() };
        let XmlOut::Element(cell) = row.get(txn, 0).unwrap() else { panic!() };
        let paragraph = cell.push_back(txn, XmlElementPrelim::empty("paragraph"));
        paragraph.push_back(txn, XmlElementPrelim::empty("hard_break"));
        paragraph.push_back(txn, XmlTextPrelim::new("second"));
    });
    let written = live.markdown();
    let before = live.update();
    let report = live.merge(&written, &written.replace("second", "2nd"));
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(live.update(), before);
}
