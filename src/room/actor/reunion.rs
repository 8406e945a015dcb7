//! A record that the store lost, and clients that still have it.

use std::sync::Arc;

use super::{Actor, Ended};
use crate::{
    host::RecordText, ids::SessionId, markdown, protocol::guard::Admitted,
    room::document::DocumentError, store::RESEEDED,
};

impl Actor {
    /// Lets a room that was seeded anew give way to the record's earlier history, if an update brings it. The
    /// update is then applied as any other: what it holds is known by now, and durable with the row logged here.
    pub(super) async fn reunite(
        &mut self,
        session: SessionId,
        update: Admitted,
    ) -> Result<Admitted, Ended> {
        let seed = self.reseeded.as_ref().filter(|_| self.document.may_reunite(&update));
        let Some(seed) = seed.map(|seed| self.context.split(seed).1.to_owned()) else {
            return Ok(update);
        };
        let (reunited, update) =
            self.for_peer(true, move |document| (document.reunite(&update, &seed), update)).await?;
        let reunion = match reunited {
            Ok(Some(reunion)) => reunion,
            // What is refused is refused again by whoever applies it, and told.
            Ok(None) | Err(DocumentError::Refused(_) | DocumentError::TooLarge(_)) => {
                return Ok(update);
            }
            Err(_) => return Err(self.fail_by(Some(session), update.bytes().clone(), "reunite")),
        };
        log::warn!(
            event = "seed_gave_way", room = self.room.as_str(), connection = session.0,
            correlation_id = self.correlation_of(session);
            "room {}: a client still had the record's history that the database lost; its text is here once",
            self.room
        );
        self.log(reunion.change).await;
        // To the author its own words before their commit would be an acknowledgement.
        self.fan_out(&reunion.brought, Some(session));
        if let Some(own) = reunion.own {
            self.fan_out(&own, None);
        }
        if let Some(text) = reunion.conflict {
            let front = self.front_matter();
            self.keep_conflict(&RecordText {
                source: RESEEDED,
                text: markdown::join(front, &text),
            });
        }
        self.reseeded = None;
        let (store, room) = (Arc::clone(&self.context.store), self.room.clone());
        tokio::spawn(async move {
            if let Err(error) = store.set_source_text(&room, RESEEDED, String::new()).await {
                log::warn!("room {room}: that its seed gave way was not noted: {error}");
            }
        });
        Ok(update)
    }
}
