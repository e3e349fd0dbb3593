//! What a picture is, for both halves of the service.
//!
//! [`inspect`] is the server's. It answers an upload at once with final URLs, so it has to know the format and whether the
//! picture can be transparent; and it refuses what is cut short or damaged while the client is there to be told. It decodes no
//! pixels, which would cost a thousand times more.
//!
//! [`cost`] and [`thumbnails`] are the worker's. An original comes from a stranger, and a small file may ask for a large
//! machine: so the worker first asks what a decode would hold, and admits the job by that number.
//!
//! Each format has one file, which walks a picture's structure in one place. All of these functions begin with that walk. So
//! what `inspect` accepts is what `thumbnails` starts from, and only a fault in the coded data can come between them.
//!
//! The format is read off the bytes alone. Nothing here does I/O.
//!
//! To read on: png.rs is a format from the walk to the pixels. Then scale.rs makes the three sizes, colour.rs converts them to
//! sRGB, and encode.rs writes the files. memory.rs has what a thumbnail costs.

mod broken;
mod colour;
mod cursor;
mod encode;
mod error;
mod format;
mod gif;
mod inspected;
mod jpeg;
pub mod memory;
mod picture;
mod png;
mod scale;
mod webp;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use picture::{Picture, Target};

pub use broken::broken;
pub use error::{InspectError, Undecodable};
pub use format::{Format, ThumbnailFormat};
pub use inspected::{Inspected, MAX_SIDE};
pub use picture::Fit;

/// What the walk over a picture's structure found.
enum Structure<'a> {
    Jpeg(jpeg::Structure<'a>),
    Png(png::Structure<'a>),
    Gif(gif::Structure<'a>),
    WebP(webp::Structure<'a>),
}

impl<'a> Structure<'a> {
    /// Walks a whole file. The time it takes grows with the length of `bytes`, whatever they are.
    fn read(bytes: &'a [u8], max_pixels: u64) -> Result<Structure<'a>, InspectError> {
        Ok(match format_of(bytes).ok_or(InspectError::UnknownFormat)? {
            Format::Jpeg => Structure::Jpeg(jpeg::read(bytes, max_pixels)?),
            Format::Png => Structure::Png(png::read(bytes, max_pixels)?),
            Format::Gif => Structure::Gif(gif::read(bytes, max_pixels)?),
            Format::WebP => Structure::WebP(webp::read(bytes, max_pixels)?),
        })
    }

    fn inspected(&self) -> Inspected {
        match self {
            Structure::Jpeg(jpeg) => jpeg.inspected(),
            Structure::Png(png) => png.inspected(),
            Structure::Gif(gif) => gif.inspected(),
            Structure::WebP(webp) => webp.inspected(),
        }
    }

    /// The bytes that [`Structure::decode`] holds at its peak, for either fit.
    fn memory(&self, side: u32) -> u64 {
        match self {
            Structure::Jpeg(jpeg) => jpeg.memory(side),
            Structure::Png(png) => png.memory(),
            Structure::Gif(gif) => gif.memory(),
            Structure::WebP(webp) => webp.memory(),
        }
    }

    /// Decodes the picture, or the first frame of an animation.
    fn decode(&self, target: Target) -> Result<Picture, Undecodable> {
        match self {
            Structure::Jpeg(jpeg) => jpeg.decode(target),
            Structure::Png(png) => png.decode(target),
            Structure::Gif(gif) => gif.decode(target),
            Structure::WebP(webp) => webp.decode(target),
        }
    }
}

/// The format whose signature the bytes begin with.
fn format_of(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(&jpeg::SIGNATURE) {
        Some(Format::Jpeg)
    } else if bytes.starts_with(png::SIGNATURE) {
        Some(Format::Png)
    } else if gif::SIGNATURES.iter().any(|signature| bytes.starts_with(*signature)) {
        Some(Format::Gif)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some(Format::WebP)
    } else {
        None
    }
}

/// What the structure says about a picture; an error if the bytes are not a whole picture of a format that is accepted. The time
/// it takes grows with the length of `bytes`, whatever they are. A picture that passes may still fail to decode.
pub fn inspect(bytes: &[u8], max_pixels: u64) -> Result<Inspected, InspectError> {
    Ok(Structure::read(bytes, max_pixels)?.inspected())
}

/// The format of an original's thumbnails. The original was accepted once, so the limit of pixels does not count. `None` if the
/// bytes are no whole picture.
pub fn thumbnail_format(bytes: &[u8]) -> Option<ThumbnailFormat> {
    inspect(bytes, u64::MAX).ok().map(|picture| picture.thumbnail_format())
}

/// The bytes of memory that [`thumbnails`] would hold at its peak, for either [`Fit`], without the original itself. Decodes
/// nothing.
pub fn cost(original: &[u8], sides: [u32; 3], max_pixels: u64) -> Result<u64, InspectError> {
    let [_, _, largest] = sides;
    let structure = Structure::read(original, max_pixels)?;
    let Inspected { width, height, .. } = structure.inspected();
    let pixels = u64::from(width) * u64::from(height);
    Ok(memory::working_bytes(pixels, largest).saturating_add(structure.memory(largest)))
}

/// The three thumbnails of one picture, and what they took.
#[derive(Clone, Debug)]
pub struct Thumbnails {
    /// The encoded files, in the order of the sides that were asked for.
    pub files: [Vec<u8>; 3],
    /// From the original's bytes to its pixels.
    pub decode: Duration,
    /// From pixels to the three files: scaling, orientation, colour, encoding.
    pub encode: Duration,
}

/// Makes three thumbnails, for squares of the `sides`, which ascend: upright, in sRGB, without metadata, of the first frame, in
/// the promised format whatever the picture turns out to be (a transparent picture is laid on white for JPEG).
pub fn thumbnails(
    original: &[u8],
    format: ThumbnailFormat,
    fit: Fit,
    sides: [u32; 3],
    max_pixels: u64,
) -> Result<Thumbnails, Undecodable> {
    let started = Instant::now();
    let [_, _, largest] = sides;
    let structure = Structure::read(original, max_pixels)?;
    let picture = structure.decode(Target { fit, side: largest })?;
    let decoded = Instant::now();
    let [small, medium, large] = scale::pyramid(picture, fit, sides)?;
    let files =
        [encode::encode(&small, format)?, encode::encode(&medium, format)?, encode::encode(&large, format)?];
    Ok(Thumbnails { files, decode: decoded - started, encode: decoded.elapsed() })
}
