//! The loop filter, which smooths the steps between blocks (RFC 6386, sections 9.4 and 15).
//!
//! Horizontal edges are filtered in rows of sixteen pixels, as they lie in memory. For vertical edges the macroblock is
//! transposed and transposed back.

use crate::bool_decoder::BoolDecoder;
use crate::filter_edges::{Line, filter_edge};
use crate::header::{SEGMENTS, Segmentation};

/// How high a step between pixels may be and still be smoothed.
#[derive(Clone, Copy, Default)]
pub(crate) struct FilterStrength {
    /// A higher step across an edge belongs to the picture. It is 0 if there is no filter.
    pub(crate) edge_limit: u8,
    /// A higher step next to the edge belongs to the picture.
    pub(crate) interior_limit: u8,
    /// With a higher step right next to the edge, the filter changes only the two pixels at the edge.
    pub(crate) high_variance: u8,
}

/// Whether the filter is the simple one, and by segment its strength for a macroblock that is predicted as a whole and for one
/// that is predicted in 4x4 blocks (section 9.4).
pub(crate) fn parse_filter(
    bits: &mut BoolDecoder,
    segmentation: &Segmentation,
) -> (bool, [[FilterStrength; 2]; SEGMENTS]) {
    let simple = bits.read_flag();
    let level = i32::from(bits.read_number(6));
    let sharpness = bits.read_number(3);
    // Four differences by reference frame, then four by mode. A key frame uses the first of each.
    let (mut intra_delta, mut subblock_delta) = (0, 0);
    if bits.read_flag() && bits.read_flag() {
        let mut first_of_four = || {
            let deltas: [_; 4] = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
            deltas[0]
        };
        (intra_delta, subblock_delta) = (first_of_four(), first_of_four());
    }
    let mut strengths = [[FilterStrength::default(); 2]; SEGMENTS];
    if level > 0 {
        for (segment, strengths) in strengths.iter_mut().enumerate() {
            let whole = segmentation.filter(segment, level) + intra_delta;
            *strengths = [whole, whole + subblock_delta].map(|level| strength(level, sharpness));
        }
    }
    (simple, strengths)
}

fn strength(level: i32, sharpness: u8) -> FilterStrength {
    let level = level.clamp(0, 63) as u8;
    if level == 0 {
        return FilterStrength::default();
    }
    let interior_limit = match sharpness {
        0 => level,
        1..=4 => (level >> 1).min(9 - sharpness),
        _ => (level >> 2).min(9 - sharpness),
    };
    let interior_limit = interior_limit.max(1);
    let high_variance = u8::from(level >= 15) + u8::from(level >= 40);
    FilterStrength { edge_limit: 2 * level + interior_limit, interior_limit, high_variance }
}

/// A plane of whole macroblocks.
pub(crate) struct PlaneMut<'a> {
    pub(crate) samples: &'a mut [u8],
    pub(crate) stride: usize,
}

impl PlaneMut<'_> {
    fn get<const N: usize>(&self, x: usize, y: usize) -> [u8; N] {
        let start = y * self.stride + x;
        self.samples.get(start..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn set<const N: usize>(&mut self, x: usize, y: usize, values: &[u8; N]) {
        let start = y * self.stride + x;
        if let Some(chunk) = self.samples.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
            *chunk = *values;
        }
    }

    fn get_word(&self, x: usize, y: usize) -> u64 {
        u64::from_le_bytes(self.get(x, y))
    }
}

/// Where a macroblock is, in macroblocks, and how it is filtered.
#[derive(Clone, Copy)]
pub(crate) struct FilterTask {
    pub(crate) column: usize,
    pub(crate) row: usize,
    pub(crate) strength: FilterStrength,
    /// Whether the edges between its 4x4 blocks are filtered too.
    pub(crate) inner: bool,
}

/// Filters the luma of one macroblock, with its upper and left edge.
pub(crate) fn filter_luma(plane: &mut PlaneMut, task: FilterTask, simple: bool) {
    let (x, y) = (16 * task.column, 16 * task.row);
    let mut rows = [[0; 16]; 20];
    filter_luma_columns(plane, task, simple, &mut rows);
    if y > 0 {
        for (r, row) in rows[..4].iter_mut().enumerate() {
            *row = plane.get(x, y + r - 4);
        }
        filter_edge::<true>(&mut rows, 4, task.strength, simple);
        for (r, row) in rows[..4].iter().enumerate().skip(1) {
            plane.set(x, y + r - 4, row);
        }
    }
    if task.inner {
        [8, 12, 16].into_iter().for_each(|at| filter_edge::<false>(&mut rows, at, task.strength, simple));
    }
    for r in 0..16 {
        plane.set(x, y + r, &rows[4 + r]);
    }
}

/// Filters the vertical edges. The macroblock's own pixels go to the last sixteen rows, those left of it to the plane.
#[inline(always)]
fn filter_luma_columns(plane: &mut PlaneMut, task: FilterTask, simple: bool, rows: &mut [Line; 20]) {
    let (x, y) = (16 * task.column, 16 * task.row);
    // Each row has eight pixels left of the macroblock, its first eight and its last eight. All are there twice: for a row of
    // the upper half and for one of the lower.
    let mut words: [[u64; 6]; 8] = std::array::from_fn(|r| {
        let left =
            if x > 0 { [plane.get_word(x - 8, y + r), plane.get_word(x - 8, y + r + 8)] } else { [0; 2] };
        let [upper, lower] = [y + r, y + r + 8];
        let [a, b] = [plane.get_word(x, upper), plane.get_word(x, lower)];
        let [c, d] = [plane.get_word(x + 8, upper), plane.get_word(x + 8, lower)];
        [left[0], left[1], a, b, c, d]
    });
    transpose(&mut words);
    let mut columns: [Line; 24] = std::array::from_fn(|c| line(&words[c % 8], c / 8));
    if x > 0 {
        filter_edge::<true>(&mut columns, 8, task.strength, simple);
    }
    if task.inner {
        [12, 16, 20].into_iter().for_each(|at| filter_edge::<false>(&mut columns, at, task.strength, simple));
    }
    words = std::array::from_fn(|c| join([&columns[c], &columns[8 + c], &columns[16 + c]]));
    transpose(&mut words);
    for r in 0..8 {
        let [left_upper, left_lower, a, b, c, d] = words[r];
        if x > 0 {
            plane.set(x - 8, y + r, &left_upper.to_le_bytes());
            plane.set(x - 8, y + r + 8, &left_lower.to_le_bytes());
        }
        rows[4 + r] = line(&[a, c], 0);
        rows[12 + r] = line(&[b, d], 0);
    }
}

/// Filters the chroma of one macroblock, both planes at once. Only the normal filter does.
pub(crate) fn filter_chroma(planes: &mut [PlaneMut; 2], task: FilterTask) {
    let (x, y) = (8 * task.column, 8 * task.row);
    let mut rows = [[0; 16]; 12];
    filter_chroma_columns(planes, task, &mut rows);
    if y > 0 {
        for (r, row) in rows[..4].iter_mut().enumerate() {
            *row = line(&[planes[0].get_word(x, y + r - 4), planes[1].get_word(x, y + r - 4)], 0);
        }
        filter_edge::<true>(&mut rows, 4, task.strength, false);
    }
    if task.inner {
        filter_edge::<false>(&mut rows, 8, task.strength, false);
    }
    for r in if y > 0 { 1..12 } else { 4..12 } {
        let [u, v] = split(&rows[r]);
        planes[0].set(x, y + r - 4, &u.to_le_bytes());
        planes[1].set(x, y + r - 4, &v.to_le_bytes());
    }
}

/// Filters the vertical edges. The macroblock's own pixels go to the last eight rows, those left of it to the planes.
#[inline(always)]
fn filter_chroma_columns(planes: &mut [PlaneMut; 2], task: FilterTask, rows: &mut [Line; 12]) {
    let (x, y) = (8 * task.column, 8 * task.row);
    let mut words: [[u64; 4]; 8] = std::array::from_fn(|r| {
        let [u, v] = &*planes;
        let left = if x > 0 { [u.get_word(x - 8, y + r), v.get_word(x - 8, y + r)] } else { [0; 2] };
        [left[0], left[1], u.get_word(x, y + r), v.get_word(x, y + r)]
    });
    transpose(&mut words);
    let mut columns: [Line; 16] = std::array::from_fn(|c| line(&words[c % 8], c / 8));
    if x > 0 {
        filter_edge::<true>(&mut columns, 8, task.strength, false);
    }
    if task.inner {
        filter_edge::<false>(&mut columns, 12, task.strength, false);
    }
    words = std::array::from_fn(|c| join([&columns[c], &columns[8 + c]]));
    transpose(&mut words);
    for r in 0..8 {
        let [left_u, left_v, u, v] = words[r];
        if x > 0 {
            planes[0].set(x - 8, y + r, &left_u.to_le_bytes());
            planes[1].set(x - 8, y + r, &left_v.to_le_bytes());
        }
        rows[4 + r] = line(&[u, v], 0);
    }
}

/// Two words as one line: pair number `pair` of them.
fn line<const N: usize>(words: &[u64; N], pair: usize) -> Line {
    let mut line = [0; 16];
    line[..8].copy_from_slice(&words[2 * pair].to_le_bytes());
    line[8..].copy_from_slice(&words[2 * pair + 1].to_le_bytes());
    line
}

fn split(line: &Line) -> [u64; 2] {
    let word = u128::from_le_bytes(*line);
    [word as u64, (word >> 64) as u64]
}

fn join<const LINES: usize, const WORDS: usize>(lines: [&Line; LINES]) -> [u64; WORDS] {
    std::array::from_fn(|i| split(lines[i / 2])[i % 2])
}

/// Transposes `N` squares of 8x8 bytes that lie side by side. It exchanges halves between rows four apart, then quarters between
/// rows two apart, then bytes between neighbours.
#[inline(always)]
fn transpose<const N: usize>(rows: &mut [[u64; N]; 8]) {
    const MASKS: [u64; 3] = [0x0000_0000_ffff_ffff, 0x0000_ffff_0000_ffff, 0x00ff_00ff_00ff_00ff];
    for (step, mask) in [4, 2, 1].into_iter().zip(MASKS) {
        for upper in (0..8).filter(|row| row & step == 0) {
            let (mut a, mut b) = (rows[upper], rows[upper + step]);
            for (a, b) in a.iter_mut().zip(&mut b) {
                let exchanged = ((*a >> (8 * step)) ^ *b) & mask;
                *a ^= exchanged << (8 * step);
                *b ^= exchanged;
            }
            (rows[upper], rows[upper + step]) = (a, b);
        }
    }
}
