//! What carries rooms between nodes. A single node needs none; the actor publishes all the same, so that a
//! broker that comes later changes no room.

use bytes::Bytes;

use crate::ids::RoomId;

/// What a room tells other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// A change of the document that is queued for the log, as update v1.
    Update(Bytes),
}

/// Carries what rooms publish to the nodes that have them open. Every broker is taken as at-most-once: rooms
/// make up for losses by exchanging state vectors.
pub trait Broker: Send + Sync + 'static {
    /// Hands a message over without waiting; a full queue drops it and counts that.
    fn publish(&self, room: &RoomId, message: &Published);
}

/// The broker of a single node: nobody else is there to be told.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleNode;

impl Broker for SingleNode {
    fn publish(&self, _room: &RoomId, _message: &Published) {}
}
