//! Admitted connections: counted by address and user, and reachable by user for revocation.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{config::Config, error::CloseReason, ids::ConnectionId, room::outbox::Outbox};

/// The table of admitted connections.
#[derive(Debug)]
pub struct Sessions {
    per_address_max: usize,
    per_user_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    connections: HashMap<ConnectionId, Entry>,
    per_address: HashMap<IpAddr, usize>,
    per_user: HashMap<String, usize>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    user_id: String,
    outbox: Arc<Outbox>,
}

/// A place in the table; given back when dropped, on every path.
#[derive(Debug)]
pub struct Admission {
    sessions: Arc<Sessions>,
    connection: ConnectionId,
}

impl Sessions {
    /// An empty table with the configured limits.
    pub fn new(config: &Config) -> Self {
        Self {
            per_address_max: config.rate_limiting.connections_per_ip,
            per_user_max: config.rate_limiting.connections_per_user,
            table: Mutex::default(),
        }
    }

    /// Takes a place for a connection, if its address and its user have one left.
    pub fn admit(
        self: &Arc<Self>,
        connection: ConnectionId,
        address: IpAddr,
        user_id: &str,
        outbox: Arc<Outbox>,
    ) -> Result<Admission, CloseReason> {
        let address = address_key(address);
        let mut table = self.table.lock();
        if table.per_address.get(&address).is_some_and(|count| *count >= self.per_address_max) {
            let limit = self.per_address_max;
            return Err(CloseReason::ConnectionLimit(format!(
                "per-IP connection limit reached ({limit})"
            )));
        }
        if table.per_user.get(user_id).is_some_and(|count| *count >= self.per_user_max) {
            let limit = self.per_user_max;
            return Err(CloseReason::ConnectionLimit(format!(
                "per-user connection limit reached ({limit})"
            )));
        }
        *table.per_address.entry(address).or_default() += 1;
        *table.per_user.entry(user_id.to_owned()).or_default() += 1;
        table
            .connections
            .insert(connection, Entry { address, user_id: user_id.to_owned(), outbox });
        Ok(Admission { sessions: Arc::clone(self), connection })
    }

    /// Ends all sessions of a user; returns how many there were.
    pub fn revoke(&self, user_id: &str, reason: &str) -> usize {
        let outboxes: Vec<_> = {
            let table = self.table.lock();
            let of_user = table.connections.values().filter(|entry| entry.user_id == user_id);
            of_user.map(|entry| Arc::clone(&entry.outbox)).collect()
        };
        for outbox in &outboxes {
            outbox.close(CloseReason::SessionRevoked(reason.to_owned()));
        }
        outboxes.len()
    }

    /// Connections, distinct users, distinct addresses.
    pub fn counts(&self) -> (usize, usize, usize) {
        let table = self.table.lock();
        (table.connections.len(), table.per_user.len(), table.per_address.len())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut table = self.sessions.table.lock();
        let Some(entry) = table.connections.remove(&self.connection) else { return };
        count_down(&mut table.per_address, &entry.address);
        count_down(&mut table.per_user, &entry.user_id);
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What an address is counted as: IPv6 by its /64, which one customer owns; IPv4-mapped as IPv4.
fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(per_address: usize, per_user: usize) -> Arc<Sessions> {
        let mut config = Config::default();
        config.rate_limiting.connections_per_ip = per_address;
        config.rate_limiting.connections_per_user = per_user;
        Arc::new(Sessions::new(&config))
    }

    fn admit(
        sessions: &Arc<Sessions>,
        id: u64,
        address: &str,
        user: &str,
    ) -> Result<Admission, CloseReason> {
        sessions.admit(ConnectionId(id), address.parse().unwrap(), user, Arc::default())
    }

    #[test]
    fn limits_are_exact_and_given_back() {
        let table = sessions(2, 10);
        let first = admit(&table, 1, "10.0.0.1", "a").unwrap();
        let _second = admit(&table, 2, "10.0.0.1", "b").unwrap();
        assert!(matches!(admit(&table, 3, "10.0.0.1", "c"), Err(CloseReason::ConnectionLimit(_))));
        drop(first);
        let _third = admit(&table, 3, "10.0.0.1", "c").unwrap();
        assert_eq!(table.counts(), (2, 2, 1));
    }

    #[test]
    fn ipv6_counts_by_its_64() {
        let table = sessions(1, 10);
        let _one = admit(&table, 1, "2001:db8:1:2::1", "a").unwrap();
        assert!(admit(&table, 2, "2001:db8:1:2:ffff::9", "b").is_err());
        assert!(admit(&table, 3, "2001:db8:1:3::1", "b").is_ok());
        let _four = admit(&table, 4, "::ffff:10.0.0.1", "b").unwrap();
        assert!(admit(&table, 5, "10.0.0.1", "c").is_err());
    }

    #[test]
    fn revocation_reaches_the_user_only() {
        let table = sessions(10, 10);
        let (a, b) = (Arc::new(Outbox::default()), Arc::new(Outbox::default()));
        let address = "10.0.0.1".parse().unwrap();
        let _a = table.admit(ConnectionId(1), address, "a", Arc::clone(&a)).unwrap();
        let _b = table.admit(ConnectionId(2), address, "b", Arc::clone(&b)).unwrap();
        assert_eq!(table.revoke("a", "password changed"), 1);
        assert!(a.is_closing() && !b.is_closing());
    }
}
