//! Stopping on purpose: SIGTERM and SIGINT begin a drain, a second one ends the process at once.
//!
//! A [`Shutdown`] is one flag that threads ask and wait on. A thread that waits on something else (a socket, a long poll) bounds
//! that wait and asks the flag in between.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::support::log;

/// The exit status after a second signal: what a shell reports for a process that SIGINT ended.
pub const EXIT_AT_ONCE: i32 = 130;

/// Whether the process is to stop. Clones share one flag.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<(Mutex<bool>, Condvar)>);

impl Shutdown {
    /// A flag that the first SIGTERM or SIGINT raises. At the second, `end_at_once` is to end the process with
    /// [`EXIT_AT_ONCE`].
    pub fn on_signals(end_at_once: impl Fn() + Send + 'static) -> std::io::Result<Shutdown> {
        let shutdown = Shutdown::default();
        let raised = shutdown.clone();
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if raised.is_requested() {
                    log::warn("stopped_at_once", &[("signal", &signal)]);
                    end_at_once();
                }
                log::info("draining", &[("signal", &signal)]);
                raised.request();
            }
        })?;
        Ok(shutdown)
    }

    pub fn request(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.lock()
    }

    pub(crate) fn wait(&self) {
        drop(self.0.1.wait_while(self.lock(), |requested| !*requested));
    }

    /// Waits until the flag is raised, but no longer than `timeout`. Says whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), timeout, |requested| !*requested);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
