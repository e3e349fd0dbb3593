//! Scans (T.81, B.2.3): from their coded bits to coefficients. This is where a decode spends its time.
//!
//! A sequential picture's blocks become samples as they are read. A progressive picture's coefficients come a few bits at
//! a time over many scans, so they are kept: but only those that the scale uses, of blocks that show. Of the others
//! the coding asks for no more than which are zero, one bit each: 16 bytes a block at a quarter of the size in place of 128.

use memchr::memchr;

use super::super::Undecodable;
use super::frame::{Frame, Layout};
use super::huffman::{Bits, END_OF_BLOCK, Table};
use super::idct::{Block, Idct};

/// The place of each coefficient in a block, in the order in which they are coded (T.81, figure 5).
pub const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The tables in force.
#[derive(Default)]
pub struct Tables {
    pub quantization: [Option<[u16; 64]>; 4],
    pub dc: [Option<Table>; 4],
    pub ac: [Option<Table>; 4],
    /// MCUs from one restart marker to the next; 0 for none.
    pub restart_interval: u32,
}

/// A scan header.
pub struct Scan {
    /// Index among the frame's components, DC table, AC table.
    pub parts: Vec<(usize, usize, usize)>,
    /// First and last coefficient.
    first: usize,
    last: usize,
    /// The bit positions of the scan before, 0 for none, and of this one.
    high: u32,
    low: u32,
}

impl Scan {
    pub fn read(data: &[u8], frame: &Frame) -> Result<Scan, Undecodable> {
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
    pub fn begins_picture(&self) -> bool {
        self.first == 0 && self.high == 0
    }
}

/// One component on its way.
pub struct Channel {
    pub layout: Layout,
    /// Blocks in an MCU.
    h: u32,
    v: u32,
    idct: Idct,
    /// The place of each coefficient in a [`Block`], in coded order; 0 for those that the scale does not use.
    places: [u8; 64],
    /// In coded order, as of the first scan.
    quantization: Option<[f32; 64]>,
    pub plane: Vec<u8>,
    /// For a progressive picture: n x n coefficients for each block that shows.
    coefficients: Vec<i16>,
    /// For a progressive picture: for each block, shown or not, which of its coefficients are not zero.
    nonzero: Vec<u64>,
    /// How many there are to a row.
    across: usize,
    /// A bit for each coefficient that the scale uses.
    used: u64,
    prediction: i32,
}

impl Channel {
    pub fn new(layout: Layout, h: u32, v: u32, frame: &Frame) -> Channel {
        let n = layout.n;
        let uses = |place: u8| usize::from(place / 8) < n && usize::from(place % 8) < n;
        let places = ZIGZAG.map(|place| if uses(place) { place } else { 0 });
        let used = (0..64).filter(|&k| uses(ZIGZAG[k])).fold(0, |used, k| used | 1 << k);
        let shown = layout.shown().0 as usize * layout.shown().1 as usize;
        let across = (frame.mcus().0 * h) as usize;
        let all = across * (frame.mcus().1 * v) as usize;
        let (coefficients, nonzero) = if frame.progressive { (shown * n * n, all) } else { (0, 0) };
        Channel {
            h,
            v,
            idct: Idct::new(n),
            places,
            quantization: None,
            plane: vec![0; shown * n * n],
            coefficients: vec![0; coefficients],
            nonzero: vec![0; nonzero],
            across,
            used,
            prediction: 0,
            layout,
        }
    }

    /// What it holds, in bytes.
    pub fn cost(layout: &Layout, h: u32, v: u32, frame: &Frame) -> u64 {
        let shown = u64::from(layout.shown().0) * u64::from(layout.shown().1) * (layout.n * layout.n) as u64;
        let all = u64::from(frame.mcus().0 * h) * u64::from(frame.mcus().1 * v);
        if frame.progressive { shown * 3 + all * 8 } else { shown }
    }

    fn block(&self, column: u32, row: u32) -> usize {
        row as usize * self.across + column as usize
    }

    fn fix_quantization(&mut self, tables: &Tables, number: usize) -> Result<(), Undecodable> {
        if self.quantization.is_none() {
            let table = tables.quantization[number]
                .ok_or_else(|| Undecodable::new("a quantization table is missing"))?;
            self.quantization = Some(table.map(f32::from));
        }
        Ok(())
    }

    fn write(&mut self, place: usize, block: &Block, flat: bool) {
        let (columns, n) = (self.layout.shown().0 as usize, self.layout.n);
        let stride = self.layout.stride();
        let start = (place / columns) * n * stride + (place % columns) * n;
        let plane = &mut self.plane[start..];
        if flat {
            self.idct.write_flat(block[0], plane, stride)
        } else {
            self.idct.write(block, plane, stride)
        }
    }

    /// Reads one block of a sequential scan, and writes its samples if it shows.
    #[inline(always)]
    fn read_block(
        &mut self,
        bits: &mut Bits,
        dc: &Table,
        ac: &Table,
        quantization: &[f32; 64],
        place: Option<usize>,
    ) {
        self.prediction = self.prediction.wrapping_add(dc.next(bits).value);
        let Some(place) = place else { return skip_block(bits, ac) };
        let mut block: Block = [0.0; 64];
        let (mut k, mut touched) = (0, 0);
        while k < 63 {
            let symbol = ac.next(bits);
            k += symbol.advance;
            if k > 63 {
                if k < END_OF_BLOCK {
                    bits.mark_corrupt();
                }
                break;
            }
            let place = self.places[k];
            block[usize::from(place & 63)] = symbol.value as f32 * quantization[k];
            touched |= place;
        }
        block[0] = self.prediction as f32 * quantization[0];
        self.write(place, &block, touched == 0);
    }

    /// Turns a progressive picture's coefficients to samples.
    pub fn finish(&mut self) {
        let n = self.layout.n;
        if !self.coefficients.is_empty() {
            let quantization = self.quantization.unwrap_or([1.0; 64]);
            let mut natural = [0.0; 64];
            ZIGZAG.iter().zip(quantization).for_each(|(&place, step)| natural[usize::from(place)] = step);
            let coefficients = std::mem::take(&mut self.coefficients);
            for (place, kept) in coefficients.chunks_exact(n * n).enumerate() {
                let mut block: Block = [0.0; 64];
                for (row, kept) in kept.chunks_exact(n).enumerate() {
                    let at = row * 8..row * 8 + n;
                    for ((to, step), kept) in block[at.clone()].iter_mut().zip(&natural[at]).zip(kept) {
                        *to = f32::from(*kept) * step;
                    }
                }
                self.write(place, &block, kept[1..].iter().all(|&kept| kept == 0));
            }
        }
        self.repeat_edges();
    }

    /// What fills up the last blocks is up to the encoder. The scaler looks a little past what shows, so the last column and
    /// row of the picture go on in its place.
    fn repeat_edges(&mut self) {
        let (stride, width, height) =
            (self.layout.stride(), self.layout.width as usize, self.layout.height as usize);
        for row in self.plane.chunks_exact_mut(stride) {
            let last = row[width - 1];
            row[width..].fill(last);
        }
        let last = (height - 1) * stride;
        for row in height..self.plane.len() / stride {
            self.plane.copy_within(last..last + stride, row * stride);
        }
    }
}

/// The AC part of a block that does not show.
#[inline(always)]
fn skip_block(bits: &mut Bits, ac: &Table) {
    let mut k = 0;
    while k < 63 {
        k += ac.next(bits).advance;
    }
    if (64..END_OF_BLOCK).contains(&k) {
        bits.mark_corrupt();
    }
}

/// Decodes a scan out of what follows its header. Answers with how long its coded data is.
pub fn decode(
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
struct Span {
    from: u32,
    to: u32,
    columns: u32,
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

/// A progressive scan of AC coefficients.
struct Band<'a> {
    scan: &'a Scan,
    ac: &'a Table,
}

impl Band<'_> {
    /// The first scan of a band (T.81, G.1.2.2).
    fn begin(&self, channel: &mut Channel, bits: &mut Bits, span: Span) {
        let (first, last, low, n) = (self.scan.first, self.scan.last, self.scan.low, channel.layout.n);
        let mut unit = span.from;
        while unit < span.to && !bits.is_broken() {
            let (column, row) = (unit % span.columns, unit / span.columns);
            let place = channel.layout.place(column, row);
            let mut nonzero = 0;
            let mut k = first - 1;
            let mut ended = 0;
            while k < last {
                let symbol = self.ac.next(bits);
                k += symbol.advance;
                if k >= END_OF_BLOCK {
                    ended = end_of_band(symbol.value, bits) - 1;
                    break;
                }
                if k > last {
                    bits.mark_corrupt();
                    break;
                }
                if symbol.value == 0 {
                    continue;
                }
                nonzero |= 1_u64 << k;
                if let (Some(place), 1) = (place, channel.used >> k & 1) {
                    channel.coefficients[place * n * n + kept(k, n)] = (symbol.value << low) as i16;
                }
            }
            if nonzero != 0 {
                let block = channel.block(column, row);
                channel.nonzero[block] |= nonzero;
            }
            // The blocks whose band ends with this one's have no bits at all.
            unit = unit.saturating_add(1).saturating_add(ended);
        }
        if unit > span.to {
            bits.mark_corrupt();
        }
    }

    /// A further bit for the coefficients of a band (T.81, G.1.2.3).
    fn refine(&self, channel: &mut Channel, bits: &mut Bits, span: Span) {
        let (first, last) = (self.scan.first, self.scan.last);
        let mut ended = 0;
        for unit in span.from..span.to {
            if bits.is_broken() {
                return;
            }
            let (column, row) = (unit % span.columns, unit / span.columns);
            let block = channel.block(column, row);
            let mut k = first;
            if ended == 0 {
                ended = self.refine_block(channel, bits, block, channel.layout.place(column, row), &mut k);
            }
            if ended > 0 {
                ended -= 1;
                let rest = channel.nonzero[block] & mask(k, last);
                if rest != 0 {
                    self.correct(channel, bits, channel.layout.place(column, row), rest);
                }
            }
        }
        if ended > 0 {
            bits.mark_corrupt();
        }
    }

    /// Reads new coefficients between corrections of the old ones, up to the band's end or an end of band: then answers
    /// with the number of blocks that it ends, and leaves `k` where it came to.
    fn refine_block(
        &self,
        channel: &mut Channel,
        bits: &mut Bits,
        block: usize,
        place: Option<usize>,
        k: &mut usize,
    ) -> u32 {
        let (last, low) = (self.scan.last, self.scan.low);
        let n = channel.layout.n;
        while *k <= last {
            let symbol = self.ac.next(bits);
            if symbol.advance >= END_OF_BLOCK {
                return end_of_band(symbol.value, bits);
            }
            // A run counts the coefficients that were zero before; those that were not are corrected on the way.
            let old = channel.nonzero[block];
            let Some(end) = nth_zero(old, *k, symbol.advance) else {
                bits.mark_corrupt();
                return 0;
            };
            if end > last {
                // A run of 16 zeros may reach the band's end.
                bits.mark_corrupt();
                return 0;
            }
            let between = old & mask(*k, end);
            if between != 0 {
                self.correct(channel, bits, place, between);
            }
            if symbol.value != 0 {
                channel.nonzero[block] |= 1 << end;
                if let (Some(place), 1) = (place, channel.used >> end & 1) {
                    channel.coefficients[place * n * n + kept(end, n)] =
                        (symbol.value.signum() << low) as i16;
                }
            }
            *k = end + 1;
        }
        0
    }

    /// Reads a bit for each coefficient of a mask, and adds it to the size of those that are kept.
    fn correct(&self, channel: &mut Channel, bits: &mut Bits, place: Option<usize>, mut old: u64) {
        let n = channel.layout.n;
        let Some(place) = place.filter(|_| old & channel.used != 0) else {
            let mut left = old.count_ones();
            while left > 0 {
                let taken = left.min(16);
                bits.take(taken);
                left -= taken;
            }
            return;
        };
        while old != 0 {
            let k = old.trailing_zeros() as usize;
            old &= old - 1;
            let bit = bits.take(1) as i16;
            if channel.used >> k & 1 == 1 {
                let coefficient = &mut channel.coefficients[place * n * n + kept(k, n)];
                *coefficient = coefficient.wrapping_add((bit << self.scan.low) * coefficient.signum());
            }
        }
    }
}

/// The number of blocks that an end of band ends, this one included (T.81, G.1.2.2).
fn end_of_band(size: i32, bits: &mut Bits) -> u32 {
    let size = size as u32;
    (1 << size) + bits.take(size) as u32
}

/// The bits from `first` to `last`.
fn mask(first: usize, last: usize) -> u64 {
    (u64::MAX >> (63 - last)) & (u64::MAX << first)
}

/// The place of the `count`th bit that is not set, from `first` on.
fn nth_zero(bits: u64, first: usize, count: usize) -> Option<usize> {
    let mut zeros = !bits & (u64::MAX << first);
    for _ in 1..count {
        zeros &= zeros.wrapping_sub(1);
    }
    (zeros != 0).then(|| zeros.trailing_zeros() as usize)
}

/// Where a coefficient is among those that are kept, n to a row.
fn kept(k: usize, n: usize) -> usize {
    usize::from(ZIGZAG[k] / 8) * n + usize::from(ZIGZAG[k] % 8)
}
