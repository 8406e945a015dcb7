//! Two texts of one record without a base.

use super::super::{Conflict, merge_unrelated};
use super::*;

fn merged(live: &str, theirs: &str) -> (String, Vec<Conflict>) {
    let live = Live::new(live);
    let report = live.edit(|txn, root| merge_unrelated(txn, root, theirs, Naming::CivicPress));
    (live.markdown(), report.conflicts)
}

#[test]
fn what_either_has_is_there_once() {
    // name, live, theirs, result
    let table = [
        ("equal", "# A\n\nOne.", "# A\n\nOne.", "# A\n\nOne."),
        ("otherwise written", "# A\n\n* one", "A\n=\n\n- one", "# A\n\n* one"),
        ("live has more words", "One and more.", "One.", "One and more."),
        ("theirs has more words", "One.", "One and more.", "One and more."),
        ("a block each", "One.\n\nLive.", "Theirs, new.\n\nOne.", "Theirs, new.\n\nOne.\n\nLive."),
        (
            "different blocks at one place",
            "One.\n\nWritten here.\n\nTwo.",
            "One.\n\nElsewhere it says this.\n\nTwo.",
            "One.\n\nElsewhere it says this.\n\nWritten here.\n\nTwo.",
        ),
        (
            "items of a list",
            "* a\n\n* b live",
            "* a more\n\n* b\n\n* c",
            "* a more\n\n* b live\n\n* c",
        ),
        ("nothing here", "", "One.\n\nTwo.", "One.\n\nTwo."),
        ("nothing there", "One.\n\nTwo.", "", "One.\n\nTwo."),
    ];
    for (name, live, theirs, expected) in table {
        assert_eq!(merged(live, theirs), (expected.to_owned(), vec![]), "{name}");
    }
}

#[test]
fn of_two_forms_of_a_block_the_live_one_stays_and_the_other_is_reported() {
    let live = "The park opens at nine on Sundays.";
    let theirs = "The park opens at eight on Sundays.";
    let conflict = Conflict { theirs: theirs.to_owned() };
    assert_eq!(merged(live, theirs), (live.to_owned(), vec![conflict]));
}
