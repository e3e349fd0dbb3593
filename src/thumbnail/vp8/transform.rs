//! From coefficients to differences of pixels (RFC 6386, section 14).
//!
//! All of it is in 16 bits, which is what lets the compiler work on eight numbers at a time. The coefficients of an honest
//! picture cannot overflow; those of another wrap around.

use super::coefficients::Block;

/// The inverse Walsh-Hadamard transform, which gives the DCs of a macroblock's sixteen luma blocks (section 14.3).
pub fn inverse_wht(dcs: &Block) -> [i16; 16] {
    let dcs = dcs.map(i32::from);
    let mut columns = [0; 16];
    for i in 0..4 {
        let (outer, inner) = (dcs[i] + dcs[12 + i], dcs[4 + i] + dcs[8 + i]);
        let (outer_difference, inner_difference) = (dcs[i] - dcs[12 + i], dcs[4 + i] - dcs[8 + i]);
        columns[i] = outer + inner;
        columns[4 + i] = outer_difference + inner_difference;
        columns[8 + i] = outer - inner;
        columns[12 + i] = outer_difference - inner_difference;
    }
    let mut out = [0; 16];
    for (row, out) in columns.chunks_exact(4).zip(out.chunks_exact_mut(4)) {
        let (outer, inner) = (row[0] + row[3] + 3, row[1] + row[2]);
        let (outer_difference, inner_difference) = (row[0] - row[3] + 3, row[1] - row[2]);
        out[0] = ((outer + inner) >> 3) as i16;
        out[1] = ((outer_difference + inner_difference) >> 3) as i16;
        out[2] = ((outer - inner) >> 3) as i16;
        out[3] = ((outer_difference - inner_difference) >> 3) as i16;
    }
    out
}

/// The inverse DCT (section 14.4) of two blocks: first down the columns, then along the rows.
#[inline(never)]
pub fn inverse_dct(blocks: &mut [Block; 2]) {
    let mut rows = [[0; 8]; 4];
    for (r, row) in rows.iter_mut().enumerate() {
        row[..4].copy_from_slice(&blocks[0][4 * r..4 * r + 4]);
        row[4..].copy_from_slice(&blocks[1][4 * r..4 * r + 4]);
    }
    one_dimension(&mut rows, 0, 0);
    transpose(&mut rows);
    one_dimension(&mut rows, 4, 3);
    transpose(&mut rows);
    for (r, row) in rows.iter().enumerate() {
        blocks[0][4 * r..4 * r + 4].copy_from_slice(&row[..4]);
        blocks[1][4 * r..4 * r + 4].copy_from_slice(&row[4..]);
    }
}

/// The same for a block that has only a DC.
pub fn inverse_dct_of_dc(dc: i16) -> Block {
    [dc.wrapping_add(4) >> 3; 16]
}

/// Eight transforms of four numbers each, side by side.
#[inline(always)]
fn one_dimension(rows: &mut [[i16; 8]; 4], rounding: i16, shift: u32) {
    let [row0, row1, row2, row3] = rows;
    for i in 0..8 {
        let [a, b, c, d] = [row0[i].wrapping_add(rounding), row1[i], row2[i], row3[i]];
        let (even, odd) = (a.wrapping_add(c), a.wrapping_sub(c));
        let low = times_sine(b).wrapping_sub(times_cosine(d));
        let high = times_cosine(b).wrapping_add(times_sine(d));
        row0[i] = even.wrapping_add(high) >> shift;
        row1[i] = odd.wrapping_add(low) >> shift;
        row2[i] = odd.wrapping_sub(low) >> shift;
        row3[i] = even.wrapping_sub(high) >> shift;
    }
}

/// Times the square root of 2 and the cosine of an eighth of a half turn, which is 1 + 20091/65536.
#[inline(always)]
fn times_cosine(x: i16) -> i16 {
    x.wrapping_add(((i32::from(x) * 20_091) >> 16) as i16)
}

/// Times the square root of 2 and the sine of it, 35468/65536: written as 1 - 30068/65536, whose product fits.
#[inline(always)]
fn times_sine(x: i16) -> i16 {
    x.wrapping_add(((i32::from(x) * (35_468 - 65_536)) >> 16) as i16)
}

/// Transposes the left and the right half, each by itself: pairs are exchanged between rows two apart, then numbers
/// between neighbours.
#[inline(always)]
fn transpose(rows: &mut [[i16; 8]; 4]) {
    let mut words = rows.map(|row| {
        let half = |at: usize| (0..4).fold(0, |word, i| word | u64::from(row[at + i] as u16) << (16 * i));
        [half(0), half(4)]
    });
    for (upper, lower, shift, mask) in [
        (0, 2, 32, 0x0000_0000_ffff_ffff_u64),
        (1, 3, 32, 0x0000_0000_ffff_ffff),
        (0, 1, 16, 0x0000_ffff_0000_ffff),
        (2, 3, 16, 0x0000_ffff_0000_ffff),
    ] {
        for i in 0..2 {
            let exchanged = ((words[upper][i] >> shift) ^ words[lower][i]) & mask;
            words[upper][i] ^= exchanged << shift;
            words[lower][i] ^= exchanged;
        }
    }
    *rows = words.map(|word| std::array::from_fn(|i| (word[i / 4] >> (16 * (i % 4))) as i16));
}
