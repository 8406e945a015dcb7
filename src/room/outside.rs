//! Changes of a record's source that others made, and what is remembered to tell them from our own.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    WriteBackStep,
    actor::{Actor, Ended},
    document::{Document, DocumentError},
};
use crate::{
    host::{DRAFT, RecordText},
    ids::SessionId,
    limits::{EXCHANGED_BYTES_MAX, EXCHANGED_TEXTS_MAX},
    markdown::{Past, Views},
    time::unix_ms,
};

/// How old a view of the room may be that somebody saves, and still be known for one.
const VIEW_AGE_MAX: Duration = Duration::from_secs(15);
/// Time between two marks in the log.
const MARK_GAP: Duration = Duration::from_secs(1);
/// Longest wait for what somebody typed before saving to arrive and to be committed, so that the look finds it.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(3);
/// The same where nobody is sure to answer.
const SETTLE_TIME_UNASKED: Duration = Duration::from_millis(500);
/// Longest look into the log; without it a view of the room is merged as a change.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// Who a text exchanged with the source is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    Us,
    Others,
}

/// What the source and the room were a little while ago.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Texts exchanged, the oldest first. A form that was opened once is saved again and again without being
    /// loaded in between, and our own texts come much more often; so each kind has places of its own.
    exchanged: VecDeque<(Author, String)>,
    /// Times, and the last log row before them.
    marks: VecDeque<(Instant, u64)>,
}

impl History {
    fn exchanged(&mut self, by: Author, text: &str) {
        self.exchanged.retain(|(_, known)| known != text);
        self.exchanged.push_back((by, text.to_owned()));
        let of_kind = self.exchanged.iter().filter(|(kind, _)| *kind == by).count();
        if of_kind > EXCHANGED_TEXTS_MAX
            && let Some(oldest) = self.exchanged.iter().position(|(kind, _)| *kind == by)
        {
            self.exchanged.remove(oldest);
        }
        let bytes = |texts: &VecDeque<(Author, String)>| -> usize {
            texts.iter().map(|(_, text)| text.len()).sum()
        };
        while bytes(&self.exchanged) > EXCHANGED_BYTES_MAX {
            self.exchanged.pop_front();
        }
    }

    /// Row `seq` of the log is written now.
    pub(super) fn mark(&mut self, now: Instant, seq: u64) {
        if self.marks.back().is_some_and(|(last, _)| *last + MARK_GAP > now) {
            return;
        }
        while self.marks.front().is_some_and(|(first, _)| *first + VIEW_AGE_MAX < now) {
            self.marks.pop_front();
        }
        self.marks.push_back((now, seq.saturating_sub(1)));
    }

    /// The log row after which views begin that somebody may still have; `None` = nothing changed since.
    fn views_from(&self, now: Instant) -> Option<u64> {
        self.marks.iter().find(|(at, _)| *at + VIEW_AGE_MAX >= now).map(|(_, seq)| *seq)
    }
}

/// Whether the text last exchanged is stored, for the merge after the next opening.
#[derive(Debug, Default)]
pub(super) enum Storing {
    #[default]
    Done,
    /// One after the other, so that the last one stays.
    UnderWay { next: Option<RecordText> },
}

/// A changed text of the source that waits for what was on its way to the room when it was read.
#[derive(Debug)]
pub(super) struct Settling {
    theirs: RecordText,
    /// The log row after which views begin.
    from_seq: u64,
    began_at: Instant,
    /// Editors who were asked for what the room lacks and have not answered. What somebody sent before the text
    /// was saved comes before the answer.
    asked: HashSet<SessionId>,
    /// The last log row once all have answered.
    seq: Option<u64>,
}

impl Actor {
    /// Takes in that the source's text is not the one last exchanged. Returns whether that is done; if not, the
    /// write-back goes on with [`WriteBackStep::LookedBack`].
    pub(super) async fn take_in(&mut self, theirs: &RecordText) -> Result<bool, Ended> {
        let views_from = self.write_back.history.views_from(Instant::now());
        let Some(from_seq) = views_from.filter(|_| self.may_be_a_view(theirs)) else {
            self.merge_outside(theirs.clone(), Views::default()).await?;
            return Ok(true);
        };
        let state_vector = self.document.state_vector().map_err(|_| self.fail(None))?;
        let editors = self.members.iter().filter(|(_, member)| self.may_edit(member));
        let (mut asked, mut is_answered) = (HashSet::new(), true);
        for (session, member) in editors {
            member.ask(&state_vector);
            // The first documents' clients do not know the question.
            is_answered &= member.json.is_none();
            asked.insert(*session);
        }
        let began_at = Instant::now();
        let patience = if is_answered { SETTLE_TIME_MAX } else { SETTLE_TIME_UNASKED };
        self.tell_self(async move {
            tokio::time::sleep(patience).await;
            WriteBackStep::Settled { began_at }
        });
        self.write_back.settling =
            Some(Settling { theirs: theirs.clone(), from_seq, began_at, asked, seq: None });
        self.look_back_if_settled();
        Ok(false)
    }

    /// A session has answered, or is gone: nothing of it is on its way any more.
    pub(super) fn settled_by(&mut self, session: SessionId) {
        if let Some(settling) = &mut self.write_back.settling {
            settling.asked.remove(&session);
        }
        self.look_back_if_settled();
    }

    /// The wait that began then has been long enough.
    pub(super) fn settled(&mut self, began_at: Instant) {
        if let Some(settling) =
            self.write_back.settling.take_if(|settling| settling.began_at == began_at)
        {
            self.look_back(settling);
        }
    }

    /// Looks back once all is in the log that was on its way when the source's text was read.
    pub(super) fn look_back_if_settled(&mut self) {
        let (last_seq, committed_seq) = (self.last_seq, self.watch.committed_seq());
        let settled = self.write_back.settling.take_if(|settling| {
            settling.asked.is_empty() && committed_seq >= *settling.seq.get_or_insert(last_seq)
        });
        if let Some(settling) = settled {
            self.look_back(settling);
        }
    }

    fn look_back(&mut self, settling: Settling) {
        let Settling { theirs, from_seq, .. } = settling;
        let (context, room) = (self.context.clone(), self.room.clone());
        self.tell_self(async move {
            let naming = context.config.markdown.schema;
            let look = async {
                let stored = context.store.load(&room).await.ok().flatten()?;
                let replay = move || Document::replay(stored, from_seq, naming);
                context.compute.run(replay).await.ok()?.ok()
            };
            let views = tokio::time::timeout(LOOK_TIMEOUT, look).await.ok().flatten();
            WriteBackStep::LookedBack { current: theirs, views: views.unwrap_or_default() }
        });
    }

    /// Whether somebody's form may have saved what it showed a while ago. Of drafts only: who puts an earlier
    /// text of a file or a published record back, means to.
    fn may_be_a_view(&self, theirs: &RecordText) -> bool {
        theirs.source == DRAFT && self.is_same_source(theirs)
    }

    /// A draft that was published or discarded is a change from the draft, not of what somebody saw.
    fn is_same_source(&self, theirs: &RecordText) -> bool {
        self.write_back.base.as_ref().is_some_and(|base| base.source == theirs.source)
    }

    /// Merges a text that changed outside into the document; what both sides changed keeps the live text, and
    /// the other is kept as a version. `views` are what the room was a moment ago.
    pub(super) async fn merge_outside(
        &mut self,
        theirs: RecordText,
        views: Views,
    ) -> Result<(), Ended> {
        let is_same_source = self.is_same_source(&theirs);
        let base = self
            .write_back
            .base
            .clone()
            .unwrap_or_else(|| RecordText { source: theirs.source, text: String::new() });
        let body = |text: &str| self.context.split(text).1.to_owned();
        let bodies = (body(&base.text), body(&theirs.text));
        let mut past = Past { exchanged: Vec::new(), views };
        if self.may_be_a_view(&theirs) {
            let exchanged = &self.write_back.history.exchanged;
            past.exchanged = exchanged.iter().map(|(_, text)| body(text)).collect();
        }
        let merged = self
            .on_document(true, move |document| document.merge_late(&bodies.0, &bodies.1, &past))
            .await?;
        match merged {
            Ok((update, report)) => {
                if let Some(update) = update {
                    self.context.metrics.outside_changes.inc();
                    log::info!(
                        event = "outside_change_merged", room = self.room.as_str(), source = theirs.source;
                        "room {}: a change of its {} was merged", self.room, theirs.source
                    );
                    self.log(update.clone()).await;
                    self.fan_out(&update, None);
                    if !is_same_source && self.write_back.base.is_some() {
                        self.keep_version(base, "replaced");
                    }
                }
                if !report.conflicts.is_empty() {
                    self.keep_conflict(&theirs);
                }
                self.look_for_losses(&theirs).await?;
                self.exchanged(theirs, Author::Others);
                // Whatever of theirs is not in the document, the source does not have what is.
                self.write_back.differs();
                Ok(())
            }
            Err(DocumentError::Refused(code)) => {
                log::error!(
                    event = "outside_change_refused", room = self.room.as_str(), source = theirs.source,
                    code:% = code;
                    "room {}: a change of its {} was refused: {code}",
                    self.room,
                    theirs.source
                );
                Ok(())
            }
            Err(_) => Err(self.fail(None)),
        }
    }

    pub(super) fn keep_conflict(&self, theirs: &RecordText) {
        log::warn!(
            event = "record_conflict", room = self.room.as_str(), source = theirs.source;
            "room {}: its {} was changed in places edited here too; kept aside",
            self.room,
            theirs.source
        );
        self.hook(
            "realtime:record:conflict",
            serde_json::json!({
                "roomId": self.room.as_str(), "source": theirs.source, "timestamp": unix_ms(),
            }),
        );
        self.keep_version(theirs.clone(), "conflict");
    }

    /// Keeps a text that is not the document's, so that a person can find it.
    pub(super) fn keep_version(&self, text: RecordText, reason: &'static str) {
        let (store, room) = (Arc::clone(&self.context.store), self.room.clone());
        tokio::spawn(async move {
            if let Err(error) = store.keep_version(&room, text.source, reason, text.text).await {
                log::error!(
                    event = "version_not_kept", room = room.as_str(), error:% = error;
                    "room {room}: the other text could not be kept: {error}"
                );
            }
        });
    }

    /// The source holds this text, and we know it.
    pub(super) fn exchanged(&mut self, text: RecordText, by: Author) {
        self.write_back.history.exchanged(by, &text.text);
        self.write_back.base = Some(text.clone());
        match &mut self.write_back.storing {
            Storing::UnderWay { next } => *next = Some(text),
            Storing::Done => self.store_base(text),
        }
    }

    /// The room must not leave memory before: the next opening would take what was exchanged for news, and news
    /// for what was exchanged.
    fn store_base(&mut self, text: RecordText) {
        self.write_back.storing = Storing::UnderWay { next: None };
        let (store, room) = (Arc::clone(&self.context.store), self.room.clone());
        self.tell_self(async move {
            if let Err(error) = store.set_source_text(&room, text.source, text.text).await {
                log::warn!(
                    event = "base_not_stored", room = room.as_str(), error:% = error;
                    "room {room}: the base of its next merge was not stored: {error}"
                );
            }
            WriteBackStep::BaseStored
        });
    }

    /// A base is stored, or cannot be.
    pub(super) fn base_stored(&mut self) {
        if let Storing::UnderWay { next: Some(text) } = std::mem::take(&mut self.write_back.storing)
        {
            self.store_base(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_outlast_many_of_ours() {
        let mut history = History::default();
        history.exchanged(Author::Others, "theirs");
        for number in 0..100 {
            history.exchanged(Author::Us, &format!("ours {number}"));
        }
        assert_eq!(history.exchanged.len(), EXCHANGED_TEXTS_MAX + 1);
        assert!(history.exchanged.iter().any(|(_, text)| text == "theirs"));
        history.exchanged(Author::Others, &"x".repeat(EXCHANGED_BYTES_MAX + 1));
        assert!(history.exchanged.is_empty(), "too much to remember");
    }

    #[tokio::test]
    async fn views_are_of_the_last_seconds() {
        let start = Instant::now();
        let mut history = History::default();
        assert_eq!(history.views_from(start), None);
        for (seq, second) in (1..=60).zip(0_u64..) {
            history.mark(start + Duration::from_secs(second), seq);
            history.mark(start + Duration::from_secs(second), seq + 1000);
        }
        assert_eq!(history.views_from(start + Duration::from_secs(59)), Some(44));
        assert!(history.marks.len() <= 17);
        assert_eq!(history.views_from(start + Duration::from_mins(2)), None);
    }
}
