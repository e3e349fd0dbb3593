//! Our side of the comparison: makes thumbnails when told to on standard input, and answers with the CPU time they took.
//!
//! One command a line, one answer a line, as run.py explains. The other peers understand the same two commands.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, Write};

use pictures::{Fit, Format, ThumbnailFormat, Thumbnails, inspect};
use rustix::time::{ClockId, clock_gettime};

const MAX_PIXELS: u64 = 40_000_000;
const SIDES: [u32; 3] = [100, 300, 600];

fn main() -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["time", extension, path, jobs] => time(extension, path, jobs.parse()?)?,
            ["write", extension, path, prefix] => write(extension, path, prefix)?,
            _ => return Err(format!("no such command: {line}").into()),
        };
        println!("{answer}");
        io::stdout().flush()?;
    }
    Ok(())
}

/// CPU microseconds for so many jobs on the same file, which is read once and not timed.
fn time(extension: &str, path: &str, jobs: u32) -> Result<u128, Box<dyn Error>> {
    let original = fs::read(path)?;
    let format = find_format(extension, &original)?;
    let before = cpu_microseconds();
    for _ in 0..jobs {
        make_thumbnails(&original, format)?;
    }
    Ok(cpu_microseconds() - before)
}

/// Writes the three files, and answers with their bytes.
fn write(extension: &str, path: &str, prefix: &str) -> Result<u128, Box<dyn Error>> {
    let original = fs::read(path)?;
    let thumbnails = make_thumbnails(&original, find_format(extension, &original)?)?;
    let mut bytes = 0;
    for (side, file) in SIDES.iter().zip(&thumbnails.files) {
        fs::write(format!("{prefix}.{side}.{extension}"), file)?;
        bytes += file.len() as u128;
    }
    Ok(bytes)
}

fn make_thumbnails(original: &[u8], format: ThumbnailFormat) -> Result<Thumbnails, Box<dyn Error>> {
    Ok(pictures::thumbnails(original, format, Fit::Cover, SIDES, MAX_PIXELS)?)
}

/// What the server would settle on. The peers are told by run.py, and this makes sure that they are told the same.
fn find_format(extension: &str, original: &[u8]) -> Result<ThumbnailFormat, Box<dyn Error>> {
    let format = inspect(original, MAX_PIXELS).map_err(|error| error.to_string())?.thumbnail_format();
    match Format::from(format).extension() == extension {
        true => Ok(format),
        false => Err(format!("the server would make {format:?}, not {extension}").into()),
    }
}

/// User and system time of all threads of this process.
fn cpu_microseconds() -> u128 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u128 * 1_000_000 + time.tv_nsec as u128 / 1000
}
