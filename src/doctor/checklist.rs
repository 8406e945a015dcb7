//! The operator's checklist of `docs/security.md`, ticked as far as configuration and machine tell.

use std::{fmt::Write, os::unix::fs::MetadataExt, path::Path};

use rustix::process::{Resource, getrlimit};

use super::{is_weak, machine::SPARE_FILES};
use crate::config::{AuthMode, Config, Loaded, LogLevel};

/// Highest `rate_limiting.connections_per_ip` that still is a limit.
const PER_ADDRESS_MAX: usize = 1000;
/// Highest `rate_limiting.messages_per_second` that still is a limit.
const MESSAGES_PER_SECOND_MAX: u64 = 1000;
/// Highest `limits.message_bytes_max` that still is a limit.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The points' names, in the document's order.
pub const NAMES: [&str; 9] = [
    "WSS",
    "Limits",
    "Origins",
    "Tokens",
    "Permissions",
    "Connection limits",
    "Logging",
    "Firewall",
    "Updates",
];

/// Whether a point is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// It is.
    Done,
    /// It is not.
    Open,
    /// It cannot be seen from here.
    Unknown,
}

/// One point of the checklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its name, as in the document.
    pub name: &'static str,
    /// Whether it is done.
    pub tick: Tick,
    /// One line of advice.
    pub advice: String,
}

/// Goes through the list.
pub fn points(loaded: &Loaded) -> Vec<Point> {
    let config = &loaded.config;
    let point = |name, tick, advice: String| Point { name, tick, advice };
    let ticked = |done| if done { Tick::Done } else { Tick::Open };
    let local = config.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        || config.host == "localhost";
    vec![
        point("WSS", ticked(local || has_tls(loaded) || has_proxies(loaded)), wss(loaded, local)),
        point(
            "Limits",
            ticked(has_message_limits(config)),
            format!(
                "{} messages/s, {} MiB a message; keep them as low as your people allow",
                config.rate_limiting.messages_per_second,
                config.limits.message_bytes_max / (1024 * 1024)
            ),
        ),
        point(
            "Origins",
            ticked(!config.allowed_origins.iter().any(|origin| origin == "*")),
            if config.allowed_origins.is_empty() {
                "only pages of the server's own host name; list others in allowed_origins".into()
            } else {
                "list exactly the origins of your own pages, never *".into()
            },
        ),
        point(
            "Tokens",
            ticked(has_sound_tokens(config)),
            "a random secret of 32 bytes or a public key; short lives; never in URLs".into(),
        ),
        permissions(&config.system_data_dir, rustix::process::geteuid().is_root()),
        connection_limits(config),
        point(
            "Logging",
            ticked(matches!(config.log_level, LogLevel::Info | LogLevel::Warn)),
            "log_level info, kept somewhere else; alerts of deploy/prometheus loaded".into(),
        ),
        point(
            "Firewall",
            if local { Tick::Done } else { Tick::Unknown },
            if local {
                "listens on this machine only; nothing outside reaches it directly".into()
            } else {
                format!("let only those who need it, best your proxy, reach port {}", config.port)
            },
        ),
        point(
            "Updates",
            Tick::Unknown,
            format!(
                "this is {}; keep it, Node and the system patched; read CHANGELOG.md",
                env!("CARGO_PKG_VERSION")
            ),
        ),
    ]
}

/// The list for people, at most 80 columns wide.
pub fn render(points: &[Point]) -> String {
    let mut out = String::from("Operator's checklist ([?] cannot be seen from here):\n");
    for Point { name, tick, advice } in points {
        let mark = match tick {
            Tick::Done => "[x]",
            Tick::Open => "[ ]",
            Tick::Unknown => "[?]",
        };
        let written = write!(out, "{mark} {name}\n      {advice}\n");
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    out
}

fn has_tls(loaded: &Loaded) -> bool {
    loaded.value("tls.enabled").is_some_and(|value| value.value.as_bool() == Some(true))
}

fn has_proxies(loaded: &Loaded) -> bool {
    let proxies = loaded.value("trusted_proxies");
    proxies.and_then(|value| value.value.as_array()).is_some_and(|list| !list.is_empty())
}

fn wss(loaded: &Loaded, local: bool) -> String {
    match () {
        () if has_tls(loaded) => "TLS ends here; renew the certificate before it runs out",
        () if has_proxies(loaded) => "the trusted proxy has to end TLS; pass wss:// only",
        () if local => "listens on this machine only; a proxy in front has to end TLS",
        () => "set tls.enabled, tls.cert, tls.key; or 127.0.0.1 behind a proxy with TLS",
    }
    .into()
}

fn has_message_limits(config: &Config) -> bool {
    config.rate_limiting.messages_per_second <= MESSAGES_PER_SECOND_MAX
        && config.limits.message_bytes_max <= MESSAGE_BYTES_MAX
}

fn has_sound_tokens(config: &Config) -> bool {
    let secret_is_weak = config.auth.jwt.secret.as_deref().is_some_and(is_weak);
    let own = config.auth.mode != AuthMode::Jwt
        || (crate::config::validate_auth(config).is_ok() && !secret_is_weak);
    own && !config.auth.allow_query_token
}

/// Who else on this machine may read what the engine keeps.
pub(super) fn permissions(dir: &Path, root: bool) -> Point {
    let shared = dir.metadata().is_ok_and(|meta| meta.mode() & 0o007 != 0);
    let advice = match (root, shared) {
        (true, _) => "runs as root here; give it a user of its own".into(),
        (false, true) => format!("run: chmod o-rwx {}", dir.display()),
        (false, false) => "a user of its own; nobody else reads its folders".into(),
    };
    let tick = if root || shared { Tick::Open } else { Tick::Done };
    Point { name: "Permissions", tick, advice }
}

fn connection_limits(config: &Config) -> Point {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = u64::try_from(config.limits.max_connections).unwrap_or(u64::MAX);
    let per_address = config.rate_limiting.connections_per_ip;
    let fits = files >= most.saturating_add(SPARE_FILES);
    let advice = if fits {
        format!(
            "{per_address} an address, {} a user, {most} in all",
            config.rate_limiting.connections_per_user
        )
    } else {
        format!(
            "{most} in all need {} open files; {files} are allowed",
            most.saturating_add(SPARE_FILES)
        )
    };
    let tick = if fits && per_address <= PER_ADDRESS_MAX { Tick::Done } else { Tick::Open };
    Point { name: "Connection limits", tick, advice }
}
