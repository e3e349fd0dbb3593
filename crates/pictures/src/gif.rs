//! GIF: CompuServe's GIF89a specification, whose sections are cited below; GIF87a is a subset. An animation gives its first
//! frame, where it belongs on the canvas, and the rest of the canvas transparent.
//!
//! The walk checks the logical screen, the colour tables, and every block, sub-block by sub-block, up to the trailer; that there
//! is an image; that every image has pixels, a colour table and data; and that the extensions before the first image are those
//! of the specification, since the decoder refuses others. It ignores what follows the trailer. It does not check the LZW codes,
//! nor what is in the extensions.
//!
//! A frame states its own dimensions, which the canvas does not bound. What reaches beyond the canvas is cut off, but the decoder
//! holds the whole frame. So a frame's pixels are limited like the canvas's.

use std::io;
use std::ops::RangeInclusive;

use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, Limits};

use crate::cursor::Cursor;
use crate::error::{InspectError, Undecodable};
use crate::format::Format;
use crate::inspected::{Inspected, check_size};
use crate::picture::{Picture, Target, together};

pub(crate) const SIGNATURES: [&[u8; 6]; 2] = [b"GIF87a", b"GIF89a"];

const IMAGE_SEPARATOR: u8 = 0x2C;
const EXTENSION_INTRODUCER: u8 = 0x21;
const GRAPHIC_CONTROL_LABEL: u8 = 0xF9;
/// Plain text, graphic control, comment and application.
const EXTENSION_LABELS: [u8; 4] = [0x01, GRAPHIC_CONTROL_LABEL, 0xFE, 0xFF];
const TRAILER: u8 = 0x3B;

/// What decoders take. An encoder that keeps to the specification writes 2 to 8.
const LZW_MINIMUM_CODE_SIZES: RangeInclusive<u8> = 1..=11;

/// See [`Structure::memory`].
const CANVAS_BYTES_PER_PIXEL: u64 = 4;
const FRAME_BYTES_PER_PIXEL: u64 = 4 + 1;

/// The canvas and its first image, from one walk over the file.
pub(crate) struct Structure<'a> {
    file: &'a [u8],
    screen: Screen,
    first: Image,
    /// A graphic control before the first image names a transparent colour.
    has_transparent_colour: bool,
}

/// Walks the blocks.
pub(crate) fn read(bytes: &[u8], max_pixels: u64) -> Result<Structure<'_>, InspectError> {
    let mut cursor = Cursor::new(bytes, InspectError::CutShort(Format::Gif));
    cursor.array::<6>()?;
    let screen = read_screen(&mut cursor, max_pixels)?;
    let mut has_transparent_colour = false;
    let mut first: Option<Image> = None;
    loop {
        match cursor.u8()? {
            IMAGE_SEPARATOR => {
                let image = read_image(&mut cursor, &screen, max_pixels)?;
                first.get_or_insert(image);
            }
            EXTENSION_INTRODUCER => {
                let label = cursor.u8()?;
                if first.is_none() && !EXTENSION_LABELS.contains(&label) {
                    return Err(InspectError::Unsupported(Format::Gif, "an unknown extension"));
                }
                let names_colour = read_extension(label, &mut cursor)?;
                has_transparent_colour |= names_colour && first.is_none();
            }
            TRAILER => break,
            _ => return Err(damaged("it has a block that does not exist")),
        }
    }
    let first = first.ok_or(damaged("it has no image"))?;
    Ok(Structure { file: bytes, screen, first, has_transparent_colour })
}

impl Structure<'_> {
    pub(crate) fn inspected(&self) -> Inspected {
        let Screen { width, height, .. } = self.screen;
        let alpha = self.has_transparent_colour || !self.first.covers(&self.screen);
        Inspected { format: Format::Gif, width, height, alpha }
    }

    /// Measured as the growth of the resident set: RGBA for the canvas, once more for a frame that does not lie on it edge to
    /// edge, and the palette indices of the frame.
    pub(crate) fn memory(&self) -> u64 {
        let canvas = u64::from(self.screen.width) * u64::from(self.screen.height);
        canvas * CANVAS_BYTES_PER_PIXEL + self.first.pixels() * FRAME_BYTES_PER_PIXEL
    }

    pub(crate) fn decode(&self, target: Target) -> Result<Picture, Undecodable> {
        let mut decoder = GifDecoder::new(io::Cursor::new(self.file)).map_err(Undecodable::coded_data)?;
        // Keeps the decoder to the frame that was counted, should it find another.
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.first.pixels() * 4);
        decoder.set_limits(limits).map_err(Undecodable::coded_data)?;
        Ok(Picture {
            dimensions: (self.screen.width, self.screen.height),
            orientation: Orientation::NoTransforms,
            icc_profile: decoder.icc_profile().ok().flatten(),
            channels: together(
                DynamicImage::from_decoder(decoder).map_err(Undecodable::coded_data)?,
                target.fit,
            ),
        })
    }
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
fn read_screen(cursor: &mut Cursor<'_>, max_pixels: u64) -> Result<Screen, InspectError> {
    let width = u32::from(cursor.u16_le()?);
    let height = u32::from(cursor.u16_le()?);
    let [packed, _background, _aspect_ratio] = cursor.array()?;
    check_size(Format::Gif, width, height, max_pixels)?;
    let has_global_colour_table = skip_colour_table(cursor, packed)?;
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

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Sections 20 to 22: an image's descriptor, its colour table and its data.
fn read_image(cursor: &mut Cursor<'_>, screen: &Screen, max_pixels: u64) -> Result<Image, InspectError> {
    let left = cursor.u16_le()?;
    let top = cursor.u16_le()?;
    let width = u32::from(cursor.u16_le()?);
    let height = u32::from(cursor.u16_le()?);
    check_size(Format::Gif, width, height, max_pixels)?;
    let packed = cursor.u8()?;
    if !skip_colour_table(cursor, packed)? && !screen.has_global_colour_table {
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

/// Skips the colour table that a descriptor's packed fields announce. Whether there is one.
fn skip_colour_table(cursor: &mut Cursor<'_>, packed: u8) -> Result<bool, InspectError> {
    let present = packed & 0x80 != 0;
    if present {
        cursor.take(3 << ((packed & 0x07) + 1))?;
    }
    Ok(present)
}

/// Sections 23 to 26. Whether the extension is a graphic control with a transparent colour.
fn read_extension(label: u8, cursor: &mut Cursor<'_>) -> Result<bool, InspectError> {
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
