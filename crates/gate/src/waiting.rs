//! The connections that wait for their client, in the order in which they began to: the ones that can be evicted.

use std::collections::BTreeMap;
use std::net::{IpAddr, Shutdown as Halt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::connection::Connection;
use crate::quotas::quota_key;
use crate::shared::Shared;

/// What the client is to do.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum WaitsFor {
    Head,
    Body,
    TakingAnswer,
}

pub(crate) struct Waiting {
    connection: Arc<Connection>,
    /// In whose quota it counts, if that is known.
    pub(crate) quota_key: Option<IpAddr>,
    pub(crate) waits_for: WaitsFor,
}

impl Waiting {
    /// False if that makes no room, because the connection has no slot any more: it still tells its client to come again.
    fn evict(&self) -> bool {
        let halt = if self.waits_for == WaitsFor::TakingAnswer { Halt::Both } else { Halt::Read };
        self.connection.evict(halt)
    }
}

#[derive(Default)]
pub(crate) struct WaitingList(Mutex<ByAge>);

#[derive(Default)]
struct ByAge {
    next_number: u64,
    connections: BTreeMap<u64, Waiting>,
}

impl WaitingList {
    pub(crate) fn evict_oldest(&self, which: impl Fn(&Waiting) -> bool) -> bool {
        let mut list = self.lock();
        let mut oldest_first = list.connections.extract_if(.., |_, waiting| which(waiting));
        oldest_first.any(|(_, oldest)| oldest.evict())
    }

    fn lock(&self) -> MutexGuard<'_, ByAge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While this lives, the connection is in the list.
pub(crate) struct Wait {
    shared: Arc<Shared>,
    number: u64,
}

impl Wait {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        connection: &Arc<Connection>,
        client: Option<IpAddr>,
        waits_for: WaitsFor,
    ) -> Wait {
        let waiting = Waiting { connection: connection.clone(), quota_key: client.map(quota_key), waits_for };
        let mut list = shared.waiting.lock();
        let number = list.next_number;
        list.next_number += 1;
        list.connections.insert(number, waiting);
        Wait { shared: shared.clone(), number }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.waiting.lock().connections.remove(&self.number);
    }
}
