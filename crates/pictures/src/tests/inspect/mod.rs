//! Tests that concern more than one format, and each rule of each format broken once.

mod jpeg;

use image::ExtendedColorType;

use crate::error::InspectError;
use crate::format::{Format, ThumbnailFormat};
use crate::picture::Fit;
use crate::tests::{cost, make};
use crate::{Inspected, format_of, inspect};
use jpeg::with_frame_marker;
use samples::small::*;

const MAX_PIXELS: u64 = 40_000_000;

fn format(sample: &Sample) -> Format {
    Format::from_extension(sample.format).unwrap()
}

fn error_of(bytes: &[u8]) -> InspectError {
    inspect(bytes, MAX_PIXELS).expect_err("the picture should have been refused")
}

fn is_damaged(bytes: &[u8]) -> bool {
    matches!(error_of(bytes), InspectError::Damaged(..))
}

/// What the worker makes of it, if anything: of a small picture the large thumbnail is all of it. Decoders have been seen to
/// panic, which the worker survives.
fn decode(bytes: &[u8]) -> Option<image::DynamicImage> {
    let make = || make(bytes, ThumbnailFormat::Png, Fit::Contain, MAX_PIXELS);
    let [.., large] = std::panic::catch_unwind(make).ok()?.ok()?.files;
    Some(image::load_from_memory(&large).unwrap())
}

fn is_transparent(picture: &image::DynamicImage) -> bool {
    picture.to_rgba8().pixels().any(|pixel| pixel.0[3] != 255)
}

/// Puts `new` in the place of the only occurrence of `old`.
fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let found: Vec<usize> = memchr::memmem::find_iter(bytes, old).collect();
    assert_eq!(found.len(), 1, "{old:x?}");
    [&bytes[..found[0]], new, &bytes[found[0] + old.len()..]].concat()
}

#[test]
fn every_sample_is_taken_and_decodes_as_inspected() {
    for sample in all() {
        let inspected = inspect(&sample.bytes, MAX_PIXELS).expect(sample.name);
        let Sample { width, alpha, .. } = sample;
        let format = format(&sample);
        assert_eq!(inspected, Inspected { format, width, height: HEIGHT, alpha }, "{}", sample.name);
        let decoded = decode(&sample.bytes).expect(sample.name);
        assert_eq!((decoded.width(), decoded.height()), (width, HEIGHT), "{}", sample.name);
        assert!(alpha || !is_transparent(&decoded), "{}", sample.name);
    }
}

#[test]
fn alpha_settles_the_format_of_the_thumbnails() {
    let [opaque, transparent] =
        [false, true].map(|alpha| inspect(&webp_of(&[vp8l(alpha)]), MAX_PIXELS).unwrap());
    assert_eq!(opaque.thumbnail_format(), ThumbnailFormat::Jpeg);
    assert_eq!(transparent.thumbnail_format(), ThumbnailFormat::Png);
}

#[test]
fn every_proper_prefix_is_refused() {
    for sample in all() {
        for length in 0..sample.bytes.len() {
            assert!(inspect(&sample.bytes[..length], MAX_PIXELS).is_err(), "{} at {length}", sample.name);
        }
        let shorter = &sample.bytes[..sample.bytes.len() - 1];
        assert_eq!(error_of(shorter), InspectError::CutShort(format(&sample)), "{}", sample.name);
    }
}

#[test]
fn bytes_after_the_end_are_let_be() {
    for mut sample in all() {
        sample.bytes.extend_from_slice(b"a motion photo\xFF\xD9");
        inspect(&sample.bytes, MAX_PIXELS).expect(sample.name);
    }
}

#[test]
fn every_flipped_bit_of_a_png_is_noticed() {
    for mut sample in all().into_iter().filter(|sample| sample.format == "png") {
        for bit in 0..sample.bytes.len() * 8 {
            sample.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(inspect(&sample.bytes, MAX_PIXELS).is_err(), "{} at bit {bit}", sample.name);
            sample.bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn pixels_are_capped_in_every_format() {
    for sample in all() {
        let pixels = u64::from(sample.width * HEIGHT);
        inspect(&sample.bytes, pixels).expect(sample.name);
        let refused = inspect(&sample.bytes, pixels - 1);
        assert_eq!(refused, Err(InspectError::TooManyPixels { pixels, max: pixels - 1 }), "{}", sample.name);
    }
}

#[test]
fn hostile_sizes_are_refused() {
    let is_too_large = |bytes: &[u8]| matches!(error_of(bytes), InspectError::TooManyPixels { .. });
    assert!(is_too_large(&replace(&baseline_jpeg(), &[8, 0, 3, 0, 5], &[8, 255, 255, 255, 255])));
    assert!(is_too_large(&recast_png(|ihdr| ihdr[..8].fill(0xFF), &[])));
    let screen = gif(&[false]);
    assert!(is_too_large(&[&screen[..6], &[255; 4], &screen[10..]].concat()));
    assert!(is_too_large(&replace(
        &screen,
        &[0x2C, 0, 0, 0, 0, 5, 0, 3, 0],
        &[0x2C, 0, 0, 0, 0, 255, 255, 255, 255]
    )));
    assert!(is_too_large(&webp_of(&[vp8x(0, 1 << 24, 1 << 24), vp8()])));
    assert!(is_too_large(&webp_of(&[replace(&vp8(), &[0x2A, 5, 0, 3, 0], &[0x2A, 255, 255, 255, 255])])));

    assert!(is_damaged(&replace(&baseline_jpeg(), &[8, 0, 3, 0, 5], &[8, 0, 3, 0, 0])));
    assert!(
        is_damaged(&replace(&baseline_jpeg(), &[8, 0, 3, 0, 5], &[8, 0, 0, 0, 5])),
        "the height may not wait for DNL"
    );
    assert!(is_damaged(&recast_png(|ihdr| ihdr[..4].fill(0), &[])));
    assert!(is_damaged(&recast_png(|ihdr| ihdr[..8].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0]), &[])));
    let long = |side: u32| {
        recast_png(|ihdr| ihdr[..8].copy_from_slice(&[[0, 0, 0, 1], side.to_be_bytes()].concat()), &[])
    };
    assert!(inspect(&long(65_535), MAX_PIXELS).is_ok());
    assert_eq!(error_of(&long(65_536)), InspectError::TooLong(65_536));
    assert_eq!(error_of(&webp_of(&[vp8x(0, 65_536, 1), vp8()])), InspectError::TooLong(65_536));
    assert!(is_damaged(&[&screen[..6], &[0; 4], &screen[10..]].concat()));
    assert!(is_damaged(&webp_of(&[replace(&vp8(), &[0x2A, 5, 0, 3, 0], &[0x2A, 0, 0x40, 3, 0])])));
}

#[test]
fn other_formats_are_refused() {
    for bytes in [
        &b""[..],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"BM\x46\0\0\0\0\0\0\0",
        b"\0\0\0\x18ftypheic\0\0\0\0",
        b"RIFF\x24\0\0\0WAVEfmt ",
        b"GIF88a\x01\0\x01\0",
        b"II*\0\x08\0\0\0",
        b"cat.jpg",
    ] {
        assert_eq!(error_of(bytes), InspectError::UnknownFormat);
    }
}

#[test]
fn errors_are_one_sentence() {
    let errors = [
        (error_of(b""), "a picture that is taken here: send a JPEG, PNG, GIF or WebP file."),
        (
            error_of(&baseline_jpeg()[..99]),
            "The JPEG ends before its end marker: it was cut short, send the whole file.",
        ),
        (
            damaged_sample(),
            "The PNG is damaged: a chunk's checksum is wrong; save the picture anew and send that.",
        ),
        (
            error_of(&with_frame_marker(0xC3)),
            "The JPEG uses lossless compression, which is not supported: save it as an",
        ),
        (
            InspectError::TooManyPixels { pixels: 9, max: 4 },
            "The picture has 9 pixels and at most 4 are taken: send a",
        ),
        (
            InspectError::TooLong(70_000),
            "The picture has a side of 70000 pixels and at most 65535 are taken: send a smaller one.",
        ),
    ];
    for (error, expected) in errors {
        let text = error.to_string();
        assert!(text.contains(expected) && text.ends_with('.'), "{text}");
    }
}

fn damaged_sample() -> InspectError {
    let mut png = png(ExtendedColorType::L8);
    png[20] ^= 1;
    error_of(&png)
}

#[test]
fn broken_pngs_are_refused() {
    let chunks = png_chunks(&png(ExtendedColorType::Rgb8));
    let [ihdr, idat, iend] = [0, 1, 2].map(|n| chunks[n].clone());
    let palette = |entries: usize| (*b"PLTE", vec![9; 3 * entries]);
    let broken = [
        ("no IHDR", png_of(&[idat.clone(), iend.clone()])),
        ("two IHDR", png_of(&[ihdr.clone(), ihdr.clone(), idat.clone(), iend.clone()])),
        ("no IDAT", png_of(&[ihdr.clone(), iend.clone()])),
        ("an empty IDAT", png_of(&[ihdr.clone(), (*b"IDAT", vec![]), iend.clone()])),
        (
            "IDAT chunks apart",
            png_of(&[ihdr.clone(), idat.clone(), (*b"tEXt", b"a\0b".to_vec()), idat.clone(), iend.clone()]),
        ),
        ("an IEND with data", png_of(&[ihdr.clone(), idat.clone(), (*b"IEND", vec![0])])),
        (
            "an unknown critical chunk",
            png_of(&[ihdr.clone(), (*b"ABCD", vec![]), idat.clone(), iend.clone()]),
        ),
        ("a late PLTE", png_of(&[ihdr.clone(), idat.clone(), palette(2), iend.clone()])),
        ("two PLTE", png_of(&[ihdr.clone(), palette(2), palette(2), idat.clone(), iend.clone()])),
        ("a PLTE of 4 bytes", png_of(&[ihdr.clone(), (*b"PLTE", vec![1; 4]), idat.clone(), iend.clone()])),
        ("an empty PLTE", palette_png(&[palette(0)])),
        ("a PLTE of 257", palette_png(&[palette(257)])),
        ("a PLTE of 3 in 1 bit", recast_png(|ihdr| (ihdr[3], ihdr[8], ihdr[9]) = (40, 1, 3), &[palette(3)])),
        ("no PLTE", palette_png(&[])),
        ("a PLTE in greyscale", recast_png(|_| {}, &[palette(2)])),
        ("a bit depth of 3", recast_png(|ihdr| ihdr[8] = 3, &[])),
        ("16 bits in a palette", recast_png(|ihdr| (ihdr[8], ihdr[9]) = (16, 3), &[palette(2)])),
        ("a colour type of 5", recast_png(|ihdr| ihdr[9] = 5, &[])),
        ("a compression method", recast_png(|ihdr| ihdr[10] = 1, &[])),
        ("a filter method", recast_png(|ihdr| ihdr[11] = 1, &[])),
        ("an interlace method of 2", recast_png(|ihdr| ihdr[12] = 2, &[])),
    ];
    for (what, bytes) in broken {
        assert!(is_damaged(&bytes), "{what}: {}", error_of(&bytes));
    }
    let harmless = [
        (*b"abCd", vec![1, 2, 3]),
        (*b"fcTL", vec![]),
        (*b"fcTL", vec![9; 26]),
        (*b"fdAT", vec![9; 9]),
        (*b"cICP", vec![9, 16, 9, 2]),
    ];
    for ancillary in harmless {
        let bytes = png_of(&[ihdr.clone(), ancillary, idat.clone(), (idat.0, vec![]), iend.clone()]);
        assert!(inspect(&bytes, MAX_PIXELS).is_ok(), "ancillary chunks and split IDAT are fine");
        assert!(decode(&bytes).is_some(), "{:?}", String::from_utf8_lossy(&bytes[37..41]));
    }
}

#[test]
fn broken_gifs_are_refused() {
    let screen = |packed: u8| [&b"GIF89a\x05\0\x03\0"[..], &[packed, 0, 0]].concat();
    let image = |size: [u8; 2]| [&[0x2C, 0, 0, 0, 0], &[size[0], 0, size[1], 0][..], &[0]].concat();
    let (table, data) = ([7; 6], [2, 2, 0x44, 0x01, 0]);
    let whole = [&screen(0x80)[..], &table, &image([5, 3]), &data, b";"].concat();
    assert!(inspect(&whole, MAX_PIXELS).is_ok());
    let control = [0x21, 0xF9, 5, 0, 0, 0, 0, 0, 0];
    let control_in_two = [0x21, 0xF9, 4, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    let broken = [
        ("no image", [&screen(0x80)[..], &table, b";"].concat()),
        ("no colour table", [&screen(0)[..], &image([5, 3]), &data, b";"].concat()),
        ("an empty image", [&screen(0x80)[..], &table, &image([0, 3]), &data, b";"].concat()),
        ("no data", [&screen(0x80)[..], &table, &image([5, 3]), &[2, 0, b';']].concat()),
        ("a code size of 12", [&screen(0x80)[..], &table, &image([5, 3]), &[12, 1, 1, 0, b';']].concat()),
        (
            "a long graphic control",
            [&screen(0x80)[..], &table, &control, &image([5, 3]), &data, b";"].concat(),
        ),
        (
            "a graphic control in two blocks",
            [&screen(0x80)[..], &table, &control_in_two, &image([5, 3]), &data, b";"].concat(),
        ),
        ("an unknown block", [&screen(0x80)[..], &table, &image([5, 3]), &data, &[0, b';']].concat()),
    ];
    for (what, bytes) in broken {
        assert!(is_damaged(&bytes), "{what}: {}", error_of(&bytes));
        assert!(decode(&bytes).is_none() || what.starts_with("an unknown block"), "{what} can be decoded");
    }
    let unknown = [0x21, 0x02, 1, 0, 0];
    let before = [&screen(0x80)[..], &table, &unknown, &image([5, 3]), &data, b";"].concat();
    assert!(matches!(error_of(&before), InspectError::Unsupported(..)) && decode(&before).is_none());
    let behind = [&screen(0x80)[..], &table, &image([5, 3]), &data, &unknown, b";"].concat();
    assert!(inspect(&behind, MAX_PIXELS).is_ok());
}

#[test]
fn broken_webps_are_refused() {
    let still = |flags| vp8x(flags, WIDTH, HEIGHT);
    let lossless = |at: usize, byte| {
        let mut chunk = vp8l(false);
        chunk[at] = byte;
        webp_of(&[chunk])
    };
    // Without the byte that pads it.
    let mut odd_vp8 = riff_chunk(b"VP8 ", &[&vp8()[8..], &[0]].concat());
    odd_vp8.pop();
    let broken = [
        ("no chunk", webp_of(&[])),
        ("another chunk", webp_of(&[riff_chunk(b"EXIF", b"Exif")])),
        ("a RIFF size of 3", [&b"RIFF\x03\0\0\0WEBP"[..], &vp8()].concat()),
        ("a long chunk", webp_of(&[vp8(), b"EXIF\x09\0\0\0".to_vec()])),
        ("an inter frame", webp_of(&[replace(&vp8(), &[0xF0, 0x01, 0, 0x9D], &[0xF1, 0x01, 0, 0x9D])])),
        ("a hidden frame", webp_of(&[replace(&vp8(), &[0xF0, 0x01, 0, 0x9D], &[0xE0, 0x01, 0, 0x9D])])),
        ("a wrong start code", webp_of(&[replace(&vp8(), &[0x9D, 0x01, 0x2A], &[0x9D, 0x01, 0x2B])])),
        ("a long partition", webp_of(&[replace(&vp8(), &[0xF0, 0x01, 0, 0x9D], &[0xF0, 0xFF, 0, 0x9D])])),
        ("a VP8L signature", lossless(8, 0x2E)),
        ("a VP8L version", lossless(12, 0x20)),
        ("a VP8L header alone", webp_of(&[riff_chunk(b"VP8L", &[0x2F, 0, 0, 0, 0])])),
        ("no image", webp_of(&[still(0)])),
        ("two images", webp_of(&[still(0), vp8(), vp8()])),
        ("another canvas", webp_of(&[vp8x(0, WIDTH, HEIGHT + 1), vp8()])),
        ("no EXIF", webp_of(&[still(0x08), vp8()])),
        ("no XMP", webp_of(&[still(0x04), vp8()])),
        ("no ALPH", webp_of(&[still(0x10), vp8()])),
        ("no ANIM", webp_of(&[still(0x02), anmf(0, &[vp8()])])),
        ("no frame", webp_of(&[still(0x02), anim()])),
        ("a frame without an image", webp_of(&[still(0x02), anim(), anmf(0, &[alph()])])),
        ("a lossless frame with ALPH", webp_of(&[still(0x02), anim(), anmf(0, &[alph(), vp8l(false)])])),
        ("a frame of no animation", webp_of(&[still(0x10), alph(), vp8(), anmf(0, &[vp8l(false)])])),
        ("a frame beyond the canvas", webp_of(&[still(0x02), anim(), anmf(2, &[vp8()])])),
        ("a version of 4", webp_of(&[replace(&vp8(), &[0xF0, 0x01, 0, 0x9D], &[0xF8, 0x01, 0, 0x9D])])),
        ("a long ANIM", webp_of(&[still(0x02), riff_chunk(b"ANIM", &[0; 8]), anim(), anmf(0, &[vp8()])])),
        (
            "a short frame",
            webp_of(&[still(0x02), anim(), anmf(0, &[riff_chunk(b"VP8L", &vp8l(false)[8..14])])]),
        ),
        ("an odd frame", webp_of(&[still(0x02), anim(), anmf(0, &[odd_vp8])])),
        ("an empty ALPH", webp_of(&[still(0x10), riff_chunk(b"ALPH", &[]), vp8()])),
        ("a short ALPH", webp_of(&[still(0x10), riff_chunk(b"ALPH", &[0; 15]), vp8()])),
        ("an ALPH of a method 2", webp_of(&[still(0x10), riff_chunk(b"ALPH", &[2; 99]), vp8()])),
        ("an ALPH preprocessed by 2", webp_of(&[still(0x10), riff_chunk(b"ALPH", &[0x20; 99]), vp8()])),
        ("a frame's short ALPH", {
            webp_of(&[still(0x12), anim(), anmf(0, &[riff_chunk(b"ALPH", &[0; 15]), vp8()])])
        }),
    ];
    for (what, bytes) in broken {
        assert!(is_damaged(&bytes), "{what}: {}", error_of(&bytes));
    }
    let longest = webp_of(&[replace(&vp8l(false), &[0x2F, 4, 0x80, 0], &[0x2F, 0xFF, 0xBF, 0])]);
    assert!(matches!(error_of(&longest), InspectError::Unsupported(..)));
    assert!(decode(&longest).is_none());
    let unflagged = inspect(&webp_of(&[still(0), alph(), vp8()]), MAX_PIXELS).unwrap();
    assert!(unflagged.alpha, "an ALPH chunk counts, flag or no flag");
}

/// What is taken has a structure that the worker takes too, has the size that it says, and is not transparent where it says
/// that it cannot be. A damaged GIF can be: its decoder leaves pixels transparent that are missing, or whose colour is not in
/// the table.
fn check_against_decoder(bytes: &[u8]) {
    let Ok(inspected) = inspect(bytes, MAX_PIXELS) else { return };
    let pixels = u64::from(inspected.width) * u64::from(inspected.height);
    assert!((1..=MAX_PIXELS).contains(&pixels));
    assert_eq!(Some(inspected.format), format_of(bytes));
    let cost = cost(bytes, MAX_PIXELS);
    assert!(cost.is_ok(), "{cost:?}");
    if pixels <= 1_000
        && inspected.width.max(inspected.height) <= 600
        && let Some(decoded) = decode(bytes)
    {
        assert_eq!((decoded.width(), decoded.height()), (inspected.width, inspected.height));
        assert!(inspected.alpha || inspected.format == Format::Gif || !is_transparent(&decoded));
    }
}

fn fuzz(format: Format, check: impl Fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = all()
        .into_iter()
        .filter(|sample| sample.format == format.extension())
        .map(|sample| sample.bytes)
        .collect();
    samples::mutate::run(format.extension(), &seeds, check);
}

#[test]
fn fuzz_jpeg() {
    fuzz(Format::Jpeg, check_against_decoder);
}

#[test]
fn fuzz_png() {
    fuzz(Format::Png, |bytes| {
        check_against_decoder(bytes);
        check_against_decoder(&mend_checksums(bytes));
    });
}

#[test]
fn fuzz_gif() {
    fuzz(Format::Gif, check_against_decoder);
}

#[test]
fn fuzz_webp() {
    fuzz(Format::WebP, check_against_decoder);
}
