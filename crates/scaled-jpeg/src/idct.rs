//! From a block's coefficients to NxN samples in place of 8x8: the lowest NxN coefficients through an N-point inverse DCT
//! are the block at N eighths of its size, without anything that the smaller size could not show.

// Loops over fixed arrays by index are what the compiler turns to vectors.
#![allow(clippy::needless_range_loop)]

use std::f32::consts::{FRAC_1_SQRT_2, PI};

/// The coefficients of a block, dequantised, 8 to a row of growing vertical frequency.
pub(crate) type Block = [f32; 64];

/// An inverse DCT to `n` samples a side.
pub(crate) struct Idct {
    pub(crate) n: usize,
    /// What coefficient `u` adds to sample `x`, by `x` and by `u`.
    by_sample: [[f32; 8]; 8],
    by_coefficient: [[f32; 8]; 8],
}

impl Idct {
    pub(crate) fn new(n: usize) -> Idct {
        let mut idct = Idct { n, by_sample: [[0.0; 8]; 8], by_coefficient: [[0.0; 8]; 8] };
        for x in 0..n {
            for u in 0..n {
                let scale = if u == 0 { FRAC_1_SQRT_2 } else { 1.0 };
                let weight = scale / 2.0 * ((2 * x + 1) as f32 * u as f32 * PI / (2 * n) as f32).cos();
                idct.by_sample[x][u] = weight;
                idct.by_coefficient[u][x] = weight;
            }
        }
        idct
    }

    /// Writes the block's samples to the plane, whose rows are `stride` apart and which starts at the block.
    pub(crate) fn write(&self, block: &Block, plane: &mut [u8], stride: usize) {
        match self.n {
            1 => self.write_flat(block[0], plane, stride),
            2 => self.transform::<2, 4>(block, plane, stride),
            3 => self.transform::<3, 4>(block, plane, stride),
            4 => self.transform::<4, 4>(block, plane, stride),
            5 => self.transform::<5, 8>(block, plane, stride),
            6 => self.transform::<6, 8>(block, plane, stride),
            7 => self.transform::<7, 8>(block, plane, stride),
            _ => self.transform::<8, 8>(block, plane, stride),
        }
    }

    /// The same for a block that has a DC coefficient alone, as every fourth of a photograph has.
    pub(crate) fn write_flat(&self, dc: f32, plane: &mut [u8], stride: usize) {
        let sample = to_sample(dc / 8.0);
        for row in plane.chunks_mut(stride).take(self.n) {
            row.iter_mut().take(self.n).for_each(|to| *to = sample);
        }
    }

    /// First down the columns, then along the rows, `LANES` columns at a time (those past `N` are zeros).
    #[inline(always)]
    fn transform<const N: usize, const LANES: usize>(&self, block: &Block, plane: &mut [u8], stride: usize) {
        for (weights, to) in self.by_sample.iter().zip(plane.chunks_mut(stride)).take(N) {
            let mut columns = [0.0; LANES];
            for v in 0..N {
                for u in 0..LANES {
                    columns[u] += weights[v] * block[v * 8 + u];
                }
            }
            let mut samples = [0.0; LANES];
            for u in 0..N {
                for x in 0..LANES {
                    samples[x] += columns[u] * self.by_coefficient[u][x];
                }
            }
            let samples = samples.map(to_sample);
            to.iter_mut().zip(&samples[..N]).for_each(|(to, sample)| *to = *sample);
        }
    }
}

/// Samples are stored about 128. A number of 2^23 and more has no fraction, so adding that much rounds, and leaves the
/// integer in the lowest bits: several at a time, where a conversion to `u8` would take them one by one.
#[inline(always)]
fn to_sample(value: f32) -> u8 {
    ((value + 128.0).clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_block_is_the_average_of_the_full_one() {
        let mut block: Block = [0.0; 64];
        (block[0], block[1], block[8], block[9]) = (300.0, -120.0, 90.0, 40.0);
        let mut full = [0; 64];
        Idct::new(8).write(&block, &mut full, 8);
        for n in [1, 2, 4, 8] {
            let mut scaled = vec![0; n * n];
            Idct::new(n).write(&block, &mut scaled, n);
            let step = 8 / n;
            for (i, sample) in scaled.into_iter().enumerate() {
                let corner = i / n * step * 8 + i % n * step;
                let covered = (0..step * step).map(|j| u32::from(full[corner + j / step * 8 + j % step]));
                let average = (covered.sum::<u32>() / (step * step) as u32) as u8;
                assert!(sample.abs_diff(average) <= 3, "{n}: {sample} for {average} at {i}");
            }
        }
    }
}
