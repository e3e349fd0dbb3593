//! Where objects are kept, by key: S3, or a directory.
//!
//! The trait is as narrow as the pipeline: nothing appends or overwrites something else's object, and only
//! [`reconcile`](crate::reconcile) lists. A key is a typed value and not a string, so that nothing a client sends can name an
//! object, or a path, that we did not make.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use crate::domain::failure::{Cause, Failure};
use crate::domain::format::{Format, ThumbnailFormat};
use crate::domain::image_id::ImageId;
use crate::domain::size::Size;

/// What every object is served with. It is never rewritten with other bytes, so viewers and CloudFront may keep it for a year,
/// the longest there is.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// Which of an image's four objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The bytes as they were uploaded.
    Original,
    /// One of the three that the worker makes.
    Thumbnail(Size),
}

/// The key of an object, and with `PUBLIC_URL` before it also its URL: `{id}/{original|small|medium|large}.{ext}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The image that the object belongs to.
    pub id: ImageId,
    /// Which of its objects.
    pub kind: Kind,
    /// What the object's bytes are; it settles the extension and the Content-Type.
    pub format: Format,
}

impl Key {
    /// The key of an image's original.
    pub fn original(id: ImageId, format: Format) -> Key {
        Key { id, kind: Kind::Original, format }
    }

    /// The key of one of an image's thumbnails.
    pub fn thumbnail(id: ImageId, size: Size, format: ThumbnailFormat) -> Key {
        Key { id, kind: Kind::Thumbnail(size), format: format.into() }
    }

    /// The part of the key after the id, such as `small.jpg`.
    pub fn file_name(&self) -> String {
        let stem = match self.kind {
            Kind::Original => "original",
            Kind::Thumbnail(size) => size.name(),
        };
        format!("{stem}.{}", self.format.extension())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.file_name())
    }
}

impl FromStr for Key {
    type Err = ();

    /// Takes exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Key, ()> {
        let (id, file) = text.split_once('/').ok_or(())?;
        let (stem, extension) = file.split_once('.').ok_or(())?;
        let kind = if stem == "original" { Kind::Original } else { Kind::Thumbnail(stem.parse()?) };
        Ok(Key { id: id.parse().map_err(drop)?, kind, format: Format::from_extension(extension).ok_or(())? })
    }
}

/// An object, as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// When it was stored, to the second at least.
    pub modified: SystemTime,
}

/// A listing, page by page; each is fetched when it is asked for. After an error there are no more.
pub type Listing = Box<dyn Iterator<Item = Result<Vec<Listed>, StoreError>> + Send>;

/// Objects by key. One value is shared by all threads.
pub trait Store: Send + Sync {
    /// Stores a new object, which must not exist: [`StoreError::Exists`] if it does. A store that cannot promise that
    /// may overwrite; nothing depends on it but the once-in-a-universe meeting of two ids.
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Stores an object whether or not it exists. A job may run twice, and then writes the same bytes again.
    fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// The whole object, of at most `max_bytes`.
    fn get(&self, key: &Key, max_bytes: usize) -> Result<Vec<u8>, StoreError>;

    /// Whether the object is there.
    fn exists(&self, key: &Key) -> Result<bool, StoreError>;

    /// Takes the object away; one that is not there is no error.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// All objects in the order of their keys' text, so that those of one image are neighbours; with `after`, only those of
    /// images after this one. A page has at most `page` (1 to 1000) objects, and may have none without being the last: what is
    /// in the store under a key that is not one of ours is left out. Which images there are may be settled now or later,
    /// but a store in a directory settles it now.
    fn list(&self, after: Option<ImageId>, page: usize) -> Result<Listing, StoreError>;

    /// Proves that the store can be reached with the credentials there are.
    fn check(&self) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug)]
pub enum StoreError {
    /// No object has this key.
    NotFound(Key),
    /// `create` found an object of this key.
    Exists(Key),
    /// `get` found an object over its limit.
    TooLarge {
        /// The object.
        key: Key,
        /// What `get` was ready to take.
        max_bytes: usize,
    },
    /// Anything else, after the retries that it deserved: the network, the disk, a refusal. Its text says all that is known,
    /// such as the key and the service's own code and request id. It is for the log, never for a client.
    Failed(Failure),
}

impl StoreError {
    pub fn cause(&self) -> Cause {
        match self {
            StoreError::Failed(failure) => failure.cause,
            StoreError::NotFound(_) | StoreError::Exists(_) | StoreError::TooLarge { .. } => Cause::Other,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NotFound(key) => write!(f, "{key}: no such object"),
            StoreError::Exists(key) => write!(f, "{key}: the object exists already"),
            StoreError::TooLarge { key, max_bytes } => {
                write!(f, "{key}: the object has over {max_bytes} bytes")
            }
            StoreError::Failed(failure) => failure.fmt(f),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StoreError::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_their_text() {
        let id: ImageId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let original = Key::original(id, Format::WebP);
        assert_eq!(original.to_string(), "0123456789abcdef0123456789abcdef/original.webp");
        let small = Key::thumbnail(id, Size::Small, ThumbnailFormat::Jpeg);
        assert_eq!(small.to_string(), "0123456789abcdef0123456789abcdef/small.jpg");
        for key in [original, small] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn nothing_else_is_a_key() {
        let id = "0123456789abcdef0123456789abcdef";
        let bad = [
            "",
            "/",
            "../etc/passwd",
            "x/small.jpg",
            &format!("{id}/"),
            &format!("{id}/small"),
            &format!("{id}/huge.jpg"),
        ];
        let also_bad = [
            format!("{id}/small.jpeg"),
            format!("{id}/small.jpg/"),
            format!("{id}/../small.jpg"),
            format!("/{id}/small.jpg"),
        ];
        for text in bad.into_iter().chain(also_bad.iter().map(String::as_str)) {
            assert_eq!(text.parse::<Key>(), Err(()), "{text:?}");
        }
    }
}
