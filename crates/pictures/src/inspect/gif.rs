//! GIF: CompuServe's GIF89a specification, whose sections are cited below; GIF87a is a subset.
//!
//! Checked: the logical screen, the colour tables, and every block, sub-block by sub-block, up to the trailer; that there
//! is an image; that every image has pixels, a colour table and data; that the extensions before the first image are those of
//! the specification, since the worker's decoder insists on it. What follows the trailer is let be.
//!
//! Not checked: the LZW codes within an image's data, and what is in the extensions.

use super::{Inspected, check_size};
use crate::cursor::Cursor;
use crate::error::InspectError;
use crate::format::Format;

const IMAGE_SEPARATOR: u8 = 0x2C;
const EXTENSION_INTRODUCER: u8 = 0x21;
const GRAPHIC_CONTROL_LABEL: u8 = 0xF9;
/// Plain text, graphic control, comment and application.
const EXTENSION_LABELS: [u8; 4] = [0x01, GRAPHIC_CONTROL_LABEL, 0xFE, 0xFF];
const TRAILER: u8 = 0x3B;

/// What decoders take; an encoder that keeps to the specification writes 2 to 8.
const LZW_MINIMUM_CODE_SIZES: std::ops::RangeInclusive<u8> = 1..=11;

pub(super) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    let mut cursor = Cursor::new(bytes, InspectError::CutShort(Format::Gif));
    cursor.array::<6>()?;
    let screen = logical_screen(&mut cursor, max_pixels)?;
    let mut transparent = false;
    let mut first: Option<Image> = None;
    loop {
        match cursor.u8()? {
            IMAGE_SEPARATOR => {
                let image = image(&mut cursor, &screen, max_pixels)?;
                first.get_or_insert(image);
            }
            EXTENSION_INTRODUCER => {
                let label = cursor.u8()?;
                if first.is_none() && !EXTENSION_LABELS.contains(&label) {
                    return Err(InspectError::Unsupported(Format::Gif, "an unknown extension"));
                }
                let has_transparent_colour = extension(label, &mut cursor)?;
                transparent |= has_transparent_colour && first.is_none();
            }
            TRAILER => break,
            _ => return Err(damaged("it has a block that does not exist")),
        }
    }
    let first = first.ok_or(damaged("it has no image"))?;
    let alpha = transparent || !first.covers(&screen);
    Ok(Inspected { format: Format::Gif, width: screen.width, height: screen.height, alpha })
}

const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::Gif, what)
}

struct Screen {
    width: u32,
    height: u32,
    has_global_colour_table: bool,
}

/// Sections 18 and 19: the logical screen descriptor and the global colour table.
fn logical_screen(cursor: &mut Cursor<'_>, max_pixels: u64) -> Result<Screen, InspectError> {
    let width = u32::from(cursor.u16_le()?);
    let height = u32::from(cursor.u16_le()?);
    let [packed, _background, _aspect_ratio] = cursor.array()?;
    check_size(Format::Gif, width, height, max_pixels)?;
    let has_global_colour_table = colour_table(cursor, packed)?;
    Ok(Screen { width, height, has_global_colour_table })
}

struct Image {
    left: u16,
    top: u16,
    width: u32,
    height: u32,
}

impl Image {
    fn covers(&self, screen: &Screen) -> bool {
        self.left == 0 && self.top == 0 && self.width >= screen.width && self.height >= screen.height
    }
}

/// Sections 20 to 22: an image's descriptor, its colour table and its data. An image may reach beyond the screen, but a
/// decoder allocates all of it.
fn image(cursor: &mut Cursor<'_>, screen: &Screen, max_pixels: u64) -> Result<Image, InspectError> {
    let left = cursor.u16_le()?;
    let top = cursor.u16_le()?;
    let width = u32::from(cursor.u16_le()?);
    let height = u32::from(cursor.u16_le()?);
    check_size(Format::Gif, width, height, max_pixels)?;
    let packed = cursor.u8()?;
    if !colour_table(cursor, packed)? && !screen.has_global_colour_table {
        return Err(damaged("an image has no colour table"));
    }
    if !LZW_MINIMUM_CODE_SIZES.contains(&cursor.u8()?) {
        return Err(damaged("an image has a wrong LZW code size"));
    }
    if cursor.rest().first() == Some(&0) {
        return Err(damaged("an image holds no data"));
    }
    skip_sub_blocks(cursor)?;
    Ok(Image { left, top, width, height })
}

/// Skips the colour table that the packed fields of the descriptor before it announce, if they do.
fn colour_table(cursor: &mut Cursor<'_>, packed: u8) -> Result<bool, InspectError> {
    let present = packed & 0x80 != 0;
    if present {
        cursor.take(3 << ((packed & 0x07) + 1))?;
    }
    Ok(present)
}

/// Sections 23 to 26. Whether the extension is a graphic control with a transparent colour.
fn extension(label: u8, cursor: &mut Cursor<'_>) -> Result<bool, InspectError> {
    if label != GRAPHIC_CONTROL_LABEL {
        skip_sub_blocks(cursor)?;
        return Ok(false);
    }
    let [block_size, packed, _delay_low, _delay_high, _transparent_index, terminator] = cursor.array()?;
    if block_size != 4 || terminator != 0 {
        return Err(damaged("a graphic control extension has a wrong length"));
    }
    Ok(packed & 1 != 0)
}

/// Sections 15 and 16: sub-blocks up to and with the block terminator.
fn skip_sub_blocks(cursor: &mut Cursor<'_>) -> Result<(), InspectError> {
    loop {
        match cursor.u8()? {
            0 => return Ok(()),
            size => cursor.take(usize::from(size))?,
        };
    }
}
