//! A count that threads can wait on: of connections, of slots, of requests.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many things there are. Clones share one count.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<(Mutex<usize>, Condvar)>);

/// One thing, counted until it is dropped.
#[must_use]
pub(crate) struct Counted(Counter);

impl Counter {
    pub(crate) fn add(&self) -> Counted {
        *self.lock() += 1;
        Counted(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        *self.lock()
    }

    /// Waits until there are at most `most`. False if that takes longer than `timeout`.
    pub(crate) fn wait_for_at_most(&self, most: usize, timeout: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), timeout, |count| *count > most);
        *waited.unwrap_or_else(PoisonError::into_inner).0 <= most
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.lock() -= 1; // each was counted when it was made
        self.0.0.1.notify_one(); // one thread waits on a counter: the one that accepts, or the one that drains
    }
}
