//! From an original's bytes to its pixels, by way of the one decoder that its content calls for.
//!
//! The four formats have a module each, with the same two functions: `cost`, which reads the header, and `decode`. They
//! share one rule: the pixel cap is checked on the header's word, and limits are handed over when a decoder is made,
//! because several decoders allocate as soon as they exist.

use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageFormat};

use super::plane::{Channels, Plane, visible};
use super::{Fit, MAX_SIDE, Undecodable, gif, png, webp};
use crate::format::Format;
use crate::jpeg;

/// A decoded original.
pub(crate) struct Picture {
    /// A JPEG's may be smaller than the picture is, if not so small that it is seen, and lack what does not show.
    pub channels: Channels<Plane>,
    /// Width and height as the header says.
    pub dimensions: (u32, u32),
    /// What makes it upright.
    pub orientation: Orientation,
    /// The ICC profile that it carries.
    pub icc_profile: Option<Vec<u8>>,
}

/// What a decode holds at its peak, in bytes.
pub(super) fn cost(original: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    match sniff(original)? {
        Format::Jpeg => jpeg::read(original, max_pixels).map(|jpeg| jpeg.memory()).map_err(Undecodable::new),
        Format::Png => png::cost(original, max_pixels),
        Format::Gif => gif::cost(original, max_pixels),
        Format::WebP => webp::cost(original, max_pixels),
    }
}

/// Decodes the first frame.
pub(super) fn decode(original: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, Undecodable> {
    match sniff(original)? {
        Format::Jpeg => jpeg::read(original, max_pixels).map_err(Undecodable::new)?.decode(fit),
        Format::Png => png::decode(original, fit, max_pixels),
        Format::Gif => gif::decode(original, fit, max_pixels),
        Format::WebP => webp::decode(original, fit, max_pixels),
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
pub(super) fn count_pixels((width, height): (u32, u32), max_pixels: u64) -> Result<u64, Undecodable> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > max_pixels {
        return Err(Undecodable::new(format!("{width}x{height} is not between 1 and {max_pixels} pixels")));
    }
    if width.max(height) > MAX_SIDE {
        return Err(Undecodable::new(format!("{width}x{height} has a side of over {MAX_SIDE} pixels")));
    }
    Ok(pixels)
}

/// The orientation in an Exif block; upright if it says nothing sensible.
pub(crate) fn orientation(exif: Option<&[u8]>) -> Orientation {
    // Some writers of PNG and WebP keep the prefix that only JPEG asks for.
    let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// All of a picture, in one of the kinds of pixel that a [`Plane`] has.
pub(super) fn together(pixels: DynamicImage, fit: Fit) -> Channels<Plane> {
    let visible = visible((pixels.width(), pixels.height()), fit);
    let pixels = match pixels.color() {
        ColorType::L8 | ColorType::Rgb8 | ColorType::Rgba8 => pixels,
        color if color.has_alpha() => pixels.into_rgba8().into(),
        color if color.has_color() => pixels.into_rgb8().into(),
        _ => pixels.into_luma8().into(),
    };
    Channels::Together(Plane { pixels, visible, limited_range: false })
}
