//! Accepting connections and finding them slots; opening, draining.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::connection::Connection;
use crate::counter::Counted;
use crate::exchange;
use crate::head::PassedOn;
use crate::hooks::{Event, Fatal, Hooks};
use crate::limits::Limits;
use crate::networks::{Networks, reachable};
use crate::quotas::Quotas;
use crate::shared::Shared;
use crate::waiting::{Wait, WaitsFor};

/// A connection's thread calls nothing deep and keeps its buffers on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// How long a drain waits for its own connection, which makes the accepting thread look up.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// The public side of a server.
pub struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: thread::JoinHandle<()>,
}

/// How a gate is to work.
pub struct Settings {
    pub limits: Limits,
    /// What these say in `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// The headers that upstream asks for. The gate drops all others.
    pub passed_on: &'static [PassedOn],
    /// Where upstream listens.
    pub private_socket: PathBuf,
    pub hooks: Arc<dyn Hooks>,
}

impl Gate {
    /// Takes the public socket and begins to serve.
    pub fn open(listener: TcpListener, settings: Settings) -> io::Result<Gate> {
        let Settings { limits, trusted_proxies, passed_on, private_socket, hooks } = settings;
        rustix::net::listen(&listener, limits.backlog)?;
        let address = listener.local_addr()?;
        let quotas = Quotas::new(trusted_proxies, limits.quota);
        let shared = Arc::new(Shared::new(limits, hooks, passed_on, private_socket, quotas));
        let accepting = shared.clone();
        let acceptor =
            thread::Builder::new().name("gate".into()).spawn(move || accept_all(&listener, &accepting))?;
        Ok(Gate { shared, address, acceptor })
    }

    /// The public address, with the port that the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the public socket, refuses what comes on open connections, and finishes the requests in hand. Says whether all
    /// were finished within `timeout`.
    pub fn drain(self, timeout: Duration) -> bool {
        self.shared.drain();
        // The acceptor is in accept(): one more connection makes it look up, and see that it is to end.
        if TcpStream::connect_timeout(&reachable(self.address), WAKE_TIMEOUT).is_ok() {
            let _ = self.acceptor.join(); // an acceptor that panicked is closed too
        }
        self.shared.requests.wait_for_at_most(0, timeout)
    }
}

/// Accepts until draining, or until it fails too often.
fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut failures = 0;
    while failures < shared.limits.accept_failures {
        let accepted = listener.accept();
        if shared.is_draining() {
            return;
        }
        match accepted {
            Ok((stream, peer)) => {
                failures = 0;
                admit(stream, peer, shared);
            }
            Err(error) if has_given_up(&error) => {}
            Err(error) => {
                failures += 1;
                let connections = shared.connections.count();
                shared.hooks.observe(Event::AcceptFailed { error: &error, connections });
                shared.evict_longest_waiting(|_| true);
                thread::sleep(shared.limits.accept_pause); // the system does not tell when there is room again
            }
        }
    }
    shared.hooks.observe(Event::Failed(Fatal::Accepting { failures }));
}

/// The client closed the connection before it was accepted.
fn has_given_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// Finds the connection a slot and starts its thread. A connection without a slot gets a thread too, which answers 503. If there
/// are too many of these, the connection is closed without an answer.
fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let open = Open::new(shared);
    let client = shared.quotas.client_of_peer(peer.ip());
    let slot = shared.take_slot(client);
    let limits = &shared.limits;
    let most = limits.slots + limits.refused_connections;
    let patience = if slot.is_some() { limits.slot_wait } else { limits.refused_wait };
    if !shared.connections.wait_for_at_most(most, patience) {
        shared.hooks.observe(Event::Evicted);
        return;
    }
    let connection = Arc::new(Connection::new(stream, peer, client, slot));
    // It can be evicted from here on, even if the machine is so busy that its thread does not come to run.
    let wait = (!connection.is_refused).then(|| Wait::new(shared, &connection, client, WaitsFor::Head));
    let served = shared.clone();
    let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        exchange::serve(&connection, &served, wait);
        connection.give_slot_back();
        drop(open);
    });
    if let Err(error) = spawned {
        shared.hooks.observe(Event::NoThread { peer, error: &error });
    }
}

/// An open connection, counted until it is dropped.
struct Open {
    shared: Arc<Shared>,
    _counted: Counted,
}

impl Open {
    fn new(shared: &Arc<Shared>) -> Open {
        let counted = shared.connections.add();
        shared.hooks.observe(Event::Connected);
        Open { shared: shared.clone(), _counted: counted }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.hooks.observe(Event::Disconnected);
    }
}
