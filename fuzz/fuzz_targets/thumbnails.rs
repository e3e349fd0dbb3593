//! Any bytes to thumbnails: looks for a panic, a hang, memory past the promise, and files that are not what they should be.
//!
//! `fuzz/run` starts it. What it finds is a file in fuzz/artifacts/thumbnails, and this is how such a file becomes a test:
//!
//! 1. `cargo fuzz run --sanitizer none thumbnails FILE` shows the failure again, `cargo fuzz tmin --sanitizer none thumbnails
//!    FILE` makes the file shorter.
//! 2. Find out what in it does the harm, and build that by hand from the helpers of src/thumbnail/tests/pictures.rs, in a test
//!    of src/thumbnail/tests/hostile.rs that fails. Bytes that nobody can read go stale; a test that says what is in its
//!    picture does not. For the fuzzer, decoders leave out checksums (`cfg(fuzzing)`): in the test they have to be right.
//! 3. Mend the code. The file may be thrown away: what it taught stays in the test.

#![no_main]

use std::alloc::System;

use image_sharer::format::ThumbnailFormat;
use image_sharer::size::Size;
use image_sharer::thumbnail::{Fit, cost, make};
use libfuzzer_sys::fuzz_target;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Few, so that a case takes milliseconds.
const MAX_PIXELS: u64 = 1 << 20;

/// Of what [`cost`] counts for the steps after the decode, 20 MiB, this much is for the widest of pictures. With as few pixels
/// as here, 8 MiB is enough: a promise that is kept only by what is left over from it would be broken by a large picture.
const SPARE_BYTES: u64 = 12 << 20;

/// What may be held to look at a header, and to turn a picture away: a metadata chunk, a row or two.
const LOOKING_BYTES: u64 = 10 << 20;

fuzz_target!(|original: &[u8]| {
    let (format, fit) = kind(original);
    let (promised, looking) = peak(|| cost(original, MAX_PIXELS));
    let (made, making) = peak(|| make(original, format, fit, MAX_PIXELS));
    assert!(looking <= LOOKING_BYTES, "cost() took {looking} bytes");
    match promised {
        Ok(promised) => {
            let held = making + SPARE_BYTES;
            assert!(
                held <= promised,
                "make() took {making} bytes, {held} with the spare ones, of {promised}"
            );
        }
        Err(error) => {
            assert!(making <= LOOKING_BYTES, "make() took {making} bytes for what was not admitted: {error}");
            assert!(made.is_err(), "made, though not admitted: {error}");
        }
    }
    let Ok(thumbnails) = made else { return };
    for (size, file) in thumbnails.by_size() {
        let dimensions = dimensions(file, format);
        assert!(dimensions.is_some_and(|found| fits(found, size, fit)), "{size} {fit:?}: {dimensions:?}");
    }
});

/// Most cases are for [`Fit::Contain`], which does not enlarge a small picture and so takes a tenth of the time.
fn kind(original: &[u8]) -> (ThumbnailFormat, Fit) {
    let format = if original.len() % 2 == 0 { ThumbnailFormat::Jpeg } else { ThumbnailFormat::Png };
    let fit = if original.len() / 2 % 8 == 0 { Fit::Cover } else { Fit::Contain };
    (format, fit)
}

/// What it answers with, and the most bytes that were allocated at a time meanwhile.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    MEMORY.reset_peak_memory();
    let answer = work();
    (answer, MEMORY.get_peak_memory() as u64)
}

fn fits((width, height): (u32, u32), size: Size, fit: Fit) -> bool {
    let square = size.pixels();
    match fit {
        Fit::Cover => (width, height) == (square, square),
        Fit::Contain => width.min(height) >= 1 && width.max(height) <= square,
    }
}

/// The width and height in the header of a whole file of the format.
fn dimensions(file: &[u8], format: ThumbnailFormat) -> Option<(u32, u32)> {
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
    match format {
        ThumbnailFormat::Png => {
            let whole = file.starts_with(b"\x89PNG\r\n\x1a\n") && file.ends_with(b"IEND\xaeB`\x82");
            whole.then(|| (big_endian(&file[16..20]), big_endian(&file[20..24])))
        }
        ThumbnailFormat::Jpeg => {
            let whole = file.starts_with(b"\xff\xd8") && file.ends_with(b"\xff\xd9");
            let frame = file.windows(2).position(|pair| pair == b"\xff\xc0").filter(|_| whole)?;
            Some((big_endian(&file[frame + 7..frame + 9]), big_endian(&file[frame + 5..frame + 7])))
        }
    }
}
