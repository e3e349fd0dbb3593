//! Whether an upload's bytes are a whole picture of a format that we take, and what the header says about it.
//!
//! The server must answer at once with final URLs, so it has to know the format and whether the picture can be
//! transparent; and it must refuse what is cut short or broken while the client is still there to be told. It does not
//! decode pixels for that, which costs a thousand times more: each format's file walks the structure from the first byte
//! to the end marker and checks what the structure can prove. A picture that passes may still fail to decode.
//!
//! The format is read off the bytes alone, and only the four of [`Format`] are let in.

mod cursor;
mod gif;
mod png;
mod webp;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::format::{Format, ThumbnailFormat};
use crate::jpeg;
use crate::thumbnails::MAX_SIDE;

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

/// Why the bytes are not taken. `Display` is a sentence for the client; each is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// The bytes begin like none of the formats.
    UnknownFormat,
    /// The bytes end before the format's end marker.
    CutShort(Format),
    /// The bytes break a rule of the format. The text goes on after "is damaged:".
    Damaged(Format, &'static str),
    /// The bytes use a part of the format that thumbnails cannot be made of. The text goes on after "uses".
    Unsupported(Format, &'static str),
    /// The picture, or a frame of it, has more pixels than are allowed.
    TooManyPixels {
        /// Width times height.
        pixels: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// The picture, or a frame of it, is wider or higher than [`MAX_SIDE`]. This is the longer side.
    TooLong(u32),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            InspectError::UnknownFormat => f.write_str(
                "The image field does not hold a picture that is taken here: send a JPEG, PNG, GIF or WebP file.",
            ),
            InspectError::CutShort(format) => {
                let (name, end) = name_and_end(format);
                write!(f, "The {name} ends before its {end}: it was cut short, send the whole file.")
            }
            InspectError::Damaged(format, what) => {
                let (name, _) = name_and_end(format);
                write!(f, "The {name} is damaged: {what}; save the picture anew and send that.")
            }
            InspectError::Unsupported(format, what) => {
                let (name, _) = name_and_end(format);
                write!(f, "The {name} uses {what}, which is not supported: save it as an ordinary {name}.")
            }
            InspectError::TooManyPixels { pixels, max } => {
                write!(f, "The picture has {pixels} pixels and at most {max} are taken: send a smaller one.")
            }
            InspectError::TooLong(side) => {
                write!(f, "The picture has a side of {side} pixels and at most {MAX_SIDE} are taken: send a smaller one.")
            }
        }
    }
}

impl std::error::Error for InspectError {}

fn name_and_end(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Jpeg => ("JPEG", "end marker"),
        Format::Png => ("PNG", "IEND chunk"),
        Format::Gif => ("GIF", "trailer"),
        Format::WebP => ("WebP", "declared end"),
    }
}

/// Inspects a whole file. The time it takes grows with the length of `bytes`, whatever they are.
pub fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    match format_of(bytes).ok_or(InspectError::UnknownFormat)? {
        Format::Jpeg => jpeg::read(bytes, max_pixels).map(|structure| structure.inspected()),
        Format::Png => png::inspect(bytes, max_pixels),
        Format::Gif => gif::inspect(bytes, max_pixels),
        Format::WebP => webp::inspect(bytes, max_pixels),
    }
}

/// What the thumbnails of an original are written in that was taken once, whatever the limit of pixels is now; `None` if the
/// bytes are no whole picture.
pub fn thumbnail_format(bytes: &[u8]) -> Option<ThumbnailFormat> {
    inspect(bytes, u64::MAX).ok().map(|image| image.thumbnail_format())
}

/// The format whose signature the bytes begin with.
fn format_of(bytes: &[u8]) -> Option<Format> {
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
fn check_size(format: Format, width: u32, height: u32, max_pixels: u64) -> Result<(), InspectError> {
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
