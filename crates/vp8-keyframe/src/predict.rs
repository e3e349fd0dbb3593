//! The pixels of one macroblock: predicted from those above and to the left, then corrected (RFC 6386, section 12).
//!
//! A macroblock is put together on a small canvas that also holds the bordering pixels, so nothing here depends on where the
//! macroblock is in the picture. The bordering pixels are not filtered: in a key frame the loop filter (section 15) changes only
//! what is shown.

use crate::coefficients::Block;
use crate::modes::{SubblockMode, WholeMode};

/// The column of a canvas where the macroblock begins. The bordering pixel on the left is right before it.
pub(crate) const LEFT: usize = 8;

/// The column where the V of a chroma macroblock begins. Its U begins at [`LEFT`].
pub(crate) const SECOND_LEFT: usize = 24;

/// The bordering row above, and the macroblock's rows: 16 of luma, or 8 of U and V side by side.
pub(crate) type Canvas<const ROWS: usize> = [[u8; 32]; ROWS];

/// The values of the pixels above the picture and to the left of it (section 12.2).
pub(crate) const ABOVE_PICTURE: u8 = 127;
pub(crate) const LEFT_OF_PICTURE: u8 = 129;

/// Which bordering pixels are in the picture.
#[derive(Clone, Copy)]
pub(crate) struct Borders {
    pub(crate) above: bool,
    pub(crate) left: bool,
}

/// Predicts a square of `SIZE` pixels that begins at column `at` of a canvas.
pub(crate) fn predict_whole<const SIZE: usize, const ROWS: usize>(
    canvas: &mut Canvas<ROWS>,
    at: usize,
    mode: WholeMode,
    borders: Borders,
) {
    let [first, rows @ ..] = &mut canvas[..] else { return };
    let mut above = [0; SIZE];
    above.copy_from_slice(&first[at..at + SIZE]);
    match mode {
        WholeMode::Dc => {
            let sum_left = rows.iter().map(|row| u32::from(row[at - 1])).sum();
            let sum_above = above.iter().map(|&pixel| u32::from(pixel)).sum();
            let mean = mean_of_borders(SIZE as u32, sum_above, sum_left, borders);
            rows.iter_mut().for_each(|row| row[at..at + SIZE].fill(mean));
        }
        WholeMode::Vertical => rows.iter_mut().for_each(|row| row[at..at + SIZE].copy_from_slice(&above)),
        WholeMode::Horizontal => rows.iter_mut().for_each(|row| {
            let left = row[at - 1];
            row[at..at + SIZE].fill(left);
        }),
        WholeMode::Gradient => {
            let corner = i16::from(first[at - 1]);
            for row in rows {
                let slope = i16::from(row[at - 1]) - corner;
                for (pixel, above) in row[at..at + SIZE].iter_mut().zip(above) {
                    *pixel = clamp(i16::from(above) + slope);
                }
            }
        }
    }
}

fn mean_of_borders(size: u32, sum_above: u32, sum_left: u32, borders: Borders) -> u8 {
    let mean = match (borders.above, borders.left) {
        (true, true) => (sum_above + sum_left + size) / (2 * size),
        (true, false) => (sum_above + size / 2) / size,
        (false, true) => (sum_left + size / 2) / size,
        (false, false) => 128,
    };
    mean as u8
}

/// Predicts the 4x4 block whose first pixel is at `x`, `y` of the macroblock.
pub(crate) fn predict_subblock(canvas: &mut Canvas<17>, (x, y): (usize, usize), mode: SubblockMode) {
    let at = LEFT + x;
    let Some([above, rows @ ..]) = canvas[y..].first_chunk_mut::<5>() else { return };
    // The border, from the bottom of the left side over the corner to the right end of the top.
    let mut edge = [0; 13];
    for (i, row) in rows.iter().enumerate() {
        edge[3 - i] = row[at - 1];
    }
    edge[4..].copy_from_slice(&above[at - 1..at + 8]);
    let predicted = match mode {
        SubblockMode::Dc => {
            let sum: u16 = edge[..4].iter().chain(&edge[5..9]).map(|&pixel| u16::from(pixel)).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        SubblockMode::Gradient => std::array::from_fn(|row| {
            let slope = i16::from(edge[3 - row]) - i16::from(edge[4]);
            std::array::from_fn(|column| clamp(i16::from(edge[5 + column]) + slope))
        }),
        directional => predict_along(directional, &edge),
    };
    for (row, predicted) in rows.iter_mut().zip(predicted) {
        row[at..at + 4].copy_from_slice(&predicted);
    }
}

/// The modes that carry the border into the block in one direction.
#[inline(always)]
fn predict_along(mode: SubblockMode, edge: &[u8; 13]) -> [[u8; 4]; 4] {
    // Weighted means of two neighbours and of three. The last pixel of the border is repeated past its end.
    let two = |i: usize| mean_of_two(edge[i], edge[i + 1]);
    let three = |i: usize| mean_of_three(edge[i.max(1) - 1], edge[i], edge[(i + 1).min(12)]);
    match mode {
        SubblockMode::Vertical => [std::array::from_fn(|c| three(5 + c)); 4],
        SubblockMode::Horizontal => std::array::from_fn(|r| [three(3 - r); 4]),
        SubblockMode::DownLeft => std::array::from_fn(|r| std::array::from_fn(|c| three(6 + r + c))),
        SubblockMode::DownRight => std::array::from_fn(|r| std::array::from_fn(|c| three(4 + c - r))),
        SubblockMode::VerticalRight => {
            let [a, b, c, d] = std::array::from_fn(|i| two(4 + i));
            let [e, f, g, h] = std::array::from_fn(|i| three(4 + i));
            [[a, b, c, d], [e, f, g, h], [three(3), a, b, c], [three(2), e, f, g]]
        }
        SubblockMode::VerticalLeft => {
            let [a, b, c, d] = std::array::from_fn(|i| two(5 + i));
            let [e, f, g, h] = std::array::from_fn(|i| three(6 + i));
            [[a, b, c, d], [e, f, g, h], [b, c, d, three(10)], [f, g, h, three(11)]]
        }
        SubblockMode::HorizontalDown => {
            let up =
                [two(0), three(1), two(1), three(2), two(2), three(3), two(3), three(4), three(5), three(6)];
            std::array::from_fn(|r| std::array::from_fn(|c| up[6 - 2 * r + c]))
        }
        _ => {
            let last = edge[0];
            let down = [two(2), three(2), two(1), three(1), two(0), three(0), last, last, last, last];
            std::array::from_fn(|r| std::array::from_fn(|c| down[2 * r + c]))
        }
    }
}

/// Adds the differences of a 4x4 block to its prediction. `at` and `y` are a column and a row of the canvas.
#[inline(always)]
pub(crate) fn add_differences<const ROWS: usize>(
    canvas: &mut Canvas<ROWS>,
    (at, y): (usize, usize),
    differences: &Block,
) {
    let rows = &mut canvas[y..y + 4];
    let mut pixels = [0; 16];
    for (pixels, row) in pixels.chunks_exact_mut(4).zip(rows.iter()) {
        pixels.copy_from_slice(&row[at..at + 4]);
    }
    add(&mut pixels, differences);
    for (pixels, row) in pixels.chunks_exact(4).zip(rows) {
        row[at..at + 4].copy_from_slice(pixels);
    }
}

/// Not inlined, because the compiler then makes vector instructions of it.
#[inline(never)]
fn add(pixels: &mut [u8; 16], differences: &Block) {
    for (pixel, difference) in pixels.iter_mut().zip(differences) {
        *pixel = clamp(i16::from(*pixel).wrapping_add(*difference));
    }
}

fn clamp(pixel: i16) -> u8 {
    pixel.clamp(0, 255) as u8
}

fn mean_of_two(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

fn mean_of_three(a: u8, b: u8, c: u8) -> u8 {
    ((u16::from(a) + 2 * u16::from(b) + u16::from(c) + 2) >> 2) as u8
}
