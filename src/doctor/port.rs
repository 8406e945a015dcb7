//! Whether the port is free, and if not, whether an engine already answers there.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    time::Duration,
};

use super::Check;
use crate::config::Config;

const NAME: &str = "port";
/// Wait for each step of asking whoever holds the port.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// Most of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// `host:port` as a URL writes it.
pub(super) fn address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

pub(super) fn check(config: &Config) -> Check {
    let shown = address(&config.host, config.port);
    let addresses = match (config.host.as_str(), config.port).to_socket_addrs() {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => {
            return Check::fail(
                NAME,
                format!("{} has no address: {error}", config.host),
                "set host to an address of this machine",
            );
        }
    };
    match TcpListener::bind(addresses.as_slice()) {
        Ok(_) if config.port == 0 => Check::ok(NAME, format!("any free port of {}", config.host)),
        Ok(_) => Check::ok(NAME, format!("{shown} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => in_use(&shown, &addresses),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Check::fail(
            NAME,
            format!("{shown} may not be bound: {error}"),
            "choose a port above 1023",
        ),
        Err(error) => Check::fail(
            NAME,
            format!("{shown} cannot be bound: {error}"),
            "set host to an address of this machine",
        ),
    }
}

fn in_use(shown: &str, addresses: &[SocketAddr]) -> Check {
    if addresses.iter().any(|address| engine_answers(*address)) {
        return Check::warn(
            NAME,
            format!("{shown} is in use by a running engine"),
            "stop it before starting another, or set another port",
        );
    }
    Check::fail(
        NAME,
        format!("{shown} is in use; by whom cannot be told from here"),
        "set another port, or find its user, for example with: ss -ltnp",
    )
}

fn engine_answers(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    ask(SocketAddr::new(ip, address.port())).is_ok_and(|answer| {
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        answer.starts_with("HTTP/1.") && body.contains("\"status\"") && body.contains("\"rooms\"")
    })
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ASK_TIMEOUT)?;
    stream.set_read_timeout(Some(ASK_TIMEOUT))?;
    stream.set_write_timeout(Some(ASK_TIMEOUT))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut limited = stream.take(ANSWER_BYTES_MAX);
    let mut buffer = [0; 2048];
    // An answer that trickles or never ends: what has come is what counts.
    while let Ok(count @ 1..) = limited.read(&mut buffer) {
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if answer.windows(9).any(|part| part == b"\"rooms\":{") {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
