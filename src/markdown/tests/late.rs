//! Outside texts whose authors saw an earlier state.

use super::super::{Past, Views, merge_late};
use super::*;

const BASE: &str = "First.\n\nSecond.";

fn views_of(states: &[&str]) -> Views {
    let mut views = Views::default();
    for state in states {
        views.see(parse(state), true);
    }
    views
}

/// A room that was at each of `states`, and is at the last one now.
fn merged(states: &[&str], exchanged: &[&str], theirs: &str) -> (String, MergeReport) {
    let live = Live::new(BASE);
    for pair in states.windows(2) {
        live.merge(pair[0], pair[1]);
    }
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let past = Past { exchanged: owned(exchanged), views: views_of(states) };
    let report =
        live.edit(|txn, root| merge_late(txn, root, BASE, theirs, &past, Naming::CivicPress));
    (live.markdown(), report)
}

#[test]
fn a_view_of_the_room_changes_nothing() {
    let states = [
        BASE,
        "First.\n\nSecond.\n\nTh",
        "First.\n\nSecond.\n\nThird.\n\nStruck out.",
        "First.\n\nSecond, more.\n\nThird.",
    ];
    for view in states {
        let (text, report) = merged(&states, &[BASE], view);
        assert_eq!(text, states[3], "{view}");
        assert_eq!(report, MergeReport::default(), "{view}");
    }
}

#[test]
fn a_view_that_mixes_two_states_brings_nothing_back_and_takes_nothing_away() {
    let states = [
        BASE,
        "First, by Ada.\n\nSecond.",
        "First, by Ada.\n\nSecond.\n\nBy Bob.",
        "First, by Ada and more.\n\nSecond.\n\nBy Bob.",
    ];
    // Ada's own words were on her screen before Bob's.
    let view = "First, by Ada and more.\n\nSecond.";
    let (text, report) = merged(&states, &[BASE], view);
    assert_eq!(text, states[3]);
    assert!(report.conflicts.is_empty());
}

#[test]
fn what_an_author_adds_to_a_view_is_added_once() {
    let states = [BASE, "First.\n\nSecond.\n\nTh", "First.\n\nSecond.\n\nThird."];
    let theirs = "First.\n\nSecond.\n\nTh\n\nTheir own.";
    let (text, _) = merged(&states, &[BASE], theirs);
    assert_eq!(text, "First.\n\nSecond.\n\nThird.\n\nTheir own.");
}

#[test]
fn a_form_that_is_saved_again_and_again_starts_from_its_own_text() {
    // The form was saved with a line of its own; then the room went on, and was written back.
    let form = "First.\n\nSecond.\n\nForm.";
    let now = "First.\n\nSecond.\n\nForm.\n\nTyped since.";
    let live = Live::new(now);
    let past = Past { exchanged: vec![BASE.into(), form.into()], views: Views::default() };
    let merge = |theirs| {
        live.edit(|txn, root| merge_late(txn, root, now, theirs, &past, Naming::CivicPress))
    };
    merge(form);
    assert_eq!(live.markdown(), now, "the same once more");
    merge("First!\n\nSecond.\n\nForm.");
    assert_eq!(live.markdown(), "First!\n\nSecond.\n\nForm.\n\nTyped since.");
}

#[test]
fn what_was_written_long_ago_may_be_deleted_outside() {
    let states = [BASE, "First.\n\nSecond.\n\nTyped."];
    let (text, report) = merged(&states, &[BASE], "Second.\n\nTyped.");
    assert_eq!(text, "Second.\n\nTyped.");
    assert!(report.changed);
}
