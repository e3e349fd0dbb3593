//! From an original's bytes to its pixels, by way of the one decoder that its content calls for.
//!
//! The four formats have a module each, with the same two functions: `cost`, which reads the header, and `decode`. They
//! share one rule: the pixel cap is checked on the header's word, and limits are handed over when a decoder is made,
//! because several decoders allocate as soon as they exist.

use image::ImageFormat;

use crate::error::Undecodable;
use crate::format::Format;
use crate::inspect::MAX_SIDE;
use crate::picture::{Picture, Target};
use crate::thumbnails::{gif, jpeg, png};
use crate::webp;

/// What a decode holds at its peak, in bytes.
pub(crate) fn cost(original: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    match sniff(original)? {
        Format::Jpeg => jpeg::cost(original, max_pixels),
        Format::Png => png::cost(original, max_pixels),
        Format::Gif => gif::cost(original, max_pixels),
        Format::WebP => Ok(webp::read(original, max_pixels)?.memory()),
    }
}

/// Decodes the first frame.
pub(crate) fn decode(original: &[u8], target: Target, max_pixels: u64) -> Result<Picture, Undecodable> {
    match sniff(original)? {
        Format::Jpeg => jpeg::decode(original, target.fit, max_pixels),
        Format::Png => png::decode(original, target.fit, max_pixels),
        Format::Gif => gif::decode(original, target.fit, max_pixels),
        Format::WebP => webp::read(original, max_pixels)?.decode(target),
    }
}

fn sniff(original: &[u8]) -> Result<Format, Undecodable> {
    match image::guess_format(original) {
        Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
        Ok(ImageFormat::Png) => Ok(Format::Png),
        Ok(ImageFormat::Gif) => Ok(Format::Gif),
        Ok(ImageFormat::WebP) => Ok(Format::WebP),
        _ => Err(Undecodable::new("it is not a JPEG, PNG, GIF or WebP")),
    }
}

/// The number of pixels, if there are any and they are not too many, nor all in too long a row or column.
pub(crate) fn count_pixels((width, height): (u32, u32), max_pixels: u64) -> Result<u64, Undecodable> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > max_pixels {
        return Err(Undecodable::new(format!("{width}x{height} is not between 1 and {max_pixels} pixels")));
    }
    if width.max(height) > MAX_SIDE {
        return Err(Undecodable::new(format!("{width}x{height} has a side of over {MAX_SIDE} pixels")));
    }
    Ok(pixels)
}
