//! Admitted connections: counted by address and user, and reachable by user for revocation.
//!
//! A revocation ends all sessions of a user that exist when it returns: those in rooms by their outbox, which
//! rooms look at before each command; those that are still joining by what is remembered of it until the last
//! join that began before has ended.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    config::Config, error::CloseReason, ids::ConnectionId, limits::REVOCATIONS_MAX,
    net::client_address::address_key, room::outbox::Outbox,
};

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
    /// Number of the latest revocation.
    revocation: u64,
    /// Joins under way, by the number of the latest revocation at their beginning.
    joining: BTreeMap<u64, usize>,
    /// Revocations that joins under way have to know of, oldest first.
    revoked: VecDeque<Revocation>,
    /// Revocations up to this one are not remembered, though a join may have begun before.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    /// `None` = the engine's own.
    address: Option<IpAddr>,
    /// `None` = nobody is authenticated on it.
    user_id: Option<String>,
    outbox: Arc<Outbox>,
}

#[derive(Debug)]
struct Revocation {
    number: u64,
    user_id: String,
    reason: String,
}

/// A join under way, from before its token is looked at.
#[derive(Debug)]
pub struct Joining {
    sessions: Arc<Sessions>,
    began: u64,
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

    /// Notes that a join begins: what is revoked from now on counts for it.
    pub fn begin(self: &Arc<Self>) -> Joining {
        let mut table = self.table.lock();
        let began = table.revocation;
        *table.joining.entry(began).or_default() += 1;
        Joining { sessions: Arc::clone(self), began }
    }

    /// Ends all sessions of a user; returns how many there were. The table is clean and no room takes
    /// anything of them any more when this returns.
    pub fn revoke(&self, user_id: &str, reason: &str) -> usize {
        let mut table = self.table.lock();
        table.remember(user_id, reason);
        let of_user =
            table.connections.iter().filter(|(_, entry)| entry.user_id.as_deref() == Some(user_id));
        let ids: Vec<_> = of_user.map(|(id, _)| *id).collect();
        for id in &ids {
            if let Some(entry) = table.remove(*id) {
                entry.outbox.close(CloseReason::SessionRevoked(reason.to_owned()));
            }
        }
        ids.len()
    }

    /// Connections, distinct users, distinct addresses.
    pub fn counts(&self) -> (usize, usize, usize) {
        let table = self.table.lock();
        (table.connections.len(), table.per_user.len(), table.per_address.len())
    }
}

impl Joining {
    /// Takes a place for a connection, if its user was not revoked meanwhile and its address and its user
    /// have one left. Without a user only the address counts.
    pub fn admit<'a>(
        self,
        connection: ConnectionId,
        address: IpAddr,
        user_id: impl Into<Option<&'a str>>,
        outbox: Arc<Outbox>,
    ) -> Result<Admission, CloseReason> {
        let user_id = user_id.into();
        let address = address_key(address);
        let sessions = Arc::clone(&self.sessions);
        let mut table = sessions.table.lock();
        table.not_revoked(self.began, user_id)?;
        let per_address_max = sessions.per_address_max;
        if table.per_address.get(&address).is_some_and(|count| *count >= per_address_max) {
            return Err(CloseReason::ConnectionLimit(format!(
                "per-IP connection limit reached ({per_address_max})"
            )));
        }
        table.count_user(user_id, sessions.per_user_max)?;
        *table.per_address.entry(address).or_default() += 1;
        let user_id = user_id.map(str::to_owned);
        let address = Some(address);
        table.connections.insert(connection, Entry { address, user_id, outbox });
        drop(table);
        Ok(Admission { sessions, connection })
    }

    /// Takes a place for a connection of the engine's own, which counts for nobody.
    pub fn admit_own(self, connection: ConnectionId, outbox: Arc<Outbox>) -> Admission {
        let entry = Entry { address: None, user_id: None, outbox };
        self.sessions.table.lock().connections.insert(connection, entry);
        Admission { sessions: Arc::clone(&self.sessions), connection }
    }

    /// Counts an admitted connection as another user's from now on, under the same conditions.
    pub fn reassign(self, admission: &Admission, user_id: &str) -> Result<(), CloseReason> {
        let mut table = self.sessions.table.lock();
        table.not_revoked(self.began, Some(user_id))?;
        let Some(entry) = table.connections.get(&admission.connection) else {
            return Err(CloseReason::SessionRevoked(String::new()));
        };
        if entry.user_id.as_deref() == Some(user_id) {
            return Ok(());
        }
        table.count_user(Some(user_id), self.sessions.per_user_max)?;
        let entry = table.connections.get_mut(&admission.connection);
        let before = entry.and_then(|entry| entry.user_id.replace(user_id.to_owned()));
        if let Some(before) = before {
            count_down(&mut table.per_user, &before);
        }
        Ok(())
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        let mut table = self.sessions.table.lock();
        if let Some(count) = table.joining.get_mut(&self.began) {
            *count -= 1;
            if *count == 0 {
                table.joining.remove(&self.began);
            }
        }
        let oldest = table.joining.first_key_value().map(|(began, _)| *began);
        // Nobody asks for what the oldest join knew when it began.
        table.revoked.retain(|revocation| oldest.is_some_and(|oldest| revocation.number > oldest));
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.sessions.table.lock().remove(self.connection);
    }
}

impl Table {
    fn remove(&mut self, connection: ConnectionId) -> Option<Entry> {
        let entry = self.connections.remove(&connection)?;
        if let Some(address) = &entry.address {
            count_down(&mut self.per_address, address);
        }
        if let Some(user_id) = &entry.user_id {
            count_down(&mut self.per_user, user_id);
        }
        Some(entry)
    }

    fn count_user(&mut self, user_id: Option<&str>, max: usize) -> Result<(), CloseReason> {
        let Some(user_id) = user_id else { return Ok(()) };
        if self.per_user.get(user_id).is_some_and(|count| *count >= max) {
            return Err(CloseReason::ConnectionLimit(format!(
                "per-user connection limit reached ({max})"
            )));
        }
        *self.per_user.entry(user_id.to_owned()).or_default() += 1;
        Ok(())
    }

    fn not_revoked(&self, began: u64, user_id: Option<&str>) -> Result<(), CloseReason> {
        let revoked = user_id.and_then(|user_id| self.revoked_since(began, user_id));
        revoked.map_or(Ok(()), |reason| Err(CloseReason::SessionRevoked(reason)))
    }

    fn remember(&mut self, user_id: &str, reason: &str) {
        self.revocation += 1;
        if self.joining.is_empty() {
            return;
        }
        if self.revoked.len() >= REVOCATIONS_MAX {
            self.forgotten =
                self.revoked.pop_front().map_or(self.forgotten, |oldest| oldest.number);
        }
        self.revoked.push_back(Revocation {
            number: self.revocation,
            user_id: user_id.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn revoked_since(&self, began: u64, user_id: &str) -> Option<String> {
        if began < self.forgotten {
            return Some("sessions were revoked during the join".into());
        }
        let mut since = self.revoked.iter().filter(|revocation| revocation.number > began);
        since.find(|revocation| revocation.user_id == user_id).map(|found| found.reason.clone())
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
        sessions.begin().admit(ConnectionId(id), address.parse().unwrap(), user, Arc::default())
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
    fn a_connection_of_nobody_may_become_somebodys_and_anothers() {
        let table = sessions(9, 1);
        let address = "10.0.0.1".parse().unwrap();
        let admit = |id| table.begin().admit(ConnectionId(id), address, None, Arc::default());
        let (one, two) = (admit(1).unwrap(), admit(2).unwrap());
        assert_eq!(table.counts(), (2, 0, 1));
        table.begin().reassign(&one, "a").unwrap();
        table.begin().reassign(&one, "a").unwrap();
        let full = table.begin().reassign(&two, "a");
        assert!(matches!(full, Err(CloseReason::ConnectionLimit(_))));
        table.begin().reassign(&one, "b").unwrap();
        table.begin().reassign(&two, "a").unwrap();
        assert_eq!(table.counts(), (2, 2, 1));
        let late = table.begin();
        assert_eq!(table.revoke("a", "left"), 1);
        assert_eq!(late.reassign(&one, "a"), Err(CloseReason::SessionRevoked("left".into())));
        assert!(table.begin().reassign(&two, "c").is_err(), "its sessions have ended");
        drop((one, two));
        assert_eq!(table.counts(), (0, 0, 0));
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
        let _a = table.begin().admit(ConnectionId(1), address, "a", Arc::clone(&a)).unwrap();
        let _b = table.begin().admit(ConnectionId(2), address, "b", Arc::clone(&b)).unwrap();
        assert_eq!(table.revoke("a", "password changed"), 1);
        assert!(a.is_closing() && !b.is_closing());
        assert_eq!(table.counts(), (1, 1, 1), "clean when it returns");
        assert_eq!(table.revoke("a", "again"), 0);
    }

    #[test]
    fn a_revocation_counts_for_joins_that_began_before_it() {
        let table = sessions(10, 10);
        let address = "10.0.0.1".parse().unwrap();
        let admit = |joining: Joining, user: &str| {
            joining.admit(ConnectionId(1), address, user, Arc::default()).map(drop)
        };
        let (before, of_another) = (table.begin(), table.begin());
        assert_eq!(table.revoke("a", "left the council"), 0);
        let after = table.begin();
        let refused = CloseReason::SessionRevoked("left the council".into());
        assert_eq!(admit(before, "a"), Err(refused));
        assert_eq!(admit(after, "a"), Ok(()));
        assert_eq!(admit(of_another, "b"), Ok(()));
        let table = table.table.lock();
        assert!(
            table.revoked.is_empty() && table.joining.is_empty(),
            "remembered no longer than needed"
        );
    }

    #[test]
    fn what_is_forgotten_of_many_revocations_refuses() {
        let table = sessions(10, 10);
        let joining = table.begin();
        for user in 0..=REVOCATIONS_MAX {
            table.revoke(&user.to_string(), "all out");
        }
        assert_eq!(table.table.lock().revoked.len(), REVOCATIONS_MAX);
        let address = "10.0.0.1".parse().unwrap();
        let admitted = joining.admit(ConnectionId(1), address, "0", Arc::default());
        assert!(matches!(admitted, Err(CloseReason::SessionRevoked(_))));
    }
}
