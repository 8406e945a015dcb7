//! What a record was a little while ago: whoever writes a text outside may have read it then.
//!
//! Somebody who saves what the own editor showed a moment ago changes nothing, although the text differs from
//! the one last exchanged. So the base of the merge is looked for among what the source and the room were, and
//! what the room itself had is never taken for a change: it would undo what was typed since, or bring back
//! what was deleted.

use std::collections::HashSet;

use super::super::node::{Child, Node};
use super::super::parse::parse;
use super::align::{self, Step, changed_bytes};
use super::block::{self, Block};

/// Earlier texts of a record, as Markdown bodies.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Texts exchanged with the source before the last one, the oldest first.
    pub exchanged: Vec<String>,
    /// What the room was on the way to now, the oldest first.
    pub room: Vec<String>,
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

/// The blocks the room had.
#[derive(Debug, Default)]
pub(super) struct Known(HashSet<String>);

impl Known {
    pub(super) fn of(texts: &[Node]) -> Self {
        let mut known = Self::default();
        for text in texts {
            known.add(text);
        }
        known
    }

    fn add(&mut self, parent: &Node) {
        for block in block::blocks(parent) {
            if block.node.content.iter().any(|child| matches!(child, Child::Node(_))) {
                self.add(block.node);
            }
            self.0.insert(block.key);
        }
    }

    pub(super) fn has(&self, block: &Block<'_>) -> bool {
        self.0.contains(&block.key)
    }
}

impl Past {
    /// All texts, those of the room first.
    pub(super) fn parsed(&self) -> (Vec<Node>, Known) {
        let parsed = |texts: &[String]| texts.iter().map(|text| parse(text)).collect::<Vec<_>>();
        let mut texts = parsed(&self.room);
        let known = Known::of(&texts);
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
