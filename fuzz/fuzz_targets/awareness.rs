//! Awareness messages of several sessions of two people, with departures and time.
#![no_main]

use civicpress_realtime::{
    ids::SessionId, limits::AWARENESS_IDS_PER_ROOM_MAX, room::awareness::AwarenessTable,
};
use fuzz::bytes::Choices;
use libfuzzer_sys::fuzz_target;

const IDS_PER_SESSION_MAX: usize = 4;
const STATE_BYTES_MAX: usize = 256;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let mut table = AwarenessTable::new(IDS_PER_SESSION_MAX, STATE_BYTES_MAX);
    let mut receiver = AwarenessTable::new(usize::MAX, STATE_BYTES_MAX);
    let mut now_ms = 0;
    while !choices.is_over() {
        let session = SessionId(u64::from(choices.below(4)));
        let changed = match choices.below(16) {
            0 => table.remove_session(session, now_ms),
            1 => {
                now_ms += u64::from(choices.byte()) * 100;
                table.expire(now_ms)
            }
            2 => {
                table.register(session, ["ada", "bo"][usize::from(choices.below(2))]);
                Vec::new()
            }
            _ => table
                .apply(session, choices.slice(), now_ms)
                .map(|applied| applied.changed)
                .unwrap_or_default(),
        };
        // What is announced is taken by whoever follows the protocol.
        if let Some(body) = table.encode(&changed) {
            receiver.apply(SessionId(0), &body, now_ms).expect("our own encoding");
        }
    }
    let mut owned = std::collections::HashMap::<SessionId, usize>::new();
    for (_, owner, json) in table.living() {
        assert!(json.len() <= STATE_BYTES_MAX);
        *owned.entry(owner).or_default() += 1;
    }
    assert!(owned.values().all(|ids| *ids <= IDS_PER_SESSION_MAX));
    assert!(table.len() <= AWARENESS_IDS_PER_ROOM_MAX);
    if let Some(body) = table.encode_all_living() {
        AwarenessTable::new(usize::MAX, STATE_BYTES_MAX)
            .apply(SessionId(9), &body, now_ms)
            .expect("our own encoding");
    }
});
