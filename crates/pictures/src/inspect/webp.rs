//! WebP: RFC 9649, with the VP8 frame header of RFC 6386.
//!
//! Checked: that the file is as long as its RIFF header says; every chunk's length; the header of the bitstream, VP8 or
//! VP8L, and in the extended format that it agrees with the canvas; that what the VP8X flags announce is there, since the
//! worker's decoder insists on it; the header of transparency; every frame of an animation. What follows the RIFF chunk is let
//! be, as the RFC allows.
//!
//! Not checked: the bitstreams beyond their headers, and what is in the ICCP, EXIF and XMP chunks.

use super::{Inspected, check_size};
use crate::cursor::Cursor;
use crate::error::InspectError;
use crate::format::Format;

/// RFC 9649, section 2.7: the bits of the VP8X chunk's flags.
const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;
const ANIMATION: u8 = 0x02;

/// Section 2.3: FourCC and size.
const CHUNK_HEADER_BYTES: usize = 8;

/// Section 2.7.1.1: an ANMF chunk's header, before the chunks of the frame.
const FRAME_HEADER_BYTES: usize = 16;

/// The least that the worker's decoder takes for a whole ANMF chunk; every frame of an encoder is longer.
const LEAST_FRAME_BYTES: usize = 32;

/// The longest side of a lossless picture. Where there is no VP8X chunk to say it, the worker's decoder takes it for 0.
const LONGEST_LOSSLESS_SIDE: u32 = 16_384;

pub(crate) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    let mut file = Cursor::new(bytes, InspectError::CutShort(Format::WebP));
    let _riff = file.array::<4>()?;
    let size = usize::try_from(file.u32_le()?).unwrap_or(usize::MAX);
    let mut riff = Cursor::new(file.take(size)?, damaged("a chunk runs past the end of the file"));
    let _webp = riff.array::<4>()?;
    let (fourcc, data) = chunk(&mut riff)?;
    let (width, height, alpha) = match &fourcc {
        b"VP8X" => extended(data, &mut riff, max_pixels)?,
        _ => {
            let image =
                bitstream(fourcc, data)?.ok_or(damaged("its first chunk is not VP8, VP8L or VP8X"))?;
            check_size(Format::WebP, image.width, image.height, max_pixels)?;
            if image.width.max(image.height) == LONGEST_LOSSLESS_SIDE {
                return Err(InspectError::Unsupported(Format::WebP, "a side of 16384 pixels"));
            }
            (image.width, image.height, image.alpha)
        }
    };
    while !riff.is_empty() {
        chunk(&mut riff)?;
    }
    Ok(Inspected { format: Format::WebP, width, height, alpha })
}

const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::WebP, what)
}

/// Section 2.3: the next chunk's FourCC and payload. The byte that pads an odd payload may be missing at the very end.
fn chunk<'a>(cursor: &mut Cursor<'a>) -> Result<([u8; 4], &'a [u8]), InspectError> {
    let fourcc = cursor.array()?;
    let size = usize::try_from(cursor.u32_le()?).unwrap_or(usize::MAX);
    let data = cursor.take(size)?;
    if !size.is_multiple_of(2) && !cursor.is_empty() {
        cursor.u8()?;
    }
    Ok((fourcc, data))
}

struct Bitstream {
    width: u32,
    height: u32,
    alpha: bool,
}

/// The bitstream's header, if the chunk is one.
fn bitstream(fourcc: [u8; 4], data: &[u8]) -> Result<Option<Bitstream>, InspectError> {
    match &fourcc {
        b"VP8 " => vp8(data).map(Some),
        b"VP8L" => vp8l(data).map(Some),
        _ => Ok(None),
    }
}

/// RFC 6386, section 9.1: the header of a key frame.
fn vp8(data: &[u8]) -> Result<Bitstream, InspectError> {
    let mut cursor = Cursor::new(data, damaged("its VP8 chunk is too short"));
    let tag = cursor.u24_le()?;
    let (inter_frame, version, shown) = (tag & 1 != 0, tag >> 1 & 7, tag & 0x10 != 0);
    let first_partition_size = usize::try_from(tag >> 5).unwrap_or(usize::MAX);
    if inter_frame || !shown || cursor.array()? != [0x9D, 0x01, 0x2A] {
        return Err(damaged("its VP8 chunk does not begin with a key frame"));
    }
    if version > 3 {
        return Err(damaged("its VP8 chunk has an unknown version"));
    }
    let width = u32::from(cursor.u16_le()? & 0x3FFF);
    let height = u32::from(cursor.u16_le()? & 0x3FFF);
    if first_partition_size == 0 || first_partition_size >= cursor.rest().len() {
        return Err(damaged("its VP8 chunk is shorter than its first partition"));
    }
    Ok(Bitstream { width, height, alpha: false })
}

/// RFC 9649, section 3.4.
fn vp8l(data: &[u8]) -> Result<Bitstream, InspectError> {
    let mut cursor = Cursor::new(data, damaged("its VP8L chunk is too short"));
    if cursor.u8()? != 0x2F {
        return Err(damaged("its VP8L chunk does not begin with the signature"));
    }
    let header = cursor.u32_le()?;
    if header >> 29 != 0 {
        return Err(damaged("its VP8L chunk has an unknown version"));
    }
    if cursor.is_empty() {
        return Err(damaged("its VP8L chunk holds no data"));
    }
    Ok(Bitstream {
        width: (header & 0x3FFF) + 1,
        height: (header >> 14 & 0x3FFF) + 1,
        alpha: header >> 28 & 1 != 0,
    })
}

/// Section 2.7: the VP8X chunk, and then all others. Gives the canvas's width and height, and whether it can be
/// transparent.
fn extended(vp8x: &[u8], riff: &mut Cursor<'_>, max_pixels: u64) -> Result<(u32, u32, bool), InspectError> {
    let mut header = Cursor::new(vp8x, damaged("its VP8X chunk is too short"));
    let [flags, _, _, _] = header.array()?;
    let width = header.u24_le()? + 1;
    let height = header.u24_le()? + 1;
    check_size(Format::WebP, width, height, max_pixels)?;

    let animated = flags & ANIMATION != 0;
    let mut announced = flags & (EXIF | XMP | ANIMATION);
    let mut image: Option<Bitstream> = None;
    let mut alpha = flags & ALPHA != 0;
    let mut alpha_chunk = false;
    while !riff.is_empty() {
        let (fourcc, data) = chunk(riff)?;
        match &fourcc {
            b"EXIF" => announced &= !EXIF,
            b"XMP " => announced &= !XMP,
            b"ANIM" if animated && data.len() != 6 => {
                return Err(damaged("its ANIM chunk has a wrong length"));
            }
            b"ANIM" => announced &= !ANIMATION,
            b"ANMF" if animated => {
                let frame = animation_frame(data, width, height)?;
                image.get_or_insert(frame);
            }
            b"ANMF" => return Err(damaged("it has a frame of an animation, and is none")),
            b"ALPH" if !animated => {
                transparency(data, width, height)?;
                alpha_chunk = true;
            }
            _ if !animated => {
                if let Some(bitstream) = bitstream(fourcc, data)? {
                    if (bitstream.width, bitstream.height) != (width, height) || image.is_some() {
                        return Err(damaged("its image does not agree with its canvas, or there are two"));
                    }
                    if alpha && !alpha_chunk && &fourcc == b"VP8 " {
                        return Err(damaged("the transparency that it announces is missing"));
                    }
                    image = Some(bitstream);
                }
            }
            _ => {}
        }
    }
    let image = image.ok_or(damaged("it has no image data"))?;
    if announced != 0 {
        return Err(damaged("metadata or an animation that it announces is missing"));
    }
    alpha |= alpha_chunk || image.alpha;
    Ok((width, height, alpha))
}

/// Section 2.7.1.2: the header of the ALPH chunk, and of what is not compressed a byte for each pixel.
fn transparency(alph: &[u8], width: u32, height: u32) -> Result<(), InspectError> {
    let [header, ref data @ ..] = *alph else {
        return Err(damaged("its transparency is empty"));
    };
    let (preprocessing, compression) = (header >> 4 & 3, header & 3);
    if preprocessing > 1 || compression > 1 {
        return Err(damaged("its transparency has an unknown method"));
    }
    if compression == 0 && (data.len() as u64) < u64::from(width) * u64::from(height) {
        return Err(damaged("its transparency is shorter than the picture"));
    }
    Ok(())
}

/// Section 2.7.1.1, the ANMF chunk. The frame's alpha is also true where it leaves a part of the canvas uncovered.
fn animation_frame(anmf: &[u8], canvas_width: u32, canvas_height: u32) -> Result<Bitstream, InspectError> {
    let mut cursor = Cursor::new(anmf, damaged("an animation frame is too short"));
    let x = cursor.u24_le()? * 2;
    let y = cursor.u24_le()? * 2;
    let width = cursor.u24_le()? + 1;
    let height = cursor.u24_le()? + 1;
    let _duration_and_flags = cursor.array::<4>()?;
    if x + width > canvas_width || y + height > canvas_height {
        return Err(damaged("an animation frame reaches beyond the canvas"));
    }
    let (mut fourcc, mut data) = chunk(&mut cursor)?;
    let is_padded = FRAME_HEADER_BYTES + CHUNK_HEADER_BYTES + data.len().next_multiple_of(2) <= anmf.len();
    if anmf.len() < LEAST_FRAME_BYTES || !is_padded {
        return Err(damaged("an animation frame is too short"));
    }
    let alpha_chunk = &fourcc == b"ALPH";
    if alpha_chunk {
        transparency(data, width, height)?;
        (fourcc, data) = chunk(&mut cursor)?;
    }
    let image = bitstream(fourcc, data)?
        .filter(|_| !alpha_chunk || &fourcc == b"VP8 ")
        .ok_or(damaged("an animation frame has no image data"))?;
    if (image.width, image.height) != (width, height) {
        return Err(damaged("an animation frame does not agree with its image"));
    }
    while !cursor.is_empty() {
        chunk(&mut cursor)?;
    }
    let covers = width == canvas_width && height == canvas_height;
    Ok(Bitstream { alpha: image.alpha || alpha_chunk || !covers, ..image })
}
