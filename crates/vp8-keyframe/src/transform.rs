//! From coefficients to differences of pixels (RFC 6386, section 14).
//!
//! The arithmetic is in 16 bits and on four blocks at once, so that the compiler can use vector instructions; the functions that
//! it does so in are not inlined. The coefficients that an encoder writes cannot overflow. Others wrap around.

use crate::coefficients::Block;

/// The inverse Walsh-Hadamard transform (section 14.3). Its results are the DCs of a macroblock's sixteen luma blocks.
pub(crate) fn inverse_wht(dcs: &Block) -> [i16; 16] {
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

/// Four blocks side by side.
type Rows = [[i16; 16]; 4];

/// The inverse DCT of four blocks (section 14.4): first the columns, then the rows.
pub(crate) fn inverse_dct(blocks: &mut [Block; 4]) {
    let mut rows = [[0; 16]; 4];
    for (i, block) in blocks.iter().enumerate() {
        for (row, from) in rows.iter_mut().zip(block.chunks_exact(4)) {
            row[4 * i..4 * i + 4].copy_from_slice(from);
        }
    }
    one_dimension::<0, 0>(&mut rows);
    transpose(&mut rows);
    one_dimension::<4, 3>(&mut rows);
    transpose(&mut rows);
    for (i, block) in blocks.iter_mut().enumerate() {
        for (row, to) in rows.iter().zip(block.chunks_exact_mut(4)) {
            to.copy_from_slice(&row[4 * i..4 * i + 4]);
        }
    }
}

/// The same for a block that has only a DC.
pub(crate) fn inverse_dct_of_dc(dc: i16) -> Block {
    [dc.wrapping_add(4) >> 3; 16]
}

/// Sixteen transforms of four numbers each, side by side.
#[inline(never)]
fn one_dimension<const ROUNDING: i16, const SHIFT: u32>(rows: &mut Rows) {
    let [row0, row1, row2, row3] = rows;
    for i in 0..16 {
        let [a, b, c, d] = [row0[i].wrapping_add(ROUNDING), row1[i], row2[i], row3[i]];
        let (even, odd) = (a.wrapping_add(c), a.wrapping_sub(c));
        let low = times_sine(b).wrapping_sub(times_cosine(d));
        let high = times_cosine(b).wrapping_add(times_sine(d));
        row0[i] = even.wrapping_add(high) >> SHIFT;
        row1[i] = odd.wrapping_add(low) >> SHIFT;
        row2[i] = odd.wrapping_sub(low) >> SHIFT;
        row3[i] = even.wrapping_sub(high) >> SHIFT;
    }
}

/// Times the square root of 2 times cos(π/8), which is 1 + 20091/65536.
#[inline(always)]
fn times_cosine(x: i16) -> i16 {
    x.wrapping_add(((i32::from(x) * 20_091) >> 16) as i16)
}

/// Times the square root of 2 times sin(π/8), which is 35468/65536: computed as 1 - 30068/65536, so that the product fits.
#[inline(always)]
fn times_sine(x: i16) -> i16 {
    x.wrapping_add(((i32::from(x) * (35_468 - 65_536)) >> 16) as i16)
}

/// Transposes each block: exchanges pairs of numbers between rows two apart, then numbers between neighbours.
#[inline(never)]
fn transpose(rows: &mut Rows) {
    let mut words = [[0; 4]; 4];
    for (words, row) in words.iter_mut().zip(rows.iter()) {
        for (word, numbers) in words.iter_mut().zip(row.chunks_exact(4)) {
            *word = (0..4).fold(0, |word, i| word | u64::from(numbers[i] as u16) << (16 * i));
        }
    }
    let [a, b, c, d] = &mut words;
    exchange::<32>(a, c);
    exchange::<32>(b, d);
    exchange::<16>(a, b);
    exchange::<16>(c, d);
    for (words, row) in words.iter().zip(rows) {
        for (word, numbers) in words.iter().zip(row.chunks_exact_mut(4)) {
            for (i, number) in numbers.iter_mut().enumerate() {
                *number = (word >> (16 * i)) as i16;
            }
        }
    }
}

/// Exchanges the upper halves of one row's groups of `2 * BITS` bits with the lower halves of the other's.
#[inline(never)]
fn exchange<const BITS: u32>(upper: &mut [u64; 4], lower: &mut [u64; 4]) {
    let mask = if BITS == 32 { 0x0000_0000_ffff_ffff } else { 0x0000_ffff_0000_ffff };
    for (upper, lower) in upper.iter_mut().zip(lower) {
        let exchanged = ((*upper >> BITS) ^ *lower) & mask;
        *upper ^= exchanged << BITS;
        *lower ^= exchanged;
    }
}
