//! Where the access keys come from, and how they are kept fresh.
//!
//! They are looked for in the same places and in the same order as by every AWS SDK, so what works for the aws CLI works here:
//! environment variables, the shared files, the container endpoint, the instance metadata. Keys from the last two live for hours
//! at most. They are fetched again before they expire, by one thread, while the others use the old ones. When fetching fails the
//! old ones serve until they expire, so a short failure of the metadata service goes unnoticed.

use std::fmt;
use std::time::{Duration, SystemTime};

mod cache;
mod container;
mod environment;
pub mod imds;
pub(crate) mod profile;

pub(crate) use cache::CredentialCache;
pub use cache::REFRESH_EARLY;

use crate::env::Env;
use crate::error::{Error, ErrorKind};

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Public: it says whose key it is.
    pub access_key_id: String,
    /// Never sent and never shown. Requests are signed with it.
    pub secret_access_key: String,
    /// Sent along with temporary credentials.
    pub session_token: Option<String>,
    /// When they stop working; `None` for long-lived ones.
    pub expires: Option<SystemTime>,
}

impl Credentials {
    /// A long-lived key.
    pub fn of_key(access_key_id: &str, secret_access_key: &str) -> Credentials {
        Credentials {
            access_key_id: access_key_id.to_string(),
            secret_access_key: secret_access_key.to_string(),
            session_token: None,
            expires: None,
        }
    }

    fn works_for(&self, time: Duration, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now + time < expires)
    }
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why a place gave no credentials.
#[derive(Clone, Debug)]
pub enum Unavailable {
    /// No setting points to this place. The next place is tried. The text says what is missing.
    Absent(Error),
    /// A setting points to this place, but it does not work. The next place is not tried: its credentials could be those of
    /// somebody else.
    Broken(Error),
}

impl Unavailable {
    /// For callers to whom the difference does not matter.
    pub fn into_reason(self) -> Error {
        match self {
            Unavailable::Absent(reason) | Unavailable::Broken(reason) => reason,
        }
    }

    fn absent(text: impl Into<String>) -> Unavailable {
        Unavailable::Absent(Error::new(ErrorKind::Refused, text))
    }

    fn broken(text: impl Into<String>) -> Unavailable {
        Unavailable::Broken(Error::new(ErrorKind::Refused, text))
    }
}

/// Looks in all the places.
pub fn find(env: &Env) -> Result<Credentials, Error> {
    type Place = fn(&Env) -> Result<Credentials, Unavailable>;
    let places: [Place; 5] = [
        environment::credentials,
        profile::credentials,
        environment::refuse_web_identity,
        container::credentials,
        imds::credentials,
    ];
    let mut absent = Vec::new();
    for place in places {
        match place(env) {
            Ok(credentials) => return Ok(credentials),
            Err(Unavailable::Absent(reason)) => absent.push(reason.to_string()),
            Err(Unavailable::Broken(reason)) => return Err(reason.about("no AWS credentials")),
        }
    }
    let text = format!(
        "no AWS credentials: {}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the instance or container a role",
        absent.join("; ")
    );
    Err(Error::new(ErrorKind::Refused, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut credentials = Credentials::of_key("AKIDEXAMPLE", "hush");
        credentials.session_token = Some("hush too".to_string());
        let shown = format!("{credentials:?}");
        assert!(shown.contains("AKIDEXAMPLE") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn the_environment_comes_first_and_whole() {
        let env: Env =
            [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SESSION_TOKEN", "C")]
                .into_iter()
                .collect();
        let found = find(&env).unwrap();
        assert_eq!((found.access_key_id.as_str(), found.session_token.as_deref()), ("A", Some("C")));
        for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = find(&[(half, "A")].into_iter().collect()).unwrap_err().to_string();
            assert!(
                error.contains("AWS_ACCESS_KEY_ID") && error.contains("AWS_SECRET_ACCESS_KEY"),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_found_says_what_was_tried() {
        let env: Env =
            [("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")].into_iter().collect();
        let error = find(&env).unwrap_err().to_string();
        for tried in [
            "AWS_ACCESS_KEY_ID is not set",
            "/nonexistent/.aws/credentials",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_EC2_METADATA_DISABLED",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(error.contains(tried), "{tried} is not in: {error}");
        }
    }

    #[test]
    fn a_place_that_is_pointed_to_must_work() {
        let home = ("HOME", "/nonexistent");
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        for wrong in [
            ("AWS_PROFILE", "nobody"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"),
        ] {
            let error = find(&[wrong, home].into_iter().collect()).unwrap_err().to_string();
            assert!(error.contains(wrong.0) || error.contains(wrong.1), "{error}");
            assert!(find(&keys.into_iter().chain([wrong, home]).collect()).is_ok());
        }
    }
}
