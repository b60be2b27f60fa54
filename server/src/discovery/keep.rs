//! Keeps what discovery wants kept: gathered for a second, and written where no datagram waits for it.

use std::{sync::Arc, time::Duration};

use peerage_discovery::StoreOp;
use tokio::{task::JoinHandle, time::Instant};

/// How long operations are gathered for: each write waits for the disk, and the loss of a second is
/// nothing to discovery.
const GATHER: Duration = Duration::from_secs(1);

/// Operations that wait at most; of more, while the disk is slow, the oldest are lost.
const MAX_WAITING: usize = 4_096;

/// Writes operations to where they are kept. Called where it may block.
pub(crate) type Write = Arc<dyn Fn(Vec<StoreOp>) + Send + Sync>;

/// What is to be kept, until it is.
pub(crate) struct Keeper {
    write: Write,
    waiting: Vec<StoreOp>,
    /// When what waits is written; set while something does.
    due: Option<Instant>,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn new(write: Write) -> Self {
        Self { write, waiting: Vec::new(), due: None, writing: None }
    }

    /// Takes an operation.
    pub(super) fn keep(&mut self, op: StoreOp) {
        if self.waiting.len() >= MAX_WAITING {
            tracing::warn!("the disk is too slow for discovery: something is not kept");
            self.waiting.drain(..MAX_WAITING / 2);
        }
        self.due.get_or_insert_with(|| Instant::now() + GATHER);
        self.waiting.push(op);
    }

    /// Begins to write once it is time, and the last write has ended.
    ///
    /// Cancel safe.
    pub(super) async fn ready(&mut self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        self.end().await;
        self.begin();
    }

    /// Writes everything.
    pub(super) async fn finish(&mut self) {
        self.end().await;
        self.begin();
        self.end().await;
    }

    fn begin(&mut self) {
        self.due = None;
        if !self.waiting.is_empty() {
            let (write, ops) = (self.write.clone(), std::mem::take(&mut self.waiting));
            self.writing = Some(tokio::task::spawn_blocking(move || write(ops)));
        }
    }

    async fn end(&mut self) {
        if let Some(writing) = &mut self.writing {
            if let Err(error) = writing.await {
                tracing::error!(%error, "writing what discovery knows has failed");
            }
            self.writing = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn writes() -> (Keeper, Arc<Mutex<Vec<usize>>>) {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let written = sizes.clone();
        (Keeper::new(Arc::new(move |ops| written.lock().unwrap().push(ops.len()))), sizes)
    }

    #[tokio::test(start_paused = true)]
    async fn operations_of_a_second_are_written_together_and_the_rest_at_the_end() {
        let (mut keeper, sizes) = writes();
        let begun = Instant::now();
        keeper.keep(StoreOp::Seq(1));
        keeper.keep(StoreOp::Seq(2));
        keeper.ready().await;
        assert_eq!(begun.elapsed(), GATHER);
        keeper.keep(StoreOp::Seq(3));
        keeper.finish().await;
        assert_eq!(*sizes.lock().unwrap(), [2, 1]);
        keeper.finish().await;
        assert_eq!(sizes.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_waits_for_the_disk_is_bounded_and_a_failed_write_is_no_end() {
        let mut keeper = Keeper::new(Arc::new(|_| panic!("as a disk might")));
        for seq in 0..3 * MAX_WAITING as u64 {
            keeper.keep(StoreOp::Seq(seq));
        }
        assert!(keeper.waiting.len() <= MAX_WAITING);
        assert_eq!(keeper.waiting.last(), Some(&StoreOp::Seq(3 * MAX_WAITING as u64 - 1)));
        keeper.finish().await;
        keeper.keep(StoreOp::Seq(0));
        keeper.finish().await;
    }
}
