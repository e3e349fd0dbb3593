//! What the thumbnails promise, each promise on a picture made for it.

mod agreement;
mod corpus;
mod hostile;
mod inspect;
pub(crate) mod pictures;

use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, Rgba, RgbaImage};
use moxcms::ColorProfile;
use pictures::*;

use crate::format::ThumbnailFormat::{self, Jpeg, Png};
use crate::picture::Picture;
use crate::picture::{Channels, Target};
use crate::{Fit, InspectError, Structure, Thumbnails, Undecodable, broken};

const MAX_PIXELS: u64 = 40_000_000;
const SIDES: [u32; 3] = [100, 300, 600];

pub(crate) fn make(
    original: &[u8],
    format: ThumbnailFormat,
    fit: Fit,
    max_pixels: u64,
) -> Result<Thumbnails, Undecodable> {
    crate::thumbnails(original, format, fit, SIDES, max_pixels)
}

pub(crate) fn cost(original: &[u8], max_pixels: u64) -> Result<u64, InspectError> {
    crate::cost(original, SIDES, max_pixels)
}

fn decode(original: &[u8], target: Target, max_pixels: u64) -> Result<Picture, Undecodable> {
    Structure::read(original, max_pixels)?.decode(target)
}

fn cover(original: &[u8], format: ThumbnailFormat) -> Result<[DynamicImage; 3], Undecodable> {
    make(original, format, Fit::Cover, MAX_PIXELS).map(|thumbnails| read(&thumbnails, format))
}

fn large(original: &[u8], format: ThumbnailFormat) -> DynamicImage {
    let [_, _, large] = cover(original, format).unwrap();
    large
}

fn read(thumbnails: &Thumbnails, format: ThumbnailFormat) -> [DynamicImage; 3] {
    thumbnails.files.each_ref().map(|file| match format {
        Png => image::load_from_memory_with_format(file, ImageFormat::Png).unwrap(),
        Jpeg => {
            let mut decoder = jpeg_decoder::Decoder::new(file.as_slice());
            let samples = decoder.decode().unwrap();
            let info = decoder.info().unwrap();
            let (width, height) = (info.width.into(), info.height.into());
            match info.pixel_format {
                jpeg_decoder::PixelFormat::L8 => {
                    image::GrayImage::from_raw(width, height, samples).unwrap().into()
                }
                _ => image::RgbImage::from_raw(width, height, samples).unwrap().into(),
            }
        }
    })
}

fn dimensions(pictures: &[DynamicImage; 3]) -> [(u32, u32); 3] {
    pictures.each_ref().map(DynamicImage::dimensions)
}

const SQUARES: [(u32, u32); 3] = [(100, 100), (300, 300), (600, 600)];

#[test]
fn contain_keeps_the_aspect_ratio_and_never_enlarges() {
    let cases = [
        ((1200, 800), [(100, 67), (300, 200), (600, 400)]),
        ((800, 1200), [(67, 100), (200, 300), (400, 600)]),
        ((601, 600), [(100, 100), (300, 300), (600, 599)]),
        ((250, 50), [(100, 20), (250, 50), (250, 50)]),
        ((7, 5), [(7, 5), (7, 5), (7, 5)]),
        ((1, 1), [(1, 1), (1, 1), (1, 1)]),
        ((10_000, 10), [(100, 1), (300, 1), (600, 1)]),
        ((3, 65_500), [(1, 100), (1, 300), (1, 600)]),
        ((5001, 3001), [(100, 60), (300, 180), (600, 360)]),
    ];
    for ((width, height), wanted) in cases {
        let picture = quadrants(width, height);
        for (original, format) in [(jpeg(&picture), Jpeg), (png(picture.clone()), Png)] {
            let thumbnails = make(&original, format, Fit::Contain, MAX_PIXELS).unwrap();
            let thumbnails = read(&thumbnails, format);
            assert_eq!(dimensions(&thumbnails), wanted, "{width}x{height}");
        }
    }
}

#[test]
fn hidden_colour_does_not_bleed() {
    for picture in [hidden_red(1400, 1400), hidden_red(90, 90), hidden_red(600, 600)] {
        for original in [png(picture.clone()), webp(picture.clone())] {
            for thumbnail in cover(&original, Png).unwrap() {
                for (x, y, Rgba([red, _, blue, alpha])) in thumbnail.pixels() {
                    assert!(alpha == 0 || (red < 8 && blue > 247), "{red} {blue} {alpha} at {x},{y}");
                }
                assert_eq!(thumbnail.get_pixel(0, 0), Rgba([0, 0, 255, 255]));
                assert_eq!(thumbnail.get_pixel(thumbnail.width() - 1, 0)[3], 0);
            }
        }
    }
}

#[test]
fn the_promised_format_is_delivered_whatever_the_picture() {
    let picture = large(&png(hidden_red(700, 700)), Jpeg);
    assert_near(&picture, (100, 300), Rgb([0, 0, 255]), 6);
    assert_near(&picture, (500, 300), Rgb([255, 255, 255]), 3);
    let picture = large(&jpeg(&quadrants(700, 700)), Png);
    assert!(!picture.color().has_alpha());
    assert_corners(&picture, [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn half_transparent_stays_half_transparent() {
    let picture = RgbaImage::from_pixel(800, 500, Rgba([200, 100, 50, 128]));
    let picture = large(&png(picture), Png);
    let Rgba([red, green, blue, alpha]) = picture.get_pixel(300, 300);
    assert_eq!(alpha, 128);
    assert!(red.abs_diff(200) < 3 && green.abs_diff(100) < 3 && blue.abs_diff(50) < 3);
}

#[test]
fn a_jpeg_is_decoded_no_larger_than_the_thumbnails_need() {
    let cases = [
        ((4000, 1500), Fit::Cover, 1500),
        ((1500, 4000), Fit::Cover, 1500),
        ((2725, 2225), Fit::Cover, 2225),
        ((4000, 1500), Fit::Contain, 4000),
        ((1500, 4000), Fit::Contain, 4000),
    ];
    for ((width, height), fit, side) in cases {
        let target = Target { fit, side: 600 };
        let picture = decode(&jpeg(&quadrants(width, height)), target, MAX_PIXELS).unwrap();
        assert_eq!(picture.dimensions, (width, height));
        let Channels::YCbCr([y, ..]) = picture.channels else { panic!("not planes") };
        let scaled = y.visible.width.max(y.visible.height);
        assert!((600.0..600.0 * 1.5 + f64::from(side) / 8.0).contains(&scaled), "{width}x{height}: {scaled}");
        // No more than what shows, but for the rest of the outermost blocks.
        let (width, height) = (f64::from(y.pixels.width()), f64::from(y.pixels.height()));
        assert!(width - y.visible.width < 16.0 && height - y.visible.height < 16.0, "{width}x{height}");
    }
}

#[test]
fn no_metadata_comes_out() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let original = jpeg_with(&quadrants(900, 700), |encoder| {
        encoder.add_exif_metadata(&exif(1)).unwrap();
        encoder.add_icc_profile(&profile).unwrap();
    });
    assert!(holds(&original, b"LAT 52.5200"), "the picture has nothing to lose");
    for format in [Jpeg, Png] {
        for file in make(&original, format, Fit::Cover, MAX_PIXELS).unwrap().files {
            for trace in [b"LAT".as_slice(), b"Exif", b"eXIf", b"ICC_PROFILE", b"iCCP", b"acsp", b"II*\0"] {
                assert!(!holds(&file, trace), "{}", String::from_utf8_lossy(trace));
            }
        }
    }
}

fn holds(file: &[u8], trace: &[u8]) -> bool {
    memchr::memmem::find(file, trace).is_some()
}

#[test]
fn the_broken_picture_is_drawn_in_both_formats() {
    for format in [Jpeg, Png] {
        let thumbnails = broken(format, SIDES);
        assert_eq!(dimensions(&read(&thumbnails, format)), SQUARES);
        for picture in read(&thumbnails, format) {
            let at = |x: u32, y: u32| (x * picture.width() / 600, y * picture.height() / 600);
            assert_near(&picture, (0, 0), Rgb([232; 3]), 3);
            assert_near(&picture, at(365, 360), Rgb([158; 3]), 12);
        }
    }
}
