//! Tells which records changed on disk, whoever changed them; rooms recognise their own writes.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::time::Instant;

use super::{RECORDS, file_id, listing};
use crate::{ids::RoomId, limits::WATCH_QUEUE_MAX};

/// Quiet time after which a burst of events is told.
const QUIET: Duration = Duration::from_millis(100);
/// A burst is told at least this often.
const BURST_MAX: Duration = Duration::from_secs(1);
/// Time between looks where the system does not tell.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

type Changed = Arc<dyn Fn(RoomId) + Send + Sync>;

/// Ends the watch when dropped.
struct Guard {
    stopped: Arc<AtomicBool>,
    /// Holds the sending end of the thread's queue; dropping it wakes the thread.
    _source: Source,
}

enum Source {
    Notify { _watcher: RecommendedWatcher },
    Poll { _stop: SyncSender<()> },
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// Starts watching the folder; `None` only if no thread can be started.
pub(super) fn start(root: &Path, changed: Changed) -> Option<Box<dyn Send + Sync>> {
    let guard = by_events(root, Arc::clone(&changed)).or_else(|error| {
        log::warn!(
            "the records cannot be watched ({error}); they are looked at every 2 seconds instead"
        );
        by_polling(root, changed, POLL_INTERVAL)
    });
    match guard {
        Ok(guard) => Some(Box::new(guard)),
        Err(error) => {
            log::warn!("outside changes of records are not noticed: {error}");
            None
        }
    }
}

/// What the system told.
enum Told {
    Path(PathBuf),
    /// Events were lost; anything may have changed.
    Everything,
}

fn by_events(root: &Path, changed: Changed) -> Result<Guard, notify::Error> {
    let (tell, told) = sync_channel(WATCH_QUEUE_MAX);
    let lost = Arc::new(AtomicBool::new(false));
    let lost_here = Arc::clone(&lost);
    // Called on the system's own thread, which must not wait.
    let handler = move |event: notify::Result<Event>| {
        let send = |told| {
            if tell.try_send(told).is_err() {
                lost_here.store(true, Ordering::Release);
            }
        };
        match event {
            Ok(event) if event.need_rescan() => send(Told::Everything),
            Ok(event) if is_change(event.kind) => {
                event.paths.into_iter().map(Told::Path).for_each(send);
            }
            Ok(_) => {}
            Err(_) => send(Told::Everything),
        }
    };
    let mut watcher =
        RecommendedWatcher::new(handler, notify::Config::default().with_follow_symlinks(false))?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let teller = Teller { root: root.to_path_buf(), changed, stopped: Arc::clone(&stopped) };
    spawn(move || teller.collect(&told, &lost)).map_err(notify::Error::io)?;
    Ok(Guard { stopped, _source: Source::Notify { _watcher: watcher } })
}

/// Reading a record is an event too; only what may have changed one counts.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn by_polling(root: &Path, changed: Changed, interval: Duration) -> io::Result<Guard> {
    let (stop, stopping) = sync_channel(1);
    let stopped = Arc::new(AtomicBool::new(false));
    let teller = Teller { root: root.to_path_buf(), changed, stopped: Arc::clone(&stopped) };
    let before = teller.stamps();
    spawn(move || teller.poll(before, &stopping, interval))?;
    Ok(Guard { stopped, _source: Source::Poll { _stop: stop } })
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("civic-watch".into()).spawn(work).map(drop)
}

/// Size and time of change of each record, by id.
type Stamps = HashMap<String, (u64, u64)>;

struct Teller {
    root: PathBuf,
    changed: Changed,
    stopped: Arc<AtomicBool>,
}

impl Teller {
    /// Gathers events until they pause, then tells each record once. Ends when the watcher is dropped.
    fn collect(&self, told: &Receiver<Told>, lost: &AtomicBool) {
        while let Ok(first) = told.recv() {
            let until = Instant::now() + BURST_MAX;
            let mut ids = BTreeSet::new();
            self.note(first, &mut ids);
            while Instant::now() < until {
                match told.recv_timeout(QUIET) {
                    Ok(next) => self.note(next, &mut ids),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            if lost.swap(false, Ordering::AcqRel) {
                ids.extend(self.stamps().into_keys());
            }
            self.tell(&ids);
        }
    }

    fn note(&self, told: Told, ids: &mut BTreeSet<String>) {
        match told {
            Told::Everything => ids.extend(self.stamps().into_keys()),
            Told::Path(path) => {
                let Ok(relative) = path.strip_prefix(&self.root) else { return };
                if let Some(id) = file_id::id_of(relative) {
                    ids.insert(id);
                } else if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
                    // What is written into a new folder before the system watches it is never told.
                    listing::walk(&path, &mut |entry| {
                        ids.extend(listing::record_id(&self.root, entry));
                    });
                }
            }
        }
    }

    /// Compares all records with how they were. Ends when the guard is dropped.
    fn poll(&self, mut before: Stamps, stopping: &Receiver<()>, interval: Duration) {
        while stopping.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            let now = self.stamps();
            let mut ids: BTreeSet<String> = now
                .iter()
                .filter(|(id, stamp)| before.get(*id) != Some(stamp))
                .map(|(id, _)| id.clone())
                .collect();
            ids.extend(before.into_keys().filter(|id| !now.contains_key(id)));
            self.tell(&ids);
            before = now;
        }
    }

    fn stamps(&self) -> Stamps {
        let mut stamps = Stamps::new();
        listing::walk(&self.root, &mut |entry| {
            if let (Some(id), Ok(meta)) = (listing::record_id(&self.root, entry), entry.metadata())
            {
                stamps.insert(id, (meta.len(), listing::modified_at_ms(&meta)));
            }
        });
        stamps
    }

    fn tell(&self, ids: &BTreeSet<String>) {
        for room in ids.iter().filter_map(|id| RoomId::new(RECORDS, id).ok()) {
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            (self.changed)(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for a busy machine; a test that passes never waits so long.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn listener() -> (Changed, Receiver<String>) {
        let (tell, told) = sync_channel(1024);
        let changed: Changed = Arc::new(move |room: RoomId| drop(tell.try_send(room.to_string())));
        (changed, told)
    }

    fn wait_for(told: &Receiver<String>, room: &str) {
        while told.recv_timeout(PATIENCE).expect("the change is told") != room {}
    }

    #[test]
    fn events_tell_changes_of_records_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("a.md"), "one").unwrap();
        let (changed, told) = listener();
        let guard = by_events(&root, changed).unwrap();
        fs::write(root.join(".civic-1-1.tmp"), "x").unwrap();
        fs::write(root.join("notes.txt"), "x").unwrap();
        fs::write(root.join("a.md"), "two").unwrap();
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "records:a");
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/new.md"), "x").unwrap();
        wait_for(&told, "records:sub/new");
        fs::remove_file(root.join("a.md")).unwrap();
        wait_for(&told, "records:a");
        drop(guard);
    }

    #[test]
    fn a_renamed_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::write(root.join("a.md"), "one").unwrap();
        let (changed, told) = listener();
        let _guard = by_events(&root, changed).unwrap();
        fs::write(root.join(".editor.swp"), "two").unwrap();
        fs::rename(root.join(".editor.swp"), root.join("a.md")).unwrap();
        wait_for(&told, "records:a");
    }

    #[test]
    fn polling_tells_what_events_would() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.md"), "one").unwrap();
        let (changed, told) = listener();
        let _guard = by_polling(dir.path(), changed, Duration::from_millis(5)).unwrap();
        fs::write(dir.path().join("a.md"), "longer").unwrap();
        wait_for(&told, "records:a");
        fs::write(dir.path().join("b.md"), "x").unwrap();
        wait_for(&told, "records:b");
        fs::remove_file(dir.path().join("b.md")).unwrap();
        wait_for(&told, "records:b");
    }

    #[test]
    fn the_watch_ends_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for by_event in [true, false] {
            let (changed, told) = listener();
            let guard = if by_event {
                by_events(&root, changed).unwrap()
            } else {
                by_polling(&root, changed, Duration::from_millis(5)).unwrap()
            };
            drop(guard);
            // The thread holds the callback, and the callback the sender: its end is the thread's end.
            assert_eq!(told.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        }
    }
}
