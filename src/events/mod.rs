//! Rooms of events: whoever is in one hears what is said to it. They have no document and know no socket; a
//! member is an outbox.
//!
//! Rooms are shared out to lanes, a task each. A lane orders everything about its rooms, so what is said to
//! a room is heard by all in one order, and no lock stands on the way. What is said is encoded once for all who
//! speak alike, and neighbouring frames lie in one buffer, so that a burst costs a member one push and one write.

pub mod channel;
mod gathered;
mod history;
pub mod hub;
mod lane;
pub mod records;
pub mod redact;
pub mod rules;
pub mod speaker;

pub use self::{
    channel::{ClientInfo, Member, Reader},
    history::Said,
    hub::{EventsContext, Hub},
    lane::{Emit, JoinRefused, Occupied, Room},
    rules::Rules,
};
