//! Connections for events: through the same front door as all others, and under the same limits, rates, clocks
//! and looks at tokens. A connection belongs to nobody until it shows a token, in its request or in a message.

mod connection;
mod enter;
mod held;
mod rights;
mod session;

pub(super) use self::{connection::run, enter::EventsRequest};
use super::head::Head;
use crate::{config::Config, events::Reader, protocol::events::SUBPROTOCOL};

/// Whether connections for events are served at a path.
pub(super) fn is_path(path: &str, config: &Config) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let documents = config.path.trim_end_matches('/');
    path == config.events.path || path.strip_prefix(documents) == Some("/events")
}

/// What a request says that its client understands.
pub(super) fn reader(protocol: Option<&str>, head: &Head, config: &Config) -> Reader {
    let asks = |name: &str, value: &str| head.query_value(name).as_deref() == Some(value);
    if protocol != Some(SUBPROTOCOL) && !asks("protocol", "events") {
        Reader::Plain
    } else if config.performance.batch_message_processing && asks("batch", "true") {
        Reader::Batched
    } else {
        Reader::Extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_for_events() {
        let mut config = Config::default();
        for path in ["/socket.io", "/socket.io/", "/realtime/events", "/realtime/events/"] {
            assert!(is_path(path, &config), "{path}");
        }
        for path in ["/", "/socket.io/x", "/socket.iox", "/events", "/realtime", "/realtimeevents"]
        {
            assert!(!is_path(path, &config), "{path}");
        }
        config.path = "/".into();
        assert!(is_path("/events", &config));
    }
}
