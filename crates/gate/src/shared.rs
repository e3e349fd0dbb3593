//! What all connections share: the limits, what is taken of them, and how room is made.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::counter::{Counted, Counter};
use crate::head::PassedOn;
use crate::hooks::{Event, Hooks, Refusal};
use crate::limits::Limits;
use crate::quotas::{QuotaSlot, Quotas, Taken};
use crate::turns::Turns;
use crate::waiting::{Waiting, WaitingList};

pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) passed_on: &'static [PassedOn],
    /// Where upstream listens.
    pub(crate) private_socket: PathBuf,
    draining: AtomicBool,
    pub(crate) connections: Counter,
    /// Slots that are taken. An evicted connection has given its slot back; on a busy machine it takes a while to end.
    pub(crate) slots: Counter,
    pub(crate) quotas: Arc<Quotas>,
    /// Requests between the end of their head and the end of their answer.
    pub(crate) requests: Counter,
    pub(crate) turns: Turns,
    pub(crate) buffered_bytes: AtomicUsize,
    pub(crate) waiting: WaitingList,
}

/// A connection's slot, and its place in a client's quota. Behind a trusted proxy each request has its own place in a quota.
pub(crate) struct Slot {
    pub(crate) quota_slot: Option<QuotaSlot>,
    _counted: Counted,
}

/// Whether there is room for one more.
enum Room {
    Free,
    NoSlot,
    /// The client whose quota has this key has all the slots that it may have.
    QuotaFull(IpAddr),
}

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        hooks: Arc<dyn Hooks>,
        passed_on: &'static [PassedOn],
        private_socket: PathBuf,
        quotas: Quotas,
    ) -> Shared {
        Shared {
            hooks,
            passed_on,
            private_socket,
            draining: AtomicBool::new(false),
            connections: Counter::default(),
            slots: Counter::default(),
            quotas: Arc::new(quotas),
            requests: Counter::default(),
            turns: Turns::new(limits.turns),
            buffered_bytes: AtomicUsize::new(0),
            waiting: WaitingList::default(),
            limits,
        }
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// A slot for a connection that has just come, of this client if it is known. Evicts another connection if need be.
    /// None if no connection can be evicted.
    pub(crate) fn take_slot(&self, client: Option<IpAddr>) -> Option<Slot> {
        let counted = self.slots.add();
        let taken = client.map(|client| self.quotas.take(client));
        let room = match &taken {
            Some(taken) if !taken.is_within => Room::QuotaFull(taken.slot.key),
            _ if self.slots.count() > self.limits.slots => Room::NoSlot,
            _ => Room::Free,
        };
        let slot = Slot { quota_slot: taken.map(|taken| taken.slot), _counted: counted };
        self.make_room(room).then_some(slot)
    }

    /// A place in the quota of the client that a trusted proxy names, for one request.
    pub(crate) fn take_quota_slot(&self, client: IpAddr) -> Result<QuotaSlot, Refusal> {
        let Taken { slot, is_within } = self.quotas.take(client);
        let room = if is_within { Room::Free } else { Room::QuotaFull(slot.key) };
        if self.make_room(room) { Ok(slot) } else { Err(Refusal::server_full()) }
    }

    fn make_room(&self, room: Room) -> bool {
        match room {
            Room::Free => true,
            Room::NoSlot => self.evict_longest_waiting(|_| true),
            Room::QuotaFull(key) => self.evict_longest_waiting(|waiting| waiting.quota_key == Some(key)),
        }
    }

    /// Evicts, of these connections, the one that has waited longest for its client. False if none of them has a slot to give
    /// back.
    pub(crate) fn evict_longest_waiting(&self, which: impl Fn(&Waiting) -> bool) -> bool {
        let evicted = self.waiting.evict_oldest(which);
        if evicted {
            self.hooks.observe(Event::Evicted);
        }
        evicted
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::buffered::Buffered;
    use crate::connection::Connection;
    use crate::limits::tests::LIMITS;
    use crate::waiting::{Wait, WaitsFor};
    use crate::{Head, Networks, Request};

    struct NoHooks;

    impl Hooks for NoHooks {
        fn check_head(&self, _: &Head) -> Result<(), Refusal> {
            Ok(())
        }

        fn answer_refused(&self, _: &Request, refusal: &Refusal) -> Vec<u8> {
            let (status, message) = (refusal.status, &refusal.message);
            format!("HTTP/1.1 {status} No\r\nContent-Length: {}\r\n\r\n{message}", message.len()).into_bytes()
        }

        fn observe(&self, _: Event) {}
    }

    pub(crate) fn shared() -> Arc<Shared> {
        let quotas = Quotas::new(Networks::default(), LIMITS.quota);
        Arc::new(Shared::new(LIMITS, Arc::new(NoHooks), &[], PathBuf::new(), quotas))
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn connect(shared: &Shared, listener: &TcpListener, client: Option<IpAddr>) -> Arc<Connection> {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer = stream.peer_addr().unwrap();
        Arc::new(Connection::new(stream, peer, client, shared.take_slot(client)))
    }

    /// An evicted connection waits once more, for its client to take the answer. To evict it again makes no room.
    #[test]
    fn only_a_connection_with_a_slot_makes_room() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let evictions: [&dyn Fn() -> bool; 2] = [&|| shared.evict_longest_waiting(|_| true), &|| {
            shared.evict_longest_waiting(|waiting| waiting.quota_key == Some(CLIENT))
        }];
        for evict in evictions {
            let connections = [(); 2].map(|()| connect(&shared, &listener, Some(CLIENT)));
            let _waits =
                connections.each_ref().map(|one| Wait::new(&shared, one, Some(CLIENT), WaitsFor::Head));
            assert!(evict());
            assert_eq!(shared.slots.count(), 1, "it has no slot although it has not ended");
            assert!(shared.quotas.take(CLIENT).is_within, "nor a place in its client's quota");
            let _again = Wait::new(&shared, &connections[0], Some(CLIENT), WaitsFor::TakingAnswer);
            assert!(evict());
            assert_eq!(shared.slots.count(), 0);
            assert!(!evict(), "no connection is left that has a slot");
        }
    }

    #[test]
    fn a_new_connection_takes_the_slot_of_the_longest_waiting() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connections: Vec<_> = (0..LIMITS.slots).map(|_| connect(&shared, &listener, None)).collect();
        assert!(shared.take_slot(None).is_none(), "none waits");
        let _waits: Vec<_> =
            connections.iter().map(|one| Wait::new(&shared, one, None, WaitsFor::Head)).collect();
        assert!(shared.take_slot(None).is_some());
        assert!(connections[0].is_evicted() && !connections[1].is_evicted());
    }

    /// To close a connection that waits for the next request would free no memory.
    #[test]
    fn memory_is_freed_by_a_connection_that_holds_some() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (idle, holder) = (connect(&shared, &listener, None), connect(&shared, &listener, None));
        let _idle = Wait::new(&shared, &idle, None, WaitsFor::Head);
        let holders = Wait::new(&shared, &holder, None, WaitsFor::Body);
        let mut body = Buffered::new(Vec::new(), &shared);
        assert!(body.charge(LIMITS.buffered_bytes));
        assert_eq!(shared.slots.count(), 2);
        assert!(body.charge(1));
        assert!(holder.is_evicted() && !idle.is_evicted());
        drop(holders);
        assert!(!body.charge(1), "no connection is left that holds any");
    }
}
