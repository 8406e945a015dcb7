//! Places for connections without a session: bounded in all and per address, given back on every path.
//!
//! Who has not asked for anything yet may lose its place: otherwise a few silent connections would keep out
//! everybody else for as long as a request may take.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use crate::{limits::HANDSHAKE_GRACE, net::client_address::address_key};

/// A bounded number of places.
#[derive(Debug)]
pub struct Places {
    total_max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
    /// Those that have not asked for anything, by age.
    silent: BTreeMap<u64, Silent>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Silent {
    since: Instant,
    counted: Option<IpAddr>,
    lost: Arc<Notify>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    Total,
    /// The address has as many as one address may have.
    Address,
}

/// A taken place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    counted: Option<IpAddr>,
    silent: Option<(u64, Arc<Notify>)>,
}

impl Places {
    /// `total_max` places, of which one address may take `per_address_max`.
    pub fn new(total_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_address_max, taken: Mutex::default() })
    }

    /// Takes a place. `address` is `None` for a proxy, whose connections are those of many clients.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let counted = address.map(address_key);
        self.enter(&mut self.taken.lock(), counted)?;
        Ok(Place { places: Arc::clone(self), counted, silent: None })
    }

    /// Takes a place for a connection that has not asked for anything yet; if there is none, that of the one
    /// that is silent longest, after [`HANDSHAKE_GRACE`].
    pub fn take_silent(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let counted = address.map(address_key);
        let mut taken = self.taken.lock();
        if let Err(full) = self.enter(&mut taken, counted) {
            taken.displace(full, counted).ok_or(full)?;
            self.enter(&mut taken, counted)?;
        }
        let ticket = taken.next_ticket;
        taken.next_ticket += 1;
        let lost = Arc::<Notify>::default();
        let silent = Silent { since: Instant::now(), counted, lost: Arc::clone(&lost) };
        taken.silent.insert(ticket, silent);
        drop(taken);
        Ok(Place { places: Arc::clone(self), counted, silent: Some((ticket, lost)) })
    }

    fn enter(&self, taken: &mut Taken, counted: Option<IpAddr>) -> Result<(), Full> {
        // First, so that whose address is full displaces nobody else's.
        if taken.is_full(counted, self.per_address_max) {
            return Err(Full::Address);
        }
        if taken.total >= self.total_max {
            return Err(Full::Total);
        }
        taken.enter(counted, self.per_address_max)?;
        taken.total += 1;
        Ok(())
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().total
    }
}

impl Place {
    /// Waits until somebody newer got this place.
    pub async fn lost(&self) {
        match &self.silent {
            Some((_, lost)) => lost.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The connection has asked for something: nobody takes its place any more. `false` = somebody just did.
    pub fn keep(&mut self) -> bool {
        let Some((ticket, _)) = &self.silent else { return true };
        let kept = self.places.taken.lock().silent.remove(ticket).is_some();
        if kept {
            self.silent = None;
        }
        kept
    }

    /// Counts the place as another address's from now on, once a proxy has told whose it is.
    pub fn belongs_to(&mut self, address: IpAddr) -> Result<(), Full> {
        let counted = Some(address_key(address));
        if counted != self.counted {
            let mut taken = self.places.taken.lock();
            taken.enter(counted, self.places.per_address_max)?;
            taken.leave(self.counted);
            drop(taken);
            self.counted = counted;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let is_lost =
            self.silent.as_ref().is_some_and(|(ticket, _)| taken.silent.remove(ticket).is_none());
        if !is_lost {
            taken.total -= 1;
            taken.leave(self.counted);
        }
    }
}

impl Taken {
    /// Takes the place of the one that is silent longest, of this address if that is what is full.
    fn displace(&mut self, full: Full, counted: Option<IpAddr>) -> Option<()> {
        let now = Instant::now();
        let (ticket, _) = self
            .silent
            .iter()
            .take_while(|(_, silent)| now.duration_since(silent.since) >= HANDSHAKE_GRACE)
            .find(|(_, silent)| full == Full::Total || silent.counted == counted)?;
        let ticket = *ticket;
        let silent = self.silent.remove(&ticket)?;
        silent.lost.notify_one();
        self.total -= 1;
        self.leave(silent.counted);
        Some(())
    }

    fn is_full(&self, counted: Option<IpAddr>, max: usize) -> bool {
        let count = counted.and_then(|counted| self.per_address.get(&counted));
        count.is_some_and(|count| *count >= max)
    }

    fn enter(&mut self, counted: Option<IpAddr>, max: usize) -> Result<(), Full> {
        if self.is_full(counted, max) {
            return Err(Full::Address);
        }
        let Some(counted) = counted else { return Ok(()) };
        *self.per_address.entry(counted).or_default() += 1;
        Ok(())
    }

    fn leave(&mut self, counted: Option<IpAddr>) {
        let Some(counted) = counted else { return };
        if let Some(count) = self.per_address.get_mut(&counted) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&counted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bounds_are_exact_and_places_come_back() {
        let places = Places::new(3, 2);
        let first = places.take(Some(address("10.0.0.1"))).unwrap();
        let _second = places.take(Some(address("::ffff:10.0.0.1"))).unwrap();
        assert_eq!(places.take(Some(address("10.0.0.1"))).unwrap_err(), Full::Address);
        let _third = places.take(Some(address("2001:db8::1"))).unwrap();
        assert_eq!(places.take(Some(address("10.0.0.2"))).unwrap_err(), Full::Total);
        drop(first);
        drop(places.take(Some(address("10.0.0.1"))).unwrap());
        assert_eq!(places.taken(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_give_way_once_they_were_silent_for_long() {
        let places = Places::new(3, 2);
        let (a, b) = (Some(address("10.0.0.1")), Some(address("10.0.0.2")));
        let mut first = places.take_silent(a).unwrap();
        let second = places.take_silent(a).unwrap();
        assert_eq!(places.take_silent(a).unwrap_err(), Full::Address, "not at once");
        tokio::time::advance(HANDSHAKE_GRACE).await;
        assert!(first.keep(), "it asked");
        let third = places.take_silent(a).unwrap();
        second.lost().await;
        assert_eq!(places.take_silent(a).unwrap_err(), Full::Address, "one asked, one is new");
        drop(second);
        assert_eq!(places.taken(), 2);
        let other = places.take_silent(b).unwrap();
        assert_eq!(places.take_silent(b).unwrap_err(), Full::Total);
        tokio::time::advance(HANDSHAKE_GRACE).await;
        let mut fourth = places.take_silent(b).unwrap();
        third.lost().await;
        assert!(fourth.keep());
        assert!(places.take_silent(b).is_ok(), "of all who are silent the longest");
        other.lost().await;
        drop((first, third, fourth, other));
        let left = places.taken.lock();
        assert_eq!((left.total, left.per_address.len(), left.silent.len()), (0, 0, 0));
    }

    #[test]
    fn a_proxys_place_becomes_its_clients() {
        let places = Places::new(9, 1);
        let mut a = places.take(None).unwrap();
        let mut b = places.take(None).unwrap();
        a.belongs_to(address("10.0.0.1")).unwrap();
        assert_eq!(b.belongs_to(address("10.0.0.1")), Err(Full::Address));
        drop(a);
        b.belongs_to(address("10.0.0.1")).unwrap();
        b.belongs_to(address("10.0.0.1")).unwrap();
        drop(b);
        assert_eq!((places.taken(), places.taken.lock().per_address.len()), (0, 0));
    }
}
