//! What a record was a little while ago: whoever writes a text outside may have read it then.
//!
//! Somebody who saves what the own editor showed a moment ago changes nothing, although the text differs from
//! the one last exchanged. So the base of the merge is looked for among what the source and the room were, and
//! what the room itself had is never taken for a change: it would undo what was typed since, or bring back
//! what was deleted.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::super::node::{Child, Node};
use super::super::parse::parse;
use super::super::serialize::serialize;
use super::align::{self, Step, changed_bytes};
use super::block::{self, Block};

/// Earlier texts of a record, as Markdown bodies.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Texts exchanged with the source before the last one, the oldest first.
    pub exchanged: Vec<String>,
    /// What the room was on the way to now.
    pub views: Views,
}

/// What a room was on the way to now, gathered state by state, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Views {
    /// Markdown bodies of some of the states.
    bodies: Vec<String>,
    /// The blocks of all of them.
    known: Known,
    /// The blocks of the last one.
    last: Vec<Child>,
}

impl Views {
    /// Takes in the next state. `as_base`: its text is kept as one that somebody may have started from; of the
    /// others only the blocks are. A block that the state before had, too, costs no more than a look.
    pub fn see(&mut self, content: Node, as_base: bool) {
        if as_base {
            let body = serialize(&content);
            if self.bodies.last() != Some(&body) {
                self.bodies.push(body);
            }
        }
        let both = self.last.iter().zip(&content.content);
        let begin = both.take_while(|(before, now)| before == now).count();
        let shorter = self.last.len().min(content.content.len());
        let both = self.last.iter().rev().zip(content.content.iter().rev());
        let end = both.take(shorter - begin).take_while(|(before, now)| before == now).count();
        let changed = content.content.get(begin..content.content.len() - end).unwrap_or_default();
        if !changed.is_empty() {
            let mut document = Node::new("doc");
            document.content = changed.to_vec();
            // As a text has them.
            self.known.add(&parse(&serialize(&document)));
        }
        self.last = content.content;
    }
}

/// How far an outside text is from a base: first what nobody here knows, then what the room had.
type Distance = (usize, usize);

/// The text the author of `theirs` most likely started from.
pub(super) fn base_of(base: &Node, theirs: &Node, past: &[Node], known: &Known) -> Option<usize> {
    let theirs = block::blocks(theirs);
    let from = |node: &Node| distance(&block::blocks(node), &theirs, known);
    let mut nearest = (from(base), None);
    // The newest first, so that it wins among equals.
    for (at, text) in past.iter().enumerate().rev() {
        let found = from(text);
        if found < nearest.0 {
            nearest = (found, Some(at));
        }
    }
    nearest.1
}

/// The blocks the room had, by a hash of their Markdown.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    hasher: RandomState,
    keys: HashSet<u64>,
}

impl Known {
    fn add(&mut self, parent: &Node) {
        for block in block::blocks(parent) {
            if block.node.content.iter().any(|child| matches!(child, Child::Node(_))) {
                self.add(block.node);
            }
            self.keys.insert(self.hasher.hash_one(&block.key));
        }
    }

    pub(super) fn has(&self, block: &Block<'_>) -> bool {
        self.keys.contains(&self.hasher.hash_one(&block.key))
    }
}

impl Past {
    /// All texts, those of the room first.
    pub(super) fn parsed(&self) -> (Vec<Node>, Known) {
        let parsed = |texts: &[String]| texts.iter().map(|text| parse(text)).collect::<Vec<_>>();
        let mut texts = parsed(&self.views.bodies);
        let mut known = self.views.known.clone();
        for text in &texts {
            known.add(text);
        }
        texts.extend(parsed(&self.exchanged));
        (texts, known)
    }
}

fn distance(base: &[Block<'_>], theirs: &[Block<'_>], known: &Known) -> Distance {
    let mut distance = (0, 0);
    for step in align::align(base, theirs) {
        let (old, new) = step.sides(base, theirs);
        match (step, old, new) {
            (Step::Keep(..), ..) => {}
            (_, _, Some(new)) if known.has(new) => distance.1 += 1,
            (Step::Change(..), Some(old), Some(new)) => {
                let (removed, added) = changed_bytes(&old.key, &new.key);
                // What seems taken away was more likely never seen.
                distance.0 += 2 * removed + added;
            }
            (Step::Delete(_), Some(old), _) => distance.0 += 2 * old.key.len() + 1,
            (_, _, Some(new)) => distance.0 += new.key.len() + 1,
            _ => {}
        }
    }
    distance
}
