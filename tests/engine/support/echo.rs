//! A WebSocket echo made of the engine's own front door and socket: the engine itself never sends back what it
//! was sent, which the Autobahn cases need.

use std::time::Duration;

use civicpress_realtime::{
    net::{
        front_door,
        head::Head,
        socket::{Incoming, Socket},
        stream::Stream,
    },
    protocol::ws_frame,
};
use tokio::net::{TcpListener, TcpStream};

const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(echo(stream));
    }
}

async fn echo(stream: TcpStream) {
    let mut stream = Stream::from(stream);
    let Ok(head) = Head::read(&mut stream, &mut Vec::new()).await else { return };
    let Ok(key) = head.accept_key() else { return };
    if front_door::accept(&mut stream, &key, None).await.is_err() {
        return;
    }
    let rest = head.bytes[head.length..].to_vec();
    let mut socket = Socket::new(stream, rest, 2048, MESSAGE_BYTES_MAX);
    loop {
        match socket.read(&mut MESSAGE_BYTES_MAX.clone()) {
            Incoming::Binary(bytes) => socket.queue(ws_frame::binary(&bytes)),
            Incoming::Text(text) => socket.queue(ws_frame::text(text.as_str())),
            Incoming::Alive | Incoming::Later => {}
            Incoming::Nothing => {
                if socket.write().is_err() || socket.ready(true).await.is_err() {
                    return;
                }
            }
            Incoming::Gone => {
                let farewell = async {
                    while socket.write().is_ok() && !socket.is_drained() {
                        if socket.ready(false).await.is_err() {
                            return;
                        }
                    }
                };
                drop(tokio::time::timeout(Duration::from_secs(2), farewell).await);
                return;
            }
            Incoming::Violation(reason) => {
                return socket
                    .close(ws_frame::close(reason.close_code(), &reason.close_text()))
                    .await;
            }
        }
    }
}
