//! Lossy WebP: a VP8 key frame, decoded to its Y'CbCr planes (RFC 6386; libwebp decides where that leaves room).
//!
//! The decoders that can be had in safe Rust take more than twice libwebp's time, mostly in the loop filter and in making
//! RGB at full size. This one leaves the planes as they are, for whoever scales them, and can leave the loop filter out:
//! in a key frame nothing is predicted from filtered pixels, and what the filter changes hardly shows in a small picture.
//!
//! A frame is a grid of *macroblocks* of 16x16 pixels. The first of its partitions says how each is predicted, the others
//! hold what the prediction lacks:
//!
//! ```text
//! header ──▶ modes ────────▶ predict ──▶ (filter) ──▶ planes
//!            coefficients ──▶ transform ──┘
//! ```

mod bool_decoder;
mod coefficients;
mod filter;
mod header;
mod modes;
mod predict;
mod probabilities;
mod tables;
#[cfg(test)]
mod tests;
mod transform;

use crate::error::Undecodable;
use bool_decoder::BoolDecoder;
use coefficients::{Coefficients, Content, Edge, LUMA_BLOCKS};
use filter::{Job, Samples};
use header::{FilterStrength, Header};
use modes::{LumaMode, MacroblockModes, ModeContext, SubblockMode};
use predict::{ABOVE_PICTURE, Borders, Canvas, LEFT, LEFT_OF_PICTURE, SECOND_LEFT};

/// A decoded picture: BT.601 in its limited range, which is for the caller to turn into RGB.
pub(super) struct Frame {
    pub y: Plane,
    /// Half as wide and half as high, rounded up.
    pub u: Plane,
    pub v: Plane,
}

/// Samples row by row, without gaps.
pub(super) struct Plane {
    pub width: u32,
    pub height: u32,
    pub samples: Vec<u8>,
}

/// Whether to smooth the edges of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopFilter {
    /// As the format has it.
    Full,
    /// Not at all: for a picture that is going to be made much smaller.
    Skip,
}

/// Width and height, from the first ten bytes of a `VP8 ` chunk.
pub(super) fn dimensions(vp8: &[u8]) -> Result<(u32, u32), Undecodable> {
    header::parse_clear(vp8).map(|(width, height, _)| (width, height))
}

/// What [`decode`] holds, in bytes: a byte and a half for each pixel of whole macroblocks, and a row's notes on them.
pub(super) fn cost(vp8: &[u8]) -> Result<u64, Undecodable> {
    const MACROBLOCK_BYTES: u64 = 16 * 16 * 3 / 2;
    const NOTES_BYTES: u64 = (size_of::<Above>() + size_of::<(FilterStrength, bool)>()) as u64;
    let (width, height) = dimensions(vp8)?;
    let (columns, rows) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
    Ok(columns * rows * MACROBLOCK_BYTES + columns * NOTES_BYTES)
}

/// Decodes the content of a `VP8 ` chunk. It takes what [`cost`] says by the header's word: the caller looks at
/// [`dimensions`] first.
pub(super) fn decode(vp8: &[u8], filter: LoopFilter) -> Result<Frame, Undecodable> {
    let mut header = header::parse(vp8, filter)?;
    let (columns, rows) = (header.width.div_ceil(16) as usize, header.height.div_ceil(16) as usize);
    let mut planes = Planes::new(columns, rows);
    let mut band = Band::new(columns);
    let mut partitions = std::mem::take(&mut header.partitions);
    let partition_count = partitions.len();
    for row in 0..rows {
        let partition = &mut partitions[row % partition_count];
        band.start(row);
        for column in 0..columns {
            band.decode(&mut header, partition, (column, row));
            band.store(&mut planes, (column, row));
        }
        if header.modes.ran_out() || partition.ran_out() {
            return Err(Undecodable::coded_data(format!(
                "the WebP ends in row {row} of {rows} of its macroblocks"
            )));
        }
        planes.filter_row(row, &band.filters, header.simple_filter);
    }
    Ok(planes.crop(header.width, header.height))
}

/// What is kept from one row of macroblocks to the next, and from one macroblock to its right neighbour.
struct Band {
    above: Vec<Above>,
    left_modes: [SubblockMode; 4],
    left_edge: Edge,
    coefficients: Coefficients,
    luma: Canvas<17>,
    chroma: Canvas<9>,
    /// For each macroblock of the row, the filter and whether its inner edges are filtered too.
    filters: Vec<(FilterStrength, bool)>,
}

/// The bottom of a macroblock in the row above.
#[derive(Clone, Copy)]
struct Above {
    modes: [SubblockMode; 4],
    edge: Edge,
    luma: [u8; 16],
    /// Eight pixels of U, eight of V.
    chroma: [u8; 16],
}

impl Band {
    fn new(columns: usize) -> Band {
        let outside = Above {
            modes: [SubblockMode::Dc; 4],
            edge: Edge::default(),
            luma: [ABOVE_PICTURE; 16],
            chroma: [ABOVE_PICTURE; 16],
        };
        Band {
            above: vec![outside; columns],
            left_modes: [SubblockMode::Dc; 4],
            left_edge: Edge::default(),
            coefficients: Coefficients::new(),
            luma: [[0; 32]; 17],
            chroma: [[0; 32]; 9],
            filters: vec![Default::default(); columns],
        }
    }

    /// Forgets the last macroblock of the row before.
    fn start(&mut self, row: usize) {
        self.left_modes = [SubblockMode::Dc; 4];
        self.left_edge = Edge::default();
        self.luma.iter_mut().for_each(|row| row[LEFT - 1] = LEFT_OF_PICTURE);
        self.chroma.iter_mut().for_each(|row| {
            row[LEFT - 1] = LEFT_OF_PICTURE;
            row[SECOND_LEFT - 1] = LEFT_OF_PICTURE;
        });
        if row == 0 {
            self.luma[0][LEFT - 1] = ABOVE_PICTURE;
            self.chroma[0][LEFT - 1] = ABOVE_PICTURE;
            self.chroma[0][SECOND_LEFT - 1] = ABOVE_PICTURE;
        }
    }

    /// Puts a macroblock's pixels on the canvases.
    fn decode(&mut self, header: &mut Header, partition: &mut BoolDecoder, (column, row): (usize, usize)) {
        let above = &mut self.above[column];
        let context = ModeContext { above: &mut above.modes, left: &mut self.left_modes };
        let segments = header.segment_probabilities;
        let modes = modes::parse(&mut header.modes, segments, header.coded_probability, context);
        let segment = &header.segments[modes.segment];
        let is_whole = matches!(modes.luma, LumaMode::Whole(_));
        self.coefficients.clear();
        let edges = [&mut above.edge, &mut self.left_edge];
        if modes.skipped {
            edges.into_iter().for_each(|edge| edge.skip(is_whole));
        } else {
            let probabilities = &header.coefficients;
            coefficients::parse(partition, probabilities, segment, is_whole, edges, &mut self.coefficients);
        }
        self.filters[column] =
            (segment.filter[usize::from(!is_whole)], !is_whole || !self.coefficients.are_zero());
        self.place_borders(column, row);
        self.reconstruct(&modes, Borders { above: row > 0, left: column > 0 });
    }

    /// The row above comes from the row of macroblocks before; the column to the left is on the canvas already.
    fn place_borders(&mut self, column: usize, row: usize) {
        let above = &self.above[column];
        let mut right = [ABOVE_PICTURE; 4];
        if row > 0 {
            // Right of the picture its last pixel goes on.
            right = self.above.get(column + 1).map_or([above.luma[15]; 4], |next| {
                let [a, b, c, d, ..] = next.luma;
                [a, b, c, d]
            });
        }
        self.luma[0][LEFT..LEFT + 16].copy_from_slice(&above.luma);
        // The blocks further down take the same for what is above and to the right of the macroblock.
        for row in [0, 4, 8, 12] {
            self.luma[row][LEFT + 16..LEFT + 20].copy_from_slice(&right);
        }
        self.chroma[0][LEFT..LEFT + 8].copy_from_slice(&above.chroma[..8]);
        self.chroma[0][SECOND_LEFT..].copy_from_slice(&above.chroma[8..]);
    }

    fn reconstruct(&mut self, modes: &MacroblockModes, borders: Borders) {
        self.coefficients.transform();
        let Coefficients { blocks, contents } = &self.coefficients;
        let differences = |i: usize| (contents[i] != Content::Nothing).then_some(&blocks[i]);
        match modes.luma {
            LumaMode::Whole(mode) => {
                predict::whole::<16, 17>(&mut self.luma, LEFT, mode, borders);
                for i in 0..LUMA_BLOCKS {
                    if let Some(differences) = differences(i) {
                        predict::correct(&mut self.luma, (LEFT + i % 4 * 4, 1 + i / 4 * 4), differences);
                    }
                }
            }
            LumaMode::Subblocks(modes) => {
                for (i, mode) in modes.into_iter().enumerate() {
                    let (x, y) = (i % 4 * 4, i / 4 * 4);
                    predict::subblock(&mut self.luma, (x, y), mode);
                    if let Some(differences) = differences(i) {
                        predict::correct(&mut self.luma, (LEFT + x, 1 + y), differences);
                    }
                }
            }
        }
        for (at, first) in [(LEFT, LUMA_BLOCKS), (SECOND_LEFT, LUMA_BLOCKS + 4)] {
            predict::whole::<8, 9>(&mut self.chroma, at, modes.chroma, borders);
            for i in 0..4 {
                if let Some(differences) = differences(first + i) {
                    predict::correct(&mut self.chroma, (at + i % 2 * 4, 1 + i / 2 * 4), differences);
                }
            }
        }
    }

    /// Copies the macroblock from the canvases into the planes, and keeps what its neighbours will want to see.
    fn store(&mut self, planes: &mut Planes, (column, row): (usize, usize)) {
        let stride = 16 * planes.columns;
        let luma = &mut planes.y[row * 16 * stride..][..16 * stride];
        for (canvas, out) in self.luma[1..].iter().zip(luma.chunks_exact_mut(stride)) {
            out[16 * column..16 * column + 16].copy_from_slice(&canvas[LEFT..LEFT + 16]);
        }
        let stride = 8 * planes.columns;
        for (plane, at) in [(&mut planes.u, LEFT), (&mut planes.v, SECOND_LEFT)] {
            let chroma = &mut plane[row * 8 * stride..][..8 * stride];
            for (canvas, out) in self.chroma[1..].iter().zip(chroma.chunks_exact_mut(stride)) {
                out[8 * column..8 * column + 8].copy_from_slice(&canvas[at..at + 8]);
            }
        }
        let above = &mut self.above[column];
        above.luma.copy_from_slice(&self.luma[16][LEFT..LEFT + 16]);
        above.chroma[..8].copy_from_slice(&self.chroma[8][LEFT..LEFT + 8]);
        above.chroma[8..].copy_from_slice(&self.chroma[8][SECOND_LEFT..]);
        for row in &mut self.luma {
            row[LEFT - 1] = row[LEFT + 15];
        }
        for row in &mut self.chroma {
            row[LEFT - 1] = row[LEFT + 7];
            row[SECOND_LEFT - 1] = row[SECOND_LEFT + 7];
        }
    }
}

/// The planes as long as they are made of whole macroblocks.
struct Planes {
    columns: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Planes {
    fn new(columns: usize, rows: usize) -> Planes {
        let count = columns * rows;
        Planes { columns, y: vec![0; 256 * count], u: vec![0; 64 * count], v: vec![0; 64 * count] }
    }

    /// Each macroblock's filter works on what those before it have left.
    fn filter_row(&mut self, row: usize, filters: &[(FilterStrength, bool)], simple: bool) {
        let mut y = Samples { samples: &mut self.y, stride: 16 * self.columns };
        let stride = 8 * self.columns;
        let mut chroma = [&mut self.u, &mut self.v].map(|samples| Samples { samples, stride });
        for (column, &(strength, inner)) in filters.iter().enumerate() {
            if strength.edge_limit > 0 {
                let job = Job { column, row, strength, inner };
                filter::luma(&mut y, job, simple);
                if !simple {
                    filter::chroma(&mut chroma, job);
                }
            }
        }
    }

    fn crop(self, width: u32, height: u32) -> Frame {
        let stride = 8 * self.columns;
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        Frame {
            y: crop(self.y, 2 * stride, (width, height)),
            u: crop(self.u, stride, chroma),
            v: crop(self.v, stride, chroma),
        }
    }
}

/// Moves the rows together where they lie.
fn crop(mut samples: Vec<u8>, stride: usize, (width, height): (u32, u32)) -> Plane {
    let (row_bytes, rows) = (width as usize, height as usize);
    if row_bytes < stride {
        for row in 1..rows {
            samples.copy_within(row * stride..row * stride + row_bytes, row * row_bytes);
        }
    }
    samples.truncate(row_bytes * rows);
    Plane { width, height, samples }
}
