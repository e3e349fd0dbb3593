//! GIF: the first frame, where it belongs on the canvas, with the rest of the canvas transparent.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, Limits};

use super::Undecodable;
use super::decode::{Picture, count_pixels};

/// Measured as the growth of the resident set: RGBA for the canvas, once more for a frame that does not lie on it edge to
/// edge, and the palette indices.
const BYTES_PER_PIXEL: u64 = 4 + 4 + 1;

pub fn cost(gif: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let decoder = open(gif, max_pixels)?;
    Ok(count_pixels(decoder.dimensions(), max_pixels)? * BYTES_PER_PIXEL)
}

pub fn decode(gif: &[u8], max_pixels: u64) -> Result<Picture, Undecodable> {
    let mut decoder = open(gif, max_pixels)?;
    Ok(Picture {
        dimensions: decoder.dimensions(),
        orientation: Orientation::NoTransforms,
        icc_profile: decoder.icc_profile().ok().flatten(),
        pixels: DynamicImage::from_decoder(decoder).map_err(Undecodable::new)?,
    })
}

/// A frame states its own dimensions, which the canvas does not bound: the limit keeps its area within the canvas's.
fn open(gif: &[u8], max_pixels: u64) -> Result<GifDecoder<Cursor<&[u8]>>, Undecodable> {
    let mut decoder = GifDecoder::new(Cursor::new(gif)).map_err(Undecodable::new)?;
    let pixels = count_pixels(decoder.dimensions(), max_pixels)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels * 4);
    decoder.set_limits(limits).map_err(Undecodable::new)?;
    Ok(decoder)
}
