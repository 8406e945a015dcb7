//! Bytes that wait for clients, over all connections: each frame counted once, however many outboxes and
//! sockets share it, from its making until the last of them has written or dropped it.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;

/// The engine's count of queued bytes.
#[derive(Debug)]
pub struct Queued {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Queued {
    /// Nothing queued; more than `bytes_max` is too much.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), bytes_max })
    }

    /// A frame that is counted until its last clone is dropped.
    pub fn count<T: AsRef<[u8]> + Send + 'static>(self: &Arc<Self>, frame: T) -> Bytes {
        self.bytes.fetch_add(frame.as_ref().len(), Relaxed);
        Bytes::from_owner(Counted { frame, queued: Arc::clone(self) })
    }

    /// The same of a frame that others may get too, for as long as somebody still has to write it.
    pub fn share(self: &Arc<Self>, frame: Bytes) -> (Bytes, Shared) {
        self.bytes.fetch_add(frame.len(), Relaxed);
        let frame = Arc::new(Counted { frame, queued: Arc::clone(self) });
        let shared = Shared(Arc::downgrade(&frame));
        (Bytes::from_owner(Holder(frame)), shared)
    }

    /// Bytes queued now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether that is too much: answers wait, and slow readers are cut off until it is not.
    pub fn is_over(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}

/// A frame that can be had once more while it is queued anyway. Keeps no bytes alive.
#[derive(Debug)]
pub struct Shared(Weak<Counted<Bytes>>);

impl Shared {
    /// The frame, if it is still there.
    pub fn again(&self) -> Option<Bytes> {
        self.0.upgrade().map(|frame| Bytes::from_owner(Holder(frame)))
    }
}

struct Holder(Arc<Counted<Bytes>>);

impl AsRef<[u8]> for Holder {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().as_ref()
    }
}

#[derive(Debug)]
struct Counted<T: AsRef<[u8]>> {
    frame: T,
    queued: Arc<Queued>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Counted<T> {
    fn as_ref(&self) -> &[u8] {
        self.frame.as_ref()
    }
}

impl<T: AsRef<[u8]>> Drop for Counted<T> {
    fn drop(&mut self) {
        self.queued.bytes.fetch_sub(self.frame.as_ref().len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_frame_counts_once_and_until_the_last_is_gone() {
        let queued = Queued::new(5);
        let one = queued.count(vec![1, 2, 3]);
        let shared = [one.clone(), one.slice(1..), one];
        assert_eq!((queued.bytes(), queued.is_over()), (3, false));
        let other = queued.count(Bytes::from_static(b"abc"));
        assert_eq!((queued.bytes(), queued.is_over()), (6, true));
        drop(shared);
        assert_eq!((queued.bytes(), &other[..]), (3, &b"abc"[..]));
        drop(other);
        assert_eq!(queued.bytes(), 0);
    }

    #[test]
    fn a_frame_can_be_had_again_while_somebody_holds_it() {
        let queued = Queued::new(5);
        let (first, shared) = queued.share(Bytes::from_static(b"abc"));
        let again = shared.again().unwrap();
        assert_eq!((queued.bytes(), &again[..]), (3, &b"abc"[..]));
        drop(first);
        assert_eq!(shared.again().unwrap(), again);
        drop(again);
        assert!(shared.again().is_none());
        assert_eq!(queued.bytes(), 0);
    }
}
