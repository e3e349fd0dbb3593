//! Bytes in, three encoded thumbnails out.
//!
//! An original comes from a stranger, so this is where a small file may ask for a large machine. The order of the work
//! follows from that: [`cost`] reads only the structure and says what a decode would hold, the worker admits the job by that
//! number, and [`make`] refuses whatever has too many pixels before a decoder sees it. Nothing here does I/O.
//!
//! The thumbnails form a pyramid. The large one is scaled from the decoded picture, the medium one from the large one and
//! the small one from the medium one: half the time of three scalings of the original, with no loss that can be measured.
//! Orientation and colour profile are applied to the large one, where they cost 360,000 pixels instead of 40 million.

pub(crate) mod gif;
pub(crate) mod jpeg;
pub(crate) mod png;

use std::time::{Duration, Instant};

use crate::error::Undecodable;
use crate::format::ThumbnailFormat;
use crate::picture::{Fit, Target};
use crate::size::Size;
use crate::{decode, encode, scale};

pub(crate) use jpeg::MAX_SCANS as MAX_JPEG_SCANS;

/// The three thumbnails of one picture, and what they took.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    /// The encoded files, in the order of [`Size::ALL`].
    pub files: [Vec<u8>; 3],
    /// From the original's bytes to its pixels.
    pub decode: Duration,
    /// From pixels to the three files: scaling, orientation, colour, encoding.
    pub encode: Duration,
}

impl Thumbnails {
    /// The files, each with its size.
    pub fn by_size(&self) -> impl Iterator<Item = (Size, &[u8])> {
        Size::ALL.into_iter().zip(self.files.iter().map(Vec::as_slice))
    }
}

/// The bytes of memory that [`make`] would hold at its peak, for either [`Fit`], without the original itself. Decodes
/// nothing. It errs on the high side: each decoder's module says how its part was measured.
pub fn cost(original: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    Ok(scale::WORKING_BYTES + decode::cost(original, max_pixels)?)
}

/// Makes the three thumbnails: upright, in sRGB, without metadata, of the first frame, in the promised format whatever the
/// picture turns out to be (a transparent picture is laid on white for JPEG).
pub fn make(
    original: &[u8],
    format: ThumbnailFormat,
    fit: Fit,
    max_pixels: u64,
) -> Result<Thumbnails, Undecodable> {
    let started = Instant::now();
    let target = Target { fit, side: Size::Large.pixels() };
    let picture = decode::decode(original, target, max_pixels)?;
    let decoded = Instant::now();
    let [small, medium, large] = scale::pyramid(picture, target)?;
    let files =
        [encode::encode(&small, format)?, encode::encode(&medium, format)?, encode::encode(&large, format)?];
    Ok(Thumbnails { files, decode: decoded - started, encode: decoded.elapsed() })
}
