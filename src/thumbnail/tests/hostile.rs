//! Files that ask for more than they hold, or hold less than they say.

use super::pictures::*;
use super::{Jpeg, MAX_PIXELS, Png, cover};
use crate::thumbnail::decode::decode;
use crate::thumbnail::{Fit, cost, make};

#[test]
fn a_truncated_jpeg_is_an_error() {
    let picture = noise(700, 500);
    let exif = exif(6);
    let kinds = [
        jpeg(&picture),
        jpeg_with(&picture, |encoder| encoder.set_progressive(true)),
        jpeg_with(&picture, |encoder| encoder.set_restart_interval(20)),
        jpeg_with(&picture, |encoder| encoder.add_exif_metadata(&exif).unwrap()),
    ];
    for whole in kinds {
        cover(&whole, Jpeg).unwrap();
        let n = whole.len();
        for length in [
            0,
            1,
            2,
            3,
            20,
            300,
            620,
            700,
            n / 10,
            n / 4,
            n / 2,
            n * 3 / 4,
            n - 400,
            n - 10,
            n - 3,
            n - 2,
            n - 1,
        ] {
            assert!(cover(&whole[..length], Jpeg).is_err(), "{length} of {n}");
        }
    }
}

#[test]
fn a_truncated_file_of_the_other_formats_is_an_error() {
    let picture = image::DynamicImage::from(noise(700, 500));
    for whole in
        [png(picture.clone()), gif(picture.to_rgba8()), webp(picture.clone()), webp(picture.to_rgba8())]
    {
        cover(&whole, Png).unwrap();
        let n = whole.len();
        for length in [0, 3, 8, 12, 20, 30, 100, n / 10, n / 4, n / 2, n * 3 / 4, n - 400] {
            assert!(cover(&whole[..length], Png).is_err(), "{length} of {n}: {:?}", &whole[..4]);
        }
    }
}

#[test]
fn a_corrupt_scan_is_an_error() {
    let mut original = jpeg(&noise(700, 500));
    let middle = original.len() / 2;
    original[middle..middle + 200].fill(0x5a);
    original[middle + 100..middle + 102].copy_from_slice(&[0xff, 0xc4]);
    assert!(cover(&original, Jpeg).is_err());
}

#[test]
fn other_formats_are_refused() {
    let tiff = exif(1);
    for other in
        [b"".as_slice(), b"BM", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\0\0\x01\0\x01\0", &tiff]
    {
        assert!(cover(other, Jpeg).is_err());
        assert!(cost(other, MAX_PIXELS).is_err());
    }
}

#[test]
fn too_many_pixels_are_refused_on_the_headers_word() {
    let mut jpeg = jpeg(&quadrants(64, 64));
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    let png = png_of((30_000, 30_000), [8, 6, 0], &[], &[0; 1000]);
    let gif = gif_on_canvas(hidden_red(4, 4), (0, 0), (65_000, 65_000));
    let webp = webp_extended(0, (50_000, 50_000), &[(b"VP8L", &webp(quadrants(4, 4))[20..])]);
    for original in [jpeg, png, gif, webp] {
        for error in [cost(&original, MAX_PIXELS).unwrap_err(), cover(&original, Png).unwrap_err()] {
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
    assert!(cost(&bomb, MAX_PIXELS).unwrap() < 64 << 20);
    let profile = |png: &[u8]| decode(png, Fit::Cover, MAX_PIXELS).unwrap().icc_profile;
    assert_eq!(profile(&bomb), None);
    assert_eq!(profile(&png_insert(&plain, b"iCCP", &iccp_of_zeros(1 << 20))), Some(vec![0; 1 << 20]));
    super::assert_corners(&super::large(&bomb, Jpeg), [RED, GREEN, BLUE, WHITE]);
}

#[test]
fn a_flat_jpeg_takes_little() {
    let flat = jpeg(&quadrants(65_500, 8));
    assert!(cost(&flat, MAX_PIXELS).unwrap() < 64 << 20);
    cover(&flat, Jpeg).unwrap();
}

#[test]
fn a_frame_that_is_larger_than_its_canvas_is_refused() {
    let mut gif = gif(hidden_red(40, 40));
    let descriptor = gif_descriptor(&gif);
    gif[descriptor + 5..descriptor + 9].fill(0xff);
    assert!(cover(&gif, Png).unwrap_err().to_string().contains("limit"));

    let mut frame = WEBP_LOSSY[20..].to_vec();
    frame[6..10].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let webp = webp_extended(0, (1, 1), &[(b"VP8 ", &frame)]);
    assert!(cover(&webp, Jpeg).unwrap_err().to_string().contains("canvas"));
    assert!(cost(&webp, MAX_PIXELS).is_err());
}

#[test]
fn a_metadata_chunk_that_lies_about_its_length_is_survived() {
    let mut original =
        webp_extended(0x20, (8, 8), &[(b"VP8L", &webp(quadrants(8, 8))[20..]), (b"ICCP", &[1, 2])]);
    let length = original.len() - 6;
    original[length..length + 4].fill(0xff);
    cover(&original, Jpeg).unwrap();
}

#[test]
fn a_jpeg_of_endless_scans_is_refused() {
    let original = jpeg_with(&quadrants(640, 640), |encoder| encoder.set_progressive(true));
    let scan = original.windows(2).rposition(|pair| pair == [0xff, 0xda]).unwrap();
    let end = original.len() - 2;
    let endless = [&original[..scan], &original[scan..end].repeat(200), &original[end..]].concat();
    assert!(cover(&endless, Jpeg).unwrap_err().to_string().contains("scans"));
}

#[test]
fn cost_grows_with_what_a_decode_holds() {
    let picture = quadrants(3000, 2000);
    let sequential = cost(&jpeg(&picture), MAX_PIXELS).unwrap();
    let progressive =
        cost(&jpeg_with(&picture, |encoder| encoder.set_progressive(true)), MAX_PIXELS).unwrap();
    assert!(progressive > sequential && progressive > 3000 * 2000 * 3);
    let opaque = cost(&png(picture.clone()), MAX_PIXELS).unwrap();
    assert!(opaque > 3000 * 2000 * 3);
    let deep = image::DynamicImage::from(picture).into_rgba16();
    assert!(cost(&png(deep), MAX_PIXELS).unwrap() > opaque + 3000 * 2000 * 8);
}
