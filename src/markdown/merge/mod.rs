//! Outside changes of a record, applied to the document people are editing.
//!
//! Three-way, block by block: what changed from `base` (the text last exchanged) to `theirs` (the new text)
//! is applied to the live document; what nobody changed outside is not touched, and what people changed is
//! never overwritten. A block changed on both sides keeps its live text and is reported. Quotes and lists
//! are compared part by part, so two people may change two items of one list.

mod align;
mod block;
mod edit;
mod past;
mod unrelated;

use std::ops::Range;

use yrs::{TransactionMut, XmlElementRef, XmlFragment, XmlFragmentRef, XmlOut};

use super::fragment::{any, insert_children, read_attrs, read_fragment};
use super::naming::Naming;
use super::node::{Child, Node};
use super::parse::parse;
use super::schema;
use super::serialize::serialize;
use align::Step;
use block::{Block, Live};
use past::Known;
pub use past::{Past, Views};

/// What [`merge_outside`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Whether the live document was changed.
    pub changed: bool,
    /// The outside changes that were not applied, because the live document had changed there too.
    pub conflicts: Vec<Conflict>,
}

/// An outside change that was not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The block's Markdown as the outside text has it; empty if the outside text deleted the block.
    pub theirs: String,
}

/// Applies what changed from `base` to `theirs`, both Markdown bodies without front matter, to the live
/// document.
///
/// If both texts mean the same, nothing is done in the transaction. The document must count offsets in
/// UTF-16 units (`yrs::OffsetKind::Utf16`).
pub fn merge_outside(
    txn: &mut TransactionMut<'_>,
    fragment: &XmlFragmentRef,
    base: &str,
    theirs: &str,
    naming: Naming,
) -> MergeReport {
    merge_late(txn, fragment, base, theirs, &Past::default(), naming)
}

/// The same of a text whose author may have started from something in `past`; then that is the base. What the
/// room had in the past is no change of theirs.
pub fn merge_late(
    txn: &mut TransactionMut<'_>,
    fragment: &XmlFragmentRef,
    base: &str,
    theirs: &str,
    past: &Past,
    naming: Naming,
) -> MergeReport {
    let mut report = MergeReport::default();
    if base == theirs {
        return report;
    }
    let (base, theirs) = (parse(base), parse(theirs));
    let (past, known) = past.parsed();
    let terms = Terms { known: &known, naming };
    let nearest = past::base_of(&base, &theirs, &past, &known).and_then(|at| past.get(at));
    let base = nearest.unwrap_or(&base);
    merge_children(txn, fragment, base, &theirs, terms, &mut report);
    if report.changed && fragment.len(txn) == 0 {
        insert_children(txn, fragment, 0, &[Child::Node(Node::new("paragraph"))], naming);
    }
    report
}

/// Brings what only `theirs`, a Markdown body, has into the live document, where the text both began with is
/// not known. Nothing is taken out of the live document; see [`MergeReport::conflicts`] for what was left out.
pub fn merge_unrelated(
    txn: &mut TransactionMut<'_>,
    fragment: &XmlFragmentRef,
    theirs: &str,
    naming: Naming,
) -> MergeReport {
    let mut report = MergeReport::default();
    let theirs = parse(theirs);
    let live = parse(&serialize(&read_fragment(txn, fragment, naming)));
    let base = unrelated::base(&theirs, &live, &mut report);
    let terms = Terms { known: &Known::default(), naming };
    merge_children(txn, fragment, &base, &theirs, terms, &mut report);
    report
}

/// What a merge is told beside the texts.
#[derive(Clone, Copy)]
struct Terms<'a> {
    /// What the room had a little while ago.
    known: &'a Known,
    naming: Naming,
}

/// What became of a block of the base in the live document.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fate {
    /// It stands there unchanged, at this place of the live blocks.
    Same(usize),
    /// Somebody changed it.
    Changed(usize),
    #[default]
    Gone,
}

impl Fate {
    fn place(self) -> Option<usize> {
        match self {
            Fate::Same(place) | Fate::Changed(place) => Some(place),
            Fate::Gone => None,
        }
    }
}

/// What to do with one live block.
enum Action<'a> {
    Remove,
    Replace(&'a Node),
    Edit(&'a Node),
    Merge(&'a Node, &'a Node),
}

/// The changes of one parent's children, by their index before any change.
struct Plan<'a> {
    actions: Vec<Option<Action<'a>>>,
    /// New blocks before each child, and behind the last.
    inserts: Vec<Vec<&'a Node>>,
}

fn merge_children<P: XmlFragment>(
    txn: &mut TransactionMut<'_>,
    parent: &P,
    base: &Node,
    theirs: &Node,
    terms: Terms<'_>,
    report: &mut MergeReport,
) {
    let base = block::blocks(base);
    let theirs = block::blocks(theirs);
    if base.iter().map(|block| &block.key).eq(theirs.iter().map(|block| &block.key)) {
        return;
    }
    let children: Vec<XmlOut> = parent.children(txn).collect();
    let live = block::live_blocks(txn, &children, terms.naming);
    let plan = plan(&base, &theirs, &live, children.len(), terms.known, report);
    apply(txn, parent, &children, plan, terms, report);
}

fn plan<'a>(
    base: &[Block<'a>],
    theirs: &[Block<'a>],
    live: &[Live],
    children: usize,
    known: &Known,
    report: &mut MergeReport,
) -> Plan<'a> {
    let (fates, mut fresh) = compare_live(base, live);
    let mut plan = Plan { actions: Vec::new(), inserts: Vec::new() };
    plan.actions.resize_with(children, || None);
    plan.inserts.resize_with(children + 1, Vec::new);

    let mut gap = first_gap(&fates, live, children);
    for step in align::align(base, theirs) {
        let (old, new) = step.sides(base, theirs);
        let fate = step.old_place().and_then(|at| fates.get(at)).copied().unwrap_or_default();
        let at = fate.place().and_then(|place| live.get(place));
        if let Some(at) = at {
            gap = at.index + 1;
        }
        match (step, old, new) {
            // The room had it, and went on from there.
            (Step::Insert(_) | Step::Change(..), _, Some(new)) if known.has(new) => {}
            (Step::Insert(_), _, Some(new)) => {
                if !fresh.take_near(live, gap, &new.key)
                    && let Some(slot) = plan.inserts.get_mut(gap)
                {
                    slot.push(new.node);
                }
            }
            (Step::Delete(_), ..) => match (fate, at) {
                (Fate::Same(_), Some(at)) => plan.act(at.index, Action::Remove),
                (Fate::Changed(_), _) => {
                    report.conflicts.push(Conflict { theirs: String::new() });
                }
                _ => {}
            },
            (Step::Change(..), Some(old), Some(new)) => match (fate, at) {
                (_, Some(at)) if at.key == new.key => {}
                (_, Some(at)) if mergeable(old, new, at) => {
                    plan.act(at.index, Action::Merge(old.node, new.node));
                }
                (Fate::Same(_), Some(at)) if *at.name() == new.node.name => {
                    plan.act(at.index, Action::Edit(new.node));
                }
                (Fate::Same(_), Some(at)) => plan.act(at.index, Action::Replace(new.node)),
                _ if fresh.take_any(live, &new.key) => {}
                _ => report.conflicts.push(Conflict { theirs: new.key.clone() }),
            },
            _ => {}
        }
    }
    plan
}

impl<'a> Plan<'a> {
    fn act(&mut self, index: usize, action: Action<'a>) {
        if let Some(slot) = self.actions.get_mut(index) {
            *slot = Some(action);
        }
    }
}

/// Live blocks that the base does not have, for recognising a change that both sides made.
struct Fresh {
    places: Vec<bool>,
    /// How many there still are.
    count: usize,
}

impl Fresh {
    /// Takes a new live block of this text that stands at or directly after a child's index.
    fn take_near(&mut self, live: &[Live], index: usize, key: &str) -> bool {
        let first = live.partition_point(|block| block.index < index);
        let near: Vec<usize> = (first..live.len()).take_while(|place| self.has(*place)).collect();
        let found =
            near.into_iter().find(|place| live.get(*place).is_some_and(|live| live.key == key));
        self.take(found)
    }

    fn take_any(&mut self, live: &[Live], key: &str) -> bool {
        if self.count == 0 {
            return false;
        }
        let found = (0..live.len())
            .find(|place| self.has(*place) && live.get(*place).is_some_and(|live| live.key == key));
        self.take(found)
    }

    fn has(&self, place: usize) -> bool {
        self.places.get(place).copied().unwrap_or(false)
    }

    fn take(&mut self, place: Option<usize>) -> bool {
        let Some(slot) = place.and_then(|place| self.places.get_mut(place)) else { return false };
        self.count -= usize::from(std::mem::take(slot));
        true
    }
}

fn compare_live(base: &[Block<'_>], live: &[Live]) -> (Vec<Fate>, Fresh) {
    let mut fates = vec![Fate::Gone; base.len()];
    let mut fresh = Fresh { places: vec![true; live.len()], count: live.len() };
    for step in align::align(base, live) {
        let (Some(old), Some(new)) = (step.old_place(), step.new_place()) else { continue };
        let (Some(block), Some(block_live)) = (base.get(old), live.get(new)) else { continue };
        let same = matches!(step, Step::Keep(..)) && block_live.holds_no_more_than(block.node);
        if let Some(fate) = fates.get_mut(old) {
            *fate = if same { Fate::Same(new) } else { Fate::Changed(new) };
        }
        fresh.take(Some(new));
    }
    (fates, fresh)
}

/// Where blocks go that precede everything the two sides share: before it, not before the live side's own.
fn first_gap(fates: &[Fate], live: &[Live], children: usize) -> usize {
    let shared = fates.iter().find_map(|fate| fate.place()).and_then(|place| live.get(place));
    match shared {
        Some(block) => block.index,
        // Only empty paragraphs: text comes before them, so that they leave no blank lines in it.
        None if live.is_empty() => 0,
        None => children,
    }
}

fn mergeable(old: &Block<'_>, new: &Block<'_>, live: &Live) -> bool {
    let name = &new.node.name;
    schema::is_container(name) && old.node.name == *name && live.name() == name
}

/// Applies a plan from the last child to the first, so that the indexes stay true. Neighbours that go are
/// removed at once, and what takes their place is inserted at once: each call walks all children before it.
fn apply<P: XmlFragment>(
    txn: &mut TransactionMut<'_>,
    parent: &P,
    children: &[XmlOut],
    plan: Plan<'_>,
    terms: Terms<'_>,
    report: &mut MergeReport,
) {
    let mut actions = plan.actions;
    // Of the run under way: what comes in its place, from the last to the first, and where it ends.
    let mut nodes: Vec<&Node> = Vec::new();
    let mut end = children.len();
    for (index, inserts) in plan.inserts.into_iter().enumerate().rev() {
        nodes.extend(inserts.into_iter().rev());
        let action = index.checked_sub(1).map(|before| {
            (before, children.get(before), actions.get_mut(before).and_then(Option::take))
        });
        match action {
            Some((_, _, Some(Action::Remove))) => continue,
            Some((_, _, Some(Action::Replace(node)))) => {
                nodes.push(node);
                continue;
            }
            Some((_, child, Some(Action::Edit(node))))
                if !matches!(child, Some(XmlOut::Element(_))) =>
            {
                nodes.push(node);
                continue;
            }
            _ => {}
        }
        report.changed |= replace_run(txn, parent, index..end, &mut nodes, terms.naming);
        let Some((before, child, action)) = action else { break };
        end = before;
        match (action, child) {
            (Some(Action::Edit(node)), Some(XmlOut::Element(element))) => {
                edit::edit_element(txn, element, node, terms.naming);
                report.changed = true;
            }
            (Some(Action::Merge(old, new)), Some(XmlOut::Element(element))) => {
                merge_container(txn, element, old, new, terms, report);
            }
            _ => {}
        }
    }
}

/// Puts nodes, given from the last to the first, in the place of neighbouring children; whether it did anything.
fn replace_run<P: XmlFragment>(
    txn: &mut TransactionMut<'_>,
    parent: &P,
    run: Range<usize>,
    nodes: &mut Vec<&Node>,
    naming: Naming,
) -> bool {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    if !run.is_empty() {
        parent.remove_range(txn, place(run.start), place(run.len()));
    }
    let changes = !run.is_empty() || !nodes.is_empty();
    let nodes: Vec<Child> = nodes.drain(..).rev().cloned().map(Child::Node).collect();
    insert_children(txn, parent, place(run.start), &nodes, naming);
    changes
}

fn merge_container(
    txn: &mut TransactionMut<'_>,
    element: &XmlElementRef,
    old: &Node,
    new: &Node,
    terms: Terms<'_>,
    report: &mut MergeReport,
) {
    let live = read_attrs(txn, element, terms.naming);
    for (key, value) in &new.attrs {
        if old.attrs.get(key) != Some(value) && live.get(key) == old.attrs.get(key) {
            let key = terms.naming.stored_attr(&new.name, key);
            yrs::Xml::insert_attribute(element, txn, key, any(value));
            report.changed = true;
        }
    }
    merge_children(txn, element, old, new, terms, report);
    repair(txn, element, &new.name, terms.naming);
}

/// Keeps a container valid for the schema, whatever the two sides took out of it.
fn repair(txn: &mut TransactionMut<'_>, element: &XmlElementRef, name: &str, naming: Naming) {
    let first = element.children(txn).next();
    let starts_with_paragraph = matches!(
        &first,
        Some(XmlOut::Element(child)) if child.try_tag().is_some_and(|tag| tag.as_ref() == "paragraph")
    );
    let filler = match name {
        "bullet_list" | "ordered_list" if first.is_none() => {
            let mut item = Node::new("list_item");
            schema::fill_content(&mut item);
            item
        }
        "blockquote" if first.is_none() => Node::new("paragraph"),
        "list_item" if !starts_with_paragraph => Node::new("paragraph"),
        _ => return,
    };
    insert_children(txn, element, 0, &[Child::Node(filler)], naming);
}
