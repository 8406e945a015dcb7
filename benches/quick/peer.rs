//! A client as cheap as can be: a raw socket that finds frames in bytes.

use std::{io, net::SocketAddr, rc::Rc};

use tokio::net::TcpStream;

use crate::child::Kind;

const STEP1_EMPTY: &[u8] = &[0, 0, 1, 0];
const STEP2_EMPTY: &[u8] = &[0, 1, 2, 0, 0];

/// One connection.
pub(crate) struct Peer {
    pub(crate) stream: Rc<TcpStream>,
    bytes: Vec<u8>,
    at: usize,
}

impl Peer {
    /// Connects and, where the server knows documents, syncs. Also returns the server's answer to our step 1.
    pub(crate) async fn join(
        address: SocketAddr,
        kind: Kind,
        room: &str,
        user: usize,
    ) -> (Self, Vec<u8>) {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).unwrap();
        let stream = Rc::new(stream);
        let mut peer = Self { stream, bytes: Vec::with_capacity(256), at: 0 };
        let request = format!(
            "GET /realtime/notes/{room} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer user-{user}\r\n\r\n"
        );
        peer.write(request.as_bytes()).await.unwrap();
        peer.skip_head().await;
        let mut answer = None;
        if kind == Kind::Engine {
            peer.write(&frame(STEP1_EMPTY)).await.unwrap();
            while answer.is_none() {
                let mut asked = false;
                peer.frames(|payload| match payload {
                    [0, 0, ..] => asked = true,
                    [0, 1, rest @ ..] => answer = Some(rest.to_vec()),
                    _ => {}
                });
                if asked {
                    peer.write(&frame(STEP2_EMPTY)).await.unwrap();
                }
                if answer.is_none() {
                    peer.read().await.expect("the server's answer");
                }
            }
        }
        (peer, answer.unwrap_or_default())
    }

    async fn skip_head(&mut self) {
        loop {
            self.read().await.expect("an answer to the upgrade");
            if let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                assert!(self.bytes.starts_with(b"HTTP/1.1 101 "), "the upgrade was refused");
                self.at = end + 4;
                return;
            }
        }
    }

    /// Waits for bytes and takes what is there.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        if self.at == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..self.at);
        }
        self.at = 0;
        loop {
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut self.bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes room for much at once.
    pub(crate) fn expect_much(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Gives each whole frame's payload that is here.
    pub(crate) fn frames(&mut self, mut take: impl FnMut(&[u8])) {
        loop {
            let rest = &self.bytes[self.at..];
            let [opcode, short, ..] = *rest else { return };
            let (head, length) = match short {
                126 if rest.len() >= 4 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                127 if rest.len() >= 10 => {
                    (10, u64::from_be_bytes(rest[2..10].try_into().unwrap()) as usize)
                }
                126 | 127 => return,
                short => (2, usize::from(short)),
            };
            let Some(payload) = rest.get(head..head + length) else { return };
            assert!(opcode == 0x82 || opcode == 0x89, "unexpected frame {opcode:x} {payload:?}");
            if opcode == 0x82 {
                take(payload);
            }
            self.at += head + length;
        }
    }

    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        write(&self.stream, bytes).await
    }
}

/// Writes all of `bytes`.
pub(crate) async fn write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A client's binary frame. The mask is zero: unmasking it costs the server the same.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let mut bytes = vec![0x82, 0x80 | length.expect("a short frame"), 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}
