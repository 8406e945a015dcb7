//! Cuts off the beginning of a struct that a document has already.
//!
//! yrs does that itself, but keeps the parent that the whole struct named. What is left of it is then read by the
//! neighbour it got and by that parent, and written with the neighbour only: where the two differ, nobody who is
//! sent it gets what this document has. Trimmed here, as Yjs writes a state from the middle of a struct, it means
//! the same to all.

use super::{
    Refusal, client_id, clock,
    structs::{ANY, DELETED, GC, HAS_KEY, HAS_LEFT, HAS_RIGHT, KIND_BITS, SKIP, STRING},
    value,
};
use crate::protocol::lib0::{Reader, write_string, write_var_uint};

/// Appends the struct in `bytes` (of `client`, from `at` on) without its first `known` clocks.
pub(super) fn trim(
    bytes: &[u8],
    client: u64,
    at: u32,
    known: u32,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut reader = Reader::new(bytes);
    let info = reader.u8()?;
    if matches!(info, GC | SKIP) {
        out.push(info);
        return shorten(&mut reader, known, out);
    }
    out.push(info | HAS_LEFT);
    write_var_uint(out, client);
    write_var_uint(out, u64::from(at) + u64::from(known) - 1);
    if info & HAS_LEFT != 0 {
        id(&mut reader)?;
    }
    if info & HAS_RIGHT != 0 {
        let from = reader.position();
        id(&mut reader)?;
        out.extend_from_slice(bytes.get(from..reader.position()).unwrap_or_default());
    }
    if info & (HAS_LEFT | HAS_RIGHT) == 0 {
        match reader.var_uint()? {
            0 => id(&mut reader)?,
            _ => drop(reader.string()?),
        }
        if info & HAS_KEY != 0 {
            reader.string()?;
        }
    }
    match info & KIND_BITS {
        DELETED => shorten(&mut reader, known, out),
        STRING => {
            write_string(out, &tail(reader.string()?, known as usize));
            Ok(())
        }
        ANY => {
            shorten(&mut reader, known, out)?;
            for _ in 0..known {
                value::any(&mut reader)?;
            }
            out.extend_from_slice(bytes.get(reader.position()..).unwrap_or_default());
            Ok(())
        }
        // All others are one clock long.
        _ => Err(Refusal::UnknownContent),
    }
}

/// Copies a number of clocks, less what is known.
fn shorten(reader: &mut Reader<'_>, known: u32, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let rest = clock(reader)?.checked_sub(known).filter(|rest| *rest > 0);
    write_var_uint(out, u64::from(rest.ok_or(Refusal::ZeroLength)?));
    Ok(())
}

fn id(reader: &mut Reader<'_>) -> Result<(), Refusal> {
    client_id(reader)?;
    clock(reader)?;
    Ok(())
}

/// The text after its first UTF-16 units. Half of a surrogate pair becomes U+FFFD, as everywhere in Yjs.
fn tail(text: &str, units: usize) -> String {
    let mut passed = 0;
    for (at, letter) in text.char_indices() {
        if passed >= units {
            let half = if passed > units { "\u{fffd}" } else { "" };
            return format!("{half}{}", text.get(at..).unwrap_or_default());
        }
        passed += letter.len_utf16();
    }
    if passed > units { "\u{fffd}".to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(bytes: &[u8], known: u32) -> Vec<u8> {
        let mut out = Vec::new();
        trim(bytes, 9, 5, known, &mut out).unwrap();
        out
    }

    #[test]
    fn what_is_left_stands_beside_what_was_cut_off() {
        assert_eq!(trimmed(&[GC, 7], 3), [GC, 4]);
        // In a root, by a key, inside a struct, between two.
        let text = [STRING, 1, 1, b't', 3, b'a', b'b', b'c'];
        assert_eq!(trimmed(&text, 2), [STRING | HAS_LEFT, 9, 6, 1, b'c']);
        let keyed = [STRING | HAS_KEY, 1, 1, b't', 1, b'k', 2, b'a', b'b'];
        assert_eq!(trimmed(&keyed, 1), [STRING | HAS_KEY | HAS_LEFT, 9, 5, 1, b'b']);
        let inside = [DELETED, 0, 1, 2, 6];
        assert_eq!(trimmed(&inside, 4), [DELETED | HAS_LEFT, 9, 8, 2]);
        let between = [ANY | HAS_LEFT | HAS_RIGHT, 1, 2, 3, 4, 3, 0x7e, 0x77, 1, b'v', 0x7f];
        assert_eq!(
            trimmed(&between, 2),
            [ANY | HAS_LEFT | HAS_RIGHT, 9, 6, 3, 4, 1, 0x7f],
            "the right origin stays"
        );
    }

    #[test]
    fn a_pair_that_is_cut_in_half_stays_as_long() {
        assert_eq!(tail("x😀y", 1), "😀y");
        assert_eq!(tail("x😀y", 2), "\u{fffd}y");
        assert_eq!(tail("x😀y", 3), "y");
        assert_eq!(tail("x😀", 2), "\u{fffd}");
    }

    #[test]
    fn nothing_is_left_of_a_struct_of_one_clock() {
        let format = [6, 1, 1, b't', 2, b'e', b'm', 2, b'{', b'}'];
        assert_eq!(trim(&format, 9, 5, 1, &mut Vec::new()), Err(Refusal::UnknownContent));
        assert_eq!(trim(&[GC, 3], 9, 5, 3, &mut Vec::new()), Err(Refusal::ZeroLength));
    }
}
