//! Pictures of a given number of bytes, for the limits.

use crate::pictures::jpeg;

/// A JPEG of exactly this many bytes: every decoder ignores what follows the end.
pub(crate) fn jpeg_of_bytes(bytes: usize) -> Vec<u8> {
    let mut jpeg = jpeg(64, 64);
    assert!(jpeg.len() < bytes);
    jpeg.resize(bytes, 0);
    jpeg
}
