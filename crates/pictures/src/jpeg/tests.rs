//! What is scaled in the decoder against what a full decode gives.

use image::{Rgb, RgbImage};
use jpeg_encoder::SamplingFactor;

use crate::Fit;
use crate::format::ThumbnailFormat::Png;
use crate::tests::make;
use crate::tests::pictures::{distance, find_marker, jpeg_with, png};

const MAX_PIXELS: u64 = 40_000_000;

/// Grey waves, just long enough that the large thumbnail shows them.
fn waves(width: u32, height: u32) -> RgbImage {
    let length = f64::from(width.min(height)) / 600.0 * 5.0;
    let wave = |at: u32| (f64::from(at) / length * std::f64::consts::TAU).sin() * 50.0;
    RgbImage::from_fn(width, height, |x, y| Rgb([(128.0 + wave(x) + wave(y)) as u8; 3]))
}

fn read_png(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).unwrap().into_rgb8()
}

/// Eighths of these sides are fractions, and the part that shows begins and ends within a block.
#[test]
fn scaling_in_the_decoder_moves_nothing() {
    for (width, height, fit) in [
        (1205, 901, Fit::Cover),
        (901, 1205, Fit::Cover),
        (1811, 1359, Fit::Cover),
        (1211, 905, Fit::Contain),
    ] {
        let picture = waves(width, height);
        let full = make(&png(picture.clone()), Png, fit, MAX_PIXELS).unwrap();
        let lossy = jpeg_with(&picture, |encoder| encoder.set_sampling_factor(SamplingFactor::R_4_4_4));
        let scaled = make(&lossy, Png, fit, MAX_PIXELS).unwrap();
        for (full, scaled) in full.files.iter().zip(&scaled.files).skip(1) {
            let off = distance(&read_png(full), &read_png(scaled));
            assert!(off < 4.0, "{width}x{height}: {off}");
        }
    }
}

/// An encoder fills up a block with what it likes: here with black, next to a picture that is white.
#[test]
fn what_fills_up_a_block_does_not_show() {
    let filled = RgbImage::from_fn(16, 16, |x, y| if x < 12 && y < 12 { Rgb([255; 3]) } else { Rgb([0; 3]) });
    let mut jpeg = jpeg_with(&filled, |encoder| encoder.set_sampling_factor(SamplingFactor::R_4_4_4));
    let frame = find_marker(&jpeg, 0xc0);
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0, 12, 0, 12]);
    let white = make(&jpeg, Png, Fit::Cover, MAX_PIXELS).unwrap();
    let [.., large] = white.files.each_ref().map(|file| read_png(file));
    assert!(large.iter().all(|&sample| sample > 235), "{:?}", large.iter().min());
}
