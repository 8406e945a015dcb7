//! Two texts of one record that nobody knows the common beginning of.
//!
//! A base is made up such that the three-way merge loses nothing of either text and doubles nothing: what both
//! have is in it once, what only one has is not, so that it counts as added. Of two forms of one block the
//! longer stays if it holds the other letter for letter. What cannot be told from an addition is a deletion:
//! what only one side deleted comes back.

use super::{
    super::{
        node::{Child, Node},
        schema,
    },
    Conflict, MergeReport,
    align::{Step, align, common_ratio},
    block::{self, Block},
};

/// Share of the longer block that two have in common from which on they are forms of one block.
const LIKENESS_MIN: f64 = 0.5;

/// The base that `theirs` and `live`, which are as their Markdown reads, are merged from. Blocks of which
/// neither form holds the other keep their live text and are reported.
pub(super) fn base(theirs: &Node, live: &Node, report: &mut MergeReport) -> Node {
    let mut base = Node { content: Vec::new(), ..theirs.clone() };
    let (theirs, live) = (block::blocks(theirs), block::blocks(live));
    for step in align(&theirs, &live) {
        let (Some(theirs), Some(live)) = step.sides(&theirs, &live) else { continue };
        let shared = match step {
            Step::Keep(..) => Some(theirs.node.clone()),
            _ => of_one_block(theirs, live, report),
        };
        base.content.extend(shared.map(Child::Node));
    }
    base
}

fn of_one_block(theirs: &Block<'_>, live: &Block<'_>, report: &mut MergeReport) -> Option<Node> {
    if theirs.node.name == live.node.name && schema::is_container(&theirs.node.name) {
        return Some(base(theirs.node, live.node, report));
    }
    if is_within(&live.key, &theirs.key) {
        return Some(live.node.clone());
    }
    if is_within(&theirs.key, &live.key) {
        return Some(theirs.node.clone());
    }
    if common_ratio(&theirs.key, &live.key) < LIKENESS_MIN {
        return None;
    }
    report.conflicts.push(Conflict { theirs: theirs.key.clone() });
    Some(theirs.node.clone())
}

/// Whether all characters of `part` stand in `whole`, in their order.
fn is_within(part: &str, whole: &str) -> bool {
    let mut rest = whole.chars();
    part.chars().all(|wanted| rest.any(|found| found == wanted))
}
