//! The process's log lines. Tests in one process share them, so each looks for what only it can have caused.

use civicpress_realtime::telemetry::line;
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use serde_json::Value;

struct Lines(Mutex<Vec<(String, Value)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("civicpress_realtime")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let fields = line::fields_of(record).unwrap_or_else(|| "{}".into());
            let mut fields: Value = serde_json::from_str(&fields).unwrap();
            fields["level"] = record.level().as_str().to_ascii_lowercase().into();
            self.0.lock().push((line::message_of(record), fields));
        }
    }

    fn flush(&self) {}
}

/// Keeps every line from now on.
pub fn keep() {
    let _ = log::set_logger(&LINES);
    log::set_max_level(LevelFilter::Debug);
}

/// The fields of the lines kept so far whose field `name` is `value`.
pub fn with(name: &str, value: &str) -> Vec<Value> {
    let lines = LINES.0.lock();
    lines.iter().map(|(_, fields)| fields).filter(|fields| fields[name] == value).cloned().collect()
}

/// All lines kept so far, message and fields.
pub fn all() -> Vec<String> {
    LINES.0.lock().iter().map(|(message, fields)| format!("{message} {fields}")).collect()
}
