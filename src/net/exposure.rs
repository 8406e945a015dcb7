//! What an operator would not want an engine on the open network to be like.

use std::net::SocketAddr;

use crate::config::Config;

/// What is unsafe about a deployment that listens at `address`, in one sentence; `None` = nothing.
///
/// Tokens and texts without encryption are for loopback, or for the way from a proxy that has taken TLS off;
/// that there is one, `trusted_proxies` says.
pub fn unencrypted(config: &Config, address: SocketAddr) -> Option<&'static str> {
    let local = address.ip().to_canonical().is_loopback();
    let exposed =
        config.production && !config.tls.enabled && !local && config.trusted_proxies.is_empty();
    exposed.then_some(
        "NODE_ENV is production, and tokens and texts cross the network unencrypted: \
         set tls.enabled, or trusted_proxies to the proxy that terminates TLS, or host to 127.0.0.1",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_deployments_without_encryption_are_unsafe() {
        let config = || Config { production: true, ..Config::default() };
        let is_unsafe = |config: &Config, address: &str| {
            unencrypted(config, address.parse().unwrap()).is_some()
        };
        for (address, expected) in [
            ("0.0.0.0:3001", true),
            ("[::]:3001", true),
            ("192.0.2.1:3001", true),
            ("127.0.0.1:3001", false),
            ("[::1]:3001", false),
            ("[::ffff:127.0.0.1]:3001", false),
        ] {
            assert_eq!(is_unsafe(&config(), address), expected, "{address}");
        }
        let mut with_tls = config();
        with_tls.tls.enabled = true;
        assert!(!is_unsafe(&with_tls, "0.0.0.0:1"));
        let behind = Config { trusted_proxies: vec!["10.0.0.0/8".into()], ..config() };
        assert!(!is_unsafe(&behind, "0.0.0.0:1"));
        assert!(!is_unsafe(&Config::default(), "0.0.0.0:1"), "somebody's machine");
    }
}
