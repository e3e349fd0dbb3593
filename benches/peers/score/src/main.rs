//! How much a thumbnail looks like the reference: SSIMULACRA2, which is 100 for the same picture, 90 where nobody sees a
//! difference with the two side by side, and 70 for what photographers call high quality.
//!
//! Reads "reference candidate" on each line of standard input, and answers with the score. Both are files of 32-bit floats,
//! red, green and blue of each pixel of a square, 1 for white, in sRGB's gamma: quality.py decodes all the files alike.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};

use ssimulacra2::{ColorPrimaries, Rgb, TransferCharacteristic, compute_frame_ssimulacra2};

fn main() -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (reference, candidate) = line.split_once(' ').ok_or("two files on a line")?;
        let score = compute_frame_ssimulacra2(read(reference)?, read(candidate)?)?;
        println!("{score:.3}");
        io::stdout().flush()?;
    }
    Ok(())
}

fn read(path: &str) -> Result<Rgb, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let (floats, _) = bytes.as_chunks::<4>();
    let floats: Vec<f32> = floats.iter().map(|float| f32::from_le_bytes(*float)).collect();
    let (pixels, _) = floats.as_chunks::<3>();
    let side = pixels.len().isqrt();
    Ok(Rgb::new(pixels.to_vec(), side, side, TransferCharacteristic::SRGB, ColorPrimaries::BT709)?)
}
