//! Small pictures of every format and kind that is accepted: where the fuzzer starts.
//!
//! A fuzzer that starts from nothing would have to find out what a PNG is. It mixes and changes these, and keeps what reaches
//! code that nothing reached before. They are small, since a small case is a quick one. Some are wide, because a JPEG is decoded
//! at a smaller scale only if it is larger than the thumbnails need.
//!
//! No encoder in Rust writes lossy WebP. `fuzz/run` adds the fixtures that libwebp wrote.

use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::mutate::Random;
use crate::pictures::{
    exif, gif, gif_descriptor, gif_on_canvas, hidden_red, iccp, jpeg_of, jpeg_with, noise, png, png_insert,
    png_of, webp, webp_extended, webp_frame,
};

const WIDTH: u32 = 40;
const HEIGHT: u32 = 28;

/// A name for a file, and what is in it.
pub struct Seed {
    pub name: String,
    pub bytes: Vec<u8>,
}

pub fn all() -> Vec<Seed> {
    let mut seeds = jpegs();
    seeds.extend(pngs());
    seeds.extend(gifs());
    seeds.extend(webps());
    seeds
}

fn seed(name: impl Into<String>, bytes: Vec<u8>) -> Seed {
    Seed { name: name.into(), bytes }
}

fn flat(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb([200, 120, 40]))
}

/// A gradient, on the left half transparent.
fn transparent(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let alpha = if x > width / 3 { 255 } else { 90 };
        Rgba([(x * 255 / width) as u8, (y * 255 / height) as u8, (x * y) as u8, alpha])
    })
}

fn jpegs() -> Vec<Seed> {
    let picture = noise(WIDTH, HEIGHT);
    let mut seeds = Vec::new();
    let of = |name: String, picture: &RgbImage, change: &dyn Fn(&mut Encoder<&mut Vec<u8>>)| {
        seed(format!("jpeg-{name}"), jpeg_with(picture, |encoder| change(encoder)))
    };
    for progressive in [false, true] {
        let samplings = [
            SamplingFactor::R_4_4_4,
            SamplingFactor::R_4_2_2,
            SamplingFactor::R_4_2_0,
            SamplingFactor::R_4_1_1,
        ];
        for sampling in samplings {
            seeds.push(of(format!("{sampling:?}-{progressive}"), &picture, &|encoder| {
                encoder.set_sampling_factor(sampling);
                encoder.set_progressive(progressive);
            }));
        }
        seeds.push(of(format!("restart-{progressive}"), &picture, &|encoder| {
            encoder.set_progressive(progressive);
            encoder.set_restart_interval(1);
        }));
        for width in [1300, 2500, 5000, 10_000] {
            seeds.push(of(format!("wide-{width}-{progressive}"), &flat(width, 8), &|encoder| {
                encoder.set_progressive(progressive);
            }));
        }
    }
    seeds.push(of("exif-icc".into(), &picture, &|encoder| {
        encoder.add_exif_metadata(&exif(6)).unwrap();
        encoder.add_icc_profile(&[7; 300]).unwrap();
    }));
    seeds.push(of("optimised".into(), &picture, &|encoder| encoder.set_optimized_huffman_tables(true)));
    seeds.push(of("one-pixel".into(), &flat(1, 1), &|_| {}));
    seeds.push(of("large".into(), &flat(1210, 820), &|_| {}));
    for (name, color, samples) in
        [("grey", ColorType::Luma, 1), ("cmyk", ColorType::Cmyk, 4), ("ycck", ColorType::CmykAsYcck, 4)]
    {
        let pixels: Vec<u8> = (0..30 * 20 * samples).map(|n| (n * 7) as u8).collect();
        seeds.push(seed(format!("jpeg-{name}"), jpeg_of(&pixels, 30, 20, color)));
    }
    seeds
}

/// Random rows. Adam7 is a sum of small pictures, each with its rows.
fn raw_png(depth: u8, color: u8, interlace: u8) -> Vec<u8> {
    let channels = match color {
        0 | 3 => 1,
        4 => 2,
        2 => 3,
        _ => 4,
    };
    let adam7 =
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    let passes = if interlace == 1 { &adam7[..] } else { &[(0, 0, 1, 1)] };
    let mut random = Random::new(u64::from(depth * 8 + color));
    let mut rows = Vec::new();
    for (left, top, across, down) in passes {
        let width = (WIDTH - left).div_ceil(*across);
        for _ in 0..(HEIGHT - top).div_ceil(*down) {
            rows.push(random.below(5) as u8);
            let bytes = (width * channels * u32::from(depth)).div_ceil(8);
            rows.extend((0..bytes).map(|_| random.below(256) as u8));
        }
    }
    let palette: Vec<u8> = (0..3 << depth.min(8)).map(|_| random.below(256) as u8).collect();
    let chunks: [(&[u8; 4], &[u8]); 2] = [(b"PLTE", &palette), (b"tRNS", &[0, 128])];
    png_of((WIDTH, HEIGHT), [depth, color, interlace], if color == 3 { &chunks } else { &[] }, &rows)
}

fn pngs() -> Vec<Seed> {
    let kinds: [(u8, &[u8]); 5] =
        [(0, &[1, 2, 4, 8, 16]), (2, &[8, 16]), (3, &[1, 2, 4, 8]), (4, &[8, 16]), (6, &[8, 16])];
    let mut seeds = Vec::new();
    for (color, depths) in kinds {
        for depth in depths {
            for interlace in [0, 1] {
                let name = format!("png-{color}-{depth}-{interlace}");
                seeds.push(seed(name, raw_png(*depth, color, interlace)));
            }
        }
    }
    let plain = raw_png(8, 2, 0);
    let metadata = png_insert(&plain, b"iCCP", &iccp(&[7; 300]));
    let metadata = png_insert(&metadata, b"gAMA", &45_455_u32.to_be_bytes());
    seeds.push(seed("png-metadata", png_insert(&metadata, b"eXIf", &exif(8))));
    seeds.push(seed("png-transparent-colour", png_insert(&plain, b"tRNS", &[0, 1, 0, 2, 0, 3])));
    seeds.push(seed("png-encoded", png(transparent(WIDTH, HEIGHT))));
    seeds
}

fn gifs() -> Vec<Seed> {
    let plain = gif(DynamicImage::from(noise(WIDTH, HEIGHT)).into_rgba8());
    let mut interlaced = plain.clone();
    let descriptor = gif_descriptor(&plain);
    interlaced[descriptor + 9] |= 0x40;
    let frames = &plain[..plain.len() - 1];
    let second = &plain[descriptor..];
    let comment = [frames, b"\x21\xfe\x09a comment\0", second].concat();
    vec![
        seed("gif-plain", plain.clone()),
        seed("gif-interlaced", interlaced),
        seed("gif-animated", comment),
        seed("gif-transparent", gif(transparent(WIDTH, HEIGHT))),
        seed("gif-on-canvas", gif_on_canvas(hidden_red(12, 9), (7, 5), (30, 20))),
        seed("gif-beyond-canvas", gif_on_canvas(hidden_red(12, 9), (25, 15), (30, 20))),
    ]
}

fn webps() -> Vec<Seed> {
    let still = webp(transparent(WIDTH, HEIGHT));
    let palette = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| Rgb([[40, 90, 200][((x + y) % 3) as usize]; 3]));
    let frame = webp_frame(&still, (0, 0), (WIDTH, HEIGHT));
    let part = webp_frame(&webp(noise(12, 10)), (4, 6), (12, 10));
    let anim: (&[u8; 4], &[u8]) = (b"ANIM", &[0; 6]);
    let size = (WIDTH, HEIGHT);
    let metadata: &[(&[u8; 4], &[u8])] =
        &[(b"ICCP", &[7; 300]), (b"VP8L", &still[20..]), (b"EXIF", &exif(6))];
    vec![
        seed("webp-lossless", webp(noise(WIDTH, HEIGHT))),
        seed("webp-palette", webp(palette)),
        seed("webp-two-colours", webp(RgbImage::from_fn(33, 17, |x, y| Rgb([(x ^ y) as u8 % 2 * 255; 3])))),
        seed("webp-large", webp(flat(1210, 820))),
        seed("webp-metadata", webp_extended(0x38, size, metadata)),
        seed("webp-animated", webp_extended(0x12, size, &[anim, (b"ANMF", &frame), (b"ANMF", &part)])),
        seed("webp-part", webp_extended(0x12, size, &[anim, (b"ANMF", &part)])),
        seed("webp-transparent", still),
    ]
}
