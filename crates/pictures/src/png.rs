//! PNG, third edition of the W3C's specification, whose sections are cited below: any bit depth, with a palette or without,
//! interlaced or not. An animation gives its default image.
//!
//! The walk checks every chunk's length and checksum, from the signature to IEND; the header's fields; the order and number of
//! IHDR, PLTE, IDAT and IEND; and that no unknown chunk is critical. It ignores what follows IEND, as decoders do. It does not
//! check the compressed pixels, nor what is in ancillary chunks.
//!
//! The decoder gets only the chunks that pixels are made of. With the others it would do more than is asked: it fails where an
//! animation or a colour space has faults that no viewer minds, and it unpacks a profile of any length.

use std::io;
use std::ops::Range;

use image::codecs::png::PngDecoder;
use image::{DynamicImage, Limits};
use memchr::memchr;

use crate::cursor::Cursor;
use crate::error::{InspectError, Undecodable};
use crate::format::Format;
use crate::inspected::{Inspected, check_size};
use crate::picture::{Picture, Target, orientation, together};

/// Section 5.2.
pub(crate) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Section 11.2.1: the colour types.
const GREYSCALE: u8 = 0;
const TRUECOLOUR: u8 = 2;
const INDEXED: u8 = 3;
const GREYSCALE_ALPHA: u8 = 4;
const TRUECOLOUR_ALPHA: u8 = 6;

/// What the decoder may allocate for a row, which has up to 512 KiB, and for a palette.
const ROW_BYTES: u64 = 1 << 20;

/// A profile of 1 KB can unpack to 1 MB, and is then copied several times. In the other formats, which do not compress it, a
/// profile cannot be longer than this. Real ones are shorter. A picture with a longer one is taken for sRGB.
const MAX_PROFILE_BYTES: usize = 1 << 20;

/// The decoder's window over the decompressed rows grows to about this many of them.
const WINDOW_ROWS: u64 = 8;

/// The chunks that matter, from one walk over the file.
pub(crate) struct Structure<'a> {
    file: &'a [u8],
    header: Header,
    header_chunk: Range<usize>,
    palette: Option<Range<usize>>,
    /// The first tRNS that stands where it counts.
    transparency: Option<Range<usize>>,
    /// Whether there is a tRNS anywhere.
    has_transparency: bool,
    /// The IDAT chunks, which follow each other, from the first that holds data.
    image_data: Range<usize>,
    end: Range<usize>,
    exif: Option<&'a [u8]>,
    icc_profile: Option<&'a [u8]>,
}

/// Walks the chunks.
pub(crate) fn read(bytes: &[u8], max_pixels: u64) -> Result<Structure<'_>, InspectError> {
    let mut cursor = Cursor::new(bytes, InspectError::CutShort(Format::Png));
    cursor.take(SIGNATURE.len())?;
    let first = read_chunk(bytes, &mut cursor)?;
    if &first.kind != b"IHDR" {
        return Err(damaged("its first chunk is not IHDR"));
    }
    let mut structure = Structure {
        file: bytes,
        header: Header::parse(first.data, max_pixels)?,
        header_chunk: first.span,
        palette: None,
        transparency: None,
        has_transparency: false,
        image_data: 0..0,
        end: 0..0,
        exif: None,
        icc_profile: None,
    };
    let mut previous = first.kind;
    while structure.end.is_empty() {
        let chunk = read_chunk(bytes, &mut cursor)?;
        let kind = chunk.kind;
        structure.add(chunk, previous)?;
        previous = kind;
    }
    if structure.image_data.is_empty() {
        return Err(damaged("it has no image data"));
    }
    Ok(structure)
}

impl<'a> Structure<'a> {
    /// Takes in one chunk, which stands behind one of the kind `previous`.
    fn add(&mut self, chunk: Chunk<'a>, previous: [u8; 4]) -> Result<(), InspectError> {
        let before_data = self.image_data.is_empty();
        let lacks_palette = self.header.colour_type == INDEXED && self.palette.is_none();
        match &chunk.kind {
            b"PLTE" if self.palette.is_some() || !before_data => {
                return Err(damaged("its palette is repeated or comes late"));
            }
            b"PLTE" => {
                self.header.check_palette(chunk.data)?;
                self.palette = Some(chunk.span);
            }
            b"IDAT" if !before_data && &previous != b"IDAT" => {
                return Err(damaged("its IDAT chunks do not follow each other"));
            }
            b"IDAT" if lacks_palette => return Err(damaged("it has no palette")),
            b"IDAT" if before_data && chunk.data.is_empty() => {}
            b"IDAT" if before_data => self.image_data = chunk.span,
            b"IDAT" => self.image_data.end = chunk.span.end,
            b"IEND" if chunk.data.is_empty() => self.end = chunk.span,
            b"tRNS" => {
                self.has_transparency = true;
                if before_data && !lacks_palette && self.transparency.is_none() {
                    self.transparency = Some(chunk.span);
                }
            }
            b"eXIf" => self.exif = self.exif.or(Some(chunk.data)),
            b"iCCP" => self.icc_profile = self.icc_profile.or(Some(chunk.data)),
            _ if is_critical(chunk.kind) => {
                return Err(damaged("it has a critical chunk that is unknown or misplaced"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn inspected(&self) -> Inspected {
        let Header { width, height, colour_type, .. } = self.header;
        let alpha = self.has_transparency || matches!(colour_type, GREYSCALE_ALPHA | TRUECOLOUR_ALPHA);
        Inspected { format: Format::Png, width, height, alpha }
    }

    /// Measured as the growth of the resident set: the chunks that the decoder gets, the pixels, a copy of them if they are
    /// not yet of 8 bits and grey, RGB or RGBA, the window, and the profile.
    pub(crate) fn memory(&self) -> u64 {
        let Header { width, height, bit_depth, colour_type } = self.header;
        let transparency = u64::from(self.has_transparency);
        // The decoder makes RGB of a palette's indices.
        let channels = match colour_type {
            GREYSCALE => 1 + transparency,
            TRUECOLOUR | INDEXED => 3 + transparency,
            GREYSCALE_ALPHA => 2,
            _ => 4,
        };
        let copy = match channels {
            1 | 3 | 4 if bit_depth <= 8 => 0,
            2 => 4,
            _ => channels,
        };
        let bytes = channels * if bit_depth <= 8 { 1 } else { 2 };
        let pixels = u64::from(width) * u64::from(height);
        let window = u64::from(width) * bytes * WINDOW_ROWS;
        pixels * (bytes + copy) + window + ROW_BYTES + self.file.len() as u64 + MAX_PROFILE_BYTES as u64
    }

    pub(crate) fn decode(&self, target: Target) -> Result<Picture, Undecodable> {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(ROW_BYTES);
        let file = io::Cursor::new(self.pixels_only());
        let decoder = PngDecoder::with_limits(file, limits).map_err(Undecodable::coded_data)?;
        let pixels = DynamicImage::from_decoder(decoder).map_err(Undecodable::coded_data)?;
        Ok(Picture {
            dimensions: (self.header.width, self.header.height),
            orientation: orientation(self.exif),
            channels: together(pixels, target.fit),
            icc_profile: self.icc_profile.and_then(unpack_profile),
        })
    }

    /// The same PNG, without the chunks that change no pixel.
    fn pixels_only(&self) -> Vec<u8> {
        let optional = [self.palette.clone(), self.transparency.clone()];
        let chunks = [Some(self.header_chunk.clone())].into_iter().chain(optional);
        let chunks = chunks.chain([Some(self.image_data.clone()), Some(self.end.clone())]);
        let mut kept = SIGNATURE.to_vec();
        for chunk in chunks.flatten() {
            kept.extend_from_slice(&self.file[chunk]);
        }
        kept
    }
}

const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::Png, what)
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    /// Where it is in the file, with its length and its checksum.
    span: Range<usize>,
}

/// Section 5.3: the next chunk.
fn read_chunk<'a>(file: &[u8], cursor: &mut Cursor<'a>) -> Result<Chunk<'a>, InspectError> {
    let start = file.len() - cursor.rest().len();
    let length = usize::try_from(cursor.u32_be()?).unwrap_or(usize::MAX);
    let kind = cursor.array::<4>()?;
    let data = cursor.take(length)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(data);
    if cursor.u32_be()? != crc.finalize() {
        return Err(damaged("a chunk's checksum is wrong"));
    }
    Ok(Chunk { kind, data, span: start..file.len() - cursor.rest().len() })
}

/// Section 5.4: bit 5 of the first byte, which makes it a capital letter.
fn is_critical(kind: [u8; 4]) -> bool {
    let [first, ..] = kind;
    first & 0x20 == 0
}

/// IHDR, section 11.2.1.
struct Header {
    width: u32,
    height: u32,
    bit_depth: u8,
    colour_type: u8,
}

impl Header {
    fn parse(data: &[u8], max_pixels: u64) -> Result<Header, InspectError> {
        let mut cursor = Cursor::new(data, damaged("its IHDR chunk is too short"));
        let width = cursor.u32_be()?;
        let height = cursor.u32_be()?;
        let [bit_depth, colour_type, compression, filter, interlace] = cursor.array()?;
        if !cursor.is_empty() {
            return Err(damaged("its IHDR chunk is too long"));
        }
        let depth_is_allowed = match colour_type {
            GREYSCALE => matches!(bit_depth, 1 | 2 | 4 | 8 | 16),
            INDEXED => matches!(bit_depth, 1 | 2 | 4 | 8),
            TRUECOLOUR | GREYSCALE_ALPHA | TRUECOLOUR_ALPHA => matches!(bit_depth, 8 | 16),
            _ => false,
        };
        if !depth_is_allowed {
            return Err(damaged("its colour type and bit depth do not go together"));
        }
        if compression != 0 || filter != 0 || interlace > 1 {
            return Err(damaged("it has an unknown compression, filter or interlace method"));
        }
        check_size(Format::Png, width, height, max_pixels)?;
        Ok(Header { width, height, bit_depth, colour_type })
    }

    /// PLTE, section 11.2.2. The decoder panics at a length that is no multiple of 3, up to version 0.18.1
    /// (<https://github.com/image-rs/image-png/issues/694>).
    fn check_palette(&self, palette: &[u8]) -> Result<(), InspectError> {
        let most = if self.colour_type == INDEXED { 1 << self.bit_depth } else { 256 };
        let entries = palette.len() / 3;
        if matches!(self.colour_type, GREYSCALE | GREYSCALE_ALPHA) {
            return Err(damaged("it is greyscale and has a palette"));
        }
        if !palette.len().is_multiple_of(3) || entries == 0 || entries > most {
            return Err(damaged("its palette has a wrong length"));
        }
        Ok(())
    }
}

/// What an iCCP chunk holds (section 11.3.2.3): a name, a zero, the method, and the profile, compressed.
fn unpack_profile(iccp: &[u8]) -> Option<Vec<u8>> {
    let compressed = iccp.get(memchr(0, iccp)? + 2..)?;
    fdeflate::decompress_to_vec_bounded(compressed, MAX_PROFILE_BYTES).ok()
}
