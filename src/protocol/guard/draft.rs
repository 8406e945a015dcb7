//! Writes an update from parts of another.

use std::ops::Range;

use bytes::Bytes;

use super::{Refusal, structs::Layout, trim::trim};
use crate::protocol::lib0::write_var_uint;

/// An update being written.
#[derive(Default)]
pub(super) struct Draft {
    sections: u64,
    structs: Vec<u8>,
    /// By client, in the order of the update, where a client's ranges stand together.
    deletes: Vec<(u64, Vec<(u32, u32)>)>,
}

impl Draft {
    /// Writes nodes of a section; of the first what is at `known` or after it.
    pub(super) fn section(
        &mut self,
        layout: &Layout,
        index: usize,
        nodes: Range<usize>,
        known: u64,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let Some(section) = layout.sections.get(index) else { return Ok(()) };
        let place = |node: usize| {
            let starts = if node < section.nodes.end {
                layout.starts.get(node)
            } else {
                layout.ends.get(index)
            };
            starts.copied()
        };
        let (Some(first), Some(start), Some(second), Some(end)) = (
            layout.nodes.get(nodes.start),
            place(nodes.start),
            place(nodes.start + 1),
            place(nodes.end),
        ) else {
            return Ok(());
        };
        let (false, Some(whole), Some(others)) =
            (nodes.is_empty(), bytes.get(start..second), bytes.get(second..end))
        else {
            return Ok(());
        };
        self.sections += 1;
        write_var_uint(&mut self.structs, nodes.len() as u64);
        let id = layout.ids.get(section.client as usize).copied().unwrap_or(0);
        write_var_uint(&mut self.structs, id);
        let at = u64::from(first.clock);
        write_var_uint(&mut self.structs, at.max(known));
        match u32::try_from(known.saturating_sub(at)) {
            Ok(0) => self.structs.extend_from_slice(whole),
            Ok(known) => trim(whole, id, first.clock, known, &mut self.structs)?,
            Err(_) => return Err(Refusal::Clock),
        }
        self.structs.extend_from_slice(others);
        Ok(())
    }

    pub(super) fn delete(&mut self, client: u64, start: u32, end: u32) {
        if start >= end {
            return;
        }
        match self.deletes.last_mut() {
            Some((last, ranges)) if *last == client => ranges.push((start, end - start)),
            _ => self.deletes.push((client, vec![(start, end - start)])),
        }
    }

    pub(super) fn finish(self) -> Option<Bytes> {
        if self.sections == 0 && self.deletes.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(self.structs.len() + 16);
        write_var_uint(&mut out, self.sections);
        out.extend_from_slice(&self.structs);
        write_var_uint(&mut out, self.deletes.len() as u64);
        for (client, ranges) in &self.deletes {
            write_var_uint(&mut out, *client);
            write_var_uint(&mut out, ranges.len() as u64);
            for (start, len) in ranges {
                write_var_uint(&mut out, u64::from(*start));
                write_var_uint(&mut out, u64::from(*len));
            }
        }
        Some(out.into())
    }
}
