//! The one thread that touches record files.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use tokio::sync::{mpsc, oneshot};

use super::folder::Folder;
use crate::{host::HostError, limits::HOST_CALLS_MAX};

type Job = Box<dyn FnOnce(&Folder) + Send>;

/// Handle to the thread; it ends when the handle is dropped and the queue is empty.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// Starts the thread with the folder it works on.
    pub(super) fn start(folder: Folder) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(HOST_CALLS_MAX);
        thread::Builder::new().name("civic-records".into()).spawn(move || {
            folder.sweep();
            while let Some(job) = queue.blocking_recv() {
                job(&folder);
            }
        })?;
        Ok(Self { jobs })
    }

    /// Runs `job` on the thread; waits for a free place in the queue. A panic costs only this job.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Folder) -> T + Send + 'static,
    ) -> Result<T, HostError> {
        let (answer, answered) = oneshot::channel();
        let boxed: Job = Box::new(move |folder| {
            // Unwind safety: the folder is a path, it has no state a panic could leave half changed.
            if let Ok(value) = catch_unwind(AssertUnwindSafe(|| job(folder))) {
                drop(answer.send(value));
            }
        });
        let gone = || HostError::Failed("the records' thread failed".into());
        self.jobs.send(boxed).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}
