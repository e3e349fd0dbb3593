//! What the walk over the markers finds, and what it refuses.

#![allow(clippy::unwrap_used)]

mod pictures;

use pictures::{find_marker, fixture, flat_progressive, noise};
use scaled_jpeg::{ColorModel, Damage, Error, Feature, MAX_SCANS, Structure, read_structure};

const MAX_PIXELS: u64 = 40_000_000;

fn read(jpeg: &[u8]) -> Result<Structure<'_>, Error> {
    read_structure(jpeg, MAX_PIXELS)
}

/// The file with a segment before its frame header.
fn with_segment(jpeg: &[u8], marker: u8, contents: &[u8]) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|pair| pair[0] == 0xff && (0xc0..=0xc2).contains(&pair[1])).unwrap();
    let length = (contents.len() as u16 + 2).to_be_bytes();
    [&jpeg[..frame], &[0xff, marker], &length, contents, &jpeg[frame..]].concat()
}

/// The file with one byte changed, at a distance from a marker.
fn with_byte(jpeg: &[u8], marker: u8, distance: usize, byte: u8) -> Vec<u8> {
    let mut changed = jpeg.to_vec();
    changed[find_marker(jpeg, marker) + distance] = byte;
    changed
}

#[test]
fn a_structure_says_what_the_file_is() {
    let structure = read(fixture("progressive").jpeg).unwrap();
    assert_eq!((structure.width(), structure.height()), (75, 59));
    assert!(structure.is_progressive());
    assert_eq!(structure.scan_count(), 10);
    let sampling: Vec<_> = structure.components().iter().map(|part| part.horizontal_sampling).collect();
    assert_eq!(sampling, [2, 1, 1]);
    let structure = read(fixture("cmyk").jpeg).unwrap();
    assert_eq!((structure.components().len(), structure.adobe_transform()), (4, Some(0)));
    assert!(!structure.is_progressive());
}

#[test]
fn metadata_is_found() {
    let plain = fixture("baseline").jpeg;
    assert_eq!(read(plain).unwrap().exif(), None);
    assert_eq!(read(plain).unwrap().icc_profile(), None);
    let with_exif = with_segment(&with_segment(plain, 0xe1, b"http://an XMP"), 0xe1, b"Exif\0\0II*\0");
    assert_eq!(read(&with_exif).unwrap().exif(), Some(&b"II*\0"[..]));
    let second = with_segment(plain, 0xe2, b"ICC_PROFILE\0\x02\x02file");
    let both = with_segment(&second, 0xe2, b"ICC_PROFILE\0\x01\x02pro");
    assert_eq!(read(&both).unwrap().icc_profile(), Some(b"profile".to_vec()));
}

#[test]
fn the_color_model_is_read_as_libjpeg_reads_it() {
    let model = |jpeg: &[u8]| read(jpeg).unwrap().color_model();
    let rgb = fixture("rgb").jpeg;
    assert_eq!(model(rgb), ColorModel::Rgb);
    let adobe = find_marker(rgb, 0xee);
    assert_eq!(model(&with_byte(rgb, 0xee, 15, 1)), ColorModel::YCbCr);
    // Without the Adobe segment the identifiers count, and libjpeg writes R, G and B.
    let nameless = [&rgb[..adobe], &rgb[adobe + 16..]].concat();
    assert_eq!(model(&nameless), ColorModel::Rgb);
    assert_eq!(model(&with_segment(&nameless, 0xe0, b"JFIF\0")), ColorModel::YCbCr);
    assert_eq!(model(&with_byte(fixture("cmyk").jpeg, 0xee, 15, 2)), ColorModel::Ycck);
}

#[test]
fn pixels_are_limited() {
    let jpeg = fixture("baseline").jpeg;
    assert!(read_structure(jpeg, 75 * 59).is_ok());
    let error = read_structure(jpeg, 75 * 59 - 1).unwrap_err();
    assert_eq!(error, Error::TooManyPixels { width: 75, height: 59, max_pixels: 75 * 59 - 1 });
    assert_eq!(error.to_string(), "the JPEG has 75x59 pixels, and at most 4424 are allowed");
}

#[test]
fn rules_that_are_broken_are_named() {
    let jpeg = fixture("baseline").jpeg;
    let frame = find_marker(jpeg, 0xc0);
    let scan = find_marker(jpeg, 0xda);
    let end = &jpeg[jpeg.len() - 2..];
    let too_many_codes = [&[0, 3][..], &[0; 15], &[7; 3]].concat();
    for (damage, bytes) in [
        (Damage::NoFrame, [&jpeg[..frame], end].concat()),
        (Damage::TwoFrames, [&jpeg[..scan], &jpeg[frame..]].concat()),
        (Damage::ScanBeforeFrame, [&jpeg[..frame], &jpeg[scan..]].concat()),
        (Damage::ComponentWithoutScan, [&jpeg[..scan], end].concat()),
        (Damage::SecondStart, [&jpeg[..frame], jpeg].concat()),
        (Damage::StrayRestart, [&jpeg[..frame], &[0xff, 0xd0], &jpeg[frame..]].concat()),
        (Damage::UnknownMarker, [&jpeg[..frame], &[0xff, 0x02], &jpeg[frame..]].concat()),
        (Damage::SegmentLength, [&jpeg[..frame], &[0xff, 0xfe, 0, 1], &jpeg[frame..]].concat()),
        (Damage::SegmentTooShort, with_segment(jpeg, 0xdd, &[1])),
        (Damage::SegmentTooLong, with_segment(jpeg, 0xdd, &[0, 1, 0])),
        (Damage::QuantizationTable, with_segment(jpeg, 0xdb, &[4])),
        (Damage::HuffmanTable, with_segment(jpeg, 0xc4, &[0x20])),
        (Damage::TooManyCodes, with_segment(jpeg, 0xc4, &too_many_codes)),
        (Damage::EmptyPicture, with_byte(&with_byte(jpeg, 0xc0, 5, 0), 0xc0, 6, 0)),
        (Damage::Component, with_byte(jpeg, 0xc0, 11, 0x52)),
        (Damage::DuplicateComponent, with_byte(jpeg, 0xc0, 13, 1)),
        (Damage::UnknownComponent, with_byte(jpeg, 0xda, 5, 99)),
        (Damage::MissingHuffmanTable, with_byte(jpeg, 0xda, 6, 0x20)),
        (Damage::Progression, with_byte(jpeg, 0xda, 11, 1)),
        (Damage::EmptyScan, [&jpeg[..scan + 14], end].concat()),
        (Damage::ScanTooShort, [&jpeg[..scan + 15], end].concat()),
        (Damage::RestartMarkers, with_segment(jpeg, 0xdd, &[0, 1])),
    ] {
        assert_eq!(read(&bytes).unwrap_err(), Error::Damaged(damage));
    }
}

#[test]
fn features_that_are_not_there_are_named() {
    let jpeg = fixture("baseline").jpeg;
    for (feature, bytes) in [
        (Feature::Lossless, with_byte(jpeg, 0xc0, 1, 0xc3)),
        (Feature::Hierarchical, with_byte(jpeg, 0xc0, 1, 0xc5)),
        (Feature::ArithmeticCoding, with_byte(jpeg, 0xc0, 1, 0xc9)),
        (Feature::HeightAfterScan, with_byte(jpeg, 0xc0, 1, 0xdc)),
        (Feature::Extension, with_byte(jpeg, 0xc0, 1, 0xf7)),
        (Feature::SamplePrecision, with_byte(jpeg, 0xc0, 4, 12)),
        (Feature::ComponentCount, with_byte(jpeg, 0xc0, 9, 2)),
        (Feature::SamplingFactors, with_byte(&with_byte(jpeg, 0xc0, 11, 0x31), 0xc0, 14, 0x21)),
    ] {
        assert_eq!(read(&bytes).unwrap_err(), Error::Unsupported(feature));
    }
    let scan = flat_progressive();
    let (at, end) = (find_marker(&scan, 0xda), scan.len() - 2);
    let scans = |count| [&scan[..at], &scan[at..end].repeat(count), &scan[end..]].concat();
    assert_eq!(read(&scans(MAX_SCANS)).unwrap().scan_count(), MAX_SCANS);
    assert_eq!(read(&scans(MAX_SCANS + 1)).unwrap_err(), Error::Unsupported(Feature::ManyScans));
}

#[test]
fn bytes_between_segments_and_behind_the_end_are_ignored() {
    let jpeg = noise(20, 20).encode(|_| {});
    let frame = find_marker(&jpeg, 0xc0);
    for stray in [&b"stray"[..], &[0xff, 0, 7], &[0xff, 0xff]] {
        assert!(read(&[&jpeg[..frame], stray, &jpeg[frame..]].concat()).is_ok());
        assert!(read(&[&jpeg[..], stray].concat()).is_ok());
    }
    assert_eq!(read(b"GIF89a").unwrap_err(), Error::NotJpeg);
    assert_eq!(read(&jpeg[..jpeg.len() - 2]).unwrap_err(), Error::CutShort);
}
