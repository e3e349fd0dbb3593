//! My Little Image Sharer: people POST an image with curl and get four URLs.

pub mod aws;
pub mod check;
pub mod config;
pub mod counter;
pub mod dates;
pub mod env;
pub mod format;
#[cfg(test)]
mod fuzz;
pub mod image_id;
pub mod job;
pub mod local;
pub mod log;
pub mod queue;
pub mod server;
pub mod shutdown;
pub mod size;
pub mod store;
pub mod thumbnail;
pub mod worker;
