//! The host's newest copy of a room, looked at when the room is loaded.
//!
//! The store is the truth about a room it knows, the host's texts about the record. So a copy only begins a room
//! that the store never saw, and the record's present text is merged over it like any outside change. A copy that
//! is damaged says that somebody wants the record's own text back.

use bytes::Bytes;

use crate::{
    host::{HostCopy, RecordText},
    ids::RoomId,
    markdown,
    room::{
        RoomContext,
        document::Document,
        load::{LoadError, Loaded},
    },
    store::Seed,
};

/// What a room the store never saw begins with, if the host has a sound copy of it.
pub(super) async fn seed(
    context: &RoomContext,
    room: &RoomId,
    record: &RecordText,
) -> Result<Option<Seed>, LoadError> {
    let Some(copies) = context.host.copies() else { return Ok(None) };
    // A host that cannot say refuses the joiners: seeded from Markdown, the room's text would be other text to
    // whoever still has the copy's.
    let state = match copies.load(room).await? {
        HostCopy::Sound(state) => state,
        HostCopy::Damaged(why) => {
            tell(room, &why);
            return Ok(None);
        }
        HostCopy::Missing => return Ok(None),
    };
    match body_of(context, state.clone()).await? {
        Ok(body) => {
            // Exchanged is what the copy says, so that what the record says is a change of it.
            let front = context.split(&record.text).0;
            let text = markdown::join(front, &body);
            Ok(Some(Seed { room: room.clone(), update: state, source: record.source, text }))
        }
        Err(why) => {
            tell(room, &why);
            Ok(None)
        }
    }
}

/// The Markdown of a state that may be anything.
pub(super) async fn body_of(
    context: &RoomContext,
    state: Bytes,
) -> Result<Result<String, String>, LoadError> {
    let bound = context.config.limits.document_bytes_max;
    let naming = context.config.markdown.schema;
    let read = move || {
        let document = Document::load(bound, Some(&state), std::iter::empty())
            .map_err(|fault| fault.to_string())?
            .named(naming);
        let tree = document.content().map_err(|error| error.to_string())?;
        Ok(markdown::serialize(&tree))
    };
    Ok(context.compute.run(read).await?)
}

/// If the host's newest copy of a room that the store knows is damaged, the record's text takes the document's
/// place: as a change of all of it, so that what is the same stays the same to everybody.
pub(super) async fn give_way_if_damaged(
    context: &RoomContext,
    room: &RoomId,
    record: RecordText,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    let Some(copies) = context.host.copies() else { return Ok(()) };
    match copies.load(room).await {
        Ok(HostCopy::Damaged(why)) => tell(room, &why),
        Ok(_) => return Ok(()),
        Err(error) => {
            log::warn!(
                event = "copy_unreadable", room = room.as_str(), error:% = error;
                "room {room}: the host's copy cannot be read now: {error}"
            );
            return Ok(());
        }
    }
    let tree = loaded.document.content()?;
    let body = context.compute.run(move || markdown::serialize(&tree)).await?;
    let front = context.split(&record.text).0;
    let ours = RecordText { source: record.source, text: markdown::join(front, &body) };
    loaded.replaced = (ours != record).then(|| ours.clone());
    loaded.base = Some(ours);
    loaded.outside = Some(record);
    Ok(())
}

fn tell(room: &RoomId, why: &str) {
    log::error!(
        event = "copy_damaged", room = room.as_str(), error = why;
        "room {room}: the host's newest copy is damaged ({why}); its Markdown counts"
    );
}
