//! What a connection does because time has passed: pings, the end of a token, a second question.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Connection, Speech};
use crate::{
    error::CloseReason,
    limits::{FIRST_STEP_TIMEOUT, PRESSED_READ_TIMEOUT},
    net::pulse::{Beat, Beats, time_left},
    protocol::{sync, ws_frame},
    room::RoomCommand,
};

/// y-websocket drops a connection that brings no message for 30 s, checked each 3 s; pings do not count.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

impl Connection<'_> {
    pub(super) fn next_deadline(&self) -> Instant {
        let mut next = self.pulse.next_deadline(&Beats::of(&self.shared.config), self.alive_at());
        if self.speech != Speech::Json {
            let mut due = self.sent_at + KEEP_ALIVE;
            if !self.socket.is_drained() {
                // Something is on its way already; whether it got out is seen in a while.
                due = due.max(Instant::now() + KEEP_ALIVE / 20);
            }
            next = next.min(due);
        }
        if !self.stepped {
            next = next.min(self.opened_at + FIRST_STEP_TIMEOUT);
        }
        if let Some(left) = self.time_left() {
            next = next.min(Instant::now() + left);
        }
        if let Some(at) = self.soon() {
            next = next.min(at);
        }
        next.max(Instant::now() + Duration::from_millis(1))
    }

    /// A peer that takes what is written to it is alive, even if its own words are stuck behind it.
    fn alive_at(&self) -> Option<Instant> {
        self.socket.is_answering().then_some(self.sent_at)
    }

    /// What may have become due since the timer was set.
    pub(super) fn soon(&self) -> Option<Instant> {
        let mut soon = self.rates.next_deadline();
        let slow = self.socket.is_answering().then(|| self.filled_at + PRESSED_READ_TIMEOUT);
        for at in [self.ask_again_at, slow].into_iter().flatten() {
            soon = Some(soon.map_or(at, |earlier| earlier.min(at)));
        }
        soon
    }

    /// How long the token still holds; a host may have prolonged or shortened it.
    fn time_left(&self) -> Option<Duration> {
        time_left(self.joined.watched.standing().expires_at_ms())
    }

    pub(super) async fn tick(&mut self) -> Option<CloseReason> {
        let now = Instant::now();
        if self.time_left().is_some_and(|left| left.is_zero()) {
            return Some(CloseReason::TokenExpired);
        }
        if let Some(reason) = self.escalate(now) {
            return Some(reason);
        }
        if self.socket.is_answering() && self.filled_at + PRESSED_READ_TIMEOUT <= now {
            if self.shared.registry.context().queued.is_over() {
                self.socket.drop_unsent();
                return Some(CloseReason::SlowConsumer);
            }
            self.filled_at = now;
        }
        if self.ask_again_at.take_if(|at| *at <= now).is_some() {
            let session = self.joined.session;
            // Without a question of its own it was to get the whole state.
            let state_vector = self.asked.clone().unwrap_or_else(|| Bytes::from_static(&[0]));
            self.send(RoomCommand::SyncStep1 { session, state_vector }).await;
        }
        if self.rates.is_empty() || self.asked.is_some() {
            // It cannot be heard because we do not listen.
            self.pulse.heard(now);
        }
        let alive_at = self.alive_at();
        match self.pulse.beat(&Beats::of(&self.shared.config), now, alive_at) {
            Beat::Dead => return Some(CloseReason::Dead),
            Beat::Ping => self.socket.queue(ws_frame::ping()),
            Beat::Nothing => {}
        }
        if !self.stepped && self.opened_at + FIRST_STEP_TIMEOUT <= now {
            self.give_state().await;
        }
        let keeps_alive = self.speech != Speech::Json && self.sent_at + KEEP_ALIVE <= now;
        if keeps_alive && self.socket.is_drained() {
            self.socket.queue(ws_frame::binary(sync::EMPTY_AWARENESS));
            self.sent_at = now;
        }
        None
    }
}
