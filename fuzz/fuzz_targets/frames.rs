//! A socket after its 101: WebSocket framing in pieces of any size, then the messages inside.
#![no_main]

use std::io::{self, Read, Write};

use civicpress_realtime::{
    limits::STATE_VECTOR_ENTRIES_MAX,
    protocol::{
        control, guard,
        sync::{self, ClientMessage},
    },
};
use libfuzzer_sys::fuzz_target;
use tungstenite::{
    Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

const MESSAGE_BYTES_MAX: usize = 4096;

struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(buffer.len()).min(self.rest.len());
        if length == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (now, later) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = later;
        Ok(length)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let mut stream = Pieces { rest, piece: 1 + usize::from(*first) };
    // As net/socket.rs sets it up.
    let config = WebSocketConfig::default()
        .read_buffer_size(2048)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocketContext::from_partially_read(Vec::new(), Role::Server, Some(config));
    loop {
        match socket.read(&mut stream) {
            Ok(Message::Binary(bytes)) => message(&bytes),
            Ok(Message::Text(text)) => drop(control::parse(text.as_bytes())),
            Ok(_) => {}
            Err(_) => return,
        }
    }
});

fn message(bytes: &[u8]) {
    assert!(bytes.len() <= MESSAGE_BYTES_MAX);
    match sync::decode(bytes) {
        Ok(ClientMessage::SyncStep1(vector)) => {
            if let Ok(entries) = guard::scan_state_vector(vector) {
                assert!(entries <= STATE_VECTOR_ENTRIES_MAX && entries <= vector.len() / 2);
            }
        }
        Ok(ClientMessage::SyncStep2(update) | ClientMessage::Update(update)) => {
            drop(guard::scan_update(update, &guard::Bounds::new(1 << 24)));
        }
        Ok(ClientMessage::Json(json)) => drop(control::parse(json)),
        Ok(ClientMessage::Awareness(_) | ClientMessage::QueryAwareness) | Err(_) => {}
    }
}
