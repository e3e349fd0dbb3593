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

/// The inverse DCT (section 14.4): first down the columns, then along the rows.
#[inline(always)]
pub fn inverse_dct(block: &Block) -> [[i16; 4]; 4] {
    let rows = [0, 4, 8, 12].map(|at| [block[at], block[at + 1], block[at + 2], block[at + 3]]);
    let mut columns = transpose(&one_dimension(&rows));
    for dc in &mut columns[0] {
        *dc = dc.wrapping_add(4);
    }
    transpose(&one_dimension(&columns)).map(|row| row.map(|difference| difference >> 3))
}

/// What a block adds that has only a DC.
pub fn inverse_dct_of_dc(dc: i16) -> i16 {
    dc.wrapping_add(4) >> 3
}

/// Four transforms of four numbers each, side by side.
#[inline(always)]
fn one_dimension(input: &[[i16; 4]; 4]) -> [[i16; 4]; 4] {
    let mut out = [[0; 4]; 4];
    for i in 0..4 {
        let [a, b, c, d] = [input[0][i], input[1][i], input[2][i], input[3][i]];
        let (even, odd) = (a.wrapping_add(c), a.wrapping_sub(c));
        let low = times_sine(b).wrapping_sub(times_cosine(d));
        let high = times_cosine(b).wrapping_add(times_sine(d));
        out[0][i] = even.wrapping_add(high);
        out[1][i] = odd.wrapping_add(low);
        out[2][i] = odd.wrapping_sub(low);
        out[3][i] = even.wrapping_sub(high);
    }
    out
}

/// Times the square root of 2 and the cosine of an eighth of a half turn, which is 1 + 20091/65536.
#[inline(always)]
fn times_cosine(x: i16) -> i16 {
    x.wrapping_add((i32::from(x) * 20_091 >> 16) as i16)
}

/// Times the square root of 2 and the sine of it, 35468/65536: written as 1 - 30068/65536, whose product fits.
#[inline(always)]
fn times_sine(x: i16) -> i16 {
    x.wrapping_add((i32::from(x) * (35_468 - 65_536) >> 16) as i16)
}

#[inline(always)]
fn transpose(rows: &[[i16; 4]; 4]) -> [[i16; 4]; 4] {
    std::array::from_fn(|column| std::array::from_fn(|row| rows[row][column]))
}
