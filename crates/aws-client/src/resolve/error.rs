//! Why a host has no address.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use simple_dns::RCODE;

/// A look-up that failed.
#[derive(Debug)]
pub(super) struct LookupError {
    /// The name that was asked for.
    pub(super) host: String,
    /// Who was asked last, if anybody was.
    pub(super) server: Option<SocketAddr>,
    pub(super) cause: Cause,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Cause {
    /// The name cannot be asked for.
    NoHostName,
    /// NXDOMAIN: a name server says that there is no such name.
    NoSuchName,
    /// A name server says that there is such a name, but neither with an IPv4 nor with an IPv6 address.
    NoAddress,
    /// A name server says that it cannot tell, such as SERVFAIL.
    Unanswered(RCODE),
    /// There was no answer, or none that can be read.
    Io(io::Error),
}

impl Cause {
    /// Whether another name server, or the same one later, may say something else.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Cause::Unanswered(_) | Cause::Io(_))
    }

    pub(super) fn timed_out() -> Cause {
        Cause::Io(io::Error::new(ErrorKind::TimedOut, "no answer in time"))
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Io(error)
    }
}

impl LookupError {
    pub(super) fn kind(&self) -> ErrorKind {
        match &self.cause {
            Cause::NoHostName | Cause::NoSuchName | Cause::NoAddress => ErrorKind::NotFound,
            Cause::Unanswered(_) => ErrorKind::Other,
            Cause::Io(error) => error.kind(),
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be looked up: ", self.host)?;
        if let Some(server) = self.server {
            write!(f, "name server {}: ", server.ip())?;
        }
        match &self.cause {
            Cause::NoHostName => f.write_str("it is no host name"),
            Cause::NoSuchName => f.write_str("there is no such name (NXDOMAIN)"),
            Cause::NoAddress => f.write_str("the name has no address"),
            Cause::Unanswered(RCODE::ServerFailure) => f.write_str("it could not find out (SERVFAIL)"),
            Cause::Unanswered(code) => write!(f, "it does not answer this ({code:?})"),
            Cause::Io(error) => error.fmt(f),
        }
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}
