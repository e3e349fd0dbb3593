//! Files that would mislead the decoder, and lossy pictures beside image-webp.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, Rgb, RgbImage, Rgba, RgbaImage};

use super::Pixels;

use crate::format::ThumbnailFormat::Png;
use crate::picture::Target;
use crate::tests::pictures::{WEBP_LOSSY, WEBP_LOSSY_ALPHA, distance, png, webp, webp_extended, webp_frame};
use crate::tests::{cost, make};
use crate::{Fit, InspectError, Structure, Undecodable};

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
    let smooth = include_bytes!("../tests/corpus/fixtures/lossy.webp").as_slice();
    // Its colours are noise at the size of a sample, which looks different if it is enlarged before it is converted.
    let noisy = include_bytes!("../../../vp8-keyframe/tests/fixtures/coarse.webp").as_slice();
    for (original, in_grey) in [(smooth, false), (noisy, true)] {
        let elsewhere = image::load_from_memory(original).unwrap().into_rgb8();
        let [ours, theirs] = [large(original), large(&png(elsewhere))].map(|picture| {
            if in_grey {
                DynamicImage::from(DynamicImage::from(picture).into_luma8()).into_rgb8()
            } else {
                picture
            }
        });
        let off = distance(&ours, &theirs);
        assert!(off < 1.5, "{off}");
    }
}

/// What is accepted is a structure that image-webp can start from: after that only a fault in the coded data is left.
#[test]
fn what_is_accepted_fails_only_in_its_coded_data() {
    let [lossless, transparent] = [
        webp(RgbImage::from_pixel(8, 8, Rgb([200, 0, 0]))),
        webp(RgbaImage::from_pixel(8, 8, Rgba([200, 0, 0, 90]))),
    ];
    let animated = |frame: &[u8], side| {
        let frame = webp_frame(frame, (0, 0), (side, side));
        webp_extended(0x12, (8, 8), &[(b"ANIM", &[0; 6]), (b"ANMF", &frame)])
    };
    let seeds = [
        WEBP_LOSSY.to_vec(),
        WEBP_LOSSY_ALPHA.to_vec(),
        animated(&lossless, 8),
        animated(WEBP_LOSSY, 1),
        animated(&[&[0; 12], &WEBP_LOSSY_ALPHA[30..]].concat(), 1),
        webp_extended(0x0c, (8, 8), &[(b"VP8L", &lossless[20..]), (b"EXIF", b"II*\0"), (b"XMP ", b"")]),
        transparent,
        lossless,
    ];
    samples::mutate::run("a WebP's structure", &seeds, |bytes| {
        let Ok(Structure::WebP(structure)) = Structure::read(bytes, 1_000) else { return };
        if let Pixels::Other { file, is_animation, .. } = &structure.pixels {
            let decoder = WebPDecoder::new(io::Cursor::new(file)).unwrap();
            assert_eq!(decoder.dimensions(), (structure.width, structure.height));
            assert_eq!(decoder.has_animation(), *is_animation);
        }
        let target = Target { fit: Fit::Contain, side: 600 };
        let decoded = catch_unwind(AssertUnwindSafe(|| structure.decode(target)));
        assert!(!matches!(decoded, Ok(Err(Undecodable::Structure(_)))));
    });
}

/// libwebp and `vp8-keyframe` ignore the bit, and image-webp refuses it.
#[test]
fn a_reserved_colour_space_matters_only_to_image_webp() {
    // The bit is the first that is coded. With it the bits after it are others, but this frame stays long enough for its header.
    let mut vp8 = include_bytes!("../../../vp8-keyframe/tests/fixtures/unfiltered.webp")[20..].to_vec();
    vp8[10] |= 0x80;
    let size = (33, 31);
    assert!(cost(&webp_extended(0, size, &[(b"VP8 ", &vp8)]), 2_000).is_ok());
    let transparent = webp_extended(0x10, size, &[(b"ALPH", &[0; 1 + 33 * 31]), (b"VP8 ", &vp8)]);
    assert!(matches!(cost(&transparent, 2_000), Err(InspectError::Unsupported(..))));
}
