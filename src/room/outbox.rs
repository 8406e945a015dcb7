//! A session's bounded queue of encoded frames: the only way from a room to a client.
//!
//! The room pushes and never waits; the connection takes everything at once and writes it. Document updates
//! are never dropped: a queue over its bound ends the session with a code that makes the client resync.
//! Awareness is worth only its newest state: a reader that lags gets none queued and asks for the present
//! states once its queue is empty.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use crate::{
    error::CloseReason,
    limits::{OUTBOX_AWARENESS_BYTES_MAX, OUTBOX_BYTES_MAX, OUTBOX_FRAMES_MAX},
};

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// In the queue.
    Queued,
    /// Left out; the reader will ask for the present states.
    Deferred,
    /// The queue was over its bound; the session is being closed.
    Overflow,
    /// The session is closed already.
    Closed,
}

/// The queue, shared by one room and one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Events among the frames; several may be in one piece.
    events: usize,
    /// Frames that newer ones of their name replace, to go after all others.
    newest: Vec<(Arc<str>, Bytes)>,
    /// A sync answer is queued or being written: its size is the document's, so it is not counted, but only
    /// one may wait at a time.
    answers: usize,
    answer_bytes: u64,
    answer_deferred: bool,
    awareness: u64,
    awareness_deferred: bool,
    closing: Option<CloseReason>,
    /// Something came since the connection last heard of it.
    news: bool,
    /// The connection, while it waits. Here and not in a `Notify`, because each push holds this lock anyway.
    waiting: Option<Waker>,
}

impl State {
    /// What to wake once the lock is let go.
    fn announce(&mut self) -> Option<Waker> {
        self.news = true;
        self.waiting.take()
    }
}

/// Everything that was queued.
#[derive(Debug, Default)]
pub struct Taken {
    /// Frames in order.
    pub frames: VecDeque<Bytes>,
    /// Sync answers among them.
    pub answers: usize,
    /// Bytes of these answers.
    pub answer_bytes: u64,
    /// A sync step 1 was not answered for lack of memory; ask again in a while.
    pub answer_deferred: bool,
    /// Awareness frames among them.
    pub awareness: u64,
    /// Awareness was left out; ask the room for the present states.
    pub awareness_deferred: bool,
    /// After these frames the session ends.
    pub closing: Option<CloseReason>,
}

impl Outbox {
    /// Queues a frame that must arrive.
    pub fn push(&self, frame: Bytes) -> Pushed {
        self.push_within(frame, OUTBOX_BYTES_MAX)
    }

    /// Queues a frame that must arrive, unless more than `bytes_max` would wait. A lone frame may be larger:
    /// to cut off everybody because one pasted much would cost more.
    pub fn push_within(&self, frame: Bytes, bytes_max: usize) -> Pushed {
        self.push_events(frame, 0, bytes_max)
    }

    /// Queues so many events in one piece, as [`Outbox::push_within`] does.
    pub fn push_events(&self, frame: Bytes, events: usize, bytes_max: usize) -> Pushed {
        let mut state = self.state.lock();
        if state.closing.is_some() {
            return Pushed::Closed;
        }
        let over = state.bytes > 0 && state.bytes + frame.len() > bytes_max;
        if over || state.frames.len() >= OUTBOX_FRAMES_MAX {
            // What is queued would arrive too late to be of use: the client resyncs anyway.
            let waiting = state.waiting.take();
            *state =
                State { closing: Some(CloseReason::SlowConsumer), waiting, ..State::default() };
            wake(state);
            return Pushed::Overflow;
        }
        let first = state.frames.is_empty();
        state.bytes += frame.len();
        state.events += events;
        state.frames.push_back(frame);
        if first {
            wake(state);
        }
        Pushed::Queued
    }

    /// Queues a frame in place of an older one of this name that nobody took yet: who lags gets the newest only.
    pub fn push_newest(&self, name: &Arc<str>, frame: Bytes) -> Pushed {
        let mut state = self.state.lock();
        if state.closing.is_some() {
            return Pushed::Closed;
        }
        if let Some((_, older)) = state.newest.iter_mut().find(|(known, _)| known == name) {
            *older = frame;
        } else {
            state.newest.push((Arc::clone(name), frame));
            wake(state);
        }
        Pushed::Queued
    }

    /// Forgets the frame of this name, if nobody took it yet.
    pub fn drop_newest(&self, name: &str) {
        self.state.lock().newest.retain(|(known, _)| **known != *name);
    }

    /// Events that nobody took yet.
    pub fn events(&self) -> usize {
        self.state.lock().events
    }

    /// Queues what its reader asked for, whatever its size.
    pub fn push_answer(&self, frame: Bytes) -> Pushed {
        let mut state = self.state.lock();
        if state.closing.is_some() {
            return Pushed::Closed;
        }
        state.answers += 1;
        state.answer_bytes += frame.len() as u64;
        state.frames.push_back(frame);
        wake(state);
        Pushed::Queued
    }

    /// Whether an answer waits to be taken.
    pub fn is_answering(&self) -> bool {
        self.state.lock().answers > 0
    }

    /// Says that a sync step 1 is to be asked again in a while.
    pub fn defer_answer(&self) {
        let mut state = self.state.lock();
        state.answer_deferred = true;
        wake(state);
    }

    /// Queues awareness unless the reader lags.
    pub fn push_awareness(&self, frame: Bytes) -> Pushed {
        {
            let mut state = self.state.lock();
            if state.bytes > 0 && state.bytes + frame.len() > OUTBOX_AWARENESS_BYTES_MAX {
                state.awareness_deferred = true;
                return Pushed::Deferred;
            }
            state.awareness += 1;
        }
        self.push(frame)
    }

    /// Has the connection look up, though nothing is queued.
    pub fn nudge(&self) {
        wake(self.state.lock());
    }

    /// Ends the session once what is queued is written. The first reason stays.
    pub fn close(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            state.closing = Some(reason);
            wake(state);
        }
    }

    /// Whether something can be taken.
    pub fn has_frames(&self) -> bool {
        let state = self.state.lock();
        !state.frames.is_empty() || !state.newest.is_empty()
    }

    /// Whether the session is ending.
    pub fn is_closing(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// Why the session is ending, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        self.state.lock().closing.clone()
    }

    /// Waits until something came since the last wait. Cancel-safe; for one waiter.
    pub async fn ready(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.news) {
                return Poll::Ready(());
            }
            match &mut state.waiting {
                Some(waker) => waker.clone_from(context.waker()),
                none @ None => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }

    /// Takes everything.
    pub fn take(&self) -> Taken {
        let mut state = self.state.lock();
        (state.bytes, state.events) = (0, 0);
        let newest = std::mem::take(&mut state.newest);
        state.frames.extend(newest.into_iter().map(|(_, frame)| frame));
        Taken {
            frames: std::mem::take(&mut state.frames),
            answers: std::mem::take(&mut state.answers),
            answer_bytes: std::mem::take(&mut state.answer_bytes),
            answer_deferred: std::mem::take(&mut state.answer_deferred),
            awareness: std::mem::take(&mut state.awareness),
            awareness_deferred: std::mem::take(&mut state.awareness_deferred),
            closing: state.closing.clone(),
        }
    }
}

/// Tells the connection, after the lock is let go: it may run on this very thread next.
fn wake(mut state: MutexGuard<'_, State>) {
    let waiting = state.announce();
    drop(state);
    if let Some(waker) = waiting {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_stops_is_cut_not_starved() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; 1024 * 1024]);
        for _ in 0..4 {
            assert_eq!(outbox.push(frame.clone()), Pushed::Queued);
        }
        assert_eq!(outbox.push(frame.clone()), Pushed::Overflow);
        assert_eq!(outbox.push(frame), Pushed::Closed);
        let taken = outbox.take();
        assert!(taken.frames.is_empty(), "the memory is given back at once");
        assert_eq!(taken.closing, Some(CloseReason::SlowConsumer));
    }

    #[test]
    fn awareness_is_deferred_for_a_lagging_reader() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; 40 * 1024]);
        assert_eq!(outbox.push_awareness(frame.clone()), Pushed::Queued);
        assert_eq!(outbox.push_awareness(frame.clone()), Pushed::Deferred);
        let taken = outbox.take();
        assert_eq!((taken.frames.len(), taken.awareness_deferred), (1, true));
        assert_eq!(outbox.push_awareness(frame), Pushed::Queued);
    }

    /// Left out, it would be asked for and left out again for ever.
    #[test]
    fn awareness_larger_than_the_bound_reaches_an_empty_queue() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; OUTBOX_BYTES_MAX + 1]);
        assert_eq!(outbox.push_awareness(frame.clone()), Pushed::Queued);
        assert_eq!(outbox.push_awareness(frame), Pushed::Deferred);
    }

    #[test]
    fn a_lone_large_frame_cuts_nobody() {
        let outbox = Outbox::default();
        let frame = Bytes::from(vec![0; OUTBOX_BYTES_MAX + 1]);
        assert_eq!(outbox.push(frame), Pushed::Queued);
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Pushed::Overflow);
    }

    #[test]
    fn the_newest_of_a_name_goes_last_and_alone() {
        let outbox = Outbox::default();
        let (load, rate): (Arc<str>, Arc<str>) = ("load".into(), "rate".into());
        for number in [b"1", b"2", b"3"] {
            outbox.push_newest(&load, Bytes::from_static(number));
            outbox.push_newest(&rate, Bytes::from_static(b"x"));
            outbox.push_events(Bytes::from_static(b"e"), 2, 99);
        }
        assert_eq!((outbox.events(), outbox.has_frames()), (6, true));
        let frames: Vec<_> = outbox.take().frames.into();
        assert_eq!(frames, ["e", "e", "e", "3", "x"]);
        assert_eq!((outbox.events(), outbox.has_frames()), (0, false));
    }

    #[test]
    fn one_large_answer_does_not_cut_its_reader() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push_answer(Bytes::from(vec![0; OUTBOX_BYTES_MAX * 2])), Pushed::Queued);
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Pushed::Queued);
        assert_eq!(outbox.take().frames.len(), 2);
    }

    #[test]
    fn the_first_close_reason_stays() {
        let outbox = Outbox::default();
        outbox.close(CloseReason::TokenExpired);
        outbox.close(CloseReason::ShuttingDown);
        assert_eq!(outbox.take().closing, Some(CloseReason::TokenExpired));
    }

    #[tokio::test]
    async fn a_push_before_or_during_the_wait_ends_it() {
        let outbox = Arc::new(Outbox::default());
        outbox.push(Bytes::from_static(b"x"));
        outbox.ready().await;
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.ready().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "what is known already is no news");
        outbox.close(CloseReason::ShuttingDown);
        waiting.await.unwrap();
    }
}
