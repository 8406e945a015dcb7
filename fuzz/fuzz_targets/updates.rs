//! Updates byte by byte: several of them in one room, between honest edits and questions.
#![no_main]

use fuzz::{bytes::Choices, room::Room};
use libfuzzer_sys::fuzz_target;

const UPDATES_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let mut room = Room::default();
    for _ in 0..UPDATES_MAX {
        if choices.is_over() {
            break;
        }
        match choices.below(8) {
            0 => room.edit("more"),
            1 => room.answer(choices.slice()),
            _ => drop(room.receive(choices.slice())),
        }
    }
    room.check(false);
});
