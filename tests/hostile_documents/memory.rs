//! An allocator that counts, and whether the guard's estimate holds against it.
#![allow(unsafe_code, reason = "an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use civicpress_realtime::protocol::guard::{Bounds, scan_update};

use crate::{
    Fate,
    corpus::{section, var},
    empty_room, on_a_room_thread, still_serves,
};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: i64) {
    // A thread that ends frees after its counters are gone.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

fn bytes_of(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(bytes_of(layout));
        // SAFETY: the caller's promises are the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-bytes_of(layout));
        // SAFETY: the caller's promises are the callee's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes this thread holds at once during `work`, above what it held before.
pub fn peak_of(work: impl FnOnce()) -> u64 {
    let before = NOW.get();
    PEAK.set(before);
    work();
    u64::try_from(PEAK.get() - before).unwrap_or(0)
}

/// The estimate is what bounds a document, so it must not be below what yrs takes.
#[test]
fn the_estimate_holds_for_every_kind_of_struct() {
    on_a_room_thread(|| {
        let count = 20_000u64;
        // The first struct, and what each later one has before its content and as content.
        let kinds: [(&str, &[u8], u8, &[u8]); 9] = [
            ("text", &[4, 1, 1, b't', 1, b'a'], 4, &[1, b'a']),
            ("embed", &[5, 1, 1, b't', 1, b'1'], 5, &[1, b'1']),
            ("format", &[6, 1, 1, b't', 1, b'b', 1, b'1'], 6, &[1, b'b', 1, b'1']),
            ("map", &[7, 1, 1, b't', 1], 7, &[1]),
            ("element", &[7, 1, 1, b't', 3, 1, b'p'], 7, &[3, 1, b'p']),
            ("xml text", &[7, 1, 1, b't', 6], 7, &[6]),
            ("value", &[8, 1, 1, b't', 1, 126], 8, &[1, 126]),
            ("map value", &[8, 1, 1, b't', 1, 118, 0], 8, &[1, 118, 1, 1, b'k', 126]),
            ("subdocument", &[9, 1, 1, b't', 1, b'g', 118, 0], 9, &[1, b'g', 118, 0]),
        ];
        for (name, first, kind, content) in kinds {
            let mut body = first.to_vec();
            for at in 1..count {
                // Each before the last, so that yrs joins none.
                body.extend([kind | 0x40, 1]);
                body.extend(var(at - 1));
                body.extend(content);
            }
            let bytes = section(count, &body);
            let scan = scan_update(&bytes, &Bounds::stored()).unwrap();
            let mut room = empty_room();
            let peak = peak_of(|| assert_eq!(room.send(&bytes), Fate::Taken, "{name}"));
            // The log's row, the change for the others, and the guard's own notes.
            let guard_and_log = 3 * bytes.len() as u64 + 320 * count;
            assert!(
                scan.estimated_bytes + guard_and_log >= peak,
                "{name}: {} estimated, {peak} taken",
                scan.estimated_bytes
            );
            assert!(scan.estimated_bytes <= 4 * peak, "{name}: far too much");
        }
    });
}

/// Yjs keeps such a row as one string; yrs takes seven gigabytes to make it one.
#[test]
fn a_row_of_letters_takes_no_more_than_its_own_size() {
    on_a_room_thread(|| {
        let mut body = vec![4, 1, 1, b't', 1, b'a'];
        for at in 1..100_000u64 {
            body.extend([0x84, 1]);
            body.extend(var(at - 1));
            body.extend([1, b'a']);
        }
        let bytes = section(100_000, &body);
        let mut room = empty_room();
        let peak = peak_of(|| assert_eq!(room.send(&bytes), Fate::Taken));
        assert!(peak < 64 << 20, "{peak}");
        still_serves(&mut room);
    });
}
