//! The loop filter, which smooths the steps that coding in blocks leaves between them (RFC 6386, section 15).
//!
//! An edge is filtered sixteen pixels at a time: eight arrays, of the pixels at the same distance from the edge, go through
//! arithmetic without branches that the compiler turns into vector instructions. Edges that run across are rows as they
//! lie in memory; for those that run down, the macroblock is transposed and transposed back.

// Loops over fixed arrays by index are what the compiler turns to vectors.
#![allow(clippy::needless_range_loop)]

use super::header::FilterStrength;

/// Pixels at one distance from an edge.
type Line = [u8; 16];

/// How much more of a step is smoothed between macroblocks than within one.
const MACROBLOCK_EXTRA: u8 = 4;

/// Any of the planes, of whole macroblocks.
pub(super) struct Samples<'a> {
    pub samples: &'a mut [u8],
    pub stride: usize,
}

impl Samples<'_> {
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

/// A macroblock's place, in macroblocks, and what is to be done to it.
#[derive(Clone, Copy)]
pub(super) struct Job {
    pub column: usize,
    pub row: usize,
    pub strength: FilterStrength,
    /// The edges between its 4x4 blocks are filtered too.
    pub inner: bool,
}

/// Filters the luma of one macroblock, and the edges to those above and to the left of it.
pub(super) fn luma(plane: &mut Samples, job: Job, simple: bool) {
    let (x, y) = (16 * job.column, 16 * job.row);
    // By row: eight pixels to the left of the macroblock, its own first eight, its last eight; each for a row of the upper
    // half and for one of the lower.
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
        edge::<true>(&mut columns, 8, job.strength, simple);
    }
    if job.inner {
        [12, 16, 20].into_iter().for_each(|at| edge::<false>(&mut columns, at, job.strength, simple));
    }
    words = std::array::from_fn(|c| join([&columns[c], &columns[8 + c], &columns[16 + c]]));
    transpose(&mut words);
    let mut rows = [[0; 16]; 20];
    for r in 0..8 {
        let [left_upper, left_lower, a, b, c, d] = words[r];
        if x > 0 {
            plane.set(x - 8, y + r, &left_upper.to_le_bytes());
            plane.set(x - 8, y + r + 8, &left_lower.to_le_bytes());
        }
        rows[4 + r] = line(&[a, c], 0);
        rows[12 + r] = line(&[b, d], 0);
    }
    if y > 0 {
        for (r, row) in rows[..4].iter_mut().enumerate() {
            *row = plane.get(x, y + r - 4);
        }
        edge::<true>(&mut rows, 4, job.strength, simple);
        for (r, row) in rows[..4].iter().enumerate().skip(1) {
            plane.set(x, y + r - 4, row);
        }
    }
    if job.inner {
        [8, 12, 16].into_iter().for_each(|at| edge::<false>(&mut rows, at, job.strength, simple));
    }
    for r in 0..16 {
        plane.set(x, y + r, &rows[4 + r]);
    }
}

/// The same for chroma, both planes at once. The simple filter leaves them alone.
pub(super) fn chroma(planes: &mut [Samples; 2], job: Job) {
    let (x, y) = (8 * job.column, 8 * job.row);
    let mut words: [[u64; 4]; 8] = std::array::from_fn(|r| {
        let [u, v] = &*planes;
        let left = if x > 0 { [u.get_word(x - 8, y + r), v.get_word(x - 8, y + r)] } else { [0; 2] };
        [left[0], left[1], u.get_word(x, y + r), v.get_word(x, y + r)]
    });
    transpose(&mut words);
    let mut columns: [Line; 16] = std::array::from_fn(|c| line(&words[c % 8], c / 8));
    if x > 0 {
        edge::<true>(&mut columns, 8, job.strength, false);
    }
    if job.inner {
        edge::<false>(&mut columns, 12, job.strength, false);
    }
    words = std::array::from_fn(|c| join([&columns[c], &columns[8 + c]]));
    transpose(&mut words);
    let mut rows = [[0; 16]; 12];
    for r in 0..8 {
        let [left_u, left_v, u, v] = words[r];
        if x > 0 {
            planes[0].set(x - 8, y + r, &left_u.to_le_bytes());
            planes[1].set(x - 8, y + r, &left_v.to_le_bytes());
        }
        rows[4 + r] = line(&[u, v], 0);
    }
    if y > 0 {
        for (r, row) in rows[..4].iter_mut().enumerate() {
            *row = line(&[planes[0].get_word(x, y + r - 4), planes[1].get_word(x, y + r - 4)], 0);
        }
        edge::<true>(&mut rows, 4, job.strength, false);
    }
    if job.inner {
        edge::<false>(&mut rows, 8, job.strength, false);
    }
    for r in if y > 0 { 1..12 } else { 4..12 } {
        let [u, v] = split(&rows[r]);
        planes[0].set(x, y + r - 4, &u.to_le_bytes());
        planes[1].set(x, y + r - 4, &v.to_le_bytes());
    }
}

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

/// Transposes eight rows of eight bytes, `N` times side by side: halves are exchanged between rows four apart, then
/// quarters between rows two apart, then bytes between neighbours.
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

/// Filters the edge before line number `at`: one between macroblocks or one within.
#[inline(always)]
fn edge<const MACROBLOCK: bool>(lines: &mut [Line], at: usize, strength: FilterStrength, simple: bool) {
    let Some(lines) = lines.get_mut(at - 4..).and_then(|lines| lines.first_chunk_mut::<8>()) else { return };
    let edge_limit = strength.edge_limit + if MACROBLOCK { MACROBLOCK_EXTRA } else { 0 };
    if simple {
        simple_edge(lines, edge_limit);
    } else {
        normal_edge::<MACROBLOCK>(lines, edge_limit, strength);
    }
}

/// Section 15.2.
#[inline(never)]
fn simple_edge(lines: &mut [Line; 8], edge_limit: u8) {
    let [_, _, p1s, p0s, q0s, q1s, _, _] = lines;
    for i in 0..16 {
        let [p1, p0, q0, q1] = [p1s[i], p0s[i], q0s[i], q1s[i]];
        let filtered = mask(edge_step(p1, p0, q0, q1) <= edge_limit);
        let change = common_change(signed(p1), signed(p0), signed(q0), signed(q1), -1) & filtered;
        p0s[i] = unsigned(signed(p0).saturating_add(change.saturating_add(3) >> 3));
        q0s[i] = unsigned(signed(q0).saturating_sub(change.saturating_add(4) >> 3));
    }
}

/// Section 15.3.
#[inline(never)]
fn normal_edge<const MACROBLOCK: bool>(lines: &mut [Line; 8], edge_limit: u8, strength: FilterStrength) {
    let FilterStrength { interior_limit, high_variance, .. } = strength;
    let [p3s, p2s, p1s, p0s, q0s, q1s, q2s, q3s] = lines;
    for i in 0..16 {
        let [p3, p2, p1, p0] = [p3s[i], p2s[i], p1s[i], p0s[i]];
        let [q0, q1, q2, q3] = [q0s[i], q1s[i], q2s[i], q3s[i]];
        let beside = p1.abs_diff(p0).max(q1.abs_diff(q0));
        let further = p3.abs_diff(p2).max(p2.abs_diff(p1)).max(q2.abs_diff(q1)).max(q3.abs_diff(q2));
        let high = mask(beside > high_variance);
        let filtered =
            mask(edge_step(p1, p0, q0, q1) <= edge_limit) & mask(beside.max(further) <= interior_limit);
        let [p2, p1, p0] = [p2, p1, p0].map(signed);
        let [q0, q1, q2] = [q0, q1, q2].map(signed);
        if MACROBLOCK {
            let change = common_change(p1, p0, q0, q1, -1) & filtered;
            let (sharp, smooth) = (change & high, change & !high);
            let p0 = p0.saturating_add(sharp.saturating_add(3) >> 3);
            let q0 = q0.saturating_sub(sharp.saturating_add(4) >> 3);
            let part = |ninths: i16| ((ninths * i16::from(smooth) + 63) >> 7) as i8;
            let (near, middle, far) = (part(27), part(18), part(9));
            p2s[i] = unsigned(p2.saturating_add(far));
            p1s[i] = unsigned(p1.saturating_add(middle));
            p0s[i] = unsigned(p0.saturating_add(near));
            q0s[i] = unsigned(q0.saturating_sub(near));
            q1s[i] = unsigned(q1.saturating_sub(middle));
            q2s[i] = unsigned(q2.saturating_sub(far));
        } else {
            let change = common_change(p1, p0, q0, q1, high) & filtered;
            let near = change.saturating_add(4) >> 3;
            let beside = ((near + 1) >> 1) & !high;
            p1s[i] = unsigned(p1.saturating_add(beside));
            p0s[i] = unsigned(p0.saturating_add(change.saturating_add(3) >> 3));
            q0s[i] = unsigned(q0.saturating_sub(near));
            q1s[i] = unsigned(q1.saturating_sub(beside));
        }
    }
}

/// How high a step there is across the edge: twice that of the pixels at it and half that of those behind.
#[inline(always)]
fn edge_step(p1: u8, p0: u8, q0: u8, q1: u8) -> u8 {
    let step = p0.abs_diff(q0);
    step.saturating_add(step).saturating_add(p1.abs_diff(q1) >> 1)
}

/// Three times the step at the edge and, where `outer` has its bits set, the step behind it the other way.
#[inline(always)]
fn common_change(p1: i8, p0: i8, q0: i8, q1: i8, outer: i8) -> i8 {
    let step = q0.saturating_sub(p0);
    (p1.saturating_sub(q1) & outer).saturating_add(step).saturating_add(step).saturating_add(step)
}

#[inline(always)]
fn mask(condition: bool) -> i8 {
    -i8::from(condition)
}

#[inline(always)]
fn signed(pixel: u8) -> i8 {
    (pixel ^ 0x80) as i8
}

#[inline(always)]
fn unsigned(pixel: i8) -> u8 {
    pixel as u8 ^ 0x80
}
