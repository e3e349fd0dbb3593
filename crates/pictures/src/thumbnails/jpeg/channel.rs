//! One component of the picture on its way from coefficients to samples: its plane, and what its coding has to remember.

use super::frame::{Frame, Layout};
use super::huffman::{Bits, END_OF_BLOCK, Table};
use super::idct::{Block, Idct};
use super::scan::Tables;
use crate::error::Undecodable;

/// The place of each coefficient in a block, in the order in which they are coded (T.81, figure 5).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// One component on its way.
pub(super) struct Channel {
    pub layout: Layout,
    /// Blocks in an MCU.
    pub h: u32,
    pub v: u32,
    idct: Idct,
    /// The place of each coefficient in a [`Block`], in coded order; 0 for those that the scale does not use.
    places: [u8; 64],
    /// In coded order, as of the first scan.
    pub quantization: Option<[f32; 64]>,
    pub plane: Vec<u8>,
    /// For a progressive picture: n x n coefficients for each block that shows.
    pub coefficients: Vec<i16>,
    /// For a progressive picture: for each block, shown or not, which of its coefficients are not zero.
    pub nonzero: Vec<u64>,
    /// How many there are to a row.
    across: usize,
    /// A bit for each coefficient that the scale uses.
    pub used: u64,
    pub prediction: i32,
}

impl Channel {
    pub(super) fn new(layout: Layout, h: u32, v: u32, frame: &Frame) -> Channel {
        let n = layout.n;
        let uses = |place: u8| usize::from(place / 8) < n && usize::from(place % 8) < n;
        let places = ZIGZAG.map(|place| if uses(place) { place } else { 0 });
        let used = (0..64).filter(|&k| uses(ZIGZAG[k])).fold(0, |used, k| used | 1 << k);
        let samples = layout.samples();
        let across = (frame.mcus().0 * h) as usize;
        let all = across * (frame.mcus().1 * v) as usize;
        let (coefficients, nonzero) = if frame.progressive { (samples, all) } else { (0, 0) };
        Channel {
            h,
            v,
            idct: Idct::new(n),
            places,
            quantization: None,
            plane: vec![0; samples],
            coefficients: vec![0; coefficients],
            nonzero: vec![0; nonzero],
            across,
            used,
            prediction: 0,
            layout,
        }
    }

    /// What it holds, in bytes.
    pub(super) fn cost(layout: &Layout, h: u32, v: u32, frame: &Frame) -> u64 {
        let samples = layout.samples() as u64;
        let all = u64::from(frame.mcus().0 * h) * u64::from(frame.mcus().1 * v);
        if frame.progressive { samples * 3 + all * 8 } else { samples }
    }

    /// Which of all blocks this is.
    pub(super) fn block(&self, column: u32, row: u32) -> usize {
        row as usize * self.across + column as usize
    }

    pub(super) fn fix_quantization(&mut self, tables: &Tables, number: usize) -> Result<(), Undecodable> {
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
    pub(super) fn read_block(
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
    pub(super) fn finish(&mut self) {
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

/// Where a coefficient is among those that are kept, n to a row.
pub(super) fn kept(k: usize, n: usize) -> usize {
    usize::from(ZIGZAG[k] / 8) * n + usize::from(ZIGZAG[k] % 8)
}
