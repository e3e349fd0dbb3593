//! Keeping the jobs in hand invisible: every few seconds the visibility timeout of all of them is extended.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::log;
use crate::queue::{Queue, Receipt, VISIBILITY_SECONDS};
use crate::shutdown::Shutdown;

/// Three beats fit in a visibility timeout, so that two may be lost.
const INTERVAL: Duration = Duration::from_secs(VISIBILITY_SECONDS as u64 / 3);

/// The receipts of the jobs in hand.
#[derive(Default)]
pub struct Heartbeat {
    /// Locked while a beat is sent: when [`stop`](Heartbeat::stop) has returned, no beat for that receipt is under way, and
    /// none can overwrite what it is settled with.
    receipts: Mutex<BTreeSet<Receipt>>,
    ended: Shutdown,
}

impl Heartbeat {
    /// From now on this receipt is extended.
    pub fn watch(&self, receipt: &Receipt) {
        self.receipts().insert(receipt.clone());
    }

    /// From now on it is not.
    pub fn stop(&self, receipt: &Receipt) {
        self.receipts().remove(receipt);
    }

    /// Stops all and returns them.
    pub fn stop_all(&self) -> Vec<Receipt> {
        std::mem::take(&mut *self.receipts()).into_iter().collect()
    }

    /// Beats until [`end`](Heartbeat::end).
    pub fn beat(&self, queue: &dyn Queue) {
        while !self.ended.wait_timeout(INTERVAL) {
            let receipts = self.receipts();
            let changes: Vec<_> =
                receipts.iter().map(|receipt| (receipt.clone(), VISIBILITY_SECONDS)).collect();
            if let Err(error) = queue.change_visibility(&changes) {
                log::warn("heartbeat", &[("jobs", &changes.len()), ("error", &error)]); // the next beat tries again
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
