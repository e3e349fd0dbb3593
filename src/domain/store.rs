//! Where objects are kept, by key: S3, or a directory.
//!
//! The trait is as narrow as the pipeline: nothing appends or overwrites something else's object, and only
//! [`reconcile`](crate::reconcile) lists.

use std::time::SystemTime;

use thiserror::Error;

use crate::domain::failure::{Cause, Failure};
use crate::domain::image_id::ImageId;
use crate::domain::key::Key;

/// What every object is served with. It is never rewritten with other bytes, so viewers and CloudFront may keep it for a year,
/// the longest there is.
pub(crate) const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// An object, as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: Key,
    /// When it was stored, to the second at least.
    pub modified: SystemTime,
}

/// A listing, page by page; each is fetched when it is asked for. After an error there are no more.
pub type Listing = Box<dyn Iterator<Item = Result<Vec<Listed>, StoreError>> + Send>;

/// Objects by key. One value is shared by all threads.
pub trait Store: Send + Sync {
    /// Stores a new object. If the object exists: [`StoreError::Exists`]. A store that cannot tell may overwrite, since two
    /// images practically never get the same id.
    fn create(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Stores an object whether or not it exists. A job may run twice, and then writes the same bytes again.
    fn put(&self, key: &Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// The whole object, of at most `max_bytes`.
    fn get(&self, key: &Key, max_bytes: usize) -> Result<Vec<u8>, StoreError>;

    /// Whether the object is there.
    fn exists(&self, key: &Key) -> Result<bool, StoreError>;

    /// Deletes the object. One that is not there is no error.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// Lists all objects in the order of their keys' text, so that those of one image are neighbours. With `after`, lists only
    /// those of images after this one. A page has at most `page` (1 to 1000) objects. A page may be empty without being the
    /// last, because objects whose key is not one of ours are left out.
    ///
    /// S3 lists lazily. `LocalStore` reads the ids when `list` is called; `server --local` relies on that.
    fn list(&self, after: Option<ImageId>, page: usize) -> Result<Listing, StoreError>;
}

/// Why a store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("{0}: no such object")]
    NotFound(Key),
    /// `create` found an object of this key.
    #[error("{0}: the object exists already")]
    Exists(Key),
    /// `get` found an object over its limit.
    #[error("{key}: the object has over {max_bytes} bytes")]
    TooLarge { key: Key, max_bytes: usize },
    /// Anything else, after the retries that it deserved: the network, the disk, a refusal. Its text says all that is known,
    /// such as the key and the service's own code and request id. It is for the log, never for a client.
    #[error("{0}")]
    Failed(#[source] Failure),
}

impl StoreError {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            StoreError::Failed(failure) => failure.cause,
            StoreError::NotFound(_) | StoreError::Exists(_) | StoreError::TooLarge { .. } => Cause::Other,
        }
    }
}
