//! One connection's socket: reads and writes under deadlines, its slot, and its end.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown as Halt, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::quotas::QuotaSlot;
use crate::shared::Slot;

/// What one read of a head takes at most, and an idle connection holds.
const HEAD_READ_BYTES: usize = 4 * 1024;

/// What one read of a body takes at most.
pub(crate) const BODY_READ_BYTES: usize = 64 * 1024;

pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) peer: SocketAddr,
    /// In whose quota it counts. None if the peer is a trusted proxy: then each request counts in its own client's.
    pub(crate) client: Option<IpAddr>,
    /// None once it is evicted, or if there was no room for it from the start.
    slot: Mutex<Option<Slot>>,
    /// There was no room for it from the start.
    pub(crate) is_refused: bool,
    evicted: AtomicBool,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        peer: SocketAddr,
        client: Option<IpAddr>,
        slot: Option<Slot>,
    ) -> Connection {
        let _ = stream.set_nodelay(true); // without it an answer is only later
        let is_refused = slot.is_none();
        let evicted = AtomicBool::new(false);
        Connection { stream, peer, client, slot: Mutex::new(slot), is_refused, evicted }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Slot>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the place in a client's quota that came with the slot. An evicted connection needs none.
    pub(crate) fn set_quota_slot(&self, quota_slot: Option<QuotaSlot>) {
        if let Some(slot) = self.slot().as_mut() {
            slot.quota_slot = quota_slot;
        }
    }

    /// Gives the slot back. False if the connection has none.
    pub(crate) fn give_slot_back(&self) -> bool {
        self.slot().take().is_some()
    }

    /// Makes the connection end soon, and gives its slot back at once. False if it has none.
    pub(crate) fn evict(&self, halt: Halt) -> bool {
        self.evicted.store(true, Ordering::SeqCst);
        let _ = self.stream.shutdown(halt); // fails if the client was faster
        self.give_slot_back()
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::SeqCst)
    }

    /// Reads some more of a head to the end of `buffer`. Returns how much, as [`read`](Connection::read) does.
    pub(crate) fn read_more(&self, buffer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        let length = buffer.len();
        buffer.resize(length + HEAD_READ_BYTES, 0);
        let read = self.read(&mut buffer[length..], deadline);
        buffer.truncate(length + *read.as_ref().unwrap_or(&0));
        read
    }

    /// One read. Returns 0 only if the client has closed its side, or if the connection is evicted; then what the client sent
    /// before is not read. `deadline` is absolute: a client that sends a byte now and then gains nothing.
    pub(crate) fn read(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
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
    pub(crate) fn write(&self, mut bytes: &[u8], timeout: Duration) -> io::Result<()> {
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

    /// Ends the sending side, and drops what the client still sends, so that the client comes to read its answer.
    pub(crate) fn linger(&self, limits: &Limits) {
        if self.is_evicted() || self.stream.shutdown(Halt::Write).is_err() {
            return;
        }
        let timeout = if self.is_refused { limits.refused_linger_timeout } else { limits.linger_timeout };
        let deadline = Instant::now() + timeout;
        let mut dropped = 0;
        let mut buffer = vec![0; BODY_READ_BYTES];
        while dropped < limits.linger_bytes {
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

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
