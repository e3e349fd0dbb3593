//! Any bytes to thumbnails: looks for a panic, a hang, memory past the promise, and files that are not what they should be.
//!
//! `fuzz/run` starts it. What it finds is a file in fuzz/artifacts/thumbnails, and this is how such a file becomes a test:
//!
//! 1. `fuzz/run FILE` shows the failure again.
//! 2. Find out what in it does the harm, and build that by hand from the helpers of crates/samples/src/pictures.rs, in a test of
//!    crates/pictures/src/tests/hostile.rs that fails. Bytes that nobody can read go stale; a test that says what is in its
//!    picture does not.
//! 3. Mend the code. The file may be thrown away: what it taught stays in the test.

#![no_main]

use std::alloc::System;

use libfuzzer_sys::fuzz_target;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use pictures::memory::rows_bytes;
use pictures::{Fit, ThumbnailFormat, cost, thumbnails};
use samples::small::mend_checksums;

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Few, so that a case takes milliseconds.
const MAX_PIXELS: u64 = 1 << 20;

const SIDES: [u32; 3] = [100, 300, 600];

/// What [`cost`] counts for the rows of the largest pictures, and no case here can need: a promise that is kept only by these
/// bytes would be broken by a large picture. A decode that fails has no steps after it, and may use all of it.
const SPARE_BYTES: u64 = rows_bytes(40_000_000) - rows_bytes(MAX_PIXELS);

/// What may be held to look at a header, and to turn a picture away: a metadata chunk, a row or two.
const LOOKING_BYTES: u64 = 10 << 20;

fuzz_target!(|case: &[u8]| {
    // A change in a PNG would otherwise end at its chunk's checksum.
    let mended = case.starts_with(b"\x89PNG").then(|| mend_checksums(case));
    let original = mended.as_deref().unwrap_or(case);
    let (format, fit) = kind(original);
    let (promised, looking) = peak(|| cost(original, SIDES, MAX_PIXELS));
    let (made, making) = peak(|| thumbnails(original, format, fit, SIDES, MAX_PIXELS));
    assert!(looking <= LOOKING_BYTES, "cost() took {looking} bytes");
    match promised {
        Ok(promised) => {
            let held = making + if made.is_ok() { SPARE_BYTES } else { 0 };
            assert!(
                held <= promised,
                "thumbnails() took {making} bytes, {held} with the spare ones, of {promised}"
            );
        }
        Err(error) => {
            assert!(
                making <= LOOKING_BYTES,
                "thumbnails() took {making} bytes for what was not admitted: {error}"
            );
            assert!(made.is_err(), "made, though not admitted: {error}");
        }
    }
    let Ok(thumbnails) = made else { return };
    for (side, file) in SIDES.into_iter().zip(&thumbnails.files) {
        let dimensions = read_dimensions(file, format);
        assert!(dimensions.is_some_and(|found| fits(found, side, fit)), "{side} {fit:?}: {dimensions:?}");
    }
});

/// By the length of the case. Most are for [`Fit::Contain`], which does not enlarge a small picture: the encoders, of which
/// there is nothing to find out, would take a hundred times as long as the decoders.
fn kind(original: &[u8]) -> (ThumbnailFormat, Fit) {
    match original.len() % 64 {
        0 | 16 | 32 | 48 => (ThumbnailFormat::Jpeg, Fit::Cover),
        1 => (ThumbnailFormat::Png, Fit::Cover),
        odd if odd % 2 == 1 => (ThumbnailFormat::Png, Fit::Contain),
        _ => (ThumbnailFormat::Jpeg, Fit::Contain),
    }
}

/// What it answers with, and the most bytes that were allocated at a time meanwhile.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    MEMORY.reset_peak_memory();
    let answer = work();
    (answer, MEMORY.get_peak_memory() as u64)
}

fn fits((width, height): (u32, u32), square: u32, fit: Fit) -> bool {
    match fit {
        Fit::Cover => (width, height) == (square, square),
        Fit::Contain => width.min(height) >= 1 && width.max(height) <= square,
    }
}

/// The width and height in the header of a whole file of the format.
fn read_dimensions(file: &[u8], format: ThumbnailFormat) -> Option<(u32, u32)> {
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
