//! Any bytes to planes: looks for a panic, a hang, and memory beyond what was promised.
//!
//! `fuzz/run` at the top of the repository starts it. When it finds something, it says where the file is. Find out what in the
//! file does the harm, and build that by hand in a test of `tests/decode.rs` that fails. Then mend the code.

#![no_main]

use std::alloc::System;

use libfuzzer_sys::fuzz_target;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use scaled_jpeg::{Region, Request, read_structure};

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Few, so that a case takes milliseconds.
const MAX_PIXELS: u64 = 1 << 20;

/// What the structure of any file may take.
const STRUCTURE_BYTES: u64 = 128 << 10;

fuzz_target!(|jpeg: &[u8]| {
    let (structure, held) = peak(|| read_structure(jpeg, MAX_PIXELS));
    assert!(held <= STRUCTURE_BYTES, "the structure took {held} bytes");
    let Ok(structure) = structure else { return };
    let request = choose_request(jpeg.len(), structure.width(), structure.height());
    let promised = structure.memory(&request);
    let sizes = structure.plane_sizes(&request);
    let (decoded, held) = peak(|| structure.decode(&request));
    assert!(held <= promised, "{request:?} took {held} bytes of {promised}");
    let Ok(decoded) = decoded else { return };
    assert_eq!(decoded.planes.len(), sizes.len());
    for (plane, size) in decoded.planes.iter().zip(sizes) {
        assert_eq!((plane.width, plane.height), size);
        assert_eq!(plane.samples.len(), plane.width as usize * plane.height as usize);
        let region = plane.region;
        assert!(region.left >= 0.0 && region.left + region.width <= f64::from(plane.width));
        assert!(region.top >= 0.0 && region.top + region.height <= f64::from(plane.height));
    }
});

/// By the length of the case: a scale, and the whole picture or a part.
fn choose_request(length: usize, width: u32, height: u32) -> Request {
    let eighths = length as u32 % 8 + 1;
    let request = Request::at_least(width * eighths / 8, height * eighths / 8);
    let [left, top] = [width, height].map(|side| f64::from(side) / 3.3);
    match length / 8 % 2 {
        0 => request,
        _ => request.with_region(Region { left, top, width: left, height: top }),
    }
}

/// The result, and the most bytes that were allocated at a time meanwhile.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    MEMORY.reset_peak_memory();
    let before = MEMORY.get_peak_memory();
    let result = work();
    (result, (MEMORY.get_peak_memory() - before) as u64)
}
