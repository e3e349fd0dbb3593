//! Whether a failed call is made again, and when.
//!
//! Pure, so that the whole table can be read and tested in one place. Every call may be done twice: objects are written whole,
//! and a message may be sent twice. So a call whose answer was lost is always made again.

use std::time::Duration;

use crate::answer::ErrorAnswer;
use crate::error::AttemptError;

/// The most attempts of one call. With the delays below the fifth comes after a second or two. By then a service that sheds
/// load has recovered, or it is down for longer than a client will wait.
pub const MAX_ATTEMPTS: u32 = 5;

/// The shortest delay before a retry: what a load balancer takes to notice that a host is gone.
pub(crate) const MIN_DELAY: Duration = Duration::from_millis(100);

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make the call again, after a delay.
    Retry,
    /// Set the clock by the answer's `Date` and make the call again.
    CorrectClock,
    /// Fetch new credentials and make the call again.
    RefreshCredentials,
    /// Return the error.
    GiveUp,
}

/// What has been tried already. The clock is corrected once, and credentials are refreshed once: if that does not help, they
/// are wrong for another reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    /// Attempts, the failed one included.
    pub attempts: u32,
    /// The clock has been corrected.
    pub clock: bool,
    /// The credentials have been refreshed.
    pub credentials: bool,
}

/// The retry table of both services: S3 API Reference, "Error responses"; SQS API Reference, "Common Errors"; and the SDKs
/// Reference Guide, "Retry behavior".
pub(crate) fn decide(failure: &AttemptError, tried: Tried) -> Decision {
    if tried.attempts >= MAX_ATTEMPTS {
        return Decision::GiveUp;
    }
    let answer = match failure {
        AttemptError::Lost(_) => return Decision::Retry,
        AttemptError::TooLarge { .. } | AttemptError::NotSent(_) => return Decision::GiveUp,
        AttemptError::Answered(answer) => answer,
    };
    if blames_the_clock(answer) {
        let curable = !tried.clock && answer.date.is_some();
        return if curable { Decision::CorrectClock } else { Decision::GiveUp };
    }
    if matches!(answer.code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") {
        return if tried.credentials { Decision::GiveUp } else { Decision::RefreshCredentials };
    }
    if is_passing(answer) { Decision::Retry } else { Decision::GiveUp }
}

/// S3 has a code for it. SQS says "Signature expired: … is now earlier than …" or "Signature not yet current: …" under a
/// code that a wrong secret also gets.
fn blames_the_clock(answer: &ErrorAnswer) -> bool {
    match answer.code.as_str() {
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => true,
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            answer.message.starts_with("Signature expired")
                || answer.message.starts_with("Signature not yet current")
        }
        _ => false,
    }
}

/// Whether it will go away by itself.
fn is_passing(answer: &ErrorAnswer) -> bool {
    let is_code = matches!(
        answer.code.as_str(),
        "RequestTimeout"
            | "InternalError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ConditionalRequestConflict"
    );
    is_code || answer.is_throttling() || matches!(answer.status, 408 | 500..=599)
}

/// The next delay by decorrelated jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): anything between the
/// shortest delay and three times the last one, so that clients that failed together do not come back together. `random` is
/// from 0 up to 1, `previous` is zero the first time. The four delays of a call add up to one or two seconds, 8.1 s at most. A
/// delay that leaves no time for another attempt ends the call.
pub(crate) fn next_delay(previous: Duration, random: f64) -> Duration {
    let longest = (previous * 3).max(MIN_DELAY * 3);
    MIN_DELAY + (longest - MIN_DELAY).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use crate::error::{Error, ErrorKind};

    use super::*;

    fn answered(status: u16, code: &str, message: &str) -> AttemptError {
        let (code, message) = (code.to_string(), message.to_string());
        let date = Some(SystemTime::UNIX_EPOCH);
        AttemptError::Answered(Box::new(ErrorAnswer {
            status,
            code,
            message,
            date,
            ..ErrorAnswer::default()
        }))
    }

    #[test]
    fn the_table() {
        use Decision::{CorrectClock, GiveUp, RefreshCredentials, Retry};
        for (status, code, message, expected) in [
            (500, "InternalError", "", Retry),
            (500, "", "", Retry),
            (502, "", "", Retry),
            (503, "SlowDown", "", Retry),
            (504, "", "", Retry),
            (429, "", "", Retry),
            (408, "", "", Retry),
            (200, "SlowDown", "", Retry),
            (200, "InternalError", "", Retry),
            (400, "RequestTimeout", "", Retry),
            (400, "ThrottlingException", "", Retry),
            (400, "RequestThrottled", "", Retry),
            (403, "RequestThrottled", "", Retry),
            (409, "ConditionalRequestConflict", "", Retry),
            (409, "BucketNotEmpty", "", GiveUp),
            (412, "PreconditionFailed", "", GiveUp),
            (400, "InvalidParameterValue", "", GiveUp),
            (403, "AccessDenied", "", GiveUp),
            (403, "", "", GiveUp),
            (404, "NoSuchKey", "", GiveUp),
            (301, "PermanentRedirect", "", GiveUp),
            (403, "RequestTimeTooSkewed", "", CorrectClock),
            (403, "SignatureDoesNotMatch", "The request signature we calculated", GiveUp),
            (403, "InvalidSignatureException", "Signature expired: 2026 is now earlier than", CorrectClock),
            (403, "SignatureDoesNotMatch", "Signature not yet current: 2027 is still", CorrectClock),
            (403, "InvalidSignatureException", "The request signature we calculated", GiveUp),
            (400, "ExpiredToken", "", RefreshCredentials),
            (403, "ExpiredTokenException", "", RefreshCredentials),
            (403, "InvalidToken", "", GiveUp),
        ] {
            let failure = answered(status, code, message);
            let tried = Tried { attempts: 1, ..Tried::default() };
            assert_eq!(decide(&failure, tried), expected, "{status} {code} {message}");
            let exhausted = Tried { attempts: MAX_ATTEMPTS, ..tried };
            assert_eq!(decide(&failure, exhausted), GiveUp, "{status} {code} after {MAX_ATTEMPTS}");
        }
    }

    #[test]
    fn what_got_no_answer() {
        let tried = Tried { attempts: 1, ..Tried::default() };
        assert_eq!(
            decide(&AttemptError::Lost(Error::new(ErrorKind::Unreachable, "reset")), tried),
            Decision::Retry
        );
        assert_eq!(decide(&AttemptError::TooLarge { max_bytes: 1 }, tried), Decision::GiveUp);
        assert_eq!(
            decide(&AttemptError::NotSent(Error::new(ErrorKind::Refused, "no credentials")), tried),
            Decision::GiveUp
        );
        let last = Tried { attempts: MAX_ATTEMPTS, ..tried };
        assert_eq!(
            decide(&AttemptError::Lost(Error::new(ErrorKind::Unreachable, "reset")), last),
            Decision::GiveUp
        );
    }

    #[test]
    fn clock_and_credentials_are_put_right_once() {
        let clock = Tried { attempts: 2, clock: true, credentials: false };
        assert_eq!(decide(&answered(403, "RequestTimeTooSkewed", ""), clock), Decision::GiveUp);
        assert_eq!(decide(&answered(400, "ExpiredToken", ""), clock), Decision::RefreshCredentials);
        let credentials = Tried { attempts: 2, clock: false, credentials: true };
        assert_eq!(decide(&answered(400, "ExpiredToken", ""), credentials), Decision::GiveUp);
        assert_eq!(decide(&answered(403, "RequestTimeTooSkewed", ""), credentials), Decision::CorrectClock);
    }

    #[test]
    fn delays_grow_within_bounds() {
        assert_eq!(next_delay(Duration::ZERO, 0.0), MIN_DELAY);
        assert_eq!(next_delay(Duration::ZERO, 1.0), MIN_DELAY * 3);
        assert_eq!(next_delay(Duration::from_secs(1), 0.0), MIN_DELAY);
        assert_eq!(next_delay(Duration::from_secs(1), 1.0), Duration::from_secs(3));
        let longest = (1..MAX_ATTEMPTS).fold(Duration::ZERO, |delay, _| next_delay(delay, 1.0));
        assert_eq!(longest, MIN_DELAY * 81);
    }
}
