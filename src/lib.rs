//! My Little Image Sharer.

pub mod aws;
pub mod format;
pub mod image_id;
pub mod job;
pub mod log;
pub mod queue;
pub mod size;
pub mod store;
