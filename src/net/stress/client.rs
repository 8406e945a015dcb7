//! One client of a load test. It understands what this engine sends and nothing else.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use super::Counts;
use crate::{
    limits::{EVENT_HOST_BYTES_MAX, STRESS_SETTLE},
    net::stream::{Stream, TlsStream},
};

/// A client that is in its room.
#[derive(Debug)]
pub(super) struct Client {
    stream: Stream,
    received: Vec<u8>,
}

impl Client {
    /// Connects, over TLS if that is given, and joins.
    pub(super) async fn open(
        address: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
        path: &str,
        token: &str,
        room: &str,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a connection failed: {}", error.kind());
        let tcp = TcpStream::connect(address).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let stream = match tls {
            None => tcp.into(),
            Some(config) => match TlsStream::connect(tcp, config).await {
                Ok(tls) => Stream::Tls(Box::new(tls)),
                Err(error) => return Err(format!("a TLS handshake failed: {error}")),
            },
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        let mut client = Self { stream, received: Vec::new() };
        client.write(request.as_bytes()).await.map_err(failed)?;
        loop {
            if let Some(end) = client.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(client.received.get(..end).unwrap_or_default());
                if !head.starts_with("HTTP/1.1 101") {
                    let status = head.lines().next().unwrap_or_default();
                    return Err(format!("a connection was refused: {status}"));
                }
                client.received.drain(..end + 4);
                break;
            }
            client.receive().await.map_err(failed)?;
        }
        let join = serde_json::json!({ "type": "join", "room": room, "ack": "in" }).to_string();
        client.send(&join).await.map_err(failed)?;
        loop {
            let Some(text) = client.next().await.map_err(failed)? else {
                return Err("a connection was closed".into());
            };
            if text.contains(r#""ack":"in""#) {
                let joined = text.contains(r#""type":"joined""#);
                return if joined { Ok(client) } else { Err("the room may not be joined".into()) };
            }
        }
    }

    /// Speaks at its times and hears until the test has ended; its round trips.
    pub(super) async fn speak(
        mut self,
        room: String,
        payload_bytes: usize,
        (first, pause, until): (Instant, Duration, Instant),
        counts: Arc<Counts>,
    ) -> Vec<Duration> {
        let mark = format!("{:016x}", fastrand::u64(..));
        let filler = "x".repeat(payload_bytes);
        let mut waiting = std::collections::VecDeque::<Instant>::new();
        let mut times = Vec::new();
        let mut next = first;
        while !counts.ended.load(Ordering::Acquire) {
            // Its own come back in the order they were sent.
            let heard = tokio::select! {
                () = sleep_until(next), if next < until => {
                    let data = serde_json::json!({ "mark": mark, "filler": filler });
                    let emit = serde_json::json!({
                        "type": "emit", "room": room, "event": "stress", "data": data,
                    });
                    waiting.push_back(Instant::now());
                    if self.send(&emit.to_string()).await.is_err() {
                        break;
                    }
                    counts.sent.fetch_add(1, Ordering::AcqRel);
                    next += pause;
                    continue;
                }
                heard = timeout(STRESS_SETTLE, self.next()) => heard,
            };
            match heard {
                Ok(Ok(Some(text))) if text.contains(r#""event":"stress""#) => {
                    counts.heard.fetch_add(1, Ordering::AcqRel);
                    if text.contains(&mark)
                        && let Some(sent_at) = waiting.pop_front()
                    {
                        times.push(sent_at.elapsed());
                    }
                }
                // Something else, or nothing for a while.
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(_) => break,
            }
        }
        times
    }

    /// A masked text frame; a mask of zeros changes nothing.
    async fn send(&mut self, text: &str) -> std::io::Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        frame.push(0x81);
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(short @ 0..=125), _) => frame.push(0x80 | short),
            (_, Ok(length)) => {
                frame.push(0xfe);
                frame.extend(length.to_be_bytes());
            }
            _ => {
                frame.push(0xff);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend_from_slice(text.as_bytes());
        self.write(&frame).await
    }

    /// To the kernel: TLS may have taken bytes and still hold them.
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next text; `None` = the server closed. Cancel-safe.
    async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            if let Some((opcode, payload)) = self.frame() {
                match opcode {
                    0x1 => return Ok(Some(payload)),
                    0x8 => return Ok(None),
                    // A pong in answer to a ping, which has no payload.
                    0x9 => self.write(&[0x8a, 0x80, 0, 0, 0, 0]).await?,
                    _ => {}
                }
                continue;
            }
            self.receive().await?;
        }
    }

    async fn receive(&mut self) -> std::io::Result<()> {
        if self.received.len() > 4 * EVENT_HOST_BYTES_MAX {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        if self.stream.read_buf(&mut self.received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Takes a whole frame, if there is one.
    fn frame(&mut self) -> Option<(u8, String)> {
        let (first, second) = (*self.received.first()?, *self.received.get(1)?);
        let (start, length): (usize, usize) = match second {
            126 => {
                let bytes = self.received.get(2..4)?.try_into().ok()?;
                (4, usize::from(u16::from_be_bytes(bytes)))
            }
            127 => {
                let bytes = self.received.get(2..10)?.try_into().ok()?;
                (10, usize::try_from(u64::from_be_bytes(bytes)).ok()?)
            }
            short => (2, usize::from(short)),
        };
        let payload = self.received.get(start..start.checked_add(length)?)?;
        let text = String::from_utf8_lossy(payload).into_owned();
        self.received.drain(..start + length);
        Some((first & 0x0f, text))
    }
}
