//! What a room took is what its log and its snapshots rebuild, whatever was sent.

use crate::{Fate, Room, empty_room};

fn send(room: &mut Room, update: &str) -> Fate {
    let digits: Vec<u8> = update.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    room.send(&digits.chunks(2).map(byte).collect::<Vec<u8>>())
}

/// Eleven collected clocks of client 1, and two letters in the record's root of which the first is one of these.
const COLLECTED: &str = "0101 01 00 000b 00";
const OVERLAPS: &str = "0101 01 0a 0401 07 64656661756c74 02 6162 00";

/// yrs keeps the parent of a struct it cuts, so the second letter lived there and was collected wherever the
/// document was rebuilt; with it went what was written beside it.
#[test]
fn what_follows_a_collected_struct_is_collected_everywhere() {
    let mut room = empty_room();
    assert_eq!(send(&mut room, COLLECTED), Fate::Taken);
    assert_eq!(send(&mut room, OVERLAPS), Fate::Taken);
    room.edit("an honest edit");
    room.check();
    room.reopen();
    room.check();
}

/// The same with gaps: what waits is written by others meanwhile. Found by fuzzing.
#[test]
fn one_clock_written_twice_with_gaps_loses_no_later_edit() {
    for reopens in [false, true] {
        let mut room = empty_room();
        room.edit("before");
        for update in [
            "0202ac020104010764656661756c740161000304ffffffffffffff0f000003000300030002010100",
            "0301ffffffffffffff0f0a04010764656661756c7402616204010024010764656661756c740161016100
             030003000301020000030301000200ac0200",
        ] {
            send(&mut room, update);
            room.edit("between");
            if reopens {
                room.reopen();
            }
        }
        room.edit("after");
        room.check();
    }
}

/// Its integration is in the log as any other edit: no bound is asked again when the room opens.
#[test]
fn what_waited_and_was_taken_is_there_under_a_lower_bound() {
    let mut room = empty_room();
    assert_eq!(send(&mut room, "0101 01 01 8401 00 0162 00"), Fate::Waits);
    assert_eq!(send(&mut room, "0101 01 00 0401 07 64656661756c74 0161 00"), Fate::Taken);
    room.document_bytes_max = 1;
    room.check();
}

/// Two wait for the same; one of them waits for the other, too, and came first.
#[test]
fn what_becomes_complete_at_once_is_taken_in_one_order() {
    for reopens in [false, true] {
        let mut room = empty_room();
        assert_eq!(send(&mut room, "0101 03 00 8402 00 0163 00"), Fate::Waits);
        assert_eq!(send(&mut room, "0101 02 00 8401 00 0162 00"), Fate::Waits);
        // Deletes what is not there yet, of both.
        assert_eq!(send(&mut room, "00 02 03 01 00 01 02 01 00 01"), Fate::Waits);
        if reopens {
            room.reopen();
        }
        assert_eq!(send(&mut room, "0101 01 00 0401 07 64656661756c74 0161 00"), Fate::Taken);
        assert!(room.document.is_whole());
        room.edit("after");
        room.check();
        room.reopen();
        room.check();
    }
}

/// The room took one letter; what a snapshot and the log then say of that clock is the same letter, whoever
/// sends another one, more of it, or all of it again.
#[test]
fn a_clock_in_a_snapshot_is_not_written_again() {
    let mut room = empty_room();
    assert_eq!(send(&mut room, "0101 01 00 0401 07 64656661756c74 026162 00"), Fate::Taken);
    room.reopen();
    for update in [
        "0101 01 00 0401 07 64656661756c74 027879 00",
        "0101 01 01 0401 01 74 0378797a 00",
        "0101 01 00 000b 00",
    ] {
        assert_eq!(send(&mut room, update), Fate::Taken, "{update}");
        room.edit("between");
        room.check();
        room.reopen();
    }
}

/// Client 2 waits with its second struct for client 1; then that clock of it is written otherwise.
#[test]
fn what_waits_goes_on_behind_a_clock_that_was_written_otherwise() {
    let mut room = empty_room();
    let waits = "0103 02 00 0401 07 64656661756c74 0161 8401 05 0162 8402 00 0163 00";
    assert_eq!(send(&mut room, waits), Fate::Waits);
    assert_eq!(send(&mut room, "0101 02 01 8402 00 0178 00"), Fate::Taken);
    assert!(room.document.is_whole());
    room.check();
    room.edit("after");
    room.reopen();
    room.check();
}
