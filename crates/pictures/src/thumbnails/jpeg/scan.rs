//! Scans (T.81, B.2.3): from their coded bits to coefficients. This is where a decode spends its time.
//!
//! A sequential picture's blocks become samples as they are read. A progressive picture's coefficients come a few bits at
//! a time over many scans, so they are kept: but only those that the scale uses, of blocks that show. Of the others
//! the coding asks for no more than which are zero, one bit each: 16 bytes a block at a quarter of the size in place of 128.

use memchr::memchr;

use super::channel::Channel;
use super::frame::Frame;
use super::huffman::{Bits, Table};
use super::progressive::Band;
use crate::error::Undecodable;

/// The tables in force.
#[derive(Default)]
pub(super) struct Tables {
    pub quantization: [Option<[u16; 64]>; 4],
    pub dc: [Option<Table>; 4],
    pub ac: [Option<Table>; 4],
    /// MCUs from one restart marker to the next; 0 for none.
    pub restart_interval: u32,
}

/// A scan header.
pub(super) struct Scan {
    /// Index among the frame's components, DC table, AC table.
    pub parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    pub first: usize,
    pub last: usize,
    /// The bit positions of the scan before, 0 for none, and of this one.
    high: u32,
    pub low: u32,
}

impl Scan {
    pub(super) fn read(data: &[u8], frame: &Frame) -> Result<Scan, Undecodable> {
        let cut = || Undecodable::new("a scan header is cut short");
        let (&count, rest) = data.split_first().ok_or_else(cut)?;
        let Some((parts, &[first, last, bits])) = rest.split_at_checked(usize::from(count) * 2) else {
            return Err(cut());
        };
        let find = |name| frame.components.iter().position(|component| component.name == name);
        let parts = parts.chunks_exact(2).map(|part| {
            let component = find(part[0])
                .ok_or_else(|| Undecodable::new("a scan has a component that the frame has not"));
            Ok((component?, usize::from(part[1] >> 4), usize::from(part[1] & 0x0f)))
        });
        let parts: Vec<_> = parts.collect::<Result<_, Undecodable>>()?;
        let repeated =
            parts.iter().enumerate().any(|(i, part)| parts[..i].iter().any(|before| before.0 == part.0));
        let (first, last) = (usize::from(first), usize::from(last));
        let (high, low) = (u32::from(bits >> 4), u32::from(bits & 0x0f));
        let scan = Scan { parts, first, last, high, low };
        let sensible = !frame.progressive || scan.is_sensible_progression();
        if scan.parts.is_empty() || repeated || !sensible {
            return Err(Undecodable::new("a scan header makes no sense"));
        }
        Ok(scan)
    }

    /// T.81, G.1.1.1.
    fn is_sensible_progression(&self) -> bool {
        let band = match self.first {
            0 => self.last == 0,
            first => (first..64).contains(&self.last) && self.parts.len() == 1,
        };
        band && self.low <= 13 && (self.high == 0 || self.high == self.low + 1)
    }

    /// Whether it is the first to tell of a component's DC coefficient, without which there is no picture.
    pub(super) fn begins_picture(&self) -> bool {
        self.first == 0 && self.high == 0
    }
}

/// Decodes a scan out of what follows its header. Answers with how long its coded data is.
pub(super) fn decode(
    scan: &Scan,
    frame: &Frame,
    tables: &Tables,
    channels: &mut [Channel],
    data: &[u8],
) -> Result<usize, Undecodable> {
    for &(part, ..) in &scan.parts {
        channels[part].fix_quantization(tables, frame.components[part].quantization_table)?;
    }
    let (columns, rows) = match scan.parts[..] {
        [(only, ..)] => channels[only].layout.blocks,
        _ => frame.mcus(),
    };
    let units = columns * rows;
    let interval = if tables.restart_interval == 0 { units } else { tables.restart_interval };
    let (mut from, mut at, mut restarts) = (0_u32, 0, 0_u8);
    let mut unstuffed = Vec::new();
    loop {
        let to = units.min(from.saturating_add(interval));
        at += unstuff(&data[at..], &mut unstuffed);
        let mut bits = Bits::new(&unstuffed);
        let span = Span { from, to, columns };
        if frame.progressive {
            decode_progressive(scan, tables, channels, &mut bits, span)?;
        } else {
            decode_sequential(scan, tables, channels, &mut bits, span)?;
        }
        if bits.is_broken() {
            return Err(Undecodable::new("a scan is damaged or cut short"));
        }
        from = to;
        if from == units {
            return Ok(at);
        }
        if data.get(at..at + 2) != Some(&[0xff, 0xd0 + restarts % 8]) {
            return Err(Undecodable::new("a restart marker is missing"));
        }
        restarts = restarts.wrapping_add(1);
        at += 2;
    }
}

/// Copies the coded data up to the next marker, without the zero that is stuffed behind each 0xff (T.81, B.1.1.5).
/// Answers with its length before.
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
            // Any number of these may stand before a marker.
            Some(0xff) => at += 1,
            _ => return at,
        }
    }
    unstuffed.extend_from_slice(&data[at..]);
    data.len()
}

/// The units, which are MCUs or blocks, between two restart markers.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub from: u32,
    pub to: u32,
    pub columns: u32,
}

/// Calls `read` with each block's part of the scan, column and row.
#[inline(always)]
fn for_each_block(
    scan: &Scan,
    channels: &mut [Channel],
    bits: &mut Bits,
    span: Span,
    mut read: impl FnMut(&mut Channel, &mut Bits, usize, u32, u32),
) {
    let single = scan.parts.len() == 1;
    let (mut column, mut row) = (span.from % span.columns, span.from / span.columns);
    for _ in span.from..span.to {
        for (i, &(part, ..)) in scan.parts.iter().enumerate() {
            let channel = &mut channels[part];
            let (h, v) = if single { (1, 1) } else { (channel.h, channel.v) };
            for down in 0..v {
                for across in 0..h {
                    read(channel, bits, i, column * h + across, row * v + down);
                }
            }
        }
        column += 1;
        if column == span.columns {
            (column, row) = (0, row + 1);
            // A hostile header could ask for 40 million pixels out of no data at all.
            if bits.is_broken() {
                return;
            }
        }
    }
}

fn missing_table() -> Undecodable {
    Undecodable::new("a Huffman table is missing")
}

fn table(tables: &[Option<Table>; 4], number: usize) -> Result<&Table, Undecodable> {
    tables.get(number).and_then(Option::as_ref).ok_or_else(missing_table)
}

fn decode_sequential(
    scan: &Scan,
    tables: &Tables,
    channels: &mut [Channel],
    bits: &mut Bits,
    span: Span,
) -> Result<(), Undecodable> {
    let mut parts = Vec::new();
    for &(part, dc, ac) in &scan.parts {
        channels[part].prediction = 0;
        let steps = channels[part].quantization.unwrap_or([1.0; 64]);
        parts.push((table(&tables.dc, dc)?, table(&tables.ac, ac)?, steps));
    }
    for_each_block(scan, channels, bits, span, |channel, bits, i, column, row| {
        let (dc, ac, steps) = &parts[i];
        let place = channel.layout.place(column, row);
        channel.read_block(bits, dc, ac, steps, place);
    });
    Ok(())
}

fn decode_progressive(
    scan: &Scan,
    tables: &Tables,
    channels: &mut [Channel],
    bits: &mut Bits,
    span: Span,
) -> Result<(), Undecodable> {
    if scan.first > 0 {
        let (part, _, ac) = scan.parts[0];
        let ac = table(&tables.ac, ac)?;
        let band = Band { scan, ac };
        if scan.high == 0 {
            band.begin(&mut channels[part], bits, span)
        } else {
            band.refine(&mut channels[part], bits, span)
        }
        return Ok(());
    }
    scan.parts.iter().for_each(|&(part, ..)| channels[part].prediction = 0);
    if scan.high > 0 {
        for_each_block(scan, channels, bits, span, |channel, bits, _, column, row| {
            let bit = bits.take(1) as i16;
            if let Some(place) = channel.layout.place(column, row) {
                channel.coefficients[place * channel.layout.n * channel.layout.n] |= bit << scan.low;
            }
        });
        return Ok(());
    }
    let dc: Vec<_> = scan.parts.iter().map(|&(_, dc, _)| table(&tables.dc, dc)).collect::<Result<_, _>>()?;
    for_each_block(scan, channels, bits, span, |channel, bits, i, column, row| {
        channel.prediction = channel.prediction.wrapping_add(dc[i].next(bits).value);
        if let Some(place) = channel.layout.place(column, row) {
            channel.coefficients[place * channel.layout.n * channel.layout.n] =
                (channel.prediction << scan.low) as i16;
        }
    });
    Ok(())
}
