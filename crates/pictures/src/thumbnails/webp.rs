//! WebP: lossy, lossless, with or without transparency; an animation gives its first frame on its canvas.
//!
//! The container (RFC 9649, section 2.3) is walked here as well as in the decoder, for two reasons. The decoder allocates
//! what a metadata chunk says its length is, up to 4 GiB, and what a lossy frame says its dimensions are, whatever its place
//! in the picture is, which it may then read past. Here metadata are slices of the original, and such a frame is refused.

use std::io::Cursor;
use std::iter;

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, GrayImage, ImageDecoder};

use super::vp8::{self, Frame, LoopFilter};
use crate::count_pixels::count_pixels;
use crate::error::Undecodable;
use crate::picture::Fit;
use crate::picture::{Channels, Plane, visible};
use crate::picture::{Picture, orientation, together};

/// The header of a frame in an animation, before its own chunks.
const FRAME_HEADER_BYTES: usize = 16;

/// From this reduction on, the loop filter is left out: over five photographs that cost JPEG thumbnails at most 0.2 points of
/// SSIMULACRA2, 0.4 for originals of the lowest quality.
const UNFILTERED_REDUCTION: f64 = 4.0;

/// In bytes a pixel, measured as the growth of the resident set where an encoder was at hand (7 for lossless) and counted in
/// the decoder where not: planes, pixels and alpha of a lossy picture with transparency.
const STILL_BYTES_PER_PIXEL: u64 = 12;

/// The same (12 for lossless) for an animation, which holds its canvas and a frame besides.
const ANIMATION_BYTES_PER_PIXEL: u64 = 16;

/// What a byte of a lossless bitstream can make the decoder build besides. A prefix code can be written in 113 bits and
/// becomes a table of 4 KiB, and the decoder builds all codes up to the largest that a block names, used or not: a picture
/// of 4x4 pixels in 1 MB grew by 279 MiB.
const TABLE_BYTES_PER_LOSSLESS_BYTE: u64 = 320;

pub(crate) fn cost(webp: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let webp = picture(webp);
    let decoder = open(webp, max_pixels)?;
    let pixels = count_pixels(decoder.dimensions(), max_pixels)?;
    if let Some(vp8) = opaque_lossy(webp, &decoder) {
        return vp8::cost(vp8);
    }
    let per_pixel = if decoder.has_animation() { ANIMATION_BYTES_PER_PIXEL } else { STILL_BYTES_PER_PIXEL };
    Ok(pixels * per_pixel + lossless_bytes(webp) * TABLE_BYTES_PER_LOSSLESS_BYTE)
}

pub(crate) fn decode(webp: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, Undecodable> {
    let webp = picture(webp);
    let decoder = open(webp, max_pixels)?;
    let dimensions = decoder.dimensions();
    let channels = match opaque_lossy(webp, &decoder) {
        Some(vp8) => decode_lossy(vp8, dimensions, fit)?,
        None => together(DynamicImage::from_decoder(decoder).map_err(Undecodable::coded_data)?, fit),
    };
    Ok(Picture {
        dimensions,
        orientation: orientation(chunk(webp, b"EXIF")),
        icc_profile: chunk(webp, b"ICCP").map(<[u8]>::to_vec),
        channels,
    })
}

/// As much of a file as is the picture's: as its header says, and without the extended header only the first chunk.
fn picture(file: &[u8]) -> &[u8] {
    let length =
        |at: usize| file.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().map(u32::from_le_bytes);
    let end = |at: usize| length(at).map_or(file.len(), |length| (length as usize).saturating_add(at + 4));
    let first = if file.get(12..16) == Some(b"VP8X") { file.len() } else { end(16) };
    &file[..file.len().min(end(4)).min(first)]
}

/// The bitstream of a lossy picture that neither moves nor is transparent.
fn opaque_lossy<'a>(webp: &'a [u8], decoder: &WebPDecoder<Cursor<&[u8]>>) -> Option<&'a [u8]> {
    chunk(webp, b"VP8 ").filter(|_| !decoder.has_animation() && !decoder.color_type().has_alpha())
}

/// Such a picture has no need to become RGB at full size. That the frame is as large as the canvas has been seen to.
fn decode_lossy(vp8: &[u8], dimensions: (u32, u32), fit: Fit) -> Result<Channels<Plane>, Undecodable> {
    let shown = visible(dimensions, fit);
    let reduction = shown.width.max(shown.height) / f64::from(600_u32);
    let filter = if reduction < UNFILTERED_REDUCTION { LoopFilter::Full } else { LoopFilter::Skip };
    let Frame { y, u, v } = vp8::decode(vp8, filter)?;
    let plane = |plane: vp8::Plane, of_luma: f64| {
        let visible = shown.scaled(of_luma, of_luma).within(plane.width, plane.height);
        let pixels = GrayImage::from_raw(plane.width, plane.height, plane.samples);
        let pixels = pixels.ok_or_else(|| Undecodable::coded_data("a plane has too few samples"))?;
        Ok::<_, Undecodable>(Plane { pixels: pixels.into(), visible, limited_range: true })
    };
    Ok(Channels::YCbCr([plane(y, 1.0)?, plane(u, 0.5)?, plane(v, 0.5)?]))
}

fn open(webp: &[u8], max_pixels: u64) -> Result<WebPDecoder<Cursor<&[u8]>>, Undecodable> {
    let decoder = WebPDecoder::new(Cursor::new(webp)).map_err(Undecodable::coded_data)?;
    let canvas = decoder.dimensions();
    count_pixels(canvas, max_pixels)?;
    // Of such a frame image-webp 0.2.4 takes bytes of its content for a chunk's header, and what they name for the picture.
    if !decoder.has_animation() && chunk(webp, b"ANMF").is_some() {
        return Err(Undecodable::coded_data("a picture that does not move has a frame of an animation"));
    }
    let lossy = lossy_frame(webp, decoder.has_animation(), canvas);
    if lossy.is_some_and(|(place, vp8)| own_dimensions(vp8).is_some_and(|own| own != place)) {
        return Err(Undecodable::coded_data("a lossy frame has other dimensions than its place"));
    }
    Ok(decoder)
}

/// What the decoder takes for the lossy frame of a picture or of the first of an animation, and the dimensions of its place. What
/// comes behind transparency in an animation is that, whatever it is called.
fn lossy_frame(webp: &[u8], animated: bool, canvas: (u32, u32)) -> Option<((u32, u32), &[u8])> {
    if !animated {
        return chunk(webp, b"VP8 ").map(|vp8| (canvas, vp8));
    }
    let (place, within) = first_frame(webp)?;
    let mut within = chunks(within);
    let (name, data) = within.next()?;
    match &name {
        b"VP8 " => Some((place, data)),
        b"ALPH" => within.next().map(|(_, data)| (place, data)),
        _ => None,
    }
}

/// Out of a lossy frame's header (RFC 6386, section 9.1).
fn own_dimensions(vp8: &[u8]) -> Option<(u32, u32)> {
    let &[_, _, _, _, _, _, w0, w1, h0, h1, ..] = vp8 else { return None };
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(w0, w1), side(h0, h1)))
}

/// The length of the longest chunk that can hold prefix codes: a lossless picture, or transparency, which is coded like
/// one. Of all such chunks a decode reads only one.
fn lossless_bytes(webp: &[u8]) -> u64 {
    let within = first_frame(webp).map_or(&[][..], |(_, within)| within);
    let all = file_chunks(webp).chain(chunks(within));
    let lossless = all.filter(|(name, _)| matches!(name, b"VP8L" | b"ALPH"));
    lossless.map(|(_, data)| data.len() as u64).max().unwrap_or(0)
}

/// The dimensions that the header of an animation's first frame says (RFC 9649, section 2.7.1.1), and the frame's chunks.
fn first_frame(webp: &[u8]) -> Option<((u32, u32), &[u8])> {
    let (header, within) = chunk(webp, b"ANMF")?.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let &[_, _, _, _, _, _, w0, w1, w2, h0, h1, h2, ..] = header;
    let side = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
    Some(((side([w0, w1, w2]), side([h0, h1, h2])), within))
}

fn chunk<'a>(webp: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    file_chunks(webp).find(|(name, _)| name == wanted).map(|(_, data)| data)
}

fn file_chunks(webp: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    chunks(webp.get(12..).unwrap_or_default())
}

/// The RIFF chunks; one that is cut short has what is left.
fn chunks(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (data, _) = after.split_at(length.min(after.len()));
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some((*name, data))
    })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use crate::Fit;
    use crate::format::ThumbnailFormat::Png;
    use crate::tests::pictures::{WEBP_LOSSY, WEBP_LOSSY_ALPHA, distance, png, webp, webp_extended};
    use crate::tests::{cost, make};

    fn large(original: &[u8]) -> RgbImage {
        let [.., large] = make(original, Png, Fit::Cover, 40_000_000).unwrap().files;
        image::load_from_memory(&large).unwrap().into_rgb8()
    }

    /// A lossy picture of another size stands behind a lossless one, in the file or past its end.
    #[test]
    fn only_the_picture_of_the_file_is_decoded() {
        let plain = webp(RgbImage::from_pixel(8, 8, Rgb([200, 0, 0])));
        let extended = webp_extended(0, (8, 8), &[(b"VP8L", &plain[20..])]);
        let lossy = &WEBP_LOSSY[12..];
        let past_the_end = [&plain[..], lossy].concat();
        let past_the_end_of_extended = [&extended[..], lossy].concat();
        let mut in_the_file = past_the_end.clone();
        in_the_file[4..8].copy_from_slice(&(past_the_end.len() as u32 - 8).to_le_bytes());
        for original in [past_the_end, past_the_end_of_extended, in_the_file] {
            assert!(large(&original) == large(&plain));
            assert!(cost(&original, 64).is_ok());
        }
    }

    /// Bytes in the frame would have the decoder take another part of the file for a lossless picture, of any length.
    #[test]
    fn a_frame_of_no_animation_is_not_looked_into() {
        let [alph, vp8] = [&WEBP_LOSSY_ALPHA[38..50], &WEBP_LOSSY[20..]];
        let named = [&b"VP8L\xff\xff\x0f\0"[..], &[0; 24]].concat();
        let frame = [&[0; 16][..], b"abcd\x20\0\0\0", &named].concat();
        let still = webp_extended(0x10, (1, 1), &[(b"ALPH", alph), (b"VP8 ", vp8)]);
        assert!(cost(&still, 1).is_ok());
        let odd = webp_extended(0x10, (1, 1), &[(b"ALPH", alph), (b"VP8 ", vp8), (b"ANMF", &frame)]);
        assert!(cost(&odd, 1).is_err());
    }

    #[test]
    fn lossy_webp_is_decoded_as_elsewhere() {
        let fixtures = [
            include_bytes!("vp8/fixtures/normal_filter.webp").as_slice(),
            include_bytes!("vp8/fixtures/coarse.webp"),
        ];
        for original in fixtures {
            let elsewhere = image::load_from_memory(original).unwrap().into_rgb8();
            let [ours, theirs] = [large(original), large(&png(elsewhere))];
            let off = distance(&ours, &theirs);
            assert!(off < 1.5, "{off}");
        }
    }
}
