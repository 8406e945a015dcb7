//! How a room gets its document: from the log, or, once in its life, from the record's text.

use bytes::Bytes;

use crate::{
    compute::ComputeFailed,
    error::CloseReason,
    host::{HostError, RecordText},
    ids::RoomId,
    markdown::Loss,
    room::{
        RoomContext,
        document::{Document, DocumentError, LoadFault, Settled, seed_update},
        host_copy, lossy,
    },
    store::{LoggedUpdate, OFFERED, RESEEDED, Seed, SeedOutcome, StoreError, StoredRoom},
};

/// A loaded room.
#[derive(Debug)]
pub struct Loaded {
    /// The document.
    pub document: Document,
    /// What it took just now of updates that were held, to be logged next: the log had lost it.
    pub settled: Vec<Bytes>,
    /// Highest sequence number used.
    pub last_seq: u64,
    /// Bytes of log rows not in the snapshot.
    pub tail_bytes: u64,
    /// Size of the snapshot, in bytes.
    pub snapshot_bytes: u64,
    /// The text last exchanged with the record's source.
    pub base: Option<RecordText>,
    /// The source's present text, if it differs from `base`.
    pub outside: Option<RecordText>,
    /// The text it was seeded from, if the store had lost it and clients may still have its earlier history.
    pub reseeded: Option<String>,
    /// The document's text, if all of it gives way to `outside`.
    pub replaced: Option<RecordText>,
    /// What the source's text holds and the document does not.
    pub losses: Vec<Loss>,
}

/// Why a room could not be loaded. A failed load refuses its joiners; it never yields an empty room.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store failed or its data is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored updates do not rebuild a document.
    #[error("stored updates do not rebuild the document: {0}")]
    Stored(#[from] Box<LoadFault>),
    /// The record's text makes no document.
    #[error("the record's text makes no document: {0}")]
    Seed(#[from] DocumentError),
    /// The host could not give the record.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A thread failed.
    #[error(transparent)]
    Compute(#[from] ComputeFailed),
    /// Two nodes seed without end.
    #[error("the room could not be seeded")]
    Contended,
}

impl LoadError {
    /// What the joiners are told.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Self::Host(HostError::Denied) => CloseReason::PermissionDenied,
            _ => CloseReason::LoadFailed("The record could not be loaded; try again later".into()),
        }
    }
}

/// Loads `room`, seeding it if the store never saw it.
pub async fn load(context: &RoomContext, room: &RoomId) -> Result<Loaded, LoadError> {
    for _ in 0..3 {
        if let Some(stored) = context.store.load(room).await? {
            return from_store(context, room, stored).await;
        }
        if !context.types.is_record(room) {
            return Ok(empty(context, None));
        }
        let record = context.host.load_record(room).await?;
        let Some(record) = record else {
            // Never an empty room where a record should be.
            let may_create = context.config.records.create_missing;
            return if may_create {
                Ok(empty(context, None))
            } else {
                Err(HostError::Denied.into())
            };
        };
        let seed = match host_copy::seed(context, room, &record).await? {
            Some(seed) => seed,
            None => seed_of(context, room, &record).await?,
        };
        if context.store.seed(seed).await? == SeedOutcome::Claimed {
            log::info!(
                event = "room_seeded", room = room.as_str(), source = record.source;
                "room {room}: seeded from its {}", record.source
            );
        }
        // The seed is loaded back like any log: one way to build a document.
    }
    Err(LoadError::Contended)
}

async fn from_store(
    context: &RoomContext,
    room: &RoomId,
    stored: StoredRoom,
) -> Result<Loaded, LoadError> {
    let StoredRoom { snapshot, tail, last_seq } = stored;
    let tail_bytes = tail.iter().map(|row| row.bytes.len() as u64).sum();
    let snapshot_bytes = snapshot.as_ref().map_or(0, |snapshot| snapshot.state.len() as u64);
    if snapshot.is_some() {
        log::debug!(
            event = "snapshot_loaded", room = room.as_str(), bytes = snapshot_bytes;
            "room {room}: a snapshot of {snapshot_bytes} bytes is loaded"
        );
    }
    let document_bytes_max = context.config.limits.document_bytes_max;
    let mut parts = (snapshot.map(|snapshot| snapshot.state), tail);
    let naming = context.config.markdown.schema;
    let (document, settled) = loop {
        let name = room.clone();
        let work = move || {
            let rebuilt = rebuild(&name, document_bytes_max, parts.0.as_ref(), &parts.1);
            (parts, rebuilt)
        };
        let (same, rebuilt) = context.compute.run(work).await?;
        parts = same;
        match rebuilt {
            Ok(rebuilt) => break rebuilt,
            // It was never part of the document, nor acknowledged: the room opens without it.
            Err(fault) if fault.was_held => {
                parts.1.retain(|row| Some(row.seq) != fault.seq);
                keep_aside(context, room, &fault);
            }
            Err(fault) => {
                keep_aside(context, room, &fault);
                return Err(Box::new(fault).into());
            }
        }
    };
    let mut loaded = Loaded {
        document: document.named(naming),
        settled,
        last_seq,
        tail_bytes,
        snapshot_bytes,
        base: None,
        outside: None,
        reseeded: None,
        replaced: None,
        losses: Vec::new(),
    };
    if context.types.is_record(room) {
        read_sources(context, room, &mut loaded).await?;
        if context.store.status().has_predecessor {
            let seed = context.store.source_text(room, RESEEDED).await?;
            loaded.reseeded = seed.filter(|seed| !seed.is_empty());
        }
    }
    Ok(loaded)
}

/// Loads a document and goes on with what it holds; returns what changed by that.
fn rebuild(
    room: &RoomId,
    document_bytes_max: u64,
    snapshot: Option<&Bytes>,
    tail: &[LoggedUpdate],
) -> Result<(Document, Vec<Bytes>), LoadFault> {
    let rows = tail.iter().map(|row| (row.seq, row.bytes.clone()));
    let mut document = Document::load(document_bytes_max, snapshot, rows)?;
    let mut changes = Vec::new();
    while let Some(Settled { seq, held, outcome, .. }) = document.settle() {
        match outcome {
            Ok(change) => changes.extend(change),
            Err(error @ DocumentError::Broken) => {
                return Err(LoadFault { error, seq: Some(seq), bytes: held, was_held: true });
            }
            Err(error) => log::warn!(
                event = "held_update_dropped", room = room.as_str(), code:% = error;
                "room {room}: a held update was given up: {error}"
            ),
        }
    }
    Ok((document, changes))
}

/// Keeps a copy of a row that does not load, for study; the row stays where it is. The room stays closed unless
/// the row was only held, since what follows it may build on it.
fn keep_aside(context: &RoomContext, room: &RoomId, fault: &LoadFault) {
    let place = fault.seq.map_or_else(|| "the snapshot".to_owned(), |seq| format!("row {seq}"));
    let reason = format!("{place} does not load: {}", fault.error);
    context.quarantine.keep(room, None, "LOAD_FAILED", reason, fault.bytes.clone());
}

/// Compares the record's source with what was last exchanged with it. The log is the truth; if the source
/// cannot be read now, the room opens all the same and the next write-back compares again.
async fn read_sources(
    context: &RoomContext,
    room: &RoomId,
    loaded: &mut Loaded,
) -> Result<(), LoadError> {
    match context.host.load_record(room).await {
        Ok(Some(record)) => {
            let present = record.clone();
            let base = context.store.exchanged_text(room).await?;
            let offered = context.store.source_text(room, OFFERED).await?;
            let is_ours = offered.as_ref() == Some(&record.text);
            if base.as_deref() == Some(&record.text) {
                if !is_ours {
                    // Of what we wrote ourselves nothing was lost.
                    let found = lossy::find(context, &record.text, &mut loaded.document).await?;
                    loaded.losses = found?;
                }
                loaded.base = Some(record);
            } else if is_ours {
                // It was written back just before the end of the process that wrote it.
                let text = record.text.clone();
                if let Err(error) = context.store.set_source_text(room, record.source, text).await {
                    log::warn!("room {room}: the base of its next merge was not stored: {error}");
                }
                loaded.base = Some(record);
            } else {
                loaded.base = base.map(|text| RecordText { source: record.source, text });
                loaded.outside = Some(record);
            }
            host_copy::give_way_if_damaged(context, room, present, loaded).await?;
        }
        Ok(None) => {}
        Err(error) => log::warn!(
            event = "source_unreadable", room = room.as_str(), error:% = error;
            "room {room}: its source cannot be read now: {error}"
        ),
    }
    Ok(())
}

async fn seed_of(
    context: &RoomContext,
    room: &RoomId,
    record: &RecordText,
) -> Result<Seed, LoadError> {
    let (name, body) = (room.to_string(), context.split(&record.text).1.to_owned());
    let naming = context.config.markdown.schema;
    let update: Bytes = context.compute.run(move || seed_update(&name, &body, naming)).await??;
    if context.store.status().has_predecessor {
        // Before the seed, so that no seed is without its note.
        context.store.set_source_text(room, RESEEDED, record.text.clone()).await?;
    }
    Ok(Seed { room: room.clone(), update, source: record.source, text: record.text.clone() })
}

fn empty(context: &RoomContext, base: Option<RecordText>) -> Loaded {
    Loaded {
        document: Document::new(context.config.limits.document_bytes_max)
            .named(context.config.markdown.schema),
        settled: Vec::new(),
        last_seq: 0,
        tail_bytes: 0,
        snapshot_bytes: 0,
        base,
        outside: None,
        reseeded: None,
        replaced: None,
        losses: Vec::new(),
    }
}
