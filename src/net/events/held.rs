//! Rooms that a session is in, and what becomes of them when its rights change: by another token, another role, or
//! the host, whose word on a room is asked for again as long as the session is in it.

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    rights::{ByHost, ask_one},
    session::Session,
};
use crate::{
    events::{
        Room,
        rules::{Action, Verdict},
    },
    future::BoxFuture,
    host::HostError,
    limits::RECHECK_GRACE_PERIODS,
    protocol::{events, ws_frame},
    time::unix_ms,
};

/// A room that a session is in.
pub(super) struct Held {
    room: Room,
    /// It is told who comes and goes.
    watches: bool,
    /// When the host is to be asked about it again; `None` = the rules alone decide.
    ask_at: Option<Instant>,
    /// How often in a row the host did not say whether it may be here.
    missed_joins: u32,
    /// And whether it may watch.
    missed_presence: u32,
}

/// What the host says of a room that the session is in.
pub(super) struct Answer {
    room: Room,
    action: Action,
    allowed: Result<bool, HostError>,
}

impl ByHost {
    fn held(&mut self, room: &str) -> Option<&mut Held> {
        self.held.iter_mut().find(|held| *held.room == *room)
    }

    /// The session is not in the room any more.
    pub(super) fn forget(&mut self, room: &str) {
        self.held.retain(|held| *held.room != *room);
    }

    /// Whether the session is told who comes to a room and goes.
    pub(super) fn watches(&self, room: &str) -> bool {
        self.held.iter().any(|held| *held.room == *room && held.watches)
    }

    fn plan(&mut self) {
        self.look_at = self.held.iter().filter_map(|held| held.ask_at).min();
    }
}

impl Session {
    /// It has come into a room.
    pub(super) fn hold(&mut self, room: &Room, watches: bool) {
        let said_at = [Action::Join, Action::Presence]
            .into_iter()
            .filter_map(|action| self.by_host.decided_at(room, action))
            .min();
        let ask_at = self.asks_host(room, watches).then(|| {
            // As long as the host's word is kept, which may be an older one.
            self.shared.rechecks.again_after(said_at.unwrap_or_else(Instant::now))
        });
        self.by_host.forget(room);
        self.by_host.held.push(Held {
            room: Arc::clone(room),
            watches,
            ask_at,
            missed_joins: 0,
            missed_presence: 0,
        });
        self.by_host.plan();
    }

    fn asks_host(&self, room: &str, watches: bool) -> bool {
        let asks = |action| self.by_rule(room, action) == Verdict::AskHost;
        asks(Action::Join) || (watches && asks(Action::Presence))
    }

    /// When the host is to be asked again. Whose token is over has a while to bring another, and is asked about then.
    pub(super) fn look_at(&self) -> Option<Instant> {
        let waits = self.by_host.looking.is_none() && self.expired_at.is_none();
        self.by_host.look_at.filter(|_| waits)
    }

    /// Begins to ask the host about rooms whose time has come.
    pub(super) fn look_again(&mut self) {
        if self.look_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let questions = self.due_questions();
        if questions.is_empty() {
            return;
        }
        let (shared, who) = (Arc::clone(&self.shared), self.who_asks());
        let patience = self.host_patience();
        self.by_host.looking = Some(Box::pin(async move {
            let mut answers = Vec::new();
            // As with looks at sessions, a slow host keeps places for those who come.
            let Ok(_place) = shared.rechecks.place().await else { return answers };
            for (room, action) in questions {
                let until = Instant::now() + patience;
                let allowed = ask_one(&shared, who.as_ref(), &room, action, until).await;
                let hangs = allowed.is_err();
                answers.push(Answer { room, action, allowed });
                if hangs {
                    // It is not asked for each room in turn.
                    break;
                }
            }
            answers
        }));
    }

    /// What the host is to be asked about rooms whose time has come; each comes again later.
    fn due_questions(&mut self) -> Vec<(Room, Action)> {
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
        let again_at = self.shared.rechecks.again_after(now);
        for held in &mut self.by_host.held {
            held.ask_at = held.ask_at.map(|at| if at <= now { again_at } else { at });
        }
        self.by_host.plan();
        questions
    }

    /// Does what the host says of rooms that it is in. One that does not answer leaves them as they are for a while.
    pub(super) async fn heed_host(&mut self, answers: Vec<Answer>) {
        for Answer { room, action, allowed } in answers {
            let Some(held) = self.by_host.held(&room) else { continue };
            let missed = match action {
                Action::Presence => &mut held.missed_presence,
                Action::Join | Action::Emit => &mut held.missed_joins,
            };
            *missed = if allowed.is_ok() { 0 } else { *missed + 1 };
            let (stays, outcome) = match allowed {
                Ok(true) => (true, "kept"),
                Ok(false) => (false, "ended"),
                Err(_) if *missed < RECHECK_GRACE_PERIODS => (true, "unanswered"),
                Err(_) => (false, "given_up"),
            };
            self.shared.metrics.rechecks.inc(outcome);
            match allowed {
                Ok(allowed) => self.remember(&room, action, allowed),
                // The next time others are asked about first.
                Err(_) => self.by_host.held.sort_by_key(|held| held.room == room),
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
            self.by_host.begin_era();
            self.leave_what_is_not_for_it(true).await;
        }
    }

    /// What becomes of its rooms now that it is somebody, `another` than before or the same. What the host has to
    /// say of them is the answer; what it does not say of another is left.
    pub(super) async fn moves(&mut self, another: bool) -> Option<BoxFuture<'static, Vec<Answer>>> {
        if another {
            self.by_host.begin_era();
        }
        self.leave_what_is_not_for_it(another).await;
        if !another {
            return None;
        }
        for held in &mut self.by_host.held {
            (held.missed_joins, held.missed_presence) =
                (RECHECK_GRACE_PERIODS, RECHECK_GRACE_PERIODS);
        }
        let questions = self.due_questions();
        if questions.is_empty() {
            return None;
        }
        let (shared, who) = (Arc::clone(&self.shared), self.who_asks());
        // Its client is not heard meanwhile.
        let until = Instant::now() + self.host_patience();
        Some(Box::pin(async move {
            let mut answers = Vec::with_capacity(questions.len());
            for (room, action) in questions {
                let allowed = ask_one(&shared, who.as_ref(), &room, action, until).await;
                answers.push(Answer { room, action, allowed });
            }
            answers
        }))
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
            let watches = self.by_host.watches(&room);
            if watches && self.by_rule(&room, Action::Presence) == Verdict::Denied {
                self.watch_no_more(&room).await;
                continue;
            }
            let asks_host = self.asks_host(&room, watches);
            if let Some(held) = self.by_host.held(&room) {
                held.ask_at = match held.ask_at {
                    _ if !asks_host => None,
                    Some(at) if !another => Some(at),
                    _ => Some(now),
                };
            }
        }
        self.by_host.plan();
    }

    async fn is_put_out(&mut self, room: &Room) {
        self.by_host.forget(room);
        self.by_host.plan();
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
        let asks_host = self.asks_host(room, false);
        if let Some(held) = self.by_host.held(room) {
            held.watches = false;
            held.ask_at = held.ask_at.filter(|_| asks_host);
        }
        self.by_host.plan();
        // It is in; there is no place that it could be refused.
        let _ = self.shared.events.join(room, self.member(false), None, None).await;
    }
}
