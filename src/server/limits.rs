//! How much the server takes of its clients, and why so much: what the gate enforces, and the longest body.

use std::io;
use std::time::Duration;

use gate::Limits;

use super::form;

/// Connections served at a time. An idle one costs a thread's small stack, a buffer and a descriptor.
pub const MAX_CONNECTIONS: usize = 2048;

/// A client may have a quarter of the connections, so that it takes four addresses to fill the server. Behind one address may
/// be an office, and a browser takes six connections.
const QUOTA_DIVISOR: usize = 4;

/// Connections past that which are still told to come again. The gate closes any more without a word.
const REFUSED_CONNECTIONS: usize = 64;

/// The usual backlog of 128 loses clients in a burst of 1,000.
const BACKLOG: i32 = 1024;

/// Then the gate closes the connection, so that load spreads over servers.
const REQUESTS_PER_CONNECTION: usize = 1000;

/// Browsers with many cookies stay under 8 KiB.
const HEAD_BYTES: usize = 16 * 1024;

/// Ours have about 50 bytes; RFC 9112 asks for 8,000 to be understood.
const TARGET_BYTES: usize = 8 * 1024;

/// curl sends 5, browsers about 20.
const HEADERS: usize = 64;

/// What a multipart body needs besides its fields' bytes: boundaries, and the headers of the parts.
const FRAMING_BYTES: usize = 16 * 1024;

/// The longest body: the largest image, the other fields, and their framing.
pub(super) const MAX_BODY_BYTES: usize = form::LIMITS.field_bytes + form::LIMITS.other_bytes + FRAMING_BYTES;

/// The longest answer: an original of 1 MiB or a large thumbnail (600x600 RGBA in a PNG, 1.4 MB), and its head.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Bodies and answers in memory: 240 of the largest uploads.
const BUFFERED_BYTES: usize = 256 * 1024 * 1024;

/// Requests handled at a time, each by a thread. A handler mostly waits for the store and the queue, some 50 ms on AWS, so 64
/// handlers are over 1,000 uploads a second.
pub(super) const HANDLERS: usize = 64;

/// For a free handler. A client that would wait longer had better try again.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// The store and the queue, with all their retries, take a third of this at worst. A handler that takes longer hangs, on a disk
/// for one, and the process ends before all handlers do.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A head is one packet or two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// 1 MiB at 52 KB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// Longer than the 60 seconds after which AWS's load balancers close an idle connection: were the server first, they would send
/// a request into a closed connection now and then, and answer 502.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// For a client to take its answer: 1 MiB at 35 KB/s.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Long enough to upload what [`LINGER_BYTES`] allow on a fast line, and for the answer to be seen on a slow one.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection without a slot gives up its thread soon, but on most lines its answer is seen by then.
const REFUSED_LINGER_TIMEOUT: Duration = Duration::from_millis(200);

/// An upload of a few times the limit still sees its 413.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// When there are even more connections than slots and refused ones, accepting waits for evicted connections to close: a second
/// for a newcomer that has a slot, which a machine full of threads may take to end them …
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// … and less for one that is refused anyway.
const REFUSED_WAIT: Duration = Duration::from_millis(100);

/// Accepting that has failed for five seconds will not come back.
const ACCEPT_FAILURES: u32 = 100;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Descriptors that a handled request takes: both ends of the private socket, tiny_http's copy, and one to the store.
const DESCRIPTORS_PER_HANDLER: usize = 4;

/// Descriptors for everything else: standard streams, listeners, the queue's connections, a local worker's files.
const OTHER_DESCRIPTORS: usize = 128;

/// How long requests in hand may take to finish once the server is told to stop. An upload that has just begun takes 20
/// seconds for its body at most, and some milliseconds for a store and a queue that are well. Their worst is 40 s more: a client
/// that is cut off then has no answer, and comes again.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The gate's limits, for a process that may have so many files and sockets open.
pub(super) fn gate_limits(descriptors: usize) -> io::Result<Limits> {
    let slots = count_slots(descriptors)?;
    Ok(Limits {
        slots,
        quota: slots.div_ceil(QUOTA_DIVISOR),
        refused_connections: REFUSED_CONNECTIONS,
        backlog: BACKLOG,
        requests_per_connection: REQUESTS_PER_CONNECTION,
        head_bytes: HEAD_BYTES,
        target_bytes: TARGET_BYTES,
        headers: HEADERS,
        body_bytes: MAX_BODY_BYTES,
        answer_bytes: ANSWER_BYTES,
        buffered_bytes: BUFFERED_BYTES,
        turns: HANDLERS,
        turn_timeout: TURN_TIMEOUT,
        answer_timeout: ANSWER_TIMEOUT,
        head_timeout: HEAD_TIMEOUT,
        body_timeout: BODY_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        linger_timeout: LINGER_TIMEOUT,
        refused_linger_timeout: REFUSED_LINGER_TIMEOUT,
        linger_bytes: LINGER_BYTES,
        slot_wait: SLOT_WAIT,
        refused_wait: REFUSED_WAIT,
        accept_failures: ACCEPT_FAILURES,
        accept_pause: ACCEPT_PAUSE,
    })
}

fn count_slots(descriptors: usize) -> io::Result<usize> {
    let others = REFUSED_CONNECTIONS + HANDLERS * DESCRIPTORS_PER_HANDLER + OTHER_DESCRIPTORS;
    match descriptors.saturating_sub(others).min(MAX_CONNECTIONS) {
        0 => {
            let least = others + 1;
            Err(io::Error::other(format!("the limit of {descriptors} open files is too low: allow {least}")))
        }
        slots => Ok(slots),
    }
}
