//! How much the gate takes.

use std::time::Duration;

/// All limits of a gate. A server chooses the numbers that its requests call for, and takes the others from
/// [`STRICT`](Limits::STRICT).
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
    /// Bytes of an answer, its head included. The client of a longer one is told 503.
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

impl Limits {
    /// For a server whose requests and answers are at most a few megabytes long, with clients that are curl and browsers.
    pub const STRICT: Limits = Limits {
        // An idle connection costs a thread's small stack, a buffer and a descriptor.
        slots: 2048,
        // It takes four addresses to fill the server. Behind one may be an office, and a browser takes six connections.
        quota: 512,
        refused_connections: 64,
        // The usual 128 loses clients in a burst of 1,000.
        backlog: 1024,
        // Load spreads over servers.
        requests_per_connection: 1000,

        // Browsers with many cookies stay under 8 KiB.
        head_bytes: 16 * 1024,
        // RFC 9112 asks for 8,000 to be understood.
        target_bytes: 8 * 1024,
        // curl sends 5, browsers about 20.
        headers: 64,
        body_bytes: 1024 * 1024,
        answer_bytes: 2 * 1024 * 1024,
        // 240 bodies of the longest, and a few answers.
        buffered_bytes: 256 * 1024 * 1024,

        turns: 64,
        // A client that would wait longer had better try again.
        turn_timeout: Duration::from_secs(10),
        answer_timeout: Duration::from_secs(120),

        // A head is one packet or two.
        head_timeout: Duration::from_secs(5),
        // 1 MiB at 52 KB/s.
        body_timeout: Duration::from_secs(20),
        // Longer than the usual 60 seconds after which a load balancer closes an idle connection. Were the server first, the
        // balancer would send a request into a closed connection now and then, and answer 502.
        idle_timeout: Duration::from_secs(75),
        // 1 MiB at 35 KB/s.
        write_timeout: Duration::from_secs(30),

        // Long enough to send what `linger_bytes` allows on a fast line, and for the answer to be seen on a slow one.
        linger_timeout: Duration::from_secs(2),
        // A connection without a slot gives up its thread soon, but on most lines its answer is seen by then.
        refused_linger_timeout: Duration::from_millis(200),
        // An upload of a few times the limit still sees its 413.
        linger_bytes: 16 * 1024 * 1024,

        // A machine full of threads may take so long to end the evicted ones.
        slot_wait: Duration::from_secs(1),
        refused_wait: Duration::from_millis(100),
        // Accepting that has failed for five seconds will not come back.
        accept_failures: 100,
        accept_pause: Duration::from_millis(50),
    };
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of eight slots. What a test is not about has plenty of time.
    pub(crate) const LIMITS: Limits = Limits {
        slots: 8,
        quota: 2,
        refused_connections: 2,
        answer_bytes: 64 * 1024,
        buffered_bytes: 4 * 1024 * 1024,
        turns: 2,
        head_timeout: Duration::from_secs(10),
        accept_failures: 3,
        accept_pause: Duration::from_millis(1),
        ..Limits::STRICT
    };
}
