//! What a session may, and what becomes of its rooms when that changes. What the rules leave to the host is asked
//! off the hot path; its word on a room that the session is in is asked for again as long as it stays.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::session::{Session, Settled, Step, Told};
use crate::{
    events::{
        Room,
        rules::{Action, Verdict},
    },
    future::BoxFuture,
    host::HostError,
    limits::RECHECK_GRACE_PERIODS,
    protocol::{
        events::{self, Ack, ClientMessage},
        ws_frame,
    },
    time::unix_ms,
};

/// The host's words.
#[derive(Default)]
pub(super) struct ByHost {
    decisions: Vec<Decision>,
    held: Vec<Held>,
    /// When the first of them is to be asked about again.
    look_at: Option<Instant>,
    /// The host is being asked about some of them.
    pub(super) looking: Option<BoxFuture<'static, Vec<Answer>>>,
}

/// The host's word on one question.
struct Decision {
    room: Box<str>,
    action: Action,
    allowed: bool,
    at: Instant,
}

/// A room it is in.
struct Held {
    room: Room,
    /// It is told who comes and goes.
    watches: bool,
    /// When the host is to be asked about it again; `None` = the rules alone decide.
    ask_at: Option<Instant>,
    /// How often in a row the host did not answer.
    missed: u32,
}

/// What the host says of a room that the session is in.
pub(super) struct Answer {
    room: Room,
    action: Action,
    allowed: Result<bool, HostError>,
}

impl ByHost {
    /// It is not in the room any more.
    pub(super) fn forget(&mut self, room: &str) {
        self.held.retain(|held| *held.room != *room);
    }

    pub(super) fn forget_decisions(&mut self) {
        self.decisions.clear();
    }

    /// When the host is to be asked again.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at.filter(|_| self.looking.is_none())
    }

    fn plan(&mut self) {
        self.look_at = self.held.iter().filter_map(|held| held.ask_at).min();
    }
}

impl Session {
    pub(super) fn role(&self) -> Box<str> {
        self.known.as_ref().map(|known| known.watched.standing().role()).unwrap_or_default()
    }

    fn by_rule(&self, room: &str, action: Action) -> Verdict {
        self.shared.config.events.rules.judge(self.identity(), &self.role(), room, action)
    }

    pub(super) fn judge(&self, room: &str, action: Action) -> Verdict {
        let verdict = self.by_rule(room, action);
        if verdict != Verdict::AskHost {
            return verdict;
        }
        let life = self.decision_life();
        let known = self.by_host.decisions.iter().find(|known| {
            *known.room == *room && known.action == action && known.at.elapsed() < life
        });
        match known {
            Some(known) if known.allowed => Verdict::Allowed,
            Some(_) => Verdict::Denied,
            None => Verdict::AskHost,
        }
    }

    /// The host is asked again when it would be asked about the session itself.
    fn decision_life(&self) -> Duration {
        Duration::from_secs(self.shared.config.auth.recheck_seconds)
    }

    /// Asks the host for a right that a message needs, beside those it has `told` of.
    pub(super) fn ask(
        &self,
        message: ClientMessage,
        action: Action,
        ack: Option<Ack>,
        mut told: Told,
    ) -> Step {
        let room = match &message {
            ClientMessage::Join { room, .. }
            | ClientMessage::Presence { room }
            | ClientMessage::Emit { room: Some(room), .. } => room.as_str().into(),
            _ => Room::default(),
        };
        let asked = self.ask_all(vec![(room, action)]);
        Step::Ask(Box::pin(async move {
            let allowed = asked.await.pop().map_or(Err(HostError::Timeout), |said| said.allowed);
            let told = allowed.map(|allowed| {
                told.push((action, allowed));
                told
            });
            Settled::Decided { message, ack, told }
        }))
    }

    /// Asks the host one question after the other, none after one that it took too long for.
    fn ask_all(&self, questions: Vec<(Room, Action)>) -> BoxFuture<'static, Vec<Answer>> {
        let shared = Arc::clone(&self.shared);
        let mut identity = self.identity().cloned();
        if let Some(identity) = &mut identity {
            identity.role = self.role().into();
        }
        let time = Duration::from_millis(self.shared.config.auth.timeout_ms);
        Box::pin(async move {
            let mut answers = Vec::with_capacity(questions.len());
            let mut hangs = false;
            for (room, action) in questions {
                let allowed = if hangs {
                    Err(HostError::Timeout)
                } else {
                    let asked =
                        shared.host.authorize_event(identity.as_ref(), &room, action.name());
                    timeout(time, asked).await.unwrap_or(Err(HostError::Timeout))
                };
                hangs |= matches!(allowed, Err(HostError::Timeout));
                answers.push(Answer { room, action, allowed });
            }
            answers
        })
    }

    pub(super) fn remember(&mut self, room: &str, action: Action, allowed: bool) {
        let life = self.decision_life();
        let max = self.shared.config.limits.max_rooms_per_client.saturating_mul(3);
        let decisions = &mut self.by_host.decisions;
        decisions.retain(|known| {
            known.at.elapsed() < life && !(*known.room == *room && known.action == action)
        });
        // As many as there may be rooms, for each of the three.
        if decisions.len() >= max {
            decisions.remove(0);
        }
        decisions.push(Decision { room: room.into(), action, allowed, at: Instant::now() });
    }

    /// It has come into a room.
    pub(super) fn hold(&mut self, room: &Room, watches: bool) {
        let ask_at = self.asks_host(room, watches).then(|| Instant::now() + self.decision_life());
        self.by_host.forget(room);
        self.by_host.held.push(Held { room: Arc::clone(room), watches, ask_at, missed: 0 });
        self.by_host.plan();
    }

    fn asks_host(&self, room: &str, watches: bool) -> bool {
        let asks = |action| self.by_rule(room, action) == Verdict::AskHost;
        asks(Action::Join) || (watches && asks(Action::Presence))
    }

    /// Begins to ask the host about rooms whose time has come.
    pub(super) fn look_again(&mut self) {
        // Whose token is over has a while to bring another, and is asked about then.
        if self.by_host.look_at().is_some_and(|at| at <= Instant::now())
            && self.expired_at.is_none()
        {
            self.by_host.looking = self.ask_of_held();
        }
    }

    /// Asks the host about rooms whose time has come; `None` = about none.
    fn ask_of_held(&mut self) -> Option<BoxFuture<'static, Vec<Answer>>> {
        let now = Instant::now();
        let mut questions = Vec::new();
        for held in self.by_host.held.iter().filter(|held| held.ask_at.is_some_and(|at| at <= now))
        {
            for action in [Action::Join, Action::Presence] {
                let matters = action == Action::Join || held.watches;
                if matters && self.by_rule(&held.room, action) == Verdict::AskHost {
                    questions.push((Arc::clone(&held.room), action));
                }
            }
        }
        // Not again before the answers are there.
        let next = now + self.decision_life();
        for held in &mut self.by_host.held {
            held.ask_at = held.ask_at.map(|at| if at <= now { next } else { at });
        }
        self.by_host.plan();
        (!questions.is_empty()).then(|| self.ask_all(questions))
    }

    /// Does what the host says of rooms that it is in. One that does not answer leaves them as they are for a while.
    pub(super) async fn heed_host(&mut self, answers: Vec<Answer>) {
        for Answer { room, action, allowed } in answers {
            let Some(held) = self.by_host.held.iter_mut().find(|held| held.room == room) else {
                continue;
            };
            held.missed = if allowed.is_ok() { 0 } else { held.missed + 1 };
            let (stays, outcome) = match allowed {
                Ok(true) => (true, "kept"),
                Ok(false) => (false, "ended"),
                Err(_) if held.missed < RECHECK_GRACE_PERIODS => (true, "unanswered"),
                Err(_) => (false, "given_up"),
            };
            self.shared.metrics.rechecks.inc(outcome);
            if let Ok(allowed) = allowed {
                self.remember(&room, action, allowed);
            }
            match action {
                _ if stays => {}
                Action::Presence => self.watch_no_more(&room).await,
                Action::Join | Action::Emit => self.is_put_out(&room).await,
            }
        }
    }

    /// Heeds a changed role.
    pub(super) async fn heed_changes(&mut self) {
        let Some(known) = &mut self.known else { return };
        let changes = known.watched.standing().role_changes();
        if std::mem::replace(&mut known.role_changes, changes) != changes {
            self.by_host.forget_decisions();
            self.leave_what_is_not_for_it(true).await;
        }
    }

    /// Leaves the rooms that the rules keep from whoever the session is now. If that is `another` than before, the
    /// host is to be asked about the rest: what it said of one is not known to hold for the other.
    async fn leave_what_is_not_for_it(&mut self, another: bool) {
        let now = Instant::now();
        let rooms: Vec<Room> = self.info.rooms.lock().iter().cloned().collect();
        for room in rooms {
            if self.by_rule(&room, Action::Join) == Verdict::Denied {
                self.is_put_out(&room).await;
                continue;
            }
            let watches = self.by_host.held.iter().any(|held| held.room == room && held.watches);
            if watches && self.by_rule(&room, Action::Presence) == Verdict::Denied {
                self.watch_no_more(&room).await;
            }
            let asks_host = self.asks_host(&room, watches);
            if let Some(held) = self.by_host.held.iter_mut().find(|held| held.room == room) {
                held.ask_at = match held.ask_at {
                    _ if !asks_host => None,
                    Some(at) if !another => Some(at),
                    _ => Some(now),
                };
            }
        }
        self.by_host.plan();
    }

    /// What becomes of its rooms now that it is somebody, `another` than before or the same. What the host has to
    /// say of them is the answer; what it does not say of another is left.
    pub(super) async fn moves(&mut self, another: bool) -> Option<BoxFuture<'static, Vec<Answer>>> {
        self.leave_what_is_not_for_it(another).await;
        if !another {
            return None;
        }
        // It was asked about whom it is no more.
        self.by_host.looking = None;
        for held in &mut self.by_host.held {
            held.missed = RECHECK_GRACE_PERIODS;
        }
        self.ask_of_held()
    }

    async fn is_put_out(&mut self, room: &Room) {
        self.by_host.forget(room);
        if !self.info.rooms.lock().remove(room) {
            return;
        }
        self.shared.events.leave(room, self.info.session, None).await;
        if self.reader.is_extended() {
            let text = events::left(room, None, unix_ms());
            self.outbox.push(ws_frame::text(&text));
        }
    }

    async fn watch_no_more(&mut self, room: &Room) {
        if let Some(held) = self.by_host.held.iter_mut().find(|held| held.room == *room) {
            held.watches = false;
        }
        // It is in; there is no place that it could be refused.
        let _ = self.shared.events.join(room, self.member(false), None, None).await;
    }
}
