//! What changes the document: edits, held edits, and who is told that they are durable.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{Actor, Ended, INLINE_DOCUMENT_BYTES_MAX, LastAnswer, ROOM_FAULT};
use crate::{
    broker::Published,
    error::CloseReason,
    ids::SessionId,
    protocol::{
        guard::{Admitted, Scan},
        json, sync, ws_frame,
    },
    room::{
        document::{Applied, Document, DocumentError, Exact, Part, Rest, Settled},
        quarantine::Sender,
    },
    store::Append,
    telemetry::security::Violation,
    time::unix_ms,
};

impl Actor {
    pub(super) async fn update(
        &mut self,
        session: SessionId,
        update: Admitted,
        answer: bool,
    ) -> Result<(), Ended> {
        let Some(member) = self.members.get_mut(&session) else { return Ok(()) };
        if member.outbox.is_closing() {
            return Ok(());
        }
        if !member.grant.can_edit || self.order.is_closed() {
            self.refuse_edit(session, update.scan());
            return Ok(());
        }
        member.active_at_ms = unix_ms();
        self.tell_awake(session);
        if !update.scan().is_empty() && !self.may_take(update.bytes().len()) {
            self.refuse_unstorable(session);
            return Ok(());
        }
        if answer && let Some(member) = self.members.get_mut(&session) {
            member.answered();
        }
        self.forget_deletes_ahead(session, update.scan());
        let update = self.reunite(session, update).await?;
        // An answer to our step 1 can hold much that is known; only what changed goes on.
        let exact = if answer { Exact::Wanted } else { Exact::NotWanted };
        let (applied, update) = if self.document.is_heavy(&update) {
            self.flush_fan_out();
            self.for_peer(true, move |document| (document.apply(&update, exact), update)).await?
        } else {
            (self.document.apply(&update, exact), update)
        };
        match applied {
            Ok(Applied::Unchanged) => {
                self.context.metrics.updates_unchanged.inc();
                // Its content may be in a commit that is still under way.
                self.await_commit(session, self.last_seq, update.bytes());
            }
            Ok(Applied::Changed(change)) => {
                let bytes = change.unwrap_or_else(|| update.bytes().clone());
                let seq = self.log(bytes.clone()).await;
                self.await_commit(session, seq, if answer { &bytes } else { update.bytes() });
                self.fan_out(&bytes, Some(session));
                self.settle_held().await?;
            }
            Ok(Applied::Missing) => self.take_part(session, update, answer).await?,
            Err(DocumentError::Broken) => {
                return Err(self.fail_by(Some(session), update.bytes().clone(), "apply"));
            }
            Err(DocumentError::Refused(code)) => self.refuse_frame(session, code),
            Err(DocumentError::TooLarge(code)) => self.refuse_size(session, code),
            Err(DocumentError::TooManyHeld) => self.refuse_frame(session, "TOO_MANY_HELD"),
        }
        Ok(())
    }

    /// A read-only session's sync message. Stock clients send their whole delete set with each answer, so
    /// only structs the document lacks count as an attempt to edit.
    pub(super) fn refuse_edit(&mut self, session: SessionId, scan: &Scan) {
        let adds = self.document.adds_structs(scan);
        if !adds {
            self.await_commit(session, self.last_seq, &Bytes::from_static(&[0, 0]));
            return;
        }
        let Some(member) = self.members.get_mut(&session) else { return };
        self.context.metrics.updates_readonly.inc();
        member.refuse();
        if !member.told_readonly {
            member.told_readonly = true;
            member.deny_edits(&self.room);
            member.did(Violation::ReadOnlyEdit, &self.context.security);
            let user = member.identity.user_id.as_str();
            log::info!(
                event = "read_only_edit", room = self.room.as_str(), connection = session.0,
                correlation_id = member.correlation.as_str(), user = user;
                "room {}: an edit of read-only user {} was refused",
                self.room,
                user.escape_debug()
            );
        }
    }

    /// Takes what it can of an update that builds on something missing, keeps the rest, and asks for what is
    /// missing: not whom the update is the `answer` of, who told all there is and would tell the same for ever.
    pub(super) async fn take_part(
        &mut self,
        session: SessionId,
        update: Admitted,
        answer: bool,
    ) -> Result<(), Ended> {
        self.flush_fan_out();
        let heavy = self.document.is_heavy(&update);
        let work = move |document: &mut Document| (document.apply_part(&update), update);
        let (part, update) = self.for_peer(heavy, work).await?;
        let update = update.bytes().clone();
        let Part { change, rest } = match part {
            Ok(part) => part,
            Err(DocumentError::Refused(code)) => {
                self.refuse_frame(session, code);
                return Ok(());
            }
            Err(DocumentError::TooLarge(code)) => {
                self.refuse_size(session, code);
                return Ok(());
            }
            Err(_) => return Err(self.fail_by(Some(session), update, "apply a part")),
        };
        let changed = change.is_some();
        if let Some(change) = change {
            self.log(change.clone()).await;
            self.fan_out(&change, Some(session));
        }
        let asks = rest.is_some() && !answer;
        let row = match rest {
            Some(rest) => self.hold(session, rest).await,
            None => Some(self.last_seq),
        };
        if let Some(row) = row {
            self.await_commit(session, row, &update);
        } else {
            log::warn!(
                event = "too_many_held", room = self.room.as_str(), connection = session.0,
                correlation_id = self.correlation_of(session);
                "room {}: too many updates with missing dependencies", self.room
            );
            self.context.metrics.frames_refused.inc("TOO_MANY_HELD");
            self.close_member(session, CloseReason::RoomFailed);
        }
        if changed {
            self.settle_held().await?;
        }
        if asks {
            self.flush_fan_out();
            let state_vector =
                self.document.state_vector().map_err(|_| self.fail(Some(session)))?;
            if let Some(member) = self.members.get(&session) {
                member.ask(&state_vector);
            }
        }
        Ok(())
    }

    /// Keeps what has to wait, in the log too; returns its row. `None`: too much waits already.
    async fn hold(&mut self, session: SessionId, rest: Rest) -> Option<u64> {
        if let Some(row) = self.document.holds(&rest) {
            return Some(row);
        }
        let bytes = rest.bytes().clone();
        let user = &self.members.get(&session)?.identity.user_id;
        if !self.held_shares.has_place(user, bytes.len(), &self.document.held_seqs()) {
            return None;
        }
        self.document.hold(self.last_seq + 1, rest, session).ok()?;
        self.held_shares.take(user, bytes.len(), self.last_seq + 1);
        self.context.metrics.updates_held.inc();
        Some(self.log(bytes).await)
    }

    /// Goes on with what is held. What comes of it gets rows of its own, and whoever waits for a held row waits
    /// for the last of these.
    pub(super) async fn settle_held(&mut self) -> Result<(), Ended> {
        while !self.document.is_whole() {
            let heavy = self.document.is_held_heavy();
            let settled = self.for_peer(heavy, Document::settle).await?;
            let Some(Settled { seq, held, waits, outcome }) = settled else { break };
            // Its author has it; an echo before its commit would be taken for an acknowledgement.
            let author = self.members.iter().find(|(_, member)| member.awaits(seq));
            let author = author.map(|(session, _)| *session);
            let given_up = match outcome {
                Ok(change) => {
                    if let Some(change) = change {
                        self.log(change.clone()).await;
                        self.fan_out(&change, author);
                    }
                    None
                }
                Err(DocumentError::TooLarge(code)) => Some((code, CloseReason::DocumentTooLarge)),
                Err(DocumentError::Refused(code)) => Some((code, CloseReason::Policy(code.into()))),
                Err(_) => return Err(self.fail_by(author, held, "apply a held update")),
            };
            if waits {
                continue;
            }
            self.tell_again = true;
            let row = given_up.is_none().then_some(self.last_seq);
            for member in self.members.values_mut() {
                member.settled(seq, row);
            }
            if let Some((code, reason)) = given_up {
                self.give_up_held(author, code, reason);
            }
        }
        Ok(())
    }

    /// Lets nobody delete what this session is yet to write; see [`Document::forget_deletes_ahead`].
    fn forget_deletes_ahead(&mut self, session: SessionId, scan: &Scan) {
        if self.document.is_whole() {
            return;
        }
        for seq in self.document.forget_deletes_ahead(Some(session), scan) {
            // They are acknowledged once they come again.
            self.members.values_mut().for_each(|member| member.settled(seq, None));
        }
    }

    /// A held update turned out wrong: what it builds on is no place for it, or there is no memory for it.
    fn give_up_held(&mut self, author: Option<SessionId>, code: &'static str, reason: CloseReason) {
        self.context.metrics.frames_refused.inc(code);
        log::warn!(
            event = "held_update_dropped", room = self.room.as_str(), code = code;
            "room {}: a held update was given up: {code}", self.room
        );
        if let Some(author) = author {
            self.close_member(author, reason);
        }
    }

    /// [`Actor::on_document`] for work whose length a peer's bytes decide.
    pub(super) async fn for_peer<T: Send + 'static>(
        &mut self,
        heavy: bool,
        work: impl FnOnce(&mut Document) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let _turn = if heavy { self.context.compute.peers_turn().await.ok() } else { None };
        self.on_document(heavy, work).await
    }

    /// Gives an update its place in the log. Waits while the queue of a store that is well is full.
    pub(in crate::room) async fn log(&mut self, bytes: Bytes) -> u64 {
        self.last_seq += 1;
        self.tail_bytes += bytes.len() as u64;
        self.state_bytes += bytes.len() as u64;
        self.updated_at = Instant::now();
        self.activity.changed(self.last_seq);
        self.write_back.touched();
        self.write_back.history.mark(self.updated_at, self.last_seq);
        self.context.metrics.updates_applied.inc();
        self.context.broker.publish(&self.room, &Published::Update(bytes.clone()));
        let append = Append {
            room: self.room.clone(),
            seq: self.last_seq,
            bytes,
            watch: Arc::clone(&self.watch),
        };
        self.store(append).await;
        self.last_seq
    }

    pub(in crate::room) fn fan_out(&mut self, update: &[u8], author: Option<SessionId>) {
        let from = author.and_then(|author| self.members.get(&author));
        let from = from.map(|member| member.identity.user_id.as_str());
        let json = (self.json.count > 0).then_some(json::Sync { version: self.last_seq, from });
        if self.fan_out.add(update, author, json) {
            self.flush_fan_out();
        }
    }

    pub(super) fn flush_fan_out(&mut self) {
        let deliveries = self.fan_out.flush(&self.members, &self.context.queued);
        self.context.metrics.deliveries.add(deliveries);
    }

    pub(super) async fn answer_step1(
        &mut self,
        session: SessionId,
        state_vector: &[u8],
    ) -> Result<(), Ended> {
        let Some(member) = self.members.get(&session) else { return Ok(()) };
        if member.outbox.is_closing() {
            return Ok(());
        }
        if self.context.queued.is_over() {
            member.outbox.defer_answer();
            return Ok(());
        }
        if let Some(answer) = self.same_answer(session, state_vector) {
            return self.deliver_answer(session, answer);
        }
        let known = state_vector.to_vec();
        let heavy = self.state_bytes > INLINE_DOCUMENT_BYTES_MAX;
        let diff = match self.for_peer(heavy, move |document| document.diff(&known)).await? {
            Ok(diff) => diff,
            Err(DocumentError::Refused(code)) => {
                self.refuse_frame(session, code);
                return Ok(());
            }
            Err(_) => return Err(self.fail(Some(session))),
        };
        let answer = match self.members.get(&session) {
            None => return Ok(()),
            Some(member) if member.json.is_none() => {
                let answer = ws_frame::binary(&sync::sync_step2(&diff));
                let (answer, shared) = self.context.queued.share(answer);
                let question = state_vector.to_vec();
                self.last_answer =
                    Some(LastAnswer { question, changes: self.document.changes(), shared });
                return self.deliver_answer(session, answer);
            }
            Some(member) if member.synced => {
                let about = json::Sync { version: self.last_seq, from: None };
                ws_frame::text(&json::sync(&diff, about))
            }
            Some(_) => self.room_state(session, &diff).unwrap_or_default(),
        };
        self.deliver_answer(session, self.context.queued.count(answer))
    }

    /// What was answered to the same question, if nothing changed and somebody still has to write it. So a
    /// crowd that opens a large document, or reads it slowly, costs its bytes once.
    fn same_answer(&self, session: SessionId, question: &[u8]) -> Option<Bytes> {
        let last = self.last_answer.as_ref()?;
        let is_same = last.question == question && last.changes == self.document.changes();
        let speaks_binary = self.members.get(&session)?.json.is_none();
        if is_same && speaks_binary { last.shared.again() } else { None }
    }

    fn deliver_answer(&mut self, session: SessionId, answer: Bytes) -> Result<(), Ended> {
        let Some(member) = self.members.get_mut(&session) else { return Ok(()) };
        member.outbox.push_answer(answer);
        if !member.synced {
            member.synced = true;
            if member.json.is_some() {
                self.tell_state_of_affairs(session)?;
            }
            self.send_all_awareness(session);
        }
        Ok(())
    }

    pub(super) fn await_commit(&mut self, session: SessionId, seq: u64, update: &Bytes) {
        self.tell_again |= seq <= self.told_seq;
        if let Some(member) = self.members.get_mut(&session) {
            member.await_commit(seq, update);
        }
    }

    pub(super) fn acknowledge(&mut self) {
        let committed = self.watch.committed_seq();
        if committed == self.told_seq && !self.tell_again {
            return;
        }
        (self.told_seq, self.tell_again) = (committed, false);
        self.unlogged.committed(committed);
        let held = self.document.held_seqs();
        for member in self.members.values_mut() {
            member.committed(committed, &held);
        }
    }

    /// The document broke over an update: it is kept for study, and the room ends.
    pub(super) fn fail_by(
        &mut self,
        session: Option<SessionId>,
        update: Bytes,
        what: &str,
    ) -> Ended {
        let member = session.and_then(|session| self.members.get(&session));
        if let Some(member) = member {
            member.did(Violation::RoomFault, &self.context.security);
        }
        let sender = member.map(|member| Sender {
            user_id: member.identity.user_id.as_str(),
            correlation_id: member.correlation.as_str(),
        });
        let reason = format!("the document broke: {what}");
        self.context.quarantine.keep(&self.room, sender, ROOM_FAULT, reason, update);
        self.fail(session)
    }

    /// What the session's connection is called in log lines.
    pub(super) fn correlation_of(&self, session: SessionId) -> Option<&str> {
        self.members.get(&session).map(|member| member.correlation.as_str())
    }

    /// Well-formed, but more than the document may hold: the code tells the client not to come again with it.
    fn refuse_size(&mut self, session: SessionId, code: &'static str) {
        self.context.metrics.frames_refused.inc(code);
        log::warn!(
            event = "edit_too_large", room = self.room.as_str(), connection = session.0,
            correlation_id = self.correlation_of(session), code = code;
            "room {}: an edit of session {} is too large: {code}", self.room, session.0
        );
        self.close_member(session, CloseReason::DocumentTooLarge);
    }

    pub(super) fn refuse_frame(&mut self, session: SessionId, code: &'static str) {
        self.context.metrics.frames_refused.inc(code);
        let member = self.members.get(&session);
        if let Some(member) = member {
            member.did(Violation::HostileMessage, &self.context.security);
        }
        log::warn!(
            event = "frame_refused", room = self.room.as_str(), connection = session.0,
            correlation_id = self.correlation_of(session),
            user = member.map(|member| member.identity.user_id.as_str()), code = code;
            "room {}: a frame of session {} was refused: {code}", self.room, session.0
        );
        self.close_member(session, CloseReason::Policy(code.into()));
    }
}
