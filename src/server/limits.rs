//! The server's limits with their reasons: those that it sets for the gate, and the longest body.
//!
//! [`Limits::STRICT`] has the numbers that hold for any server behind a gate, with their reasons.

use std::io;
use std::time::Duration;

use gate::Limits;

use super::form;

/// Connections served at a time. An idle one costs a thread's small stack, a buffer and a descriptor.
pub const MAX_CONNECTIONS: usize = 2048;

/// A client may have a quarter of the connections, so that it takes four addresses to fill the server. It is not less, because
/// an office may be behind one address, and each browser opens six connections.
const QUOTA_DIVISOR: usize = 4;

/// What a multipart body needs besides its fields' bytes: boundaries, and the headers of the parts.
const FRAMING_BYTES: usize = 16 * 1024;

/// The longest body: the largest image, the other fields, and their framing.
pub(super) const MAX_BODY_BYTES: usize = form::LIMITS.field_bytes + form::LIMITS.other_bytes + FRAMING_BYTES;

/// The longest answer: an original of 1 MiB or a large thumbnail (600x600 RGBA in a PNG, 1.4 MB), and its head.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Requests handled at a time, each by a thread. A handler mostly waits for the store and the queue, some 50 ms on AWS, so 64
/// handlers are over 1,000 uploads a second.
pub(super) const HANDLERS: usize = 64;

/// The store and the queue, with all their retries, take a third of this at worst. A handler that takes longer hangs, for
/// example on a disk. The process then ends, before more handlers hang.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Longer than the 60 seconds after which AWS's load balancers close an idle connection. If the server closed it first, a load
/// balancer would now and then send a request into a closed connection, and answer 502.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Descriptors that a handled request takes: both ends of the private socket, tiny_http's copy, and one to the store.
const DESCRIPTORS_PER_HANDLER: usize = 4;

/// Descriptors for everything else: standard streams, listeners, the queue's connections, a local worker's files.
const OTHER_DESCRIPTORS: usize = 128;

/// How long requests in hand may take to finish once the server is told to stop. An upload that has just begun takes 20
/// seconds for its body at most, and some milliseconds for a store and a queue that are well. At their worst these take 40 s
/// more. A client that is cut off by then has had no answer, and tries again.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The gate's limits, for a process that may have so many files and sockets open.
pub(super) fn gate_limits(descriptors: usize) -> io::Result<Limits> {
    let slots = count_slots(descriptors)?;
    Ok(Limits {
        slots,
        quota: slots.div_ceil(QUOTA_DIVISOR),
        body_bytes: MAX_BODY_BYTES,
        answer_bytes: ANSWER_BYTES,
        turns: HANDLERS,
        answer_timeout: ANSWER_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        ..Limits::STRICT
    })
}

fn count_slots(descriptors: usize) -> io::Result<usize> {
    let others = Limits::STRICT.refused_connections + HANDLERS * DESCRIPTORS_PER_HANDLER + OTHER_DESCRIPTORS;
    match descriptors.saturating_sub(others).min(MAX_CONNECTIONS) {
        0 => {
            let least = others + 1;
            Err(io::Error::other(format!("the limit of {descriptors} open files is too low: allow {least}")))
        }
        slots => Ok(slots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The main thread, the accepting one, those of signals and metrics, and a few that come and go.
    const OTHER_THREADS: usize = 32;

    /// At the limit a thread cannot be started: clients are reset without an answer, and tiny_http panics.
    #[test]
    fn the_unit_has_room_for_the_threads_of_a_full_server() {
        let connections = MAX_CONNECTIONS + Limits::STRICT.refused_connections;
        // tiny_http has a thread for each connection of the private socket, and as many may be at their end.
        let threads = connections + HANDLERS + 2 * HANDLERS + OTHER_THREADS;
        let unit = include_str!("../../init/server.service");
        let allowed = unit.lines().find_map(|line| line.strip_prefix("TasksMax=")).unwrap();
        assert!(allowed.parse::<usize>().unwrap() >= threads * 3 / 2, "{allowed} for {threads} threads");
    }
}
