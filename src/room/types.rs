//! Room types by name. What a type's documents are and where they come from is decided here, once.

use std::collections::HashMap;

use crate::{config::Config, ids::RoomId};

/// The type whose documents are Markdown records of the host.
pub const RECORDS: &str = "records";

/// What the documents of a room type are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomType {
    /// A record of the host: seeded from its Markdown, written back to it.
    Record,
    /// Anybody's yjs document, kept in the store only.
    Open,
}

/// The registered types.
#[derive(Clone, Debug)]
pub struct RoomTypes {
    by_name: HashMap<String, RoomType>,
}

impl RoomTypes {
    /// Records, and what `rooms.open_types` names. A record is never open.
    pub fn of_config(config: &Config) -> Self {
        let open = config.rooms.open_types.iter().map(|name| (name.clone(), RoomType::Open));
        let mut by_name: HashMap<_, _> = open.collect();
        by_name.insert(RECORDS.to_owned(), RoomType::Record);
        Self { by_name }
    }

    /// The type of a room, if it is registered.
    pub fn of_room(&self, room: &RoomId) -> Option<RoomType> {
        self.by_name.get(room.kind()).copied()
    }

    /// Whether the room's document is a record of the host.
    pub fn is_record(&self, room: &RoomId) -> bool {
        self.of_room(room) == Some(RoomType::Record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_never_open() {
        let mut config = Config::default();
        config.rooms.open_types = vec!["notes".into(), RECORDS.into()];
        let types = RoomTypes::of_config(&config);
        let of = |name| types.of_room(&RoomId::new(name, "a").unwrap());
        assert_eq!(of("records"), Some(RoomType::Record));
        assert_eq!(of("notes"), Some(RoomType::Open));
        assert_eq!(of("else"), None);
    }
}
