//! Changes of the host's records as changes of the collection `records`, where the host watches its source.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::mpsc;

use super::{Hub, speaker::Operation};
use crate::{
    host::{Host, Identity},
    ids::RoomId,
    room::RECORDS,
};

/// Tells of each record that comes whether it was created, updated or deleted. Ends with its source.
pub async fn follow(host: Arc<dyn Host>, hub: Arc<Hub>, mut changed: mpsc::Receiver<RoomId>) {
    let mut known = all(host.as_ref()).await;
    while let Some(room) = changed.recv().await {
        if room.kind() != RECORDS {
            continue;
        }
        let Ok(summary) = host.record_summary(&room).await else { continue };
        let id = room.id();
        let (operation, document) = match summary {
            Some(summary) => {
                let new = known.insert(id.to_owned());
                let operation = if new { Operation::Created } else { Operation::Updated };
                (operation, serde_json::json!(summary))
            }
            None if known.remove(id) => (Operation::Deleted, serde_json::json!({ "id": id })),
            // It came and went between two looks.
            None => continue,
        };
        if let Err(why) = hub.change(RECORDS, operation, vec![document]) {
            log::debug!("the change of {room} is not told: {why}");
        }
    }
}

async fn all(host: &dyn Host) -> HashSet<String> {
    let engine = Identity {
        user_id: "engine".into(),
        name: "engine".into(),
        role: "admin".into(),
        expires_at_ms: None,
        room_patterns: Vec::new(),
        api_user: None,
    };
    let records = host.list_records(&engine).await.unwrap_or_default();
    records.into_iter().map(|record| record.id).collect()
}
