//! JPEG: ITU-T T.81, Annex B, with the markers of its Table B.1.
//!
//! Checked: every marker segment from SOI to EOI and its length; the quantization and Huffman tables; exactly one frame
//! header, of a process that the worker decodes (baseline, extended sequential with 8 bits a sample, progressive, all
//! Huffman-coded); that each scan names components and tables which exist and holds data; that each component has a scan.
//! What follows EOI is let be, since telephones put films, depth maps and further pictures there.
//!
//! Not checked: the entropy-coded data beyond its markers, the order of the restart markers, and what is in the APPn
//! segments.

use super::cursor::Cursor;
use super::{InspectError, Inspected, check_size};
use crate::format::Format;

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
    loop {
        match next_marker(&mut cursor)? {
            EOI => break,
            marker @ SOF0..=SOF2 => {
                if frame.is_some() {
                    return Err(damaged("it has two frame headers"));
                }
                frame = Some(frame_header(segment(&mut cursor)?, marker == SOF2, max_pixels)?);
            }
            DQT => tables.define_quantization(segment(&mut cursor)?)?,
            DHT => tables.define_huffman(segment(&mut cursor)?)?,
            DRI => {
                if segment(&mut cursor)?.rest().len() != 2 {
                    return Err(damaged("its restart interval has a wrong length"));
                }
            }
            SOS => {
                let frame = frame.as_mut().ok_or(damaged("a scan comes before the frame header"))?;
                scan_header(segment(&mut cursor)?, frame, &tables)?;
                skip_entropy_coded_data(&mut cursor)?;
            }
            marker @ (APP0..=APP15 | COM) => {
                let parameters = segment(&mut cursor)?;
                if marker == APP0 && parameters.rest().starts_with(b"AVI1") {
                    tables.assume_standard_huffman();
                }
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

/// The code of the marker that must come next, after any fill bytes (B.1.1.2).
fn next_marker(cursor: &mut Cursor<'_>) -> Result<u8, InspectError> {
    if cursor.u8()? != 0xFF {
        return Err(damaged("a segment is not followed by a marker"));
    }
    loop {
        match cursor.u8()? {
            0xFF => {}
            code => return Ok(code),
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

/// Which tables have been defined, a bit a destination.
#[derive(Default)]
struct Tables {
    quantization: u8,
    dc: u8,
    ac: u8,
}

impl Tables {
    /// DQT, B.2.4.1.
    fn define_quantization(&mut self, mut segment: Cursor<'_>) -> Result<(), InspectError> {
        while !segment.is_empty() {
            let [precision, destination] = nibbles(segment.u8()?);
            if precision > 1 || destination > 3 {
                return Err(damaged("a quantization table has a wrong precision or number"));
            }
            segment.take(if precision == 0 { 64 } else { 128 })?;
            self.quantization |= 1 << destination;
        }
        Ok(())
    }

    /// DHT, B.2.4.2.
    fn define_huffman(&mut self, mut segment: Cursor<'_>) -> Result<(), InspectError> {
        while !segment.is_empty() {
            let [class, destination] = nibbles(segment.u8()?);
            if class > 1 || destination > 3 {
                return Err(damaged("a Huffman table has a wrong class or number"));
            }
            let counts = segment.array::<16>()?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let code_space: u32 =
                counts.iter().zip(1..).map(|(&count, bits)| u32::from(count) << (16 - bits)).sum();
            if symbols > 256 || code_space > 1 << 16 {
                return Err(damaged("a Huffman table has more codes than there can be"));
            }
            segment.take(symbols)?;
            if class == 0 { self.dc |= 1 << destination } else { self.ac |= 1 << destination }
        }
        Ok(())
    }

    /// Single frames of Motion JPEG leave out the tables of T.81's Annex K.3; decoders know them.
    fn assume_standard_huffman(&mut self) {
        self.dc |= 0b11;
        self.ac |= 0b11;
    }
}

struct Frame {
    progressive: bool,
    width: u32,
    height: u32,
    components: Vec<Component>,
}

struct Component {
    id: u8,
    quantization_table: u8,
    scanned: bool,
}

/// SOFn, B.2.2.
fn frame_header(mut segment: Cursor<'_>, progressive: bool, max_pixels: u64) -> Result<Frame, InspectError> {
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
        let [horizontal, vertical] = nibbles(sampling);
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantization_table > 3 {
            return Err(damaged("a colour component has a wrong sampling factor or table"));
        }
        if components.iter().any(|other| other.id == id) {
            return Err(damaged("two colour components have the same number"));
        }
        components.push(Component { id, quantization_table, scanned: false });
    }
    must_end(&segment)?;
    Ok(Frame { progressive, width, height, components })
}

/// SOS, B.2.3. Marks the components that the scan starts.
fn scan_header(mut segment: Cursor<'_>, frame: &mut Frame, tables: &Tables) -> Result<(), InspectError> {
    let count = usize::from(segment.u8()?);
    if !(1..=4).contains(&count) {
        return Err(damaged("a scan has no colour components, or over four"));
    }
    let selectors = segment.take(2 * count)?;
    let [start, end, approximation] = segment.array()?;
    let [high, low] = nibbles(approximation);
    must_end(&segment)?;
    if start > end || end > 63 || high > 13 || low > 13 {
        return Err(damaged("a scan has a wrong spectral selection or approximation"));
    }
    let needs_dc = !frame.progressive || (start == 0 && high == 0);
    let needs_ac = !frame.progressive || start > 0;
    for (id, [dc, ac]) in
        selectors.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, nibbles(*pair.last()?))))
    {
        let component = frame
            .components
            .iter_mut()
            .find(|component| component.id == id)
            .ok_or(damaged("a scan names a colour component that does not exist"))?;
        if !has(tables.quantization, component.quantization_table) {
            return Err(damaged("a quantization table is missing"));
        }
        if (needs_dc && !has(tables.dc, dc)) || (needs_ac && !has(tables.ac, ac)) {
            return Err(damaged("a Huffman table is missing"));
        }
        component.scanned |= needs_dc;
    }
    Ok(())
}

/// Leaves the cursor at the marker that ends the scan's data. Stuffed zeros and restart markers belong to the data
/// (B.1.1.5, B.2.1).
fn skip_entropy_coded_data(cursor: &mut Cursor<'_>) -> Result<(), InspectError> {
    let mut length = 0;
    loop {
        let rest = cursor.rest();
        let ahead = match rest.first() {
            Some(0xFF) => 0,
            _ => memchr::memchr(0xFF, rest).ok_or(CUT_SHORT)?,
        };
        cursor.take(ahead)?;
        length += ahead;
        match cursor.rest().get(1).ok_or(CUT_SHORT)? {
            0x00 | RST0..=RST7 => {
                cursor.take(2)?;
                length += 2;
            }
            0xFF => {
                cursor.u8()?;
            }
            _ if length == 0 => return Err(damaged("a scan holds no data")),
            _ => return Ok(()),
        }
    }
}

fn nibbles(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0x0F]
}

fn has(set: u8, number: u8) -> bool {
    number < 8 && set & (1 << number) != 0
}
