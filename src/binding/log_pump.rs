//! Log lines on their way to JavaScript.
//!
//! The `log` facade has one logger per process, so lines cannot be told apart by engine: the logger fans out
//! to the pump of every engine alive. A pump queues a bounded number of lines and asks the JavaScript thread
//! to fetch them; what piles up while that thread is busy arrives as one batch. A full queue drops and counts.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
};

use log::{Level, LevelFilter, Log, Metadata, Record};
use napi::{
    Status,
    bindgen_prelude::{Function, Unknown},
    threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode},
};
use parking_lot::{Mutex, RwLock};

use crate::{
    binding::{js_host::forget_promise, options::LogEntry},
    config::LogLevel,
    limits::{HOST_QUEUE_MAX, LOG_LINE_BYTES_MAX},
    telemetry::line,
};

/// Calls waiting for the JavaScript thread; one is enough, since it fetches all there is.
const CALLS_MAX: usize = 1;
/// Whose lines below `warn` pass.
const OUR_TARGET: &str = "civicpress_realtime";

type Fetch =
    ThreadsafeFunction<(), Unknown<'static>, Vec<LogEntry>, Status, false, true, CALLS_MAX>;

/// The pumps of the engines alive. Static because the facade's logger is.
static PUMPS: RwLock<Vec<Weak<LogPump>>> = RwLock::new(Vec::new());

/// One engine's way to its `log` callback.
pub struct LogPump {
    level: RwLock<LevelFilter>,
    queue: Arc<Mutex<Queue>>,
    fetch: Fetch,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<LogEntry>,
    dropped: u64,
    /// A fetch is on its way and will see what is queued now.
    fetching: bool,
}

impl LogPump {
    /// Starts to pass lines to `log`. Must be called on the JavaScript thread.
    pub fn start(log: &Function<'_, Vec<LogEntry>, Unknown<'static>>) -> napi::Result<Arc<Self>> {
        let queue = Arc::new(Mutex::new(Queue::default()));
        let source = Arc::clone(&queue);
        let fetch = log
            .build_threadsafe_function::<()>()
            .callee_handled::<false>()
            .weak::<true>()
            .max_queue_size::<CALLS_MAX>()
            .build_callback(move |_| Ok(source.lock().take_batch()))?;
        let pump = Arc::new(Self { level: RwLock::new(LevelFilter::Info), queue, fetch });
        PUMPS.write().push(Arc::downgrade(&pump));
        install();
        Ok(pump)
    }

    /// Sets what passes.
    pub fn set_level(&self, level: LogLevel) {
        *self.level.write() = match level {
            LogLevel::Error => LevelFilter::Error,
            LogLevel::Warn => LevelFilter::Warn,
            LogLevel::Info => LevelFilter::Info,
            LogLevel::Debug => LevelFilter::Debug,
        };
        refresh_max_level();
    }

    /// Passes a warning of the configuration, which no facade brings.
    pub fn warn_of_config(&self, message: &str) {
        self.pass(&LogEntry {
            level: "warn".into(),
            message: line::printable(message, LOG_LINE_BYTES_MAX),
            fields: Some(r#"{"event":"config_warning"}"#.into()),
        });
    }

    fn passes(&self, level: Level) -> bool {
        level <= *self.level.read()
    }

    fn pass(&self, entry: &LogEntry) {
        let ask = {
            let mut queue = self.queue.lock();
            queue.push(entry.clone());
            !std::mem::replace(&mut queue.fetching, true)
        };
        if ask {
            self.ask();
        }
    }

    /// Asks the JavaScript thread to fetch. Never logs: it would ask itself.
    fn ask(&self) {
        let status = self.fetch.call_with_return_value(
            (),
            ThreadsafeFunctionCallMode::NonBlocking,
            |returned, _env| {
                forget_promise(returned);
                Ok(())
            },
        );
        if status != Status::Ok {
            self.queue.lock().fetching = false;
        }
    }
}

impl Drop for LogPump {
    fn drop(&mut self) {
        PUMPS.write().retain(|pump| pump.strong_count() > 0);
        refresh_max_level();
    }
}

impl Queue {
    fn push(&mut self, entry: LogEntry) {
        if self.lines.len() < HOST_QUEUE_MAX {
            self.lines.push_back(entry);
        } else {
            self.dropped += 1;
        }
    }

    fn take_batch(&mut self) -> Vec<LogEntry> {
        self.fetching = false;
        let mut batch = Vec::new();
        if self.dropped > 0 {
            batch.push(LogEntry {
                level: "warn".into(),
                message: format!(
                    "{} log lines dropped: the JavaScript thread was busy",
                    self.dropped
                ),
                fields: Some(format!(r#"{{"event":"log_dropped","count":{}}}"#, self.dropped)),
            });
            self.dropped = 0;
        }
        batch.extend(self.lines.drain(..));
        batch
    }
}

/// The process's logger, as long as nobody else was first.
struct FanOut;

impl Log for FanOut {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries below `warn` print what they handle, and that is citizens' drafts.
        metadata.level() <= Level::Warn || metadata.target().starts_with(OUR_TARGET)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut pumps = living();
        pumps.retain(|pump| pump.passes(record.level()));
        if pumps.is_empty() {
            return;
        }
        let entry = LogEntry {
            level: record.level().as_str().to_ascii_lowercase(),
            message: line::message_of(record),
            fields: line::fields_of(record),
        };
        for pump in pumps {
            pump.pass(&entry);
        }
    }

    fn flush(&self) {}
}

fn install() {
    // Taken already: by an earlier engine (fine), or by a Rust host that logs its own way (its choice).
    drop(log::set_boxed_logger(Box::new(FanOut)));
    refresh_max_level();
}

/// The pumps alive, held outside the lock: dropping the last handle of one takes the lock for itself.
fn living() -> Vec<Arc<LogPump>> {
    PUMPS.read().iter().filter_map(Weak::upgrade).collect()
}

fn refresh_max_level() {
    let level = living().iter().map(|pump| *pump.level.read()).max();
    log::set_max_level(level.unwrap_or(LevelFilter::Off));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> LogEntry {
        LogEntry { level: "info".into(), message: number.to_string(), fields: None }
    }

    #[test]
    fn a_full_queue_drops_and_says_so_once() {
        let mut queue = Queue::default();
        (0..HOST_QUEUE_MAX + 5).for_each(|number| queue.push(entry(number)));
        let batch = queue.take_batch();
        assert_eq!(batch[0].message, "5 log lines dropped: the JavaScript thread was busy");
        assert_eq!(batch[0].fields.as_deref(), Some(r#"{"event":"log_dropped","count":5}"#));
        assert_eq!(batch[1].message, "0");
        assert!(queue.take_batch().is_empty());
    }

    #[test]
    fn foreign_targets_stay_quiet_below_warn() {
        let metadata = |level, target| Metadata::builder().level(level).target(target).build();
        assert!(!FanOut.enabled(&metadata(Level::Debug, "tungstenite::protocol")));
        assert!(FanOut.enabled(&metadata(Level::Warn, "tungstenite::protocol")));
        assert!(FanOut.enabled(&metadata(Level::Debug, "civicpress_realtime::room")));
    }
}
