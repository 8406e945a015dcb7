//! What somebody outside gets of an open room, and gives it.

use tokio::sync::oneshot;

use super::{Actor, Ended, INLINE_DOCUMENT_BYTES_MAX};
use crate::{
    engine::SnapshotReport,
    error::EngineError,
    host::RecordText,
    markdown::{self, Reference},
    room::{
        document::{Document, DocumentError},
        export::{self, Export},
        lossy,
    },
};

/// Name of texts from outside that are no source's.
const SENT: &str = "sent";

impl Actor {
    pub(super) async fn export(&mut self) -> Result<Export, Ended> {
        let is_record = self.context.types.is_record(&self.room);
        let read =
            self.on_document(true, move |document| export::read(document, is_record)).await?;
        let Ok((state, body)) = read else { return Err(self.fail(None)) };
        let front = self.write_back.base.as_ref().map(|base| self.context.split(&base.text).0);
        let markdown = body.map(|body| markdown::join(front.unwrap_or_default(), &body));
        Ok(Export { state, markdown, version: self.last_seq })
    }

    pub(super) async fn references(&mut self) -> Result<Vec<Reference>, Ended> {
        let heavy = self.state_bytes > INLINE_DOCUMENT_BYTES_MAX;
        let read = |document: &mut Document| {
            document.content().map(|content| markdown::references(&content))
        };
        self.on_document(heavy, read).await?.map_err(|_| self.fail(None))
    }

    /// Why a text is not taken: it would lose something, or the room is closed for what its source holds.
    async fn losses_of(&mut self, text: &str) -> Result<Option<String>, Ended> {
        if !self.order.losses.is_empty() {
            return Ok(Some(lossy::sentence(&self.order.losses)));
        }
        let found = lossy::find(&self.context, text, &mut self.document).await;
        let Ok(Ok(losses)) = found else { return Err(self.fail(None)) };
        Ok((!losses.is_empty()).then(|| lossy::sentence(&losses)))
    }

    /// Merges a text that somebody made of `base` like an edit, and writes it back. Without `base` it was made
    /// of the text last exchanged with the source. What is edited here too keeps the live text.
    pub(super) async fn take_text(
        &mut self,
        text: String,
        base: Option<String>,
        reply: oneshot::Sender<Result<SnapshotReport, EngineError>>,
    ) -> Result<(), Ended> {
        let exchanged = || self.write_back.base.as_ref().map(|base| base.text.clone());
        let base = match base.or_else(exchanged) {
            Some(base) => self.context.split(&base).1.to_owned(),
            None => self.body().await?,
        };
        let theirs = self.context.split(&text).1.to_owned();
        if let Some(losses) = self.losses_of(&text).await? {
            drop(reply.send(Err(EngineError::Lossy(losses))));
            return Ok(());
        }
        let merged =
            self.on_document(true, move |document| document.merge_outside(&base, &theirs)).await?;
        match merged {
            Ok((update, report)) => {
                if let Some(update) = update {
                    self.context.metrics.outside_changes.inc();
                    self.log(update.clone()).await;
                    self.fan_out(&update, None);
                    self.write_back.touched();
                }
                if !report.conflicts.is_empty() {
                    self.keep_conflict(&RecordText { source: SENT, text });
                }
                self.request_write_back(reply);
                Ok(())
            }
            Err(DocumentError::Refused(code)) => {
                let refused = EngineError::Internal(format!("the text was refused: {code}"));
                drop(reply.send(Err(refused)));
                Ok(())
            }
            Err(_) => Err(self.fail(None)),
        }
    }
}
