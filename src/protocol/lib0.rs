//! lib0's primitive encoding: variable-length integers, length-prefixed bytes and strings.
//!
//! The reader borrows, never allocates, and fails instead of reading past the end, so a declared length can
//! cost no more than the bytes that are really there.

/// Largest integer on the wire: JavaScript's safe integers.
const VAR_UINT_MAX: u64 = crate::limits::CLIENT_ID_MAX;
/// Payload bits of a variable integer's first byte when it carries a sign.
const SIGNED_FIRST_BITS: u32 = 6;

/// Why bytes are not lib0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input ends inside a value, or declares more bytes than follow.
    #[error("the data ends too early")]
    Truncated,
    /// An integer beyond 2^53-1 (or 64 bits, when signed), or padded over its longest form.
    #[error("an integer is too large")]
    Integer,
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
}

/// Reads lib0 values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    /// Whether all bytes are read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.position).ok_or(DecodeError::Truncated)?;
        self.position += 1;
        Ok(byte)
    }

    /// Exactly `len` bytes, without a length prefix.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.position.checked_add(len).ok_or(DecodeError::Truncated)?;
        let taken = self.bytes.get(self.position..end).ok_or(DecodeError::Truncated)?;
        self.position = end;
        Ok(taken)
    }

    /// `varUint`: groups of seven bits, lowest first, at most 2^53-1.
    #[inline]
    pub fn var_uint(&mut self) -> Result<u64, DecodeError> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            // Eight groups hold 56 bits, more than any legal value needs.
            if shift > 49 {
                return Err(DecodeError::Integer);
            }
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if value > VAR_UINT_MAX { Err(DecodeError::Integer) } else { Ok(value) };
            }
            shift += 7;
        }
    }

    /// `varInt`: as [`Reader::var_uint`], with the sign in bit 6 of the first byte; at most 63 bits.
    pub fn var_int(&mut self) -> Result<i64, DecodeError> {
        let first = self.u8()?;
        let negative = first & 0x40 != 0;
        let mut value = i64::from(first & 0x3f);
        let mut shift = SIGNED_FIRST_BITS;
        let mut more = first & 0x80 != 0;
        while more {
            let byte = self.u8()?;
            let group = i64::from(byte & 0x7f);
            // The group that crosses bit 62 may only fill what is left below the sign.
            if shift > 62 || (group << shift) >> shift != group {
                return Err(DecodeError::Integer);
            }
            value |= group << shift;
            shift += 7;
            more = byte & 0x80 != 0;
        }
        Ok(if negative { -value } else { value })
    }

    /// `varUint8Array`: a length in bytes, then the bytes.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(self.var_uint()?).map_err(|_| DecodeError::Truncated)?;
        self.take(len)
    }

    /// `varString`: a length in bytes, then UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }

    /// A count of things of at least `item_bytes_min` bytes each, refused if they cannot all follow.
    #[inline]
    pub fn count(&mut self, item_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.var_uint()?).map_err(|_| DecodeError::Truncated)?;
        if count > self.remaining() / item_bytes_min.max(1) {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }
}

/// Appends a `varUint`. Values above 2^53-1 are written, but no peer reads them.
pub fn write_var_uint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

/// Appends a `varInt`: as [`write_var_uint`], with the sign in bit 6 of the first byte.
pub fn write_var_int(out: &mut Vec<u8>, value: i64) {
    let sign = if value < 0 { 0x40 } else { 0 };
    let rest = value.unsigned_abs();
    let more = if rest > 0x3f { 0x80 } else { 0 };
    out.push(more | sign | (rest & 0x3f) as u8);
    if more != 0 {
        write_var_uint(out, rest >> SIGNED_FIRST_BITS);
    }
}

/// Appends a length in bytes, then the bytes.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_var_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a length in bytes, then the text as UTF-8.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    write_bytes(out, text.as_bytes());
}

/// Bytes a `varUint` takes.
pub fn var_uint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn var_uint_round_trips(value in 0..=VAR_UINT_MAX) {
            let mut out = Vec::new();
            write_var_uint(&mut out, value);
            prop_assert_eq!(out.len(), var_uint_len(value));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.var_uint(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn var_int_round_trips(value in -(1i64 << 52)..1i64 << 52) {
            let mut out = Vec::new();
            write_var_int(&mut out, value);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.var_int(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = Reader::new(&bytes).var_uint();
            let _ = Reader::new(&bytes).var_int();
            let _ = Reader::new(&bytes).string();
            let _ = Reader::new(&bytes).count(2);
        }
    }

    #[test]
    fn integers_end_at_javascripts_safe_integers() {
        let mut out = Vec::new();
        write_var_uint(&mut out, VAR_UINT_MAX + 1);
        assert_eq!(Reader::new(&out).var_uint(), Err(DecodeError::Integer));
        assert_eq!(Reader::new(&[0x80; 20]).var_uint(), Err(DecodeError::Integer));
        assert_eq!(Reader::new(&[0x80]).var_uint(), Err(DecodeError::Truncated));
    }

    #[test]
    fn signed_integers_match_lib0() {
        assert_eq!(Reader::new(&[0x01]).var_int(), Ok(1));
        assert_eq!(Reader::new(&[0x41]).var_int(), Ok(-1));
        assert_eq!(Reader::new(&[0x80, 0x01]).var_int(), Ok(64));
        assert_eq!(Reader::new(&[0xc0, 0x01]).var_int(), Ok(-64));
        assert_eq!(Reader::new(&[0xff; 12]).var_int(), Err(DecodeError::Integer));
    }

    #[test]
    fn lengths_never_pass_the_end() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), Err(DecodeError::Truncated));
        assert_eq!(Reader::new(&[1, 0xff]).string(), Err(DecodeError::Utf8));
        assert_eq!(Reader::new(&[3, 1, 2, 3]).count(2), Err(DecodeError::Truncated));
        assert_eq!(Reader::new(&[3, 1, 2, 3]).count(1), Ok(3));
    }
}
