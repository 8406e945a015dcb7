//! Collects what of a text is not in the document, with its lines.

use std::{collections::HashSet, ops::Range};

use pulldown_cmark::LinkType;

use super::super::loss::{Kind, LOSSES_MAX, Loss};

pub(super) struct Losses<'a> {
    source: &'a str,
    found: Vec<(usize, Loss)>,
    /// An offset and its line: what is lost is found nearly in order.
    known: (usize, usize),
    /// Labels of definitions that links use.
    used: HashSet<String>,
    has_depth: bool,
}

impl<'a> Losses<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, found: Vec::new(), known: (0, 1), used: HashSet::new(), has_depth: false }
    }

    /// This part of the source is lost.
    pub(super) fn add(&mut self, kind: Kind, range: Range<usize>) {
        if self.found.len() < LOSSES_MAX {
            let content = self.source.get(range.clone()).unwrap_or_default();
            let loss = Loss::new(kind, self.line(range.start), content);
            self.found.push((range.start, loss));
        }
    }

    /// Something of this line is lost.
    pub(super) fn add_line(&mut self, kind: Kind, start: usize) {
        let line = self.source.get(start..).and_then(|rest| rest.lines().next());
        self.add(kind, start..start + line.map_or(0, str::len));
    }

    /// Whatever stands behind a row's last cell and is more than its border.
    pub(super) fn cells_after(&mut self, range: Range<usize>) {
        let rest = self.source.get(range.clone()).unwrap_or_default();
        let cells = rest.trim_start_matches([' ', '\t', '|']);
        if !cells.trim().is_empty() {
            self.add(Kind::ExtraCells, range.end - cells.len()..range.end);
        }
    }

    /// Once for a text: what is inside is too deep as well.
    pub(super) fn too_deep(&mut self, start: usize) {
        if !std::mem::replace(&mut self.has_depth, true) {
            self.add_line(Kind::Depth, start);
        }
    }

    /// A link or image uses a definition.
    pub(super) fn uses(&mut self, kind: LinkType, label: &str) {
        if matches!(kind, LinkType::Reference | LinkType::Collapsed | LinkType::Shortcut) {
            self.used.insert(folded(label));
        }
    }

    /// A definition that stands in the text.
    pub(super) fn definition(&mut self, label: &str, range: Range<usize>) {
        if !self.used.contains(&folded(label)) {
            self.add(Kind::Definition, range);
        }
    }

    pub(super) fn finish(mut self) -> Vec<Loss> {
        self.found.sort_by_key(|(start, _)| *start);
        self.found.into_iter().map(|(_, loss)| loss).collect()
    }

    fn line(&mut self, offset: usize) -> usize {
        let breaks = |range| -> usize {
            let text: &str = self.source.get(range).unwrap_or_default();
            text.bytes().filter(|byte| *byte == b'\n').count()
        };
        let (known, line) = self.known;
        let line = if offset >= known {
            line + breaks(known..offset)
        } else {
            line - breaks(offset..known)
        };
        self.known = (offset, line);
        line
    }
}

/// A label as labels are compared.
fn folded(label: &str) -> String {
    let words: Vec<&str> = label.split_whitespace().collect();
    words.join(" ").to_lowercase().to_uppercase()
}
