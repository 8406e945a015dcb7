//! One WebSocket on a stream: tungstenite reads, shared frames are written straight to the stream.
//!
//! tungstenite would copy each frame into its own buffer per receiver and keep that buffer for life. Here it
//! writes only control frames (pong, close), into a small buffer that joins the queue of whole frames; so a
//! control frame never lands inside a data frame.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    task::Poll,
};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    error::CloseReason,
    limits::{CLOSE_TIMEOUT, UNREAD_REPLIES_MAX, WRITE_BUFFERS_MAX, WRITE_BYTES_MAX},
    net::stream::Stream,
    room::outbox::Taken,
};

/// A WebSocket after its 101.
#[derive(Debug)]
pub struct Socket {
    stream: Stream,
    context: WebSocketContext,
    control: Vec<u8>,
    queue: VecDeque<Bytes>,
    /// Bytes of the first frame that are written already.
    written: usize,
    /// The queue holds sync answers; nothing more is read until they are out.
    answers: usize,
    /// Pongs and JSON answers queued since the queue was last empty.
    replies: usize,
    bytes_out: u64,
}

/// What a read gave.
#[derive(Debug)]
pub enum Incoming {
    /// A binary message.
    Binary(Bytes),
    /// A text message.
    Text(tungstenite::Utf8Bytes),
    /// A ping or pong: a sign of life.
    Alive,
    /// Nothing more for now.
    Nothing,
    /// The budget is used up; there may be more.
    Later,
    /// The peer closed or went away.
    Gone,
    /// The peer broke the protocol; the session ends with this reason.
    Violation(CloseReason),
}

impl Socket {
    /// Takes over a stream after the 101. `rest` came after the request head.
    pub fn new(
        stream: Stream,
        rest: Vec<u8>,
        read_buffer_bytes: usize,
        message_bytes_max: usize,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(read_buffer_bytes)
            .write_buffer_size(0)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        Self {
            stream,
            context: WebSocketContext::from_partially_read(rest, Role::Server, Some(config)),
            control: Vec::new(),
            queue: VecDeque::new(),
            written: 0,
            answers: 0,
            replies: 0,
            bytes_out: 0,
        }
    }

    /// Reads one message, if a whole one is there, and no more than `budget` bytes; takes what was read from it.
    pub fn read(&mut self, budget: &mut usize) -> Incoming {
        let mut io = Io { stream: &mut self.stream, control: &mut self.control, budget };
        let outcome = self.context.read(&mut io);
        self.queue_control();
        match outcome {
            Ok(Message::Binary(bytes)) => Incoming::Binary(bytes),
            Ok(Message::Text(text)) => Incoming::Text(text),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Incoming::Alive,
            Ok(Message::Close(_)) => {
                // One more turn queues the answer to the close frame.
                let mut io = Io { stream: &mut self.stream, control: &mut self.control, budget };
                drop(self.context.flush(&mut io));
                self.queue_control();
                Incoming::Gone
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                if *budget == 0 {
                    Incoming::Later
                } else {
                    Incoming::Nothing
                }
            }
            Err(Error::Capacity(_)) => Incoming::Violation(CloseReason::TooBig),
            Err(Error::Utf8(_)) => Incoming::Violation(CloseReason::InvalidData),
            Err(Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => Incoming::Gone,
            Err(Error::Protocol(error)) => {
                Incoming::Violation(CloseReason::Protocol(error.to_string()))
            }
            Err(_) => Incoming::Gone,
        }
    }

    /// Queues a whole frame.
    pub fn queue(&mut self, frame: Bytes) {
        self.replies += 1;
        self.queue.push_back(frame);
    }

    /// Queues what an outbox held.
    pub fn queue_taken(&mut self, taken: &mut Taken) {
        self.answers += taken.answers;
        if self.queue.is_empty() {
            self.queue = std::mem::take(&mut taken.frames);
        } else {
            self.queue.append(&mut taken.frames);
        }
    }

    /// Forgets whole frames that are not written; one that is half written has to be finished.
    pub fn drop_unsent(&mut self) {
        self.queue.truncate(usize::from(self.written > 0));
        self.answers = 0;
        self.replies = 0;
    }

    /// Whether everything queued is written.
    pub fn is_drained(&self) -> bool {
        self.queue.is_empty() && !self.stream.has_unsent()
    }

    /// Whether the peer has to take what it asked for before it may ask again: a sync answer is still being
    /// written, or many small ones are.
    pub fn is_answering(&self) -> bool {
        self.answers > 0 || self.replies >= UNREAD_REPLIES_MAX
    }

    /// Bytes written so far.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Writes what the kernel takes at once: many frames in one call.
    pub fn write(&mut self) -> io::Result<()> {
        self.stream.try_flush()?;
        let mut budget = WRITE_BYTES_MAX;
        while !self.queue.is_empty() && budget > 0 {
            let outcome = match (self.queue.front(), self.queue.len()) {
                // The usual case, and cheaper in the kernel than a vector of one.
                (Some(frame), 1) => {
                    self.stream.try_write(frame.get(self.written..).unwrap_or_default())
                }
                _ => self.write_many(),
            };
            match outcome {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    budget = budget.saturating_sub(bytes);
                    self.advance(bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the stream can be read (if `read`) or, with something queued, written. Returns whether it
    /// can be read. Cancel-safe; for one waiter.
    pub async fn ready(&self, read: bool) -> io::Result<bool> {
        // Not `TcpStream::ready`: that enters and leaves a list of waiters at each turn of the connection.
        poll_fn(|context| {
            let readable = read && self.stream.poll_read_ready(context)?.is_ready();
            let writable = !self.is_drained() && self.stream.poll_write_ready(context)?.is_ready();
            if readable || writable { Poll::Ready(Ok(readable)) } else { Poll::Pending }
        })
        .await
    }

    fn write_many(&mut self) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); WRITE_BUFFERS_MAX];
        let mut count = 0;
        for (slot, frame) in slices.iter_mut().zip(&self.queue) {
            let skip = if count == 0 { self.written } else { 0 };
            *slot = IoSlice::new(frame.get(skip..).unwrap_or_default());
            count += 1;
        }
        self.stream.try_write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Queues `frame`, a close frame, as the last one and gives the peer a moment to take it and to close too.
    pub async fn close(&mut self, frame: Bytes) {
        self.queue(frame);
        // A peer that does not take it in time is cut off.
        drop(tokio::time::timeout(CLOSE_TIMEOUT, self.finish()).await);
    }

    async fn finish(&mut self) -> io::Result<()> {
        loop {
            self.write()?;
            if self.is_drained() {
                break;
            }
            self.ready(false).await?;
        }
        self.stream.shutdown().await?;
        let mut forgotten = [0; 1024];
        while self.stream.read(&mut forgotten).await? > 0 {}
        Ok(())
    }

    fn queue_control(&mut self) {
        if !self.control.is_empty() {
            self.replies += 1;
            self.queue.push_back(std::mem::take(&mut self.control).into());
        }
    }

    fn advance(&mut self, mut bytes: usize) {
        self.bytes_out += bytes as u64;
        while let Some(front) = self.queue.front() {
            let left = front.len() - self.written;
            if bytes < left {
                self.written += bytes;
                return;
            }
            bytes -= left;
            self.written = 0;
            self.queue.pop_front();
        }
        self.answers = 0;
        self.replies = 0;
        if self.queue.capacity() > WRITE_BUFFERS_MAX {
            self.queue = VecDeque::new();
        }
    }
}

/// What tungstenite sees as its stream.
struct Io<'a> {
    stream: &'a mut Stream,
    control: &'a mut Vec<u8>,
    budget: &'a mut usize,
}

impl Read for Io<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes_max = buffer.len().min(*self.budget);
        if bytes_max == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = self.stream.try_read(buffer.get_mut(..bytes_max).unwrap_or_default())?;
        *self.budget -= bytes;
        Ok(bytes)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.control.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
