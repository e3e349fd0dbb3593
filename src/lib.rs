//! My Little Image Sharer.

pub mod format;
#[cfg(test)]
pub(crate) mod fuzz;
pub mod image_id;
pub mod job;
pub mod queue;
pub mod server;
pub mod size;
pub mod store;
