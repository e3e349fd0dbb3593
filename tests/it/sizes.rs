//! Pictures of a given number of bytes, for the limits.

use crate::pictures::jpeg;

/// A JPEG of exactly this many bytes: what follows its end is ignored by everyone.
pub(crate) fn jpeg_of_bytes(bytes: usize) -> Vec<u8> {
    let mut jpeg = jpeg(64, 64);
    assert!(jpeg.len() < bytes);
    jpeg.resize(bytes, 0);
    jpeg
}
