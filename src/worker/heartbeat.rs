//! Keeps the jobs in hand invisible to other workers: every few seconds their visibility timeouts are extended.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::queue::{MAX_BATCH, Queue, Receipt, VISIBILITY_SECONDS};
use crate::support::log;
use crate::support::shutdown::Shutdown;

/// Three beats fit in a visibility timeout, so that two may be lost.
const INTERVAL: Duration = Duration::from_secs(VISIBILITY_SECONDS as u64 / 3);

/// The receipts of the jobs in hand.
#[derive(Default)]
pub struct Heartbeat {
    /// Locked while a batch of beats is sent. So when [`stop`](Heartbeat::stop) has returned, no beat for that receipt is under
    /// way, and none can undo its settlement.
    receipts: Mutex<BTreeSet<Receipt>>,
    ended: Shutdown,
}

impl Heartbeat {
    pub fn watch(&self, receipt: &Receipt) {
        self.receipts().insert(receipt.clone());
    }

    pub fn stop(&self, receipt: &Receipt) {
        self.receipts().remove(receipt);
    }

    /// Stops all and returns them.
    pub(crate) fn stop_all(&self) -> Vec<Receipt> {
        std::mem::take(&mut *self.receipts()).into_iter().collect()
    }

    /// Beats until [`end`](Heartbeat::end).
    pub fn beat(&self, queue: &dyn Queue) {
        while !self.ended.wait_timeout(INTERVAL) {
            self.beat_once(queue);
        }
    }

    /// Sends one beat for all receipts. It ends at a batch that fails, and the next beat tries again. A batch holds the lock, and
    /// takes seconds if the queue is out of reach: every job that begins or ends meanwhile waits for it.
    pub fn beat_once(&self, queue: &dyn Queue) {
        let all: Vec<Receipt> = self.receipts().iter().cloned().collect();
        for batch in all.chunks(MAX_BATCH) {
            let watched = self.receipts();
            let still = batch.iter().filter(|receipt| watched.contains(receipt));
            let changes: Vec<_> =
                still.map(|receipt| receipt.clone().visible_in(VISIBILITY_SECONDS)).collect();
            if let Err(error) = queue.change_visibility(&changes) {
                log::warn("heartbeat_failed", &[("jobs", &all.len()), ("error", &error)]);
                break;
            }
        }
    }

    /// Ends [`beat`](Heartbeat::beat).
    pub fn end(&self) {
        self.ended.request();
    }

    fn receipts(&self) -> MutexGuard<'_, BTreeSet<Receipt>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
