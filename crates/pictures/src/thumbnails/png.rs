//! PNG: any bit depth, palette or not, interlaced or not. An animation gives its default image.
//!
//! The decoder gets only the chunks that pixels are made of. With the others it would do more than is asked: it fails where an
//! animation or a colour space has faults that no viewer minds, and it unfolds a profile of any length.

use std::io::Cursor;
use std::iter;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageDecoder, Limits};
use memchr::memchr;

use crate::decode::count_pixels;
use crate::error::Undecodable;
use crate::picture::Fit;
use crate::picture::{Picture, orientation, together};

/// What the decoder may allocate for a row, which has up to 512 KiB, and for a palette.
const ROW_BYTES: u64 = 1 << 20;

/// A colour profile of 1 KB can unfold to 1 MB, and is then copied several times. This is as long as one can be in the other
/// formats, which do not compress it; real ones are shorter, and a picture whose profile is not is taken for sRGB.
const MAX_PROFILE_BYTES: usize = 1 << 20;

/// The decoder's window over the decompressed rows grows to about this many of them.
const WINDOW_ROWS: u64 = 8;

/// Measured as the growth of the resident set: the chunks that the decoder gets, the pixels, the copy if they are not yet of 8
/// bits and grey, RGB or RGBA, the window, and the profile.
pub(crate) fn cost(png: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let dimensions = dimensions(png)?;
    let pixels = count_pixels(dimensions, max_pixels)?;
    let Some(&[bit_depth, colour_type]) = png.get(24..26) else { return Err(ends_in_header()) };
    let transparent = u64::from(chunk(png, b"tRNS").is_some());
    // Colour type 3 are palettes; the decoder makes RGB of them.
    let channels = match colour_type {
        0 => 1 + transparent,
        2 | 3 => 3 + transparent,
        4 => 2,
        _ => 4,
    };
    let copy = match channels {
        1 | 3 | 4 if bit_depth <= 8 => 0,
        2 => 4,
        _ => channels,
    };
    let bytes = channels * if bit_depth <= 8 { 1 } else { 2 };
    let window = u64::from(dimensions.0) * bytes * WINDOW_ROWS;
    Ok(pixels * (bytes + copy) + window + ROW_BYTES + png.len() as u64 + MAX_PROFILE_BYTES as u64)
}

pub(crate) fn decode(png: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, Undecodable> {
    count_pixels(dimensions(png)?, max_pixels)?;
    let pixels = pixels_only(png)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(ROW_BYTES);
    let decoder = PngDecoder::with_limits(Cursor::new(pixels), limits).map_err(Undecodable::new)?;
    Ok(Picture {
        dimensions: decoder.dimensions(),
        orientation: orientation(chunk(png, b"eXIf")),
        channels: together(DynamicImage::from_decoder(decoder).map_err(Undecodable::new)?, fit),
        icc_profile: chunk(png, b"iCCP").and_then(profile),
    })
}

/// Width and height out of IHDR, which is always the first chunk: making the decoder already allocates a row.
fn dimensions(png: &[u8]) -> Result<(u32, u32), Undecodable> {
    match png.get(16..24) {
        Some(&[w0, w1, w2, w3, h0, h1, h2, h3]) => {
            Ok((u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3])))
        }
        _ => Err(ends_in_header()),
    }
}

fn ends_in_header() -> Undecodable {
    Undecodable::new("the PNG ends in its header")
}

/// The same PNG, without the chunks that change no pixel.
fn pixels_only(png: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let (signature, _) = png.split_at(SIGNATURE_BYTES.min(png.len()));
    let mut kept = signature.to_vec();
    for Chunk { name, data, whole } in chunks(png) {
        match name {
            // Where it is not made of threes the decoder panics (<https://github.com/image-rs/image-png/issues/694>), which the
            // worker survives and the server refuses before; it is mended after version 0.18.1, with which this can go.
            b"PLTE" if !data.len().is_multiple_of(3) => {
                return Err(Undecodable::new("the PNG's palette has a wrong length"));
            }
            b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" | b"IEND" => kept.extend_from_slice(whole),
            _ => {}
        }
    }
    Ok(kept)
}

/// What an iCCP chunk holds (section 11.3.2.3): a name, a zero, the method, and the profile, compressed.
fn profile(iccp: &[u8]) -> Option<Vec<u8>> {
    let compressed = iccp.get(memchr(0, iccp)? + 2..)?;
    fdeflate::decompress_to_vec_bounded(compressed, MAX_PROFILE_BYTES).ok()
}

const SIGNATURE_BYTES: usize = 8;

struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
    /// With its length and its checksum.
    whole: &'a [u8],
}

fn chunk<'a>(png: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    chunks(png).find(|chunk| chunk.name == wanted).map(|chunk| chunk.data)
}

/// One that is cut short has what is left.
fn chunks(png: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = png.get(SIGNATURE_BYTES..).unwrap_or_default();
    iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (name, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (data, _) = after.split_at(length.min(after.len()));
        let (whole, next) = rest.split_at(length.saturating_add(12).min(rest.len()));
        rest = next;
        Some(Chunk { name, data, whole })
    })
}
