//! Files that were cut off or flipped: what was acknowledged is there, or the loss is told.

use std::fs;

use super::*;

/// What one look at a damaged set of files found.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything that was acknowledged.
    Whole,
    /// The start, a room or the file was refused or set aside with a word about it.
    Told(String),
}

/// The files of a store that was killed: two rooms, one of them with a snapshot; the newest rows only in the
/// write-ahead log.
struct Image {
    files: Vec<(&'static str, Vec<u8>)>,
    rooms: Vec<(RoomId, StoredRoom)>,
}

/// What a room is made of, without what is only for people: a snapshot's number and time.
fn content(stored: &StoredRoom) -> StoredRoom {
    let mut content = stored.clone();
    if let Some(base) = &mut content.snapshot {
        (base.version, base.created_at_ms) = (0, 0);
    }
    content
}

const FILES: [&str; 3] = ["", "-wal", ".mark"];

async fn image() -> Image {
    let (dir, store) = open();
    let rooms = [room("one"), room("two")];
    for room in &rooms {
        log(&store, room, 1..=20).await;
    }
    store.save_snapshot(snapshot(&rooms[0], 20, &[7], b"a state of some length")).await.unwrap();
    store.seed(seed(&room("seeded"), "text")).await.unwrap();
    // From here on the log starts anew.
    store.close().await.unwrap();
    let store = SqliteStore::open(options(dir.path())).unwrap();
    log(&store, &rooms[1], 21..=30).await;
    log(&store, &rooms[0], 21..=24).await;
    let mut files = Vec::new();
    for suffix in FILES {
        files.push((suffix, fs::read(format!("{}{suffix}", store.path().display())).unwrap()));
    }
    let mut stored = Vec::new();
    for room in rooms.into_iter().chain([room("seeded")]) {
        stored.push((room.clone(), store.load(&room).await.unwrap().unwrap()));
    }
    Image { files, rooms: stored }
}

impl Image {
    fn bytes(&self, suffix: &str) -> usize {
        self.files.iter().find(|(name, _)| *name == suffix).unwrap().1.len()
    }

    /// Opens the files after `damage` and compares what is loaded with what was acknowledged.
    async fn judge(&self, suffix: &str, damage: impl Fn(&mut Vec<u8>)) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        fs::create_dir_all(options.path.parent().unwrap()).unwrap();
        let mut damaged = Vec::new();
        for (name, bytes) in &self.files {
            let mut bytes = bytes.clone();
            if *name == suffix {
                damage(&mut bytes);
                damaged.clone_from(&bytes);
            }
            fs::write(format!("{}{name}", options.path.display()), bytes).unwrap();
        }
        let path = options.path.clone();
        let store = match SqliteStore::open(options) {
            Ok(store) => store,
            Err(error) => {
                let found = fs::read(format!("{}{suffix}", path.display())).unwrap();
                assert!(found == damaged, "a refused file stays as it is");
                return Verdict::Told(error.to_string());
            }
        };
        if let Some(damage) = store.status().damage {
            let place = store.set_aside().expect("a place");
            let kept = fs::read(format!("{}{suffix}", place.display())).unwrap();
            assert!(kept == damaged, "the file is kept as it was found");
            return Verdict::Told(damage);
        }
        for (room, expected) in &self.rooms {
            match store.load(room).await {
                Ok(Some(found)) => {
                    assert_eq!(content(&found), content(expected), "{room} has wrong content");
                }
                Ok(None) => panic!("{room} would be taken for a new room"),
                Err(error) => return Verdict::Told(error.to_string()),
            }
        }
        // It is not only there: it goes on.
        let last = self.rooms[0].1.last_seq;
        log(&store, &self.rooms[0].0, last + 1..=last + 1).await;
        Verdict::Whole
    }
}

#[tokio::test]
async fn a_flipped_bit_is_never_wrong_content_nor_silence() {
    let image = image().await;
    assert_eq!(image.judge("", |_| ()).await, Verdict::Whole);
    let mut told = 0;
    for suffix in ["", "-wal"] {
        // Not only at every 512 bytes: an odd step meets all kinds of fields.
        for at in (0..image.bytes(suffix)).step_by(127) {
            for mask in [0x01, 0x80] {
                let verdict = image.judge(suffix, |bytes| bytes[at] ^= mask).await;
                told += usize::from(verdict != Verdict::Whole);
            }
        }
        for at in (0..image.bytes(suffix)).step_by(512) {
            let verdict = image.judge(suffix, |bytes| bytes[at] ^= 0xFF).await;
            told += usize::from(verdict != Verdict::Whole);
        }
    }
    assert!(told > 100, "{told} flips were told");
}

#[tokio::test]
async fn a_flipped_header_is_never_wrong_content_nor_silence() {
    let image = image().await;
    for (suffix, bytes) in [("", 100), ("-wal", 56)] {
        for at in 0..bytes {
            for mask in [0x01, 0xFF] {
                image.judge(suffix, |bytes| bytes[at] ^= mask).await;
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_was_cut_off_is_never_silence() {
    let image = image().await;
    for suffix in ["", "-wal"] {
        for length in (0..image.bytes(suffix)).step_by(512) {
            let verdict = image.judge(suffix, |bytes| bytes.truncate(length)).await;
            // Pages that are in the log as well may be missing from the file.
            assert!(
                suffix.is_empty() || verdict != Verdict::Whole,
                "{suffix:?} cut at {length}: the end of the log was told to somebody"
            );
        }
    }
}

/// What a crash leaves behind the last commit is no damage.
#[tokio::test]
async fn a_torn_tail_that_was_never_told_is_no_damage() {
    let image = image().await;
    for torn in [1, 24, 512, 5000] {
        let verdict = image.judge("-wal", |bytes| bytes.resize(bytes.len() + torn, 0xA5)).await;
        assert_eq!(verdict, Verdict::Whole, "{torn} bytes");
    }
    for length in 0..image.bytes(".mark") {
        let verdict = image.judge(".mark", |bytes| bytes.truncate(length)).await;
        assert_eq!(verdict, Verdict::Whole, "a mark of {length} bytes");
    }
}

#[tokio::test]
async fn a_lost_log_is_told_once_and_the_files_are_kept() {
    let image = image().await;
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    fs::create_dir_all(options.path.parent().unwrap()).unwrap();
    for (name, bytes) in &image.files {
        if *name != "-wal" {
            fs::write(format!("{}{name}", options.path.display()), bytes).unwrap();
        }
    }
    let store = SqliteStore::open(options.clone()).unwrap();
    let damage = store.status().damage.unwrap();
    assert!(damage.contains("records:one ends at row 20, row 24 was acknowledged"), "{damage}");
    assert_eq!(fs::read(store.set_aside().unwrap()).unwrap(), image.files[0].1);
    assert_eq!(
        store.load(&room("one")).await.unwrap().unwrap().last_seq,
        20,
        "what is left serves"
    );
    store.close().await.unwrap();
    let again = SqliteStore::open(options).unwrap();
    assert_eq!(again.status().damage, None);
}

/// Whoever is told may be all that is left a moment later: by then the mark knows of the row. Here the mark is a
/// pipe, which is not written before somebody reads it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_mark_is_set_before_anybody_is_told() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let (_dir, store) = open();
    let pipe = crate::store::lock::beside(store.path(), mark::SUFFIX);
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (room, watch) = (room("a"), CommitWatch::starting_at(0));
    store.append(append(&room, 1, &watch)).await.unwrap();
    while store.load(&room).await.unwrap().is_none() {
        thread::yield_now();
    }
    for _ in 0..20 {
        store.load(&room).await.unwrap();
        assert_eq!(watch.committed_seq(), 0, "committed, and not marked yet");
    }
    let _reader = fs::File::open(&pipe).unwrap();
    until(&watch, 1).await;
}
