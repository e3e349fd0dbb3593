//! A job: the one message that `server` sends and `worker` receives, "make the thumbnails of this image".
//!
//! It is JSON so that a person can read it in a console, and carries its version so that a worker of the next release can
//! tell an old message from a new one while both are running. It holds no picture and no secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::domain::failure::{Cause, Failure};
use crate::domain::format::{Format, ThumbnailFormat};
use crate::domain::image_id::ImageId;
use crate::domain::key::{Key, Kind};

/// The version that this program writes, and the only one that it reads.
const JOB_VERSION: u64 = 1;

/// Make the three thumbnails of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The key of the original; always [`Kind::Original`].
    pub original: Key,
    /// The format of the thumbnails, which the client's URLs already have.
    pub thumbnails: ThumbnailFormat,
    /// When the upload was accepted, to the millisecond: what the wait in the queue is measured from.
    pub uploaded_at: SystemTime,
}

impl Job {
    pub fn id(&self) -> ImageId {
        self.original.id
    }

    /// The message body, such as
    /// `{"version":1,"id":"…","original":"…/original.jpg","thumbnails":"jpg","uploaded_at_ms":1764000000000}`.
    pub fn to_json(&self) -> String {
        let since_epoch = self.uploaded_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let body = json!({
            "version": JOB_VERSION,
            "id": self.id().to_string(),
            "original": self.original.to_string(),
            "thumbnails": Format::from(self.thumbnails).extension(),
            "uploaded_at_ms": since_epoch.as_millis() as u64,
        });
        body.to_string()
    }

    /// Reads a message body.
    pub fn from_json(text: &str) -> Result<Job, Failure> {
        let body: Value = serde_json::from_str(text).map_err(|error| {
            Failure::caused_by(Cause::Other, format!("unreadable job: not JSON: {error}"), error)
        })?;
        if body["version"].as_u64() != Some(JOB_VERSION) {
            let found = shown(&body["version"]);
            return Err(unreadable(format!("version {found}, but this worker reads only {JOB_VERSION}")));
        }
        let original = field(&body, "original", |value| {
            value.as_str()?.parse().ok().filter(|key: &Key| key.kind == Kind::Original)
        })?;
        field(&body, "id", |value| (value.as_str()? == original.id.to_string()).then_some(()))?;
        let thumbnails = field(&body, "thumbnails", |value| {
            let extension = value.as_str()?;
            ThumbnailFormat::ALL.into_iter().find(|format| Format::from(*format).extension() == extension)
        })?;
        let uploaded_at = field(&body, "uploaded_at_ms", |value| {
            UNIX_EPOCH.checked_add(Duration::from_millis(value.as_u64()?))
        })?;
        Ok(Job { original, thumbnails, uploaded_at })
    }
}

/// What `read` makes of a field's value. An error if that is nothing.
fn field<T>(body: &Value, name: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T, Failure> {
    read(&body[name]).ok_or_else(|| unreadable(format!("{name} is {}", shown(&body[name]))))
}

fn unreadable(why: String) -> Failure {
    Failure::new(Cause::Other, format!("unreadable job: {why}"))
}

/// How much of a wrong value is kept, in characters. A message may have 1 MiB, and the value is logged at each receive.
const MAX_SHOWN_CHARS: usize = 100;

fn shown(value: &Value) -> String {
    value.to_string().chars().take(MAX_SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            original: Key::original("0123456789abcdef0123456789abcdef".parse().unwrap(), Format::Png),
            thumbnails: ThumbnailFormat::Png,
            uploaded_at: UNIX_EPOCH + Duration::from_millis(1_764_000_000_123),
        }
    }

    #[test]
    fn json_and_back() {
        assert_eq!(Job::from_json(&job().to_json()).unwrap(), job());
    }

    #[test]
    fn every_field_is_checked() {
        let good = job().to_json();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1", "\"version\":\"1\""),
            ("original.png", "small.png"),
            ("original.png", "../../passwd"),
            ("\"id\":\"0", "\"id\":\"1"),
            ("\"thumbnails\":\"png\"", "\"thumbnails\":\"gif\""),
            ("1764000000123", "-1"),
            ("1764000000123", "\"now\""),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good, "{from} is not in {good}");
            assert!(Job::from_json(&bad).is_err(), "{bad}");
        }
        let long = good.replace("\"version\":1", &format!("\"version\":\"{}\"", "1".repeat(200_000)));
        assert!(Job::from_json(&long).unwrap_err().to_string().len() < 300, "it goes to the log");
        for bad in ["", "{}", "[]", "null", "{", "\u{0}"] {
            assert!(Job::from_json(bad).is_err(), "{bad:?}");
        }
    }
}
