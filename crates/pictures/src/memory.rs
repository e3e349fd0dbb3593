//! How much memory a picture's thumbnails take to make: what decides how many jobs fit on a machine.
//!
//! A job holds decoded pixels while it scales and encodes. So [`cost`](crate::cost) promises the sum of two numbers: the format's
//! `Structure::memory`, which says how it was measured, and what the steps after the decode hold. It errs on the high side.
//! The original's own bytes are not in it.
//!
//! The fuzzer checks each case against the promise, and a test of the service checks its largest jobs.

/// What the steps after a decode hold for a picture of up to 40 megapixels and thumbnails of up to 600 a side: the scaler's
/// [intermediate rows](rows_bytes), 27 MB for the widest such picture, the three thumbnails, their colour conversion and
/// their encoders.
pub const WORKING_BYTES: u64 = 32 << 20;

/// What [`WORKING_BYTES`] is for.
const PIXELS: u64 = 40_000_000;
const SIDE: u64 = 600;

/// The part of [`WORKING_BYTES`] that grows with the picture: the rows between scaling vertically and horizontally. The widest
/// crop is a square. It has 600 rows then, of RGB in three bytes a pixel, and a copy in four.
pub const fn rows_bytes(pixels: u64) -> u64 {
    pixels.isqrt() * SIDE * (3 + 4)
}

/// What the steps after a decode hold. For larger thumbnails that grows at most with the square of the side.
pub(crate) fn working_bytes(pixels: u64, side: u32) -> u64 {
    let side = u64::from(side).max(SIDE);
    let bytes = WORKING_BYTES + rows_bytes(pixels).saturating_sub(rows_bytes(PIXELS));
    bytes.saturating_mul(side * side) / (SIDE * SIDE)
}
