use yrs::{
    Array, Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, Update,
    types::ToJson, updates::decoder::Decode,
};

use super::*;
use crate::protocol::lib0::{write_string, write_var_uint};

fn bounds() -> Bounds {
    Bounds::new(256 << 20)
}

fn admitted(bytes: &[u8]) -> Admitted {
    admit(Bytes::copy_from_slice(bytes), &bounds()).unwrap()
}

fn doc() -> Doc {
    Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() })
}

fn apply(doc: &Doc, bytes: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(bytes).unwrap()).unwrap();
}

fn text(doc: &Doc) -> String {
    let text = doc.get_or_insert_text("t");
    text.get_string(&doc.transact())
}

/// One section of client 1 from clock 0 in root `t`, and deleted ranges of it.
fn update(structs: &[Vec<u8>], deletes: &[(u64, u64)]) -> Vec<u8> {
    let mut out = vec![1];
    write_var_uint(&mut out, structs.len() as u64);
    out.extend([1, 0]);
    out.extend(structs.concat());
    out.push(u8::from(!deletes.is_empty()));
    if !deletes.is_empty() {
        out.push(1);
        write_var_uint(&mut out, deletes.len() as u64);
        for (start, len) in deletes {
            write_var_uint(&mut out, *start);
            write_var_uint(&mut out, *len);
        }
    }
    out
}

/// Letters, each a struct that follows the one before.
fn letters(count: u64) -> Vec<Vec<u8>> {
    let letter = |at: u64| {
        let mut out = if at == 0 { vec![4, 1, 1, b't'] } else { vec![0x84, 1] };
        if at > 0 {
            write_var_uint(&mut out, at - 1);
        }
        out.extend([1, b'a' + (at % 26) as u8]);
        out
    };
    (0..count).map(letter).collect()
}

#[test]
fn what_is_plain_stays_byte_for_byte() {
    for bytes in [&[0, 0][..], &update(&letters(2), &[]), &update(&letters(20), &[(3, 2)])] {
        assert_eq!(admitted(bytes).bytes(), bytes);
    }
}

#[test]
fn rows_of_letters_become_one_string() {
    let bytes = update(&letters(1000), &[]);
    let joined = admitted(&bytes);
    assert_eq!(joined.scan().structs, 1);
    assert_eq!(joined.scan().sections[0].end, 1000);
    let (ours, theirs) = (doc(), doc());
    apply(&ours, joined.bytes());
    apply(&theirs, &bytes);
    assert_eq!(text(&ours), text(&theirs));
    let state = |doc: &Doc| doc.transact().encode_diff_v1(&StateVector::default());
    assert_eq!(state(&ours), state(&theirs));
}

#[test]
fn what_is_deleted_stays_apart() {
    let deletes: Vec<_> = (0..100).map(|at| (at * 10, 3)).collect();
    let bytes = update(&letters(1000), &deletes);
    let joined = admitted(&bytes);
    assert_eq!(joined.scan().structs, 200);
    let (ours, theirs) = (doc(), doc());
    apply(&ours, joined.bytes());
    apply(&theirs, &bytes);
    assert_eq!(text(&ours), text(&theirs));
    assert_eq!(text(&ours).len(), 700);
}

#[test]
fn lists_are_joined_and_values_of_keys_are_not() {
    let value = |at: u64| {
        let mut out = if at == 0 { vec![8, 1, 1, b't'] } else { vec![0x88, 1] };
        if at > 0 {
            write_var_uint(&mut out, at - 1);
        }
        out.extend([2, 126, 120]);
        out
    };
    // Two clocks each, so that the origin of each is the second value of the one before.
    let rows: Vec<_> = (0..100).map(|at| value(if at == 0 { 0 } else { at * 2 })).collect();
    let joined = admitted(&update(&rows, &[]));
    assert_eq!(joined.scan().structs, 1);
    let ours = doc();
    apply(&ours, joined.bytes());
    let array = ours.get_or_insert_array("t");
    assert_eq!(array.len(&ours.transact()), 200);

    let key = |at: u64| {
        let mut out = if at == 0 { vec![0x28, 1, 1, b'm', 1, b'k'] } else { vec![0xa8, 1] };
        if at > 0 {
            write_var_uint(&mut out, at - 1);
        }
        out.extend([1, 126]);
        out
    };
    let bytes = update(&(0..100).map(key).collect::<Vec<_>>(), &[]);
    assert_eq!(admitted(&bytes).bytes(), &bytes);
}

/// `ContentJSON` as Yjs 12 and early 13 wrote it; Yjs 13.6 reads it as these values.
#[test]
fn values_of_old_yjs_become_values_of_today() {
    for (json, any) in [
        ("\"a\"", "\"a\""),
        ("undefined", "undefined"),
        ("null", "null"),
        ("true", "true"),
        ("-5", "-5"),
        ("3000000000", "3000000000"),
        ("1.5", "1.5"),
        ("[1,[\"x\"]]", "[1, [x]]"),
    ] {
        let mut body = vec![2, 1, 1, b't', 1];
        write_string(&mut body, json);
        let ours = doc();
        apply(&ours, admitted(&update(&[body], &[])).bytes());
        let array = ours.get_or_insert_array("t");
        let values = array.to_json(&ours.transact());
        assert_eq!(
            format!("{values}").replace('"', ""),
            format!("[{}]", any.replace('"', "")),
            "{json}"
        );
    }
    for bad in ["", "undefine", "{", "[1,]", "1 2"] {
        let mut body = vec![2, 1, 1, b't', 1];
        write_string(&mut body, bad);
        let refused = admit(update(&[body], &[]).into(), &bounds());
        assert_eq!(refused, Err(Refusal::Json), "{bad:?}");
    }
    let mut deep = vec![2, 1, 1, b't', 1];
    write_string(&mut deep, &"[".repeat(10_000));
    assert_eq!(admit(update(&[deep], &[]).into(), &bounds()), Err(Refusal::ValueDepth));
}

#[test]
fn old_values_keep_their_clocks_and_what_follows_them() {
    // Three old values, a fourth after the second, and the first one deleted.
    let bytes = update(
        &[vec![2, 1, 1, b't', 3, 1, b'1', 1, b'2', 1, b'3'], vec![0xc8, 1, 1, 1, 2, 1, 126]],
        &[(0, 1)],
    );
    let new = admitted(&bytes);
    assert_eq!(new.scan().sections[0].end, 4);
    let ours = doc();
    apply(&ours, new.bytes());
    let array = ours.get_or_insert_array("t");
    let values = array.to_json(&ours.transact());
    assert_eq!(format!("{values}"), "[2, null, 3]");
    // A hundred thousand of them, each a struct of its own.
    let value = |at: u64| {
        let mut out = if at == 0 { vec![2, 1, 1, b't'] } else { vec![0x82, 1] };
        if at > 0 {
            write_var_uint(&mut out, at - 1);
        }
        out.extend([1, 1, b'7']);
        out
    };
    let rows: Vec<_> = (0..100_000).map(value).collect();
    let new = admitted(&update(&rows, &[]));
    assert_eq!((new.scan().structs, new.scan().sections[0].end), (1, 100_000));
}
