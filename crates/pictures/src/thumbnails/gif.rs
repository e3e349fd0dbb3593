//! GIF: the first frame, where it belongs on the canvas, with the rest of the canvas transparent.
//!
//! A frame states its own dimensions, which the canvas does not bound. What reaches beyond the canvas is cut off, as
//! browsers do, but the decoder holds all of the frame: so it is looked up, counted and capped like the canvas.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, Limits};

use crate::decode::count_pixels;
use crate::error::Undecodable;
use crate::picture::Fit;
use crate::picture::{Picture, together};

/// Measured as the growth of the resident set: RGBA for the canvas, once more for a frame that does not lie on it edge to
/// edge, and the palette indices of the frame.
const CANVAS_BYTES_PER_PIXEL: u64 = 4;
const FRAME_BYTES_PER_PIXEL: u64 = 4 + 1;

const IMAGE_SEPARATOR: u8 = 0x2c;
const EXTENSION_INTRODUCER: u8 = 0x21;

pub(crate) fn cost(gif: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let decoder = open(gif, max_pixels)?;
    let canvas_pixels = count_pixels(decoder.dimensions(), max_pixels)?;
    Ok(canvas_pixels * CANVAS_BYTES_PER_PIXEL + frame_pixels(gif, max_pixels)? * FRAME_BYTES_PER_PIXEL)
}

pub(crate) fn decode(gif: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, Undecodable> {
    let mut decoder = open(gif, max_pixels)?;
    Ok(Picture {
        dimensions: decoder.dimensions(),
        orientation: Orientation::NoTransforms,
        icc_profile: decoder.icc_profile().ok().flatten(),
        channels: together(DynamicImage::from_decoder(decoder).map_err(Undecodable::new)?, fit),
    })
}

/// The limit keeps the decoder to the frame that was counted, should it find another.
fn open(gif: &[u8], max_pixels: u64) -> Result<GifDecoder<Cursor<&[u8]>>, Undecodable> {
    let mut decoder = GifDecoder::new(Cursor::new(gif)).map_err(Undecodable::new)?;
    count_pixels(decoder.dimensions(), max_pixels)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(frame_pixels(gif, max_pixels)? * 4);
    decoder.set_limits(limits).map_err(Undecodable::new)?;
    Ok(decoder)
}

fn frame_pixels(gif: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    count_pixels(first_frame(gif).ok_or_else(|| Undecodable::new("the GIF has no frame"))?, max_pixels)
}

/// The dimensions in the first image descriptor (GIF89a, section 20), behind the global colour table and any extensions.
fn first_frame(gif: &[u8]) -> Option<(u32, u32)> {
    let mut rest = gif.get(10..)?;
    let (packed, _) = rest.split_first()?;
    let table = if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) };
    rest = rest.get(3 + table..)?;
    loop {
        match *rest {
            [IMAGE_SEPARATOR, _, _, _, _, w0, w1, h0, h1, ..] => {
                return Some((u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into()));
            }
            [EXTENSION_INTRODUCER, _label, ref sub_blocks @ ..] => {
                rest = sub_blocks;
                while let Some((&size, data)) = rest.split_first() {
                    rest = data.get(usize::from(size)..)?;
                    if size == 0 {
                        break;
                    }
                }
            }
            _ => return None,
        }
    }
}
