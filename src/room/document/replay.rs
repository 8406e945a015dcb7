//! What a document was on the way to now, read off its log.

use crate::{
    limits::{REPLAY_BYTES_MAX, REPLAY_LOOKS_BYTES_MAX, REPLAY_LOOKS_MAX, REPLAY_STATES_MAX},
    markdown::{self, Naming, Node, Views},
    room::document::{Document, DocumentError, LoadFault},
    store::StoredRoom,
};

impl Document {
    /// The states that follow log row `from_seq`. All blocks of up to [`REPLAY_LOOKS_MAX`] states are known
    /// ([`REPLAY_LOOKS_BYTES_MAX`] of text), and [`REPLAY_STATES_MAX`] whole texts are kept
    /// ([`REPLAY_BYTES_MAX`]): of more, some in between are left out.
    pub fn replay(
        stored: StoredRoom,
        from_seq: u64,
        naming: Naming,
    ) -> Result<Views, Box<LoadFault>> {
        let StoredRoom { snapshot, tail, .. } = stored;
        let first = tail.iter().take_while(|row| row.seq <= from_seq).count();
        let mut rows = tail.into_iter().map(|row| (row.seq, row.bytes));
        let state = snapshot.map(|snapshot| snapshot.state);
        let document = Self::load(u64::MAX, state.as_ref(), rows.by_ref().take(first))?;
        let mut document = document.named(naming);
        let read = |document: &Self| -> Result<Node, Box<LoadFault>> {
            let unread = |error: DocumentError| {
                let bytes = bytes::Bytes::new();
                Box::new(LoadFault { error, seq: None, bytes, was_held: false })
            };
            document.content().map_err(unread)
        };
        let content = read(&document)?;
        let size = markdown::serialize(&content).len().max(1);
        let mut views = Views::default();
        views.see(content, true);
        let rows: Vec<_> = rows.collect();
        let each =
            |count: usize, bytes: usize| rows.len().div_ceil(count.min(bytes / size).max(1)).max(1);
        let look_each = each(REPLAY_LOOKS_MAX, REPLAY_LOOKS_BYTES_MAX);
        let keep_each = each(REPLAY_STATES_MAX, REPLAY_BYTES_MAX).div_ceil(look_each);
        let looks = rows.len().div_ceil(look_each);
        for (number, some) in (1..).zip(rows.chunks(look_each)) {
            document.load_more(some.iter().cloned())?;
            views.see(read(&document)?, number % keep_each == 0 || number == looks);
        }
        Ok(views)
    }
}

#[cfg(test)]
mod tests {
    use yrs::{
        Doc, OffsetKind, Options, Text, Transact, XmlElementPrelim, XmlFragment, XmlTextPrelim,
    };

    use super::*;
    use crate::{markdown::Past, store::LoggedUpdate};

    /// Somebody who types word by word, begins a paragraph at each twelfth, and strikes out the one before at
    /// each third beginning. Gives the log, and the text after each row.
    fn typed(words: usize) -> (Vec<LoggedUpdate>, Vec<String>) {
        let options = Options { offset_kind: OffsetKind::Utf16, ..Options::default() };
        let doc = Doc::with_options(options);
        let fragment = doc.get_or_insert_xml_fragment(markdown::ROOT);
        let (mut rows, mut states) = (Vec::new(), Vec::new());
        for word in 0..words {
            let mut txn = doc.transact_mut();
            let length = fragment.len(&txn);
            if word % 12 == 0 {
                let paragraph = fragment.push_back(&mut txn, XmlElementPrelim::empty("paragraph"));
                paragraph.push_back(&mut txn, XmlTextPrelim::new(format!("w{word}")));
                if word % 36 == 0 && length > 1 {
                    fragment.remove(&mut txn, length - 1);
                }
            } else {
                let last = fragment.get(&txn, length - 1).unwrap().into_xml_element().unwrap();
                let text = last.get(&txn, 0).unwrap().into_xml_text().unwrap();
                text.push(&mut txn, &format!(" w{word}"));
            }
            let bytes = txn.encode_update_v1().into();
            states.push(markdown::serialize(&markdown::read_fragment(
                &txn,
                &fragment,
                Naming::CivicPress,
            )));
            rows.push(LoggedUpdate { seq: word as u64 + 1, bytes });
        }
        (rows, states)
    }

    /// However many states there were: what somebody saves of one brings nothing back, doubles nothing and takes
    /// nothing away.
    #[test]
    fn whatever_a_room_was_is_no_change_of_it() {
        let words = 4 * REPLAY_STATES_MAX;
        let (tail, states) = typed(words);
        let mut document =
            Document::load(u64::MAX, None, tail.iter().map(|row| (row.seq, row.bytes.clone())))
                .unwrap();
        let stored = StoredRoom { snapshot: None, tail, last_seq: words as u64 };
        let views = Document::replay(stored, 12, Naming::CivicPress).unwrap();
        let past = Past { exchanged: Vec::new(), views };
        // All states of some paragraphs, the last words of those that were struck out included.
        for at in (300..340).chain(words - 100..words - 60) {
            let (update, report) = document.merge_late(&states[11], &states[at], &past).unwrap();
            assert_eq!((update, report.conflicts), (None, Vec::new()), "{at}: {}", states[at]);
        }
        // What nobody here wrote is.
        let theirs = format!("{}\n\nBy somebody else.", states[words - 80]);
        let (update, _) = document.merge_late(&states[11], &theirs, &past).unwrap();
        assert!(update.is_some());
        let now = markdown::serialize(&document.content().unwrap());
        assert_eq!(now.replace("\n\nBy somebody else.", ""), states[words - 1]);
    }
}
