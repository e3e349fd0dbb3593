//! The "broken picture": what an original that cannot be decoded gets, so that its three URLs answer all the same.
//!
//! It is drawn here rather than kept as a file, at the large size and averaged down to the other two.

use std::time::{Duration, Instant};

use image::{DynamicImage, Rgb, RgbImage};

use crate::encode;
use crate::format::ThumbnailFormat;
use crate::picture::Channels;
use crate::size::Size;
use crate::thumbnails::Thumbnails;

const GROUND: Rgb<u8> = Rgb([232, 232, 232]);
const GLYPH: Rgb<u8> = Rgb([158, 158, 158]);

/// The broken picture in the promised format: a framed landscape, torn down the middle.
pub fn broken(format: ThumbnailFormat) -> Thumbnails {
    let started = Instant::now();
    let files = Size::ALL.map(|size| {
        let picture = Channels::Together(DynamicImage::ImageRgb8(draw(size.pixels())));
        // An encoder refuses sides of 0 or over 65,535, and fails when what it writes to does: here 100 to 600, and memory.
        encode::encode(&picture, format).expect("a small picture is encoded to memory")
    });
    Thumbnails { files, decode: Duration::ZERO, encode: started.elapsed() }
}

/// Each pixel is the share of glyph in the square of the large drawing that it stands for.
fn draw(side: u32) -> RgbImage {
    let step = Size::Large.pixels() / side;
    RgbImage::from_fn(side, side, |x, y| {
        let points = (0..step * step).map(|i| (x * step + i % step, y * step + i / step));
        let inked = points.filter(|&(x, y)| is_glyph(x as i32, y as i32)).count() as u32;
        let mix = |ground: u8, glyph: u8| {
            (u32::from(ground) - (u32::from(ground) - u32::from(glyph)) * inked / (step * step)) as u8
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
