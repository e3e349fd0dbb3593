//! Files that would mislead the decoder, and lossy pictures beside image-webp.

use image::{Rgb, RgbImage};

use crate::Fit;
use crate::format::ThumbnailFormat::Png;
use crate::tests::pictures::{WEBP_LOSSY, WEBP_LOSSY_ALPHA, distance, png, webp, webp_extended};
use crate::tests::{cost, make};

fn large(original: &[u8]) -> RgbImage {
    let [.., large] = make(original, Png, Fit::Cover, 40_000_000).unwrap().files;
    image::load_from_memory(&large).unwrap().into_rgb8()
}

/// A lossy picture of another size stands behind a lossless one, in the file or past its end.
#[test]
fn only_the_picture_of_the_file_is_decoded() {
    let plain = webp(RgbImage::from_pixel(8, 8, Rgb([200, 0, 0])));
    let extended = webp_extended(0, (8, 8), &[(b"VP8L", &plain[20..])]);
    let lossy = &WEBP_LOSSY[12..];
    let past_the_end = [&plain[..], lossy].concat();
    let past_the_end_of_extended = [&extended[..], lossy].concat();
    let mut in_the_file = past_the_end.clone();
    in_the_file[4..8].copy_from_slice(&(past_the_end.len() as u32 - 8).to_le_bytes());
    for original in [past_the_end, past_the_end_of_extended, in_the_file] {
        assert!(large(&original) == large(&plain));
        assert!(cost(&original, 64).is_ok());
    }
}

/// Bytes in the frame would have the decoder take another part of the file for a lossless picture, of any length.
#[test]
fn a_frame_of_no_animation_is_not_looked_into() {
    let [alph, vp8] = [&WEBP_LOSSY_ALPHA[38..50], &WEBP_LOSSY[20..]];
    let named = [&b"VP8L\xff\xff\x0f\0"[..], &[0; 24]].concat();
    let frame = [&[0; 16][..], b"abcd\x20\0\0\0", &named].concat();
    let still = webp_extended(0x10, (1, 1), &[(b"ALPH", alph), (b"VP8 ", vp8)]);
    assert!(cost(&still, 1).is_ok());
    let odd = webp_extended(0x10, (1, 1), &[(b"ALPH", alph), (b"VP8 ", vp8), (b"ANMF", &frame)]);
    assert!(cost(&odd, 1).is_err());
}

#[test]
fn lossy_webp_is_decoded_as_elsewhere() {
    let fixtures = [
        include_bytes!("../../../vp8-keyframe/tests/fixtures/normal_filter.webp").as_slice(),
        include_bytes!("../../../vp8-keyframe/tests/fixtures/coarse.webp"),
    ];
    for original in fixtures {
        let elsewhere = image::load_from_memory(original).unwrap().into_rgb8();
        let [ours, theirs] = [large(original), large(&png(elsewhere))];
        let off = distance(&ours, &theirs);
        assert!(off < 1.5, "{off}");
    }
}
