//! My Little Image Sharer.

pub mod format;
pub mod image_id;
pub mod job;
pub mod queue;
pub mod size;
pub mod store;
pub mod thumbnail;
