//! Reads an awareness message: hostile bytes in, entries or a refusal out.

use std::borrow::Cow;

use crate::{
    limits::AWARENESS_DEPTH_MAX,
    protocol::{
        json_depth_exceeded,
        lib0::{DecodeError, Reader},
    },
};

/// Why an awareness message is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwarenessRefusal {
    /// The data ends early, or declares more than follows.
    #[error("the awareness message ends too early or declares more than it holds")]
    Truncated,
    /// An id or clock passes 2^53-1.
    #[error("the awareness message holds an integer that is too large")]
    Integer,
    /// A state is not UTF-8.
    #[error("an awareness state is not valid UTF-8")]
    Utf8,
    /// Bytes follow the last entry.
    #[error("bytes follow the end of the awareness message")]
    Trailing,
    /// A state is longer than it may be.
    #[error("an awareness state is too large")]
    TooLarge,
    /// A state is nested too deeply.
    #[error("an awareness state is nested too deeply")]
    Depth,
    /// A state is not JSON.
    #[error("an awareness state is not valid JSON")]
    Json,
    /// A state is neither an object nor `null`.
    #[error("an awareness state is not an object")]
    NotObject,
}

impl AwarenessRefusal {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Truncated => "awareness_truncated",
            Self::Integer => "awareness_integer",
            Self::Utf8 => "awareness_utf8",
            Self::Trailing => "awareness_trailing",
            Self::TooLarge => "awareness_too_large",
            Self::Depth => "awareness_depth",
            Self::Json => "awareness_json",
            Self::NotObject => "awareness_not_object",
        }
    }
}

impl From<DecodeError> for AwarenessRefusal {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Truncated => Self::Truncated,
            DecodeError::Integer => Self::Integer,
            DecodeError::Utf8 => Self::Utf8,
        }
    }
}

/// One entry of a message.
pub(super) struct Incoming<'a> {
    pub(super) id: u64,
    pub(super) clock: u64,
    /// The state, an object; `None` = `null`.
    pub(super) json: Option<Cow<'a, str>>,
}

/// Reads a body (count and entries) whose states have at most `state_bytes_max` bytes.
pub(super) fn read(
    body: &[u8],
    state_bytes_max: usize,
) -> Result<Vec<Incoming<'_>>, AwarenessRefusal> {
    let mut reader = Reader::new(body);
    // An entry takes at least an id, a clock and a length.
    let count = reader.count(3)?;
    let mut incoming = Vec::with_capacity(count);
    for _ in 0..count {
        let (id, clock) = (reader.var_uint()?, reader.var_uint()?);
        let text = reader.string()?;
        if text.len() > state_bytes_max {
            return Err(AwarenessRefusal::TooLarge);
        }
        if json_depth_exceeded(text, AWARENESS_DEPTH_MAX) {
            return Err(AwarenessRefusal::Depth);
        }
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|_| AwarenessRefusal::Json)?;
        let state = text.trim_ascii();
        if state != "null" && !state.starts_with('{') {
            return Err(AwarenessRefusal::NotObject);
        }
        incoming.push(Incoming { id, clock, json: (state != "null").then_some(text.into()) });
    }
    if reader.is_empty() { Ok(incoming) } else { Err(AwarenessRefusal::Trailing) }
}
