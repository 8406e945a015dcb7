//! A client that costs as little as it can: it reads frames, and of an event the number.

use std::{collections::VecDeque, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::server::Kind;

/// Makes an event's data 100 bytes, about.
const FILLER: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

pub(crate) struct Peer {
    kind: Kind,
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
    /// What came before the answer to the handshake: a session that goes on begins with what it missed.
    missed: VecDeque<Vec<u8>>,
    pub(crate) since: Since,
}

/// What was heard last, for servers that can tell what came after: their name of the history, and of a place in it.
#[derive(Debug, Default)]
pub(crate) struct Since {
    history: String,
    last: String,
}

impl Peer {
    /// In a room, with what more than the plain protocol there is; after a cut with what was heard `since`.
    pub(crate) async fn in_room(kind: Kind, address: SocketAddr, room: &str, since: Since) -> Self {
        let mut peer = Self::open(kind, address, "/socket.io/?protocol=events").await;
        peer.since = since;
        match kind {
            Kind::Engine => peer.rejoin(room).await,
            Kind::Ws => peer.join(room).await,
            Kind::SocketIo | Kind::SocketIoRecovering => {
                if !peer.enter().await {
                    peer.join(room).await;
                }
            }
        }
        peer
    }

    async fn rejoin(&mut self, room: &str) {
        let Since { history, last } = &self.since;
        let comes_back = !history.is_empty();
        let since = if comes_back {
            format!(r#","since":{{"epoch":"{history}","offset":{last}}}"#)
        } else {
            String::new()
        };
        self.send(&format!(r#"{{"type":"join","room":"{room}","ack":"in"{since}}}"#)).await;
        let text = self.until("joined").await;
        let joined: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_ne!(joined["recovered"], false, "something is lost");
        joined["epoch"].as_str().unwrap().clone_into(&mut self.since.history);
        if !comes_back {
            self.since.last = joined["offset"].to_string();
        }
    }

    pub(crate) async fn connect(kind: Kind, address: SocketAddr) -> Self {
        let mut peer = Self::open(kind, address, "/socket.io/").await;
        if kind.speaks_engine_io() {
            peer.enter().await;
        }
        peer
    }

    /// Engine.IO's and Socket.IO's handshake, with the session of before where there is one; whether it goes on.
    async fn enter(&mut self) -> bool {
        self.until("0{").await;
        let Since { history, last } = &self.since;
        let session = if last.is_empty() {
            String::new()
        } else {
            format!(r#"{{"pid":"{history}","offset":"{last}"}}"#)
        };
        self.send(&format!("40{session}")).await;
        let mut missed = VecDeque::new();
        let entered: serde_json::Value = loop {
            let text = self.next().await.expect("not cut");
            match text.strip_prefix(b"40") {
                Some(entered) => break serde_json::from_slice(entered).unwrap(),
                None => missed.push_back(text),
            }
        };
        self.missed = missed;
        let pid = entered["pid"].as_str().unwrap_or_default();
        let goes_on = !session.is_empty() && pid == self.since.history;
        if !goes_on {
            self.since = Since { history: pid.to_owned(), last: String::new() };
        }
        goes_on
    }

    async fn open(kind: Kind, address: SocketAddr, plain: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let path =
            if kind.speaks_engine_io() { "/socket.io/?EIO=4&transport=websocket" } else { plain };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (missed, since) = (VecDeque::new(), Since::default());
        let mut peer = Self { kind, stream, buffer: Vec::new(), at: 0, missed, since };
        let head = loop {
            if let Some(end) = peer.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(peer.stream.read_buf(&mut peer.buffer).await.unwrap() > 0, "refused");
        };
        assert!(
            peer.buffer.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&peer.buffer)
        );
        peer.buffer.drain(..head);
        peer
    }

    pub(crate) async fn join(&mut self, room: &str) {
        if self.kind.speaks_engine_io() {
            self.send(&format!(r#"42["join","{room}"]"#)).await;
        } else {
            self.send(&format!(r#"{{"type":"join","room":"{room}","ack":"in"}}"#)).await;
        }
        self.until("joined").await;
    }

    pub(crate) async fn emit(&mut self, room: &str, number: usize) {
        let data = format!(r#"{{"n":{number},"filler":"{FILLER}"}}"#);
        let text = if self.kind.speaks_engine_io() {
            format!(r#"42["emit","{room}",{data}]"#)
        } else {
            format!(r#"{{"type":"emit","room":"{room}","event":"e","data":{data}}}"#)
        };
        self.send(&text).await;
    }

    /// Hears so many events, from 0 on; how many it heard before it was cut.
    pub(crate) async fn follow(&mut self, events: usize) -> usize {
        self.follow_from(0, events).await
    }

    pub(crate) async fn follow_from(&mut self, first: usize, events: usize) -> usize {
        for expected in 0..events {
            match self.number().await {
                Some(number) => {
                    assert_eq!(number, first + expected, "lost, doubled or out of order");
                }
                None => return expected,
            }
        }
        events
    }

    /// How long so many events took, which say when they were sent.
    pub(crate) async fn times(&mut self, events: usize, start: Instant) -> Vec<u32> {
        let mut times = Vec::with_capacity(events);
        while times.len() < events {
            let sent = self.number().await.expect("not cut");
            times.push((start.elapsed().as_micros() as usize - sent) as u32);
        }
        times
    }

    /// The next event's number. Cancel-safe.
    pub(crate) async fn number(&mut self) -> Option<usize> {
        loop {
            let text = self.next().await?;
            let marked = text.windows(5).position(|bytes| bytes == br#"{"n":"#);
            if let Some(at) = marked {
                self.note(&text);
                let digits = text[at + 5..].iter().take_while(|byte| byte.is_ascii_digit());
                return Some(
                    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')),
                );
            }
        }
    }

    /// Remembers an event's place, where it has one.
    fn note(&mut self, text: &[u8]) {
        let text = str::from_utf8(text).expect("text");
        let last = match self.kind {
            Kind::Engine => text.split_once(r#""offset":"#).map(|(_, rest)| {
                rest.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default()
            }),
            Kind::SocketIoRecovering => text.rsplit('"').nth(1),
            Kind::Ws | Kind::SocketIo => None,
        };
        if let Some(last) = last {
            last.clone_into(&mut self.since.last);
        }
    }

    async fn until(&mut self, part: &str) -> String {
        loop {
            let text = String::from_utf8(self.next().await.expect("not cut")).expect("text");
            if text.contains(part) {
                return text;
            }
        }
    }

    /// The next text; `None` = cut.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(text) = self.missed.pop_front() {
            return Some(text);
        }
        loop {
            let rest = &self.buffer[self.at..];
            let head = match rest {
                [_, 126, a, b, ..] => Some((4, usize::from(u16::from_be_bytes([*a, *b])))),
                [_, length @ 0..=125, ..] => Some((2, usize::from(*length))),
                [_, 127, ..] => panic!("a huge frame"),
                _ => None,
            };
            if let Some((start, length)) = head
                && rest.len() >= start + length
            {
                let (opcode, text) = (rest[0] & 0x0f, rest[start..start + length].to_vec());
                self.at += start + length;
                match opcode {
                    0x1 if text == b"2" && self.kind.speaks_engine_io() => self.send("3").await,
                    0x1 => return Some(text),
                    0x8 => return None,
                    0x9 => self.stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.ok()?,
                    _ => {}
                }
                continue;
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// A masked frame; a mask of zeros changes nothing.
    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81];
        if let Ok(length @ 0..=125) = u8::try_from(text.len()) {
            frame.push(0x80 | length);
        } else {
            frame.push(0xfe);
            frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }
}
