//! Whether an upload's bytes are a whole picture of a format that we take, and what the header says about it.
//!
//! The server must answer at once with final URLs, so it has to know the format and whether the picture can be
//! transparent; and it must refuse what is cut short or broken while the client is still there to be told. It does not
//! decode pixels for that, which costs a thousand times more: each format's file walks the structure from the first byte
//! to the end marker and checks what the structure can prove. A picture that passes may still fail to decode.
//!
//! The format is read off the bytes alone, and only the four of [`Format`] are let in.

mod gif;
mod jpeg;
mod png;

use crate::error::InspectError;
use crate::format::{Format, ThumbnailFormat};
use crate::webp;

/// The longest side of a picture, in pixels: the most that JPEG and GIF can say. A PNG of 1x40,000,000 has few pixels, but
/// the scaler's table of weights grows with the side, to 2.4 GB for that one.
pub const MAX_SIDE: u32 = 65_535;

/// What a picture's structure says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// The format that the bytes are in.
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

/// Inspects a whole file. The time it takes grows with the length of `bytes`, whatever they are.
pub fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    match format_of(bytes).ok_or(InspectError::UnknownFormat)? {
        Format::Jpeg => jpeg::inspect(bytes, max_pixels),
        Format::Png => png::inspect(bytes, max_pixels),
        Format::Gif => gif::inspect(bytes, max_pixels),
        Format::WebP => webp::read(bytes, max_pixels).map(|webp| webp.inspected()),
    }
}

/// What the thumbnails of an original are written in that was taken once, whatever the limit of pixels is now; `None` if the
/// bytes are no whole picture.
pub fn thumbnail_format(bytes: &[u8]) -> Option<ThumbnailFormat> {
    inspect(bytes, u64::MAX).ok().map(|image| image.thumbnail_format())
}

/// The format whose signature the bytes begin with.
pub(crate) fn format_of(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(&jpeg::SIGNATURE) {
        Some(Format::Jpeg)
    } else if bytes.starts_with(png::SIGNATURE) {
        Some(Format::Png)
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some(Format::Gif)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Format::WebP)
    } else {
        None
    }
}

/// Refuses a picture or frame with no pixels, and one with too many, be it in all or in a row or column.
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
