//! One byte stream of a peer: TCP, or TLS on it, with the non-blocking calls a connection is made of.
//!
//! Plain TCP is tokio's own calls, without a copy in between. TLS is rustls driven by the same calls; what it
//! has encrypted and the kernel has not taken is at most [`TLS_BUFFER_BYTES`].

use std::{
    future::poll_fn,
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rustls::{
    ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection,
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::limits::TLS_BUFFER_BYTES;

/// A peer's stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS on TCP, after its handshake.
    Tls(Box<TlsStream>),
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }
}

impl Stream {
    /// Reads what is there; `WouldBlock` = nothing for now, `Ok(0)` = the peer's end.
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
        }
    }

    /// Writes what is taken at once.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write(bytes),
            Self::Tls(tls) => tls.try_write(|session| session.writer().write(bytes)),
        }
    }

    /// Writes what is taken at once of several buffers.
    pub fn try_write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.try_write_vectored(buffers),
            Self::Tls(tls) => tls.try_write(|session| session.writer().write_vectored(buffers)),
        }
    }

    /// Passes on what was taken but is not on its way yet. `Ok` also if some of it still is not.
    pub fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => would_block_is_fine(tls.flush()),
        }
    }

    /// Whether something that was taken waits for the kernel.
    pub fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.wants_write(),
        }
    }

    /// Ready once there may be more to read. Ask only after [`Stream::try_read`] said `WouldBlock`: what TLS
    /// has decrypted already announces itself no more. For one waiter.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read_ready(context)
    }

    /// Ready once the kernel takes bytes. For one waiter.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_write_ready(context)
    }

    /// Waits for [`Stream::poll_read_ready`].
    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|context| self.poll_read_ready(context)).await
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.tcp,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Self::Tls(tls) => loop {
                match tls.try_read(buffer.initialize_unfilled()) {
                    Ok(count) => {
                        buffer.advance(count);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(tls.tcp.poll_read_ready(context))?;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Self::Tls(tls) => {
                tls.poll(context, |tls| tls.try_write(|session| session.writer().write(bytes)))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(context),
            Self::Tls(tls) => tls.poll(context, TlsStream::flush),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            Self::Tls(tls) => {
                tls.say_goodbye();
                ready!(tls.poll(context, TlsStream::flush))?;
                Pin::new(&mut tls.tcp).poll_shutdown(context)
            }
        }
    }
}

/// TLS on TCP. Dropping it sends `close_notify` if the kernel takes it at once, so that the peer can tell an
/// end from a cut.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    session: Connection,
    said_goodbye: bool,
}

impl TlsStream {
    /// Goes through the handshake. The caller holds the clock.
    pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Self::shake_hands(tcp, session.into()).await
    }

    /// Goes through the handshake from the other end. The caller holds the clock.
    pub async fn connect(tcp: TcpStream, config: Arc<ClientConfig>) -> io::Result<Self> {
        let name = ServerName::from(tcp.peer_addr()?.ip());
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Self::shake_hands(tcp, session.into()).await
    }

    async fn shake_hands(tcp: TcpStream, mut session: Connection) -> io::Result<Self> {
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        let mut stream = Self { tcp, session, said_goodbye: false };
        poll_fn(|context| stream.poll_handshake(context)).await?;
        Ok(stream)
    }

    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll(context, Self::flush))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            match self.receive() {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            self.receive()?;
            // What the peer asked of TLS itself, such as new keys, is answered on the way.
            would_block_is_fine(self.flush())?;
        }
    }

    /// Takes in bytes of the kernel's. A peer that breaks TLS is told with an alert.
    fn receive(&mut self) -> io::Result<usize> {
        let count = self.session.read_tls(&mut Kernel(&self.tcp))?;
        if let Err(error) = self.session.process_new_packets() {
            drop(self.flush());
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        Ok(count)
    }

    /// Takes bytes only once those before are with the kernel, which bounds what is held here.
    fn try_write(
        &mut self,
        write: impl FnOnce(&mut Connection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.flush()?;
        let count = write(&mut self.session)?;
        would_block_is_fine(self.flush())?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut Kernel(&self.tcp))?;
        }
        Ok(())
    }

    fn say_goodbye(&mut self) {
        if !std::mem::replace(&mut self.said_goodbye, true) {
            self.session.send_close_notify();
        }
    }

    /// Turns `WouldBlock` of something that writes into a wait.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        mut work: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match work(self) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.tcp.poll_write_ready(context))?;
                }
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.say_goodbye();
        // A peer that is gone needs no goodbye.
        drop(self.flush());
    }
}

fn would_block_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        outcome => outcome,
    }
}

/// What rustls sees as its socket.
struct Kernel<'a>(&'a TcpStream);

impl Read for Kernel<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
