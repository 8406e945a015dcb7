//! The accept loop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::watch,
};

use crate::{
    config::Config,
    error::EngineError,
    limits::LISTEN_BACKLOG,
    net::{Shared, front_door},
};

/// Longest pause after failed accepts, such as when file descriptors run out.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Binds the configured address.
pub async fn bind(config: &Config) -> Result<TcpListener, EngineError> {
    let named = format!("{}:{}", config.host, config.port);
    let failed = |source| EngineError::Bind { address: named.clone(), source };
    let address = lookup_host((config.host.as_str(), config.port))
        .await
        .map_err(failed)?
        .next()
        .ok_or_else(|| failed(std::io::ErrorKind::AddrNotAvailable.into()))?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
        .map_err(failed)?;
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    socket.listen(LISTEN_BACKLOG).map_err(failed)
}

/// Accepts until `accepting` turns false.
pub async fn run(listener: TcpListener, shared: Arc<Shared>, mut accepting: watch::Receiver<bool>) {
    let mut backoff = Duration::from_millis(5);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = accepting.changed() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff = Duration::from_millis(5);
                admit(stream, peer, &shared);
            }
            Err(error) => {
                log::warn!(
                    event = "accept_failed", error:% = error;
                    "accept failed, pausing {} ms: {error}",
                    backoff.as_millis()
                );
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let peer = peer.ip().to_canonical();
    // Whose connection a proxy's is, its request will tell.
    let address = (!shared.proxies.contain(peer)).then_some(peer);
    let Ok(place) = shared.half_open.take_silent(address) else {
        let refusal = front_door::turn_away(peer, shared);
        // Said if the kernel takes it at once; nobody waits for a flood to read its refusal.
        if shared.certificate.is_none()
            && let Err(error) = stream.try_write(refusal.as_bytes())
        {
            log::debug!("a half-open request was refused without a word: {error}");
        }
        return;
    };
    if shared.config.network.tcp_no_delay
        && let Err(error) = stream.set_nodelay(true)
    {
        log::debug!("TCP_NODELAY: {error}");
    }
    let shared = Arc::clone(shared);
    tokio::spawn(async move { front_door::serve(stream, peer, shared, place).await });
}
