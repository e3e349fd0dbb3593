//! How much the gate takes.

use std::time::Duration;

/// All limits of a gate. Whoever opens it chooses the numbers.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Slots: connections that are served at a time.
    pub slots: usize,
    /// Slots that one client may have.
    pub quota: usize,
    /// Connections without a slot that are told 503 at a time. The gate closes any more without an answer.
    pub refused_connections: usize,
    /// Connections that the kernel may hold between two accepts.
    pub backlog: i32,
    /// Requests on one connection. Then the gate closes it.
    pub requests_per_connection: usize,

    /// Bytes of a head, its empty line included.
    pub head_bytes: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Headers in a head.
    pub headers: usize,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of an answer, its head included. A longer one is cut.
    pub answer_bytes: usize,
    /// Bytes of bodies and answers in memory, over all connections.
    pub buffered_bytes: usize,

    /// Requests that ask upstream at a time.
    pub turns: usize,
    /// How long a request waits for its turn.
    pub turn_timeout: Duration,
    /// How long upstream may take to answer. An upstream that takes longer hangs, and the gate cannot go on
    /// ([`Fatal`](crate::Fatal)).
    pub answer_timeout: Duration,

    /// For a head: from the accept, or on a connection in use from the first byte.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// From an answer to the first byte of the next request.
    pub idle_timeout: Duration,
    /// For a client to take its answer.
    pub write_timeout: Duration,

    /// After its last answer, the gate reads and drops what the client still sends, for at most this long …
    pub linger_timeout: Duration,
    /// … or this long, on a connection that had no slot …
    pub refused_linger_timeout: Duration,
    /// … and at most so many bytes. To close at once would reset the connection, and the client would not see the answer.
    pub linger_bytes: usize,

    /// How long the gate waits for evicted connections to close before it accepts the next one, when there are even more than
    /// slots and refused connections.
    pub slot_wait: Duration,
    /// The same, when the next connection is refused anyway.
    pub refused_wait: Duration,
    /// Failures to accept in a row after which the gate gives up.
    pub accept_failures: u32,
    /// The pause after each of them.
    pub accept_pause: Duration,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of eight slots. What a test is not about has plenty of time.
    pub(crate) const LIMITS: Limits = Limits {
        slots: 8,
        quota: 2,
        refused_connections: 2,
        backlog: 16,
        requests_per_connection: 100,
        head_bytes: 16 * 1024,
        target_bytes: 8 * 1024,
        headers: 64,
        body_bytes: 1024 * 1024,
        answer_bytes: 64 * 1024,
        buffered_bytes: 4 * 1024 * 1024,
        turns: 2,
        turn_timeout: Duration::from_secs(10),
        answer_timeout: Duration::from_secs(10),
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
        linger_timeout: Duration::from_millis(200),
        refused_linger_timeout: Duration::from_millis(200),
        linger_bytes: 1024 * 1024,
        slot_wait: Duration::from_secs(1),
        refused_wait: Duration::from_millis(100),
        accept_failures: 3,
        accept_pause: Duration::from_millis(1),
    };
}
