//! Which jobs may decode: as many as there are cores, and only while their pictures fit in memory together.
//!
//! More at a time would not be faster, and a few pictures of 40 million pixels at once would get the process killed for its
//! memory. Jobs are admitted in the order in which they ask, so small pictures cannot keep a large one waiting for ever.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::support::metrics::Number;

/// Cores and memory to be shared among jobs.
pub(crate) struct Admission {
    cores: usize,
    memory_bytes: u64,
    /// Shows the bytes that are admitted now.
    admitted_bytes: Number,
    state: Mutex<Admitted>,
    changed: Condvar,
}

#[derive(Default)]
struct Admitted {
    next_ticket: u64,
    now_serving: u64,
    running: usize,
    bytes: u64,
}

/// The right to decode, until it is dropped.
#[must_use]
pub(crate) struct Permit<'a> {
    admission: &'a Admission,
    bytes: u64,
}

impl Admission {
    pub(crate) fn new(cores: usize, memory_bytes: u64, admitted_bytes: Number) -> Admission {
        Admission { cores, memory_bytes, admitted_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for a core and for `bytes` of memory. A picture over the whole budget is admitted when it is alone. The wait has
    /// no limit of its own: every permit ends with a decode, and each of those is bounded by its pixels.
    pub(crate) fn admit(&self, bytes: u64) -> Permit<'_> {
        let mut state = self.state();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while state.now_serving != ticket || !self.fits(&state, bytes) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.now_serving += 1;
        state.running += 1;
        state.bytes += bytes;
        self.admitted_bytes.set(state.bytes);
        self.changed.notify_all(); // the next in line may fit too
        Permit { admission: self, bytes }
    }

    fn fits(&self, state: &Admitted, bytes: u64) -> bool {
        state.running == 0
            || state.running < self.cores && state.bytes.saturating_add(bytes) <= self.memory_bytes
    }

    fn state(&self) -> MutexGuard<'_, Admitted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.running -= 1;
        state.bytes -= self.bytes;
        self.admission.admitted_bytes.set(state.bytes);
        self.admission.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    /// Admits `bytes` on a thread of its own; the receiver hears when it is admitted, the sender lets it go.
    fn admit_on_a_thread<'scope>(
        scope: &'scope thread::Scope<'scope, '_>,
        admission: &'scope Admission,
        bytes: u64,
    ) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (admitted, hear) = mpsc::channel();
        let (let_go, wait) = mpsc::channel::<()>();
        let tickets = admission.state().next_ticket;
        scope.spawn(move || {
            let _permit = admission.admit(bytes);
            let _ = admitted.send(());
            let _ = wait.recv();
        });
        while admission.state().next_ticket == tickets {
            thread::yield_now();
        }
        (hear, let_go)
    }

    #[test]
    fn cores_and_memory_are_shared_in_order() {
        let admission = Admission::new(2, 100, Number::default());
        thread::scope(|scope| {
            let (first, end_first) = admit_on_a_thread(scope, &admission, 60);
            first.recv().unwrap();
            let (large, end_large) = admit_on_a_thread(scope, &admission, 60);
            let (small, end_small) = admit_on_a_thread(scope, &admission, 1);
            assert_eq!(admission.state().running, 1, "60 and 60 are over 100, and 1 does not pass");
            drop(end_first);
            large.recv().unwrap();
            small.recv().unwrap();
            let (third, end_third) = admit_on_a_thread(scope, &admission, 0);
            assert_eq!(admission.state().running, 2, "there are two cores");
            drop((end_large, end_small));
            third.recv().unwrap();
            drop(end_third);
        });
        let state = admission.state();
        assert_eq!((state.running, state.bytes), (0, 0));
    }

    #[test]
    fn a_picture_over_the_budget_is_admitted_alone() {
        let admission = Admission::new(2, 100, Number::default());
        drop(admission.admit(u64::MAX));
        drop(admission.admit(50));
    }
}
