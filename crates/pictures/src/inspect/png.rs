//! PNG: the W3C's Portable Network Graphics Specification, third edition (RFC 2083 is the first).
//!
//! Checked: the signature; that every chunk is whole and its CRC right, up to IEND; the header's fields; the order and
//! number of IHDR, PLTE, IDAT and IEND; that no unknown chunk is critical. What follows IEND is let be: decoders stop
//! there.
//!
//! Not checked: the compressed pixels within the IDAT chunks, and what is in the ancillary chunks.

use super::{Inspected, check_size};
use crate::cursor::Cursor;
use crate::error::InspectError;
use crate::format::Format;

/// Section 5.2.
pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Section 11.2.1, the colour types that are told apart here.
const INDEXED: u8 = 3;
const GREYSCALE: u8 = 0;
const GREYSCALE_ALPHA: u8 = 4;
const TRUECOLOUR_ALPHA: u8 = 6;

pub(super) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    let mut cursor = Cursor::new(bytes, InspectError::CutShort(Format::Png));
    cursor.take(SIGNATURE.len())?;
    let (kind, data) = chunk(&mut cursor)?;
    if kind != *b"IHDR" {
        return Err(damaged("its first chunk is not IHDR"));
    }
    let header = header(data, max_pixels)?;
    let mut transparent = matches!(header.colour_type, GREYSCALE_ALPHA | TRUECOLOUR_ALPHA);
    let mut palette = false;
    let mut compressed_bytes = 0;
    let mut previous = kind;
    loop {
        let (kind, data) = chunk(&mut cursor)?;
        match &kind {
            b"PLTE" => {
                if palette || compressed_bytes > 0 {
                    return Err(damaged("its palette is repeated or comes late"));
                }
                check_palette(&header, data)?;
                palette = true;
            }
            b"IDAT" => {
                if compressed_bytes > 0 && previous != kind {
                    return Err(damaged("its IDAT chunks do not follow each other"));
                }
                if header.colour_type == INDEXED && !palette {
                    return Err(damaged("it has no palette"));
                }
                compressed_bytes += data.len();
            }
            b"IEND" if data.is_empty() => break,
            b"tRNS" => transparent = true,
            _ if is_critical(kind) => {
                return Err(damaged("it has a critical chunk that is unknown or misplaced"));
            }
            _ => {}
        }
        previous = kind;
    }
    if compressed_bytes == 0 {
        return Err(damaged("it has no image data"));
    }
    Ok(Inspected { format: Format::Png, width: header.width, height: header.height, alpha: transparent })
}

const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::Png, what)
}

/// Section 5.3: the next chunk's type and data.
fn chunk<'a>(cursor: &mut Cursor<'a>) -> Result<([u8; 4], &'a [u8]), InspectError> {
    let length = usize::try_from(cursor.u32_be()?).unwrap_or(usize::MAX);
    let kind = cursor.array::<4>()?;
    let data = cursor.take(length)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kind);
    crc.update(data);
    if cursor.u32_be()? != crc.finalize() {
        return Err(damaged("a chunk's checksum is wrong"));
    }
    Ok((kind, data))
}

/// Section 5.4: bit 5 of the first byte, by which it is a capital letter.
fn is_critical(kind: [u8; 4]) -> bool {
    let [first, ..] = kind;
    first & 0x20 == 0
}

struct Header {
    width: u32,
    height: u32,
    bit_depth: u8,
    colour_type: u8,
}

/// IHDR, section 11.2.1.
fn header(data: &[u8], max_pixels: u64) -> Result<Header, InspectError> {
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
        2 | GREYSCALE_ALPHA | TRUECOLOUR_ALPHA => matches!(bit_depth, 8 | 16),
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

/// PLTE, section 11.2.2.
fn check_palette(header: &Header, data: &[u8]) -> Result<(), InspectError> {
    let most = if header.colour_type == INDEXED { 1 << header.bit_depth } else { 256 };
    let entries = data.len() / 3;
    if matches!(header.colour_type, GREYSCALE | GREYSCALE_ALPHA) {
        return Err(damaged("it is greyscale and has a palette"));
    }
    if !data.len().is_multiple_of(3) || entries == 0 || entries > most {
        return Err(damaged("its palette has a wrong length"));
    }
    Ok(())
}
