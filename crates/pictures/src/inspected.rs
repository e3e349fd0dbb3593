//! What a picture's structure says about it, and the limits of its size.

use crate::error::InspectError;
use crate::format::{Format, ThumbnailFormat};

/// The longest side of a picture, in pixels: the most that JPEG and GIF can say. A PNG of 1x40,000,000 has few pixels, but
/// the scaler's table of weights grows with the side, to 2.4 GB for that one.
pub const MAX_SIDE: u32 = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub format: Format,
    /// In pixels, before any orientation is applied; at least 1.
    pub width: u32,
    /// In pixels, before any orientation is applied; at least 1.
    pub height: u32,
    /// Whether what a thumbnail shows, the picture or the first frame of an animation, can be transparent. Where the
    /// structure leaves it open, this is true.
    pub alpha: bool,
}

impl Inspected {
    /// What the picture's thumbnails are written in.
    pub fn thumbnail_format(&self) -> ThumbnailFormat {
        if self.alpha { ThumbnailFormat::Png } else { ThumbnailFormat::Jpeg }
    }
}

/// Refuses a picture or frame without pixels, one with too many pixels, and one with too long a side.
pub(crate) fn check_size(
    format: Format,
    width: u32,
    height: u32,
    max_pixels: u64,
) -> Result<(), InspectError> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(InspectError::Damaged(format, "its width or height is zero"));
    }
    if pixels > max_pixels {
        return Err(InspectError::TooManyPixels { pixels, max: max_pixels });
    }
    if width.max(height) > MAX_SIDE {
        return Err(InspectError::TooLong(width.max(height)));
    }
    Ok(())
}
