//! A count of things in hand that threads can wait on: the worker's jobs. The crate `gate` has its own, since it depends on
//! nothing here.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many things are in hand. Clones share one count.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<(Mutex<usize>, Condvar)>);

/// One thing in hand, counted until it is dropped.
#[must_use]
pub(crate) struct Counted(Counter);

impl Counter {
    pub(crate) fn add(&self) -> Counted {
        *self.lock() += 1;
        Counted(self.clone())
    }

    /// Waits until at most `most` are in hand. False if that takes longer than `timeout`.
    pub(crate) fn wait_for_at_most(&self, most: usize, timeout: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), timeout, |count| *count > most);
        *waited.unwrap_or_else(PoisonError::into_inner).0 <= most
    }

    pub(crate) fn count(&self) -> usize {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.lock() -= 1; // each was counted when it was made
        // All threads that wait on one counter wait for the same, and one that is woken checks again before it gives up.
        self.0.0.1.notify_one();
    }
}
