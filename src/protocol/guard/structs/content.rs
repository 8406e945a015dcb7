//! The contents of structs.

use super::{
    ANY, BINARY, DELETED, DOC, EMBED, FORMAT, KIND_BITS, Rewrite, STRING, Scanner, TYPE, clock,
    cost, value, write_var_uint,
};
use crate::protocol::guard::Refusal;

/// Shared types: array, map, text and XML text are only a number, elements carry a name.
const XML_ELEMENT: u8 = 3;
/// yrs does not read the name that Yjs writes after it, so the rest would be read shifted.
const XML_HOOK: u8 = 5;
const XML_TEXT: u8 = 6;

impl Scanner<'_> {
    /// Reads a struct's content; returns how many clocks it takes.
    pub(super) fn content(&mut self, kind: u8) -> Result<u64, Refusal> {
        match kind {
            DELETED => return Ok(u64::from(clock(&mut self.reader)?)),
            BINARY => {
                let bytes = self.reader.bytes()?.len() as u64;
                self.charge(bytes);
            }
            STRING => {
                let text = self.reader.string()?;
                self.data = self.reader.position() - text.len();
                self.charge(2 * text.len() as u64);
                return Ok(text.chars().map(|c| c.len_utf16() as u64).sum());
            }
            EMBED => {
                let bytes = value::json(&mut self.reader)?;
                self.charge(bytes);
            }
            FORMAT => {
                let key = self.reader.string()?.len() as u64;
                let bytes = value::json(&mut self.reader)?;
                self.charge(key + bytes);
            }
            TYPE => self.shared_type()?,
            ANY => {
                let values = self.reader.count(1)?;
                self.data = self.reader.position();
                for _ in 0..values {
                    let bytes = value::any(&mut self.reader)?;
                    self.charge(bytes);
                }
                return Ok(values as u64);
            }
            DOC => {
                let guid = self.reader.string()?.len() as u64;
                let options = value::any(&mut self.reader)?;
                self.charge(cost::SUBDOCUMENT + guid + options);
            }
            _ => return Err(Refusal::UnknownContent),
        }
        Ok(1)
    }

    /// Reads values as Yjs before 13 wrote them, and notes how they are written today.
    pub(super) fn legacy_json(&mut self, from: usize, info: u8) -> Result<u64, Refusal> {
        let values = self.reader.count(1)?;
        let mut bytes = Vec::new();
        write_var_uint(&mut bytes, values as u64);
        for _ in 0..values {
            let charged = value::legacy(&mut self.reader, &mut bytes)?;
            self.charge(charged);
        }
        self.rewrites.push(Rewrite { from, to: from + 1, bytes: vec![info & !KIND_BITS | ANY] });
        self.rewrites.push(Rewrite { from: self.content, to: self.reader.position(), bytes });
        Ok(values as u64)
    }

    fn shared_type(&mut self) -> Result<(), Refusal> {
        self.types += 1;
        self.charge(cost::TYPE);
        match self.reader.u8()? {
            XML_ELEMENT => {
                let name = self.reader.string()?.len() as u64;
                self.charge(name);
                Ok(())
            }
            kind if kind <= XML_TEXT && kind != XML_HOOK => Ok(()),
            _ => Err(Refusal::UnknownType),
        }
    }
}
