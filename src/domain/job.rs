//! A job: the one message that `server` sends and `worker` receives, "make the thumbnails of this image".
//!
//! It is JSON so that a person can read it in a console, and carries its version so that a worker of the next release can
//! tell an old message from a new one while both are running. It holds no picture and no secret.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::domain::format::ThumbnailFormat;
use crate::domain::image_id::ImageId;
use crate::domain::key::{Key, Kind};

/// The version that this program writes, and the only one that it reads.
pub const JOB_VERSION: u64 = 1;

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
            "thumbnails": crate::domain::format::Format::from(self.thumbnails).extension(),
            "uploaded_at_ms": since_epoch.as_millis() as u64,
        });
        body.to_string()
    }

    /// Reads a message body.
    pub fn from_json(text: &str) -> Result<Job, JobError> {
        let body: Value = serde_json::from_str(text).map_err(JobError::NotJson)?;
        match body["version"].as_u64() {
            Some(JOB_VERSION) => {}
            _ => return Err(JobError::Version { found: shown(&body["version"]) }),
        }
        let original = body["original"].as_str().and_then(|text| text.parse::<Key>().ok());
        let original =
            original.filter(|key| key.kind == Kind::Original).ok_or_else(|| unreadable(&body, "original"))?;
        if body["id"].as_str() != Some(&original.id.to_string()) {
            return Err(unreadable(&body, "id"));
        }
        let thumbnails = match body["thumbnails"].as_str() {
            Some("jpg") => ThumbnailFormat::Jpeg,
            Some("png") => ThumbnailFormat::Png,
            _ => return Err(unreadable(&body, "thumbnails")),
        };
        let uploaded_at = body["uploaded_at_ms"].as_u64().map(Duration::from_millis);
        let uploaded_at = uploaded_at.and_then(|since_epoch| UNIX_EPOCH.checked_add(since_epoch));
        let uploaded_at = uploaded_at.ok_or_else(|| unreadable(&body, "uploaded_at_ms"))?;
        Ok(Job { original, thumbnails, uploaded_at })
    }
}

/// Why a message body is not a job that this program can read.
#[derive(Debug)]
pub enum JobError {
    NotJson(serde_json::Error),
    Version { found: String },
    Field { name: &'static str, value: String },
}

fn unreadable(body: &Value, name: &'static str) -> JobError {
    JobError::Field { name, value: shown(&body[name]) }
}

/// How much of a wrong value is kept, in characters. A message may have 1 MiB, and the value is logged at each receive.
const MAX_SHOWN_CHARS: usize = 100;

fn shown(value: &Value) -> String {
    value.to_string().chars().take(MAX_SHOWN_CHARS).collect()
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unreadable job: ")?;
        match self {
            JobError::NotJson(error) => write!(f, "not JSON: {error}"),
            JobError::Version { found } => {
                write!(f, "version {found}, but this worker reads only {JOB_VERSION}")
            }
            JobError::Field { name, value } => write!(f, "{name} is {value}"),
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            JobError::NotJson(error) => Some(error),
            JobError::Version { .. } | JobError::Field { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::format::Format;

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
