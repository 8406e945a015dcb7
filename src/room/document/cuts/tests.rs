use proptest::prelude::*;
use yrs::{
    Doc, GetString, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode,
};

use super::*;
use crate::{
    protocol::guard::{self, Bounds},
    room::document::{Exact, OffsetKind},
};

const AUTHOR: ClientID = ClientID::new(7);

fn doc(client: ClientID) -> Doc {
    let options = Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(client) };
    Doc::with_options(options)
}

fn text_of(doc: &Doc) -> String {
    let text = doc.get_or_insert_text("text");
    text.get_string(&doc.transact())
}

/// A document of one string, and its state.
fn one_string(string: &str) -> (Doc, Vec<u8>) {
    let author = doc(AUTHOR);
    let text = author.get_or_insert_text("text");
    text.push(&mut author.transact_mut(), string);
    let state = author.transact().encode_diff_v1(&StateVector::default());
    (author, state)
}

fn admit(update: Vec<u8>) -> Admitted {
    guard::admit(update.into(), &Bounds::new(u64::MAX)).unwrap()
}

fn document(state: Vec<u8>) -> Document {
    let mut document = Document::new(u64::MAX);
    document.apply(&admit(state), Exact::NotWanted).unwrap();
    document
}

/// An editor's offline edits of a text, as one update: at each place a letter comes or goes.
fn edits(state: &[u8], places: &[(u32, bool)]) -> Vec<u8> {
    let editor = doc(ClientID::new(9));
    let text = editor.get_or_insert_text("text");
    let mut txn = editor.transact_mut();
    txn.apply_update(Update::decode_v1(state).unwrap()).unwrap();
    let before = txn.state_vector();
    for (place, inserts) in places {
        let at = place % text.len(&txn);
        if *inserts {
            text.insert(&mut txn, at, "+");
        } else {
            text.remove_range(&mut txn, at, 1);
        }
    }
    txn.encode_diff_v1(&before)
}

#[test]
fn what_cuts_a_long_string_often_is_heavy() {
    let (_, state) = one_string(&"x".repeat(4 << 20));
    let document = document(state.clone());
    let typed = admit(edits(&state, &[(1_000_000, true)]));
    assert!(!document.is_heavy(&typed));
    let spread: Vec<(u32, bool)> = (0..100).map(|at| (at * 30_011, at % 2 == 0)).collect();
    let spread = admit(edits(&state, &spread));
    assert!(spread.bytes().len() < INLINE_UPDATE_BYTES_MAX / 10);
    assert!(document.is_heavy(&spread));
    assert!(!Document::new(u64::MAX).is_heavy(&spread));
}

#[test]
fn what_is_held_for_a_long_document_is_heavy() {
    let (_, state) = one_string(&"x".repeat(4 << 20));
    let mut document = document(state);
    assert!(!document.is_held_heavy());
    let other = doc(ClientID::new(9));
    let text = other.get_or_insert_text("text");
    text.push(&mut other.transact_mut(), "first");
    let before = other.transact().state_vector();
    text.push(&mut other.transact_mut(), "second, long enough to cut at many places");
    let second = admit(other.transact().encode_diff_v1(&before));
    let rest = document.apply_part(&second).unwrap().rest.unwrap();
    document.hold(1, rest, crate::ids::SessionId(1)).unwrap();
    assert!(document.is_held_heavy());
}

#[test]
fn halves_are_cut_before_quarters() {
    let order: Vec<u32> = halving((1..=10).collect()).collect();
    assert_eq!(order, [8, 4, 2, 6, 10, 1, 3, 5, 7, 9]);
    assert_eq!(halving(Vec::new()).next(), None);
    assert_eq!(halving(vec![5]).collect::<Vec<u32>>(), [5]);
}

#[test]
fn a_string_cut_by_halving_is_copied_a_few_times_whole() {
    let len = 1 << 24;
    let cuts: Vec<u32> = (1..len / PIECE_CLOCKS).map(|piece| piece * PIECE_CLOCKS).collect();
    let mut ends = std::collections::BTreeSet::from([0, len]);
    let mut copied = 0;
    for clock in halving(cuts) {
        let (start, end) = (ends.range(..clock).next_back(), ends.range(clock..).next());
        copied += u64::from(end.unwrap() - start.unwrap());
        ends.insert(clock);
    }
    assert_eq!(copied, u64::from(len) * u64::from((len / PIECE_CLOCKS).ilog2()));
}

#[test]
fn places_near_each_other_are_left_out() {
    let far = PIECE_CLOCKS;
    assert_eq!(far_apart(vec![3 * far, 5, far, far + 9, 2 * far, far]), [far, 2 * far, 3 * far]);
}

/// Half a surrogate pair becomes U+FFFD: what is cut shows it.
#[test]
fn it_cuts_where_the_update_will() {
    let string = format!("{}😀{0}", "x".repeat(PIECE_CLOCKS as usize));
    let (author, _) = one_string(&string);
    let mut deletes = IdSet::default();
    deletes.insert(yrs::ID::new(AUTHOR, PIECE_CLOCKS + 1), 1);
    cut(&mut author.transact_mut(), &Scan::default(), &deletes);
    assert_eq!(text_of(&author), string.replace('😀', "\u{fffd}\u{fffd}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Letters of one, two and four bytes; places far apart, near each other, and the same again.
    #[test]
    fn cut_or_not_the_same_document_comes_of_it(
        places in prop::collection::vec((any::<u32>(), any::<bool>()), 120..300),
    ) {
        let (author, state) = one_string(&"aé😀".repeat(100_000));
        let update = edits(&state, &places);
        author.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
        let plain = author.transact().encode_diff_v1(&StateVector::default());

        let mut cut = document(state);
        let update = admit(update);
        prop_assert!(cut.cuts_much(places_max(update.scan())));
        cut.apply(&update, Exact::Wanted).unwrap();
        prop_assert_eq!(cut.encode().unwrap(), plain);
    }
}
