//! What the server itself says: events to rooms and to everybody, and changes of collections.

use std::sync::Arc;

use serde_json::{Value, json, value::RawValue};
use tokio::time::Instant;

use super::{Emit, Hub, Member, Room, Said, hub::EVERYBODY};
use crate::{
    error::CloseReason,
    limits::{EVENT_BULK_MAX, EVENT_HOST_BYTES_MAX},
    protocol::events::is_name,
    time::unix_ms,
};

/// The room of all changes of all collections.
pub const COLLECTIONS: &str = "collections";
/// Before a collection's name, its room.
const COLLECTION: &str = "collection:";

/// Whether a room is a collection's.
pub(super) fn is_of_collection(room: &str) -> bool {
    room.starts_with(COLLECTION)
}

/// Why something is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaid {
    /// The room or the event cannot be called so.
    #[error("a room or event has a name of 1 to 255 bytes without control characters")]
    Name,
    /// It is too large for anybody to take.
    #[error("an event of the server has 1 MiB at most")]
    TooLarge,
    /// Too much waits already.
    #[error("too many events wait to be said")]
    Busy,
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Created,
    /// It is another.
    Updated,
    /// It is no more.
    Deleted,
}

impl Operation {
    /// The operation of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "created" => Some(Self::Created),
            "updated" => Some(Self::Updated),
            "deleted" => Some(Self::Deleted),
            _ => None,
        }
    }

    /// The event's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// Which connections; what is not given fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The connection's public name.
    pub client_id: Option<String>,
    /// Whose it is.
    pub user_id: Option<String>,
    /// Where it comes from.
    pub address: Option<String>,
    /// A room it is in.
    pub room: Option<String>,
}

impl Hub {
    /// Says something to a room, or to everybody, without waiting.
    pub fn tell(
        &self,
        room: Option<&str>,
        event: &str,
        data: Option<Box<RawValue>>,
    ) -> Result<(), NotSaid> {
        if !is_name(event) || room.is_some_and(|room| !is_name(room)) {
            return self.unsaid(NotSaid::Name);
        }
        self.put(room.unwrap_or(EVERYBODY).into(), None, event, data)
    }

    /// Tells whoever is concerned that documents of a collection changed. Fields that nobody may see are taken
    /// out. Each is an event of its own, as long as they are few; of many only the ids are told. If one is too large
    /// none is told; if too much waits already, some may have been.
    pub fn change(
        &self,
        collection: &str,
        operation: Operation,
        mut documents: Vec<Value>,
    ) -> Result<(), NotSaid> {
        let room = format!("{COLLECTION}{collection}");
        if !is_name(&room) {
            return self.unsaid(NotSaid::Name);
        }
        let redactions = &self.context.config.events.redactions;
        for document in &mut documents {
            redactions.take_out(collection, document);
        }
        let told = if documents.len() > EVENT_BULK_MAX {
            let ids: Vec<&Value> =
                documents.iter().filter_map(|document| document.get("id")).collect();
            let data = json!({ "type": operation.name(), "count": documents.len(), "ids": ids });
            vec![Change::of(collection, "changed", &data)]
        } else {
            let name = operation.name();
            documents.iter().map(|document| Change::of(collection, name, document)).collect()
        };
        if told.iter().any(|change| is_too_large(change.in_all.as_deref())) {
            return self.unsaid(NotSaid::TooLarge);
        }
        told.into_iter().try_for_each(|change| self.tell_collection(&room, change))
    }

    fn tell_collection(&self, room: &str, change: Change) -> Result<(), NotSaid> {
        let Change { event, data, in_all } = change;
        if self.context.config.events.legacy_collection_broadcast {
            self.put(EVERYBODY.into(), Some(room.into()), event, data)?;
        } else {
            self.put(room.into(), None, event, data)?;
        }
        self.put(COLLECTIONS.into(), None, event, in_all)
    }

    fn put(
        &self,
        room: Room,
        shown: Option<Room>,
        event: &str,
        data: Option<Box<RawValue>>,
    ) -> Result<(), NotSaid> {
        if is_too_large(data.as_deref()) {
            return self.unsaid(NotSaid::TooLarge);
        }
        let said = Said {
            event: event.into(),
            data: data.filter(|data| data.get() != "null"),
            from: None,
            at_ms: unix_ms(),
            key: None,
            shown,
        };
        let begun = Instant::now();
        if self.try_emit(Emit { room, said, by: None, except: None, ack: None, begun }) {
            Ok(())
        } else {
            self.unsaid(NotSaid::Busy)
        }
    }

    fn unsaid(&self, why: NotSaid) -> Result<(), NotSaid> {
        self.context.metrics.events_dropped.inc();
        Err(why)
    }

    /// Ends connections once they have heard all that was said before; how many.
    pub async fn disconnect(&self, filter: &Filter, reason: &str) -> usize {
        self.flush().await;
        let fitting = self.find(filter).await;
        for member in &fitting {
            member.outbox.close(CloseReason::Kicked(reason.to_owned()));
        }
        fitting.len()
    }

    /// The connections that fit.
    pub async fn find(&self, filter: &Filter) -> Vec<Member> {
        let room: Room = filter.room.as_deref().unwrap_or(EVERYBODY).into();
        let mut members = self.members(&room).await;
        members.retain(|member| {
            let person = member.info.person();
            let fits = |wanted: &Option<String>, is: Option<&str>| {
                wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
            };
            fits(&filter.client_id, Some(&person.client_id))
                && fits(&filter.user_id, person.user_id.as_deref())
                && fits(&filter.address, Some(&member.info.address.to_string()))
        });
        members
    }
}

/// A change as it is told.
struct Change {
    event: &'static str,
    /// In the collection's own room.
    data: Option<Box<RawValue>>,
    /// In the room of all collections.
    in_all: Option<Box<RawValue>>,
}

impl Change {
    fn of(collection: &str, event: &'static str, data: &Value) -> Self {
        let in_all = raw(&json!({ "collection": collection, "data": data }));
        Self { event, data: raw(data), in_all }
    }
}

fn is_too_large(data: Option<&RawValue>) -> bool {
    data.is_some_and(|data| data.get().len() > EVENT_HOST_BYTES_MAX)
}

fn raw(value: &Value) -> Option<Box<RawValue>> {
    // What is JSON already has a text.
    serde_json::value::to_raw_value(value).ok()
}

/// Whoever wants to know what happens in rooms.
pub trait Observer: Send + Sync {
    /// Whether facts of this kind are wanted at the moment.
    fn wants(&self, kind: FactKind) -> bool;

    /// Takes a fact, as JSON. Must not wait; `false` = it took none.
    fn note(&self, kind: FactKind, json: String) -> bool;
}

/// What happens in rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// Somebody came into a room.
    Join,
    /// Somebody went.
    Leave,
    /// A client said something.
    Message,
}

impl FactKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Join, Self::Leave, Self::Message];

    /// What the host calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Message => "message",
        }
    }
}

/// An observer in its place, if there is one.
pub(super) type Observing = Arc<parking_lot::RwLock<Option<Arc<dyn Observer>>>>;
