//! What stands between a peer's bytes and yrs 0.28.
//!
//! yrs aborts, corrupts memory or never answers again on bytes that are easy to make, so each update and
//! state vector passes here first, wherever it comes from: client, broker, store or host. The scan is
//! iterative (depth costs no stack), looks at each byte a bounded number of times and allocates in
//! proportion to what is really there, never to what is declared.
//!
//! What a scan promises of an accepted update, beyond its syntax:
//! - each client has one section that is not empty, and [`Scan::has_holes`] says whether one has a hole;
//! - references point backward within their own client, and no cycle runs through several clients, so that
//!   yrs integrates the whole update once [`Scan::missing`] says that nothing is missing;
//! - a key has one living value, as yrs takes for granted;
//! - values and shared types are nested to a bound, and the memory it will cost is estimated.

mod admit;
mod clients;
mod draft;
mod join;
mod order;
mod ranges;
mod rewrite;
mod shape;
mod split;
mod structs;
#[cfg(test)]
mod tests;
mod trim;
mod value;

pub use admit::{Admitted, admit};
pub use shape::{Growth, Shape};
pub use split::{Split, keep_own_deletes, split_update};
pub(crate) use value::depth_exceeded as json_depth_exceeded;

use super::lib0::{DecodeError, Reader};
use crate::limits::{
    CLIENT_ID_MAX, CLOCK_MAX, DOCUMENT_CLIENTS_MAX, STATE_VECTOR_ENTRIES_MAX, UPDATE_STRUCTS_MAX,
};

/// What an update may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Estimated memory of the update once integrated, in bytes.
    pub document_bytes_max: u64,
    /// Structs and delete ranges together.
    pub structs_max: usize,
    /// Clients who ever wrote in a document.
    pub clients_max: usize,
}

impl Bounds {
    /// The fixed bounds on structs and clients, and this bound on estimated memory, in bytes.
    pub fn new(document_bytes_max: u64) -> Self {
        Self {
            document_bytes_max,
            structs_max: UPDATE_STRUCTS_MAX,
            clients_max: DOCUMENT_CLIENTS_MAX,
        }
    }

    /// For what is stored and was let in before: a document over its bound must still open.
    pub fn stored() -> Self {
        Self { document_bytes_max: u64::MAX, structs_max: usize::MAX, clients_max: usize::MAX }
    }
}

/// The structs of one client in an update: the clocks `start..end`, all present but for holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The client that wrote them.
    pub client: u64,
    /// First clock.
    pub start: u32,
    /// One past the last clock.
    pub end: u32,
    /// Its part of [`Scan::estimated_bytes`].
    pub estimated_bytes: u64,
}

/// A clock that a client has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Missing {
    /// The client whose structs are needed.
    pub client: u64,
    /// The document's clock for this client must be at least this.
    pub clock: u32,
}

/// What an accepted update holds and needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// One per client that wrote structs, in the update's order.
    pub sections: Vec<Section>,
    /// What it refers to (origins, parents, deleted ranges) and does not hold itself; one per client.
    pub dependencies: Vec<Missing>,
    /// Structs.
    pub structs: usize,
    /// Deleted ranges.
    pub delete_ranges: usize,
    /// Estimated memory once integrated, in bytes; by kind of struct.
    pub estimated_bytes: u64,
    /// Whether a section has holes (Skip structs), as states of clients have that wait for structs themselves.
    /// Such an update must not reach yrs; [`split_update`] takes it apart.
    pub has_holes: bool,
    /// Where its structs stand, for [`Shape`].
    pub(crate) stretches: Vec<shape::Stretch>,
}

impl Scan {
    /// Whether it holds nothing at all, like `00 00`. Such an update is neither logged nor sent on.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty() && self.delete_ranges == 0
    }

    /// Where its structs part what is there, as clients and clocks.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = (u64, u32)> {
        self.stretches.iter().flat_map(shape::Stretch::cuts)
    }

    /// What a document lacks before it can take the update whole; `clock_of` tells the document's clock of a
    /// client, 0 if unknown. `None`: everything is there.
    ///
    /// A section that starts above the document's clock is a gap; everything else needed is in
    /// [`Scan::dependencies`]. Such an update is nobody's fault (tabs exchange edits behind the server's
    /// back), but it must not reach yrs before the rest.
    pub fn missing(&self, clock_of: impl Fn(u64) -> u64) -> Option<Missing> {
        let gaps = self
            .sections
            .iter()
            .map(|section| Missing { client: section.client, clock: section.start });
        gaps.chain(self.dependencies.iter().copied())
            .find(|need| clock_of(need.client) < u64::from(need.clock))
    }
}

/// Why bytes may not reach yrs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The data ends early, or declares more than follows.
    #[error("the update ends too early or declares more than it holds")]
    Truncated,
    /// An integer is too large for what it counts.
    #[error("the update holds an integer that is too large")]
    Integer,
    /// A string is not UTF-8.
    #[error("the update holds a string that is not valid UTF-8")]
    Utf8,
    /// Bytes follow the end.
    #[error("bytes follow the end of the update")]
    Trailing,
    /// A client's section holds no structs.
    #[error("a client's section is empty")]
    EmptySection,
    /// A client has two sections, or two entries of deleted ranges.
    #[error("a client appears twice")]
    RepeatedClient,
    /// More clients than one update may name.
    #[error("the update names too many clients")]
    TooManyClients,
    /// A content kind nobody writes.
    #[error("the update holds an unknown kind of content")]
    UnknownContent,
    /// A shared type that Yjs 13 does not write, or that yrs reads otherwise.
    #[error("the update holds an unknown or unsupported shared type")]
    UnknownType,
    /// A value whose tag is unknown.
    #[error("the update holds an unknown kind of value")]
    UnknownValue,
    /// A struct or deleted range without length.
    #[error("a struct or deleted range is empty")]
    ZeroLength,
    /// A clock passes 2^31-1.
    #[error("a clock is too large")]
    Clock,
    /// A client id passes 2^53-1.
    #[error("a client id is too large")]
    ClientId,
    /// Values are nested too deeply.
    #[error("a value is nested too deeply")]
    ValueDepth,
    /// Embedded JSON does not parse.
    #[error("embedded JSON is not valid")]
    Json,
    /// A struct refers to itself or to a later one of its client.
    #[error("a struct refers to itself or to a later one")]
    ForwardReference,
    /// Structs of several clients wait for each other.
    #[error("structs refer to each other in a circle")]
    Cycle,
    /// A struct is inside one that holds no others.
    #[error("a struct's parent is not a shared type")]
    Parent,
    /// A key holds several living values in one struct, or a value with a right neighbour.
    #[error("a key holds what only a list can hold")]
    Key,
    /// Shared types are nested too deeply.
    #[error("shared types are nested too deeply")]
    TypeDepth,
    /// More structs and deleted ranges than an update may hold.
    #[error("the update holds too many structs")]
    TooManyStructs,
    /// Integrated, it would take too much memory.
    #[error("the update would take too much memory")]
    TooLarge,
}

impl Refusal {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Integer => "integer",
            Self::Utf8 => "utf8",
            Self::Trailing => "trailing",
            Self::EmptySection => "empty_section",
            Self::RepeatedClient => "repeated_client",
            Self::TooManyClients => "too_many_clients",
            Self::UnknownContent => "unknown_content",
            Self::UnknownType => "unknown_type",
            Self::UnknownValue => "unknown_value",
            Self::ZeroLength => "zero_length",
            Self::Clock => "clock",
            Self::ClientId => "client_id",
            Self::ValueDepth => "value_depth",
            Self::Json => "json",
            Self::ForwardReference => "forward_reference",
            Self::Cycle => "cycle",
            Self::Parent => "parent",
            Self::Key => "key",
            Self::TypeDepth => "type_depth",
            Self::TooManyStructs => "too_many_structs",
            Self::TooLarge => "too_large",
        }
    }

    /// Whether the update is well-formed but larger than this server takes, rather than hostile.
    pub fn is_size(self) -> bool {
        matches!(
            self,
            Self::TooManyStructs | Self::TooLarge | Self::TooManyClients | Self::TypeDepth
        )
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated => Self::Truncated,
            DecodeError::Integer => Self::Integer,
            DecodeError::Utf8 => Self::Utf8,
        }
    }
}

/// Checks an update v1 and tells what it holds and needs. For yrs it still has to be [`admit`]ted.
pub fn scan_update(bytes: &[u8], bounds: &Bounds) -> Result<Scan, Refusal> {
    structs::scan(bytes, bounds).map(|scanned| scanned.scan)
}

/// Checks a state vector v1; returns how many entries it has.
pub fn scan_state_vector(bytes: &[u8]) -> Result<usize, Refusal> {
    let mut reader = Reader::new(bytes);
    let entries = reader.count(2)?;
    if entries > STATE_VECTOR_ENTRIES_MAX {
        return Err(Refusal::TooManyClients);
    }
    for _ in 0..entries {
        client_id(&mut reader)?;
        clock(&mut reader)?;
    }
    if reader.is_empty() { Ok(entries) } else { Err(Refusal::Trailing) }
}

/// A client id. The reader's own bound is the same, so its refusal gets the name that fits.
fn client_id(reader: &mut Reader<'_>) -> Result<u64, Refusal> {
    match reader.var_uint() {
        Ok(id) if id <= CLIENT_ID_MAX => Ok(id),
        Ok(_) | Err(DecodeError::Integer) => Err(Refusal::ClientId),
        Err(error) => Err(error.into()),
    }
}

/// A clock or a number of clocks, at most [`CLOCK_MAX`].
fn clock(reader: &mut Reader<'_>) -> Result<u32, Refusal> {
    match reader.var_uint() {
        Ok(value) if value <= CLOCK_MAX => u32::try_from(value).map_err(|_| Refusal::Clock),
        Ok(_) | Err(DecodeError::Integer) => Err(Refusal::Clock),
        Err(error) => Err(error.into()),
    }
}

/// `start + len`, at most [`CLOCK_MAX`].
fn clock_end(start: u32, len: u64) -> Result<u32, Refusal> {
    let end =
        u64::from(start).checked_add(len).filter(|end| *end <= CLOCK_MAX).ok_or(Refusal::Clock)?;
    u32::try_from(end).map_err(|_| Refusal::Clock)
}
