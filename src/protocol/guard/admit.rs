//! Updates that may reach yrs.

use bytes::Bytes;

use super::{Bounds, Refusal, Scan, rewrite, structs};

/// An update v1 that passed the guard, as yrs may read it. Nothing else makes one, so whoever has one need not
/// ask where its bytes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    bytes: Bytes,
    scan: Scan,
}

impl Admitted {
    /// Update v1.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it holds and needs.
    pub fn scan(&self) -> &Scan {
        &self.scan
    }
}

/// Checks an update v1. What yrs could not read, or only at a price, is written otherwise and means the same:
/// values of Yjs before 13 (`ContentJSON`) become today's, deleted ranges stand in order, and long rows of structs
/// that Yjs would store as one become one.
pub fn admit(update: Bytes, bounds: &Bounds) -> Result<Admitted, Refusal> {
    let mut bytes = update;
    loop {
        let scanned = structs::scan(&bytes, bounds)?;
        if scanned.rewrites.is_empty() {
            return Ok(Admitted { bytes, scan: scanned.scan });
        }
        // Ends: after the first time no value of old Yjs is left and ranges are in order, after the second there
        // is nothing to join.
        bytes = rewrite::apply(&bytes, scanned.rewrites);
    }
}

#[cfg(test)]
mod tests;
