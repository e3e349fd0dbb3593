//! Files that ask for more than they hold, or hold less than they say.

use super::pictures::*;
use crate::picture::Target;

use super::{Jpeg, MAX_PIXELS, Png, cover, large, read};
use crate::Fit;
use crate::tests::decode;
use crate::tests::{cost, make};

const COVER: Target = Target { fit: Fit::Cover, side: 600 };

#[test]
fn too_many_pixels_are_refused_on_the_headers_word() {
    let mut jpeg = jpeg(&quadrants(64, 64));
    let frame = find_marker(&jpeg, 0xc0);
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let png = png_of((30_000, 30_000), [8, 6, 0], &[], &[0; 1000]);
    let gif = gif_on_canvas(hidden_red(4, 4), (0, 0), (65_000, 65_000));
    let webp = webp_extended(0, (50_000, 50_000), &[(b"VP8L", &webp(quadrants(4, 4))[20..])]);
    for original in [jpeg, png, gif, webp] {
        for error in [cost(&original, MAX_PIXELS).unwrap_err().into(), cover(&original, Png).unwrap_err()] {
            assert!(error.to_string().contains("pixels"), "{error}");
        }
    }
    let exact = self::png(quadrants(20, 10));
    assert!(make(&exact, Png, Fit::Cover, 200).is_ok());
    assert!(make(&exact, Png, Fit::Cover, 199).is_err());
}

#[test]
fn a_profile_that_unfolds_to_400_megabytes_is_skipped() {
    let plain = png(quadrants(640, 640));
    let bomb = png_insert(&plain, b"iCCP", &iccp_of_zeros(400 << 20));
    assert!(bomb.len() < 4 << 20);
    let longer = (bomb.len() - plain.len()) as u64;
    assert_eq!(cost(&bomb, MAX_PIXELS).unwrap(), cost(&plain, MAX_PIXELS).unwrap() + longer);
    let profile = |png: &[u8]| decode(png, COVER, MAX_PIXELS).unwrap().icc_profile;
    assert_eq!(profile(&bomb), None);
    assert_eq!(profile(&png_insert(&plain, b"iCCP", &iccp_of_zeros((1 << 20) + 1))), None);
    assert_eq!(profile(&png_insert(&plain, b"iCCP", &iccp_of_zeros(1_000_000))), Some(vec![0; 1_000_000]));
    super::pictures::assert_corners(&large(&bomb, Jpeg), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn a_palette_is_made_of_threes() {
    for bytes in 3..=9 {
        let chunks: [(&[u8; 4], &[u8]); 2] = [(b"PLTE", &vec![200; bytes]), (b"tRNS", &[0])];
        for chunks in [&chunks[..1], &chunks] {
            let original = png_of((4, 2), [8, 3, 0], chunks, &[0; 10]);
            assert_eq!(make(&original, Png, Fit::Cover, MAX_PIXELS).is_ok(), bytes % 3 == 0, "{bytes} bytes");
        }
    }
}

#[test]
fn a_flat_jpeg_takes_little() {
    let flat = jpeg(&quadrants(65_500, 8));
    assert!(cost(&flat, MAX_PIXELS).unwrap() < 64 << 20);
    cover(&flat, Jpeg).unwrap();
}

#[test]
fn a_frame_that_is_far_larger_than_its_canvas_is_refused() {
    let mut gif = gif(hidden_red(40, 40));
    let descriptor = gif_descriptor(&gif);
    gif[descriptor + 5..descriptor + 9].fill(0xff);
    assert!(cover(&gif, Png).unwrap_err().to_string().contains("4294836225 pixels"));
    assert!(cost(&gif, MAX_PIXELS).is_err());

    let mut frame = WEBP_LOSSY[20..].to_vec();
    frame[6..10].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let webp = webp_extended(0, (1, 1), &[(b"VP8 ", &frame)]);
    assert!(cover(&webp, Jpeg).unwrap_err().to_string().contains("does not agree with its canvas"));
    assert!(cost(&webp, MAX_PIXELS).is_err());
}

#[test]
fn a_metadata_chunk_that_lies_about_its_length_is_refused() {
    let mut original =
        webp_extended(0x20, (8, 8), &[(b"VP8L", &webp(quadrants(8, 8))[20..]), (b"ICCP", &[1, 2])]);
    let length = original.len() - 6;
    cover(&original, Jpeg).unwrap();
    original[length..length + 4].fill(0xff);
    assert!(cover(&original, Jpeg).unwrap_err().to_string().contains("runs past the end"));
}

#[test]
fn cost_grows_with_what_a_decode_holds() {
    let picture = quadrants(3000, 2000);
    let sequential = cost(&jpeg(&picture), MAX_PIXELS).unwrap();
    let progressive =
        cost(&jpeg_with(&picture, |encoder| encoder.set_progressive(true)), MAX_PIXELS).unwrap();
    // At least what it remembers of each of its blocks, one and a half for each 64 pixels.
    assert!(progressive > sequential + 3000 * 2000 / 64 * 3 / 2 * 8);
    let opaque = cost(&png(picture.clone()), MAX_PIXELS).unwrap();
    assert!(opaque > 3000 * 2000 * 3);
    let deep = image::DynamicImage::from(picture).into_rgba16();
    assert!(cost(&png(deep), MAX_PIXELS).unwrap() > opaque + 3000 * 2000 * 8);
}

#[test]
fn the_tables_of_a_lossless_webp_are_counted() {
    let lossless = webp(noise(300, 200));
    let bitstream = &lossless[20..];
    let frame = webp_frame(&lossless, (0, 0), (300, 200));
    let animation = webp_extended(0x02, (300, 200), &[(b"ANIM", &[0; 6]), (b"ANMF", &frame)]);
    for original in [&lossless, &animation] {
        assert!(cost(original, MAX_PIXELS).unwrap() >= 320 * bitstream.len() as u64);
    }
    let cost_with_alpha = |alpha: &[u8]| {
        let chunks: Chunks = &[(b"ALPH", alpha), (b"VP8 ", &WEBP_LOSSY[20..])];
        cost(&webp_extended(0x10, (1, 1), chunks), MAX_PIXELS).unwrap()
    };
    assert_eq!(cost_with_alpha(&[0; 5002]), cost_with_alpha(&[0; 2]) + 320 * 5000);
    let plain = cost(WEBP_LOSSY, MAX_PIXELS).unwrap();
    let with_metadata = webp_extended(0, (1, 1), &[(b"VP8 ", &WEBP_LOSSY[20..]), (b"junk", &[0; 5000])]);
    assert_eq!(cost(&with_metadata, MAX_PIXELS).unwrap(), plain);
}

#[test]
fn a_side_is_capped_whatever_the_pixels() {
    // Of grey samples of a bit each, so that the files stay small.
    let long = |side: u32| png_of((1, side), [1, 0, 0], &[], &vec![0; 2 * side as usize]);
    for fit in [Fit::Cover, Fit::Contain] {
        assert!(make(&long(65_535), Png, fit, MAX_PIXELS).is_ok());
        let refused = make(&long(65_536), Png, fit, MAX_PIXELS).unwrap_err();
        assert!(refused.to_string().contains("a side of 65536 pixels and at most 65535"), "{refused}");
    }
    assert!(cost(&long(65_536), MAX_PIXELS).is_err());
}

#[test]
fn the_widest_rows_fit_the_decoders_limit() {
    let bytes_per_row = 1 + 8 * 65_535;
    for interlace in [0, 1] {
        let rows = vec![0; 8 * bytes_per_row];
        cover(&png_of((65_535, 4), [16, 6, interlace], &[], &rows), Png).unwrap();
    }
}

#[test]
fn a_gif_frame_that_reaches_beyond_the_canvas_is_cut_off() {
    let frame = image::DynamicImage::from(quadrants(80, 80)).into_rgba8();
    let original = gif_on_canvas(frame, (0, 0), (40, 40));
    let exact = cost(&gif(hidden_red(40, 40)), MAX_PIXELS).unwrap();
    assert!(cost(&original, MAX_PIXELS).unwrap() >= exact + 5 * (80 * 80 - 40 * 40));
    super::pictures::assert_corners(&large(&original, Png), [RED; 4]);

    let frame = image::DynamicImage::from(quadrants(80, 80)).into_rgba8();
    let made = make(&gif_on_canvas(frame, (20, 0), (60, 40)), Png, Fit::Contain, MAX_PIXELS).unwrap();
    let [_, _, picture] = read(&made, Png);
    assert_eq!(picture.to_rgba8().get_pixel(10, 20)[3], 0);
    super::assert_near(&picture, (30, 20), RED, 0);
}

#[test]
fn scans_behind_the_end_marker_are_not_counted() {
    let original = [jpeg(&quadrants(640, 640)), [0xff, 0xda].repeat(200)].concat();
    cover(&original, Jpeg).unwrap();
}

#[test]
fn odd_words_about_colour_are_read_as_browsers_read_them() {
    let original = jpeg(&quadrants(640, 640));
    let jfif_length = jfif_end(&original);
    let (frame, scan) = (find_marker(&original, 0xc0), find_marker(&original, 0xda));
    // The names of a wide-gamut encoding; and an Adobe segment that speaks of four components.
    let mut wide = original.clone();
    for (component, name) in [1, 34, 35].into_iter().enumerate() {
        wide[frame + 10 + 3 * component] = name;
        wide[scan + 5 + 2 * component] = name;
    }
    let adobe = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x02";
    let four = [adobe, &original[jfif_length..]].concat();
    let nameless = [&original[..2], &wide[jfif_length..]].concat();
    for odd in [wide, four, nameless] {
        super::pictures::assert_corners(&large(&odd, Jpeg), [RED, GREEN, BLUE, WHITE]);
    }
}

#[test]
fn a_jpeg_that_ends_before_its_frame_is_an_error() {
    let original = b"\xff\xd8\xff\xd9";
    assert!(cost(original, MAX_PIXELS).is_err());
    assert!(cover(original, Jpeg).is_err());
}

/// The decoder takes the transparency's dimensions from the animation's frame and the colours' from their own header.
#[test]
fn a_frame_of_other_dimensions_than_its_place_is_refused() {
    let with_place = |side: u32| {
        let frame = webp_frame(&[&[0; 12], &WEBP_LOSSY_ALPHA[30..]].concat(), (0, 0), (side, side));
        webp_extended(0x12, (40, 40), &[(b"ANIM", &[0; 6]), (b"ANMF", &frame)])
    };
    cover(&with_place(1), Png).unwrap();
    let mut larger = with_place(1);
    let vp8 = larger.windows(4).position(|name| name == b"VP8 ").unwrap() + 8;
    larger[vp8 + 6] = 2;
    // Behind transparency the decoder does not ask what a chunk is called.
    let mut renamed = larger.clone();
    renamed[vp8 - 6] = b'4';
    for odd in [larger, renamed, with_place(2)] {
        assert!(cover(&odd, Png).unwrap_err().to_string().contains("animation frame"));
        assert!(cost(&odd, MAX_PIXELS).is_err());
    }
}
