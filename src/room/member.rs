//! One session in a room: what it may do, where its frames go, and which of its updates are durable.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use crate::{
    host::{Grant, Identity},
    ids::{ClientAddress, RoomId},
    protocol::{control::ServerControl, json, sync, ws_frame},
    room::{NewMember, outbox::Outbox, voice::Voice},
    telemetry::{
        correlation::CorrelationId,
        security::{SecurityEvents, Violation},
    },
};

/// How a client is told that its updates are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckMode {
    /// It knows no acknowledgement (y-websocket ≤ 3).
    None,
    /// JSON `{"type":"ack","updates":N}`: its first N sync messages are durable.
    Json,
    /// Its own update comes back once it is durable (`@y/websocket` 4).
    Echo,
}

/// One session of a room.
#[derive(Debug)]
pub struct Member {
    /// Who it is.
    pub identity: Identity,
    /// What it may do.
    pub grant: Grant,
    /// Where its frames go.
    pub outbox: Arc<Outbox>,
    /// The client's address, for security events.
    pub address: ClientAddress,
    /// What its connection is called in log lines and messages.
    pub correlation: CorrelationId,
    /// Unix milliseconds of the join.
    pub joined_at_ms: u64,
    /// Unix milliseconds of its last edit or awareness change.
    pub active_at_ms: u64,
    /// Whether it got its first sync step 2; until then updates are not sent, because that answer holds them.
    pub synced: bool,
    /// Whether it was told that its updates are refused.
    pub told_readonly: bool,
    /// What it needs beside that if it speaks JSON; `None` = it speaks y-websocket's binary protocol.
    pub json: Option<Box<JsonMember>>,
    acks: Acks,
}

/// A member that speaks JSON.
#[derive(Debug)]
pub struct JsonMember {
    /// The room as its client names it.
    pub room_name: Box<str>,
    /// What it says of its person.
    pub voice: Voice,
}

impl JsonMember {
    fn new(room_name: Box<str>) -> Self {
        Self { room_name, voice: Voice::new(fastrand::u32(..)) }
    }
}

/// What a member waits for: the log row whose commit makes one of its updates durable.
#[derive(Debug)]
struct Waiting {
    seq: u64,
    echo: Option<Bytes>,
}

/// A row number no commit reaches: the update waits for its dependencies or was refused.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
struct Acks {
    mode: AckMode,
    /// Sync messages known to be durable, without a gap.
    durable: u64,
    waiting: VecDeque<Waiting>,
    /// Some of its messages were refused.
    refused: bool,
    /// The message being taken holds all that was refused before.
    redeems: bool,
}

/// Acknowledgements one member may wait for; the store's queue and the mailbox bound it far below.
const WAITING_MAX: usize = 65_536;

impl Member {
    /// A member that just joined.
    pub fn new(new: NewMember, now_ms: u64) -> Self {
        let NewMember { session: _, identity, grant, outbox, ack, json, address, correlation } =
            new;
        Self {
            identity,
            grant,
            outbox,
            address,
            correlation,
            joined_at_ms: now_ms,
            active_at_ms: now_ms,
            synced: false,
            told_readonly: false,
            acks: Acks {
                mode: if json.is_some() { AckMode::Json } else { ack },
                durable: 0,
                waiting: VecDeque::new(),
                refused: false,
                redeems: false,
            },
            json: json.map(|name| Box::new(JsonMember::new(name))),
        }
    }

    /// From now on it speaks JSON and calls the room `room_name`; what it gets next is the whole state.
    pub fn speak_json(&mut self, room_name: Box<str>) {
        self.json = Some(Box::new(JsonMember::new(room_name)));
        self.acks.mode = AckMode::Json;
        self.synced = false;
    }

    /// What its client calls the room.
    pub fn room_name<'a>(&'a self, room: &'a RoomId) -> &'a str {
        self.json.as_ref().map_or(room.as_str(), |json| &json.room_name)
    }

    /// Says something that is no document.
    pub fn say(&self, message: &ServerControl<'_>) {
        self.outbox.push(if self.json.is_some() {
            ws_frame::text(&message.to_json())
        } else {
            // Stock clients break on text.
            ws_frame::binary(&message.to_bytes())
        });
    }

    /// Asks it for what this state vector lacks.
    pub fn ask(&self, state_vector: &[u8]) {
        self.outbox.push(if self.json.is_some() {
            ws_frame::text(&json::sync_request(state_vector, self.correlation.as_str()))
        } else {
            ws_frame::binary(&sync::sync_step1(state_vector))
        });
    }

    /// Tells it that its edits are refused.
    pub fn deny_edits(&self, room: &RoomId) {
        if self.json.is_some() {
            self.say(&ServerControl::Error {
                code: "PERMISSION_DENIED",
                message: "Edits of this session are not taken",
                correlation_id: self.correlation.as_str(),
                room_id: Some(self.room_name(room)),
            });
        } else {
            self.outbox.push(ws_frame::binary(&sync::auth_denied("read-only")));
        }
    }

    /// Reports what it did.
    pub fn did(&self, violation: Violation, security: &SecurityEvents) {
        let user = Some(self.identity.user_id.as_str());
        security.report(violation, self.address, user, &self.correlation);
    }

    /// Notes that its next sync message is durable once row `seq` is committed.
    pub fn await_commit(&mut self, seq: u64, update: &Bytes) {
        if std::mem::take(&mut self.acks.redeems) {
            self.acks.refused = false;
            for waiting in self.acks.waiting.iter_mut().filter(|waiting| waiting.seq == NEVER) {
                waiting.seq = seq;
            }
        }
        if self.acks.mode == AckMode::None || self.acks.waiting.len() >= WAITING_MAX {
            return;
        }
        // An empty answer holds nothing a client could wait for.
        let echo = (self.acks.mode == AckMode::Echo && update.len() > 2).then(|| update.clone());
        self.acks.waiting.push_back(Waiting { seq, echo });
    }

    /// Whether it waits for the commit of row `seq`.
    pub fn awaits(&self, seq: u64) -> bool {
        self.acks.waiting.iter().any(|waiting| waiting.seq == seq)
    }

    /// Notes that what it waits for as held row `held` is durable once row `seq` is committed; `None` = never,
    /// since it was given up.
    pub fn settled(&mut self, held: u64, seq: Option<u64>) {
        for waiting in self.acks.waiting.iter_mut().filter(|waiting| waiting.seq == held) {
            waiting.seq = seq.unwrap_or(NEVER);
            self.acks.refused |= seq.is_none();
        }
    }

    /// Whether messages of it were refused that it has not sent again since.
    pub fn has_refused(&self) -> bool {
        self.acks.refused
    }

    /// Notes that the message being taken answers a sync step 1: whatever was refused before is in it, because
    /// the document never had it.
    pub fn answered(&mut self) {
        self.acks.redeems = self.acks.refused;
    }

    /// Notes that its next sync message is refused: nothing from here on is acknowledged.
    pub fn refuse(&mut self) {
        self.acks.refused = true;
        if self.acks.mode != AckMode::None && self.acks.waiting.len() < WAITING_MAX {
            self.acks.waiting.push_back(Waiting { seq: NEVER, echo: None });
        }
    }

    /// Tells the client what became durable with the commit of all rows up to `committed`, but for `held`.
    pub fn committed(&mut self, committed: u64, held: &[u64]) {
        let before = self.acks.durable;
        while let Some(front) = self.acks.waiting.front() {
            if front.seq > committed || held.contains(&front.seq) {
                break;
            }
            self.acks.durable += 1;
            if let Some(update) = self.acks.waiting.pop_front().and_then(|waiting| waiting.echo) {
                self.outbox.push(ws_frame::binary(&sync::update(&update)));
            }
        }
        if self.acks.mode == AckMode::Json && self.acks.durable > before {
            let version = self.json.is_some().then_some(committed);
            self.say(&ServerControl::Ack { updates: self.acks.durable, version });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::SessionId, telemetry::correlation::CorrelationId};

    #[test]
    fn what_was_held_is_acknowledged_with_the_row_of_its_integration() {
        let outbox = Arc::new(Outbox::default());
        let mut member = Member::new(
            NewMember {
                session: SessionId(1),
                identity: Identity {
                    user_id: "ada".into(),
                    name: "Ada".into(),
                    role: "editor".into(),
                    expires_at_ms: None,
                    room_patterns: Vec::new(),
                    api_user: None,
                },
                grant: Grant { can_edit: true },
                outbox,
                json: None,
                ack: AckMode::Json,
                address: [127, 0, 0, 1].into(),
                correlation: CorrelationId::random(),
            },
            0,
        );
        for held in [3, 4] {
            member.await_commit(held, &Bytes::from_static(&[1]));
        }
        member.committed(5, &[3, 4]);
        assert_eq!(member.acks.durable, 0, "held");
        member.settled(3, Some(7));
        member.committed(6, &[4]);
        assert_eq!(member.acks.durable, 0, "integrated, and that is not committed");
        member.committed(7, &[4]);
        assert_eq!(member.acks.durable, 1);
        member.settled(4, None);
        member.committed(9, &[]);
        assert_eq!(member.acks.durable, 1, "given up");
        assert!(member.has_refused());
    }
}
