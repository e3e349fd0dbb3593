//! What went wrong on our side, and what kind of thing it was.
//!
//! A client gets a 503 for all of these. The log says which it was, because an operator does something else about each.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The kind of a failure, by what an operator does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The service got more requests than it allows: wait, or ask for a higher limit.
    Throttled,
    /// The service or the system does not allow it: look at credentials, policies, permissions and settings.
    Refused,
    /// Something answers too slowly, or not at all.
    TimedOut,
    /// No working service could be reached: look at the network, the endpoint, or the service's status page.
    Unreachable,
    DiskFull,
    /// The local queue holds all that it can: the worker has to catch up.
    QueueFull,
    Other,
}

impl Cause {
    pub(crate) fn of_io(error: &io::Error) -> Cause {
        use io::ErrorKind::*;
        match error.kind() {
            StorageFull | QuotaExceeded => Cause::DiskFull,
            PermissionDenied | ReadOnlyFilesystem => Cause::Refused,
            TimedOut | WouldBlock => Cause::TimedOut,
            ConnectionRefused | ConnectionReset | ConnectionAborted | NotConnected | BrokenPipe
            | HostUnreachable | NetworkUnreachable | NetworkDown | UnexpectedEof => Cause::Unreachable,
            _ => Cause::Other,
        }
    }
}

/// The word for it in the log.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Throttled => "throttled",
            Cause::Refused => "refused",
            Cause::TimedOut => "timed_out",
            Cause::Unreachable => "unreachable",
            Cause::DiskFull => "disk_full",
            Cause::QueueFull => "queue_full",
            Cause::Other => "other",
        })
    }
}

/// Something that failed: of what kind it is, what it was about, and the error that caused it, if there is one. Its text
/// includes that of its source, since it goes into one line of the log.
#[derive(Clone, Debug)]
pub struct Failure {
    pub cause: Cause,
    text: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(cause: Cause, text: impl Into<String>) -> Failure {
        Failure { cause, text: text.into(), source: None }
    }

    /// `text` says all, the source's text included.
    pub(crate) fn caused_by(
        cause: Cause,
        text: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Failure {
        Failure { cause, text: text.into(), source: Some(Arc::new(source)) }
    }

    /// An error of the system; `about` is put before its text.
    pub(crate) fn of_io(about: impl fmt::Display, error: io::Error) -> Failure {
        Failure::caused_by(Cause::of_io(&error), format!("{about}: {error}"), error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_it_was_about_and_why() {
        let full = Failure::of_io("put 1.jpg", io::ErrorKind::StorageFull.into());
        assert_eq!(full.cause, Cause::DiskFull);
        assert_eq!(full.to_string(), "put 1.jpg: no storage space");
        let source = full.source().expect("the system's error");
        assert!(source.is::<io::Error>(), "{source:?}");
    }

    #[test]
    fn causes_of_the_system() {
        for (kind, cause) in [
            (io::ErrorKind::StorageFull, "disk_full"),
            (io::ErrorKind::PermissionDenied, "refused"),
            (io::ErrorKind::TimedOut, "timed_out"),
            (io::ErrorKind::ConnectionRefused, "unreachable"),
            (io::ErrorKind::InvalidData, "other"),
        ] {
            assert_eq!(Cause::of_io(&kind.into()).to_string(), cause);
        }
    }
}
