//! The three sizes of thumbnail that every image gets.

pub use pictures::Size;
