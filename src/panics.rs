//! What a panic costs on our threads.
//!
//! The standard hook resolves a backtrace, 130 to 200 ms and 50 MB each, which would make every panic a way to
//! hold up a server. On our own threads one log line with the place replaces it; the message stays out, because
//! it may hold a document's text. All other threads of the process keep the hook they had.

use std::{panic, sync::Once, thread};

/// How the names of all our threads begin.
const THREAD_PREFIX: &str = "civic-";

/// Takes effect once per process.
pub fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let host = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let thread = thread::current();
            let Some(name) = thread.name().filter(|name| name.starts_with(THREAD_PREFIX)) else {
                return host(info);
            };
            let (file, line) = info.location().map_or(("?", 0), |at| (at.file(), at.line()));
            log::error!(event = "panic", thread = name, file = file, line = line; "panic at {file}:{line}");
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn panic_on(name: &str) {
        let thread = thread::Builder::new().name(name.into());
        assert!(thread.spawn(|| panic!("on purpose")).unwrap().join().is_err());
    }

    /// The hook is the process's, so this test tells its own threads from others'.
    #[test]
    fn only_our_threads_lose_the_hosts_hook() {
        let told = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&told);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match thread::current().name() {
            Some("civic-test" | "host-test") => {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            _ => before(info),
        }));
        install_hook();
        install_hook();
        panic_on("civic-test");
        assert_eq!(told.load(Ordering::Relaxed), 0);
        panic_on("host-test");
        assert_eq!(told.load(Ordering::Relaxed), 1);
    }
}
