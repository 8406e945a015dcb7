//! How whole document states are packed before they are stored.
//!
//! The method is written beside each stored state, so a changed setting never makes old ones unreadable.

use std::io::{Error, ErrorKind, Read, Result, Write};

use flate2::{read::GzDecoder, write::GzEncoder};

use crate::{config::Compression, limits::STORED_STATE_BYTES_MAX};

/// Level 6 is a tenth smaller and takes three times as long; 3 already undercuts gzip in time by far.
const ZSTD_LEVEL: i32 = 3;
/// What is set aside before the first byte is unpacked; a damaged size must not allocate by itself.
const FIRST_ALLOCATION_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The name a method is stored under.
pub(super) fn name(method: Compression) -> &'static str {
    match method {
        Compression::None => "none",
        Compression::Zstd => "zstd",
        Compression::Gzip => "gzip",
    }
}

/// The method of a stored name.
pub(super) fn by_name(name: &str) -> Option<Compression> {
    [Compression::None, Compression::Zstd, Compression::Gzip]
        .into_iter()
        .find(|method| self::name(*method) == name)
}

/// Packs a state.
pub(super) fn compress(method: Compression, raw: &[u8]) -> Result<Vec<u8>> {
    match method {
        Compression::None => Ok(raw.to_vec()),
        Compression::Zstd => zstd::stream::encode_all(raw, ZSTD_LEVEL),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(raw)?;
            encoder.finish()
        }
    }
}

/// Unpacks a state that must be exactly `raw_bytes` long. Stops one byte after, so that a bomb costs no more
/// memory than an honest state.
pub(super) fn decompress(method: Compression, stored: &[u8], raw_bytes: u64) -> Result<Vec<u8>> {
    if raw_bytes > STORED_STATE_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "its size is over the bound"));
    }
    let capacity = usize::try_from(raw_bytes.min(FIRST_ALLOCATION_BYTES_MAX)).unwrap_or_default();
    let mut raw = Vec::with_capacity(capacity.saturating_add(1));
    let bound = raw_bytes.saturating_add(1);
    match method {
        Compression::None => stored.take(bound).read_to_end(&mut raw)?,
        Compression::Zstd => {
            zstd::stream::read::Decoder::new(stored)?.take(bound).read_to_end(&mut raw)?
        }
        Compression::Gzip => GzDecoder::new(stored).take(bound).read_to_end(&mut raw)?,
    };
    if raw.len() as u64 == raw_bytes {
        Ok(raw)
    } else {
        Err(Error::new(ErrorKind::InvalidData, "it unpacks to another size than it had"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 3] = [Compression::None, Compression::Zstd, Compression::Gzip];

    #[test]
    fn every_method_gives_back_what_it_took() {
        let long: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for method in ALL {
            for raw in [&b""[..], &[0, 0], &long] {
                let stored = compress(method, raw).unwrap();
                assert_eq!(decompress(method, &stored, raw.len() as u64).unwrap(), raw);
            }
            assert_eq!(by_name(name(method)), Some(method));
        }
        assert_eq!(by_name("lzma"), None);
    }

    #[test]
    fn another_size_than_promised_is_refused() {
        for method in ALL {
            let bomb = compress(method, &vec![0; 1_000_000]).unwrap();
            for promised in [0, 10, 999_999, 1_000_001, u64::MAX] {
                assert!(decompress(method, &bomb, promised).is_err(), "{method:?} {promised}");
            }
        }
    }

    #[test]
    fn cut_data_is_refused() {
        for method in ALL {
            let stored = compress(method, b"a state of a document").unwrap();
            assert!(decompress(method, &stored[..stored.len() - 1], 21).is_err(), "{method:?}");
        }
    }
}
