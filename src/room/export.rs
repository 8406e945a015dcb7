//! A room's whole content for who asks from outside, open or not.

use bytes::Bytes;

use crate::{
    error::EngineError,
    ids::RoomId,
    markdown::{self, Reference},
    room::{
        RoomContext,
        document::{Document, DocumentError},
    },
    store::{StoreError, StoredRoom},
};

/// A room's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The whole document as update v1.
    pub state: Bytes,
    /// A record's text, front matter included.
    pub markdown: Option<String>,
    /// Row of the log up to which it goes.
    pub version: u64,
}

/// What a record refers to whose room is not open, and maybe never was; `None` if there is no such record.
pub async fn references(
    context: &RoomContext,
    room: &RoomId,
) -> Result<Option<Vec<Reference>>, EngineError> {
    let text = match stored(context, room).await? {
        Some(Export { markdown, .. }) => markdown,
        None => context.host.load_record(room).await?.map(|record| record.text),
    };
    let Some(text) = text else { return Ok(None) };
    let body = context.split(&text).1.to_owned();
    let read = move || markdown::references(&markdown::parse(&body));
    let found = context.compute.run(read).await;
    found.map(Some).map_err(|error| EngineError::Internal(error.to_string()))
}

/// A room as the store has it, without opening it; `None` if the store never saw it.
pub async fn stored(context: &RoomContext, room: &RoomId) -> Result<Option<Export>, EngineError> {
    let Some(StoredRoom { snapshot, tail, last_seq }) = context.store.load(room).await? else {
        return Ok(None);
    };
    let bytes_max = context.config.limits.document_bytes_max;
    let is_record = context.types.is_record(room);
    let naming = context.config.markdown.schema;
    let read = move || {
        let state = snapshot.as_ref().map(|snapshot| &snapshot.state);
        let rows = tail.into_iter().map(|row| (row.seq, row.bytes));
        let document = Document::load(bytes_max, state, rows).map_err(|fault| fault.error)?;
        read(&document.named(naming), is_record)
    };
    let failed = |what: String| StoreError::Corrupt { room: room.to_string(), what };
    let (state, body) = context
        .compute
        .run(read)
        .await
        .map_err(|error| EngineError::Internal(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    let markdown = match body {
        // Front matter is always the source's.
        Some(body) => {
            let source = context.host.load_record(room).await?;
            let front = source.as_ref().map(|source| context.split(&source.text).0);
            Some(markdown::join(front.unwrap_or_default(), &body))
        }
        None => None,
    };
    Ok(Some(Export { state, markdown, version: last_seq }))
}

/// State and Markdown without front matter.
pub(super) fn read(
    document: &Document,
    is_record: bool,
) -> Result<(Bytes, Option<String>), DocumentError> {
    let body = if is_record { Some(markdown::serialize(&document.content()?)) } else { None };
    Ok((document.encode()?.into(), body))
}
