//! One connection, from its first byte to its last: request after request, each read whole before anyone looks at it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown as Halt, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::clients::Place;
use super::forward::{self, Asked};
use super::{Awaited, Buffered, Shared, Wait, server_full};
use crate::domain::format::MAX_IMAGE_BYTES;
use crate::server::head::{self, Head};
use crate::server::multipart::{MAX_OTHER_BYTES, MultipartError};
use crate::server::refusal::Refusal;
use crate::support::counter::Held;

/// What a multipart body needs beside its fields' bytes: boundaries and the headers of the parts.
const FRAMING_BYTES: usize = 16 * 1024;

/// The longest body: the largest image, the other fields, and their framing.
pub(super) const MAX_BODY_BYTES: usize = MAX_IMAGE_BYTES + MAX_OTHER_BYTES + FRAMING_BYTES;

/// From when it was accepted, or on a connection that was in use from the first byte, to the end of the head, which is one
/// packet or two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// From the end of the head to the end of the body: 1 MiB at 52 KB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Between an answer and the next request on its connection. Longer than the 60 seconds after which AWS's load balancers
/// close a connection: were the server first, they would send a request into a closed one now and then, and answer 502.
/// Idle connections are the first to give way when there are too many.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// For a client to take its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// After an early answer, what a client is still sending is read and dropped for a while: closing at once would reset the
/// connection, and the client would see the reset and not the answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// The same for who is turned away because there are too many: long enough for the answer to be seen, on most lines.
const TURNED_AWAY_LINGER_TIMEOUT: Duration = Duration::from_millis(200);

/// How much is dropped so. An upload of a few times the limit still sees its 413.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Requests on one connection; then it is closed, so that load spreads over servers.
const MAX_REQUESTS_PER_CONNECTION: usize = 1000;

/// What one read of a head takes at most, and an idle connection holds.
const HEAD_READ_BYTES: usize = 4 * 1024;

/// What one read of a body takes at most.
const BODY_READ_BYTES: usize = 64 * 1024;

/// A client's connection.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// Whose share it takes of; none if each request takes of its own, because the peer is a trusted proxy.
    client: Option<IpAddr>,
    /// What it takes up, until it is told to give way to a newer one.
    stay: Mutex<Option<Stay>>,
    /// There was no room for it from the start.
    turned_away: bool,
    /// It was told to give way.
    evicted: AtomicBool,
}

/// What a connection takes up: room, and a place in a client's share. Of what comes by a trusted proxy each request takes a
/// place of its own.
type Stay = (Held, Option<Place>);

/// Why a connection ends.
enum End {
    /// With an answer that says what is wrong.
    Refused(Refusal),
    /// With the answer to its last request.
    Answered,
    /// Without: the client is gone, or has no request under way.
    Silent,
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refused(refusal)
    }
}

/// Serves a connection until it ends. `wait` is that for its first head, which began when it was accepted.
pub(super) fn serve(connection: &Arc<Connection>, shared: &Arc<Shared>, mut wait: Option<Wait>) {
    let _ = connection.stream.set_nodelay(true); // without it an answer is only later
    let mut buffer = Vec::new();
    let new = || Asked::new(connection.peer, connection.client);
    let mut asked = new();
    let mut in_hand = None;
    let mut end = if connection.turned_away { Err(server_full().into()) } else { Ok(()) };
    let mut number = 0;
    while end.is_ok() {
        number += 1;
        asked = new();
        let wait = wait.take().unwrap_or_else(|| shared.wait(connection, asked.client, Awaited::Head));
        let head_bytes = connection.read_head(&mut buffer, number == 1);
        drop(wait);
        end = head_bytes.and_then(|head_bytes| {
            if connection.is_evicted() {
                return Err(server_full().into()); // this head came before it was told to go
            }
            asked.head = head::parse(&buffer[..head_bytes])?;
            buffer.drain(..head_bytes);
            exchange(connection, shared, &mut buffer, number, &mut asked, &mut in_hand)
        });
    }
    let _wait = shared.wait(connection, asked.client, Awaited::Answer);
    let answered = match end {
        Err(End::Refused(refusal)) => {
            asked.log_refusal(&refusal, &shared.metrics);
            connection.write(&forward::refusal_answer(&refusal, &asked), WRITE_TIMEOUT).is_ok()
        }
        Err(End::Answered) => true,
        Err(End::Silent) | Ok(()) => false,
    };
    if answered {
        connection.linger();
    }
    drop(in_hand); // a drain waits until the client has seen its answer
}

/// The connection's `number`th request, of which the head is in `asked`, and its answer. An error ends the connection. The
/// request stays `in_hand`, for a drain to wait for, until it is answered.
fn exchange(
    connection: &Arc<Connection>,
    shared: &Arc<Shared>,
    buffer: &mut Vec<u8>,
    number: usize,
    asked: &mut Asked,
    in_hand: &mut Option<Held>,
) -> Result<(), End> {
    let close = asked.head.close || number == MAX_REQUESTS_PER_CONNECTION;

    *in_hand = Some(shared.requests.add());
    if connection.client.is_none() {
        connection.keep(take_place(shared, asked)?);
    }
    if shared.draining.load(Ordering::SeqCst) {
        return Err(Refusal::new(503, "This server is stopping: try again in a few seconds.").into());
    }
    (shared.check_head)(&asked.head)?;
    if asked.head.content_length > MAX_BODY_BYTES as u64 {
        return Err(Refusal::new(413, MultipartError::ImageTooLarge.to_string()).into());
    }
    let began = Instant::now();
    let wait = shared.wait(connection, asked.client, Awaited::Body);
    let body = connection.read_body(&asked.head, buffer, shared)?;
    drop(wait);
    asked.body_took = began.elapsed();

    let mut answer = forward::forward(shared, asked, body)?;
    if close {
        forward::say_close(&mut answer.bytes);
    }
    let wait = shared.wait(connection, asked.client, Awaited::Answer);
    connection.write(&answer.bytes, WRITE_TIMEOUT).map_err(|_| End::Silent)?;
    drop(wait);
    if connection.client.is_none() {
        connection.keep(None);
    }
    *in_hand = None;
    if close { Err(End::Answered) } else { Ok(()) }
}

/// A place for a request that came by a trusted proxy, in the share of whoever it says that it took it from.
fn take_place(shared: &Shared, asked: &mut Asked) -> Result<Option<Place>, Refusal> {
    asked.client = shared.clients.of_forwarded(asked.head.forwarded_for.as_deref());
    match asked.client.map(|client| shared.clients.take(client)) {
        Some((place, false)) if !shared.evict_oldest(|waiter| waiter.share == Some(place.share)) => {
            Err(server_full())
        }
        taken => Ok(taken.map(|(place, _)| place)),
    }
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        client: Option<IpAddr>,
        stay: Option<Stay>,
    ) -> Connection {
        let turned_away = stay.is_none();
        let evicted = AtomicBool::new(false);
        Connection { stream, peer, client, stay: Mutex::new(stay), turned_away, evicted }
    }

    fn stay(&self) -> MutexGuard<'_, Option<Stay>> {
        self.stay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes this place in a client's share, in place of the one it had.
    fn keep(&self, place: Option<Place>) {
        if let Some((_, kept)) = self.stay().as_mut() {
            *kept = place;
        }
    }

    /// Makes room for another. False if it had made it before.
    pub(super) fn leave(&self) -> bool {
        self.stay().take().is_some()
    }

    /// Tells it to give way. False if that makes no room.
    pub(super) fn evict(&self, halt: Halt) -> bool {
        self.evicted.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(halt); // fails if the client was faster
        self.leave()
    }

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
            buffer.resize(seen + HEAD_READ_BYTES, 0);
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
    fn read_body<'a>(
        &self,
        head: &Head,
        buffer: &mut Vec<u8>,
        shared: &'a Shared,
    ) -> Result<Buffered<'a>, End> {
        let length = head.content_length as usize; // at most MAX_BODY_BYTES
        let mut body = Buffered::new(vec![0; length], shared);
        let mut filled = length.min(buffer.len());
        body.bytes[..filled].copy_from_slice(&buffer[..filled]);
        buffer.drain(..filled);
        if !body.charge(filled) {
            return Err(server_full().into());
        }
        if head.expects_continue && filled == 0 {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n", WRITE_TIMEOUT).map_err(|_| End::Silent)?;
        }
        let deadline = Instant::now() + BODY_TIMEOUT;
        while filled < length {
            let until = length.min(filled + BODY_READ_BYTES);
            match self.read(&mut body.bytes[filled..until], deadline) {
                Ok(0) => return Err(self.cut_short()),
                Ok(read) => {
                    filled += read;
                    if !body.charge(read) {
                        return Err(server_full().into());
                    }
                }
                Err(error) if is_timeout(&error) => return Err(too_slow("body", BODY_TIMEOUT).into()),
                Err(_) => return Err(self.gone()),
            }
        }
        Ok(body)
    }

    pub(super) fn is_evicted(&self) -> bool {
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

    /// One read, of at least a byte unless the client is done, or was told to go: what it had sent by then could be read still.
    /// `deadline` is absolute: a client that sends a byte now and then gains nothing by it.
    fn read(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            self.stream.set_read_timeout(Some(time_left(deadline)?))?;
            match (&self.stream).read(buffer) {
                _ if self.is_evicted() => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {} // the process was stopped for a while
                read => return read,
            }
        }
    }

    /// Writes all, within `timeout` in all.
    fn write(&self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(time_left(deadline)?))?;
            match (&self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the sending side, and drops what the client still sends, so that it comes to read its answer.
    fn linger(&self) {
        if self.is_evicted() || self.stream.shutdown(Halt::Write).is_err() {
            return;
        }
        let timeout = if self.turned_away { TURNED_AWAY_LINGER_TIMEOUT } else { LINGER_TIMEOUT };
        let deadline = Instant::now() + timeout;
        let mut dropped = 0;
        let mut buffer = vec![0; BODY_READ_BYTES];
        while dropped < LINGER_BYTES {
            match self.read(&mut buffer, deadline) {
                Ok(0) | Err(_) => return,
                Ok(read) => dropped += read,
            }
        }
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
