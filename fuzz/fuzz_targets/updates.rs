//! Updates byte by byte: several of them in one room, between honest edits and questions.
#![no_main]

use civicpress_realtime::room::document::DocumentError;
use fuzz::{bytes::Choices, room::Room};
use libfuzzer_sys::fuzz_target;

const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
const UPDATES_MAX: usize = 16;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let mut room = Room::new(DOCUMENT_BYTES_MAX);
    for _ in 0..UPDATES_MAX {
        if choices.is_over() {
            break;
        }
        match choices.below(8) {
            0 => room.edit("more"),
            2 => room.reopen(),
            1 => {
                // A session asks for what it lacks.
                let answer = room.document.diff(choices.slice());
                assert_ne!(answer, Err(DocumentError::Broken));
            }
            _ => drop(room.send(choices.slice())),
        }
    }
    room.check();
});
