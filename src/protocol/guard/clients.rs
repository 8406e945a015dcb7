//! The clients an update names.

use std::collections::HashMap;

use super::Refusal;

/// Clients found by looking through a list; a typed letter names one or two.
const LISTED_CLIENTS_MAX: usize = 16;

/// The clients an update names, numbered as they appear, so that a reference takes eight bytes.
#[derive(Default)]
pub(super) struct Clients {
    pub(super) entries: Vec<ClientEntry>,
    index: HashMap<u64, u32>,
    /// Neighbouring references mostly name the same client.
    last: Option<(u64, u32)>,
}

pub(super) struct ClientEntry {
    pub(super) id: u64,
    pub(super) section: Option<u32>,
    deletes: bool,
    /// One past the highest clock referred to.
    pub(super) need: u32,
}

impl Clients {
    pub(super) fn index(&mut self, id: u64) -> Result<u32, Refusal> {
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

    pub(super) fn id(&self, index: u32) -> u64 {
        self.entries.get(index as usize).map_or(0, |entry| entry.id)
    }

    pub(super) fn claim_section(&mut self, index: u32, section: u32) -> Result<(), Refusal> {
        match self.entry(index) {
            Some(entry) if entry.section.is_none() => {
                entry.section = Some(section);
                Ok(())
            }
            _ => Err(Refusal::RepeatedClient),
        }
    }

    pub(super) fn claim_deletes(&mut self, index: u32) -> Result<(), Refusal> {
        match self.entry(index) {
            Some(entry) if !entry.deletes => {
                entry.deletes = true;
                Ok(())
            }
            _ => Err(Refusal::RepeatedClient),
        }
    }

    pub(super) fn need(&mut self, index: u32, clock: u32) {
        if let Some(entry) = self.entry(index) {
            entry.need = entry.need.max(clock);
        }
    }

    /// For each client's number, the number of its section.
    pub(super) fn section_of(&self) -> Vec<Option<u32>> {
        self.entries.iter().map(|entry| entry.section).collect()
    }
}
