//! One log line as it leaves the engine: text for people, fields for machines. Both are of bounded length and
//! hold nothing a peer could forge another line with.

use log::{
    Record,
    kv::{self, Key, Value, VisitSource, VisitValue},
};
use serde_json::Map;

use crate::limits::{LOG_FIELD_BYTES_MAX, LOG_FIELDS_MAX, LOG_LINE_BYTES_MAX};

/// The message of a record, safe to print.
pub fn message_of(record: &Record<'_>) -> String {
    let message = record.args();
    message.as_str().map_or_else(
        || printable(&message.to_string(), LOG_LINE_BYTES_MAX),
        |text| printable(text, LOG_LINE_BYTES_MAX),
    )
}

/// The fields of a record as JSON text of an object; `None` if it has none. What has no value is left out.
pub fn fields_of(record: &Record<'_>) -> Option<String> {
    let mut fields = Fields::default();
    // Our own visitor refuses nothing.
    drop(record.key_values().visit(&mut fields));
    (!fields.0.is_empty()).then(|| serde_json::Value::Object(fields.0).to_string())
}

/// `text` with control characters escaped, cut after `bytes_max` bytes.
pub fn printable(text: &str, bytes_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        if line.len() >= bytes_max {
            line.push('…');
            break;
        }
        if character.is_control()
            || matches!(
                character,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            )
        {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[derive(Default)]
struct Fields(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if self.0.len() < LOG_FIELDS_MAX {
            let mut read = Read(serde_json::Value::Null);
            value.visit(&mut read)?;
            if !read.0.is_null() {
                self.0.insert(printable(key.as_str(), LOG_FIELD_BYTES_MAX), read.0);
            }
        }
        Ok(())
    }
}

struct Read(serde_json::Value);

impl VisitValue<'_> for Read {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.visit_str(&value.to_string())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = printable(value, LOG_FIELD_BYTES_MAX).into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log::{Level, kv::ToValue};
    use proptest::prelude::*;

    use super::*;

    /// What the fields of a record with `pairs` come out as.
    fn fields(pairs: &[(&str, Value<'_>)]) -> Option<serde_json::Value> {
        let pairs: &dyn kv::Source = &pairs;
        let record = Record::builder().level(Level::Info).key_values(pairs).build();
        fields_of(&record).map(|json| serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn fields_keep_their_kinds() {
        let nobody: Option<&str> = None;
        let found = fields(&[
            ("event", "room_created".to_value()),
            ("count", 3_u64.to_value()),
            ("rate", 0.5_f64.to_value()),
            ("degraded", false.to_value()),
            ("error", Value::from_display(&"a\nb")),
            ("user", nobody.to_value()),
            ("rooms", 7_usize.to_value()),
        ]);
        let expected = serde_json::json!({
            "event": "room_created", "count": 3, "rate": 0.5, "degraded": false, "error": "a\\nb",
            "rooms": 7,
        });
        assert_eq!(found, Some(expected));
        assert_eq!(fields(&[]), None);
        assert_eq!(fields(&[("x", f64::NAN.to_value())]), None);
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            printable("a\r\nERROR forged\u{1b}[31m\u{202e}\u{61c}é", LOG_LINE_BYTES_MAX),
            "a\\r\\nERROR forged\\u{1b}[31m\\u{202e}\\u{61c}é"
        );
    }

    #[test]
    fn long_lines_end() {
        let long = "é".repeat(LOG_LINE_BYTES_MAX);
        assert!(printable(&long, LOG_LINE_BYTES_MAX).len() < LOG_LINE_BYTES_MAX + 8);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_chose_is_one_bounded_line_of_json(
            bytes in proptest::collection::vec(any::<u8>(), 0..4096),
            repeats in 1..64_usize,
        ) {
            let chosen = String::from_utf8_lossy(&bytes).repeat(repeats);
            let pairs: Vec<_> = ["event", "room", "user"].map(|key| (key, chosen.to_value())).into();
            let pairs = pairs.as_slice();
            let record = Record::builder().key_values(&pairs).build();
            let json = fields_of(&record).unwrap();
            prop_assert!(!json.contains(char::is_control));
            // A backslash of ours is two in JSON.
            prop_assert!(json.len() <= 3 * 2 * (LOG_FIELD_BYTES_MAX + 32));
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap().is_object());
            let message = printable(&chosen, LOG_LINE_BYTES_MAX);
            prop_assert!(!message.contains(char::is_control));
            prop_assert!(message.len() <= LOG_LINE_BYTES_MAX + 16);
        }
    }
}
