//! The decoder against another one, sample by sample; and against what a full decode would have given.
//!
//! The fixtures are a piece of a photograph of a free desktop background, each made by libjpeg-turbo with its script of ten
//! scans (six for grey): our own encoder of tests writes no scans that refine others.

use image::{DynamicImage, Rgb, RgbImage};
use jpeg_decoder::ColorTransform;
use jpeg_encoder::{ColorType, SamplingFactor};

use super::idct::{Block, Idct};
use super::{Channels, Fit, decode};
use crate::format::ThumbnailFormat::Png;
use crate::make;
use crate::tests::pictures::{distance, find_marker, jpeg, jpeg_of, jpeg_with, noise, png};

const MAX_PIXELS: u64 = 40_000_000;
const PROGRESSIVE: &[u8] = include_bytes!("fixtures/progressive.jpg");
const PROGRESSIVE_444: &[u8] = include_bytes!("fixtures/progressive_444.jpg");
const PROGRESSIVE_GREY: &[u8] = include_bytes!("fixtures/progressive_grey.jpg");

/// Too small to be scaled: every sample of every channel is decoded.
fn whole_channels(jpeg: &[u8]) -> Vec<DynamicImage> {
    match decode(jpeg, Fit::Contain, MAX_PIXELS).unwrap().channels {
        Channels::Together(grey) => vec![grey.pixels],
        Channels::YCbCr(planes) => planes.map(|plane| plane.pixels).to_vec(),
    }
}

#[test]
fn samples_are_those_of_another_decoder() {
    let picture = noise(75, 53);
    let sampled = |factor| jpeg_with(&picture, |encoder| encoder.set_sampling_factor(factor));
    let cases = [
        ("4:4:4", sampled(SamplingFactor::R_4_4_4)),
        ("4:2:2", sampled(SamplingFactor::R_4_2_2)),
        ("4:4:0", sampled(SamplingFactor::R_4_4_0)),
        ("4:2:0", sampled(SamplingFactor::R_4_2_0)),
        ("4:1:1", sampled(SamplingFactor::R_4_1_1)),
        ("restart markers", jpeg_with(&picture, |encoder| encoder.set_restart_interval(2))),
        ("tables of its own", jpeg_with(&picture, |encoder| encoder.set_optimized_huffman_tables(true))),
        ("a scan for each band", jpeg_with(&picture, |encoder| encoder.set_progressive(true))),
        ("grey", jpeg_of(&[7, 200, 90, 33, 250].repeat(30 * 11), 50, 33, ColorType::Luma)),
        ("progressive", PROGRESSIVE.to_vec()),
        ("progressive, 4:4:4", PROGRESSIVE_444.to_vec()),
        ("progressive, grey", PROGRESSIVE_GREY.to_vec()),
    ];
    for (name, jpeg) in cases {
        let mut other = jpeg_decoder::Decoder::new(jpeg.as_slice());
        let channels = whole_channels(&jpeg);
        if channels.len() == 3 {
            // As if they were RGB already, so that nothing is converted.
            other.set_color_transform(ColorTransform::RGB);
        }
        let samples = other.decode().unwrap();
        let info = other.info().unwrap();
        let (width, height) = (u32::from(info.width), u32::from(info.height));
        let luma = (channels[0].width(), channels[0].height());
        for (i, ours) in channels.iter().enumerate() {
            // The other decoder gives subsampled channels only as it enlarges them.
            if (ours.width(), ours.height()) != luma {
                continue;
            }
            let ours = ours.to_luma8();
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let theirs = samples[(y * width + x) as usize * channels.len() + i];
                let off = ours.get_pixel(x, y).0[0].abs_diff(theirs);
                assert!(off <= 2, "{name}: channel {i} is off by {off} at {x},{y}");
            }
        }
    }
}

#[test]
fn a_scaled_block_is_the_average_of_the_full_one() {
    let mut block: Block = [0.0; 64];
    (block[0], block[1], block[8], block[9]) = (300.0, -120.0, 90.0, 40.0);
    let mut full = [0; 64];
    Idct::new(8).write(&block, &mut full, 8);
    for n in [1, 2, 4, 8] {
        let mut scaled = vec![0; n * n];
        Idct::new(n).write(&block, &mut scaled, n);
        let step = 8 / n;
        for (i, sample) in scaled.into_iter().enumerate() {
            let corner = i / n * step * 8 + i % n * step;
            let covered = (0..step * step).map(|j| u32::from(full[corner + j / step * 8 + j % step]));
            let average = (covered.sum::<u32>() / (step * step) as u32) as u8;
            assert!(sample.abs_diff(average) <= 3, "{n}: {sample} for {average} at {i}");
        }
    }
}

/// Grey waves that are just long enough for the large thumbnail to show.
fn waves(width: u32, height: u32) -> RgbImage {
    let length = f64::from(width.min(height)) / 600.0 * 5.0;
    let wave = |at: u32| (f64::from(at) / length * std::f64::consts::TAU).sin() * 50.0;
    RgbImage::from_fn(width, height, |x, y| Rgb([(128.0 + wave(x) + wave(y)) as u8; 3]))
}

fn read_png(file: &[u8]) -> RgbImage {
    image::load_from_memory(file).unwrap().into_rgb8()
}

/// Eighths of these sides are fractions, and what shows begins and ends within a block.
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

/// A block is filled up with whatever the encoder likes. Here that is black, beside a picture that is white.
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

#[test]
fn what_is_missing_is_noticed_though_the_file_ends_as_it_should() {
    let whole = jpeg(&noise(200, 150));
    for share in [30, 50, 70, 90, 98] {
        let cut = [&whole[..whole.len() * share / 100], &[0xff, 0xd9]].concat();
        assert!(decode(&cut, Fit::Cover, MAX_PIXELS).is_err(), "{share} % of it");
    }
    let mut restarts = jpeg_with(&noise(200, 150), |encoder| encoder.set_restart_interval(2));
    let marker = find_marker(&restarts, 0xd3);
    restarts[marker + 1] = 0xd5;
    assert!(decode(&restarts, Fit::Cover, MAX_PIXELS).is_err(), "a restart marker out of turn");
    restarts.drain(marker..marker + 2);
    assert!(decode(&restarts, Fit::Cover, MAX_PIXELS).is_err(), "no restart marker");
    let first = find_marker(PROGRESSIVE_444, 0xda);
    let is_marker = |pair: &[u8]| pair[0] == 0xff && pair[1] != 0;
    let length = 2 + PROGRESSIVE_444[first + 2..].windows(2).position(is_marker).unwrap();
    let headless = [&PROGRESSIVE_444[..first], &PROGRESSIVE_444[first + length..]].concat();
    assert!(decode(&headless, Fit::Cover, MAX_PIXELS).is_err(), "no DC coefficients");
    for length in 2..PROGRESSIVE.len() {
        assert!(decode(&PROGRESSIVE[..length], Fit::Cover, MAX_PIXELS).is_err(), "{length} bytes");
    }
}
