//! The fixtures, and pictures made by an encoder in Rust.

#![allow(dead_code, reason = "each test file uses a part")]

use jpeg_encoder::{ColorType, Encoder};
use samples::mutate::Random;
pub(crate) use samples::pictures::find_marker;
use scaled_jpeg::ColorModel;

/// A file by libjpeg-turbo, and what libjpeg-turbo decodes of it: all planes, or luma alone.
pub(crate) struct Fixture {
    pub(crate) name: &'static str,
    pub(crate) jpeg: &'static [u8],
    pub(crate) samples: &'static [u8],
    pub(crate) color_model: ColorModel,
}

macro_rules! fixture {
    ($name:literal, $kind:literal, $color_model:ident) => {
        Fixture {
            name: $name,
            jpeg: include_bytes!(concat!("../fixtures/", $name, ".jpg")),
            samples: include_bytes!(concat!("../fixtures/", $kind, ".samples")),
            color_model: ColorModel::$color_model,
        }
    };
}

pub(crate) fn fixtures() -> impl Iterator<Item = Fixture> {
    [
        fixture!("baseline", "420", YCbCr),
        fixture!("baseline_444", "444", YCbCr),
        fixture!("cmyk", "cmyk", Cmyk),
        fixture!("optimized_422", "422", YCbCr),
        fixture!("progressive", "420", YCbCr),
        fixture!("progressive_444", "444", YCbCr),
        fixture!("progressive_grey", "grey", Luma),
        fixture!("progressive_restart", "444", YCbCr),
        fixture!("restart", "420", YCbCr),
        fixture!("rgb", "rgb", Rgb),
    ]
    .into_iter()
}

pub(crate) fn fixture(name: &str) -> Fixture {
    fixtures().find(|fixture| fixture.name == name).unwrap()
}

/// Pixels of RGB.
pub(crate) struct Picture {
    width: u16,
    height: u16,
    pixels: Vec<u8>,
}

impl Picture {
    pub(crate) fn encode(&self, change: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        encode(&self.pixels, (self.width, self.height), ColorType::Rgb, change)
    }
}

/// Compresses badly, so that a cut anywhere loses something.
pub(crate) fn noise(width: u16, height: u16) -> Picture {
    let mut random = Random::new(1);
    let mut pixels = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let wave = (x / 3 + y / 5) as u8;
        pixels.extend([wave.wrapping_add(random.below(40) as u8), random.below(256) as u8, wave]);
    }
    Picture { width, height, pixels }
}

pub(crate) fn encode(
    samples: &[u8],
    (width, height): (u16, u16),
    color: ColorType,
    change: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 95);
    change(&mut encoder);
    encoder.encode(samples, width, height, color).unwrap();
    jpeg
}

/// 8x8 samples of one grey: a progressive file with a single code of one bit, "no difference".
pub(crate) fn flat_progressive() -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    jpeg.extend([1; 64]);
    jpeg.extend([0xff, 0xc2, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0]);
    jpeg.extend([0xff, 0xc4, 0, 20, 0, 1]);
    jpeg.extend([0; 16]);
    jpeg.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0, 0xff, 0xd9]);
    jpeg
}
