//! The payloads, by what they do to an unguarded yrs. Several in one entry are sent one after the other.

use bytes::Bytes;
use civicpress_realtime::{
    protocol::{
        guard::{Refusal, scan_state_vector},
        lib0::write_var_uint,
    },
    room::document::{Document, DocumentError},
};

use crate::{
    DOCUMENT_BYTES_MAX, Fate, empty_room, memory::peak_of, on_a_room_thread, still_serves,
};

pub fn var(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    write_var_uint(&mut out, value);
    out
}

/// One section of client 1 from clock 0, and no deletes.
pub fn section(structs: u64, body: &[u8]) -> Vec<u8> {
    [&[1], &var(structs)[..], &[1, 0], body, &[0]].concat()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Elements inside each other, the first in a root.
fn nested(levels: u64) -> Vec<u8> {
    let mut body = vec![7, 1, 1, b'd', 3, 1, b'p'];
    for at in 1..levels {
        body.extend([7, 0, 1]);
        body.extend(var(at - 1));
        body.extend([3, 1, b'p']);
    }
    section(levels, &body)
}

fn values(levels: usize) -> Vec<u8> {
    [hex("0101010008010174 01"), [0x75, 1].repeat(levels), vec![0x7e, 0]].concat()
}

/// Maps inside each other, each declaring four million entries.
fn maps(levels: usize) -> Vec<u8> {
    let mut out = hex("0101010008010174 01");
    for _ in 0..levels {
        out.extend(hex("7680808002 00"));
    }
    out
}

fn empty_sections(count: u64) -> Vec<u8> {
    let mut out = var(count);
    for client in 0..count {
        out.push(0);
        out.extend(var(client));
        out.push(0);
    }
    out.push(0);
    out
}

/// Name, updates in order, what becomes of each.
type Case = (&'static str, Vec<Vec<u8>>, Vec<Fate>);

#[expect(clippy::too_many_lines, reason = "a table")]
fn corpus() -> Vec<Case> {
    use Fate::{Refused, Taken, Waits};
    let one = |name, bytes: Vec<u8>, fate| (name, vec![bytes], vec![fate]);
    let first = hex("01010100 04 01 01 74 02 6162 00");
    vec![
        one(
            "1 abort in a destructor",
            hex("030102ffffffff0f000401020000020103b8c6f69d0f000200"),
            Refused("clock"),
        ),
        one(
            "2 use after free",
            hex("0201010004010764656661756c74044141414101010004010764656661756c74044242424200"),
            Refused("repeated_client"),
        ),
        one(
            "2 the same with a type",
            hex(
                "0202010007010764656661756c740301700400010005696e6e657201010004010764656661756c74015a00",
            ),
            Refused("repeated_client"),
        ),
        (
            "3 gaps merged in yrs",
            vec![
                hex(
                    "02010200a1010602030100250101740171077b2261223a317d00044403010478797a620102010905",
                ),
                hex("02020201a701040fe1010703000401030068020102797800"),
            ],
            vec![],
        ),
        one("4 deep values", values(6_210), Refused("value_depth")),
        one("4 deeper values", values(25_312), Refused("value_depth")),
        one(
            "4 deep values of a subdocument",
            [hex("0101010009010174 0167"), [0x75, 1].repeat(8_000), vec![0x7e, 0]].concat(),
            Refused("value_depth"),
        ),
        one("5 sections without structs", empty_sections(21_875), Refused("truncated")),
        (
            "6 deep elements, then their root deleted",
            vec![nested(7_265), hex("00010101 00 01")],
            vec![Refused("type_depth"), Waits],
        ),
        one("6 deeper elements", nested(29_375), Refused("type_depth")),
        one("7 elements to be printed", nested(4_375), Refused("type_depth")),
        (
            "6, 7 as deep as allowed, then deeper, then deleted",
            vec![
                nested(256),
                hex("01 01 02 00 07 00 01 ff01 03 01 70 00"),
                hex("00 01 01 01 00 01"),
            ],
            vec![Taken, Refused("type_depth"), Taken],
        ),
        one("8 an update of 2^31 sections", hex("8080808001"), Refused("truncated")),
        one("8 a hundred million sections", hex("80c2d72f 00"), Refused("truncated")),
        one(
            "8 a map of 2^29 entries",
            hex("01010100080101740176808080200076"),
            Refused("truncated"),
        ),
        one("8 maps of four million, six deep", maps(6), Refused("truncated")),
        one("8 forty deep", maps(40), Refused("truncated")),
        one("8 two hundred deep", maps(200), Refused("truncated")),
        one(
            "9 ContentJSON that stays pending",
            hex("0101030042030500013100"),
            Refused("forward_reference"),
        ),
        one(
            "10 a clock at 2^32",
            hex("010201ffffffff0f04010174046869686904010174017800"),
            Refused("clock"),
        ),
        one(
            "11 pending states that lose structs",
            hex("02010100a70204050170010200450200077b2261223a317d00"),
            Refused("unknown_type"),
        ),
        (
            "12 an empty section of a known client",
            vec![first.clone(), hex("0100010000"), hex("010001000000")],
            vec![Taken, Refused("truncated"), Refused("empty_section")],
        ),
        one(
            "13 a reference to itself",
            section(1, &hex("84 01 00 01 61")),
            Refused("forward_reference"),
        ),
        one(
            "13 a reference forward",
            section(1, &hex("44 01 05 01 61")),
            Refused("forward_reference"),
        ),
        one(
            "13 a circle",
            hex("02 0101 00 84 02 00 01 61 0102 00 84 01 00 01 62 00"),
            Refused("cycle"),
        ),
        one("13 an empty struct", section(1, &[0, 0]), Refused("zero_length")),
        one(
            "14 overlap",
            hex(
                "0201010004010764656661756c7408414243444546474801010204010764656661756c740c78797a78797a78797a78797a00",
            ),
            Refused("repeated_client"),
        ),
        (
            "14 inside a surrogate pair, then each half deleted",
            vec![
                hex("01010100 04 01 01 74 06 61f09f988062 00"),
                hex("01010200 c4 01 01 01 02 01 58 00"),
                hex("00 01 01 01 01 01"),
                hex("00 01 01 01 02 01"),
            ],
            vec![Taken; 4],
        ),
        one("ContentJSON of old Yjs", hex("0101010002010174010322612200"), Taken),
        one("ContentJSON that is no JSON", hex("01010100020101740102227b00"), Refused("json")),
        (
            "a parent that is text",
            vec![hex("0101010004010174016100"), hex("0101020004000100016200")],
            vec![Taken, Refused("parent")],
        ),
        (
            "a parent that turns out to be text",
            vec![hex("0101020004000100016200"), hex("0101010004010174016100")],
            vec![Waits, Taken],
        ),
        // A heap use-after-free: the key's older half outlives the list it stands in. Found by fuzzing.
        one(
            "two values of a key in one struct, cut in two, and the list around them deleted",
            hex(
                "01 05 01 00 27 01 07 64656661756c74 01 61 00 28 00 01 00 01 61 02 76 01 01 6b 7e 76 01 01 6b 7e
                 64 01 02 01 61 a4 01 00 01 61 04 01 07 64656661756c74 01 61 00",
            ),
            Refused("key"),
        ),
        (
            "values among those of a key without saying so, one and two at once",
            vec![
                hex("01 01 01 00 28 01 01 6d 01 6b 01 7e 00"),
                hex("01 01 01 01 88 01 00 01 7e 00"),
                hex("01 01 01 02 88 01 01 02 7e 7e 00"),
                hex("01 01 01 02 a8 01 01 01 7e 00"),
            ],
            vec![Taken, Taken, Refused("key"), Taken],
        ),
        (
            "letters behind a value of a key, by way of a clock that is known otherwise",
            vec![
                hex("01 02 01 00 04 01 01 74 01 61 28 01 01 6d 01 6b 01 7e 00"),
                hex("01 01 01 01 84 01 00 04 78 79 7a 7a 00"),
            ],
            vec![Taken, Refused("key")],
        ),
        // What clients without garbage collection have of a key set three times.
        one(
            "old values of a key in one struct, deleted",
            hex("01 02 01 00 28 01 01 6d 01 6b 02 7e 7e a8 01 01 01 7e 01 01 01 00 02"),
            Taken,
        ),
        // A heap use-after-free in yrs' commit, out of what anybody may do. Found by fuzzing.
        (
            "two subdocuments side by side, deleted",
            vec![
                hex("01 02 01 00 09 01 01 6c 01 61 76 00 89 01 00 01 62 76 00 00"),
                hex("00 01 01 01 00 02"),
            ],
            vec![Taken, Taken],
        ),
        one(
            "an embed of deep JSON",
            {
                let json = "[".repeat(50_000);
                let mut body = vec![5, 1, 1, b't'];
                body.extend(var(json.len() as u64));
                body.extend(json.bytes());
                section(1, &body)
            },
            Refused("value_depth"),
        ),
        one(
            "a version 2 update",
            hex("000002a50100000401008374010374686901000002"),
            Refused("trailing"),
        ),
        one(
            "two million elements",
            {
                let mut body = vec![7, 1, 1, b'd', 3, 1, b'p'];
                for at in 1..2_000_000u64 {
                    body.extend([0x87, 1]);
                    body.extend(var(at - 1));
                    body.extend([3, 1, b'p']);
                }
                section(2_000_000, &body)
            },
            Refused("too_large"),
        ),
        one(
            "half a million subdocuments",
            {
                let mut body = vec![9, 1, 1, b'd', 1, b'g', 118, 0];
                for at in 1..500_000u64 {
                    body.extend([0x89, 1]);
                    body.extend(var(at - 1));
                    body.extend([1, b'g', 118, 0]);
                }
                section(500_000, &body)
            },
            Refused("too_large"),
        ),
        one(
            "one key written two thousand times",
            {
                let mut body = vec![0x28, 1, 1, b'm', 1, b'k', 1, 126];
                for at in 1..2_000u64 {
                    body.extend([0xa8, 1]);
                    body.extend(var(at - 1));
                    body.extend([1, 126]);
                }
                section(2_000, &body)
            },
            Taken,
        ),
        one(
            "insertions in front of each other",
            {
                let mut body = vec![4, 1, 1, b't', 1, b'a'];
                for at in 1..5_000u64 {
                    body.extend([0x44, 1]);
                    body.extend(var(at - 1));
                    body.extend([1, b'a']);
                }
                section(5_000, &body)
            },
            Taken,
        ),
        (
            "deletions of every second letter",
            {
                let mut text = vec![4, 1, 1, b't'];
                text.extend(var(10_000));
                text.extend([b'a'; 10_000]);
                let mut deletes = vec![0, 1, 1];
                deletes.extend(var(5_000));
                for at in 0..5_000u64 {
                    deletes.extend(var(at * 2));
                    deletes.push(1);
                }
                vec![section(1, &text), deletes]
            },
            vec![Taken, Taken],
        ),
    ]
}

/// Most that judging and applying any of these may hold at once.
const PEAK_MAX: u64 = 64 << 20;

#[test]
fn every_known_payload_is_refused_by_name_or_harmless() {
    on_a_room_thread(|| {
        // Once into nothing, once beside what honest clients wrote.
        for honest_first in [false, true] {
            for (name, updates, fates) in corpus() {
                let mut room = empty_room();
                if honest_first {
                    still_serves(&mut room);
                }
                let input: u64 = updates.iter().map(|update| update.len() as u64).sum();
                for (at, update) in updates.iter().enumerate() {
                    let mut fate = Fate::Taken;
                    let peak = peak_of(|| fate = room.send(update));
                    // What is scanned at all may cost its size some times over.
                    assert!(peak < PEAK_MAX + 30 * input, "{name}: {peak} bytes");
                    if let Some(expected) = fates.get(at) {
                        assert_eq!(&fate, expected, "{name}, update {at}");
                    }
                }
                still_serves(&mut room);
                still_serves(&mut room);
            }
        }
    });
}

/// A log or a snapshot may be anybody's by the time it is read: restored, or changed on the disk.
#[test]
fn stored_payloads_are_refused_by_the_same_names() {
    on_a_room_thread(|| {
        for (name, updates, fates) in corpus() {
            let Some(Fate::Refused(code)) = fates.first() else { continue };
            if *code == "too_large" {
                // What is stored was let in once, and may be over a bound that was lowered since.
                continue;
            }
            let bytes = Bytes::from(updates[0].clone());
            let row = Document::load(DOCUMENT_BYTES_MAX, None, [(1, bytes.clone())].into_iter());
            let snapshot = Document::load(DOCUMENT_BYTES_MAX, Some(&bytes), std::iter::empty());
            for (loaded, seq) in [(row, Some(1)), (snapshot, None)] {
                let fault = loaded.map(|_| ()).expect_err(name);
                let (DocumentError::Refused(known) | DocumentError::TooLarge(known)) = fault.error
                else {
                    panic!("{name}: {fault}")
                };
                assert_eq!((known, fault.seq), (*code, seq), "{name}");
            }
        }
    });
}

#[test]
fn ten_thousand_updates_that_never_fit_stay_outside_and_bounded() {
    on_a_room_thread(|| {
        let mut room = empty_room();
        let peak = peak_of(|| {
            for clock in 0..10_000u64 {
                // A letter after one that never comes.
                let mut update = vec![1, 1, 9];
                update.extend(var(clock * 2 + 1));
                update.extend([0x84, 9]);
                update.extend(var(clock * 2));
                update.extend([1, b'x', 0]);
                assert_eq!(room.send(&update), Fate::Waits);
            }
        });
        assert!(peak < 16 << 20, "{peak}");
    });
}

#[test]
fn state_vectors_are_judged_before_they_are_read() {
    on_a_room_thread(|| {
        for (bytes, refusal) in [
            (hex("8080808001"), Refusal::Truncated),
            (hex("80c2d72f"), Refusal::Truncated),
            ([var(100_001), [1, 1].repeat(100_001)].concat(), Refusal::TooManyClients),
        ] {
            let peak = peak_of(|| assert_eq!(scan_state_vector(&bytes), Err(refusal)));
            assert!(peak < 1 << 20, "{peak}");
            assert!(Document::new(DOCUMENT_BYTES_MAX).diff(&bytes).is_err());
        }
    });
}
