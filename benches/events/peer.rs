//! A client that costs as little as it can: it reads frames, and of an event the number.

use std::net::SocketAddr;

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
}

impl Peer {
    /// With what more than the plain protocol there is.
    pub(crate) async fn extended(kind: Kind, address: SocketAddr) -> Self {
        Self::connect_to(kind, address, "/socket.io/?protocol=events").await
    }

    pub(crate) async fn connect(kind: Kind, address: SocketAddr) -> Self {
        Self::connect_to(kind, address, "/socket.io/").await
    }

    /// Joins, again after what was heard last, if the server knows such a thing: its history and its last number.
    pub(crate) async fn rejoin(
        &mut self,
        room: &str,
        since: Option<&(String, usize)>,
    ) -> (String, usize) {
        if self.kind != Kind::Engine {
            self.join(room).await;
            return (String::new(), 0);
        }
        let since = since.map_or_else(String::new, |(epoch, offset)| {
            format!(r#","since":{{"epoch":"{epoch}","offset":{offset}}}"#)
        });
        self.send(&format!(r#"{{"type":"join","room":"{room}","ack":"in"{since}}}"#)).await;
        loop {
            let text = self.next().await.expect("not cut");
            let joined: serde_json::Value = serde_json::from_slice(&text).unwrap();
            if joined["type"] == "joined" {
                let epoch = joined["epoch"].as_str().unwrap().to_owned();
                assert_ne!(joined["recovered"], false, "something is lost");
                let replayed = since
                    .rsplit(':')
                    .next()
                    .and_then(|rest| rest.trim_end_matches('}').parse::<usize>().ok());
                return (epoch, replayed.unwrap_or(joined["offset"].as_u64().unwrap() as usize));
            }
        }
    }

    async fn connect_to(kind: Kind, address: SocketAddr, plain: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let path = match kind {
            Kind::SocketIo => "/socket.io/?EIO=4&transport=websocket",
            _ => plain,
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut peer = Self { kind, stream, buffer: Vec::new(), at: 0 };
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
        if kind == Kind::SocketIo {
            peer.until("0{").await;
            peer.send("40").await;
            peer.until("40{").await;
        }
        peer
    }

    pub(crate) async fn join(&mut self, room: &str) {
        if self.kind == Kind::SocketIo {
            self.send(&format!(r#"42["join","{room}"]"#)).await;
        } else {
            self.send(&format!(r#"{{"type":"join","room":"{room}","ack":"in"}}"#)).await;
        }
        self.until("joined").await;
    }

    pub(crate) async fn emit(&mut self, room: &str, number: usize) {
        let data = format!(r#"{{"n":{number},"filler":"{FILLER}"}}"#);
        let text = if self.kind == Kind::SocketIo {
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
                let digits = text[at + 5..].iter().take_while(|byte| byte.is_ascii_digit());
                return Some(
                    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')),
                );
            }
        }
    }

    async fn until(&mut self, part: &str) {
        loop {
            let text = self.next().await.expect("not cut");
            if String::from_utf8_lossy(&text).contains(part) {
                return;
            }
        }
    }

    /// The next text; `None` = cut.
    async fn next(&mut self) -> Option<Vec<u8>> {
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
                    0x1 if text == b"2" && self.kind == Kind::SocketIo => self.send("3").await,
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
