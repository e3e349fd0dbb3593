//! One component of the picture on its way from coefficients to samples: its plane, and the state of its coding.

use crate::decode::Plane;
use crate::frame::{Component, Frame, Grid};
use crate::huffman::{Bits, END_OF_BLOCK, Table};
use crate::idct::{Block, Idct};
use crate::layout::Layout;
use crate::tables::QuantizationTable;

/// The place of each coefficient in a block, in the order in which they are coded (T.81, figure 5).
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One component on its way.
pub(crate) struct Channel {
    pub(crate) layout: Layout,
    /// Blocks in an MCU.
    pub(crate) h: u32,
    pub(crate) v: u32,
    idct: Idct,
    /// The place of each coefficient in a [`Block`], in coded order; 0 for those that the scale does not use.
    places: [u8; 64],
    /// In coded order, as of the first scan.
    quantization: Option<[f32; 64]>,
    samples: Vec<u8>,
    /// For a progressive picture: n x n coefficients for each block that shows.
    pub(crate) coefficients: Vec<i16>,
    /// For a progressive picture: a bit for each coefficient of each block, shown or not, that is not zero.
    pub(crate) nonzero: Vec<u64>,
    /// How many blocks of `nonzero` there are to a row.
    across: usize,
    /// A bit for each coefficient that the scale uses.
    pub(crate) used: u64,
    pub(crate) prediction: i32,
}

impl Channel {
    pub(crate) fn new(layout: Layout, component: &Component, frame: &Frame) -> Channel {
        let n = layout.n;
        let uses = |place: u8| usize::from(place / 8) < n && usize::from(place % 8) < n;
        let places = ZIGZAG.map(|place| if uses(place) { place } else { 0 });
        let used = (0..64).filter(|&k| uses(ZIGZAG[k])).fold(0, |used, k| used | 1 << k);
        let samples = layout.plane_length();
        let all = all_blocks(component, frame);
        let (coefficients, nonzero) =
            if frame.is_progressive { (samples, all.count() as usize) } else { (0, 0) };
        Channel {
            h: component.horizontal_sampling,
            v: component.vertical_sampling,
            idct: Idct::new(n),
            places,
            quantization: None,
            samples: vec![0; samples],
            coefficients: vec![0; coefficients],
            nonzero: vec![0; nonzero],
            across: all.across as usize,
            used,
            prediction: 0,
            layout,
        }
    }

    /// The bytes that it holds.
    pub(crate) fn memory(layout: &Layout, component: &Component, frame: &Frame) -> u64 {
        let samples = layout.plane_length() as u64;
        let all = u64::from(all_blocks(component, frame).count());
        if frame.is_progressive { samples * 3 + all * 8 } else { samples }
    }

    /// The index of a block in `nonzero`.
    pub(crate) fn block(&self, column: u32, row: u32) -> usize {
        row as usize * self.across + column as usize
    }

    /// Takes the table for the whole picture, unless an earlier scan has set one.
    pub(crate) fn fix_quantization(&mut self, table: QuantizationTable) {
        self.quantization.get_or_insert_with(|| table.steps());
    }

    /// The quantization steps in coded order.
    pub(crate) fn steps(&self) -> [f32; 64] {
        self.quantization.unwrap_or([1.0; 64])
    }

    fn write(&mut self, place: usize, block: &Block, flat: bool) {
        let (columns, n) = (self.layout.blocks().across as usize, self.layout.n);
        let stride = self.layout.stride();
        let start = (place / columns) * n * stride + (place % columns) * n;
        let samples = &mut self.samples[start..];
        if flat {
            self.idct.write_flat(block[0], samples, stride)
        } else {
            self.idct.write(block, samples, stride)
        }
    }

    /// Reads one block of a sequential scan, and writes its samples if it shows.
    #[inline(always)]
    pub(crate) fn read_block(
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

    /// The finished plane.
    pub(crate) fn into_plane(mut self) -> Plane {
        self.transform_coefficients();
        self.repeat_edges();
        let Grid { across: width, down: height } = self.layout.plane();
        let Layout { n, region, .. } = self.layout;
        Plane { width, height, samples: self.samples, eighths: n as u32, region }
    }

    /// Turns a progressive picture's coefficients to samples.
    fn transform_coefficients(&mut self) {
        let n = self.layout.n;
        let mut natural = [0.0; 64];
        ZIGZAG.iter().zip(self.steps()).for_each(|(&place, step)| natural[usize::from(place)] = step);
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

    /// An encoder fills up the last blocks as it likes. A scaler looks a little past the picture's edge, so the last
    /// column and row of the picture are repeated there.
    fn repeat_edges(&mut self) {
        let (width, height) = (self.layout.samples.across as usize, self.layout.samples.down as usize);
        let stride = self.layout.stride();
        for row in self.samples.chunks_exact_mut(stride) {
            let last = row[width - 1];
            row[width..].fill(last);
        }
        let last = (height - 1) * stride;
        for row in height..self.samples.len() / stride {
            self.samples.copy_within(last..last + stride, row * stride);
        }
    }
}

/// The blocks of a component in all MCUs.
fn all_blocks(component: &Component, frame: &Frame) -> Grid {
    let mcus = frame.mcus();
    Grid {
        across: mcus.across * component.horizontal_sampling,
        down: mcus.down * component.vertical_sampling,
    }
}

/// Reads the AC coefficients of a block that does not show.
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

/// The place of a coefficient among those that are kept, n to a row.
pub(crate) fn kept(k: usize, n: usize) -> usize {
    usize::from(ZIGZAG[k] / 8) * n + usize::from(ZIGZAG[k] % 8)
}
