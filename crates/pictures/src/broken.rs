//! The "broken picture": what an original that cannot be decoded gets, so that its three URLs still answer.
//!
//! It is drawn here rather than kept as a file.

use std::time::{Duration, Instant};

use image::{DynamicImage, Rgb, RgbImage};

use crate::format::ThumbnailFormat;
use crate::picture::Channels;
use crate::{Thumbnails, encode};

const GROUND: Rgb<u8> = Rgb([232, 232, 232]);
const GLYPH: Rgb<u8> = Rgb([158, 158, 158]);

/// The side of the drawing, in points.
const DRAWING: u32 = 600;

/// The broken picture in the promised format, for squares of the `sides`: a framed landscape, torn down the middle.
///
/// # Panics
///
/// If a side is not between 1 and 65,535.
pub fn broken(format: ThumbnailFormat, sides: [u32; 3]) -> Thumbnails {
    let started = Instant::now();
    let files = sides.map(|side| {
        let picture = Channels::Together(DynamicImage::ImageRgb8(draw(side)));
        // Nothing but a side out of this range is refused, and writing to memory does not fail.
        encode::encode(&picture, format).expect("a side is between 1 and 65,535")
    });
    Thumbnails { files, decode: Duration::ZERO, encode: started.elapsed() }
}

/// A pixel has as much of the glyph's colour as the points that it stands for.
fn draw(side: u32) -> RgbImage {
    let points = |pixel: u32| {
        let from = pixel * DRAWING / side;
        from..((pixel + 1) * DRAWING / side).max(from + 1)
    };
    RgbImage::from_fn(side, side, |x, y| {
        let (across, down) = (points(x), points(y));
        let all = (across.len() * down.len()) as u32;
        let inked = down.flat_map(|y| across.clone().map(move |x| (x, y)));
        let inked = inked.filter(|&(x, y)| is_glyph(x as i32, y as i32)).count() as u32;
        let mix = |ground: u8, glyph: u8| {
            (u32::from(ground) - (u32::from(ground) - u32::from(glyph)) * inked / all) as u8
        };
        Rgb([0, 1, 2].map(|channel| mix(GROUND[channel], GLYPH[channel])))
    })
}

/// Whether a point of the 600x600 drawing belongs to the glyph.
fn is_glyph(x: i32, y: i32) -> bool {
    let within =
        |margin: i32| (140 + margin..460 - margin).contains(&x) && (180 + margin..420 - margin).contains(&y);
    let frame = within(0) && !within(14);
    let sun = (x - 215).pow(2) + (y - 250).pow(2) < 26_i32.pow(2);
    let mountains = y > 270 + (x - 365).abs() || y > 320 + (x - 235).abs();
    let zigzag = 290 + ((y - 180).rem_euclid(80) - 40).abs();
    let tear = (x - zigzag).abs() < 11;
    (frame || (within(28) && (sun || mountains))) && !tear
}
