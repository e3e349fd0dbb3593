//! JPEG's rules, each broken once, and what decoders let pass.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;
use scaled_jpeg::MAX_SCANS;

pub(super) fn with_frame_marker(marker: u8) -> Vec<u8> {
    replace(&baseline_jpeg(), &[0xFF, 0xC0, 0, 17], &[0xFF, marker, 0, 17])
}

#[test]
fn jpeg_processes_that_the_worker_cannot_decode_are_refused() {
    assert!(inspect(&with_frame_marker(0xC1), MAX_PIXELS).is_ok());
    for marker in [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF, 0xDC, 0xDE, 0xDF, 0xF7] {
        assert!(matches!(error_of(&with_frame_marker(marker)), InspectError::Unsupported(..)), "{marker:x}");
    }
    for marker in [0x00, 0x01, 0x02, 0xBF, 0xC8, 0xD0, 0xD8] {
        assert!(!matches!(error_of(&with_frame_marker(marker)), InspectError::CutShort(_)), "{marker:x}");
    }
    let jpeg = baseline_jpeg();
    let frame = [0xFF, 0xC0, 0, 17, 8, 0, 3, 0, 5, 3];
    let twelve_bits = [0xFF, 0xC1, 0, 17, 12, 0, 3, 0, 5, 3];
    assert!(matches!(error_of(&replace(&jpeg, &frame, &twelve_bits)), InspectError::Unsupported(..)));
    let two_components = [0xFF, 0xC0, 0, 17, 8, 0, 3, 0, 5, 2];
    assert!(matches!(error_of(&replace(&jpeg, &frame, &two_components)), InspectError::Unsupported(..)));
}

#[test]
fn broken_jpegs_are_refused() {
    let jpeg = baseline_jpeg();
    let frame_at = memchr::memmem::find(&jpeg, &[0xFF, 0xC0]).unwrap();
    let scan_at = memchr::memmem::find(&jpeg, &[0xFF, 0xDA]).unwrap();
    let (frame, scan) = (&jpeg[frame_at..frame_at + 19], &jpeg[scan_at..scan_at + 14]);
    let without = |marker: &[u8]| {
        let at = memchr::memmem::find(&jpeg, marker).unwrap();
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        [&jpeg[..at], &jpeg[at + 2 + length..]].concat()
    };
    let broken = [
        ("no frame header", [&jpeg[..2], &[0xFF, 0xD9]].concat()),
        ("no scan", [&jpeg[..scan_at], &[0xFF, 0xD9]].concat()),
        ("a scan without data", [&jpeg[..scan_at + 14], &[0xFF, 0xD9]].concat()),
        ("two frame headers", replace(&jpeg, frame, &[frame, frame].concat())),
        ("a scan before the frame header", [&jpeg[..frame_at], scan, &[1], &jpeg[frame_at..]].concat()),
        ("no quantization table", without(&[0xFF, 0xDB])),
        ("an end within stray bytes", [&jpeg[..frame_at], &[7, 0xFF, 0, 0xFF, 0xD9][..]].concat()),
        ("a scan of an unknown component", replace(&jpeg, scan, &[&scan[..5], &[99], &scan[6..]].concat())),
        (
            "a scan of one component of three",
            replace(&jpeg, scan, &[0xFF, 0xDA, 0, 8, 1, scan[5], scan[6], 0, 63, 0]),
        ),
        ("a scan of too many components", replace(&jpeg, scan, &[&scan[..4], &[5], &scan[5..]].concat())),
        ("a sampling factor of 0", replace(&jpeg, frame, &[&frame[..11], &[0x10], &frame[12..]].concat())),
        (
            "two components of a number",
            replace(&jpeg, frame, &[&frame[..13], &[frame[10]], &frame[14..]].concat()),
        ),
        ("a segment length of 1", replace(&jpeg, frame, &[&[0xFF, 0xFE, 0, 1], frame].concat())),
        ("a long restart interval", replace(&jpeg, frame, &[&[0xFF, 0xDD, 0, 5, 0, 1, 0], frame].concat())),
        ("a crowded Huffman table", replace(&jpeg, frame, &[&crowded_huffman_table(), frame].concat())),
        ("a quantization table 4", replace(&jpeg, frame, &[&[0xFF, 0xDB, 0, 3, 4], frame].concat())),
    ];
    for (what, bytes) in broken {
        assert!(is_damaged(&bytes), "{what}: {}", error_of(&bytes));
    }
}

/// A DHT segment with three codes of one bit.
fn crowded_huffman_table() -> Vec<u8> {
    let mut segment = vec![0xFF, 0xC4, 0, 22, 0, 3];
    segment.extend_from_slice(&[0; 18]);
    segment
}

#[test]
fn jpeg_oddities_that_decoders_take_are_taken() {
    let jpeg = baseline_jpeg();
    let fill_bytes = replace(&jpeg, &[0xFF, 0xC0, 0, 17], &[0xFF, 0xFF, 0xFF, 0xC0, 0, 17]);
    assert!(inspect(&fill_bytes, MAX_PIXELS).is_ok());
    let [before_end, end] = [&jpeg[..jpeg.len() - 2], &jpeg[jpeg.len() - 2..]];
    for tail in [&[0xFF, 0x00][..], &[0xFF, 0xFF], &[0xFF, 0xD3], b"padding"] {
        assert!(inspect(&[before_end, tail, end].concat(), MAX_PIXELS).is_ok(), "{tail:x?}");
    }
}

/// The encoder writes the standard's.
#[test]
fn huffman_tables_may_be_left_out() {
    let jpeg = baseline_jpeg();
    let (mut motion, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != 0xDA {
        let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != 0xC4 {
            motion.extend_from_slice(segment);
        }
        rest = after;
    }
    assert!(motion.len() + 400 < jpeg.len() - rest.len());
    motion.extend_from_slice(rest);
    assert!(inspect(&motion, MAX_PIXELS).is_ok());
    assert_eq!(decode(&motion), decode(&jpeg));
    assert!(decode(&jpeg).is_some());
}

#[test]
fn a_jpeg_thumbnail_in_exif_does_not_end_the_picture() {
    let jpeg = jpeg(ColorType::Rgb, |encoder| {
        encoder.add_app_segment(1, [&b"Exif\0\0"[..], &baseline_jpeg()].concat()).unwrap();
    });
    assert!(inspect(&jpeg, MAX_PIXELS).is_ok());
    assert_eq!(error_of(&jpeg[..jpeg.len() - 2]), InspectError::CutShort(Format::Jpeg));
}

/// A JPEG of one grey, in the fewest bits: each block is a code of one bit for "no difference" and, unless it is
/// progressive, one for "no AC coefficients". A component is given by its sampling factors; each scan names some
/// components and has so many zero bytes of data.
fn flattest(frame: u8, (width, height): (u16, u16), sampling: &[u8], scans: &[(&[u8], usize)]) -> Vec<u8> {
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0];
    jpeg.extend([1; 64]);
    jpeg.extend([0xFF, frame, 0, 8 + 3 * sampling.len() as u8, 8]);
    jpeg.extend([height.to_be_bytes(), width.to_be_bytes()].concat());
    jpeg.push(sampling.len() as u8);
    jpeg.extend((1..).zip(sampling).flat_map(|(id, factors)| [id, *factors, 0]));
    for class in [0x00, 0x10] {
        jpeg.extend([0xFF, 0xC4, 0, 20, class, 1]);
        jpeg.extend([0; 16]);
    }
    for (components, bytes) in scans {
        jpeg.extend([0xFF, 0xDA, 0, 6 + 2 * components.len() as u8, components.len() as u8]);
        jpeg.extend(components.iter().flat_map(|id| [*id, 0]));
        jpeg.extend([0, if frame == 0xC2 { 0 } else { 63 }, 0]);
        jpeg.extend(vec![0; *bytes]);
    }
    jpeg.extend([0xFF, 0xD9]);
    jpeg
}

#[test]
fn a_scan_holds_at_least_a_bit_a_code() {
    type Case<'a> = (u8, (u16, u16), &'a [u8], &'a [(&'a [u8], usize)]);
    let cases: [Case; 9] = [
        (0xC0, (64, 64), &[0x11], &[(&[1], 16)]),
        (0xC1, (64, 64), &[0x11, 0x11, 0x11], &[(&[1, 2, 3], 48)]),
        (0xC0, (64, 64), &[0x22, 0x11, 0x11], &[(&[1, 2, 3], 24)]),
        (0xC0, (17, 9), &[0x22, 0x11, 0x11], &[(&[1, 2, 3], 3)]),
        (0xC0, (17, 9), &[0x22], &[(&[1], 2)]),
        (0xC0, (33, 33), &[0x22, 0x11, 0x11], &[(&[1], 7), (&[2], 3), (&[3], 3)]),
        (0xC0, (33, 33), &[0x22, 0x11, 0x11], &[(&[1], 7), (&[2, 3], 5)]),
        (0xC2, (64, 64), &[0x11], &[(&[1], 8)]),
        (0xC2, (64, 64), &[0x22, 0x11, 0x11], &[(&[1, 2, 3], 12)]),
    ];
    for (frame, size, sampling, scans) in cases {
        let whole = flattest(frame, size, sampling, scans);
        let inspected = inspect(&whole, MAX_PIXELS);
        assert!(inspected.is_ok(), "{size:?} {sampling:x?} {scans:?}: {inspected:?}");
        assert!(decode(&whole).is_some(), "{size:?} {sampling:x?}");
        for short in 0..scans.len() {
            let mut scans = scans.to_vec();
            scans[short].1 -= 1;
            assert!(is_damaged(&flattest(frame, size, sampling, &scans)), "{size:?} {scans:?}");
        }
    }
    let bomb = flattest(0xC0, (6000, 6000), &[0x11], &[(&[1], 500)]);
    assert!(error_of(&bomb).to_string().contains("too few data for the picture's size"));
}

#[test]
fn flat_pictures_are_long_enough() {
    let configurations: [fn(&mut Encoder<&mut Vec<u8>>); 5] = [
        |_| {},
        |encoder| encoder.set_optimized_huffman_tables(true),
        |encoder| encoder.set_progressive(true),
        |encoder| encoder.set_sampling_factor(SamplingFactor::F_2_2),
        |encoder| {
            encoder.set_optimized_huffman_tables(true);
            encoder.set_restart_interval(3);
        },
    ];
    for (width, height) in [(1, 1), (8, 8), (9, 17), (640, 480), (1, 1000), (2000, 3)] {
        for configure in configurations {
            for color in [ColorType::Luma, ColorType::Rgb, ColorType::Cmyk] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, 20);
                configure(&mut encoder);
                let samples = vec![0; usize::from(width) * usize::from(height) * 4];
                encoder.encode(&samples, width, height, color).unwrap();
                let inspected = inspect(&bytes, MAX_PIXELS);
                assert!(inspected.is_ok(), "{width}x{height} {color:?}: {inspected:?}");
            }
        }
    }
}

#[test]
fn a_jpeg_cut_between_restart_markers_and_closed_is_refused() {
    let picture: Vec<u8> = (0..64 * 64 * 3_u32).map(|n| (n * n / 7) as u8).collect();
    let mut whole = Vec::new();
    let mut encoder = Encoder::new(&mut whole, 90);
    encoder.set_restart_interval(2);
    encoder.encode(&picture, 64, 64, ColorType::Rgb).unwrap();
    assert!(inspect(&whole, MAX_PIXELS).is_ok());
    let restarts: Vec<usize> = whole
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] == 0xFF && pair[1] & 0xF8 == 0xD0)
        .map(|(at, _)| at)
        .collect();
    assert!(restarts.len() > 9);
    for &at in &restarts {
        assert_refused_like_the_decoder("a cut", &[&whole[..at], &[0xFF, 0xD9]].concat());
    }
    let mut swapped = whole.clone();
    (swapped[restarts[1] + 1], swapped[restarts[2] + 1]) = (0xD2, 0xD1);
    assert_refused_like_the_decoder("restart markers out of order", &swapped);
    let superfluous =
        [&whole[..whole.len() - 2], &[0xFF, 0xD0 + restarts.len() as u8 % 8, 0xFF, 0xD9]].concat();
    assert!(inspect(&superfluous, MAX_PIXELS).is_ok() && decode(&superfluous).is_some());
}

#[test]
fn what_the_decoder_never_takes_is_refused_and_what_it_takes_is_not() {
    let jpeg = baseline_jpeg();
    let frame = &jpeg[memchr::memmem::find(&jpeg, &[0xFF, 0xC0]).unwrap()..][..19];
    let scan = &jpeg[memchr::memmem::find(&jpeg, &[0xFF, 0xDA]).unwrap()..][..14];
    let scanned = |at: usize, byte: u8| {
        let mut scanned = scan.to_vec();
        scanned[at] = byte;
        replace(&jpeg, scan, &scanned)
    };
    let before_frame = |segment: &[u8]| replace(&jpeg, frame, &[segment, frame].concat());
    let dc_bits = |bits| before_frame(&[&[0xFF, 0xC4, 0, 20, 0x00, 0, 1][..], &[0; 14], &[bits]].concat());
    let progressive = flattest(0xC2, (8, 8), &[0x11], &[(&[1], 1)]);
    let approximated =
        |bits| replace(&progressive, &[0xDA, 0, 8, 1, 1, 0, 0, 0, 0], &[0xDA, 0, 8, 1, 1, 0, 0, 0, bits]);
    for (what, bytes) in [
        ("a Huffman table for DC that is not there", scanned(6, 0x20)),
        ("a Huffman table for AC that is not there", scanned(6, 0x03)),
        ("a component twice", scanned(7, scan[5])),
        ("a spectrum from 1", scanned(11, 1)),
        ("a refinement", scanned(13, 0x10)),
        ("a difference of 16 bits", dc_bits(16)),
        ("a progressive approximation by 14 bits", approximated(14)),
    ] {
        assert_refused_like_the_decoder(what, &bytes);
    }
    let turned = [&scan[..5], &scan[7..9], &scan[5..7], &scan[9..]].concat();
    for (what, bytes) in [
        ("an unknown transform", before_frame(b"\xFF\xEE\0\x0EAdobe\0\0\0\0\0\0\x03")),
        ("a spectrum to 0, as some encoders write it", scanned(12, 0)),
        ("a spectrum to 64", scanned(12, 64)),
        ("an approximation", scanned(13, 1)),
        ("a difference of 15 bits", dc_bits(15)),
        ("a progressive approximation by 13 bits", approximated(13)),
        ("steps of zero", before_frame(&[&[0xFF, 0xDB, 0, 67, 0][..], &[0; 64]].concat())),
        ("an empty Huffman table", before_frame(&[&[0xFF, 0xC4, 0, 19, 0x13][..], &[0; 16]].concat())),
        ("components in another order", replace(&jpeg, scan, &turned)),
        ("Huffman tables 2 and 3", with_the_last_huffman_tables(&jpeg)),
    ] {
        assert!(inspect(&bytes, MAX_PIXELS).is_ok(), "{what}: {}", error_of(&bytes));
        assert!(decode(&bytes).is_some(), "{what} cannot be decoded");
    }
}

#[test]
fn sampling_that_no_browser_shows_is_refused() {
    let jpeg = baseline_jpeg();
    let frame = &jpeg[memchr::memmem::find(&jpeg, &[0xFF, 0xC0]).unwrap()..][..19];
    let sampled = |factors: [u8; 3]| {
        let mut sampled = frame.to_vec();
        (sampled[11], sampled[14], sampled[17]) = factors.into();
        replace(&jpeg, frame, &sampled)
    };
    for (what, bytes) in [
        ("a sampling of two to three", sampled([0x31, 0x21, 0x11])),
        ("a sampling of three to four", sampled([0x14, 0x13, 0x11])),
        ("over ten blocks a unit", sampled([0x42, 0x21, 0x11])),
    ] {
        assert!(inspect(&bytes, MAX_PIXELS).is_err(), "{what} was taken");
    }
}

/// Tables 0 and 1 of both classes become 3 and 2.
fn with_the_last_huffman_tables(jpeg: &[u8]) -> Vec<u8> {
    let mut jpeg = jpeg.to_vec();
    let mut at = 2;
    while jpeg[at + 1] != 0xDA {
        if jpeg[at + 1] == 0xC4 {
            jpeg[at + 4] ^= 3;
        }
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    (0..3).for_each(|component| jpeg[at + 6 + 2 * component] ^= 0x33);
    jpeg
}

fn assert_refused_like_the_decoder(what: &str, bytes: &[u8]) {
    assert!(inspect(bytes, MAX_PIXELS).is_err(), "{what} was taken");
    assert!(decode(bytes).is_none(), "{what} can be decoded");
}

#[test]
fn scans_are_counted() {
    let scans = |count| flattest(0xC2, (8, 8), &[0x11], &vec![(&[1][..], 1); count]);
    assert!(inspect(&scans(MAX_SCANS), MAX_PIXELS).is_ok());
    assert!(error_of(&scans(MAX_SCANS + 1)).to_string().contains("over 100 scans"));
    assert!(decode(&scans(MAX_SCANS + 1)).is_none());
}

#[test]
fn stray_bytes_between_segments_are_passed_over() {
    let jpeg = baseline_jpeg();
    for marker in [[0xFF, 0xDB], [0xFF, 0xC0], [0xFF, 0xC4], [0xFF, 0xDA]] {
        let at = memchr::memmem::find(&jpeg, &marker).unwrap();
        for stray in [&[7][..], b"a camera's", &[0], &[0xFF, 0, 7], &[1, 0xFF]] {
            let bytes = [&jpeg[..at], stray, &jpeg[at..]].concat();
            assert!(inspect(&bytes, MAX_PIXELS).is_ok(), "{stray:x?} before {marker:x?}");
            assert!(decode(&bytes).is_some(), "{stray:x?} before {marker:x?}");
        }
    }
}
