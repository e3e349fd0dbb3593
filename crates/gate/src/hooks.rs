//! What passes between the gate and the program that opens it: the functions that the gate calls, and their arguments.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::head::Head;

/// The functions that the gate calls, on many threads at a time.
pub trait Hooks: Send + Sync {
    /// Looks at the head of a request before its body is read, and refuses what can be refused by the head alone.
    fn check_head(&self, head: &Head) -> Result<(), Refusal>;

    /// Makes the answer to a request that the gate refuses, so that upstream never sees it. The answer is a whole HTTP/1.1 answer
    /// with its `Content-Length`; to HEAD it has no body. The gate adds `Connection: close`.
    fn answer_refused(&self, request: &Request, refusal: &Refusal) -> Vec<u8>;

    /// Is told what else happens.
    fn observe(&self, event: Event);
}

/// Something that happened.
pub enum Event<'a> {
    /// A connection was accepted. It may be closed again at once.
    Connected,
    Disconnected,
    /// A connection was closed to make room, or because there was none.
    Evicted,
    /// The system gave no connection. The gate tries again.
    AcceptFailed {
        error: &'a io::Error,
        connections: usize,
    },
    /// The system gave no thread for a connection. The gate closed the connection.
    NoThread {
        peer: SocketAddr,
        error: &'a io::Error,
    },
    /// Upstream did not answer. The client was told 503.
    UpstreamFailed {
        request: &'a Request,
        error: &'a io::Error,
    },
    /// The gate cannot go on. It may say so more than once.
    Failed(Fatal),
}

/// Why a gate cannot go on. It does not come back: end the process, and have it started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// Accepting failed so often in a row.
    Accepting { failures: u32 },
    /// Nobody listens on the private socket.
    UpstreamClosed,
    /// A request had no answer within [`answer_timeout`](crate::Limits::answer_timeout).
    UpstreamHangs,
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fatal::Accepting { failures } => {
                write!(f, "no connection could be accepted, {failures} times in a row")
            }
            Fatal::UpstreamClosed => f.write_str("the private socket is closed"),
            Fatal::UpstreamHangs => f.write_str("a handler hangs"),
        }
    }
}

impl Error for Fatal {}

/// An answer that says no: a status, and one sentence that says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// For the person at the other end.
    pub message: Cow<'static, str>,
    /// The header that the status calls for.
    pub header: Option<(&'static str, String)>,
}

impl Refusal {
    pub fn new(status: u16, message: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { status, message: message.into(), header: None }
    }

    pub(crate) fn server_full() -> Refusal {
        Refusal::new(503, "The server is full: try again in a few seconds.")
    }
}

/// What is known of a request so far.
pub struct Request {
    /// Finds the request in a log. It need not be secret, only rarely repeated.
    pub id: String,
    pub peer: SocketAddr,
    /// Empty until the head has arrived and is sound.
    pub head: Head,
    /// From the end of the head to the end of the body.
    pub body_took: Duration,
    /// Whose quota it counts in. None if that is not known: the peer is a trusted proxy that does not say.
    pub(crate) quota_of: Option<IpAddr>,
}

impl Request {
    /// Before anything has arrived.
    pub(crate) fn new(peer: SocketAddr, quota_of: Option<IpAddr>) -> Request {
        Request { id: random_id(), peer, head: Head::default(), body_took: Duration::ZERO, quota_of }
    }

    /// Who is asking: the peer, or who a trusted proxy says it is.
    pub fn client(&self) -> IpAddr {
        self.quota_of.unwrap_or_else(|| self.peer.ip().to_canonical())
    }
}

/// 12 hexadecimal digits. The standard library seeds a `RandomState` from the system's random source, so even the hash of
/// nothing is a random number.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:012x}", RandomState::new().hash_one(()) >> 16)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_short_and_differ() {
        let ids: HashSet<String> = (0..1000).map(|_| random_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
