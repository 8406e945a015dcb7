//! The floor: a WebSocket relay with one task and one bounded queue per connection, on the same runtime and
//! the same WebSocket library. A frame goes to everybody else who has the same path.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use civicpress_realtime::{config::Config, engine, limits};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
};
use tungstenite::{
    Error, Message,
    handshake::derive_accept_key,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

/// Frames a reader may be behind; then it is cut off.
const QUEUE_MAX: usize = 4096;
const FRAMES_PER_WAKE_MAX: usize = 256;

type Room = Arc<Mutex<Vec<(u64, Sender<Bytes>)>>>;
type Rooms = Arc<Mutex<HashMap<String, Room>>>;

pub(crate) fn serve(wait: impl FnOnce(SocketAddr)) {
    let runtime = engine::runtime(&Config::default()).unwrap();
    let listener = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(limits::LISTEN_BACKLOG).unwrap()
    });
    let address = listener.local_addr().unwrap();
    runtime.spawn(accept(listener));
    wait(address);
    runtime.shutdown_timeout(Duration::from_secs(1));
}

async fn accept(listener: TcpListener) {
    let rooms = Rooms::default();
    for id in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let rooms = Arc::clone(&rooms);
        tokio::spawn(async move {
            let Ok(path) = shake_hands(&stream).await else { return };
            let room = Arc::clone(rooms.lock().entry(path).or_default());
            let (sender, queue) = mpsc::channel(QUEUE_MAX);
            room.lock().push((id, sender));
            // As in the engine: the handshake's memory is not kept for the connection's life.
            tokio::spawn(async move {
                drop(relay(&stream, id, &room, queue).await);
                room.lock().retain(|(member, _)| *member != id);
            });
        });
    }
}

async fn shake_hands(stream: &TcpStream) -> io::Result<String> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        stream.readable().await?;
        match stream.try_read_buf(&mut head) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    let head = String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.unwrap_or_default().as_bytes())
    );
    // An empty socket takes so little at once.
    stream.writable().await?;
    stream.try_write(response.as_bytes())?;
    Ok(path)
}

async fn relay(
    stream: &TcpStream,
    id: u64,
    room: &Room,
    mut queue: Receiver<Bytes>,
) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(16 * 1024);
    let mut socket = WebSocketContext::new(Role::Server, Some(config));
    let mut io = Io(stream);
    let mut flushed = true;
    let mut frames = Vec::new();
    loop {
        tokio::select! {
            taken = queue.recv_many(&mut frames, FRAMES_PER_WAKE_MAX), if flushed => {
                if taken == 0 {
                    return Ok(());
                }
                for frame in frames.drain(..) {
                    pending(socket.write(&mut io, Message::Binary(frame)))?;
                }
                flushed = pending(socket.flush(&mut io))?;
            }
            ready = stream.writable(), if !flushed => {
                ready?;
                flushed = pending(socket.flush(&mut io))?;
            }
            ready = stream.readable() => {
                ready?;
                loop {
                    match socket.read(&mut io) {
                        Ok(Message::Binary(frame)) => send(room, id, &frame),
                        Ok(_) => {}
                        Err(error) if is_pending(&error) => break,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

fn send(room: &Room, from: u64, frame: &Bytes) {
    room.lock().retain(|(id, queue)| *id == from || queue.try_send(frame.clone()).is_ok());
}

fn is_pending(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// `Ok(false)` if the kernel takes no more for now; what was given stays in the socket's buffer.
fn pending(outcome: Result<(), Error>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if is_pending(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

struct Io<'a>(&'a TcpStream);

impl Read for Io<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
