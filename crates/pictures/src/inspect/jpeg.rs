//! JPEG: ITU-T T.81, Annex B, with the markers of its Table B.1.
//!
//! Checked: every marker segment from SOI to EOI and its length; the quantization and Huffman tables; exactly one frame
//! header, of a process that the worker decodes (baseline, extended sequential with 8 bits a sample, progressive, all
//! Huffman-coded); that each scan names components and tables which exist, in ways that the worker's decoder and a viewer's
//! take, and holds as many bits and restart markers as it must at the least; that each component has a scan. Stray bytes
//! between segments are passed over, as all decoders do. What follows EOI is let be, since telephones put films, depth maps
//! and further pictures there.
//!
//! Not checked: the entropy-coded data beyond its markers and its length, and what is in the APPn segments. So a JPEG that
//! was cut short and then given an EOI is noticed by its restart markers, if it has any, or else only if next to nothing of
//! a scan is left. Otherwise the worker's decoder notices, and the thumbnails are the broken picture.

mod scan;

use super::{Inspected, check_size};
use crate::cursor::Cursor;
use crate::error::InspectError;
use crate::format::Format;
use crate::thumbnails::MAX_JPEG_SCANS;

/// As much as a decoder's arithmetic is made for; samples of 8 bits need 11 (T.81, F.1.2.1).
const MAX_DC_BITS: u8 = 15;

/// SOI and the first byte of the marker that must follow it.
pub(super) const SIGNATURE: [u8; 3] = [0xFF, 0xD8, 0xFF];

const CUT_SHORT: InspectError = InspectError::CutShort(Format::Jpeg);

const SOF0: u8 = 0xC0;
const SOF2: u8 = 0xC2;
const DHT: u8 = 0xC4;
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP15: u8 = 0xEF;
const COM: u8 = 0xFE;

pub(super) fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    let mut cursor = Cursor::new(bytes, CUT_SHORT);
    cursor.array::<2>()?;
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut restart_interval = 0;
    let mut scans = 0;
    loop {
        match next_marker(&mut cursor)? {
            EOI => break,
            marker @ SOF0..=SOF2 => {
                if frame.is_some() {
                    return Err(damaged("it has two frame headers"));
                }
                frame = Some(frame_header(marker, segment(&mut cursor)?, max_pixels)?);
            }
            DQT => tables.define_quantization(segment(&mut cursor)?)?,
            DHT => tables.define_huffman(segment(&mut cursor)?)?,
            DRI => {
                let mut parameters = segment(&mut cursor)?;
                restart_interval = parameters.u16_be()?.into();
                must_end(&parameters)?;
            }
            SOS => {
                scans += 1;
                if scans > MAX_JPEG_SCANS {
                    return Err(unsupported("over 100 scans"));
                }
                let frame = frame.as_mut().ok_or(damaged("a scan comes before the frame header"))?;
                let least = scan::header(segment(&mut cursor)?, frame, &tables)?;
                scan::data(&mut cursor)?.check(&least, restart_interval)?;
            }
            APP0..=APP15 | COM => {
                segment(&mut cursor)?;
            }
            marker => return Err(refused(marker)),
        }
    }
    let frame = frame.ok_or(damaged("it has no frame header"))?;
    if !frame.components.iter().all(|component| component.scanned) {
        return Err(damaged("a colour component has no scan"));
    }
    Ok(Inspected { format: Format::Jpeg, width: frame.width, height: frame.height, alpha: false })
}

const fn damaged(what: &'static str) -> InspectError {
    InspectError::Damaged(Format::Jpeg, what)
}

const fn unsupported(what: &'static str) -> InspectError {
    InspectError::Unsupported(Format::Jpeg, what)
}

fn refused(marker: u8) -> InspectError {
    match marker {
        0xC3 => unsupported("lossless compression"),
        0xC5..=0xC7 | 0xDE | 0xDF => unsupported("the hierarchical mode"),
        0xC9..=0xCF => unsupported("arithmetic coding"),
        0xDC => unsupported("a height that follows the first scan (DNL)"),
        0xF0..=0xFD => unsupported("an extension of the format (JPGn)"),
        SOI => damaged("a second start marker comes before the end marker"),
        RST0..=RST7 => damaged("a restart marker stands outside a scan"),
        _ => damaged("it has a marker that does not exist"),
    }
}

/// The code of the next marker, after any fill bytes (B.1.1.2) and any stray ones: some cameras leave bytes between their
/// segments.
fn next_marker(cursor: &mut Cursor<'_>) -> Result<u8, InspectError> {
    loop {
        let stray = memchr::memchr(0xFF, cursor.rest()).ok_or(CUT_SHORT)?;
        cursor.take(stray)?;
        let mut code = 0xFF;
        while code == 0xFF {
            code = cursor.u8()?;
        }
        if code != 0 {
            return Ok(code);
        }
    }
}

/// The parameters of the segment whose marker was just read.
fn segment<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, InspectError> {
    let length =
        usize::from(cursor.u16_be()?).checked_sub(2).ok_or(damaged("a segment's length is under 2"))?;
    Ok(Cursor::new(cursor.take(length)?, damaged("a segment is shorter than what it must hold")))
}

fn must_end(segment: &Cursor<'_>) -> Result<(), InspectError> {
    if segment.is_empty() { Ok(()) } else { Err(damaged("a segment is longer than what it may hold")) }
}

/// What has been defined for each of the four destinations.
struct Tables {
    quantization: [bool; 4],
    /// The length of the shortest code.
    dc: [Option<u64>; 4],
    ac: [Option<u64>; 4],
}

/// Single frames of Motion JPEG leave out the Huffman tables of T.81's Annex K.3, two of each class; decoders fill them in.
impl Default for Tables {
    fn default() -> Tables {
        let standard = [Some(2), Some(2), None, None];
        Tables { quantization: [false; 4], dc: standard, ac: standard }
    }
}

impl Tables {
    /// DQT, B.2.4.1.
    fn define_quantization(&mut self, mut segment: Cursor<'_>) -> Result<(), InspectError> {
        while !segment.is_empty() {
            let [precision, destination] = nibbles(segment.u8()?);
            let defined = self.quantization.get_mut(usize::from(destination));
            let Some(defined) = defined.filter(|_| precision <= 1) else {
                return Err(damaged("a quantization table has a wrong precision or number"));
            };
            segment.take(64 * (1 + usize::from(precision)))?;
            *defined = true;
        }
        Ok(())
    }

    /// DHT, B.2.4.2.
    fn define_huffman(&mut self, mut segment: Cursor<'_>) -> Result<(), InspectError> {
        while !segment.is_empty() {
            let [class, destination] = nibbles(segment.u8()?);
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
            let shortest = tables.get_mut(usize::from(destination));
            let Some(shortest) = shortest.filter(|_| class <= 1) else {
                return Err(damaged("a Huffman table has a wrong class or number"));
            };
            let counts = segment.array::<16>()?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let code_space: u32 =
                counts.iter().zip(1..).map(|(&count, bits)| u32::from(count) << (16 - bits)).sum();
            if symbols > 256 || code_space > 1 << 16 {
                return Err(damaged("a Huffman table has more codes than there can be"));
            }
            if segment.take(symbols)?.iter().any(|&symbol| class == 0 && symbol > MAX_DC_BITS) {
                return Err(damaged("a Huffman table has a difference of over 15 bits"));
            }
            *shortest = counts.iter().zip(1..).find(|(count, _)| **count > 0).map(|(_, bits)| bits);
        }
        Ok(())
    }
}

struct Frame {
    marker: u8,
    width: u32,
    height: u32,
    components: Vec<Component>,
}

impl Frame {
    fn is_progressive(&self) -> bool {
        self.marker == SOF2
    }

    /// The largest horizontal and the largest vertical sampling factor.
    fn most(&self) -> [u32; 2] {
        let most =
            |direction: fn(&Component) -> u32| self.components.iter().map(direction).max().unwrap_or(1);
        [most(|component| component.horizontal), most(|component| component.vertical)]
    }
}

struct Component {
    id: u8,
    /// The sampling factors.
    horizontal: u32,
    vertical: u32,
    quantization_table: usize,
    scanned: bool,
}

/// SOFn, B.2.2.
fn frame_header(marker: u8, mut segment: Cursor<'_>, max_pixels: u64) -> Result<Frame, InspectError> {
    if segment.u8()? != 8 {
        return Err(unsupported("other than 8 bits a sample"));
    }
    let height = u32::from(segment.u16_be()?);
    let width = u32::from(segment.u16_be()?);
    check_size(Format::Jpeg, width, height, max_pixels)?;
    let count = segment.u8()?;
    if !matches!(count, 1 | 3 | 4) {
        return Err(unsupported("other than 1, 3 or 4 colour components"));
    }
    let mut components: Vec<Component> = Vec::new();
    for _ in 0..count {
        let [id, sampling, quantization_table] = segment.array()?;
        let [horizontal, vertical] = nibbles(sampling).map(u32::from);
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantization_table > 3 {
            return Err(damaged("a colour component has a wrong sampling factor or table"));
        }
        if components.iter().any(|other| other.id == id) {
            return Err(damaged("two colour components have the same number"));
        }
        let quantization_table = quantization_table.into();
        components.push(Component { id, horizontal, vertical, quantization_table, scanned: false });
    }
    must_end(&segment)?;
    let frame = Frame { marker, width, height, components };
    let [horizontal, vertical] = frame.most();
    let is_whole = |component: &Component| {
        horizontal.is_multiple_of(component.horizontal) && vertical.is_multiple_of(component.vertical)
    };
    // We could scale it, but libjpeg cannot, and so no browser would show the original.
    if !frame.components.iter().all(is_whole) {
        return Err(unsupported("sampling factors that do not divide each other"));
    }
    Ok(frame)
}

fn nibbles(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0x0F]
}
