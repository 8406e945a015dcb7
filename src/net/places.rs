//! Places for connections without a session: bounded in all and per address, given back on every path.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::net::client_address::address_key;

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
}

impl Places {
    /// `total_max` places, of which one address may take `per_address_max`.
    pub fn new(total_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_address_max, taken: Mutex::default() })
    }

    /// Takes a place. `address` is `None` for a proxy, whose connections are those of many clients.
    pub fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Full> {
        let counted = address.map(address_key);
        let mut taken = self.taken.lock();
        if taken.total >= self.total_max {
            return Err(Full::Total);
        }
        taken.enter(counted, self.per_address_max)?;
        taken.total += 1;
        drop(taken);
        Ok(Place { places: Arc::clone(self), counted })
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().total
    }
}

impl Place {
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
        taken.total -= 1;
        taken.leave(self.counted);
    }
}

impl Taken {
    fn enter(&mut self, counted: Option<IpAddr>, max: usize) -> Result<(), Full> {
        let Some(counted) = counted else { return Ok(()) };
        if self.per_address.get(&counted).is_some_and(|count| *count >= max) {
            return Err(Full::Address);
        }
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
