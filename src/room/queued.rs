//! Bytes that wait for clients, over all connections: each frame counted once, however many outboxes and
//! sockets share it, from its making until the last of them has written or dropped it.

use std::sync::{
    Arc,
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

    /// Bytes queued now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether that is too much: answers wait, and slow readers are cut off until it is not.
    pub fn is_over(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}

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
}
