#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod channel;
mod cursor;
mod decode;
mod error;
mod frame;
mod huffman;
mod idct;
mod layout;
mod metadata;
mod progressive;
mod scan;
mod standard;
mod structure;
mod tables;

pub use decode::{Decoded, Plane};
pub use error::{Damage, Error, Feature};
pub use frame::Component;
pub use layout::{Region, Request};
pub use structure::{ColorModel, MAX_SCANS, Structure, read_structure};
