//! What a document was on the way to now, read off its log.

use crate::{
    limits::{REPLAY_BYTES_MAX, REPLAY_STATES_MAX},
    markdown::{self, Naming},
    room::document::{Document, DocumentError, LoadFault},
    store::StoredRoom,
};

impl Document {
    /// The Markdown bodies of the states that follow log row `from_seq`, the oldest first, each that differs from
    /// the one before. There are [`REPLAY_STATES_MAX`] at most, of [`REPLAY_BYTES_MAX`] together: of more, some
    /// in between are left out.
    pub fn replay(
        stored: StoredRoom,
        from_seq: u64,
        naming: Naming,
    ) -> Result<Vec<String>, Box<LoadFault>> {
        let StoredRoom { snapshot, tail, .. } = stored;
        let first = tail.iter().take_while(|row| row.seq <= from_seq).count();
        let mut rows = tail.into_iter().map(|row| (row.seq, row.bytes));
        let state = snapshot.map(|snapshot| snapshot.state);
        let document = Self::load(u64::MAX, state.as_ref(), rows.by_ref().take(first))?;
        let mut document = document.named(naming);
        let read = |document: &Self| {
            let unread = |error: DocumentError| {
                let bytes = bytes::Bytes::new();
                Box::new(LoadFault { error, seq: None, bytes, was_held: false })
            };
            document.content().map(|content| markdown::serialize(&content)).map_err(unread)
        };
        let mut bodies = vec![read(&document)?];
        let rows: Vec<_> = rows.collect();
        let size = bodies.iter().map(String::len).sum::<usize>().max(1);
        let states = REPLAY_STATES_MAX.min(REPLAY_BYTES_MAX / size).max(1);
        for some in rows.chunks(rows.len().div_ceil(states).max(1)) {
            document.load_more(some.iter().cloned())?;
            let body = read(&document)?;
            if bodies.last() != Some(&body) {
                bodies.push(body);
            }
        }
        Ok(bodies)
    }
}
