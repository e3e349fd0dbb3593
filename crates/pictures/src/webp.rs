//! WebP: lossy, lossless, with or without transparency, and the first frame of an animation (RFC 9649).
//!
//! [`read`] walks the RIFF chunks once and checks what they can prove: that the file is as long as its header says, each
//! chunk's length, the header of each bitstream, that an image is as large as its canvas or frame, that what the VP8X flags
//! announce is there, and each frame of an animation. What follows the RIFF chunk is ignored, as the RFC allows. It does not
//! look into the bitstreams beyond their headers, nor into the ICCP, EXIF and XMP chunks.
//!
//! An opaque lossy picture is decoded by `vp8-keyframe` and stays in planes. All else is decoded by `image-webp`, which walks
//! the chunks by itself and trusts them more than it should. So this file refuses what would mislead it: of two things that it
//! could take for the picture there may be only one, and metadata are taken from here, as slices of the file.

mod chunks;
#[cfg(test)]
mod tests;

use std::io;

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, GrayImage};
use vp8_keyframe::{FrameHeader, LoopFilter, Options};

use crate::cursor::Cursor;
use crate::error::{InspectError, Undecodable};
use crate::format::Format;
use crate::inspected::{Inspected, check_size};
use crate::picture::{Channels, Picture, Plane, Target, find_visible, orientation, together};
use chunks::{Bitstream, CHUNK_HEADER_BYTES, Chunk, check_transparency, damaged, read_animation_frame};

/// The bits of the VP8X chunk's flags (RFC 9649, section 2.7).
const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
const XMP: u8 = 0x04;
const ANIMATION: u8 = 0x02;

/// The longest side of a lossless picture. image-webp takes it for 0 in a file without a VP8X chunk.
const LONGEST_LOSSLESS_SIDE: u32 = 16_384;

/// If a picture is scaled down by more, its loop filter is left out. Over five photographs that cost JPEG thumbnails at most
/// 0.2 points of SSIMULACRA2, 0.4 for originals of the lowest quality.
const UNFILTERED_REDUCTION: f64 = 4.0;

/// The bytes a pixel that image-webp holds for a still picture. Measured as the growth of the resident set for lossless
/// pictures (7), and counted in its source for lossy ones with transparency: planes, pixels and alpha.
const STILL_BYTES_PER_PIXEL: u64 = 12;

/// The same for an animation, which has a canvas and a frame besides (12 measured for lossless).
const ANIMATION_BYTES_PER_PIXEL: u64 = 16;

/// The bytes of tables that image-webp can build for each byte of a lossless bitstream. A prefix code can be written in 113
/// bits and becomes a table of 4 KiB, and all codes are built up to the largest that a block names, used or not: a picture
/// of 4x4 pixels in 1 MB grew by 279 MiB.
const TABLE_BYTES_PER_LOSSLESS_BYTE: u64 = 320;

/// What the walk over the chunks finds.
pub(crate) struct Structure<'a> {
    /// Of the canvas, if there is one.
    width: u32,
    height: u32,
    alpha: bool,
    exif: Option<&'a [u8]>,
    icc_profile: Option<&'a [u8]>,
    pixels: Pixels<'a>,
}

/// Where the pixels are, by the decoder that they need.
enum Pixels<'a> {
    OpaqueLossy(Box<FrameHeader<'a>>),
    Other {
        /// The RIFF chunk.
        file: &'a [u8],
        is_animation: bool,
        /// As in [`Bitstream`].
        lossless_bytes: usize,
    },
}

/// Walks a file's chunks.
pub(crate) fn read(bytes: &[u8], max_pixels: u64) -> Result<Structure<'_>, InspectError> {
    let mut file = Cursor::new(bytes, InspectError::CutShort(Format::WebP));
    let _riff = file.array::<4>()?;
    let size = usize::try_from(file.u32_le()?).unwrap_or(usize::MAX);
    let mut chunks = Cursor::new(file.take(size)?, damaged("a chunk runs past the end of the file"));
    let file = &bytes[..CHUNK_HEADER_BYTES + size];
    let _webp = chunks.array::<4>()?;
    let first = Chunk::read(&mut chunks)?;
    if &first.fourcc == b"VP8X" {
        let mut walk = Walk::start(first.data, max_pixels)?;
        while !chunks.is_empty() {
            walk.add(Chunk::read(&mut chunks)?)?;
        }
        return walk.finish(file);
    }
    let image = Bitstream::read(&first)?.ok_or(damaged("its first chunk is not VP8, VP8L or VP8X"))?;
    check_size(Format::WebP, image.width, image.height, max_pixels)?;
    if image.width.max(image.height) == LONGEST_LOSSLESS_SIDE {
        return Err(InspectError::Unsupported(Format::WebP, "a side of 16384 pixels"));
    }
    while !chunks.is_empty() {
        Chunk::read(&mut chunks)?;
    }
    let Bitstream { width, height, alpha, frame, lossless_bytes } = image;
    let pixels = match frame {
        Some(frame) => Pixels::OpaqueLossy(frame),
        None => Pixels::Other { file, is_animation: false, lossless_bytes },
    };
    Ok(Structure { width, height, alpha, exif: None, icc_profile: None, pixels })
}

impl Structure<'_> {
    pub(crate) fn inspected(&self) -> Inspected {
        let Structure { width, height, alpha, .. } = *self;
        Inspected { format: Format::WebP, width, height, alpha }
    }

    /// The bytes that [`Structure::decode`] holds at its peak.
    pub(crate) fn memory(&self) -> u64 {
        match &self.pixels {
            Pixels::OpaqueLossy(frame) => frame.memory(),
            Pixels::Other { is_animation, lossless_bytes, .. } => {
                let a_pixel = if *is_animation { ANIMATION_BYTES_PER_PIXEL } else { STILL_BYTES_PER_PIXEL };
                u64::from(self.width) * u64::from(self.height) * a_pixel
                    + *lossless_bytes as u64 * TABLE_BYTES_PER_LOSSLESS_BYTE
            }
        }
    }

    pub(crate) fn decode(&self, target: Target) -> Result<Picture, Undecodable> {
        let channels = match &self.pixels {
            Pixels::OpaqueLossy(frame) => decode_planes(frame, target)?,
            Pixels::Other { file, .. } => {
                let decoder = WebPDecoder::new(io::Cursor::new(file)).map_err(Undecodable::coded_data)?;
                together(DynamicImage::from_decoder(decoder).map_err(Undecodable::coded_data)?, target.fit)
            }
        };
        Ok(Picture {
            dimensions: (self.width, self.height),
            orientation: orientation(self.exif),
            icc_profile: self.icc_profile.map(<[u8]>::to_vec),
            channels,
        })
    }
}

/// Decodes an opaque lossy picture, which need not become RGB at its full size.
fn decode_planes(header: &FrameHeader, target: Target) -> Result<Channels<Plane>, Undecodable> {
    let shown = find_visible((header.width(), header.height()), target.fit);
    let reduction = shown.width.max(shown.height) / f64::from(target.side);
    let filter = if reduction < UNFILTERED_REDUCTION { LoopFilter::Apply } else { LoopFilter::Skip };
    let frame =
        header.decode(Options::default().with_loop_filter(filter)).map_err(Undecodable::coded_data)?;
    let plane = |plane: vp8_keyframe::Plane, of_luma: f64| {
        let visible = shown.scaled(of_luma, of_luma).within(plane.width, plane.height);
        let pixels = GrayImage::from_raw(plane.width, plane.height, plane.samples);
        let pixels = pixels.ok_or_else(|| Undecodable::coded_data("a plane has too few samples"))?;
        Ok::<_, Undecodable>(Plane { pixels: pixels.into(), visible, limited_range: true })
    };
    Ok(Channels::YCbCr([plane(frame.y, 1.0)?, plane(frame.u, 0.5)?, plane(frame.v, 0.5)?]))
}

/// The walk over a file with a VP8X chunk (section 2.7).
struct Walk<'a> {
    flags: u8,
    width: u32,
    height: u32,
    /// The flags whose chunk has not come yet.
    missing: u8,
    exif: Option<&'a [u8]>,
    icc_profile: Option<&'a [u8]>,
    /// The transparency of a still picture.
    transparency: Option<&'a [u8]>,
    /// The still picture, or the first frame of an animation.
    image: Option<Bitstream<'a>>,
}

impl<'a> Walk<'a> {
    fn start(vp8x: &[u8], max_pixels: u64) -> Result<Walk<'a>, InspectError> {
        let mut header = Cursor::new(vp8x, damaged("its VP8X chunk is too short"));
        let [flags, _, _, _] = header.array()?;
        let width = header.u24_le()? + 1;
        let height = header.u24_le()? + 1;
        check_size(Format::WebP, width, height, max_pixels)?;
        Ok(Walk {
            flags,
            width,
            height,
            missing: flags & (EXIF | XMP | ANIMATION),
            exif: None,
            icc_profile: None,
            transparency: None,
            image: None,
        })
    }

    fn is_animation(&self) -> bool {
        self.flags & ANIMATION != 0
    }

    fn add(&mut self, chunk: Chunk<'a>) -> Result<(), InspectError> {
        let data = chunk.data;
        match &chunk.fourcc {
            b"ICCP" => _ = self.icc_profile.get_or_insert(data),
            b"EXIF" => {
                self.exif.get_or_insert(data);
                self.missing &= !EXIF;
            }
            b"XMP " => self.missing &= !XMP,
            b"ANIM" if self.is_animation() && data.len() != 6 => {
                return Err(damaged("its ANIM chunk has a wrong length"));
            }
            b"ANIM" => self.missing &= !ANIMATION,
            b"ANMF" if self.is_animation() => {
                let frame = read_animation_frame(data, self.width, self.height)?;
                self.image.get_or_insert(frame);
            }
            b"ANMF" => return Err(damaged("it has a frame of an animation, and is none")),
            b"ALPH" if !self.is_animation() => {
                check_transparency(data, self.width, self.height)?;
                self.transparency.get_or_insert(data);
            }
            b"VP8 " | b"VP8L" if !self.is_animation() => self.add_image(&chunk)?,
            _ => {}
        }
        Ok(())
    }

    fn add_image(&mut self, chunk: &Chunk<'a>) -> Result<(), InspectError> {
        let Some(image) = Bitstream::read(chunk)? else { return Ok(()) };
        if (image.width, image.height) != (self.width, self.height) || self.image.is_some() {
            return Err(damaged("its image does not agree with its canvas, or there are two"));
        }
        let announces_alpha = self.flags & ALPHA != 0;
        if announces_alpha && image.frame.is_some() && self.transparency.is_none() {
            return Err(damaged("the transparency that it announces is missing"));
        }
        self.image = Some(image);
        Ok(())
    }

    fn finish(self, file: &'a [u8]) -> Result<Structure<'a>, InspectError> {
        let is_animation = self.is_animation();
        let image = self.image.ok_or(damaged("it has no image data"))?;
        if self.missing != 0 {
            return Err(damaged("metadata or an animation that it announces is missing"));
        }
        let announces_alpha = self.flags & ALPHA != 0;
        let alpha = announces_alpha || self.transparency.is_some() || image.alpha;
        let pixels = match image.frame {
            Some(frame) if !is_animation && !announces_alpha => Pixels::OpaqueLossy(frame),
            // image-webp refuses the reserved colour space, which libwebp and `vp8-keyframe` ignore.
            Some(frame) if frame.color_space() != 0 => {
                return Err(InspectError::Unsupported(Format::WebP, "a reserved colour space"));
            }
            _ => {
                let lossless_bytes = image.lossless_bytes.max(self.transparency.map_or(0, <[u8]>::len));
                Pixels::Other { file, is_animation, lossless_bytes }
            }
        };
        let Walk { width, height, exif, icc_profile, .. } = self;
        Ok(Structure { width, height, alpha, exif, icc_profile, pixels })
    }
}
