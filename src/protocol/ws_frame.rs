//! WebSocket frames as the server sends them (RFC 6455, 5.2): unmasked, unfragmented, so that the same bytes
//! serve every receiver.

use bytes::Bytes;

const FIN: u8 = 0x80;
const HEAD_BYTES_MAX: usize = 10;

/// A complete binary frame.
pub fn binary(payload: &[u8]) -> Bytes {
    frame(0x2, payload)
}

/// A complete text frame.
pub fn text(payload: &str) -> Bytes {
    frame(0x1, payload.as_bytes())
}

/// A complete ping frame without payload.
pub fn ping() -> Bytes {
    Bytes::from_static(&[FIN | 0x9, 0])
}

/// A complete close frame. `reason` beyond 123 bytes is left out: control frames hold at most 125.
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = if reason.len() > 123 { "" } else { reason };
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(0x8, &payload)
}

/// Appends a complete binary frame whose payload of `length` bytes is appended by `payload`.
pub fn append_binary(out: &mut Vec<u8>, length: usize, payload: impl FnOnce(&mut Vec<u8>)) {
    out.reserve(length + HEAD_BYTES_MAX);
    append_head(out, 0x2, length);
    payload(out);
}

/// Appends a complete text frame.
pub fn append_text(out: &mut Vec<u8>, payload: &str) {
    out.reserve(payload.len() + HEAD_BYTES_MAX);
    append_head(out, 0x1, payload.len());
    out.extend_from_slice(payload.as_bytes());
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(payload.len() + HEAD_BYTES_MAX);
    append_head(&mut out, opcode, payload.len());
    out.extend_from_slice(payload);
    out.into()
}

fn append_head(out: &mut Vec<u8>, opcode: u8, length: usize) {
    out.push(FIN | opcode);
    match length {
        #[allow(clippy::cast_possible_truncation, reason = "bounded by the pattern")]
        short @ 0..=125 => out.push(short as u8),
        #[allow(clippy::cast_possible_truncation, reason = "bounded by the pattern")]
        medium @ 126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_use_the_shortest_form() {
        assert_eq!(&binary(&[1, 2])[..], [0x82, 2, 1, 2]);
        assert_eq!(&binary(&[0; 126])[..4], [0x82, 126, 0, 126]);
        assert_eq!(&binary(&vec![0; 0x1_0000])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(&text("é")[..], [0x81, 2, 0xc3, 0xa9]);
    }

    #[test]
    fn close_holds_code_and_reason() {
        assert_eq!(&close(4001, "x")[..], [0x88, 3, 0x0f, 0xa1, b'x']);
        assert_eq!(close(4001, &"x".repeat(200)).len(), 4);
    }
}
