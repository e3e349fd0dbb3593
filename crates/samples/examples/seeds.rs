//! Writes the fuzzer's seeds: `cargo run -p samples --example seeds DIRECTORY`. `fuzz/run` does it.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

/// How many cases of each seed: the target takes the format and the fit of the thumbnails from the length of a case.
const LENGTHS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("name a directory")?);
    fs::create_dir_all(&directory)?;
    let seeds = samples::seeds::all();
    for seed in &seeds {
        // What follows a picture's end is ignored by everyone, and changes the length.
        for padding in 0..LENGTHS {
            let file = [&seed.bytes[..], &vec![0; padding]].concat();
            fs::write(directory.join(format!("seed-{}-{padding}", seed.name)), file)?;
        }
    }
    println!("{} seeds in {}", seeds.len() * LENGTHS, directory.display());
    Ok(())
}
