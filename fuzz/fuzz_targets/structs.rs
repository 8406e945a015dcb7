//! Updates that are well-formed but say anything: the bytes choose structs, references and deletions, so that
//! nothing is lost on syntax.
#![no_main]

use civicpress_realtime::protocol::lib0::{write_bytes, write_string, write_var_uint};
use fuzz::{
    bytes::Choices,
    room::{Fate, Room},
};
use libfuzzer_sys::fuzz_target;

const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
const UPDATES_MAX: usize = 24;
const CLIENTS: [u64; 4] = [1, 2, 300, (1 << 53) - 1];

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let mut room = Room::new(DOCUMENT_BYTES_MAX);
    // How far each client is believed to be.
    let mut clocks = [0u64; CLIENTS.len()];
    for _ in 0..UPDATES_MAX {
        if choices.is_over() {
            break;
        }
        match choices.below(8) {
            6 => room.reopen(),
            7 => room.edit("more"),
            _ => {}
        }
        let mut said = clocks;
        let update = update(&mut choices, &mut said);
        if !matches!(room.send(&update), Fate::Refused(_)) {
            clocks = said;
        }
    }
    room.check();
});

fn update(choices: &mut Choices<'_>, clocks: &mut [u64; 4]) -> Vec<u8> {
    let mut out = Vec::new();
    let first = usize::from(choices.byte());
    let sections = usize::from(choices.below(4));
    write_var_uint(&mut out, sections as u64);
    for section in 0..sections {
        let who = if choices.one_in(32) { first } else { first + section } % CLIENTS.len();
        let start = near(choices, clocks[who]);
        let mut body = Vec::new();
        let mut clock = start;
        let structs = u64::from(choices.below(6)) + u64::from(!choices.one_in(32));
        for _ in 0..structs {
            clock += structure(choices, &mut body, who, clock, clocks);
        }
        clocks[who] = clocks[who].max(clock);
        write_var_uint(&mut out, structs);
        write_var_uint(&mut out, CLIENTS[who]);
        write_var_uint(&mut out, start);
        out.extend(body);
    }
    deletes(choices, &mut out, clocks);
    out
}

/// Mostly this clock, at times one beside it, rarely one far away.
fn near(choices: &mut Choices<'_>, clock: u64) -> u64 {
    match choices.below(32) {
        0 => clock + 1,
        1 => clock + u64::from(choices.byte()),
        2..=4 => clock.saturating_sub(1),
        5 | 6 => clock.saturating_sub(u64::from(choices.below(8))),
        7 => [0, (1 << 31) - 1, 1 << 31, (1 << 32) - 1][usize::from(choices.below(4))],
        _ => clock,
    }
}

fn id(choices: &mut Choices<'_>, out: &mut Vec<u8>, own: usize, at: u64, clocks: &[u64; 4]) {
    let who = if choices.below(2) == 0 { own } else { usize::from(choices.below(4)) };
    let end = if who == own { at } else { clocks[who] };
    let back = u64::from(choices.below(16)) + u64::from(!choices.one_in(64));
    write_var_uint(out, CLIENTS[who]);
    write_var_uint(out, end.saturating_sub(back));
}

/// Writes one struct; returns how many clocks it takes.
fn structure(
    choices: &mut Choices<'_>,
    out: &mut Vec<u8>,
    own: usize,
    at: u64,
    clocks: &[u64; 4],
) -> u64 {
    let kind = [4, 4, 7, 7, 8, 6, 5, 3, 9, 1, 2, 0, 10, 11, 4, 7][usize::from(choices.below(16))];
    if kind == 0 || kind == 10 {
        let length = u64::from(choices.below(5));
        out.push(kind);
        write_var_uint(out, length);
        return length;
    }
    let links = choices.byte();
    let left = links & 3 != 0 && at > 0;
    let right = links & 12 == 12 && at > 0;
    let key = links & 16 != 0;
    out.push(kind | u8::from(left) << 7 | u8::from(right) << 6 | u8::from(key) << 5);
    if left {
        id(choices, out, own, at, clocks);
    }
    if right {
        id(choices, out, own, at, clocks);
    }
    if !left && !right {
        if links & 32 != 0 && at > 0 {
            out.push(0);
            id(choices, out, own, at, clocks);
        } else {
            out.push(1);
            write_string(out, ["default", "t"][usize::from(links >> 7)]);
        }
        if key {
            write_string(out, ["a", "level"][usize::from(choices.below(2))]);
        }
    }
    content(choices, out, kind)
}

fn content(choices: &mut Choices<'_>, out: &mut Vec<u8>, kind: u8) -> u64 {
    match kind {
        1 => {
            let length = u64::from(choices.below(5));
            write_var_uint(out, length);
            return length;
        }
        2 => {
            let count = u64::from(choices.below(3));
            write_var_uint(out, count);
            for _ in 0..count {
                write_string(
                    out,
                    ["undefined", "\"a\"", "{}", "nul"][usize::from(choices.below(4))],
                );
            }
            return count;
        }
        3 => write_bytes(out, &[1, 2]),
        4 => {
            let text = ["a", "ab", "😀", "x😀y", "é", "", "long enough to be cut"]
                [usize::from(choices.below(7))];
            write_string(out, text);
            return text.encode_utf16().count() as u64;
        }
        5 => write_string(out, ["{\"a\":1}", "null", "[]", "{"][usize::from(choices.below(4))]),
        6 => {
            write_string(out, ["strong", "em", "link"][usize::from(choices.below(3))]);
            write_string(out, ["{}", "null", "{\"href\":\"/\"}"][usize::from(choices.below(3))]);
        }
        7 => {
            let shared = choices.below(8);
            out.push(shared);
            if shared == 3 || shared == 5 {
                write_string(
                    out,
                    ["paragraph", "heading", "table", "x"][usize::from(choices.below(4))],
                );
            }
        }
        8 => {
            let count = u64::from(choices.below(4));
            write_var_uint(out, count);
            for _ in 0..count {
                any(choices, out);
            }
            return count;
        }
        9 => {
            write_string(out, "guid");
            any(choices, out);
        }
        _ => {}
    }
    1
}

fn any(choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    match choices.below(8) {
        0 => out.extend([0x76, 1, 1, b'k', 0x7e]),
        1 => out.extend([0x75, 2, 0x78, 0x79]),
        2 => out.extend([0x7d, 5]),
        3 => out.extend([0x77, 1, b's']),
        4 => out.extend([0x74, 2, 1, 7]),
        5 => out.extend([0x7a, 0, 0, 0, 0, 0, 0, 0, 1]),
        6 => out.push(choices.byte()),
        _ => out.push(0x7f),
    }
}

fn deletes(choices: &mut Choices<'_>, out: &mut Vec<u8>, clocks: &[u64; 4]) {
    let clients = usize::from(choices.below(8)) % CLIENTS.len();
    write_var_uint(out, clients as u64);
    for client in 0..clients {
        write_var_uint(out, CLIENTS[client]);
        let ranges = u64::from(choices.below(3));
        write_var_uint(out, ranges);
        for _ in 0..ranges {
            let back = u64::from(choices.below(16));
            write_var_uint(out, clocks[client].saturating_sub(back));
            write_var_uint(out, u64::from(choices.below(6)));
        }
    }
}
