//! The layout of an update v1, as yrs 0.28.1 reads it and Yjs 13 writes it.
//!
//! ```text
//! update   = count(sections) section* deletes
//! section  = count(structs) client clock struct*
//! struct   = 00 len | 0a len | info [left id] [right id] [parent [key]] content
//! deletes  = count(clients) { client count(ranges) { clock len }* }*
//! ```

mod content;
mod cost;

use std::collections::HashSet;

use super::{
    Bounds, Missing, Refusal, Scan, Section, client_id,
    clients::Clients,
    clock, clock_end,
    join::{self, Piece},
    order::{self, Link, Node, SectionNodes},
    ranges,
    rewrite::Rewrite,
    shape::{Kind, Place, Stretch},
    value,
};
use crate::{
    limits::{JOIN_STRUCTS_MIN, STATE_VECTOR_ENTRIES_MAX},
    protocol::lib0::{Reader, write_var_uint},
};

pub(super) const GC: u8 = 0;
pub(super) const DELETED: u8 = 1;
const JSON: u8 = 2;
const BINARY: u8 = 3;
pub(super) const STRING: u8 = 4;
const EMBED: u8 = 5;
const FORMAT: u8 = 6;
const TYPE: u8 = 7;
pub(super) const ANY: u8 = 8;
const DOC: u8 = 9;
pub(super) const SKIP: u8 = 10;

pub(super) const HAS_LEFT: u8 = 0x80;
pub(super) const HAS_RIGHT: u8 = 0x40;
pub(super) const HAS_KEY: u8 = 0x20;
/// Yjs reads five bits of content kind, yrs four: the fifth must not be set.
pub(super) const KIND_BITS: u8 = 0x1f;

/// What a scan found, and what of the update has to be written otherwise before yrs may read it.
pub(super) struct Scanned {
    pub(super) scan: Scan,
    pub(super) rewrites: Vec<Rewrite>,
}

pub(super) fn scan(bytes: &[u8], bounds: &Bounds) -> Result<Scanned, Refusal> {
    let mut scanner = Scanner::new(bytes, bounds);
    scanner.walk()?;
    let mut rewrites = std::mem::take(&mut scanner.rewrites);
    if rewrites.is_empty() {
        rewrites = join::rewrites(bytes, &scanner.pieces, &scanner.counts, &scanner.deletes);
    }
    let scan = scanner.finish()?;
    // What is to be rewritten is judged by what comes of it.
    if rewrites.is_empty() && scan.estimated_bytes > bounds.document_bytes_max {
        return Err(Refusal::TooLarge);
    }
    Ok(Scanned { scan, rewrites })
}

/// Where everything in an update is, for taking it apart.
pub(super) struct Layout {
    pub(super) sections: Vec<SectionNodes>,
    pub(super) nodes: Vec<Node>,
    /// Each node's first byte.
    pub(super) starts: Vec<usize>,
    /// The byte after each section.
    pub(super) ends: Vec<usize>,
    /// Deleted ranges: number of the client, first clock, clock after the last.
    pub(super) deletes: Vec<(u32, u32, u32)>,
    /// Client ids by number.
    pub(super) ids: Vec<u64>,
    /// For each client's number, the number of its section.
    pub(super) section_of: Vec<Option<u32>>,
}

pub(super) fn layout(bytes: &[u8], bounds: &Bounds) -> Result<Layout, Refusal> {
    let mut scanner = Scanner::new(bytes, bounds);
    scanner.places = Some(Places::default());
    scanner.walk()?;
    let Places { starts, ends } = scanner.places.take().unwrap_or_default();
    Ok(Layout {
        starts,
        ends,
        deletes: std::mem::take(&mut scanner.deletes),
        ids: scanner.clients.entries.iter().map(|entry| entry.id).collect(),
        section_of: scanner.clients.section_of(),
        sections: scanner.sections,
        nodes: scanner.nodes,
    })
}

#[derive(Default)]
struct Places {
    starts: Vec<usize>,
    ends: Vec<usize>,
}

struct Scanner<'a> {
    reader: Reader<'a>,
    bounds: &'a Bounds,
    clients: Clients,
    sections: Vec<SectionNodes>,
    nodes: Vec<Node>,
    structs: usize,
    roots: HashSet<&'a str>,
    types: usize,
    delete_ranges: usize,
    bytes: u64,
    /// What each section is charged, in bytes.
    section_bytes: Vec<u64>,
    has_holes: bool,
    /// Where the content of the struct at hand begins.
    content: usize,
    /// The same, after their count.
    data: usize,
    rewrites: Vec<Rewrite>,
    /// Structs that continue the one before, in sections long enough for it to matter.
    pieces: Vec<Piece>,
    joining: bool,
    /// Where each section's number of structs stands, and the number.
    counts: Vec<join::Count>,
    /// Several values of one key in one struct: the client's number, first clock, clock after the last.
    several: Vec<(u32, u32, u32)>,
    /// Deleted ranges, where somebody wants to know them.
    deletes: Vec<(u32, u32, u32)>,
    /// Only noted where an update is to be taken apart.
    places: Option<Places>,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], bounds: &'a Bounds) -> Self {
        Self {
            reader: Reader::new(bytes),
            bounds,
            clients: Clients::default(),
            sections: Vec::new(),
            nodes: Vec::new(),
            structs: 0,
            roots: HashSet::new(),
            types: 0,
            delete_ranges: 0,
            bytes: 0,
            section_bytes: Vec::new(),
            has_holes: false,
            content: 0,
            data: 0,
            rewrites: Vec::new(),
            pieces: Vec::new(),
            joining: false,
            counts: Vec::new(),
            several: Vec::new(),
            deletes: Vec::new(),
            places: None,
        }
    }

    fn walk(&mut self) -> Result<(), Refusal> {
        self.sections()?;
        self.deletes()?;
        self.old_values_are_deleted()?;
        if self.reader.is_empty() { Ok(()) } else { Err(Refusal::Trailing) }
    }

    /// A key has one living value. Old ones may be one struct if they are deleted with it: yrs takes those
    /// before the last for deleted, and would free what they stand in and keep them.
    fn old_values_are_deleted(&mut self) -> Result<(), Refusal> {
        if self.several.is_empty() {
            return Ok(());
        }
        let mut ranges = self.deletes.clone();
        ranges.sort_unstable();
        for &(client, start, end) in &self.several {
            let mut reached = start;
            let first = ranges.partition_point(|range| (range.0, range.2) <= (client, start));
            for range in ranges.get(first..).unwrap_or_default() {
                if range.0 != client || range.1 > reached || reached >= end {
                    break;
                }
                reached = reached.max(range.2);
            }
            if reached < end {
                return Err(Refusal::Key);
            }
        }
        Ok(())
    }

    fn sections(&mut self) -> Result<(), Refusal> {
        // A section takes at least five bytes: count, client, clock and a struct of two.
        let sections = self.reader.count(5)?;
        if sections > STATE_VECTOR_ENTRIES_MAX {
            return Err(Refusal::TooManyClients);
        }
        for _ in 0..sections {
            self.section()?;
        }
        Ok(())
    }

    fn section(&mut self) -> Result<(), Refusal> {
        let from = self.reader.position();
        let structs = self.reader.var_uint()?;
        let to = self.reader.position();
        let client = client_id(&mut self.reader)?;
        let start = clock(&mut self.reader)?;
        if structs == 0 {
            return Err(Refusal::EmptySection);
        }
        if structs > (self.reader.remaining() / 2) as u64 {
            return Err(Refusal::Truncated);
        }
        let index = self.clients.index(client)?;
        let section = u32::try_from(self.sections.len()).map_err(|_| Refusal::TooManyClients)?;
        self.clients.claim_section(index, section)?;
        let charged = self.bytes;
        self.charge(cost::SECTION);
        self.joining = structs >= JOIN_STRUCTS_MIN;
        if self.joining {
            self.counts.push(join::Count { from, to, structs, pieces: self.pieces.len() });
        }
        let first = self.nodes.len();
        let mut next = start;
        for _ in 0..structs {
            next = self.structure(index, first, next)?;
        }
        self.section_bytes.push(self.bytes.saturating_sub(charged));
        self.sections.push(SectionNodes {
            client: index,
            start,
            end: next,
            nodes: first..self.nodes.len(),
        });
        if let Some(places) = &mut self.places {
            places.ends.push(self.reader.position());
        }
        Ok(())
    }

    /// Reads one struct that starts at `at`; returns the clock after it.
    fn structure(&mut self, own: u32, first: usize, at: u32) -> Result<u32, Refusal> {
        if self.structs + self.delete_ranges >= self.bounds.structs_max {
            return Err(Refusal::TooManyStructs);
        }
        self.structs += 1;
        let from = self.reader.position();
        if let Some(places) = &mut self.places {
            places.starts.push(self.reader.position());
        }
        let info = self.reader.u8()?;
        let (len, node) = match info {
            GC => {
                self.charge(cost::COLLECTED);
                (u64::from(clock(&mut self.reader)?), Node::new(at, Kind::Opaque))
            }
            SKIP => {
                self.has_holes = true;
                (u64::from(clock(&mut self.reader)?), Node::hole(at))
            }
            _ => self.item(info, own, at, from)?,
        };
        if len == 0 {
            return Err(Refusal::ZeroLength);
        }
        let end = clock_end(at, len)?;
        if self.joining && matches!(info & KIND_BITS, STRING | ANY) {
            self.piece(info, own, &node, from, end);
        }
        // Nodes that stand where the one before stands need no place of their own, unless asked for each.
        let before = self.nodes.get_mut(first..).and_then(<[Node]>::last_mut);
        match before.filter(|before| self.places.is_none() && node.continues(before, own)) {
            Some(before) => before.listed |= node.listed,
            None => self.nodes.push(node),
        }
        Ok(end)
    }

    /// Notes a string or list that may be one with the struct before it.
    fn piece(&mut self, info: u8, own: u32, node: &Node, from: usize, end: u32) {
        let kind = info & KIND_BITS;
        let last = self.pieces.last();
        let behind = last.filter(|last| {
            last.to == from
                && !node.within_left
                && node.left.target() == node.clock.checked_sub(1).map(|clock| (own, clock))
        });
        // A value of a key need not say so if it has neighbours, and must stay a struct of its own.
        let unsure = kind == ANY && info & (HAS_LEFT | HAS_RIGHT) != 0;
        let keyed = info & HAS_KEY != 0 || (unsure && behind.is_none_or(|last| last.keyed));
        let follows = behind.is_some_and(|last| {
            last.kind == kind && !(last.keyed || keyed) && node.right == last.right
        });
        let first = self.counts.last().map_or(0, |count| count.pieces);
        if !follows && self.pieces.len() > first && last.is_some_and(|last| !last.follows) {
            // Nothing followed the last one.
            self.pieces.pop();
        }
        self.pieces.push(Piece {
            client: own,
            clock: node.clock,
            clocks: end - node.clock,
            kind,
            keyed,
            follows,
            right: node.right,
            content: self.content,
            data: self.data,
            to: self.reader.position(),
        });
    }

    fn item(&mut self, info: u8, own: u32, at: u32, from: usize) -> Result<(u64, Node), Refusal> {
        let kind = match info & KIND_BITS {
            TYPE => Kind::Type,
            DELETED => Kind::Opaque,
            _ => Kind::Leaf,
        };
        let mut node = Node::new(at, kind);
        node.keyed = info & HAS_KEY != 0;
        if info & HAS_LEFT != 0 {
            node.left = self.id(own, at)?;
        }
        if info & HAS_RIGHT != 0 {
            // The value of a key has nothing to its right. What has both, yrs takes for an old value or for the
            // living one, and deletes it or what is left of it, as the order of integration has it.
            if node.keyed {
                return Err(Refusal::Key);
            }
            node.right = self.id(own, at)?;
            node.listed = true;
        }
        if info & (HAS_LEFT | HAS_RIGHT) == 0 {
            match self.reader.var_uint()? {
                0 => {
                    node.left = self.id(own, at)?;
                    node.within_left = true;
                }
                1 => {
                    let root = self.reader.string()?;
                    if self.roots.insert(root) {
                        self.charge(cost::ROOT_NAME + root.len() as u64);
                    }
                }
                _ => return Err(Refusal::Integer),
            }
            if info & HAS_KEY != 0 {
                let key = self.reader.string()?;
                self.charge(cost::KEY + key.len() as u64);
            }
        }
        self.charge(cost::ITEM);
        self.content = self.reader.position();
        if info & KIND_BITS == JSON {
            return Ok((self.legacy_json(from, info)?, node));
        }
        let len = self.content(info & KIND_BITS)?;
        if kind == Kind::Leaf && len > 1 {
            if node.keyed {
                self.several.push((own, at, clock_end(at, len)?));
            } else {
                node.listed = true;
            }
        }
        Ok((len, node))
    }

    /// Reads an id that the struct at clock `at` of client `own` refers to.
    fn id(&mut self, own: u32, at: u32) -> Result<Link, Refusal> {
        let client = client_id(&mut self.reader)?;
        let clock = clock(&mut self.reader)?;
        let index = self.clients.index(client)?;
        if index == own && clock >= at {
            return Err(Refusal::ForwardReference);
        }
        let end = clock_end(clock, 1)?;
        self.clients.need(index, end);
        Ok(Link::new(index, clock))
    }

    fn deletes(&mut self) -> Result<(), Refusal> {
        let clients = self.reader.count(2)?;
        if clients > STATE_VECTOR_ENTRIES_MAX {
            return Err(Refusal::TooManyClients);
        }
        for _ in 0..clients {
            let client = client_id(&mut self.reader)?;
            let index = self.clients.index(client)?;
            self.clients.claim_deletes(index)?;
            let from = self.reader.position();
            let ranges = self.reader.count(2)?;
            if ranges > self.bounds.structs_max.saturating_sub(self.structs + self.delete_ranges) {
                return Err(Refusal::TooManyStructs);
            }
            self.delete_ranges += ranges;
            let mut read = Vec::with_capacity(ranges);
            for _ in 0..ranges {
                let start = clock(&mut self.reader)?;
                let len = clock(&mut self.reader)?;
                if len == 0 {
                    return Err(Refusal::ZeroLength);
                }
                let end = clock_end(start, u64::from(len))?;
                self.clients.need(index, end);
                self.charge(cost::DELETE_RANGE);
                let wanted = !(self.pieces.is_empty() && self.several.is_empty());
                if self.places.is_some() || wanted {
                    self.deletes.push((index, start, end));
                }
                read.push((start, end));
            }
            if !read.is_sorted() {
                self.rewrites.push(ranges::in_order(from, self.reader.position(), read));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Scan, Refusal> {
        let section_of = self.clients.section_of();
        let order = order::check(&self.sections, &mut self.nodes, &section_of, self.types)?;
        let stretches = self.stretches(&order);
        let sections: Vec<Section> = self
            .sections
            .iter()
            .zip(&self.section_bytes)
            .map(|(section, bytes)| Section {
                client: self.clients.id(section.client),
                start: section.start,
                end: section.end,
                estimated_bytes: *bytes,
            })
            .collect();
        let mut dependencies = Vec::new();
        for entry in &self.clients.entries {
            let held = entry
                .section
                .and_then(|index| sections.get(index as usize))
                .map_or(0, |section| section.end);
            if entry.need > held {
                dependencies.push(Missing { client: entry.id, clock: entry.need });
            }
        }
        Ok(Scan {
            sections,
            dependencies,
            structs: self.structs,
            delete_ranges: self.delete_ranges,
            estimated_bytes: self.bytes,
            has_holes: self.has_holes,
            stretches,
        })
    }

    /// The nodes as stretches, in an order in which what one refers to comes before it.
    fn stretches(&self, order: &[usize]) -> Vec<Stretch> {
        let mut all = Vec::with_capacity(self.nodes.len());
        for (section, number) in self.sections.iter().zip(0u32..) {
            for at in section.nodes.clone() {
                let Some(node) = self.nodes.get(at) else { continue };
                all.push(Stretch {
                    section: number,
                    start: node.clock,
                    left: self.place(node.left),
                    right: self.place(node.right),
                    within_left: node.within_left,
                    kind: node.kind,
                    keyed: node.keyed,
                    listed: node.listed,
                });
            }
        }
        if order.is_empty() {
            all
        } else {
            order.iter().filter_map(|at| all.get(*at).copied()).collect()
        }
    }

    fn place(&self, link: Link) -> Option<Place> {
        let (client, clock) = link.target()?;
        Some(Place { client: self.clients.id(client), clock })
    }

    fn charge(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}
