//! Any bytes to planes: looks for a panic, a hang, and memory beyond what was promised.
//!
//! A case is a WebP, whose first bytes are skipped. To start it, from the repository's top:
//! `fuzz/run SECONDS crates/vp8-keyframe`.
//!
//! When it finds something, it says where the file is. Find out what in the file does the harm, and build that by hand in a test
//! of `tests/frames.rs` that fails. Then mend the code.

#![no_main]

use std::alloc::System;

use libfuzzer_sys::fuzz_target;
use peakmem_alloc::{INSTRUMENTED_SYSTEM, PeakMemAlloc, PeakMemAllocTrait};
use vp8_keyframe::{Error, FrameHeader, LoopFilter, Options};

#[global_allocator]
static MEMORY: &PeakMemAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Few, so that a case takes milliseconds.
const MAX_PIXELS: u32 = 1 << 20;

/// What the header of any frame may take.
const HEADER_BYTES: u64 = 4 << 10;

/// RIFF, a length, WEBP, VP8, a length.
const BEFORE_FRAME: usize = 20;

fuzz_target!(|webp: &[u8]| {
    let vp8 = webp.get(BEFORE_FRAME..).unwrap_or_default();
    let (header, header_bytes) = peak(|| FrameHeader::parse(vp8));
    assert!(header_bytes <= HEADER_BYTES, "the header took {header_bytes} bytes");
    let header = match header {
        Ok(header) => header,
        Err(error) => return assert!(!matches!(error, Error::MacroblocksCutShort { .. })),
    };
    if header.width() * header.height() > MAX_PIXELS {
        return;
    }
    let (full, held) = peak(|| header.decode(Options::default()));
    let promised = header.memory();
    assert!(header_bytes + held <= promised, "{header_bytes} and then {held} bytes of {promised}");
    let unfiltered = header.decode(Options::default().with_loop_filter(LoopFilter::Skip));
    assert_eq!(full.as_ref().err(), unfiltered.as_ref().err());
    let Ok(frame) = full else { return };
    assert_eq!((frame.y.width, frame.y.height), (header.width(), header.height()));
    for plane in [frame.y, frame.u, frame.v] {
        assert_eq!(plane.samples.len() as u64, u64::from(plane.width) * u64::from(plane.height));
    }
});

/// The result, and the most bytes that were allocated at a time meanwhile, beyond those that were before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    MEMORY.reset_peak_memory();
    let before = MEMORY.get_peak_memory();
    let result = work();
    (result, (MEMORY.get_peak_memory() - before) as u64)
}
