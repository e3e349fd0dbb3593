//! Why something failed, and of what kind it is.
//!
//! Two types: an [`Error`] is one thing that went wrong, and an [`AwsError`] is a call that failed, after its retries. Both tell
//! their [`ErrorKind`], because a caller or an operator does something else about each kind.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::answer::ErrorAnswer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The service got more requests than it allows: wait, or ask for a higher limit.
    Throttled,
    /// The service or the system does not allow it, or a setting is wrong: look at credentials, policies and settings.
    Refused,
    /// Something answers too slowly, or not at all.
    TimedOut,
    /// No working service could be reached: look at the network, the endpoint, or the service's status page.
    Unreachable,
    Other,
}

impl ErrorKind {
    pub(crate) fn of_io(error: &io::Error) -> ErrorKind {
        use io::ErrorKind::*;
        match error.kind() {
            PermissionDenied | ReadOnlyFilesystem => ErrorKind::Refused,
            TimedOut | WouldBlock => ErrorKind::TimedOut,
            ConnectionRefused | ConnectionReset | ConnectionAborted | NotConnected | BrokenPipe
            | HostUnreachable | NetworkUnreachable | NetworkDown | UnexpectedEof => ErrorKind::Unreachable,
            _ => ErrorKind::Other,
        }
    }

    pub(crate) fn of_ureq(error: &ureq::Error) -> ErrorKind {
        match error {
            ureq::Error::Timeout(_) => ErrorKind::TimedOut,
            ureq::Error::Io(error) => ErrorKind::of_io(error),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => ErrorKind::Unreachable,
            _ => ErrorKind::Other,
        }
    }
}

/// Something that went wrong: of what kind it is, what it was about, and the error that caused it, if there is one. Its text
/// includes that of its source.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    text: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Error {
        Error { kind, text: text.into(), source: None }
    }

    /// `text` says all, the source's text included.
    pub(crate) fn caused_by(
        kind: ErrorKind,
        text: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error { kind, text: text.into(), source: Some(Arc::new(source)) }
    }

    /// An error of the system; `about` is put before its text.
    pub(crate) fn of_io(about: impl fmt::Display, error: io::Error) -> Error {
        Error::caused_by(ErrorKind::of_io(&error), format!("{about}: {error}"), error)
    }

    /// Of a request that got no answer.
    pub(crate) fn of_ureq(error: ureq::Error) -> Error {
        Error::caused_by(ErrorKind::of_ureq(&error), error.to_string(), error)
    }

    /// The same error with `about` before its text.
    pub(crate) fn about(self, about: impl fmt::Display) -> Error {
        Error::caused_by(self.kind, format!("{about}: {self}"), self)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub enum AttemptError {
    /// The service refused, or could not.
    Answered(Box<ErrorAnswer>),
    /// No whole answer came: the connection failed or was cut, or the time was up. The service may have done it all the same.
    Lost(Error),
    /// The answer was longer than the caller is ready to take.
    TooLarge {
        /// What the caller is ready to take.
        max_bytes: usize,
    },
    /// There are no credentials, or the request is none that can be sent. Nothing was sent.
    NotSent(Error),
}

/// A call to AWS that failed, after the retries that it deserved.
#[derive(Debug)]
pub struct AwsError {
    /// AWS's name of the service and the operation, such as `S3 PutObject`.
    pub operation: &'static str,
    /// `bucket/key`, or the queue's URL.
    pub target: String,
    /// Why the last attempt failed.
    pub last: AttemptError,
    /// How many attempts were made; 0 if nothing was sent.
    pub attempts: u32,
}

impl AwsError {
    /// The HTTP status of the answer, if one came.
    pub fn status(&self) -> Option<u16> {
        match &self.last {
            AttemptError::Answered(answer) => Some(answer.status),
            _ => None,
        }
    }

    pub fn kind(&self) -> ErrorKind {
        match &self.last {
            AttemptError::Answered(answer) => answer.kind(),
            AttemptError::Lost(error) | AttemptError::NotSent(error) => error.kind,
            AttemptError::TooLarge { .. } => ErrorKind::Other,
        }
    }

    /// Whether the service may have done what was asked all the same: some attempt got no answer, or one that leaves it open.
    pub fn may_have_been_done(&self) -> bool {
        match &self.last {
            AttemptError::NotSent(_) => self.attempts > 0,
            AttemptError::Answered(answer) => self.attempts > 1 || answer.status >= 500,
            AttemptError::Lost(_) | AttemptError::TooLarge { .. } => true,
        }
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.operation, self.target)?;
        match &self.last {
            AttemptError::Answered(answer) => write!(f, "{answer}")?,
            AttemptError::Lost(error) => write!(f, "no answer: {error}")?,
            AttemptError::TooLarge { max_bytes } => write!(f, "the answer has over {max_bytes} bytes")?,
            AttemptError::NotSent(error) => write!(f, "{error}")?,
        }
        match self.attempts {
            0 | 1 => Ok(()),
            attempts => write!(f, " ({attempts} attempts)"),
        }
    }
}

impl std::error::Error for AwsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.last {
            AttemptError::Lost(error) | AttemptError::NotSent(error) => Some(error),
            AttemptError::Answered(_) | AttemptError::TooLarge { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_says_what_it_was_about_and_why() {
        let denied = Error::of_io("read keys", io::ErrorKind::PermissionDenied.into());
        let whole = denied.about("no credentials");
        assert_eq!(whole.kind, ErrorKind::Refused);
        assert_eq!(whole.to_string(), "no credentials: read keys: permission denied");
        let innermost = whole.source().and_then(std::error::Error::source).expect("the system's error");
        assert!(innermost.is::<io::Error>(), "{innermost:?}");
    }

    #[test]
    fn kinds_of_the_system() {
        for (of_system, kind) in [
            (io::ErrorKind::PermissionDenied, ErrorKind::Refused),
            (io::ErrorKind::TimedOut, ErrorKind::TimedOut),
            (io::ErrorKind::ConnectionRefused, ErrorKind::Unreachable),
            (io::ErrorKind::InvalidData, ErrorKind::Other),
        ] {
            assert_eq!(ErrorKind::of_io(&of_system.into()), kind);
        }
    }
}
