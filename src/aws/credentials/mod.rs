//! Where the access keys come from, and how they are kept fresh.
//!
//! The places are those of every AWS SDK, in the same order, so that what works for the aws CLI works here: environment
//! variables, the shared files, the container endpoint, the instance metadata. Keys from the last two live for hours at
//! most. They are fetched again before they expire, by one thread while the others go on with the old ones; and when
//! fetching fails the old ones serve until they have really expired, so a hiccup of the metadata service goes unnoticed.

use std::fmt;
use std::time::{Duration, SystemTime};

mod cache;
mod container;
pub mod imds;
pub(super) mod profile;

pub(super) use cache::CredentialCache;

use crate::domain::failure::{Cause, Failure};
use crate::support::env::Env;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Public: it says whose key it is.
    pub access_key_id: String,
    /// Never sent, never shown; requests are signed with it.
    pub secret_access_key: String,
    /// Sent along with temporary credentials.
    pub session_token: Option<String>,
    /// When they cease to work; none for long-lived ones.
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

/// Without what is secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why one of the places gave no credentials.
#[derive(Clone, Debug)]
pub enum Unavailable {
    /// Nothing points to this place; the next one is tried. The text says what is missing.
    Absent(Failure),
    /// Something points to this place, but it does not work. That is an error, because to go on with whatever another place
    /// holds would be to act as somebody else.
    Broken(Failure),
}

impl Unavailable {
    /// Where the difference does not matter.
    pub fn into_reason(self) -> Failure {
        match self {
            Unavailable::Absent(reason) | Unavailable::Broken(reason) => reason,
        }
    }

    fn absent(text: impl Into<String>) -> Unavailable {
        Unavailable::Absent(Failure::new(Cause::Refused, text))
    }

    fn broken(text: impl Into<String>) -> Unavailable {
        Unavailable::Broken(Failure::new(Cause::Refused, text))
    }
}

/// Looks in all the places.
pub fn find(env: &Env) -> Result<Credentials, Failure> {
    type Place = fn(&Env) -> Result<Credentials, Unavailable>;
    let places: [Place; 5] = [
        from_environment,
        profile::credentials,
        from_web_identity,
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
    Err(Failure::new(Cause::Refused, text))
}

fn from_environment(env: &Env) -> Result<Credentials, Unavailable> {
    match (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let mut credentials = Credentials::of_key(id, secret);
            credentials.session_token = env.get("AWS_SESSION_TOKEN").map(str::to_string);
            Ok(credentials)
        }
        (None, None) => Err(Unavailable::absent("AWS_ACCESS_KEY_ID is not set")),
        (Some(_), None) => Err(Unavailable::broken(
            "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or neither",
        )),
        (None, Some(_)) => Err(Unavailable::broken(
            "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not; set both or neither",
        )),
    }
}

/// A token to be exchanged for keys, as EKS mounts it for a service account with a role. The exchange is not made here, and
/// going on would mean to act as the node.
fn from_web_identity(env: &Env) -> Result<Credentials, Unavailable> {
    match env.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
        None => Err(Unavailable::absent("AWS_WEB_IDENTITY_TOKEN_FILE is not set")),
        Some(path) => Err(Unavailable::broken(format!(
            "AWS_WEB_IDENTITY_TOKEN_FILE is {path}, but roles of service accounts are not supported here; use EKS Pod \
             Identity, which sets AWS_CONTAINER_CREDENTIALS_FULL_URI, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))),
    }
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
