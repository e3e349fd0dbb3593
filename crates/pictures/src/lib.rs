//! What a picture is, for both halves of the service: [`inspect`] reads the structure and decodes no pixels, [`make`] decodes
//! and makes thumbnails.

mod format;
mod inspect;
mod jpeg;
mod size;
mod thumbnails;

pub use format::{Format, ThumbnailFormat};
pub use inspect::{InspectError, Inspected, inspect, thumbnail_format};
pub use size::Size;
pub use thumbnails::{Fit, MAX_SIDE, Thumbnails, Undecodable, broken, cost, make};
