//! A small pool of named threads with large stacks for work on documents that would hold up a room's
//! neighbours: loads, full encodes, large updates, Markdown.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::limits::{COMPUTE_QUEUE_MAX, COMPUTE_THREADS, WORKER_STACK_BYTES};

type Job = Box<dyn FnOnce() + Send>;

/// The job panicked, or the pool is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the computation failed")]
pub struct ComputeFailed;

/// Handle to the pool; clones share it. The threads end when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Compute {
    jobs: SyncSender<Job>,
    /// Fewer than there are threads.
    peers: Arc<Semaphore>,
}

impl Compute {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        crate::panics::install_hook();
        let (jobs, queue) = sync_channel::<Job>(COMPUTE_QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..COMPUTE_THREADS {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("civic-compute-{number}"))
                .stack_size(WORKER_STACK_BYTES)
                .spawn(move || work(&queue))?;
        }
        Ok(Self { jobs, peers: Arc::new(Semaphore::new(COMPUTE_THREADS / 2)) })
    }

    /// A turn, to be held during work whose length a peer's bytes decide. Half of the threads stay free of such
    /// work, so that updates made to take long hold up nobody's load or snapshot.
    pub async fn peers_turn(&self) -> Result<OwnedSemaphorePermit, ComputeFailed> {
        Arc::clone(&self.peers).acquire_owned().await.map_err(|_| ComputeFailed)
    }

    /// Runs `job` on the pool. Waits for a free place in the queue; a panic costs only this job.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ComputeFailed> {
        let (answer, answered) = oneshot::channel();
        let mut boxed: Job = Box::new(move || {
            // Unwind safety: what the job owns is dropped with it; nobody sees it half changed.
            if let Ok(value) = catch_unwind(AssertUnwindSafe(job)) {
                drop(answer.send(value));
            }
        });
        loop {
            match self.jobs.try_send(boxed) {
                Ok(()) => break,
                Err(std::sync::mpsc::TrySendError::Full(back)) => {
                    boxed = back;
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                Err(std::sync::mpsc::TrySendError::Disconnected(_)) => return Err(ComputeFailed),
            }
        }
        answered.await.map_err(|_| ComputeFailed)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().recv();
        let Ok(job) = job else { return };
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_one_job() {
        let compute = Compute::start().unwrap();
        assert_eq!(compute.run(|| panic!("on purpose")).await.map(|(): ()| ()), Err(ComputeFailed));
        assert_eq!(compute.run(|| 2 + 2).await, Ok(4));
    }

    #[tokio::test]
    async fn work_that_peers_chose_leaves_threads_for_loads() {
        let compute = Compute::start().unwrap();
        let (end, ended) = sync_channel::<()>(1);
        let ended = Arc::new(Mutex::new(ended));
        let long: Vec<_> = (0..COMPUTE_THREADS)
            .map(|_| {
                let (compute, ended) = (compute.clone(), Arc::clone(&ended));
                tokio::spawn(async move {
                    let _turn = compute.peers_turn().await.unwrap();
                    compute.run(move || ended.lock().recv().ok()).await.unwrap();
                })
            })
            .collect();
        while compute.peers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(compute.run(|| 2 + 2).await, Ok(4));
        drop(end);
        for job in long {
            job.await.unwrap();
        }
    }
}
