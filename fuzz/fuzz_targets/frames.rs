//! A socket after its 101: WebSocket framing in pieces of any size, then the messages inside.
#![no_main]

use std::io::{self, Read, Write};

use civicpress_realtime::{
    limits::STATE_VECTOR_ENTRIES_MAX,
    protocol::{
        guard,
        json::{self, ClientJson},
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
            Ok(Message::Text(text)) => json(text.as_bytes()),
            Ok(_) => {}
            Err(_) => return,
        }
    }
});

fn message(bytes: &[u8]) {
    assert!(bytes.len() <= MESSAGE_BYTES_MAX);
    // As net/connection.rs tells them apart.
    if bytes.first() == Some(&b'{') {
        return json(bytes);
    }
    match sync::decode(bytes) {
        Ok(ClientMessage::SyncStep1(vector)) => state_vector(vector),
        Ok(ClientMessage::SyncStep2(bytes) | ClientMessage::Update(bytes)) => update(bytes),
        Ok(ClientMessage::Awareness(_) | ClientMessage::QueryAwareness) | Err(_) => {}
    }
}

fn json(bytes: &[u8]) {
    match json::read(bytes) {
        Ok(ClientJson::Update { update: bytes, .. }) => update(&bytes),
        Ok(ClientJson::StateVector(vector)) => state_vector(&vector),
        Ok(ClientJson::Control(json::Moderation::Notice { message, .. })) => {
            assert!(message.chars().count() <= 500);
        }
        Ok(_) | Err(_) => {}
    }
}

fn state_vector(vector: &[u8]) {
    if let Ok(entries) = guard::scan_state_vector(vector) {
        assert!(entries <= STATE_VECTOR_ENTRIES_MAX && entries <= vector.len() / 2);
    }
}

fn update(update: &[u8]) {
    drop(guard::scan_update(update, &guard::Bounds::new(1 << 24)));
}
