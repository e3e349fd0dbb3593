//! A strict front door for an HTTP/1.1 server that trusts its clients.
//!
//! Some servers, tiny_http among them, have no limits and no timeouts: one hostile header ends the process, a slow client
//! holds a thread for ever, a chunked body smuggles a second request in. The gate keeps such clients away from the server.
//! It owns the public socket, and reads one whole request, head and body, into memory, within limits of size and time. It
//! refuses a request that could be read in two ways. It writes all others in canonical form to the server, over a Unix
//! socket that only this user can reach. Each request has a connection of its own there. Then the gate carries the answer back.
//!
//! A thread serves a connection, in plain blocking code. When there are too many connections, or too many bytes in memory,
//! the gate closes the connection that has waited longest for its client. So a flood of idle or slow connections pushes out
//! its own connections, and an honest client, whose request arrives in milliseconds, is served.
//!
//! The gate knows nothing of what the server does. [`Limits`] are a value, and [`Hooks`] are the functions that it calls: one
//! looks at heads, one gives refusals their shape, and one is told what happens.
//!
//! # The words
//!
//! | word | what it is |
//! |---|---|
//! | connection | a client's TCP connection, from accept to close. A thread serves it |
//! | slot | a place among all connections. A connection that finds none is told 503 and closed |
//! | quota | the most slots that one client may have |
//! | client | an IPv4 address, or an IPv6 /64 network; behind a trusted proxy, who the proxy says it is |
//! | waiting | the gate waits for the client: for a head, for a body, or until the client has taken its answer |
//! | evicted | closed while waiting, to make room for another |
//! | upstream | the server behind the gate |
//! | turn | the right of one request to ask upstream. There are as many as upstream has handlers |
//!
//! # Where to read
//!
//! [`Gate`] (accept.rs) accepts connections and finds them slots. exchange.rs takes a connection through its requests, with
//! connection.rs for the socket, head.rs for the head, and upstream.rs for the way to the server and back. shared.rs, quotas.rs,
//! waiting.rs, turns.rs and buffered.rs keep the limits that connections share.

mod accept;
mod buffered;
mod connection;
mod counter;
mod exchange;
mod head;
mod hooks;
mod limits;
mod networks;
mod quotas;
mod shared;
mod socket;
mod turns;
mod upstream;
mod waiting;

pub use accept::{Gate, Settings};
pub use head::{Head, PassedOn, Repeated};
pub use hooks::{Event, Fatal, Hooks, Refusal, Request};
pub use limits::Limits;
pub use networks::{Networks, reachable};
pub use socket::{NoPlace, PrivateSocket, SocketDirectory};
pub use upstream::{BODY_MICROS, CLIENT, PEER, REQUEST_ID};
