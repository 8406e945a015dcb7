//! What a session may. What the rules leave to the host is asked off the hot path, and remembered for a while.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    held::{Answer, Held},
    session::{Session, Settled, Step, Told},
};
use crate::{
    events::{
        Room,
        rules::{Action, Verdict},
    },
    future::BoxFuture,
    host::{HostError, Identity},
    net::Shared,
    protocol::events::{Ack, ClientMessage},
};

/// The host's words.
#[derive(Default)]
pub(super) struct ByHost {
    decisions: Vec<Decision>,
    /// Grows whenever the host would be asked about somebody else.
    era: u64,
    /// Where the session is.
    pub(super) held: Vec<Held>,
    /// When the first of these rooms is to be asked about again.
    pub(super) look_at: Option<Instant>,
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

impl ByHost {
    /// Whom the host speaks of; another number stands for another identity or role.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// What the host says from now on, it says of another.
    pub(super) fn begin_era(&mut self) {
        self.era += 1;
        self.decisions.clear();
        self.looking = None;
    }

    /// When the host said something.
    pub(super) fn decided_at(&self, room: &str, action: Action) -> Option<Instant> {
        let known = self.decisions.iter().find(|known| known.is_about(room, action));
        known.map(|known| known.at)
    }
}

impl Decision {
    fn is_about(&self, room: &str, action: Action) -> bool {
        *self.room == *room && self.action == action
    }
}

impl Session {
    pub(super) fn role(&self) -> Box<str> {
        self.known.as_ref().map(|known| known.watched.standing().role()).unwrap_or_default()
    }

    pub(super) fn by_rule(&self, room: &str, action: Action) -> Verdict {
        self.shared.config.events.rules.judge(self.identity(), &self.role(), room, action)
    }

    pub(super) fn judge(&self, room: &str, action: Action) -> Verdict {
        let verdict = self.by_rule(room, action);
        if verdict != Verdict::AskHost {
            return verdict;
        }
        let life = self.decision_life();
        let known = self.by_host.decisions.iter().find(|known| known.is_about(room, action));
        match known.filter(|known| known.at.elapsed() < life) {
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
        let (shared, who, era) = (Arc::clone(&self.shared), self.who_asks(), self.by_host.era());
        let until = Instant::now() + self.host_patience();
        Step::Ask(Box::pin(async move {
            let allowed = ask_one(&shared, who.as_ref(), &room, action, until).await;
            let told = allowed.map(|allowed| {
                told.push((action, allowed));
                told
            });
            Settled::Decided { message, ack, era, told }
        }))
    }

    /// Whose the session is, with the role that they have by now.
    pub(super) fn who_asks(&self) -> Option<Identity> {
        let identity = self.identity()?.clone();
        Some(Identity { role: self.role().into(), ..identity })
    }

    /// How long the host may take for an answer.
    pub(super) fn host_patience(&self) -> Duration {
        Duration::from_millis(self.shared.config.auth.timeout_ms)
    }

    pub(super) fn remember(&mut self, room: &str, action: Action, allowed: bool) {
        let life = self.decision_life();
        let max = self.shared.config.limits.max_rooms_per_client.saturating_mul(3);
        let decisions = &mut self.by_host.decisions;
        decisions.retain(|known| known.at.elapsed() < life && !known.is_about(room, action));
        // As many as there may be rooms, for each of the three.
        if decisions.len() >= max {
            decisions.remove(0);
        }
        decisions.push(Decision { room: room.into(), action, allowed, at: Instant::now() });
    }
}

/// Asks the host one question.
pub(super) async fn ask_one(
    shared: &Shared,
    who: Option<&Identity>,
    room: &str,
    action: Action,
    until: Instant,
) -> Result<bool, HostError> {
    let asked = shared.host.authorize_event(who, room, action.name());
    timeout_at(until, asked).await.unwrap_or(Err(HostError::Timeout))
}
