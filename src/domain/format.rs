//! The image formats of `pictures`, and how large an image may be.

pub use pictures::{Format, ThumbnailFormat};

/// The most bytes that an original may have: exactly 1 MiB is accepted.
pub const MAX_IMAGE_BYTES: usize = 1024 * 1024;
