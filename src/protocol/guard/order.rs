//! Whether the structs of an update can be integrated at all, and how deep their shared types nest.
//!
//! Both follow references between structs, so both walk them in an order in which everything referred to
//! comes first: each section advances until it meets a reference to a struct of another section that has
//! not got there yet, and goes on once it has. Sections left waiting at the end wait for each other.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use super::{Refusal, shape::Kind};
use crate::limits::XML_DEPTH_MAX;

/// A reference to the clock of a client (by its number in the update), or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    client: u32,
    clock: u32,
}

impl Link {
    const NONE: Self = Self { client: u32::MAX, clock: 0 };

    pub(super) fn new(client: u32, clock: u32) -> Self {
        Self { client, clock }
    }

    /// The client's number and the clock, if it points anywhere.
    pub(super) fn target(self) -> Option<(u32, u32)> {
        (self.client != u32::MAX).then_some((self.client, self.clock))
    }
}

/// One struct: where it starts and what it refers to.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states of one machine")]
pub(super) struct Node {
    /// First clock.
    pub(super) clock: u32,
    /// The left origin, or the parent when [`Node::within_left`].
    pub(super) left: Link,
    /// The right origin.
    pub(super) right: Link,
    /// Whether `left` is the parent itself and not a sibling.
    pub(super) within_left: bool,
    /// What may be inside it.
    pub(super) kind: Kind,
    /// Whether it says that it is a value of a key.
    pub(super) keyed: bool,
    /// Whether one of its structs can stand in a list only: has a right neighbour, or is several values or letters
    /// that do not say that a key has them.
    pub(super) listed: bool,
    /// Whether it only stands for structs that are not in the update.
    pub(super) is_hole: bool,
    /// Shared types around it, as far as this update tells.
    depth: u16,
}

impl Node {
    /// A struct without references.
    pub(super) fn new(clock: u32, kind: Kind) -> Self {
        Self {
            clock,
            left: Link::NONE,
            right: Link::NONE,
            within_left: false,
            kind,
            keyed: false,
            listed: false,
            is_hole: false,
            depth: 0,
        }
    }

    /// A stretch of clocks whose structs are not in the update.
    pub(super) fn hole(clock: u32) -> Self {
        Self { is_hole: true, ..Self::new(clock, Kind::Opaque) }
    }

    /// Whether it is of the same kind as the struct of client `own` before it and surely in the same place:
    /// beside it or by the same references.
    pub(super) fn continues(&self, before: &Self, own: u32) -> bool {
        let beside = |link: Link| link.client == own && link.clock >= before.clock;
        let same = self.left == before.left && self.right == before.right;
        let follows = beside(self.left)
            && (self.right == Link::NONE || self.right == before.right || beside(self.right));
        self.kind == before.kind
            && self.keyed == before.keyed
            && self.kind != Kind::Type
            && !(self.is_hole || before.is_hole)
            && if self.within_left || before.within_left {
                (same && self.within_left == before.within_left) || (!self.within_left && follows)
            } else {
                same || follows
            }
    }
}

/// The structs of one client: the clocks `start..end`, and which nodes they are.
#[derive(Clone, Debug)]
pub(super) struct SectionNodes {
    pub(super) client: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) nodes: Range<usize>,
}

/// Refuses cycles between sections, and shared types nested deeper than [`XML_DEPTH_MAX`] in this update.
/// `section_of` maps a client's number to its section's; `types` is how many shared types there are. Returns
/// the nodes in an order in which what one refers to comes before it; empty = as they are.
pub(super) fn check(
    sections: &[SectionNodes],
    nodes: &mut [Node],
    section_of: &[Option<u32>],
    types: usize,
) -> Result<Vec<usize>, Refusal> {
    // Nothing can nest deeper than there are types, and one section alone has no one to wait for: a typed
    // character ends here.
    let measure = types > XML_DEPTH_MAX;
    if sections.len() < 2 && !measure {
        return Ok(Vec::new());
    }
    let nodes_len = nodes.len();
    let mut walk = Walk {
        sections,
        section_of,
        nodes,
        measure,
        at: sections.iter().map(|section| section.nodes.start).collect(),
        waiting: sections.iter().map(|_| BinaryHeap::new()).collect(),
        ready: (0..sections.len()).rev().collect(),
        passed: Vec::with_capacity(nodes_len),
    };
    while let Some(section) = walk.ready.pop() {
        walk.advance(section)?;
    }
    let stuck = walk.at.iter().zip(sections).any(|(at, section)| *at < section.nodes.end);
    if stuck { Err(Refusal::Cycle) } else { Ok(walk.passed) }
}

struct Walk<'a> {
    sections: &'a [SectionNodes],
    section_of: &'a [Option<u32>],
    nodes: &'a mut [Node],
    measure: bool,
    /// Per section, the first node not yet passed.
    at: Vec<usize>,
    /// Per section, who waits for it to pass which clock, lowest first.
    waiting: Vec<BinaryHeap<Reverse<(u32, usize)>>>,
    ready: Vec<usize>,
    /// The nodes passed, in order.
    passed: Vec<usize>,
}

impl Walk<'_> {
    /// Passes nodes of a section until one has to wait, then wakes whoever waited for this progress.
    fn advance(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(section) = self.sections.get(index) else { return Ok(()) };
        let Some(mut at) = self.at.get(index).copied() else { return Ok(()) };
        while at < section.nodes.end {
            let Some(node) = self.nodes.get(at).copied() else { break };
            if let Some((other, clock)) =
                self.unmet(node.left, index).or_else(|| self.unmet(node.right, index))
            {
                if let Some(queue) = self.waiting.get_mut(other) {
                    queue.push(Reverse((clock, index)));
                }
                break;
            }
            if self.measure {
                let depth = self.depth(node)?;
                if let Some(node) = self.nodes.get_mut(at) {
                    node.depth = depth;
                }
            }
            self.passed.push(at);
            at += 1;
        }
        if let Some(stored) = self.at.get_mut(index) {
            *stored = at;
        }
        let reached = self.reached(index);
        if let Some(queue) = self.waiting.get_mut(index) {
            while let Some(Reverse((clock, waiter))) = queue.peek().copied()
                && clock < reached
            {
                queue.pop();
                self.ready.push(waiter);
            }
        }
        Ok(())
    }

    /// The section and clock that a link of section `own` still has to wait for.
    fn unmet(&self, link: Link, own: usize) -> Option<(usize, u32)> {
        let other = self.target(link)?;
        (other != own && self.reached(other) <= link.clock).then_some((other, link.clock))
    }

    /// The section that holds what a link points to, if this update does.
    fn target(&self, link: Link) -> Option<usize> {
        let index = (*self.section_of.get(link.client as usize)?)? as usize;
        let section = self.sections.get(index)?;
        (section.start..section.end).contains(&link.clock).then_some(index)
    }

    /// The first clock of a section that is not yet passed.
    fn reached(&self, index: usize) -> u32 {
        let (Some(section), Some(at)) = (self.sections.get(index), self.at.get(index)) else {
            return u32::MAX;
        };
        if *at >= section.nodes.end {
            section.end
        } else {
            self.nodes.get(*at).map_or(section.end, |node| node.clock)
        }
    }

    /// How many shared types of this update are around a node. Siblings share a parent, so an item's depth
    /// is its origins'; the deeper one counts, because yrs falls back to the right one.
    fn depth(&self, node: Node) -> Result<u16, Refusal> {
        let left = self.depth_at(node.left);
        let depth = if node.within_left { left + 1 } else { left.max(self.depth_at(node.right)) };
        if usize::from(depth) >= XML_DEPTH_MAX && node.kind == Kind::Type {
            Err(Refusal::TypeDepth)
        } else {
            Ok(depth)
        }
    }

    fn depth_at(&self, link: Link) -> u16 {
        let node = self.target(link).and_then(|index| {
            let nodes = self.nodes.get(self.sections.get(index)?.nodes.clone())?;
            nodes.get(nodes.partition_point(|node| node.clock <= link.clock).checked_sub(1)?)
        });
        node.map_or(0, |node| node.depth)
    }
}
