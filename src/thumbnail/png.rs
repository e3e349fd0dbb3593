//! PNG: any bit depth, palette or not, interlaced or not. An animation gives its default image.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::{ColorType, DynamicImage, ImageDecoder, Limits};

use super::decode::{Picture, count_pixels, orientation, together};
use super::{Fit, Undecodable};

/// What the decoder may allocate for a row and for metadata. A compressed colour profile of 400 KB can unfold to 400 MB;
/// real ones stay under 4 MiB, and one that does not fit is skipped.
const METADATA_BYTES: u64 = 8 << 20;

/// The decoder's window over the decompressed rows grows to about this many of them.
const WINDOW_ROWS: u64 = 8;

/// Measured as the growth of the resident set: the pixels, the copy if they are not yet RGB or RGBA of 8 bits, the window
/// and the metadata.
pub fn cost(png: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let pixels = count_pixels(dimensions(png)?, max_pixels)?;
    let decoder = open(png)?;
    let color = decoder.color_type();
    let copy = match color {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        _ if color.has_alpha() => 4,
        _ => 3,
    };
    let row = u64::from(decoder.dimensions().0) * u64::from(color.bytes_per_pixel());
    Ok(decoder.total_bytes() + pixels * copy + row * WINDOW_ROWS + METADATA_BYTES)
}

pub fn decode(png: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, Undecodable> {
    count_pixels(dimensions(png)?, max_pixels)?;
    let mut decoder = open(png)?;
    Ok(Picture {
        dimensions: decoder.dimensions(),
        orientation: orientation(decoder.exif_metadata().ok().flatten().as_deref()),
        icc_profile: decoder.icc_profile().ok().flatten(),
        channels: together(DynamicImage::from_decoder(decoder).map_err(Undecodable::new)?, fit),
    })
}

/// Width and height out of IHDR, which is always the first chunk: making the decoder already allocates a row.
fn dimensions(png: &[u8]) -> Result<(u32, u32), Undecodable> {
    match png.get(16..24) {
        Some(&[w0, w1, w2, w3, h0, h1, h2, h3]) => {
            Ok((u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3])))
        }
        _ => Err(Undecodable::new("the PNG ends in its header")),
    }
}

fn open(png: &[u8]) -> Result<PngDecoder<Cursor<&[u8]>>, Undecodable> {
    check_palette(png)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(METADATA_BYTES);
    PngDecoder::with_limits(Cursor::new(png), limits).map_err(Undecodable::new)
}

/// The decoder panics at a palette that is not made of threes (<https://github.com/image-rs/image-png/issues/694>), mended after
/// its version 0.18.1, with which this can go.
fn check_palette(png: &[u8]) -> Result<(), Undecodable> {
    let mut chunks = png.get(8..).unwrap_or_default(); // after the signature
    while let Some((&[l0, l1, l2, l3, ref name @ ..], after)) = chunks.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        match name {
            b"PLTE" if !length.is_multiple_of(3) => {
                return Err(Undecodable::new("the PNG's palette has a wrong length"));
            }
            b"IDAT" => break,
            _ => {}
        }
        chunks = after.get(length.saturating_add(4)..).unwrap_or_default(); // its data and its checksum
    }
    Ok(())
}
