//! Records that hold what the editor's document cannot.
//!
//! Such a record is read only, and nothing is written back: saving the document would take it out of the
//! archive. Everybody is told where it stands. Who takes it out of the source makes the record editable again.

use crate::{
    compute::ComputeFailed,
    host::RecordText,
    limits::LOSSES_TOLD_MAX,
    markdown::{self, Loss},
    protocol::{control::ServerControl, json::Level},
    room::{
        RoomContext,
        actor::{Actor, Ended},
        document::{Document, DocumentError},
    },
    time::unix_ms,
};

/// Code of the notice that a record is read only for what it holds.
const RECORD_LOSSY: &str = "RECORD_LOSSY";
/// Code of the notice that it is editable again.
const RECORD_WHOLE: &str = "RECORD_WHOLE";

/// What a source's text holds and the document made of it does not, by the lines of the whole text.
pub(super) async fn find(
    context: &RoomContext,
    text: &str,
    document: &mut Document,
) -> Result<Result<Vec<Loss>, DocumentError>, ComputeFailed> {
    let (front, body) = context.split(text);
    let (lines, body) = (front.matches('\n').count(), body.to_owned());
    let read = move || (markdown::parse_with_losses(&body).1.is_empty(), body);
    let (is_whole, body) = context.compute.run(read).await?;
    if is_whole {
        return Ok(Ok(Vec::new()));
    }
    let tree = match document.content() {
        Ok(tree) => tree,
        Err(error) => return Ok(Err(error)),
    };
    let compare = move || markdown::losses(&body, &markdown::serialize(&tree));
    let mut losses = context.compute.run(compare).await?;
    for loss in &mut losses {
        loss.line += lines;
    }
    Ok(Ok(losses))
}

/// One sentence for people.
pub(super) fn sentence(losses: &[Loss]) -> String {
    let Some(first) = losses.first() else {
        return "The record can be edited again.".to_owned();
    };
    let more = match losses.len() - 1 {
        0 => String::new(),
        count => format!(", and {count} more"),
    };
    format!(
        "The editor would lose what stands in line {} ({}){more}. Until that is changed where the text \
         comes from, it can only be read here.",
        first.line, first.what
    )
}

impl Actor {
    /// Looks for what `theirs`, a text that others gave the source, holds and the document does not.
    pub(super) async fn look_for_losses(&mut self, theirs: &RecordText) -> Result<(), Ended> {
        let found = find(&self.context, &theirs.text, &mut self.document).await;
        let Ok(Ok(losses)) = found else { return Err(self.fail(None)) };
        self.set_losses(losses, theirs.source)
    }

    /// The source holds this beyond the document; nothing, if what was there is gone.
    pub(super) fn set_losses(&mut self, losses: Vec<Loss>, source: &str) -> Result<(), Ended> {
        if self.order.losses == losses {
            return Ok(());
        }
        let was_whole = self.order.losses.is_empty();
        self.order.losses = losses;
        let losses = &self.order.losses;
        let is_whole = losses.is_empty();
        log::warn!(
            event = "record_lossy", room = self.room.as_str(), source = source, count = losses.len();
            "room {}: its {source} holds {} things the editor would lose", self.room, losses.len()
        );
        let told: Vec<_> = losses.iter().take(LOSSES_TOLD_MAX).collect();
        self.hook(
            "realtime:record:lossy",
            serde_json::json!({
                "roomId": self.room.as_str(), "source": source, "lossy": told,
                "timestamp": unix_ms(),
            }),
        );
        let message = sentence(losses);
        self.tell_all(|correlation_id| notice(is_whole, &message, correlation_id));
        if is_whole {
            // What waited for this.
            self.write_back.differs();
        }
        if is_whole == was_whole {
            return Ok(());
        }
        self.tell_editors()
    }

    /// Tells a session that just joined what the others know.
    pub(super) fn tell_losses(&mut self, session: crate::ids::SessionId) -> Result<(), Ended> {
        let member = self.members.get(&session).filter(|_| !self.order.losses.is_empty());
        let Some(member) = member else { return Ok(()) };
        let message = sentence(&self.order.losses);
        member.say(&notice(false, &message, member.correlation.as_str()));
        if member.grant.can_edit { self.tell_rights(session) } else { Ok(()) }
    }
}

fn notice<'a>(is_whole: bool, message: &'a str, correlation_id: &'a str) -> ServerControl<'a> {
    let (code, level) =
        if is_whole { (RECORD_WHOLE, Level::Info) } else { (RECORD_LOSSY, Level::Warning) };
    ServerControl::Notice { code, level, message, correlation_id }
}
