//! The front door: the only code that faces the Internet.
//!
//! tiny_http turns requests into calls and answers into bytes, but it trusts its clients: one hostile header ends the
//! process, a slow client holds a thread for ever, a chunked body smuggles a second request in. So it never meets one. The
//! gate owns the public socket and reads one whole request, head and body, into memory, within limits of size and time. Only
//! a request that arrived whole and can be read in just one way is handed on, written anew in canonical form, over a
//! private Unix socket; then the gate carries the answer back. A thread serves a connection; it is plain blocking code.
//!
//! When too many are connected, or too much is held in memory for them, whoever has kept the gate waiting longest gives way.
//! So a flood of idle or dribbling connections pushes out its own, and an honest client, whose request arrives in
//! milliseconds, is served. No client has more than its share of the connections (clients.rs): when it has filled that, its own
//! connection that has kept the gate waiting longest gives way.
//!
//! This file is about all connections: who is let in, who gives way, when to stop. One connection's life is in
//! connection.rs, and the way to tiny_http and back in forward.rs.

mod clients;
mod connection;
mod forward;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown as Halt, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use clients::{Clients, share_of};
use connection::Connection;
pub use forward::{BODY, BODY_US, Bodies, CLIENT, PEER, REQUEST};

use super::head::Head;
use super::refusal::Refusal;
use crate::support::counter::{Counter, Held};
use crate::support::metrics::ServerMetrics;
use crate::support::networks::{Networks, reachable};
use crate::support::{descriptors, log};

/// Connections the kernel may hold for us between two accepts. The usual 128 loses clients in a burst of 1,000.
const BACKLOG: i32 = 1024;

/// Connections served at a time. An idle one costs a thread's small stack, a buffer and a descriptor.
pub const MAX_CONNECTIONS: usize = 2048;

/// Connections past that which are still told why they are turned away; any more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long accepting pauses when even these are too many, for those who were told to go to be gone: for one more who is to be
/// turned away hardly, and for one who has been let in as long as a machine full of threads takes to let them end.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_millis(100);
const LET_IN_TIMEOUT: Duration = Duration::from_secs(1);

/// Requests handled at a time, each by a thread of tiny_http's pool. A handler mostly waits for the store and the queue,
/// some 50 ms on AWS, so that 64 are over 1,000 uploads a second.
pub const HANDLERS: usize = 64;

/// Descriptors that a handled request takes: both ends of the private socket, tiny_http's copy, and one to the store.
const DESCRIPTORS_PER_HANDLER: usize = 4;

/// Descriptors for everything else: standard streams, listeners, the queue's connections, a local worker's files.
const OTHER_DESCRIPTORS: usize = 128;

/// Bytes of bodies and answers held in memory at a time, over all connections: 240 of the largest uploads.
const MAX_BUFFERED_BYTES: usize = 256 * 1024 * 1024;

/// A connection's thread calls nothing deep and keeps its buffers on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// Accepting that fails this often in a row, [`ACCEPT_PAUSE`] apart, will not come back: five seconds.
const MAX_ACCEPT_FAILURES: u32 = 100;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Looks at the head of a request, before the body is read, and refuses what can be refused by the head.
pub type CheckHead = Box<dyn Fn(&Head) -> Result<(), Refusal> + Send + Sync>;

/// The public side of the server.
pub struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: thread::JoinHandle<()>,
}

/// What the connections share.
struct Shared {
    /// Where tiny_http listens.
    private_socket: PathBuf,
    check_head: CheckHead,
    bodies: Arc<Bodies>,
    metrics: Arc<ServerMetrics>,
    max_connections: usize,
    draining: AtomicBool,
    clients: Arc<Clients>,
    connections: Counter,
    /// Those of them that are neither turned away nor told to give way. On a busy machine the others take a while to end.
    staying: Counter,
    /// Requests between the end of their head and the end of their answer.
    requests: Counter,
    handlers: Counter,
    buffered_bytes: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// The connections that wait for their client, in the order in which they began to.
#[derive(Default)]
struct Waiting {
    next: u64,
    by_age: BTreeMap<u64, Waiter>,
}

/// A connection that waits for its client.
struct Waiter {
    connection: Arc<Connection>,
    /// Of whose share it takes, if of any.
    share: Option<IpAddr>,
    awaited: Awaited,
}

/// What a client is to send, or to take.
#[derive(Clone, Copy, PartialEq)]
enum Awaited {
    Head,
    Body,
    Answer,
}

/// A connection, counted until it is dropped.
struct Connected {
    shared: Arc<Shared>,
    _held: Held,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.shared.metrics.connections.subtract(1);
    }
}

/// That a connection waits for its client, until it is dropped.
struct Wait {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.shared.waiting().by_age.remove(&self.number);
    }
}

impl Waiter {
    /// False if that makes no room, because the connection has none any more: it is still telling its client to come again.
    fn give_way(&self, metrics: &ServerMetrics) -> bool {
        let halt = if self.awaited == Awaited::Answer { Halt::Both } else { Halt::Read };
        let made_room = self.connection.evict(halt);
        metrics.evicted.add(u64::from(made_room));
        made_room
    }
}

impl Gate {
    /// Takes the public socket and begins to serve; `private_socket` is where tiny_http listens, and `bodies` where the bodies of
    /// its requests are found.
    pub fn open(
        listener: TcpListener,
        trusted: Networks,
        private_socket: PathBuf,
        check_head: CheckHead,
        bodies: Arc<Bodies>,
        metrics: Arc<ServerMetrics>,
    ) -> io::Result<Gate> {
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let max_connections = max_connections(descriptors::raise_limit())?;
        let shared = Arc::new(Shared {
            private_socket,
            check_head,
            bodies,
            metrics,
            max_connections,
            clients: Clients::new(trusted, max_connections),
            draining: AtomicBool::new(false),
            connections: Counter::default(),
            staying: Counter::default(),
            requests: Counter::default(),
            handlers: Counter::default(),
            buffered_bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
        });
        let accepting = shared.clone();
        let acceptor =
            thread::Builder::new().name("gate".into()).spawn(move || accept(&listener, &accepting))?;
        Ok(Gate { shared, address, acceptor })
    }

    /// The public address, with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the public socket, refuses what comes on open connections, and finishes the requests in hand. Says whether all
    /// were finished within `timeout`.
    pub fn drain(self, timeout: Duration) -> bool {
        self.shared.draining.store(true, Ordering::SeqCst);
        // The acceptor is in accept(): one more connection makes it look up, and see that it is to end.
        if TcpStream::connect_timeout(&reachable(self.address), Duration::from_secs(1)).is_ok() {
            let _ = self.acceptor.join(); // an acceptor that panicked is closed too
        }
        self.shared.requests.wait_for_at_most(0, timeout)
    }
}

fn max_connections(descriptors: usize) -> io::Result<usize> {
    let others = MAX_TURNED_AWAY + HANDLERS * DESCRIPTORS_PER_HANDLER + OTHER_DESCRIPTORS;
    match descriptors.saturating_sub(others).min(MAX_CONNECTIONS) {
        0 => Err(io::Error::other(format!(
            "the limit of {descriptors} open files is too low: allow {}",
            others + 1
        ))),
        connections => Ok(connections),
    }
}

/// Accepts until draining. If it cannot any more the process ends, for whoever started it to start it again: a server that
/// lives on deaf helps nobody.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut failures = 0;
    while failures < MAX_ACCEPT_FAILURES {
        let accepted = listener.accept();
        if shared.draining.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                failures = 0;
                admit(stream, peer, shared);
            }
            // The client gave up before we came to it.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                failures += 1;
                log::warn(
                    "accept_failed",
                    &[("error", &error), ("connections", &shared.connections.count())],
                );
                shared.evict_oldest(|_| true);
                thread::sleep(ACCEPT_PAUSE); // nothing can be waited on: what is short is the system's
            }
        }
    }
    log::error("accepting_ended", &[("failures", &failures)]);
    std::process::exit(1);
}

fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    shared.metrics.connections.add(1);
    let held = Connected { shared: shared.clone(), _held: shared.connections.add() };
    let stay = shared.staying.add();
    let is_full = shared.staying.count() > shared.max_connections;
    let client = shared.clients.of_peer(peer.ip());
    let place = client.map(|client| shared.clients.take(client));
    let turned_away = match &place {
        Some((place, false)) => !shared.evict_oldest(|waiter| waiter.share == Some(place.share)),
        _ => is_full && !shared.evict_oldest(|_| true),
    };
    let most = shared.max_connections + MAX_TURNED_AWAY;
    let timeout = if turned_away { TURN_AWAY_TIMEOUT } else { LET_IN_TIMEOUT };
    if !shared.connections.wait_for_at_most(most, timeout) {
        shared.metrics.evicted.add(1);
        return;
    }
    let stay = (!turned_away).then(|| (stay, place.map(|(place, _)| place)));
    let connection = Arc::new(Connection::new(stream, peer, client, stay));
    // It can give way from here on, even if the machine is so busy that its thread does not come to run.
    let wait = (!turned_away).then(|| shared.wait(&connection, client, Awaited::Head));
    let shared = shared.clone();
    let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        connection::serve(&connection, &shared, wait);
        connection.leave();
        drop(held);
    });
    if let Err(error) = spawned {
        log::warn("no_thread", &[("peer", &peer), ("error", &error)]);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until what this returns is dropped, the connection may be told to give way.
    /// `client` is whose share it takes of, if it is known.
    fn wait(
        self: &Arc<Shared>,
        connection: &Arc<Connection>,
        client: Option<IpAddr>,
        awaited: Awaited,
    ) -> Wait {
        let waiter = Waiter { connection: connection.clone(), share: client.map(share_of), awaited };
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.by_age.insert(number, waiter);
        Wait { shared: self.clone(), number }
    }

    /// Closes that of these connections which has kept the gate waiting longest, to make room. False if none does.
    fn evict_oldest(&self, which: impl Fn(&Waiter) -> bool) -> bool {
        let mut waiting = self.waiting();
        let mut oldest_first = waiting.by_age.extract_if(.., |_, waiter| which(waiter));
        oldest_first.any(|(_, oldest)| oldest.give_way(&self.metrics))
    }
}

/// Bytes in memory for a client, counted in what all may take together from the moment they arrive.
struct Buffered<'a> {
    bytes: Vec<u8>,
    shared: &'a Shared,
    charged: usize,
}

impl<'a> Buffered<'a> {
    fn new(bytes: Vec<u8>, shared: &'a Shared) -> Buffered<'a> {
        Buffered { bytes, shared, charged: 0 }
    }

    /// Counts `bytes` more of them. When that is too much the oldest connection that holds some gives way, which may be this
    /// one. False if there is none.
    fn charge(&mut self, bytes: usize) -> bool {
        self.charged += bytes;
        let before = self.shared.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_too_much = before + bytes > MAX_BUFFERED_BYTES;
        !is_too_much || self.shared.evict_oldest(|waiter| waiter.awaited != Awaited::Head)
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.shared.buffered_bytes.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

fn server_full() -> Refusal {
    Refusal::new(503, "The server is full: try again in a few seconds.")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            private_socket: PathBuf::new(),
            check_head: Box::new(|_| Ok(())),
            bodies: Arc::default(),
            metrics: Arc::new(ServerMetrics::register(&mut Default::default())),
            max_connections: 8,
            draining: AtomicBool::new(false),
            clients: Clients::new(Networks::default(), 8),
            connections: Counter::default(),
            staying: Counter::default(),
            requests: Counter::default(),
            handlers: Counter::default(),
            buffered_bytes: AtomicUsize::new(0),
            waiting: Mutex::default(),
        })
    }

    /// One that was told to go waits once more, for its client to take the answer. To tell it again makes no room.
    #[test]
    fn room_is_made_by_who_has_some() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = IpAddr::from([192, 0, 2, 1]);
        let connect = || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let peer = stream.peer_addr().unwrap();
            let stay = (shared.staying.add(), Some(shared.clients.take(client).0));
            Arc::new(Connection::new(stream, peer, Some(client), Some(stay)))
        };
        let evictions: [&dyn Fn() -> bool; 2] =
            [&|| shared.evict_oldest(|_| true), &|| shared.evict_oldest(|one| one.share == Some(client))];
        for evict in evictions {
            let (first, second) = (connect(), connect());
            let _waits = [&first, &second].map(|one| shared.wait(one, Some(client), Awaited::Head));
            assert!(evict());
            assert_eq!(shared.staying.count(), 1, "it takes no room although it has not ended");
            assert!(shared.clients.take(client).1, "nor a place in its share");
            let _first_again = shared.wait(&first, Some(client), Awaited::Answer);
            assert!(evict());
            assert_eq!(shared.staying.count(), 0);
            assert!(!evict(), "nobody is left who takes room");
        }
    }

    /// To close one that waits for the next request would free none.
    #[test]
    fn memory_is_freed_by_who_holds_some() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let peer = stream.peer_addr().unwrap();
            Arc::new(Connection::new(stream, peer, None, Some((shared.staying.add(), None))))
        };
        let (idle, holder) = (connect(), connect());
        let _idle = shared.wait(&idle, None, Awaited::Head);
        let holders = shared.wait(&holder, None, Awaited::Body);
        let mut body = Buffered::new(Vec::new(), &shared);
        assert!(body.charge(MAX_BUFFERED_BYTES));
        assert_eq!(shared.staying.count(), 2);
        assert!(body.charge(1));
        assert!(holder.is_evicted() && !idle.is_evicted());
        drop(holders);
        assert!(!body.charge(1), "nobody is left who holds any");
    }

    /// What it had sent before lies ready to be read, and would keep it busy.
    #[test]
    fn who_is_told_to_go_is_not_listened_to() {
        let shared = shared();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, peer) = listener.accept().unwrap();
        let connection = Arc::new(Connection::new(stream, peer, None, Some((shared.staying.add(), None))));
        let wait = shared.wait(&connection, None, Awaited::Head);
        for _ in 0..3 {
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        }
        assert!(shared.evict_oldest(|_| true));
        connection::serve(&connection, &shared, Some(wait));
        drop(connection);
        let mut answers = String::new();
        client.read_to_string(&mut answers).unwrap();
        assert!(answers.starts_with("HTTP/1.1 503 ") && answers.contains("The server is full"), "{answers}");
        assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    }
}
