//! Mutated pictures: whatever the bytes, an answer and no panic.

use image::DynamicImage;
use jpeg_encoder::ColorType;

use super::pictures::*;
use super::{Jpeg, Png};
use crate::Fit;
use crate::tests::{cost, make};

/// Small enough that a mutated header cannot ask for a slow decode.
const MAX_PIXELS: u64 = 1_000_000;

#[test]
fn mutated_pictures_do_not_panic() {
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse::<usize>().ok());
    let cases = cases.map_or(300, |cases| cases / 1000);
    let seeds = seeds();
    let mut random = XorShift(0x2545_f491_4f6c_dd1d);
    for case in 0..cases {
        let mut original = seeds[case % seeds.len()].clone();
        for _ in 0..1 + random.below(8) {
            mutate(&mut original, &mut random);
        }
        let (format, fit) = if random.below(2) == 0 { (Jpeg, Fit::Cover) } else { (Png, Fit::Contain) };
        let admitted = cost(&original, MAX_PIXELS);
        let made = make(&original, format, fit, MAX_PIXELS);
        assert!(made.is_err() || admitted.is_ok(), "case {case} was made but not admitted");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let picture = noise(48, 37);
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let transparent = hidden_red(40, 30);
    let still = webp(transparent.clone());
    let frame = webp_frame(&still, (0, 0), (40, 30));
    vec![
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| {
            encoder.add_exif_metadata(&exif(5)).unwrap();
            encoder.add_icc_profile(&profile).unwrap();
            encoder.set_restart_interval(3);
        }),
        jpeg_of(&[90; 30 * 20 * 4], 30, 20, ColorType::CmykAsYcck),
        png(picture.clone()),
        png(DynamicImage::from(transparent.clone()).into_luma_alpha16()),
        png_insert(&png_insert(&png(transparent.clone()), b"eXIf", &exif(8)), b"iCCP", &iccp(&profile)),
        png_of((8, 2), [4, 3, 0], &[(b"PLTE", &[1, 2, 3, 4, 5, 6])], &[0, 0, 0, 0x11, 0x11].repeat(2)),
        gif(DynamicImage::from(picture.clone()).into_rgba8()),
        gif_on_canvas(transparent, (7, 9), (60, 50)),
        webp(picture),
        still,
        WEBP_LOSSY.to_vec(),
        WEBP_LOSSY_ALPHA.to_vec(),
        webp_extended(0x12, (40, 30), &[(b"ANIM", &[0; 6]), (b"ANMF", &frame), (b"ICCP", &profile)]),
    ]
}

fn mutate(bytes: &mut Vec<u8>, random: &mut XorShift) {
    if bytes.is_empty() {
        return;
    }
    let at = random.below(bytes.len());
    // Headers are short and decide the most, so half of the mutations go there.
    let at = if random.below(2) == 0 { at % 64.min(bytes.len()) } else { at };
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.below(256) as u8,
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
        3 => bytes.truncate(at),
        4 => bytes.insert(at, random.below(256) as u8),
        _ => {
            let length = random.below(16).min(bytes.len() - at);
            let moved = bytes[at..at + length].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, moved);
        }
    }
}
