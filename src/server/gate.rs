//! The front door: the only code that faces the Internet.
//!
//! tiny_http turns requests into calls and answers into bytes, but it trusts its clients: one hostile header ends the
//! process, a slow client holds a thread for ever, a chunked body smuggles a second request in. So it never meets one. The
//! gate owns the public socket and reads one whole request, head and body, into memory, within limits of size and time. Only
//! a request that arrived whole and can be read in just one way is handed on, written anew in canonical form, over a
//! private Unix socket; then the gate carries the answer back. A thread serves a connection; it is plain blocking code.
//!
//! When too many are connected, whoever has kept the gate waiting longest gives way. So a flood of idle or dribbling
//! connections pushes out its own, and an honest client, whose request arrives in milliseconds, is served.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown as Halt, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::head::{self, Head};
use super::multipart::MAX_OTHER_BYTES;
use super::refusal::Refusal;
use crate::counter::{Counter, Held};
use crate::format::MAX_IMAGE_BYTES;
use crate::log;

/// Connections the kernel may hold for us between two accepts. The usual 128 loses clients in a burst of 1,000.
const BACKLOG: i32 = 1024;

/// Connections served at a time. An idle one costs a thread's small stack and a descriptor.
pub const MAX_CONNECTIONS: usize = 2048;

/// Connections past that which are still told why they are turned away; any more are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long accepting pauses when even these are too many.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_millis(100);

/// Requests handled at a time, each by a thread of tiny_http's pool. A handler mostly waits for the store and the queue,
/// some 50 ms on AWS, so that 64 are over 1,000 uploads a second.
pub const HANDLERS: usize = 64;

/// Descriptors that a handled request takes: both ends of the private socket, tiny_http's copy, and one to the store.
const DESCRIPTORS_PER_HANDLER: usize = 4;

/// Descriptors for everything else: standard streams, listeners, local files, the queue's connections.
const OTHER_DESCRIPTORS: usize = 128;

/// What a multipart body needs beside its fields' bytes: boundaries and the headers of the parts.
const FRAMING_BYTES: usize = 16 * 1024;

/// The longest body: the largest image, the other fields, and their framing.
pub const MAX_BODY_BYTES: usize = MAX_IMAGE_BYTES + MAX_OTHER_BYTES + FRAMING_BYTES;

/// Bytes of bodies held in memory at a time, over all connections: 240 of the largest uploads.
const MAX_BUFFERED_BYTES: usize = 256 * 1024 * 1024;

/// The longest answer: an original of 1 MiB or a large thumbnail (600x600 RGBA in a PNG, 1.4 MB), and its head.
const MAX_ANSWER_BYTES: u64 = 2 * 1024 * 1024;

/// From the first wait to the end of the head. A head is one packet or two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// From the end of the head to the end of the body: 1 MiB at 52 KB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Between an answer and the next request on its connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// For a free handler. Who waits longer would rather try again.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(10);

/// For a handler's answer: longer than its store and queue may take with all their retries.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// For a client to take its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// After an early answer, what a client is still sending is read and dropped for a while: closing at once would reset the
/// connection, and the client would see the reset and not the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// How much is dropped so. An upload of a few times the limit still sees its 413.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Requests on one connection; then it is closed, so that load spreads over servers.
const MAX_REQUESTS_PER_CONNECTION: usize = 1000;

/// A connection's thread calls nothing deep and keeps its buffers on the heap.
const STACK_BYTES: usize = 128 * 1024;

/// What one read takes at most.
const READ_BYTES: usize = 64 * 1024;

/// Accepting that fails this often in a row, [`ACCEPT_PAUSE`] apart, will not come back: five seconds.
const MAX_ACCEPT_FAILURES: u32 = 100;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Looks at the head of a request that has a body, before the body is read, and refuses what can be refused by the head.
pub type CheckHead = Box<dyn Fn(&Head) -> Result<(), Refusal> + Send + Sync>;

/// The public side of the server.
pub struct Gate {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: thread::JoinHandle<()>,
}

struct Shared {
    /// Where tiny_http listens.
    private_socket: PathBuf,
    check_head: CheckHead,
    max_connections: usize,
    draining: AtomicBool,
    connections: Counter,
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
    by_age: BTreeMap<u64, (Arc<Connection>, Halt)>,
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// It was told to give way to a newer one.
    evicted: AtomicBool,
}

/// Why a connection ends.
enum End {
    /// With an answer that says what is wrong.
    Refused(Refusal),
    /// Without: the client is gone, or has no request under way.
    Silent,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refused(refusal)
    }
}

impl Gate {
    /// Takes the public socket and begins to serve; `private_socket` is where tiny_http listens.
    pub fn open(listener: TcpListener, private_socket: PathBuf, check_head: CheckHead) -> io::Result<Gate> {
        rustix::net::listen(&listener, BACKLOG)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            private_socket,
            check_head,
            max_connections: max_connections(raise_descriptor_limit())?,
            draining: AtomicBool::new(false),
            connections: Counter::default(),
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

    /// Whether new requests are refused; for `/healthz`.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::SeqCst)
    }

    /// Closes the public socket, refuses what comes on open connections, and finishes the requests in hand. Says whether all
    /// were finished within `timeout`.
    pub fn drain(self, timeout: Duration) -> bool {
        self.shared.draining.store(true, Ordering::SeqCst);
        // The acceptor is in accept(): one more connection makes it look up, and see that it is to end.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(if own.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                [0u16, 0, 0, 0, 0, 0, 0, 1].into()
            });
        }
        if TcpStream::connect_timeout(&own, Duration::from_secs(1)).is_ok() {
            let _ = self.acceptor.join(); // an acceptor that panicked is closed too
        }
        self.shared.requests.wait_for_at_most(0, timeout)
    }
}

/// Raises the soft limit on descriptors as far as is allowed and of use, and returns what it is then.
fn raise_descriptor_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let wanted =
        (MAX_CONNECTIONS + MAX_TURNED_AWAY + HANDLERS * DESCRIPTORS_PER_HANDLER + OTHER_DESCRIPTORS) as u64;
    let mut limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let raised = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    if raised <= current {
        return current.min(wanted) as usize;
    }
    limit.current = Some(raised);
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => raised as usize,
        Err(_) => current as usize,
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
                log::warn("accept", &[("error", &error), ("connections", &shared.connections.count())]);
                shared.evict_oldest();
                thread::sleep(ACCEPT_PAUSE); // nothing can be waited on: what is short is the system's
            }
        }
    }
    log::error("accepting failed for good", &[]);
    std::process::exit(1);
}

fn admit(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) {
    let held = shared.connections.add();
    let count = shared.connections.count();
    let turned_away = count > shared.max_connections && !shared.evict_oldest();
    // In a flood, give those that were told to go the time to do so.
    if !shared.connections.wait_for_at_most(shared.max_connections + MAX_TURNED_AWAY, TURN_AWAY_TIMEOUT) {
        return;
    }
    let connection = Arc::new(Connection { stream, peer, evicted: AtomicBool::new(turned_away) });
    let shared = shared.clone();
    let thread = thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES);
    let spawned = thread.spawn(move || {
        serve(&connection, &shared);
        drop(held);
    });
    if let Err(error) = spawned {
        log::warn("no thread for a connection", &[("peer", &peer), ("error", &error)]);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `wait`, during which the connection may be told to give way by closing it as `halt` says.
    fn while_waiting<T>(&self, connection: &Arc<Connection>, halt: Halt, wait: impl FnOnce() -> T) -> T {
        let number = {
            let mut waiting = self.waiting();
            let number = waiting.next;
            waiting.next += 1;
            waiting.by_age.insert(number, (connection.clone(), halt));
            number
        };
        let result = wait();
        self.waiting().by_age.remove(&number);
        result
    }

    /// Closes the connection that has kept the gate waiting longest. False if none does.
    fn evict_oldest(&self) -> bool {
        let Some((_, (connection, halt))) = self.waiting().by_age.pop_first() else { return false };
        connection.evicted.store(true, Ordering::SeqCst);
        let _ = connection.stream.shutdown(halt); // fails if the client was faster
        true
    }
}

/// One connection, from its first byte to its last.
fn serve(connection: &Arc<Connection>, shared: &Arc<Shared>) {
    let _ = connection.stream.set_nodelay(true); // without it an answer is only later
    let mut buffer = Vec::new();
    let mut in_hand = None;
    let mut end = if connection.is_evicted() { Err(server_full().into()) } else { Ok(()) };
    let mut requests = 0;
    while end.is_ok() {
        requests += 1;
        end = exchange(connection, shared, &mut buffer, requests, &mut in_hand);
    }
    let Err(End::Refused(refusal)) = end else { return };
    log::info(
        "refused",
        &[("peer", &connection.peer), ("status", &refusal.status), ("error", &refusal.message)],
    );
    shared.while_waiting(connection, Halt::Both, || {
        let written = connection.write(&answer_to(&refusal), WRITE_TIMEOUT);
        drop(in_hand);
        if written.is_ok() && !connection.is_evicted() {
            linger(connection);
        }
    });
}

fn server_full() -> Refusal {
    Refusal::new(503, "The server is full: try again in a few seconds.")
}

/// The connection's `number`th request and its answer. An error ends the connection. A request stays `in_hand`, for a drain to
/// wait for, until it is answered.
fn exchange(
    connection: &Arc<Connection>,
    shared: &Shared,
    buffer: &mut Vec<u8>,
    number: usize,
    in_hand: &mut Option<Held>,
) -> Result<(), End> {
    let head_bytes =
        shared.while_waiting(connection, Halt::Read, || connection.read_head(buffer, number == 1))?;
    let mut head = head::parse(&buffer[..head_bytes])?;
    buffer.drain(..head_bytes);
    head.close |= number == MAX_REQUESTS_PER_CONNECTION;

    *in_hand = Some(shared.requests.add());
    if shared.draining.load(Ordering::SeqCst) {
        return Err(Refusal::new(503, "This server is stopping: try again in a few seconds.").into());
    }
    if head.content_length > 0 {
        (shared.check_head)(&head)?;
    }
    if head.content_length > MAX_BODY_BYTES as u64 {
        return Err(too_large().into());
    }
    let began = Instant::now();
    let body =
        shared.while_waiting(connection, Halt::Read, || connection.read_body(&head, buffer, shared))?;
    let answer = forward(connection, shared, &head, body, began.elapsed())?;
    let answer = if head.close { closing(answer) } else { answer };
    shared
        .while_waiting(connection, Halt::Both, || connection.write(&answer, WRITE_TIMEOUT))
        .map_err(|_| End::Silent)?;
    *in_hand = None;
    if head.close { Err(End::Silent) } else { Ok(()) }
}

fn too_large() -> Refusal {
    Refusal::new(
        413,
        format!("The image is over {MAX_IMAGE_BYTES} bytes: make it smaller and send it again."),
    )
}

impl Connection {
    /// Reads until `buffer` begins with a whole head, and returns its length. What follows it stays in the buffer.
    fn read_head(&self, buffer: &mut Vec<u8>, first: bool) -> Result<usize, End> {
        let patience = if first || !buffer.is_empty() { HEAD_TIMEOUT } else { IDLE_TIMEOUT };
        let mut deadline = Instant::now() + patience;
        let mut seen = 0;
        loop {
            if let Some(length) = head::head_length(buffer, seen)? {
                return Ok(length);
            }
            seen = buffer.len();
            buffer.resize(seen + head::MAX_HEAD_BYTES, 0);
            let read = self.read(&mut buffer[seen..], deadline);
            buffer.truncate(seen + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) if seen == 0 && !first => return Err(End::Silent),
                Ok(0) if seen == 0 => return Err(self.gone()),
                Ok(0) => return Err(self.cut_short()),
                Ok(_) if seen == 0 && !first => deadline = Instant::now() + HEAD_TIMEOUT,
                Ok(_) => {}
                Err(error) if is_timeout(&error) && (first || seen > 0) => {
                    return Err(too_slow("headers", HEAD_TIMEOUT).into());
                }
                Err(_) => return Err(self.gone()),
            }
        }
    }

    /// Reads the body that `head` announced. `buffer` holds what came with the head, and keeps what follows the body.
    fn read_body<'a>(&self, head: &Head, buffer: &mut Vec<u8>, shared: &'a Shared) -> Result<Body<'a>, End> {
        let length = head.content_length as usize; // at most MAX_BODY_BYTES
        let mut body = Body { bytes: vec![0; length], shared, charged: 0 };
        let mut filled = length.min(buffer.len());
        body.bytes[..filled].copy_from_slice(&buffer[..filled]);
        buffer.drain(..filled);
        body.charge(filled)?;
        if head.expects_continue && filled == 0 {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n", WRITE_TIMEOUT).map_err(|_| End::Silent)?;
        }
        let deadline = Instant::now() + BODY_TIMEOUT;
        while filled < length {
            let until = length.min(filled + READ_BYTES);
            match self.read(&mut body.bytes[filled..until], deadline) {
                Ok(0) => return Err(self.cut_short()),
                Ok(read) => {
                    filled += read;
                    body.charge(read)?;
                }
                Err(error) if is_timeout(&error) => return Err(too_slow("body", BODY_TIMEOUT).into()),
                Err(_) => return Err(self.gone()),
            }
        }
        Ok(body)
    }

    fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::SeqCst)
    }

    /// The client closed its side with no request under way, or was told to give way.
    fn gone(&self) -> End {
        if self.is_evicted() { server_full().into() } else { End::Silent }
    }

    /// The client closed its side in the middle of a request, or was told to give way.
    fn cut_short(&self) -> End {
        if self.is_evicted() {
            return server_full().into();
        }
        Refusal::new(400, "The request ended before it was whole: send all that its Content-Length says.")
            .into()
    }

    /// One read, of at least a byte unless the client is done. `deadline` is absolute: a client that sends a byte now and
    /// then gains nothing by it.
    fn read(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(time_left(deadline)?))?;
        (&self.stream).read(buffer)
    }

    /// Writes all, within `timeout` in all.
    fn write(&self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(time_left(deadline)?))?;
            match (&self.stream).write(bytes)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => bytes = &bytes[written..],
            }
        }
        Ok(())
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

fn too_slow(what: &str, limit: Duration) -> Refusal {
    let limit = limit.as_secs();
    Refusal::new(
        408,
        format!("The request's {what} did not arrive within {limit} seconds: try again on a faster line."),
    )
}

/// A body in memory, counted in what all bodies may take together from the moment its bytes arrive.
struct Body<'a> {
    bytes: Vec<u8>,
    shared: &'a Shared,
    charged: usize,
}

impl Body<'_> {
    fn charge(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.charged += bytes;
        let before = self.shared.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > MAX_BUFFERED_BYTES { Err(server_full()) } else { Ok(()) }
    }
}

impl Drop for Body<'_> {
    fn drop(&mut self) {
        self.shared.buffered_bytes.fetch_sub(self.charged, Ordering::Relaxed);
    }
}

/// Hands a whole request to tiny_http in canonical form and returns its answer. Only what the api reads is passed on.
fn forward(
    connection: &Connection,
    shared: &Shared,
    head: &Head,
    body: Body,
    body_took: Duration,
) -> Result<Vec<u8>, Refusal> {
    let Some(_handler) = shared.handlers.add_below(HANDLERS, HANDLER_TIMEOUT) else {
        return Err(server_full());
    };
    let mut canonical = format!(
        "{} {} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: {}\r\n{PEER}: {}\r\n{BODY_MS}: {}\r\n",
        head.method,
        head.target,
        body.bytes.len(),
        connection.peer,
        body_took.as_millis(),
    );
    let passed_on = [
        ("Accept", &head.accept),
        ("Content-Type", &head.content_type),
        ("If-None-Match", &head.if_none_match),
    ];
    for (name, value) in passed_on {
        if let Some(value) = value {
            canonical.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    canonical.push_str("\r\n");
    let answer = ask(&shared.private_socket, canonical.as_bytes(), body);
    match answer {
        Ok(answer) if answer.starts_with(b"HTTP/1.1 ") => Ok(answer),
        other => {
            let error = other.err().map_or("no answer".to_owned(), |error| error.to_string());
            log::error("handler", &[("peer", &connection.peer), ("target", &head.target), ("error", &error)]);
            Err(Refusal::new(503, "The server could not answer: try again in a few seconds."))
        }
    }
}

/// Tells the api who is asking.
pub const PEER: &str = "X-Gate-Peer";

/// Tells the api how many milliseconds the body took to arrive.
pub const BODY_MS: &str = "X-Gate-Body-Ms";

fn ask(private_socket: &PathBuf, head: &[u8], body: Body) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(private_socket)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(head)?;
    stream.write_all(&body.bytes)?;
    drop(body); // the handler has it
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

/// The answer with `Connection: close` after its first line, which tiny_http cannot be made to send.
fn closing(answer: Vec<u8>) -> Vec<u8> {
    let line = answer.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let (first_line, rest) = answer.split_at(line);
    [first_line, b"Connection: close\r\n", rest].concat()
}

/// A refusal of the gate's own, as bytes.
fn answer_to(refusal: &Refusal) -> Vec<u8> {
    let body = refusal.json();
    let extra =
        refusal.header.as_ref().map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n{body}",
        refusal.status,
        refusal.reason(),
        body.len(),
    )
    .into_bytes()
}

fn linger(connection: &Connection) {
    if connection.stream.shutdown(Halt::Write).is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER_TIMEOUT;
    let mut dropped = 0;
    let mut buffer = vec![0; READ_BYTES];
    while dropped < LINGER_BYTES {
        match connection.read(&mut buffer, deadline) {
            Ok(0) | Err(_) => return,
            Ok(read) => dropped += read,
        }
    }
}
