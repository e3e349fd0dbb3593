//! From coded bits to planes. This is where a decode spends its time.
//!
//! A sequential picture's blocks become samples as they are read. A progressive picture's coefficients come a few bits at
//! a time over many scans, so they are kept: but only those that the scale uses, of blocks that show. Of the other
//! coefficients the coding needs to know only which are zero, one bit each: 16 bytes a block at a quarter of the size, not 128.

use memchr::memchr;

use crate::channel::Channel;
use crate::error::{Damage, Error};
use crate::frame::{Component, Frame};
use crate::huffman::{Bits, Class, Table};
use crate::layout::{Layout, Region, Request};
use crate::progressive::AcScan;
use crate::scan::Scan;
use crate::structure::{ColorModel, Structure};
use crate::tables::HuffmanCodes;

/// A decoded picture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// What the planes mean.
    pub color_model: ColorModel,
    /// One for each component, in the frame's order.
    pub planes: Vec<Plane>,
}

/// The samples of one component, of the blocks that the request needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plane {
    /// In samples: whole blocks of `eighths` samples, so that it may reach beyond the picture. There the last column is
    /// repeated.
    pub width: u32,
    /// In samples, like `width`. Beyond the picture the last row is repeated.
    pub height: u32,
    /// Row by row from the top, `width` samples a row.
    pub samples: Vec<u8>,
    /// The scale: 1 to 8 samples for each 8 that the component has.
    pub eighths: u32,
    /// Where the requested region lies, in samples of this plane.
    pub region: Region,
}

impl Structure<'_> {
    /// Decodes the planes that a request asks for.
    ///
    /// # Errors
    ///
    /// [`Damage::CodedData`] and [`Damage::RestartMarkers`], which only the coded data shows. A picture is decoded
    /// whole or not at all.
    pub fn decode(&self, request: &Request) -> Result<Decoded, Error> {
        let layouts = self.layouts(request);
        let mut channels: Vec<Channel> =
            layouts.map(|(component, layout)| Channel::new(layout, component, &self.frame)).collect();
        let mut unstuffed = Vec::with_capacity(self.longest_data());
        for scan in &self.scans {
            decode_scan(scan, &mut channels, &self.frame, &mut unstuffed)?;
        }
        drop(unstuffed);
        let planes = channels.into_iter().map(Channel::into_plane).collect();
        Ok(Decoded { color_model: self.color_model(), planes })
    }

    /// The most bytes of memory that [`Structure::decode`] holds at a time, its result included.
    pub fn memory(&self, request: &Request) -> u64 {
        let channels = self.layouts(request);
        let channels: u64 =
            channels.map(|(component, layout)| Channel::memory(&layout, component, &self.frame)).sum();
        channels + self.longest_data() as u64 + WORKING_BYTES
    }

    /// Width and height of each plane that [`Structure::decode`] gives.
    pub fn plane_sizes(&self, request: &Request) -> Vec<(u32, u32)> {
        let planes = self.layouts(request).map(|(_, layout)| layout.plane());
        planes.map(|plane| (plane.across, plane.down)).collect()
    }

    fn layouts(&self, request: &Request) -> impl Iterator<Item = (&Component, Layout)> {
        let has_chroma = self.color_model() == ColorModel::YCbCr;
        self.frame.components.iter().enumerate().map(move |(i, component)| {
            let layout = Layout::new(&self.frame, component, request, has_chroma && i > 0);
            (component, layout)
        })
    }

    fn longest_data(&self) -> usize {
        self.scans.iter().map(|scan| scan.data.len()).max().unwrap_or(0)
    }
}

/// What a decode holds besides planes, coefficients and coded data: eight Huffman tables of 5 KiB, and small things.
const WORKING_BYTES: u64 = 64 << 10;

fn decode_scan(
    scan: &Scan,
    channels: &mut [Channel],
    frame: &Frame,
    unstuffed: &mut Vec<u8>,
) -> Result<(), Error> {
    for part in &scan.parts {
        let number = frame.components[part.component].quantization_table;
        let table = scan.tables.quantization[number].ok_or(Damage::MissingQuantizationTable)?;
        channels[part.component].fix_quantization(table);
    }
    let tables = ScanTables::build(scan);
    let units = scan.units.count();
    let interval = match scan.tables.restart_interval {
        0 => units,
        interval => interval.into(),
    };
    let (mut from, mut at, mut restarts) = (0_u32, 0, 0_u8);
    loop {
        let to = units.min(from.saturating_add(interval));
        at += unstuff(&scan.data[at..], unstuffed);
        let mut bits = Bits::new(unstuffed);
        let units_of_interval = Interval { from, to, columns: scan.units.across };
        decode_interval(scan, &tables, channels, &mut bits, units_of_interval)?;
        if bits.is_broken() {
            return Err(Damage::CodedData.into());
        }
        from = to;
        if from == units {
            return Ok(());
        }
        if scan.data.get(at..at + 2) != Some(&[0xff, 0xd0 + restarts % 8]) {
            return Err(Damage::RestartMarkers.into());
        }
        restarts = restarts.wrapping_add(1);
        at += 2;
    }
}

/// Copies the coded data up to the next marker, without the zero that is stuffed behind each 0xff (T.81, B.1.1.5).
/// Returns its length before.
fn unstuff(data: &[u8], unstuffed: &mut Vec<u8>) -> usize {
    unstuffed.clear();
    let mut at = 0;
    while let Some(next) = memchr(0xff, &data[at..]) {
        unstuffed.extend_from_slice(&data[at..at + next]);
        at += next;
        match data.get(at + 1) {
            Some(0) => {
                unstuffed.push(0xff);
                at += 2;
            }
            // Any number of fill bytes may stand before a marker.
            Some(0xff) => at += 1,
            _ => return at,
        }
    }
    unstuffed.extend_from_slice(&data[at..]);
    data.len()
}

/// The Huffman tables of a scan, by destination: those that its components name.
struct ScanTables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

impl ScanTables {
    fn build(scan: &Scan) -> ScanTables {
        let mut tables = ScanTables { dc: [const { None }; 4], ac: [const { None }; 4] };
        for part in &scan.parts {
            if scan.band.needs_dc_table() {
                build_once(Class::Dc, &scan.tables.dc, &mut tables.dc, part.dc_table);
            }
            if scan.band.has_ac() {
                build_once(Class::Ac, &scan.tables.ac, &mut tables.ac, part.ac_table);
            }
        }
        tables
    }

    fn dc(&self, destination: usize) -> Result<&Table, Error> {
        find(&self.dc, destination)
    }

    fn ac(&self, destination: usize) -> Result<&Table, Error> {
        find(&self.ac, destination)
    }
}

fn build_once(
    class: Class,
    defined: &[Option<HuffmanCodes>; 4],
    built: &mut [Option<Table>; 4],
    destination: usize,
) {
    if let (Some(Some(codes)), Some(table)) = (defined.get(destination), built.get_mut(destination)) {
        table.get_or_insert_with(|| Table::new(class, codes));
    }
}

fn find(tables: &[Option<Table>; 4], destination: usize) -> Result<&Table, Error> {
    let table = tables.get(destination).and_then(Option::as_ref);
    table.ok_or(Error::Damaged(Damage::MissingHuffmanTable))
}

/// The units (MCUs or blocks) between two restart markers, `columns` to a row.
#[derive(Clone, Copy)]
pub(crate) struct Interval {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) columns: u32,
}

fn decode_interval(
    scan: &Scan,
    tables: &ScanTables,
    channels: &mut [Channel],
    bits: &mut Bits,
    interval: Interval,
) -> Result<(), Error> {
    if scan.band.has_dc() {
        scan.parts.iter().for_each(|part| channels[part.component].prediction = 0);
    }
    match (scan.band.has_dc(), scan.band.has_ac(), scan.band.refines()) {
        (true, true, _) => decode_sequential(scan, tables, channels, bits, interval),
        (true, false, false) => begin_dc(scan, tables, channels, bits, interval),
        (true, false, true) => {
            refine_dc(scan, channels, bits, interval);
            Ok(())
        }
        (false, _, refines) => {
            let part = scan.parts[0];
            let ac_scan = AcScan { band: scan.band, codes: tables.ac(part.ac_table)? };
            let channel = &mut channels[part.component];
            if refines {
                ac_scan.refine(channel, bits, interval)
            } else {
                ac_scan.begin(channel, bits, interval)
            }
            Ok(())
        }
    }
}

/// Calls `read` with each block: its channel, the index of its part of the scan, its column and row.
#[inline(always)]
fn for_each_block(
    scan: &Scan,
    channels: &mut [Channel],
    bits: &mut Bits,
    interval: Interval,
    mut read: impl FnMut(&mut Channel, &mut Bits, usize, u32, u32),
) {
    let single = scan.parts.len() == 1;
    let (mut column, mut row) = (interval.from % interval.columns, interval.from / interval.columns);
    for _ in interval.from..interval.to {
        for (i, part) in scan.parts.iter().enumerate() {
            let channel = &mut channels[part.component];
            let (h, v) = if single { (1, 1) } else { (channel.h, channel.v) };
            for down in 0..v {
                for across in 0..h {
                    read(channel, bits, i, column * h + across, row * v + down);
                }
            }
        }
        column += 1;
        if column == interval.columns {
            (column, row) = (0, row + 1);
            // Data that ends early must not cost a walk over millions of blocks.
            if bits.is_broken() {
                return;
            }
        }
    }
}

fn decode_sequential(
    scan: &Scan,
    tables: &ScanTables,
    channels: &mut [Channel],
    bits: &mut Bits,
    interval: Interval,
) -> Result<(), Error> {
    let mut parts = Vec::with_capacity(scan.parts.len());
    for part in &scan.parts {
        let steps = channels[part.component].steps();
        parts.push((tables.dc(part.dc_table)?, tables.ac(part.ac_table)?, steps));
    }
    for_each_block(scan, channels, bits, interval, |channel, bits, i, column, row| {
        let (dc, ac, steps) = &parts[i];
        let place = channel.layout.place(column, row);
        channel.read_block(bits, dc, ac, steps, place);
    });
    Ok(())
}

/// The first scan of DC coefficients of a progressive picture (T.81, G.1.2.1).
fn begin_dc(
    scan: &Scan,
    tables: &ScanTables,
    channels: &mut [Channel],
    bits: &mut Bits,
    interval: Interval,
) -> Result<(), Error> {
    let parts = scan.parts.iter();
    let codes: Vec<_> = parts.map(|part| tables.dc(part.dc_table)).collect::<Result<_, _>>()?;
    for_each_block(scan, channels, bits, interval, |channel, bits, i, column, row| {
        channel.prediction = channel.prediction.wrapping_add(codes[i].next(bits).value);
        if let Some(place) = channel.layout.place(column, row) {
            let coefficient = (channel.prediction << scan.band.low) as i16;
            channel.coefficients[place * channel.layout.n * channel.layout.n] = coefficient;
        }
    });
    Ok(())
}

/// A further bit of DC coefficients.
fn refine_dc(scan: &Scan, channels: &mut [Channel], bits: &mut Bits, interval: Interval) {
    for_each_block(scan, channels, bits, interval, |channel, bits, _, column, row| {
        let bit = bits.take(1) as i16;
        if let Some(place) = channel.layout.place(column, row) {
            channel.coefficients[place * channel.layout.n * channel.layout.n] |= bit << scan.band.low;
        }
    });
}
