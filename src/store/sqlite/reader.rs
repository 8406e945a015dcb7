//! The reading thread: loads on a connection of its own, and work that takes long without touching the
//! database, so that neither holds up a commit nor a worker of the runtime.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;

use super::{failure, schema};
use crate::store::StoreError;

/// One piece of work.
pub(super) type Read = Box<dyn FnOnce(&mut Reading) + Send>;

/// What work on the reading thread may use.
pub(super) struct Reading {
    path: PathBuf,
    connection: Option<Connection>,
}

impl Reading {
    /// Runs `query` in one read transaction: it sees every commit told so far and nothing that comes while
    /// it runs. After a failure of the disk the next call opens the file anew.
    pub(super) fn query<T>(
        &mut self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)
                .map_err(|error| failure::told(&self.path, &error))?,
        };
        let result = connection.unchecked_transaction().and_then(|transaction| query(&transaction));
        match &result {
            Err(error) if !failure::is_of_stored_data(error) => {}
            _ => self.connection = Some(connection),
        }
        result.map_err(|error| failure::told(&self.path, &error))
    }
}

/// Starts the thread. It ends when all senders are gone and the queue is empty.
pub(super) fn start(path: PathBuf, mut queue: Receiver<Read>) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("civic-store-read".into()).spawn(move || {
        let mut reading = Reading { path, connection: None };
        while let Some(work) = queue.blocking_recv() {
            // Unwind safety: the connection was taken out before anything could panic, and is opened anew.
            if catch_unwind(AssertUnwindSafe(|| work(&mut reading))).is_err() {
                log::error!("work of the realtime store panicked; its caller was told");
            }
        }
    })
}
