//! Telling the queue how jobs ended: deleted when done, made visible again later when they failed for a passing reason.
//!
//! One thread does it for all jobs. While one call is under way the next settlements gather, so batches grow with the load
//! by themselves, and a lone job is settled at once.

use crossbeam_channel::Receiver;

use crate::domain::queue::{MAX_BATCH, Queue, Receipt, VisibilityChange};
use crate::support::log;

/// How a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Its message will be deleted.
    Done(Receipt),
    /// Its message will become visible again.
    Later(VisibilityChange),
}

/// Settles until the last sender is gone. A failure is only logged: the message becomes visible by itself, and the job makes
/// the same thumbnails again.
pub(crate) fn settle_all(queue: &dyn Queue, settlements: &Receiver<Settlement>) {
    while let Ok(first) = settlements.recv() {
        let (mut done, mut later) = (Vec::new(), Vec::new());
        let gathered = std::iter::once(first).chain(settlements.try_iter()).take(MAX_BATCH);
        for settlement in gathered {
            match settlement {
                Settlement::Done(receipt) => done.push(receipt),
                Settlement::Later(change) => later.push(change),
            }
        }
        if let Err(error) = queue.delete(&done) {
            log::warn("delete_failed", &[("jobs", &done.len()), ("error", &error)]);
        }
        if let Err(error) = queue.change_visibility(&later) {
            log::warn("change_visibility_failed", &[("jobs", &later.len()), ("error", &error)]);
        }
    }
}
