//! The parts of a WebP file: RIFF chunks, the headers of bitstreams, transparency, and frames of animations (RFC 9649).

use vp8_keyframe::{Error, FrameHeader};

use crate::cursor::Cursor;
use crate::error::InspectError;
use crate::format::Format;

/// image-webp refuses a shorter ANMF chunk. Every frame of an encoder is longer.
const MIN_FRAME_BYTES: usize = 32;

/// An ANMF chunk's header, before the chunks of the frame (section 2.7.1.1).
const FRAME_HEADER_BYTES: usize = 16;

/// FourCC and size.
pub(super) const CHUNK_HEADER_BYTES: usize = 8;

pub(super) const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::WebP, what)
}

/// A RIFF chunk (section 2.3).
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) fourcc: [u8; 4],
    pub(super) data: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// Reads the next one. The byte that pads odd data may be missing at the very end.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Chunk<'a>, InspectError> {
        let fourcc = cursor.array()?;
        let size = usize::try_from(cursor.u32_le()?).unwrap_or(usize::MAX);
        let data = cursor.take(size)?;
        if !size.is_multiple_of(2) && !cursor.is_empty() {
            cursor.u8()?;
        }
        Ok(Chunk { fourcc, data })
    }
}

/// What the header of a VP8 or VP8L bitstream says.
pub(super) struct Bitstream<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) alpha: bool,
    /// The header of a lossy picture's frame.
    pub(super) frame: Option<Box<FrameHeader<'a>>>,
    /// The length of the chunk with the picture's prefix codes: a lossless picture, or transparency, which is coded like one.
    pub(super) lossless_bytes: usize,
}

impl<'a> Bitstream<'a> {
    /// Reads the header, if the chunk is a bitstream.
    pub(super) fn read(chunk: &Chunk<'a>) -> Result<Option<Bitstream<'a>>, InspectError> {
        match &chunk.fourcc {
            b"VP8 " => Self::read_lossy(chunk.data).map(Some),
            b"VP8L" => Self::read_lossless(chunk.data).map(Some),
            _ => Ok(None),
        }
    }

    fn read_lossy(data: &'a [u8]) -> Result<Bitstream<'a>, InspectError> {
        let frame = FrameHeader::parse(data).map_err(|error| match error {
            Error::TooShort => damaged("its VP8 chunk is too short"),
            Error::UnknownVersion(_) => damaged("its VP8 chunk has an unknown version"),
            Error::NoPixels => damaged("its width or height is zero"),
            Error::NotKeyFrame | Error::Hidden | Error::NoStartCode => {
                damaged("its VP8 chunk does not begin with a key frame")
            }
            Error::FirstPartitionCutShort => damaged("its VP8 chunk is shorter than its first partition"),
            _ => damaged("its VP8 chunk is shorter than its partitions"),
        })?;
        let (width, height) = (frame.width(), frame.height());
        Ok(Bitstream { width, height, alpha: false, frame: Some(Box::new(frame)), lossless_bytes: 0 })
    }

    /// Section 3.4.
    fn read_lossless(data: &'a [u8]) -> Result<Bitstream<'a>, InspectError> {
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
            frame: None,
            lossless_bytes: data.len(),
        })
    }
}

/// Checks the header of an ALPH chunk, and that uncompressed data have a byte for each pixel (section 2.7.1.2).
pub(super) fn check_transparency(alph: &[u8], width: u32, height: u32) -> Result<(), InspectError> {
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

/// Reads an ANMF chunk (section 2.7.1.1). The image's alpha is also true if it leaves a part of the canvas uncovered.
pub(super) fn read_animation_frame<'a>(
    anmf: &'a [u8],
    canvas_width: u32,
    canvas_height: u32,
) -> Result<Bitstream<'a>, InspectError> {
    let mut cursor = Cursor::new(anmf, damaged("an animation frame is too short"));
    let x = cursor.u24_le()? * 2;
    let y = cursor.u24_le()? * 2;
    let width = cursor.u24_le()? + 1;
    let height = cursor.u24_le()? + 1;
    let _duration_and_flags = cursor.array::<4>()?;
    if x + width > canvas_width || y + height > canvas_height {
        return Err(damaged("an animation frame reaches beyond the canvas"));
    }
    let first = Chunk::read(&mut cursor)?;
    let padded_bytes = FRAME_HEADER_BYTES + CHUNK_HEADER_BYTES + first.data.len().next_multiple_of(2);
    if anmf.len() < MIN_FRAME_BYTES.max(padded_bytes) {
        return Err(damaged("an animation frame is too short"));
    }
    let has_transparency = &first.fourcc == b"ALPH";
    let chunk = if has_transparency {
        check_transparency(first.data, width, height)?;
        Chunk::read(&mut cursor)?
    } else {
        first
    };
    let mut image = Bitstream::read(&chunk)?
        .filter(|image| !has_transparency || image.frame.is_some())
        .ok_or(damaged("an animation frame has no image data"))?;
    if (image.width, image.height) != (width, height) {
        return Err(damaged("an animation frame does not agree with its image"));
    }
    while !cursor.is_empty() {
        Chunk::read(&mut cursor)?;
    }
    let covers_canvas = width == canvas_width && height == canvas_height;
    image.alpha |= has_transparency || !covers_canvas;
    if has_transparency {
        image.lossless_bytes = first.data.len();
    }
    Ok(image)
}
