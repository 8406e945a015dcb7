use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use yrs::{
    Any, Array, ClientID, Doc, GetString, Map, MapPrelim, OffsetKind, Options, ReadTxn,
    StateVector, Text, Transact, TransactionMut, Update, WriteTxn, XmlElementPrelim, XmlFragment,
    XmlTextPrelim,
    types::{Attrs, ToJson},
    updates::decoder::Decode,
};

use super::*;
use crate::limits::XML_DEPTH_MAX;

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|b| u8::try_from((b as char).to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

fn bounds() -> Bounds {
    Bounds::new(256 << 20)
}

fn scan(bytes: &[u8]) -> Result<Scan, Refusal> {
    scan_update(bytes, &bounds())
}

fn empty(_: u64) -> u64 {
    0
}

/// A struct-less update with one section of these structs for client 1 from clock 0, and no deletes.
fn section(structs: usize, body: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    crate::protocol::lib0::write_var_uint(&mut out, structs as u64);
    out.extend([1, 0]);
    out.extend(body);
    out.push(0);
    out
}

#[test]
fn known_killers_are_refused_by_name() {
    for (hex, refusal) in [
        // A heap use-after-free in yrs: client 1 in two sections.
        (
            "0201010004010764656661756c74044141414101010004010764656661756c74044242424200",
            Refusal::RepeatedClient,
        ),
        (
            "0202010007010764656661756c740301700400010005696e6e657201010004010764656661756c74015a00",
            Refusal::RepeatedClient,
        ),
        // 512 MB from five bytes.
        ("8080808001", Refusal::Truncated),
        ("01010100080101740176808080200076", Refusal::Truncated),
        // ContentJSON that follows itself.
        ("0101030042030500013100", Refusal::ForwardReference),
        // A room nobody can join any more.
        ("010201ffffffff0f04010174046869686904010174017800", Refusal::Clock),
        ("030102ffffffff0f000401020000020103b8c6f69d0f000200", Refusal::Clock),
        // Panics in apply.
        ("0100010000", Refusal::Truncated),
        ("010001000000", Refusal::EmptySection),
        // Two sections of one client that overlap: an endless loop in later edits.
        (
            "0201010004010764656661756c7408414243444546474801010204010764656661756c740c78797a78797a78797a78797a00",
            Refusal::RepeatedClient,
        ),
    ] {
        assert_eq!(scan(&unhex(hex)), Err(refusal), "{hex}");
    }
}

#[test]
fn known_killers_made_of_gaps_are_missing_something() {
    for hex in [
        "02010200a1010602030100250101740171077b2261223a317d00044403010478797a620102010905",
        "02020201a701040fe1010703000401030068020102797800",
        "02010100a70204050170010200450200077b2261223a317d00",
        "0101020004000100016200",
    ] {
        let bytes = unhex(hex);
        match scan(&bytes) {
            Ok(scan) => assert!(scan.missing(empty).is_some(), "{hex}: {scan:?}"),
            Err(refusal) => assert_ne!(refusal.code(), "", "{hex}"),
        }
    }
}

#[test]
fn deep_values_and_types_are_refused() {
    let nested = [unhex("0101010008010174 01"), [0x75, 1].repeat(6210), vec![0x7e, 0]].concat();
    assert_eq!(scan(&nested), Err(Refusal::ValueDepth));

    // Elements inside each other: 1/0 in root "r", then each in the one before.
    let chain = |levels: usize, link: &dyn Fn(&mut Vec<u8>, u64)| {
        let mut body = unhex("070101720301 70");
        for at in 1..levels as u64 {
            link(&mut body, at);
            body.extend([3, 1, b'p']);
        }
        section(levels, &body)
    };
    let inside = |body: &mut Vec<u8>, at: u64| {
        body.extend([0x07, 0, 1]);
        crate::protocol::lib0::write_var_uint(body, at - 1);
    };
    assert_eq!(scan(&chain(7265, &inside)), Err(Refusal::TypeDepth));
    assert_eq!(scan(&chain(XML_DEPTH_MAX + 1, &inside)), Err(Refusal::TypeDepth));
    assert!(scan(&chain(XML_DEPTH_MAX, &inside)).is_ok());
    // The same depth by way of siblings: every second element follows the one before.
    let zigzag = |body: &mut Vec<u8>, at: u64| {
        body.extend(if at % 2 == 1 { &[0x87, 1][..] } else { &[0x07, 0, 1] });
        crate::protocol::lib0::write_var_uint(body, at - 1);
    };
    assert_eq!(scan(&chain(2 * XML_DEPTH_MAX + 2, &zigzag)), Err(Refusal::TypeDepth));
    // As many elements beside each other are a plain document.
    let flat = |body: &mut Vec<u8>, at: u64| {
        body.extend([0x87, 1]);
        crate::protocol::lib0::write_var_uint(body, at - 1);
    };
    assert!(scan(&chain(7265, &flat)).is_ok());
}

#[test]
fn sections_without_structs_are_refused_however_many() {
    let mut bytes = Vec::new();
    crate::protocol::lib0::write_var_uint(&mut bytes, 21_875);
    for client in 0..21_875u64 {
        bytes.push(0);
        crate::protocol::lib0::write_var_uint(&mut bytes, client);
        bytes.push(0);
    }
    bytes.push(0);
    assert!(scan(&bytes).is_err());
}

#[test]
fn each_rule_has_its_name() {
    for (bytes, refusal) in [
        (vec![], Refusal::Truncated),
        (vec![0, 0, 0], Refusal::Trailing),
        (section(1, &[10, 0]), Refusal::ZeroLength),
        (section(1, &[0, 0]), Refusal::ZeroLength),
        (section(1, &[4, 1, 1, b't', 0]), Refusal::ZeroLength),
        (section(1, &[8, 1, 1, b't', 0]), Refusal::ZeroLength),
        (section(1, &[4, 1, 1, b't', 1, 0xff]), Refusal::Utf8),
        (section(1, &[11, 1, 1, b't', 1]), Refusal::UnknownContent),
        (section(1, &[0x14, 1, 1, b't', 1, b'a']), Refusal::UnknownContent),
        (section(1, &[0x80, 2, 0, 1]), Refusal::UnknownContent),
        (section(1, &[7, 1, 1, b't', 7, 0, 0, 0]), Refusal::UnknownType),
        (section(1, &[7, 1, 1, b't', 5, 1, b'h']), Refusal::UnknownType),
        (section(1, &[8, 1, 1, b't', 1, 9]), Refusal::UnknownValue),
        (section(1, &[5, 1, 1, b't', 1, b'{']), Refusal::Json),
        (section(1, &[0x84, 1, 0, 1, b'a']), Refusal::ForwardReference),
        (section(1, &[0x44, 1, 5, 1, b'a']), Refusal::ForwardReference),
        (section(1, &[4, 0, 1, 0, 1, b'a']), Refusal::ForwardReference),
        // Clients 1 and 2 wait for each other.
        (vec![2, 1, 1, 0, 0x84, 2, 0, 1, b'a', 1, 2, 0, 0x84, 1, 0, 1, b'b', 0], Refusal::Cycle),
        // A client id of 2^53.
        (vec![1, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 1, 0], Refusal::ClientId),
        (vec![0, 1, 5, 1, 0, 0], Refusal::ZeroLength),
        (vec![0, 1, 5, 1, 0xff, 0xff, 0xff, 0xff, 0x07, 1], Refusal::Clock),
        (vec![0, 2, 5, 1, 0, 1, 5, 1, 3, 1], Refusal::RepeatedClient),
        (vec![0, 1, 5, 0x80, 0x80, 0x80, 0x80, 0x01], Refusal::Truncated),
    ] {
        assert_eq!(scan(&bytes), Err(refusal), "{bytes:02x?}");
    }
}

#[test]
fn memory_and_struct_counts_are_bounded() {
    let bytes = section(1000, &[0, 1].repeat(1000));
    assert_eq!(
        scan_update(&bytes, &Bounds { structs_max: 999, ..Bounds::new(1 << 30) }),
        Err(Refusal::TooManyStructs)
    );
    assert_eq!(
        scan_update(&bytes, &Bounds { structs_max: 1000, ..Bounds::new(10_000) }),
        Err(Refusal::TooLarge)
    );
    assert!(scan(&bytes).is_ok());
    // Half a million edits made offline, each a struct of its own.
    let mut body = unhex("040101740161");
    for at in 0..499_999u64 {
        body.extend([0x84, 1]);
        crate::protocol::lib0::write_var_uint(&mut body, at);
        body.extend([1, b'a']);
    }
    let scan = scan(&section(500_000, &body)).unwrap();
    assert_eq!((scan.structs, scan.sections[0].end), (500_000, 500_000));
}

#[test]
fn empty_updates_are_empty() {
    let scan = scan(&[0, 0]).unwrap();
    assert!(scan.is_empty() && scan.missing(empty).is_none());
}

#[test]
fn deleted_ranges_are_put_in_order() {
    let admitted = |hex| admit(unhex(hex).into(), &bounds()).unwrap().bytes().to_vec();
    // Client 1: 5..6, 1..3, 2..4, 4..5; client 2 stays as it is, though two of its ranges touch.
    let unordered = "00 02 01 04 0501 0102 0202 0401 02 02 0101 0201";
    assert_eq!(admitted(unordered), unhex("00 02 01 01 0105 02 02 0101 0201"));
    // Nothing is changed that is in order.
    let ordered = "00 01 01 02 0102 0501";
    assert_eq!(admitted(ordered), unhex(ordered));
    // One more range than is allowed is still one too many, though fewer would be left of it.
    let bounds = Bounds { structs_max: 5, ..bounds() };
    let refused = admit(unhex(unordered).into(), &bounds);
    assert_eq!(refused, Err(Refusal::TooManyStructs));
}

#[test]
fn deletes_need_what_they_delete() {
    let scan = scan(&[0, 1, 5, 1, 2, 3]).unwrap();
    assert!(!scan.is_empty());
    assert_eq!(scan.missing(empty), Some(Missing { client: 5, clock: 5 }));
    assert_eq!(scan.missing(|_| 4), Some(Missing { client: 5, clock: 5 }));
    assert_eq!(scan.missing(|_| 5), None);
}

#[test]
fn state_vectors_are_checked() {
    assert_eq!(scan_state_vector(&[0]), Ok(0));
    assert_eq!(scan_state_vector(&[1, 7, 3]), Ok(1));
    assert_eq!(scan_state_vector(&unhex("8080808001")), Err(Refusal::Truncated));
    assert_eq!(scan_state_vector(&[1, 7, 3, 0]), Err(Refusal::Trailing));
    assert_eq!(scan_state_vector(&[1, 7, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(Refusal::Clock));
    assert_eq!(scan_state_vector(&[]), Err(Refusal::Truncated));
}

fn doc(client: u64) -> Doc {
    Doc::with_options(Options {
        client_id: ClientID::new(client),
        offset_kind: OffsetKind::Utf16,
        ..Options::default()
    })
}

fn clock_of(doc: &Doc) -> impl Fn(u64) -> u64 {
    let state = doc.transact().state_vector();
    move |client| u64::from(state.get(&ClientID::new(client)))
}

fn apply(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

fn contents(doc: &Doc) -> (StateVector, Any, String, String) {
    let text = doc.get_or_insert_text("text");
    let root = doc.get_or_insert_xml_fragment("default");
    let map = doc.get_or_insert_map("map");
    let array = doc.get_or_insert_array("array");
    let txn = doc.transact();
    let values = Any::from(vec![map.to_json(&txn), array.to_json(&txn)]);
    (txn.state_vector(), values, text.get_string(&txn), root.get_string(&txn))
}

/// One edit of what editors do; `n` picks places and values.
fn edit(txn: &mut TransactionMut<'_>, kind: u8, n: u32) {
    let text = txn.get_or_insert_text("text");
    let len = text.len(txn);
    let at = if len == 0 { 0 } else { n % (len + 1) };
    match kind % 9 {
        0 => text.insert(txn, at, "hello"),
        1 => text.insert(txn, len, "\u{1f600}é"),
        2 => {
            let attrs = Attrs::from([("bold".into(), Any::Bool(true))]);
            text.format(txn, 0, len, attrs);
        }
        3 if len > 0 => text.remove_range(txn, 0, 1 + n % len),
        4 => {
            let map = txn.get_or_insert_map("map");
            map.insert(txn, format!("key{}", n % 3), f64::from(n));
        }
        5 => {
            let array = txn.get_or_insert_array("array");
            array.push_back(txn, vec![Any::Null, Any::from("x"), Any::from(vec![Any::Bool(true)])]);
        }
        6 => {
            let root = txn.get_or_insert_xml_fragment("default");
            let element = root.push_back(txn, XmlElementPrelim::empty("paragraph"));
            element.push_back(txn, XmlTextPrelim::new("words"));
        }
        7 => {
            let map = txn.get_or_insert_map("map");
            map.insert(txn, "nested", MapPrelim::from([("a", 1)]));
        }
        8 => {
            let root = txn.get_or_insert_xml_fragment("default");
            let len = root.len(txn);
            if len > 0 {
                root.remove_range(txn, n % len, 1);
            }
        }
        _ => {}
    }
}

/// Honest updates of three clients who sync now and then: (author's updates in causal order).
fn honest(steps: &[(u8, u8, u32)]) -> Vec<Vec<u8>> {
    let docs = [doc(1), doc(77), doc(CLIENT_ID_MAX)];
    let mut updates: Vec<Vec<u8>> = Vec::new();
    for (who, kind, n) in steps {
        let author = &docs[usize::from(*who) % docs.len()];
        if *kind == 255 || kind % 10 == 9 {
            for update in &updates {
                apply(author, update);
            }
            continue;
        }
        let mut txn = author.transact_mut();
        edit(&mut txn, *kind, *n);
        let update = txn.encode_update_v1();
        drop(txn);
        if update != [0, 0] {
            updates.push(update);
        }
    }
    updates
}

fn steps() -> impl Strategy<Value = Vec<(u8, u8, u32)>> {
    proptest::collection::vec((0u8..3, 0u8..20, 0u32..1000), 1..40)
}

proptest! {
    #[test]
    fn honest_updates_are_accepted_and_complete(steps in steps()) {
        let updates = honest(&steps);
        let server = doc(5);
        for update in &updates {
            let scan = scan(update).unwrap();
            prop_assert_eq!(scan.missing(clock_of(&server)), None);
            apply(&server, update);
        }
        let whole = server.transact().encode_state_as_update_v1(&StateVector::default());
        let scan = scan(&whole).unwrap();
        prop_assert_eq!(scan.missing(empty), None);
        let copy = doc(6);
        apply(&copy, &whole);
        prop_assert_eq!(copy.transact().state_vector(), server.transact().state_vector());
        let vector = yrs::updates::encoder::Encode::encode_v1(&server.transact().state_vector());
        prop_assert_eq!(scan_state_vector(&vector), Ok(server.transact().state_vector().len()));
    }

    #[test]
    fn updates_out_of_order_wait_exactly_as_long_as_something_is_missing(
        steps in steps(), seed in any::<u64>()
    ) {
        let updates = honest(&steps);
        let mut order: Vec<usize> = (0..updates.len()).collect();
        fastrand::Rng::with_seed(seed).shuffle(&mut order);
        let server = doc(5);
        let mut held: Vec<usize> = Vec::new();
        for next in order {
            held.push(next);
            // Hold what misses something, apply the rest, until nothing moves any more.
            while let Some(found) = held.iter().position(|at| {
                scan(&updates[*at]).unwrap().missing(clock_of(&server)).is_none()
            }) {
                apply(&server, &updates[held.remove(found)]);
                // What the guard lets pass, yrs integrates whole.
                prop_assert!(!server.transact().has_missing_updates());
            }
        }
        prop_assert!(held.is_empty());
        let in_order = doc(6);
        for update in &updates {
            apply(&in_order, update);
        }
        // yrs joins neighbouring structs or not depending on the order, so contents are compared, not bytes.
        prop_assert_eq!(contents(&server), contents(&in_order));
    }

    #[test]
    fn mutated_updates_never_panic_here_nor_later_in_yrs(
        steps in steps(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)
    ) {
        let base = doc(5);
        let updates = honest(&steps);
        for update in &updates {
            apply(&base, update);
        }
        let whole = base.transact().encode_state_as_update_v1(&StateVector::default());
        for source in updates.iter().chain([&whole]) {
            let mut bytes = source.clone();
            for (at, value) in &changes {
                let len = bytes.len();
                bytes[at % len] = *value;
            }
            for (target, known) in [(doc(8), &[][..]), (doc(9), &updates[..])] {
                for update in known {
                    apply(&target, update);
                }
                let Ok(admitted) = admit(bytes.clone().into(), &bounds()) else { continue };
                let scan = admitted.scan();
                // What has holes is taken apart before.
                if scan.has_holes || scan.missing(clock_of(&target)).is_some() {
                    continue;
                }
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    if let Ok(update) = Update::decode_v1(admitted.bytes())
                        && target.transact_mut().apply_update(update).is_ok()
                    {
                        let txn = target.transact();
                        assert!(!txn.has_missing_updates());
                        let _ = txn.encode_state_as_update_v1(&StateVector::default());
                        if let Some(text) = txn.get_text("text") {
                            let _ = text.get_string(&txn);
                        }
                    }
                }));
                prop_assert!(outcome.is_ok(), "{:02x?}", bytes);
            }
        }
    }

    #[test]
    fn any_bytes_are_scanned_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&bytes);
        let _ = scan_state_vector(&bytes);
    }
}
