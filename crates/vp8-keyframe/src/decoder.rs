//! Decodes the macroblocks one after another into planes of whole macroblocks, and crops those.

use crate::bool_decoder::BoolDecoder;
use crate::coefficients::{self, Coefficients, Content, Edge, LUMA_BLOCKS};
use crate::filter::{FilterStrength, FilterTask, PlaneMut, filter_chroma, filter_luma};
use crate::header::FrameHeader;
use crate::modes::{self, LumaMode, MacroblockModes, ModeContext, SubblockMode};
use crate::predict::{self, ABOVE_PICTURE, Borders, Canvas, LEFT, LEFT_OF_PICTURE, SECOND_LEFT};
use crate::{Error, Frame, LoopFilter, Plane};

/// The samples of a macroblock in all three planes.
const MACROBLOCK_BYTES: u64 = 16 * 16 * 3 / 2;

/// What [`decode`] holds besides the header, in bytes.
pub(crate) fn memory(header: &FrameHeader) -> u64 {
    const COLUMN_BYTES: u64 = (size_of::<Above>() + size_of::<MacroblockFilter>()) as u64;
    let (columns, rows) = (u64::from(header.width().div_ceil(16)), u64::from(header.height().div_ceil(16)));
    columns * rows * MACROBLOCK_BYTES + columns * COLUMN_BYTES
}

pub(crate) fn decode(header: &FrameHeader, filter: LoopFilter) -> Result<Frame, Error> {
    let (columns, rows) = (header.width().div_ceil(16) as usize, header.height().div_ceil(16) as usize);
    let mut planes = Planes::new(columns, rows);
    let mut decoder = RowDecoder::new(header, columns);
    let mut partitions = header.partitions.clone();
    for row in 0..rows {
        let partition = &mut partitions[row % header.partitions.len()];
        decoder.start(row);
        for column in 0..columns {
            decoder.decode(partition, (column, row));
            decoder.store(&mut planes, (column, row));
        }
        if decoder.modes.ran_out() || partition.ran_out() {
            return Err(Error::MacroblocksCutShort { row: row as u32, rows: rows as u32 });
        }
        if filter == LoopFilter::Apply {
            planes.filter_row(row, &decoder.filters, header.has_simple_filter);
        }
    }
    Ok(planes.crop(header.width(), header.height()))
}

/// Decodes one macroblock at a time, from left to right. It keeps what the next macroblock and the next row need.
struct RowDecoder<'a> {
    header: &'a FrameHeader<'a>,
    modes: BoolDecoder<'a>,
    above: Vec<Above>,
    left_modes: [SubblockMode; 4],
    left_edge: Edge,
    coefficients: Coefficients,
    luma: Canvas<17>,
    chroma: Canvas<9>,
    /// For each macroblock of the row.
    filters: Vec<MacroblockFilter>,
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

#[derive(Clone, Copy, Default)]
struct MacroblockFilter {
    strength: FilterStrength,
    /// Whether the edges between its 4x4 blocks are filtered too.
    inner: bool,
}

impl<'a> RowDecoder<'a> {
    fn new(header: &'a FrameHeader<'a>, columns: usize) -> RowDecoder<'a> {
        let outside = Above {
            modes: [SubblockMode::Dc; 4],
            edge: Edge::default(),
            luma: [ABOVE_PICTURE; 16],
            chroma: [ABOVE_PICTURE; 16],
        };
        RowDecoder {
            header,
            modes: header.modes,
            above: vec![outside; columns],
            left_modes: [SubblockMode::Dc; 4],
            left_edge: Edge::default(),
            coefficients: Coefficients::new(),
            luma: [[0; 32]; 17],
            chroma: [[0; 32]; 9],
            filters: vec![MacroblockFilter::default(); columns],
        }
    }

    /// Starts a row: there is nothing to the left.
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

    /// Decodes a macroblock's pixels onto the canvases.
    fn decode(&mut self, partition: &mut BoolDecoder, (column, row): (usize, usize)) {
        let header = self.header;
        let above = &mut self.above[column];
        let context = ModeContext { above: &mut above.modes, left: &mut self.left_modes };
        let (segments, coded) = (header.segment_probabilities, header.coded_probability);
        let modes = modes::parse_modes(&mut self.modes, segments, coded, context);
        let segment = &header.segments[modes.segment];
        let is_whole = matches!(modes.luma, LumaMode::Whole(_));
        self.coefficients.clear();
        let edges = [&mut above.edge, &mut self.left_edge];
        if modes.skipped {
            edges.into_iter().for_each(|edge| edge.skip(is_whole));
        } else {
            coefficients::parse_coefficients(
                partition,
                &header.coefficients,
                &segment.quantizers,
                is_whole,
                edges,
                &mut self.coefficients,
            );
        }
        self.filters[column] = MacroblockFilter {
            strength: segment.filter[usize::from(!is_whole)],
            inner: !is_whole || !self.coefficients.are_zero(),
        };
        self.place_borders(column, row);
        self.reconstruct(&modes, Borders { above: row > 0, left: column > 0 });
    }

    /// Puts the row above on the canvases. The column to the left is there already.
    fn place_borders(&mut self, column: usize, row: usize) {
        let above = &self.above[column];
        let mut right = [ABOVE_PICTURE; 4];
        if row > 0 {
            // Right of the picture, the last pixel of the row above is repeated.
            right = self.above.get(column + 1).map_or([above.luma[15]; 4], |next| {
                let [a, b, c, d, ..] = next.luma;
                [a, b, c, d]
            });
        }
        self.luma[0][LEFT..LEFT + 16].copy_from_slice(&above.luma);
        // All blocks at the right edge of the macroblock use these four pixels as those above and to the right of them.
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
                predict::predict_whole::<16, 17>(&mut self.luma, LEFT, mode, borders);
                for i in 0..LUMA_BLOCKS {
                    if let Some(differences) = differences(i) {
                        predict::add_differences(
                            &mut self.luma,
                            (LEFT + i % 4 * 4, 1 + i / 4 * 4),
                            differences,
                        );
                    }
                }
            }
            LumaMode::Subblocks(modes) => {
                for (i, mode) in modes.into_iter().enumerate() {
                    let (x, y) = (i % 4 * 4, i / 4 * 4);
                    predict::predict_subblock(&mut self.luma, (x, y), mode);
                    if let Some(differences) = differences(i) {
                        predict::add_differences(&mut self.luma, (LEFT + x, 1 + y), differences);
                    }
                }
            }
        }
        for (at, first) in [(LEFT, LUMA_BLOCKS), (SECOND_LEFT, LUMA_BLOCKS + 4)] {
            predict::predict_whole::<8, 9>(&mut self.chroma, at, modes.chroma, borders);
            for i in 0..4 {
                if let Some(differences) = differences(first + i) {
                    predict::add_differences(&mut self.chroma, (at + i % 2 * 4, 1 + i / 2 * 4), differences);
                }
            }
        }
    }

    /// Copies the macroblock from the canvases to the planes, and keeps the pixels that its neighbours are predicted from.
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

/// The planes of whole macroblocks.
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

    /// Filters a row of macroblocks from left to right: each filter works on the pixels that the one before has left.
    fn filter_row(&mut self, row: usize, filters: &[MacroblockFilter], simple: bool) {
        let mut y = PlaneMut { samples: &mut self.y, stride: 16 * self.columns };
        let stride = 8 * self.columns;
        let mut chroma = [&mut self.u, &mut self.v].map(|samples| PlaneMut { samples, stride });
        for (column, &MacroblockFilter { strength, inner }) in filters.iter().enumerate() {
            if strength.edge_limit > 0 {
                let task = FilterTask { column, row, strength, inner };
                filter_luma(&mut y, task, simple);
                if !simple {
                    filter_chroma(&mut chroma, task);
                }
            }
        }
    }

    fn crop(self, width: u32, height: u32) -> Frame {
        let stride = 8 * self.columns;
        let chroma = (width.div_ceil(2), height.div_ceil(2));
        Frame {
            y: crop_plane(self.y, 2 * stride, (width, height)),
            u: crop_plane(self.u, stride, chroma),
            v: crop_plane(self.v, stride, chroma),
        }
    }
}

/// Moves the rows together within the buffer, so that a crop needs no second one.
fn crop_plane(mut samples: Vec<u8>, stride: usize, (width, height): (u32, u32)) -> Plane {
    let (row_bytes, rows) = (width as usize, height as usize);
    if row_bytes < stride {
        for row in 1..rows {
            samples.copy_within(row * stride..row * stride + row_bytes, row * row_bytes);
        }
    }
    samples.truncate(row_bytes * rows);
    Plane { width, height, samples }
}
