//! What was said in a room lately, for those who come back.

use std::{collections::VecDeque, sync::Arc};

use serde_json::value::RawValue;

use crate::{
    limits::{EVENT_KEYS_MAX, EVENT_OVERHEAD_BYTES},
    protocol::events::Author,
};

/// Something that was said.
#[derive(Debug)]
pub struct Said {
    /// What it is called.
    pub event: Box<str>,
    /// What it says, as JSON text.
    pub data: Option<Box<RawValue>>,
    /// Who said it; `None` = the server.
    pub from: Option<Author>,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// Says it a second time, if it was said before by the same.
    pub key: Option<Box<str>>,
    /// The room it is shown as said to, if that is another than where it is said.
    pub shown: Option<Arc<str>>,
}

impl Said {
    /// Memory it takes, about.
    pub fn bytes(&self) -> usize {
        let data = self.data.as_ref().map_or(0, |data| data.get().len());
        let from = self
            .from
            .as_ref()
            .map_or(0, |from| from.client_id.len() + from.user_id.as_ref().map_or(0, String::len));
        EVENT_OVERHEAD_BYTES
            + self.event.len()
            + data
            + from
            + self.key.as_ref().map_or(0, |key| key.len())
    }

    /// Whether `other` is this, sent a second time.
    fn is(&self, other: &Self) -> bool {
        other.key.is_some() && self.key == other.key && self.who() == other.who()
    }

    /// Whether a client said it, and whose.
    fn who(&self) -> (bool, Option<&str>) {
        let user = self.from.as_ref().and_then(|from| from.user_id.as_deref());
        (self.from.is_some(), user)
    }
}

/// The key of an event that is not kept itself.
#[derive(Debug)]
struct Keyed {
    offset: u64,
    at_ms: u64,
    key: Box<str>,
    by_client: bool,
    user: Option<Box<str>>,
}

impl Keyed {
    fn of(offset: u64, said: &Said) -> Option<Self> {
        let key = said.key.clone()?;
        let (by_client, user) = said.who();
        Some(Self { offset, at_ms: said.at_ms, key, by_client, user: user.map(Into::into) })
    }

    fn is_of(&self, said: &Said) -> bool {
        said.key.as_ref() == Some(&self.key) && said.who() == (self.by_client, self.user.as_deref())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.user.as_ref().map_or(0, |user| user.len())
    }
}

/// The last events of a room, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    events: VecDeque<(u64, Arc<Said>)>,
    /// Of events that are not kept, or only until the next one.
    keys: VecDeque<Keyed>,
    bytes: usize,
}

impl History {
    /// Keeps an event, and of all so many.
    pub(super) fn push(&mut self, offset: u64, said: Arc<Said>, size: usize) {
        if size <= 1
            && let Some(key) = Keyed::of(offset, &said)
        {
            self.bytes += key.bytes();
            self.keys.push_back(key);
            if self.keys.len() > EVENT_KEYS_MAX {
                self.pop_key();
            }
        }
        if size == 0 {
            return;
        }
        self.bytes += said.bytes();
        self.events.push_back((offset, said));
        while self.events.len() > size {
            self.pop();
        }
    }

    /// Forgets what was said before.
    pub(super) fn expire(&mut self, before_ms: u64) {
        while self.events.front().is_some_and(|(_, said)| said.at_ms < before_ms) {
            self.pop();
        }
        while self.keys.front().is_some_and(|key| key.at_ms < before_ms) {
            self.pop_key();
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        if self.keys.is_empty() {
            self.keys = VecDeque::new();
        }
    }

    /// Forgets the older half.
    pub(super) fn halve(&mut self) {
        for _ in 0..self.events.len().div_ceil(2) {
            self.pop();
        }
        for _ in 0..self.keys.len().div_ceil(2) {
            self.pop_key();
        }
        self.events.shrink_to_fit();
        self.keys.shrink_to_fit();
    }

    /// What was said after `offset`, and whether that is all of it, the last one being `last`.
    pub(super) fn after(
        &self,
        offset: u64,
        last: u64,
    ) -> (bool, impl Iterator<Item = (u64, &Said)>) {
        let first = self.events.front().map_or(last + 1, |(first, _)| *first);
        let whole = offset <= last && offset + 1 >= first;
        let later = self.events.iter().filter(move |(number, _)| *number > offset);
        (whole, later.map(|(number, said)| (*number, &**said)))
    }

    /// The number of an event, if it was said before.
    pub(super) fn offset_of(&self, said: &Said) -> Option<u64> {
        said.key.as_ref()?;
        let kept = self.events.iter().rev().find(|(_, known)| known.is(said));
        let known = || self.keys.iter().rev().find(|key| key.is_of(said));
        kept.map(|(offset, _)| *offset).or_else(|| known().map(|key| key.offset))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn pop_key(&mut self) {
        if let Some(key) = self.keys.pop_front() {
            self.bytes -= key.bytes();
        }
    }

    fn pop(&mut self) {
        if let Some((_, said)) = self.events.pop_front() {
            self.bytes -= said.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(at_ms: u64, key: Option<&str>) -> Arc<Said> {
        let key = key.map(Into::into);
        Arc::new(Said { event: "e".into(), data: None, from: None, at_ms, key, shown: None })
    }

    fn numbers(history: &History, offset: u64, last: u64) -> (bool, Vec<u64>) {
        let (whole, later) = history.after(offset, last);
        (whole, later.map(|(number, _)| number).collect())
    }

    #[test]
    fn who_comes_back_in_time_misses_nothing() {
        let mut history = History::default();
        for offset in 1..=5 {
            history.push(offset, said(offset * 1000, None), 3);
        }
        assert_eq!(numbers(&history, 5, 5), (true, vec![]));
        assert_eq!(numbers(&history, 3, 5), (true, vec![4, 5]));
        assert_eq!(numbers(&history, 2, 5), (true, vec![3, 4, 5]));
        assert_eq!(numbers(&history, 1, 5), (false, vec![3, 4, 5]));
        assert_eq!(numbers(&history, 9, 5), (false, vec![]), "nobody can have heard that");
        history.expire(4500);
        assert_eq!(numbers(&history, 3, 5), (false, vec![5]));
        history.expire(u64::MAX);
        assert_eq!((history.is_empty(), history.bytes()), (true, 0));
        assert_eq!(numbers(&history, 5, 5), (true, vec![]));
        assert_eq!(numbers(&history, 4, 5), (false, vec![]));
    }

    #[test]
    fn a_key_is_one_authors() {
        let mut history = History::default();
        history.push(1, said(0, Some("k")), 9);
        assert_eq!(history.offset_of(&said(5, Some("k"))), Some(1));
        assert_eq!(history.offset_of(&said(5, Some("l"))), None);
        assert_eq!(history.offset_of(&said(5, None)), None);
        let from = Author { client_id: "c".into(), user_id: Some("7".into()) };
        let theirs = Said { from: Some(from), ..Arc::into_inner(said(5, Some("k"))).unwrap() };
        assert_eq!(history.offset_of(&theirs), None);
    }

    #[test]
    fn a_key_is_known_though_its_event_is_not_kept() {
        for size in [0, 1] {
            let mut history = History::default();
            for offset in 1..=EVENT_KEYS_MAX as u64 + 1 {
                history.push(offset, said(offset, Some(&format!("k{offset}"))), size);
            }
            let of = |history: &History, key| history.offset_of(&said(0, Some(key)));
            assert_eq!((of(&history, "k1"), of(&history, "k2")), (None, Some(2)));
            history.expire(9);
            assert_eq!((of(&history, "k8"), of(&history, "k9")), (None, Some(9)));
            history.halve();
            history.expire(u64::MAX);
            assert_eq!((history.bytes(), history.keys.len()), (0, 0));
        }
    }

    #[test]
    fn half_of_it_gives_half_of_the_memory_back() {
        let mut history = History::default();
        for offset in 1..=5 {
            history.push(offset, said(0, None), 9);
        }
        let bytes = history.bytes();
        history.halve();
        assert_eq!((numbers(&history, 3, 5), history.bytes()), ((true, vec![4, 5]), bytes / 5 * 2));
    }
}
