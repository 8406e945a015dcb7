//! y-websocket's frames: a `varUint` type and a payload, one message per WebSocket frame.
//!
//! | type | payload |
//! |---|---|
//! | 0 sync | sub-type 0 step 1 + state vector, 1 step 2 + update, 2 update; the body is length-prefixed |
//! | 1 awareness | a length-prefixed awareness update |
//! | 2 auth | 0 (permission denied) + reason; only servers send it |
//! | 3 query awareness | nothing; y-sweet's client adds length-prefixed bytes |
//!
//! Clients up to 3.1 read one message and ignore the rest of a frame, hence one message per frame both ways.
//! A binary frame whose first byte is `{` is JSON (the host's contract), and never comes here.

use super::lib0::{DecodeError, Reader, var_uint_len, write_bytes, write_string, write_var_uint};

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;

const STEP1: u64 = 0;
const STEP2: u64 = 1;
const UPDATE: u64 = 2;

const PERMISSION_DENIED: u8 = 0;

/// An awareness frame without entries: a keep-alive every y-websocket client counts as a message.
pub const EMPTY_AWARENESS: &[u8] = &[0x01, 0x01, 0x00];

/// What a client says in one frame. The bodies are still unchecked bytes of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// The client's state vector; it asks for what it lacks.
    SyncStep1(&'a [u8]),
    /// An update v1 that answers the server's step 1.
    SyncStep2(&'a [u8]),
    /// An update v1.
    Update(&'a [u8]),
    /// An awareness update: count and entries.
    Awareness(&'a [u8]),
    /// The client asks for all awareness states.
    QueryAwareness,
}

/// Why a frame is not a message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No bytes at all.
    #[error("the frame is empty")]
    Empty,
    /// The frame ends inside its message.
    #[error("the frame is truncated")]
    Truncated,
    /// Bytes follow the message.
    #[error("the frame holds bytes after its message")]
    Trailing,
    /// An integer is too large.
    #[error("the frame holds an integer that is too large")]
    Integer,
    /// A message type nobody defined.
    #[error("unknown message type {0}")]
    UnknownType(u64),
    /// A sync sub-type nobody defined.
    #[error("unknown sync message type {0}")]
    UnknownSyncType(u64),
    /// An auth message; only servers send these.
    #[error("clients do not send auth messages")]
    Auth,
}

impl FrameError {
    /// The stable code, a metrics label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "frame_empty",
            Self::Truncated => "frame_truncated",
            Self::Trailing => "frame_trailing",
            Self::Integer => "frame_integer",
            Self::UnknownType(_) => "frame_unknown_type",
            Self::UnknownSyncType(_) => "frame_unknown_sync_type",
            Self::Auth => "frame_auth",
        }
    }
}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Integer => Self::Integer,
            DecodeError::Truncated | DecodeError::Utf8 => Self::Truncated,
        }
    }
}

/// Reads one frame of a client.
pub fn decode(frame: &[u8]) -> Result<ClientMessage<'_>, FrameError> {
    if frame.is_empty() {
        return Err(FrameError::Empty);
    }
    let mut reader = Reader::new(frame);
    let message = match reader.var_uint()? {
        SYNC => match reader.var_uint()? {
            STEP1 => ClientMessage::SyncStep1(reader.bytes()?),
            STEP2 => ClientMessage::SyncStep2(reader.bytes()?),
            UPDATE => ClientMessage::Update(reader.bytes()?),
            other => return Err(FrameError::UnknownSyncType(other)),
        },
        AWARENESS => ClientMessage::Awareness(reader.bytes()?),
        AUTH => return Err(FrameError::Auth),
        QUERY_AWARENESS => {
            if !reader.is_empty() {
                reader.bytes()?;
            }
            ClientMessage::QueryAwareness
        }
        other => return Err(FrameError::UnknownType(other)),
    };
    if reader.is_empty() { Ok(message) } else { Err(FrameError::Trailing) }
}

/// Sync step 1: asks the peer for what this state vector lacks.
pub fn sync_step1(state_vector: &[u8]) -> Vec<u8> {
    sync_frame(STEP1, state_vector)
}

/// Sync step 2: the answer to a step 1, an update v1. It alone makes a client `synced`.
pub fn sync_step2(update: &[u8]) -> Vec<u8> {
    sync_frame(STEP2, update)
}

/// An update v1.
pub fn update(update: &[u8]) -> Vec<u8> {
    sync_frame(UPDATE, update)
}

/// An awareness update: `body` is its count and entries.
pub fn awareness(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + prefixed_len(body));
    write_var_uint(&mut out, AWARENESS);
    write_bytes(&mut out, body);
    out
}

/// "Permission denied": y-websocket logs it and stays connected, so a close has to follow.
pub fn auth_denied(reason: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + prefixed_len(reason.as_bytes()));
    write_var_uint(&mut out, AUTH);
    out.push(PERMISSION_DENIED);
    write_string(&mut out, reason);
    out
}

/// Length of [`update`]'s frame, in bytes.
pub fn update_len(update: &[u8]) -> usize {
    2 + prefixed_len(update)
}

/// Appends what [`update`] gives.
pub fn append_update(out: &mut Vec<u8>, update: &[u8]) {
    append_sync_frame(out, UPDATE, update);
}

fn sync_frame(kind: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + prefixed_len(body));
    append_sync_frame(&mut out, kind, body);
    out
}

fn append_sync_frame(out: &mut Vec<u8>, kind: u64, body: &[u8]) {
    write_var_uint(out, SYNC);
    write_var_uint(out, kind);
    write_bytes(out, body);
}

fn prefixed_len(body: &[u8]) -> usize {
    var_uint_len(body.len() as u64) + body.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_have_y_websockets_bytes() {
        assert_eq!(sync_step1(&[1, 7, 3]), [0, 0, 3, 1, 7, 3]);
        assert_eq!(sync_step2(&[0, 0]), [0, 1, 2, 0, 0]);
        assert_eq!(update(&[0, 0]), [0, 2, 2, 0, 0]);
        assert_eq!(awareness(&[0]), EMPTY_AWARENESS);
        assert_eq!(auth_denied("no"), [2, 0, 2, b'n', b'o']);
    }

    #[test]
    fn decodes_what_clients_send() {
        assert_eq!(decode(&[0, 0, 3, 1, 7, 3]), Ok(ClientMessage::SyncStep1(&[1, 7, 3])));
        assert_eq!(decode(&[0, 1, 2, 0, 0]), Ok(ClientMessage::SyncStep2(&[0, 0])));
        assert_eq!(decode(&[0, 2, 2, 0, 0]), Ok(ClientMessage::Update(&[0, 0])));
        assert_eq!(
            decode(&[1, 6, 1, 7, 0, 2, 0x7b, 0x7d]),
            Ok(ClientMessage::Awareness(&[1, 7, 0, 2, 0x7b, 0x7d]))
        );
        assert_eq!(decode(&[3]), Ok(ClientMessage::QueryAwareness));
        assert_eq!(decode(&[3, 2, 1, 1]), Ok(ClientMessage::QueryAwareness));
    }

    #[test]
    fn names_what_is_wrong() {
        for (frame, error) in [
            (&[][..], FrameError::Empty),
            (&[0], FrameError::Truncated),
            (&[0, 2, 5, 0, 0], FrameError::Truncated),
            (&[0, 2, 2, 0, 0, 9], FrameError::Trailing),
            (&[3, 0, 0], FrameError::Trailing),
            (&[0, 7, 0], FrameError::UnknownSyncType(7)),
            (&[4, 0], FrameError::UnknownType(4)),
            (&[9], FrameError::UnknownType(9)),
            (&[0xc8, 0x01], FrameError::UnknownType(200)),
            (&[2, 0, 0], FrameError::Auth),
            (&[0xff; 12], FrameError::Integer),
        ] {
            assert_eq!(decode(frame), Err(error), "{frame:?}");
        }
    }

    proptest! {
        #[test]
        fn any_frame_is_decoded_or_refused(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&frame);
        }

        #[test]
        fn encoders_and_decoder_agree(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let frames = [sync_step1(&body), sync_step2(&body), update(&body), awareness(&body)];
            prop_assert_eq!(decode(&frames[0]), Ok(ClientMessage::SyncStep1(&body)));
            prop_assert_eq!(decode(&frames[1]), Ok(ClientMessage::SyncStep2(&body)));
            prop_assert_eq!(decode(&frames[2]), Ok(ClientMessage::Update(&body)));
            prop_assert_eq!(decode(&frames[3]), Ok(ClientMessage::Awareness(&body)));
        }
    }
}
