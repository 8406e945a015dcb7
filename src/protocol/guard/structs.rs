//! The layout of an update v1, as yrs 0.28.1 reads it and Yjs 13 writes it.
//!
//! ```text
//! update   = count(sections) section* deletes
//! section  = count(structs) client clock struct*
//! struct   = 00 len | 0a len | info [left id] [right id] [parent [key]] content
//! deletes  = count(clients) { client count(ranges) { clock len }* }*
//! ```

use std::collections::{HashMap, HashSet};

use super::{
    Bounds, Missing, Refusal, Scan, Section, client_id, clock, clock_end,
    order::{self, Link, Node, SectionNodes},
    value,
};
use crate::{limits::STATE_VECTOR_ENTRIES_MAX, protocol::lib0::Reader};

const GC: u8 = 0;
const DELETED: u8 = 1;
const JSON: u8 = 2;
const BINARY: u8 = 3;
const STRING: u8 = 4;
const EMBED: u8 = 5;
const FORMAT: u8 = 6;
const TYPE: u8 = 7;
const ANY: u8 = 8;
const DOC: u8 = 9;
const SKIP: u8 = 10;

const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
/// Yjs reads five bits of content kind, yrs four: the fifth must not be set.
const KIND_BITS: u8 = 0x1f;

/// Shared types: array, map, text and XML text are only a number, elements carry a name.
const XML_ELEMENT: u8 = 3;
/// yrs does not read the name that Yjs writes after it, so the rest would be read shifted.
const XML_HOOK: u8 = 5;
const XML_TEXT: u8 = 6;

/// Estimated memory by kind, in bytes, once integrated, with the decoded copy that lives meanwhile. From
/// measured growth of yrs 0.28 per wire byte (collected 30, items 80, root names 110, elements 188,
/// subdocuments 300) times the smallest encoding of each. A 500 000-edit offline upload stays below the
/// default of 256 MiB.
mod cost {
    pub(super) const COLLECTED: u64 = 64;
    pub(super) const ITEM: u64 = 320;
    pub(super) const TYPE: u64 = 640;
    pub(super) const SUBDOCUMENT: u64 = 1800;
    pub(super) const ROOT_NAME: u64 = 480;
    pub(super) const DELETE_RANGE: u64 = 32;
    pub(super) const SECTION: u64 = 256;
}

pub(super) fn scan(bytes: &[u8], bounds: &Bounds) -> Result<Scan, Refusal> {
    let mut scanner = Scanner::new(bytes, bounds);
    scanner.walk()?;
    scanner.finish()
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
    let Places { starts, ends, deletes } = scanner.places.take().unwrap_or_default();
    Ok(Layout {
        starts,
        ends,
        deletes,
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
    deletes: Vec<(u32, u32, u32)>,
}

struct Scanner<'a> {
    reader: Reader<'a>,
    bounds: &'a Bounds,
    clients: Clients,
    sections: Vec<SectionNodes>,
    nodes: Vec<Node>,
    roots: HashSet<&'a str>,
    types: usize,
    delete_ranges: usize,
    bytes: u64,
    has_holes: bool,
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
            roots: HashSet::new(),
            types: 0,
            delete_ranges: 0,
            bytes: 0,
            has_holes: false,
            places: None,
        }
    }

    fn walk(&mut self) -> Result<(), Refusal> {
        self.sections()?;
        self.deletes()?;
        if self.reader.is_empty() { Ok(()) } else { Err(Refusal::Trailing) }
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
        let structs = self.reader.var_uint()?;
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
        self.charge(cost::SECTION)?;
        let first = self.nodes.len();
        let mut next = start;
        for _ in 0..structs {
            next = self.structure(index, next)?;
        }
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
    fn structure(&mut self, own: u32, at: u32) -> Result<u32, Refusal> {
        if self.nodes.len() + self.delete_ranges >= self.bounds.structs_max {
            return Err(Refusal::TooManyStructs);
        }
        if let Some(places) = &mut self.places {
            places.starts.push(self.reader.position());
        }
        let info = self.reader.u8()?;
        let (len, node) = match info {
            GC => {
                self.charge(cost::COLLECTED)?;
                (u64::from(clock(&mut self.reader)?), Node::leaf(at))
            }
            SKIP => {
                self.has_holes = true;
                (u64::from(clock(&mut self.reader)?), Node::hole(at))
            }
            _ => self.item(info, own, at)?,
        };
        if len == 0 {
            return Err(Refusal::ZeroLength);
        }
        let end = clock_end(at, len)?;
        self.nodes.push(node);
        Ok(end)
    }

    fn item(&mut self, info: u8, own: u32, at: u32) -> Result<(u64, Node), Refusal> {
        let mut node = Node::leaf(at);
        if info & HAS_LEFT != 0 {
            node.left = self.id(own, at)?;
        }
        if info & HAS_RIGHT != 0 {
            node.right = self.id(own, at)?;
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
                        self.charge(cost::ROOT_NAME + root.len() as u64)?;
                    }
                }
                _ => return Err(Refusal::Integer),
            }
            if info & HAS_KEY != 0 {
                let key = self.reader.string()?;
                self.charge(key.len() as u64)?;
            }
        }
        self.charge(cost::ITEM)?;
        node.is_type = info & KIND_BITS == TYPE;
        let len = self.content(info & KIND_BITS)?;
        Ok((len, node))
    }

    /// Reads a struct's content; returns how many clocks it takes.
    fn content(&mut self, kind: u8) -> Result<u64, Refusal> {
        match kind {
            DELETED => return Ok(u64::from(clock(&mut self.reader)?)),
            JSON => return Err(Refusal::LegacyJson),
            BINARY => {
                let bytes = self.reader.bytes()?.len() as u64;
                self.charge(bytes)?;
            }
            STRING => {
                let text = self.reader.string()?;
                self.charge(2 * text.len() as u64)?;
                return Ok(text.chars().map(|c| c.len_utf16() as u64).sum());
            }
            EMBED => {
                let bytes = value::json(&mut self.reader)?;
                self.charge(bytes)?;
            }
            FORMAT => {
                let key = self.reader.string()?.len() as u64;
                let bytes = value::json(&mut self.reader)?;
                self.charge(key + bytes)?;
            }
            TYPE => self.shared_type()?,
            ANY => {
                let values = self.reader.count(1)?;
                for _ in 0..values {
                    let bytes = value::any(&mut self.reader)?;
                    self.charge(bytes)?;
                }
                return Ok(values as u64);
            }
            DOC => {
                let guid = self.reader.string()?.len() as u64;
                let options = value::any(&mut self.reader)?;
                self.charge(cost::SUBDOCUMENT + guid + options)?;
            }
            _ => return Err(Refusal::UnknownContent),
        }
        Ok(1)
    }

    fn shared_type(&mut self) -> Result<(), Refusal> {
        self.types += 1;
        self.charge(cost::TYPE)?;
        match self.reader.u8()? {
            XML_ELEMENT => {
                let name = self.reader.string()?.len() as u64;
                self.charge(name)
            }
            kind if kind <= XML_TEXT && kind != XML_HOOK => Ok(()),
            _ => Err(Refusal::UnknownType),
        }
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
            let ranges = self.reader.count(2)?;
            if ranges
                > self.bounds.structs_max.saturating_sub(self.nodes.len() + self.delete_ranges)
            {
                return Err(Refusal::TooManyStructs);
            }
            self.delete_ranges += ranges;
            for _ in 0..ranges {
                let start = clock(&mut self.reader)?;
                let len = clock(&mut self.reader)?;
                if len == 0 {
                    return Err(Refusal::ZeroLength);
                }
                let end = clock_end(start, u64::from(len))?;
                self.clients.need(index, end);
                self.charge(cost::DELETE_RANGE)?;
                if let Some(places) = &mut self.places {
                    places.deletes.push((index, start, end));
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Scan, Refusal> {
        order::check(&self.sections, &mut self.nodes, &self.clients.section_of(), self.types)?;
        let sections: Vec<Section> = self
            .sections
            .iter()
            .map(|section| Section {
                client: self.clients.id(section.client),
                start: section.start,
                end: section.end,
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
            structs: self.nodes.len(),
            delete_ranges: self.delete_ranges,
            estimated_bytes: self.bytes,
            has_holes: self.has_holes,
        })
    }

    fn charge(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.bounds.document_bytes_max { Err(Refusal::TooLarge) } else { Ok(()) }
    }
}

/// Clients found by looking through a list; a typed letter names one or two.
const LISTED_CLIENTS_MAX: usize = 16;

/// The clients an update names, numbered as they appear, so that a reference takes eight bytes.
#[derive(Default)]
struct Clients {
    entries: Vec<ClientEntry>,
    index: HashMap<u64, u32>,
    /// Neighbouring references mostly name the same client.
    last: Option<(u64, u32)>,
}

struct ClientEntry {
    id: u64,
    section: Option<u32>,
    deletes: bool,
    /// One past the highest clock referred to.
    need: u32,
}

impl Clients {
    fn index(&mut self, id: u64) -> Result<u32, Refusal> {
        if let Some((last, index)) = self.last
            && last == id
        {
            return Ok(index);
        }
        let next = u32::try_from(self.entries.len()).map_err(|_| Refusal::TooManyClients)?;
        let known = if self.entries.len() <= LISTED_CLIENTS_MAX {
            self.entries.iter().zip(0..).find(|(entry, _)| entry.id == id).map(|(_, index)| index)
        } else {
            self.index.get(&id).copied()
        };
        let index = known.unwrap_or(next);
        if known.is_none() {
            self.entries.push(ClientEntry { id, section: None, deletes: false, need: 0 });
            self.extend_index();
        }
        self.last = Some((id, index));
        Ok(index)
    }

    /// Keeps the index of all entries, once there are enough of them to need one.
    fn extend_index(&mut self) {
        if self.entries.len() > LISTED_CLIENTS_MAX {
            let indexed = self.index.len();
            let new = self.entries.get(indexed..).unwrap_or_default().iter().zip(indexed..);
            let numbers = new.filter_map(|(entry, at)| Some((entry.id, u32::try_from(at).ok()?)));
            self.index.extend(numbers);
        }
    }

    fn entry(&mut self, index: u32) -> Option<&mut ClientEntry> {
        self.entries.get_mut(index as usize)
    }

    fn id(&self, index: u32) -> u64 {
        self.entries.get(index as usize).map_or(0, |entry| entry.id)
    }

    fn claim_section(&mut self, index: u32, section: u32) -> Result<(), Refusal> {
        match self.entry(index) {
            Some(entry) if entry.section.is_none() => {
                entry.section = Some(section);
                Ok(())
            }
            _ => Err(Refusal::RepeatedClient),
        }
    }

    fn claim_deletes(&mut self, index: u32) -> Result<(), Refusal> {
        match self.entry(index) {
            Some(entry) if !entry.deletes => {
                entry.deletes = true;
                Ok(())
            }
            _ => Err(Refusal::RepeatedClient),
        }
    }

    fn need(&mut self, index: u32, clock: u32) {
        if let Some(entry) = self.entry(index) {
            entry.need = entry.need.max(clock);
        }
    }

    /// For each client's number, the number of its section.
    fn section_of(&self) -> Vec<Option<u32>> {
        self.entries.iter().map(|entry| entry.section).collect()
    }
}
