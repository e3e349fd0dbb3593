//! What a picture is, for both halves of the service: [`inspect`] reads the structure and decodes no pixels, [`make`] decodes
//! and makes thumbnails.

mod broken;
mod colour;
mod cursor;
mod decode;
mod encode;
mod error;
mod format;
mod inspect;
mod picture;
mod scale;
mod size;
mod thumbnails;
mod webp;

#[cfg(test)]
mod tests;

pub use broken::broken;
pub use error::{InspectError, Undecodable};
pub use format::{Format, ThumbnailFormat};
pub use inspect::{Inspected, MAX_SIDE, inspect, thumbnail_format};
pub use picture::Fit;
pub use size::Size;
pub use thumbnails::{Thumbnails, cost, make};
