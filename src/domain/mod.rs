//! The domain: plain types, and two traits. An image id names an image, which has an original of some format and three
//! thumbnails, one of each size. Objects are kept by key in a store; each upload puts one job on a queue.
//!
//! Nothing here calls AWS, the network or the file system. Of the rest of this project it knows only the names of
//! `pictures`' formats.
//!
//! To read: image_id.rs, format.rs, size.rs and the key.rs that is made of them; store.rs; then job.rs and queue.rs. failure.rs
//! is what the store and the queue fail with.

pub mod failure;
pub mod format;
pub mod image_id;
pub mod job;
pub mod key;
pub mod queue;
pub mod size;
pub mod store;
