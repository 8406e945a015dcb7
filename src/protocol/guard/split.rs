//! Takes an update apart: what a document can take now, and what has to wait.
//!
//! Updates wait for each other if clients exchange edits behind the server's back: each of two can hold
//! something that builds on the other. As wholes they would wait for ever; struct by struct there is always
//! one that can go first, because honest structs only build on older ones.

use std::{cmp::Reverse, collections::BinaryHeap};

use bytes::Bytes;

use super::{
    Bounds, Missing, Refusal,
    draft::Draft,
    order::{Link, Node, SectionNodes},
    structs::{self, Layout},
};

/// The two parts of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// What the document lacks and can take whole; an update v1 without holes and without anything the document
    /// has.
    pub now: Option<Bytes>,
    /// The rest, as update v1; may have holes.
    pub rest: Option<Bytes>,
    /// What the rest waits for: splitting it again brings nothing before one of these is there.
    pub needs: Vec<Missing>,
}

/// Splits an update for a document; `clock_of` tells the document's clock of a client, 0 if unknown.
pub fn split_update(
    bytes: &[u8],
    bounds: &Bounds,
    clock_of: impl Fn(u64) -> u64,
) -> Result<Split, Refusal> {
    let layout = structs::layout(bytes, bounds)?;
    let known = layout.ids.iter().map(|id| clock_of(*id)).collect();
    let mut walk = Walk::new(&layout, known);
    while let Some(section) = walk.ready.pop() {
        walk.advance(section);
    }
    walk.into_split(bytes)
}

/// The update without deletions of what it does not hold itself; `None` if nothing is left.
pub fn keep_own_deletes(bytes: &[u8], bounds: &Bounds) -> Result<Option<Bytes>, Refusal> {
    let layout = structs::layout(bytes, bounds)?;
    let mut own = Draft::default();
    for (index, section) in layout.sections.iter().enumerate() {
        own.section(&layout, index, section.nodes.clone(), 0, bytes)?;
    }
    for (client, start, end) in &layout.deletes {
        let section = layout.section_of.get(*client as usize).copied().flatten();
        if let Some(section) = section.and_then(|index| layout.sections.get(index as usize)) {
            let id = layout.ids.get(*client as usize).copied().unwrap_or(0);
            own.delete(id, (*start).max(section.start), (*end).min(section.end));
        }
    }
    Ok(own.finish())
}

/// Passes structs whose dependencies are met, in the document or among those passed before.
struct Walk<'a> {
    layout: &'a Layout,
    /// The document's clock per client number.
    known: Vec<u64>,
    /// Per section, the first node not passed, and the clock reached with the document's help.
    at: Vec<usize>,
    reached: Vec<u64>,
    /// Per section, who waits for it to reach which clock, lowest first.
    waiting: Vec<BinaryHeap<Reverse<(u64, usize)>>>,
    /// Per section, what it stopped at.
    unmet: Vec<Option<Missing>>,
    ready: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout, known: Vec<u64>) -> Self {
        let clock = |section: &SectionNodes| known.get(section.client as usize).copied();
        Self {
            at: layout.sections.iter().map(|section| section.nodes.start).collect(),
            reached: layout.sections.iter().map(|section| clock(section).unwrap_or(0)).collect(),
            waiting: layout.sections.iter().map(|_| BinaryHeap::new()).collect(),
            unmet: vec![None; layout.sections.len()],
            ready: (0..layout.sections.len()).rev().collect(),
            layout,
            known,
        }
    }

    fn advance(&mut self, index: usize) {
        let Some(section) = self.layout.sections.get(index) else { return };
        let (Some(mut at), Some(mut reached)) =
            (self.at.get(index).copied(), self.reached.get(index).copied())
        else {
            return;
        };
        let mut unmet = None;
        while at < section.nodes.end {
            let Some(node) = self.layout.nodes.get(at) else { break };
            let end = self.end_of(section, at);
            if reached < end {
                unmet = self.unmet(section, node, end, reached);
                if unmet.is_some() {
                    break;
                }
                reached = end;
            }
            at += 1;
        }
        if let Some((client, clock)) = unmet
            && let Some(other) = self.section_of(client)
            && other != index
            && let Some(queue) = self.waiting.get_mut(other)
        {
            queue.push(Reverse((clock, index)));
        }
        let missing = unmet.map(|(client, clock)| self.missing(client, clock));
        if let (Some(a), Some(r), Some(u)) =
            (self.at.get_mut(index), self.reached.get_mut(index), self.unmet.get_mut(index))
        {
            (*a, *r, *u) = (at, reached, missing);
        }
        if let Some(queue) = self.waiting.get_mut(index) {
            while let Some(Reverse((clock, waiter))) = queue.peek().copied()
                && clock <= reached
            {
                queue.pop();
                self.ready.push(waiter);
            }
        }
    }

    /// The client (by number) and the clock it must reach before a node can be passed.
    fn unmet(
        &self,
        section: &SectionNodes,
        node: &Node,
        end: u64,
        reached: u64,
    ) -> Option<(u32, u64)> {
        if node.is_hole {
            return Some((section.client, end));
        }
        if u64::from(node.clock) > reached {
            return Some((section.client, u64::from(node.clock)));
        }
        let unmet = |link: Link| {
            let (client, clock) = link.target()?;
            let need = u64::from(clock) + 1;
            // Links to its own client point backward, to what is passed already.
            (client != section.client && self.reached_by(client) < need).then_some((client, need))
        };
        unmet(node.left).or_else(|| unmet(node.right))
    }

    fn end_of(&self, section: &SectionNodes, at: usize) -> u64 {
        let next = at + 1;
        let end = if next < section.nodes.end { self.layout.nodes.get(next) } else { None };
        u64::from(end.map_or(section.end, |node| node.clock))
    }

    fn section_of(&self, client: u32) -> Option<usize> {
        self.layout.section_of.get(client as usize).copied().flatten().map(|index| index as usize)
    }

    fn reached_by(&self, client: u32) -> u64 {
        let in_update = self.section_of(client).and_then(|index| self.reached.get(index));
        in_update.or_else(|| self.known.get(client as usize)).copied().unwrap_or(0)
    }

    fn missing(&self, client: u32, clock: u64) -> Missing {
        Missing {
            client: self.layout.ids.get(client as usize).copied().unwrap_or(0),
            clock: u32::try_from(clock).unwrap_or(u32::MAX),
        }
    }

    fn into_split(self, bytes: &[u8]) -> Result<Split, Refusal> {
        let (mut now, mut rest) = (Draft::default(), Draft::default());
        for (index, section) in self.layout.sections.iter().enumerate() {
            let (Some(at), Some(known)) =
                (self.at.get(index).copied(), self.known.get(section.client as usize).copied())
            else {
                continue;
            };
            let mut first = section.nodes.start;
            while first < at && self.end_of(section, first) <= known {
                first += 1;
            }
            // A hole at the start of a section says nothing.
            let mut later = at;
            while self.layout.nodes.get(later).is_some_and(|node| node.is_hole)
                && later < section.nodes.end
            {
                later += 1;
            }
            now.section(self.layout, index, first..at, known, bytes)?;
            rest.section(self.layout, index, later..section.nodes.end, 0, bytes)?;
        }
        let mut needs: Vec<Missing> = self.unmet.iter().flatten().copied().collect();
        // Or somebody else wrote what a section stopped at.
        for ((section, at), unmet) in self.layout.sections.iter().zip(&self.at).zip(&self.unmet) {
            let own = self.missing(section.client, self.end_of(section, *at));
            if unmet.is_some_and(|unmet| unmet.client != own.client) {
                needs.push(own);
            }
        }
        for (client, start, end) in &self.layout.deletes {
            let reached = u32::try_from(self.reached_by(*client)).unwrap_or(u32::MAX);
            let id = self.layout.ids.get(*client as usize).copied().unwrap_or(0);
            let cut = reached.clamp(*start, *end);
            now.delete(id, *start, cut);
            rest.delete(id, cut, *end);
            if cut < *end {
                needs.push(Missing { client: id, clock: cut + 1 });
            }
        }
        let rest = rest.finish();
        if rest.is_none() {
            needs.clear();
        }
        Ok(Split { now: now.finish(), rest, needs })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use yrs::{
        Doc, GetString, Options, ReadTxn, StateVector, Text, Transact, Update, WriteTxn,
        updates::{decoder::Decode, encoder::Encode},
    };

    use super::*;
    use crate::protocol::guard::scan_update;

    fn bounds() -> Bounds {
        Bounds::new(1 << 30)
    }

    fn clocks(doc: &Doc) -> HashMap<u64, u64> {
        let vector = doc.transact().state_vector();
        vector.iter().map(|(client, clock)| (client.get(), u64::from(*clock))).collect()
    }

    fn split(bytes: &[u8], doc: &Doc) -> Split {
        let clocks = clocks(doc);
        split_update(bytes, &bounds(), |client| clocks.get(&client).copied().unwrap_or(0)).unwrap()
    }

    fn take(doc: &Doc, bytes: &[u8]) {
        let clocks = clocks(doc);
        let scan = scan_update(bytes, &bounds()).unwrap();
        assert!(!scan.has_holes);
        assert_eq!(scan.missing(|client| clocks.get(&client).copied().unwrap_or(0)), None);
        doc.transact_mut().apply_update(Update::decode_v1(bytes).unwrap()).unwrap();
        assert!(!doc.transact().has_missing_updates());
    }

    fn doc(client: u64) -> Doc {
        Doc::with_options(Options::with_client_id(yrs::block::ClientID::new(client)))
    }

    fn write(doc: &Doc, at: u32, word: &str) -> Vec<u8> {
        let mut txn = doc.transact_mut();
        let text = txn.get_or_insert_text("t");
        text.insert(&mut txn, at, word);
        txn.encode_update_v1()
    }

    fn remove(doc: &Doc, at: u32, len: u32) -> Vec<u8> {
        let mut txn = doc.transact_mut();
        let text = txn.get_or_insert_text("t");
        text.remove_range(&mut txn, at, len);
        txn.encode_update_v1()
    }

    fn text(doc: &Doc) -> String {
        let mut txn = doc.transact_mut();
        let text = txn.get_or_insert_text("t");
        text.get_string(&txn)
    }

    #[test]
    fn only_deletions_of_its_own_structs_are_kept() {
        let doc = Doc::with_options(Options::with_client_id(yrs::block::ClientID::new(7)));
        let text = doc.get_or_insert_text("t");
        let own = {
            let mut txn = doc.transact_mut();
            text.push(&mut txn, "abc");
            text.remove_range(&mut txn, 1, 1);
            txn.encode_update_v1()
        };
        assert_eq!(keep_own_deletes(&own, &bounds()).unwrap().unwrap(), own);
        // What somebody will write is deleted too: 5 letters of client 9, and client 7's own next ones.
        let (structs, _) = own.split_at(own.len() - 5);
        let more = [structs, &[2, 9, 1, 0, 5, 7, 1, 1, 100]].concat();
        let kept = keep_own_deletes(&more, &bounds()).unwrap().unwrap();
        assert_eq!(kept[..], [structs, &[1, 7, 1, 1, 2]].concat());
        assert_eq!(keep_own_deletes(&[0, 1, 9, 1, 0, 5], &bounds()).unwrap(), None);
    }

    #[test]
    fn all_or_nothing_where_it_is_so() {
        let author = doc(1);
        let first = write(&author, 0, "a");
        let second = write(&author, 1, "b");
        let server = doc(9);
        let early = split(&second, &server);
        assert_eq!(early.now, None);
        assert_eq!(early.rest.as_deref(), Some(&second[..]));
        assert_eq!(early.needs, [Missing { client: 1, clock: 1 }]);
        let whole = split(&first, &server);
        assert_eq!(whole.now.as_deref(), Some(&first[..]));
        assert_eq!((whole.rest, whole.needs), (None, vec![]));
        take(&server, &first);
        assert_eq!(split(&first, &server), Split::default(), "nothing is new");
    }

    #[test]
    fn two_that_wait_for_each_other_both_get_in() {
        let (one, two) = (doc(1), doc(2));
        let mut ones = vec![write(&one, 0, "1")];
        take(&two, &ones[0]);
        let mut twos = vec![write(&two, 1, "2")];
        take(&one, &twos[0]);
        ones.push(write(&one, 2, "3"));
        take(&two, &ones[1]);
        twos.push(write(&two, 3, "4"));
        // Each author's own words in one update: neither is whole without the other.
        let merged = |updates: &[Vec<u8>]| yrs::merge_updates_v1(updates).unwrap();
        let (first, second) = (merged(&ones), merged(&twos));
        let server = doc(9);
        let part = split(&first, &server);
        take(&server, &part.now.unwrap());
        let other = split(&second, &server);
        take(&server, &other.now.unwrap());
        let part = split(&part.rest.unwrap(), &server);
        take(&server, &part.now.unwrap());
        assert_eq!(part.rest, None);
        let other = split(&other.rest.unwrap(), &server);
        take(&server, &other.now.unwrap());
        assert_eq!(other.rest, None);
        assert_eq!(text(&server), "1234");
    }

    #[test]
    fn holes_are_left_out_and_deletes_wait_for_what_they_delete() {
        let author = doc(1);
        let updates = [
            write(&author, 0, "abc"),
            write(&author, 3, "def"),
            write(&author, 6, "ghi"),
            remove(&author, 2, 5),
        ];
        let holed = yrs::merge_updates_v1([&updates[0], &updates[2], &updates[3]]).unwrap();
        assert!(scan_update(&holed, &bounds()).unwrap().has_holes);
        let server = doc(9);
        let part = split(&holed, &server);
        take(&server, &part.now.unwrap());
        assert_eq!(text(&server), "ab");
        assert!(part.needs.contains(&Missing { client: 1, clock: 6 }), "{:?}", part.needs);
        take(&server, &updates[1]);
        let part = split(&part.rest.unwrap(), &server);
        take(&server, &part.now.unwrap());
        assert_eq!(part.rest, None);
        assert_eq!(text(&server), text(&author));
        assert_eq!(
            server.transact().encode_diff_v1(&StateVector::default()).len(),
            author.transact().encode_diff_v1(&StateVector::default()).len()
        );
        assert_eq!(clocks(&server), clocks(&author));
        assert!(!server.transact().state_vector().encode_v1().is_empty());
    }
}
