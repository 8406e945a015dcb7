//! The address a connection counts as. Behind a proxy every socket has the proxy's address; what it forwards
//! counts only if the operator trusts that proxy, since any client can send the header too.

use std::net::{IpAddr, Ipv6Addr};

use crate::{limits::FORWARDED_HOPS_MAX, net::head::Head};

/// What limits count an address as: IPv6 by its /64, which one customer owns; IPv4-mapped as IPv4.
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The proxies whose forwarded addresses count.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Clone, Copy, Debug)]
struct Network {
    address: u128,
    mask: u128,
}

impl TrustedProxies {
    /// Of addresses and networks in the form `config::forms` checked.
    pub fn new(networks: &[String]) -> Self {
        Self(networks.iter().filter_map(|text| Network::parse(text)).collect())
    }

    /// Whether the socket's peer is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let bits = bits(address);
        self.0.iter().any(|network| bits & network.mask == network.address)
    }

    /// Who sent the request that came from `peer`: the right-most forwarded address that is no trusted proxy.
    ///
    /// What stands left of it is the client's own word. Where the two headers tell different clients, one of
    /// them came through a proxy that does not know it, and the last hop that is certain counts.
    pub fn client(&self, peer: IpAddr, head: &Head) -> IpAddr {
        if !self.contain(peer) {
            return peer.to_canonical();
        }
        let by_list = |name, hop: fn(&str) -> Option<IpAddr>| {
            let hops = head.list(name);
            (!hops.is_empty()).then(|| self.follow(peer, hops.into_iter().rev().map(hop)))
        };
        match (by_list("x-forwarded-for", address), by_list("forwarded", forwarded_for)) {
            (Some(a), Some(b)) if a != b => peer,
            (a, b) => a.or(b).unwrap_or(peer),
        }
        .to_canonical()
    }

    fn follow(&self, peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut last = peer;
        for hop in hops.take(FORWARDED_HOPS_MAX) {
            // Not an address: the hop that wrote it is the last one known.
            let Some(hop) = hop else { break };
            last = hop;
            if !self.contain(hop) {
                break;
            }
        }
        last
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.trim().parse().ok()?;
        let bits_of_form = if address.is_ipv4() { 32 } else { 128 };
        let length = if length.is_empty() { bits_of_form } else { length.parse().ok()? };
        let shift = u32::checked_sub(bits_of_form, length)?;
        let mask = u128::MAX.checked_shl(shift).unwrap_or_default();
        Some(Self { address: bits(address) & mask, mask })
    }
}

/// IPv4 as its IPv4-mapped IPv6, so that one comparison serves both.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// `203.0.113.7`, `203.0.113.7:1234`, `2001:db8::1`, `[2001:db8::1]:1234`.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let parsed = match hop.strip_prefix('[') {
        Some(rest) => rest.split_once(']').and_then(|(inside, _)| inside.parse().ok()),
        None => hop.parse().ok().or_else(|| hop.rsplit_once(':')?.0.parse().ok()),
    };
    parsed.map(|address: IpAddr| address.to_canonical())
}

/// The `for` of one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &str) -> String {
        let proxies = ["10.0.0.0/8", "2001:db8:f::/48", "127.0.0.1"].map(str::to_owned);
        let head = Head::parse(format!("GET / HTTP/1.1\r\n{headers}\r\n").as_bytes());
        let head = head.unwrap().unwrap();
        TrustedProxies::new(&proxies).client(peer.parse().unwrap(), &head).to_string()
    }

    #[test]
    fn forwarded_addresses_count_only_from_trusted_proxies() {
        for (peer, headers, expected) in [
            ("203.0.113.1", "X-Forwarded-For: 198.51.100.7\r\n", "203.0.113.1"),
            ("203.0.113.1", "Forwarded: for=198.51.100.7\r\n", "203.0.113.1"),
            ("10.1.2.3", "", "10.1.2.3"),
            ("10.1.2.3", "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            ("::ffff:10.1.2.3", "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            ("127.0.0.1", "X-Forwarded-For: 198.51.100.7:4711\r\n", "198.51.100.7"),
            ("127.0.0.2", "X-Forwarded-For: 198.51.100.7\r\n", "127.0.0.2"),
            ("2001:db8:f::1", "X-Forwarded-For: [2001:db8::7]:99\r\n", "2001:db8::7"),
            ("2001:db8:e::1", "X-Forwarded-For: 198.51.100.7\r\n", "2001:db8:e::1"),
        ] {
            assert_eq!(client(peer, headers), expected, "{peer} {headers}");
        }
    }

    #[test]
    fn the_right_most_untrusted_hop_counts() {
        for (headers, expected) in [
            ("X-Forwarded-For: 1.1.1.1, 198.51.100.7, 10.9.9.9\r\n", "198.51.100.7"),
            ("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            ("X-Forwarded-For: 10.0.0.5, 10.0.0.6\r\n", "10.0.0.5"),
            ("X-Forwarded-For: 198.51.100.7, unknown\r\n", "10.0.0.1"),
            ("X-Forwarded-For: 198.51.100.7, unknown, 10.0.0.9\r\n", "10.0.0.9"),
            ("Forwarded: for=1.1.1.1, FOR=\"198.51.100.7:80\";proto=https\r\n", "198.51.100.7"),
            ("Forwarded: for=\"[2001:db8::7]\";by=10.0.0.1\r\n", "2001:db8::7"),
            ("Forwarded: for=_hidden\r\n", "10.0.0.1"),
            ("Forwarded: proto=https\r\n", "10.0.0.1"),
            ("Forwarded: for=198.51.100.7\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            // One of them is the client's own invention.
            ("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 198.51.100.7\r\n", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", headers), expected, "{headers}");
        }
        let many = format!("X-Forwarded-For: 1.1.1.1{}\r\n", ", 10.0.0.9".repeat(40));
        assert_eq!(client("10.0.0.1", &many), "10.0.0.9", "followed to a bound");
    }

    #[test]
    fn ipv6_counts_by_its_64() {
        let counted = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(counted("2001:db8:1:2::1"), counted("2001:db8:1:2:ffff::9"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:10.0.0.1"), counted("10.0.0.1"));
    }

    #[test]
    fn a_prefix_of_nothing_trusts_everybody() {
        let all = TrustedProxies::new(&["0.0.0.0/0".into(), "::/0".into()]);
        assert!(all.contain("8.8.8.8".parse().unwrap()) && all.contain("::1".parse().unwrap()));
        let v4 = TrustedProxies::new(&["0.0.0.0/0".into()]);
        assert!(v4.contain("8.8.8.8".parse().unwrap()) && !v4.contain("2001::1".parse().unwrap()));
    }
}
