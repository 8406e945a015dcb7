//! Updates on their way to everybody else, gathered while the room works through its mailbox.
//!
//! Each update keeps its own WebSocket frame; only the bytes of neighbouring frames lie in one shared buffer.
//! So a busy room costs each reader one push, one wake and one write per batch instead of one per edit.

use std::{collections::HashMap, sync::Arc};

use crate::{
    ids::SessionId,
    limits::{FAN_OUT_BYTES_MAX, OUTBOX_BYTES_MAX, OUTBOX_PRESSED_BYTES_MAX},
    protocol::{json, sync, ws_frame},
    room::{batch::Batch, member::Member, queued::Queued},
};

/// The frames gathered since the last flush, once for each protocol that is spoken in the room.
#[derive(Debug, Default)]
pub(super) struct FanOut {
    binary: Batch,
    json: Batch,
}

impl FanOut {
    /// Adds an update v1; `about` if somebody here speaks JSON. `true` if it is time to flush.
    pub(super) fn add(
        &mut self,
        update: &[u8],
        author: Option<SessionId>,
        about: Option<json::Sync<'_>>,
    ) -> bool {
        let mut gathered = self.binary.add(author, |out| {
            ws_frame::append_binary(out, sync::update_len(update), |out| {
                sync::append_update(out, update);
            });
        });
        if let Some(about) = about {
            let message = json::sync(update, about);
            gathered += self.json.add(author, |out| ws_frame::append_text(out, &message));
        }
        gathered >= FAN_OUT_BYTES_MAX
    }

    /// Queues what was gathered for every synced member but each frame's author; returns how many deliveries
    /// that makes.
    pub(super) fn flush(
        &mut self,
        members: &HashMap<SessionId, Member>,
        queued: &Arc<Queued>,
    ) -> u64 {
        let Some(binary) = self.binary.seal(queued) else { return 0 };
        let json = self.json.seal(queued);
        // Where memory runs short, who lags is cut off sooner.
        let bytes_max = if queued.is_over() { OUTBOX_PRESSED_BYTES_MAX } else { OUTBOX_BYTES_MAX };
        let mut deliveries = 0;
        for (session, member) in members.iter().filter(|(_, member)| member.synced) {
            let batch = if member.json.is_some() { json.as_ref() } else { Some(&binary) };
            if let Some((frames, count)) = batch.and_then(|batch| batch.for_member(*session)) {
                deliveries += count;
                member.outbox.push_within(frames, bytes_max);
            }
        }
        deliveries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::CloseReason,
        host::{Grant, Identity},
        room::{NewMember, member::AckMode, outbox::Outbox},
        telemetry::correlation::CorrelationId,
    };

    fn member(synced: bool) -> (Member, Arc<Outbox>) {
        member_with(synced, None)
    }

    fn member_with(synced: bool, json: Option<Box<str>>) -> (Member, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::default());
        let identity = Identity {
            user_id: "u".into(),
            name: "u".into(),
            role: "editor".into(),
            expires_at_ms: None,
            room_patterns: Vec::new(),
            api_user: None,
        };
        let grant = Grant { can_edit: true };
        let new = NewMember {
            session: SessionId(0),
            identity,
            grant,
            outbox: Arc::clone(&outbox),
            ack: AckMode::None,
            json,
            address: [127, 0, 0, 1].into(),
            correlation: CorrelationId::random(),
        };
        let mut member = Member::new(new, 0);
        member.synced = synced;
        (member, outbox)
    }

    fn bytes_of(outbox: &Outbox) -> Vec<u8> {
        outbox.take().frames.iter().flatten().copied().collect()
    }

    #[test]
    fn everybody_gets_every_frame_but_their_own() {
        let (ada, for_ada) = member(true);
        let (ben, for_ben) = member(true);
        let (cy, for_cy) = member(true);
        let (late, for_late) = member(false);
        let members: HashMap<_, _> =
            [ada, ben, cy, late].into_iter().zip(1..).map(|(m, id)| (SessionId(id), m)).collect();
        let queued = Queued::new(1024);
        let mut fan_out = FanOut::default();
        fan_out.add(&[1, 1], Some(SessionId(1)), None);
        fan_out.add(&[2], Some(SessionId(2)), None);
        fan_out.add(&[3], None, None);
        assert_eq!(fan_out.flush(&members, &queued), 2 + 2 + 3);
        let frame = |update: &[u8]| ws_frame::binary(&sync::update(update)).to_vec();
        assert_eq!(bytes_of(&for_ada), [frame(&[2]), frame(&[3])].concat());
        assert_eq!(bytes_of(&for_ben), [frame(&[1, 1]), frame(&[3])].concat());
        assert_eq!(bytes_of(&for_cy), [frame(&[1, 1]), frame(&[2]), frame(&[3])].concat());
        assert!(bytes_of(&for_late).is_empty(), "its first answer will hold them");
        assert_eq!(fan_out.flush(&members, &queued), 0);
    }

    #[test]
    fn an_author_alone_in_the_batch_gets_nothing() {
        let (ada, for_ada) = member(true);
        let members = HashMap::from([(SessionId(1), ada)]);
        let queued = Queued::new(1024);
        let mut fan_out = FanOut::default();
        fan_out.add(&[1], Some(SessionId(1)), None);
        assert_eq!(fan_out.flush(&members, &queued), 0);
        assert!(for_ada.take().frames.is_empty());
    }

    #[test]
    fn each_member_gets_its_own_protocol_encoded_once() {
        let (ada, for_ada) = member_with(true, Some("notes:a".into()));
        let (ben, for_ben) = member_with(true, Some("notes:a".into()));
        let (cy, for_cy) = member_with(true, Some("notes:a".into()));
        let (dan, for_dan) = member(true);
        let members: HashMap<_, _> =
            [ada, ben, cy, dan].into_iter().zip(1..).map(|(m, id)| (SessionId(id), m)).collect();
        let mut fan_out = FanOut::default();
        let about = |version| Some(json::Sync { version, from: Some("ada") });
        fan_out.add(&[1], Some(SessionId(1)), about(7));
        fan_out.add(&[2], None, about(8));
        assert_eq!(fan_out.flush(&members, &Queued::new(1024)), 1 + 2 + 2 + 2);
        let text = |update: &[u8], version| {
            let message = json::sync(update, json::Sync { version, from: Some("ada") });
            ws_frame::text(&message).to_vec()
        };
        assert_eq!(bytes_of(&for_ada), text(&[2], 8));
        let (ben, cy) = (for_ben.take().frames, for_cy.take().frames);
        assert_eq!(ben[0], [text(&[1], 7), text(&[2], 8)].concat());
        assert_eq!(ben[0].as_ptr(), cy[0].as_ptr(), "one buffer");
        let binary = |update: &[u8]| ws_frame::binary(&sync::update(update)).to_vec();
        assert_eq!(bytes_of(&for_dan), [binary(&[1]), binary(&[2])].concat());
    }

    #[test]
    fn where_memory_runs_short_who_lags_is_cut_off() {
        let (ada, for_ada) = member(true);
        let (ben, for_ben) = member(true);
        let members = HashMap::from([(SessionId(1), ada), (SessionId(2), ben)]);
        let queued = Queued::new(OUTBOX_PRESSED_BYTES_MAX / 2);
        let mut fan_out = FanOut::default();
        for _ in 0..3 {
            fan_out.add(&vec![0; OUTBOX_PRESSED_BYTES_MAX * 2 / 3], None, None);
            fan_out.flush(&members, &queued);
            for_ada.take();
        }
        assert_eq!((for_ada.closing(), for_ben.closing()), (None, Some(CloseReason::SlowConsumer)));
        assert_eq!(queued.bytes(), 0, "what it held is given back");
    }

    #[test]
    fn a_large_batch_asks_to_be_flushed() {
        let mut fan_out = FanOut::default();
        assert!(!fan_out.add(&[0; 10], None, None));
        assert!(fan_out.add(&vec![0; FAN_OUT_BYTES_MAX], None, None));
    }
}
