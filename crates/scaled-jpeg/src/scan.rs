//! A scan: its header (T.81, B.2.3), and the least that its coded data must be.
//!
//! Each block of 8x8 samples takes at least a bit or two. Holding a scan to that refuses files that were cut down to almost
//! nothing, and headers of a few bytes that announce millions of pixels and would cost a decode of them. Whatever an encoder
//! writes is at least this long.

use crate::cursor::{Cursor, nibbles};
use crate::error::{Damage, Error};
use crate::frame::{Component, Frame, Grid};
use crate::tables::{HuffmanCodes, Tables};

/// The most blocks that an MCU may have (B.2.3). We could decode more, but libjpeg cannot, so no browser shows such a picture.
const MAX_BLOCKS_IN_MCU: u32 = 10;

const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;

/// A scan with the tables that were in force at its header.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) parts: Vec<ScanPart>,
    pub(crate) band: Band,
    pub(crate) tables: Tables<'a>,
    /// The MCUs, or for a scan of one component its blocks.
    pub(crate) units: Grid,
    /// The coded data with stuffed zeros, fill bytes and restart markers, up to the marker that ends them.
    pub(crate) data: &'a [u8],
}

/// What a scan says of one component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanPart {
    /// Index among the frame's components.
    pub(crate) component: usize,
    /// Destinations of the Huffman tables. One that the scan needs is 0 to 3.
    pub(crate) dc_table: usize,
    pub(crate) ac_table: usize,
}

/// Which coefficients a scan has, and which of their bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    is_progressive: bool,
    /// First and last coefficient in coded order, 0 to 63 in a progressive picture. A sequential scan has all of them.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The lowest bit that the scan before had, 0 for none; and the lowest that this one has.
    high: u8,
    pub(crate) low: u8,
}

impl Band {
    /// Spectral selection and successive approximation (table B.3, G.1.1.1). Some encoders write 0 for the end of a sequential
    /// scan, and decoders ask only where it begins.
    fn parse(bytes: &[u8; 3], is_progressive: bool, part_count: usize) -> Result<Band, Error> {
        let [first, last, approximation] = *bytes;
        let [high, low] = nibbles(approximation);
        let is_allowed = if is_progressive {
            let is_band = match first {
                0 => last == 0,
                _ => (first..=63).contains(&last) && part_count == 1,
            };
            is_band && low <= 13 && (high == 0 || high == low + 1)
        } else {
            first == 0 && high == 0
        };
        if !is_allowed {
            return Err(Damage::Progression.into());
        }
        Ok(Band { is_progressive, first: first.into(), last: last.into(), high, low })
    }

    pub(crate) fn has_dc(&self) -> bool {
        self.first == 0
    }

    pub(crate) fn has_ac(&self) -> bool {
        self.first > 0 || !self.is_progressive
    }

    /// Whether the scan adds a bit to coefficients that an earlier scan began.
    pub(crate) fn refines(&self) -> bool {
        self.high > 0
    }

    pub(crate) fn needs_dc_table(&self) -> bool {
        self.has_dc() && !self.refines()
    }
}

impl<'a> Scan<'a> {
    /// Reads a header whose marker was just read, and passes over the coded data.
    pub(crate) fn read(
        cursor: &mut Cursor<'a>,
        frame: &Frame,
        tables: &Tables<'a>,
    ) -> Result<Scan<'a>, Error> {
        let mut segment = cursor.segment()?;
        let count = usize::from(segment.take_u8()?);
        if !(1..=4).contains(&count) {
            return Err(Damage::ScanComponents.into());
        }
        let (selectors, _) = segment.take(2 * count)?.as_chunks::<2>();
        let band = Band::parse(segment.take_array()?, frame.is_progressive, count)?;
        segment.must_end()?;
        let mut parts: Vec<ScanPart> = Vec::with_capacity(count);
        for [id, destinations] in selectors {
            let component = frame.components.iter().position(|component| component.id == *id);
            let component = component.filter(|i| parts.iter().all(|before| before.component != *i));
            let component = component.ok_or(Damage::UnknownComponent)?;
            let [dc_table, ac_table] = nibbles(*destinations).map(usize::from);
            parts.push(ScanPart { component, dc_table, ac_table });
        }
        let units = match parts[..] {
            [only] => frame.blocks(&frame.components[only.component]),
            _ => frame.mcus(),
        };
        let mut scan = Scan { parts, band, tables: *tables, units, data: &[] };
        let minimum_bits = scan.minimum_bits(frame)?;
        let coded = CodedData::read(cursor)?;
        coded.check(minimum_bits, scan.units, tables.restart_interval)?;
        scan.data = coded.data;
        Ok(scan)
    }

    /// Whether the scan names a component, given by its index.
    pub(crate) fn names(&self, component: usize) -> bool {
        self.parts.iter().any(|part| part.component == component)
    }

    /// Whether the scan is the first to have its components' DC coefficients, without which there is no picture.
    pub(crate) fn begins_picture(&self) -> bool {
        self.band.needs_dc_table()
    }

    /// The least number of bits that the coded data takes.
    ///
    /// A scan of one component has its blocks one by one, as many as cover it. A scan of several has MCUs, which hold as
    /// many blocks of each component as its sampling factors say (A.2).
    fn minimum_bits(&self, frame: &Frame) -> Result<u64, Error> {
        let is_interleaved = self.parts.len() > 1;
        let (mut blocks_in_unit, mut bits_in_unit) = (0, 0);
        for part in &self.parts {
            let component = &frame.components[part.component];
            let blocks = if is_interleaved { component.blocks_in_mcu().count() } else { 1 };
            blocks_in_unit += blocks;
            bits_in_unit += u64::from(blocks) * self.minimum_bits_of_block(*part, component)?;
        }
        if blocks_in_unit > MAX_BLOCKS_IN_MCU {
            return Err(Damage::McuTooLarge.into());
        }
        Ok(u64::from(self.units.count()) * bits_in_unit)
    }

    /// The shortest code for the DC coefficient and, in a sequential scan, the shortest for AC: "no AC coefficients" is a code
    /// too. A progressive scan has one code for up to 32,767 blocks without any.
    fn minimum_bits_of_block(&self, part: ScanPart, component: &Component) -> Result<u64, Error> {
        if self.tables.quantization[component.quantization_table].is_none() {
            return Err(Damage::MissingQuantizationTable.into());
        }
        let band = &self.band;
        let dc_bits = shortest_code(band.needs_dc_table(), &self.tables.dc, part.dc_table)?;
        let ac_bits = shortest_code(band.has_ac(), &self.tables.ac, part.ac_table)?;
        Ok(match (band.refines(), band.is_progressive) {
            (true, _) => u64::from(band.has_dc()),
            (false, true) => dc_bits,
            (false, false) => dc_bits + ac_bits,
        })
    }
}

fn shortest_code(
    is_needed: bool,
    tables: &[Option<HuffmanCodes<'_>>; 4],
    destination: usize,
) -> Result<u64, Error> {
    if !is_needed {
        return Ok(0);
    }
    let table = tables.get(destination).copied().flatten();
    Ok(table.and_then(|table| table.shortest()).ok_or(Damage::MissingHuffmanTable)?)
}

/// The data that follow a scan's header.
struct CodedData<'a> {
    data: &'a [u8],
    /// Bytes without stuffed zeros, fill bytes and markers.
    length: u64,
    /// Restart markers, up to the first that is not the next in turn.
    restarts: u64,
}

impl<'a> CodedData<'a> {
    /// Reads up to the marker that ends the data. Stuffed zeros and restart markers belong to the data (B.1.1.5, B.2.1).
    fn read(cursor: &mut Cursor<'a>) -> Result<CodedData<'a>, Error> {
        let whole = cursor.rest();
        let (mut length, mut restarts, mut markers) = (0, 0, 0);
        loop {
            let rest = cursor.rest();
            let ahead = match rest.first() {
                Some(0xff) => 0,
                _ => memchr::memchr(0xff, rest).ok_or(Error::CutShort)?,
            };
            cursor.take(ahead)?;
            length += ahead as u64;
            match *cursor.rest().get(1).ok_or(Error::CutShort)? {
                0 => {
                    cursor.take(2)?;
                    length += 1;
                }
                marker @ RST0..=RST7 => {
                    cursor.take(2)?;
                    let is_in_turn = restarts == markers && u64::from(marker - RST0) == markers % 8;
                    restarts += u64::from(is_in_turn);
                    markers += 1;
                }
                0xff => {
                    cursor.take(1)?;
                }
                _ => {
                    let data = &whole[..whole.len() - cursor.rest().len()];
                    return Ok(CodedData { data, length, restarts });
                }
            }
        }
    }

    /// Every interval but the last ends in a restart marker (B.2.1).
    fn check(&self, minimum_bits: u64, units: Grid, restart_interval: u16) -> Result<(), Error> {
        if self.length == 0 {
            return Err(Damage::EmptyScan.into());
        }
        if self.length * 8 < minimum_bits {
            return Err(Damage::ScanTooShort.into());
        }
        let interval = u64::from(restart_interval);
        if interval > 0 && self.restarts < u64::from(units.count()).div_ceil(interval) - 1 {
            return Err(Damage::RestartMarkers.into());
        }
        Ok(())
    }
}
