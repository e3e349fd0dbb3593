//! What the thumbnails promise, each promise on a picture made for it.

mod fuzz;
mod hostile;
pub mod pictures;

use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, Rgba, RgbaImage};
use jpeg_encoder::ColorType;
use moxcms::ColorProfile;
use pictures::*;

use super::decode::decode;
use super::plane::Channels;
use super::{Fit, Thumbnails, Undecodable, broken, make};
use crate::format::ThumbnailFormat::{self, Jpeg, Png};
use crate::size::Size;

const MAX_PIXELS: u64 = 40_000_000;

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
fn cover_is_exactly_square_for_any_aspect_ratio() {
    let sides = [
        (1, 1),
        (1, 2),
        (3, 7),
        (99, 101),
        (100, 100),
        (300, 300),
        (599, 601),
        (600, 600),
        (601, 600),
        (1201, 700),
        (2725, 2225),
        (10_000, 10),
        (10, 10_000),
        (3, 65_500),
        (65_500, 8),
        (65_500, 1),
        (1, 65_500),
        (4001, 2999),
    ];
    for (width, height) in sides {
        let picture = image::RgbImage::from_pixel(width, height, GREEN);
        for (original, format) in [(jpeg(&picture), Jpeg), (png(picture.clone()), Png)] {
            let thumbnails = cover(&original, format).unwrap();
            assert_eq!(dimensions(&thumbnails), SQUARES, "{width}x{height}");
            for thumbnail in thumbnails {
                assert_near(&thumbnail, (0, 0), GREEN, 4);
                assert_near(&thumbnail, (thumbnail.width() - 1, thumbnail.height() - 1), GREEN, 4);
            }
        }
    }
}

#[test]
fn cover_crops_about_the_centre() {
    let stripes = image::RgbImage::from_fn(900, 300, |x, _| [RED, GREEN, BLUE][x as usize / 300]);
    for original in
        [png(stripes.clone()), jpeg(&stripes), png(DynamicImage::from(stripes.clone()).into_rgba8())]
    {
        let picture = large(&original, Png);
        for x in [10, 300, 590] {
            assert_near(&picture, (x, 300), GREEN, 8);
        }
    }
}

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
fn contain_swaps_the_sides_of_a_turned_picture() {
    let original = jpeg_with(&quadrants(1201, 799), |encoder| encoder.add_exif_metadata(&exif(6)).unwrap());
    let thumbnails = read(&make(&original, Jpeg, Fit::Contain, MAX_PIXELS).unwrap(), Jpeg);
    assert_eq!(dimensions(&thumbnails), [(67, 100), (200, 300), (399, 600)]);
    assert_corners(&thumbnails[2], [BLUE, RED, WHITE, GREEN]);
}

#[test]
fn every_orientation_comes_out_upright() {
    let upright = [
        [RED, GREEN, BLUE, WHITE],
        [GREEN, RED, WHITE, BLUE],
        [WHITE, BLUE, GREEN, RED],
        [BLUE, WHITE, RED, GREEN],
        [RED, BLUE, GREEN, WHITE],
        [BLUE, RED, WHITE, GREEN],
        [WHITE, GREEN, BLUE, RED],
        [GREEN, WHITE, RED, BLUE],
    ];
    let picture = quadrants(700, 640);
    for (orientation, corners) in (1..).zip(upright) {
        let exif = exif(orientation);
        let plain = webp(picture.clone());
        let originals = [
            jpeg_with(&picture, |encoder| encoder.add_exif_metadata(&exif).unwrap()),
            png_insert(&png(picture.clone()), b"eXIf", &exif),
            webp_extended(0x08, (700, 640), &[(b"VP8L", &plain[20..]), (b"EXIF", &exif)]),
            webp_extended(
                0x08,
                (700, 640),
                &[(b"VP8L", &plain[20..]), (b"EXIF", &[b"Exif\0\0", &exif[..]].concat())],
            ),
        ];
        for original in originals {
            for thumbnail in cover(&original, Jpeg).unwrap() {
                assert_corners(&thumbnail, corners);
            }
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
fn jpegs_of_every_kind() {
    let picture = quadrants(1500, 1300);
    let kinds = [
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(7)),
        jpeg_with(&picture, |encoder| encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_4_4)),
        jpeg_with(&picture, |encoder| encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_4_0)),
        jpeg_with(&picture, |encoder| encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_1_0)),
        jpeg_with(&picture, |encoder| encoder.set_optimized_huffman_tables(true)),
    ];
    for original in kinds {
        assert_corners(&large(&original, Jpeg), [RED, GREEN, BLUE, WHITE]);
    }
    let grey: Vec<u8> = (0..900 * 700).map(|i| if i % 900 < 450 { 40 } else { 200 }).collect();
    let picture = large(&jpeg_of(&grey, 900, 700, ColorType::Luma), Jpeg);
    let (dark, light) = (Rgb([40, 40, 40]), Rgb([200, 200, 200]));
    assert_corners(&picture, [dark, light, dark, light]);
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
        let picture = decode(&jpeg(&quadrants(width, height)), fit, MAX_PIXELS).unwrap();
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
fn cmyk_and_ycck_are_not_inverted() {
    let ink: Vec<u8> = (0..800 * 600)
        .flat_map(|i| if i % 800 < 400 { [0, 255, 255, 0] } else { [255, 0, 0, 128] })
        .collect();
    let (red, dark_cyan) = (Rgb([255, 0, 0]), Rgb([0, 127, 127]));
    for color in [ColorType::Cmyk, ColorType::CmykAsYcck] {
        let picture = large(&jpeg_of(&ink, 800, 600, color), Jpeg);
        assert_corners(&picture, [red, dark_cyan, red, dark_cyan]);
    }
}

#[test]
fn adobe_rgb_components_are_not_taken_for_ycbcr() {
    let rgb = quadrants(640, 640);
    let as_is = jpeg_of(&rgb, 640, 640, ColorType::Ycbcr);
    let jfif_length = 2 + 2 + usize::from(u16::from_be_bytes([as_is[4], as_is[5]]));
    let adobe = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    let mut original = [adobe, &as_is[jfif_length..]].concat();
    let frame = original.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let scan = original.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    for component in 0..3 {
        original[frame + 10 + 3 * component] = component as u8 + 1;
        original[scan + 5 + 2 * component] = component as u8 + 1;
    }
    assert_corners(&large(&original, Png), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn a_profile_is_converted_and_dropped() {
    let profile = ColorProfile::new_display_p3().encode().unwrap();
    // Display P3's (200, 90, 60) lies inside sRGB, at (215, 84, 50) by the two standards' matrices and curve.
    let (p3, srgb) = (Rgb([200, 90, 60]), display_p3_to_srgb([200, 90, 60]));
    assert!(srgb.0[0] > 208, "{srgb:?} is too close to {p3:?} to tell");
    let picture = image::RgbImage::from_pixel(700, 650, p3);
    let transparent = RgbaImage::from_pixel(700, 650, Rgba([p3.0[0], p3.0[1], p3.0[2], 255]));
    let plain = webp(picture.clone());
    let originals = [
        jpeg_with(&picture, |encoder| encoder.add_icc_profile(&profile).unwrap()),
        png_insert(&png(picture.clone()), b"iCCP", &iccp(&profile)),
        png_insert(&png(transparent), b"iCCP", &iccp(&profile)),
        webp_extended(0x20, (700, 650), &[(b"ICCP", &profile), (b"VP8L", &plain[20..])]),
    ];
    for original in originals {
        for thumbnail in cover(&original, Png).unwrap() {
            assert_near(&thumbnail, (50, 50), srgb, 3);
        }
    }
}

/// By the definitions: sRGB's curve, which Display P3 shares, and the matrix between the two sets of primaries.
fn display_p3_to_srgb(p3: [u8; 3]) -> Rgb<u8> {
    let [r, g, b] = p3.map(|sample| {
        let value = f64::from(sample) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let linear = [
        1.224_940_2 * r - 0.224_940_2 * g,
        -0.042_056_9 * r + 1.042_056_9 * g,
        -0.019_637_6 * r - 0.078_636_1 * g + 1.098_273_6 * b,
    ];
    Rgb(linear.map(|value| {
        let encoded =
            if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round().clamp(0.0, 255.0) as u8
    }))
}

#[test]
fn a_profile_that_does_not_describe_rgb_is_left_alone() {
    let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let picture = image::RgbImage::from_pixel(640, 640, GREEN);
    for profile in [grey, b"not a profile".to_vec(), vec![0; 200]] {
        let original = png_insert(&png(picture.clone()), b"iCCP", &iccp(&profile));
        assert_near(&large(&original, Png), (300, 300), GREEN, 1);
        let original = jpeg_with(&picture, |encoder| encoder.add_icc_profile(&profile).unwrap());
        assert_near(&large(&original, Png), (300, 300), GREEN, 3);
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
fn a_gif_gives_its_first_frame_on_its_canvas() {
    let frame = RgbaImage::from_pixel(100, 50, Rgba([30, 30, 220, 255]));
    let original = gif_on_canvas(frame, (100, 0), (200, 200));
    let picture = large(&original, Png);
    assert_eq!(picture.get_pixel(450, 75), Rgba([30, 30, 220, 255]));
    for (x, y) in [(150, 75), (450, 225), (150, 450)] {
        assert_eq!(picture.get_pixel(x, y)[3], 0, "at {x},{y}");
    }

    let mut animation = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut animation);
    for color in [RED, GREEN] {
        let frame = RgbaImage::from_pixel(120, 120, Rgba([color.0[0], color.0[1], color.0[2], 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    assert_near(&large(&animation, Jpeg), (300, 300), RED, 4);
}

/// Depth, color type and interlacing; chunks; rows; the colours on the left and on the right.
type Case<'a> = ([u8; 3], Chunks<'a>, Vec<u8>, [Rgb<u8>; 2]);

#[test]
fn pngs_of_every_kind() {
    let grey = Rgb([0x80, 0x80, 0x80]);
    // Eight pixels wide and two high: dark or first on the left, light or second on the right.
    let row = |left: &[u8], right: &[u8]| [&[0][..], &left.repeat(4), &right.repeat(4)].concat().repeat(2);
    let palette: &[u8] = &[220, 30, 30, 30, 180, 30];
    let cases: [Case; 7] = [
        ([16, 2, 0], &[], row(&[220, 1, 30, 2, 30, 3], &[30, 9, 180, 9, 30, 9]), [RED, GREEN]),
        ([16, 0, 0], &[], row(&[0, 0], &[0x80, 0x12]), [Rgb([0; 3]), grey]),
        ([8, 0, 0], &[], row(&[0], &[0x80]), [Rgb([0; 3]), grey]),
        ([1, 0, 0], &[], [0, 0x0f, 0, 0x0f].to_vec(), [Rgb([0; 3]), Rgb([255; 3])]),
        ([8, 3, 0], &[(b"PLTE", palette)], row(&[0], &[1]), [RED, GREEN]),
        ([4, 3, 0], &[(b"PLTE", palette)], [0, 0, 0, 0x11, 0x11].repeat(2), [RED, GREEN]),
        ([8, 4, 0], &[], row(&[0, 255], &[0x80, 255]), [Rgb([0; 3]), grey]),
    ];
    for (kind, chunks, rows, [left, right]) in cases {
        let picture = make(&png_of((8, 2), kind, chunks, &rows), Png, Fit::Contain, MAX_PIXELS).unwrap();
        let [_, _, picture] = read(&picture, Png);
        assert_near(&picture, (0, 0), left, 1);
        assert_near(&picture, (7, 1), right, 1);
    }
    let transparent =
        png_of((8, 2), [8, 3, 0], &[(b"PLTE", palette), (b"tRNS", &[255, 0])], &row(&[0], &[1]));
    let picture = large(&transparent, Png);
    assert_eq!((picture.get_pixel(50, 300)[3], picture.get_pixel(550, 300)[3]), (255, 0));
}

#[test]
fn an_interlaced_png_is_put_together() {
    // Adam7 of 8x8 grey: seven passes, each sample the number of its pass times thirty.
    let passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)];
    let rows: Vec<u8> = (1..)
        .zip(passes)
        .flat_map(|(pass, (width, height))| [&[0][..], &[pass * 30].repeat(width)].concat().repeat(height))
        .collect();
    let original = png_of((8, 8), [8, 0, 1], &[], &rows);
    let [_, _, picture] = read(&make(&original, Png, Fit::Contain, MAX_PIXELS).unwrap(), Png);
    for (at, pass) in
        [((0, 0), 1), ((4, 0), 2), ((4, 4), 3), ((2, 0), 4), ((2, 2), 5), ((1, 0), 6), ((3, 5), 7)]
    {
        assert_near(&picture, at, Rgb([pass * 30; 3]), 0);
    }
}

#[test]
fn webps_of_every_kind() {
    assert_corners(&large(&webp(quadrants(640, 700)), Jpeg), [RED, GREEN, BLUE, WHITE]);
    assert_eq!(dimensions(&cover(WEBP_LOSSY, Jpeg).unwrap()), SQUARES);
    let transparent = cover(WEBP_LOSSY_ALPHA, Png).unwrap();
    assert!(transparent[2].color().has_alpha());

    let red = RgbaImage::from_pixel(40, 40, Rgba([220, 30, 30, 255]));
    let green = RgbaImage::from_pixel(80, 80, Rgba([30, 180, 30, 255]));
    let first = webp_frame(&webp(red), (40, 0), (40, 40));
    let second = webp_frame(&webp(green), (0, 0), (80, 80));
    let animation = webp_extended(
        0x12,
        (80, 80),
        &[(b"ANIM", &[0, 0, 0, 0, 0, 0]), (b"ANMF", &first), (b"ANMF", &second)],
    );
    let picture = large(&animation, Png);
    // The decoder's blending rounds down by one.
    assert_near(&picture, (450, 150), RED, 1);
    assert_eq!((picture.get_pixel(450, 150)[3], picture.get_pixel(150, 450)[3]), (255, 0));
}

#[test]
fn the_broken_picture_is_drawn_in_both_formats() {
    for format in [Jpeg, Png] {
        let thumbnails = broken(format);
        assert_eq!(dimensions(&read(&thumbnails, format)), SQUARES);
        for picture in read(&thumbnails, format) {
            let at = |x: u32, y: u32| (x * picture.width() / 600, y * picture.height() / 600);
            assert_near(&picture, (0, 0), Rgb([232; 3]), 3);
            assert_near(&picture, at(365, 360), Rgb([158; 3]), 12);
        }
        let sizes: Vec<Size> = thumbnails.by_size().map(|(size, _)| size).collect();
        assert_eq!(sizes, Size::ALL);
    }
}
