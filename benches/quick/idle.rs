//! Many connections that do nothing, ten to a room.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};

use crate::{
    child::{Child, Kind},
    peer::Peer,
};

const PER_ROOM: usize = 10;
const JOINS_AT_ONCE: usize = 64;
/// For what a join leaves behind to be given back.
const AFTERWARDS: Duration = Duration::from_millis(500);

/// What the connections cost.
pub(crate) struct Figures {
    pub(crate) connections: usize,
    pub(crate) kb_each: f64,
    pub(crate) connect_cpu_ms: f64,
    pub(crate) process_kb: f64,
}

/// Connects to a fresh server and stays.
pub(crate) async fn run(child: &Child, kind: Kind, connections: usize) -> Figures {
    let (process_kb, cpu) = (child.resident_kb(), child.cpu_seconds());
    let mut peers = Vec::with_capacity(connections);
    let mut joins = JoinSet::new();
    for user in 0..connections {
        let address = child.address;
        joins.spawn_local(async move {
            Peer::join(address, kind, &format!("room-{}", user / PER_ROOM), user).await.0
        });
        if joins.len() >= JOINS_AT_ONCE {
            peers.push(joins.join_next().await.unwrap().unwrap());
        }
    }
    while let Some(joined) = joins.join_next().await {
        peers.push(joined.unwrap());
    }
    sleep(AFTERWARDS).await;
    let each = connections as f64;
    Figures {
        connections: peers.len(),
        kb_each: (child.resident_kb() - process_kb) / each,
        connect_cpu_ms: (child.cpu_seconds() - cpu) * 1000.0 / each,
        process_kb,
    }
}
