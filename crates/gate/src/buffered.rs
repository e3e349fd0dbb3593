//! Bytes of bodies and answers in memory, within a limit over all connections.

use std::sync::atomic::Ordering;

use crate::shared::Shared;
use crate::waiting::WaitsFor;

/// Some bytes, counted against the limit from the moment they arrive until this is dropped.
pub(crate) struct Buffered<'a> {
    pub(crate) bytes: Vec<u8>,
    charged: usize,
    shared: &'a Shared,
}

impl<'a> Buffered<'a> {
    pub(crate) fn new(bytes: Vec<u8>, shared: &'a Shared) -> Buffered<'a> {
        Buffered { bytes, charged: 0, shared }
    }

    /// Counts so many more bytes. Over the limit, evicts the connection that has held bytes longest, which may be this one.
    /// False if there is none.
    pub(crate) fn charge(&mut self, bytes: usize) -> bool {
        self.charged += bytes;
        let before = self.shared.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_too_much = before + bytes > self.shared.limits.buffered_bytes;
        !is_too_much || self.shared.evict_longest_waiting(|waiting| waiting.waits_for != WaitsFor::Head)
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.shared.buffered_bytes.fetch_sub(self.charged, Ordering::Relaxed);
    }
}
