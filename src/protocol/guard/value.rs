//! Values inside structs: lib0's `Any` and embedded JSON.

use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::Refusal;
use crate::{
    limits::ANY_DEPTH_MAX,
    protocol::lib0::{Reader, write_string, write_var_int, write_var_uint},
};

/// Memory of one value in yrs, in bytes, measured as in `structs/cost.rs`: a slot in a list that is copied once (48),
/// a text of its own (24), a list's slots (56), a map with its first entries (328), each key (96).
mod cost {
    pub(super) const VALUE: u64 = 48;
    pub(super) const TEXT: u64 = 24;
    pub(super) const LIST: u64 = 56;
    pub(super) const MAP: u64 = 328;
    pub(super) const KEY: u64 = 96;
}

/// Reads one `Any` over; returns the memory it takes in yrs, in bytes.
///
/// Containers are kept on a list of "values still to come", so nesting costs no stack. Each declared count
/// must be met by real bytes for the scan to succeed, so all counts together never exceed the input.
pub(super) fn any(reader: &mut Reader<'_>) -> Result<u64, Refusal> {
    let mut open = [Container { left: 0, keyed: false }; ANY_DEPTH_MAX];
    let mut depth = 0;
    let start = reader.position();
    let mut memory = 0u64;
    loop {
        memory += cost::VALUE;
        match reader.u8()? {
            120 | 121 | 126 | 127 => {}
            125 => drop(reader.var_int()?),
            124 => drop(reader.take(4)?),
            122 | 123 => drop(reader.take(8)?),
            119 => {
                reader.string()?;
                memory += cost::TEXT;
            }
            116 => {
                reader.bytes()?;
                memory += cost::TEXT;
            }
            tag @ (117 | 118) => {
                let keyed = tag == 118;
                let left = reader.count(if keyed { 2 } else { 1 })?;
                memory += if keyed { cost::MAP } else { cost::LIST };
                *open.get_mut(depth).ok_or(Refusal::ValueDepth)? = Container { left, keyed };
                depth += 1;
            }
            _ => return Err(Refusal::UnknownValue),
        }
        loop {
            let Some(container) = depth.checked_sub(1).and_then(|top| open.get_mut(top)) else {
                let bytes = reader.position().saturating_sub(start) as u64;
                return Ok(memory.saturating_add(bytes));
            };
            if container.left == 0 {
                depth -= 1;
                continue;
            }
            container.left -= 1;
            if container.keyed {
                reader.string()?;
                memory += cost::KEY;
            }
            break;
        }
    }
}

#[derive(Clone, Copy)]
struct Container {
    left: usize,
    keyed: bool,
}

/// Reads over one string that holds JSON; returns the memory its value takes in yrs, in bytes.
///
/// The same rules as yrs's reader apply (numbers and escapes that do not fit are errors), so that what is
/// accepted here does not fail later, half way through an update.
pub(super) fn json(reader: &mut Reader<'_>) -> Result<u64, Refusal> {
    let text = reader.string()?;
    if depth_exceeded(text, ANY_DEPTH_MAX) {
        return Err(Refusal::ValueDepth);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let memory = Memory.deserialize(&mut parser).map_err(|_| Refusal::Json)?;
    parser.end().map_err(|_| Refusal::Json)?;
    Ok(memory.saturating_add(text.len() as u64))
}

/// Reads one value of Yjs before 13, JSON or `undefined`, and appends it as the `Any` that Yjs would write
/// today; returns the memory it takes in yrs, in bytes.
pub(super) fn legacy(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<u64, Refusal> {
    let text = reader.string()?;
    if text == "undefined" {
        out.push(127);
        return Ok(cost::VALUE);
    }
    if depth_exceeded(text, ANY_DEPTH_MAX) {
        return Err(Refusal::ValueDepth);
    }
    let value = serde_json::from_str(text).map_err(|_| Refusal::Json)?;
    let start = out.len();
    write_any(out, &value);
    let written = out.get(start..).unwrap_or_default();
    any(&mut Reader::new(written))
}

/// The recursion is bounded by [`ANY_DEPTH_MAX`].
fn write_any(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(126),
        Value::Bool(true) => out.push(120),
        Value::Bool(false) => out.push(121),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => {
            out.push(119);
            write_string(out, text);
        }
        Value::Array(values) => {
            out.push(117);
            write_var_uint(out, values.len() as u64);
            for value in values {
                write_any(out, value);
            }
        }
        Value::Object(entries) => {
            out.push(118);
            write_var_uint(out, entries.len() as u64);
            for (key, value) in entries {
                write_string(out, key);
                write_any(out, value);
            }
        }
    }
}

/// Whole numbers of 31 bits as such, all others as JavaScript has them.
fn write_number(out: &mut Vec<u8>, number: &Number) {
    if let Some(whole) = number.as_i64().filter(|whole| whole.abs() <= i64::from(i32::MAX)) {
        out.push(125);
        write_var_int(out, whole);
    } else {
        out.push(123);
        out.extend_from_slice(&number.as_f64().unwrap_or_default().to_be_bytes());
    }
}

/// Whether brackets outside strings nest deeper than `depth_max`. The text need not be valid JSON.
pub(crate) fn depth_exceeded(text: &str, depth_max: usize) -> bool {
    let mut depth = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Parses a JSON value fully, keeps only what it will take.
struct Memory;

impl<'de> DeserializeSeed<'de> for Memory {
    type Value = u64;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Memory {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(cost::VALUE)
    }

    fn visit_i64<E>(self, _: i64) -> Result<u64, E> {
        Ok(cost::VALUE)
    }

    fn visit_u64<E>(self, _: u64) -> Result<u64, E> {
        Ok(cost::VALUE)
    }

    fn visit_f64<E>(self, _: f64) -> Result<u64, E> {
        Ok(cost::VALUE)
    }

    fn visit_str<E>(self, _: &str) -> Result<u64, E> {
        Ok(cost::VALUE + cost::TEXT)
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(cost::VALUE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
        let mut memory = cost::VALUE + cost::LIST;
        while let Some(inner) = items.next_element_seed(Self)? {
            memory = memory.saturating_add(inner);
        }
        Ok(memory)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<u64, A::Error> {
        let mut memory = cost::VALUE + cost::MAP;
        while let Some(_key) = entries.next_key_seed(Self)? {
            let inner = entries.next_value_seed(Self)?;
            memory = memory.saturating_add(cost::KEY).saturating_add(inner);
        }
        Ok(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Refusal> {
        any(&mut Reader::new(bytes))
    }

    #[test]
    fn reads_every_kind_of_value() {
        for bytes in [
            &[127][..],
            &[126],
            &[125, 0x41],
            &[124, 0, 0, 0, 0],
            &[123, 0, 0, 0, 0, 0, 0, 0, 0],
            &[122, 0, 0, 0, 0, 0, 0, 0, 0],
            &[121],
            &[120],
            &[119, 1, b'a'],
            &[118, 2, 1, b'a', 118, 0, 1, b'b', 117, 0],
            &[117, 2, 117, 1, 126, 120],
            &[116, 2, 0, 0xff],
        ] {
            let mut reader = Reader::new(bytes);
            assert!(any(&mut reader).is_ok(), "{bytes:?}");
            assert!(reader.is_empty(), "{bytes:?}");
        }
    }

    #[test]
    fn counts_are_met_by_bytes() {
        assert_eq!(read(&[117, 2, 126]), Err(Refusal::Truncated));
        assert_eq!(read(&[118, 0x80, 0x80, 0x80, 0x20, 0]), Err(Refusal::Truncated));
        assert_eq!(read(&[118, 1, 1, 0xff, 126]), Err(Refusal::Utf8));
        assert_eq!(read(&[5]), Err(Refusal::UnknownValue));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| [[117, 1].repeat(levels), vec![126]].concat();
        assert!(read(&nested(ANY_DEPTH_MAX)).is_ok());
        assert_eq!(read(&nested(ANY_DEPTH_MAX + 1)), Err(Refusal::ValueDepth));
        assert_eq!(read(&nested(100_000)), Err(Refusal::ValueDepth));
    }

    #[test]
    fn json_is_parsed_with_bounded_depth() {
        let read = |text: &str| {
            let mut bytes = Vec::new();
            write_string(&mut bytes, text);
            json(&mut Reader::new(&bytes))
        };
        for good in [
            "null",
            "true",
            "-1.5e3",
            r#""a[[\"{""#,
            r#"{"a":[1,{"b":null}]}"#,
            r#""\ud83d\ude00""#,
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in ["", "undefined", "{", "[1,]", r#""\ud83d""#, "1e999", "1 2"] {
            assert_eq!(read(bad), Err(Refusal::Json), "{bad}");
        }
        assert_eq!(read(&"[".repeat(50_000)), Err(Refusal::ValueDepth));
        assert!(read(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }
}
