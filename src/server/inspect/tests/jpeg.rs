//! JPEG's rules, each broken once, and what decoders let pass.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;

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
        ("no Huffman table", without(&[0xFF, 0xC4])),
        ("an end within stray bytes", [&jpeg[..frame_at], &[7, 0xFF, 0, 0xFF, 0xD9][..]].concat()),
        ("a scan of an unknown component", replace(&jpeg, scan, &[&scan[..5], &[99], &scan[6..]].concat())),
        (
            "a scan of one component of three",
            replace(&jpeg, scan, &[0xFF, 0xDA, 0, 8, 1, scan[5], scan[6], 0, 63, 0]),
        ),
        ("a scan of too many components", replace(&jpeg, scan, &[&scan[..4], &[5], &scan[5..]].concat())),
        ("an end of spectral selection of 64", replace(&jpeg, scan, &[&scan[..12], &[64, 0]].concat())),
        ("a sampling factor of 0", replace(&jpeg, frame, &[&frame[..11], &[0x10], &frame[12..]].concat())),
        (
            "two components of a number",
            replace(&jpeg, frame, &[&frame[..13], &[frame[10]], &frame[14..]].concat()),
        ),
        ("a segment length of 1", replace(&jpeg, frame, &[&[0xFF, 0xFE, 0, 1], frame].concat())),
        ("a long restart interval", replace(&jpeg, frame, &[&[0xFF, 0xDD, 0, 5, 0, 1, 0], frame].concat())),
        (
            "an empty Huffman table",
            replace(&jpeg, frame, &[&[0xFF, 0xC4, 0, 19, 0][..], &[0; 16], frame].concat()),
        ),
        (
            "a quantization table of zeros",
            replace(&jpeg, frame, &[&[0xFF, 0xDB, 0, 67, 0][..], &[0; 64], frame].concat()),
        ),
        ("a component twice", replace(&jpeg, scan, &[&scan[..7], &[scan[5]], &scan[8..]].concat())),
        (
            "components out of order",
            replace(&jpeg, scan, &[&scan[..5], &scan[7..9], &scan[5..7], &scan[9..]].concat()),
        ),
        ("part of a spectrum", replace(&jpeg, scan, &[&scan[..12], &[5, 0]].concat())),
        ("an approximation", replace(&jpeg, scan, &[&scan[..13], &[1]].concat())),
        ("a third Huffman table", {
            let third = replace(&jpeg, scan, &[&scan[..6], &[0x20], &scan[7..]].concat());
            replace(&third, frame, &[&[0xFF, 0xC4, 0, 20, 2, 1], &[0; 16][..], frame].concat())
        }),
        (
            "over ten blocks a unit",
            replace(
                &jpeg,
                frame,
                &[&frame[..11], &[0x42], &frame[12..14], &[0x21], &frame[15..17], &[0x11], &frame[18..]]
                    .concat(),
            ),
        ),
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
    assert!(memchr::memmem::find(&jpeg, b"AVI1").is_none());
    let mut motion = vec![0xFF, 0xD8, 0xFF, 0xE0, 0, 8];
    motion.extend_from_slice(b"AVI1\0\0");
    let mut rest = &jpeg[2..];
    while rest[1] != 0xDA {
        let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([rest[2], rest[3]])));
        if segment[1] != 0xC4 {
            motion.extend_from_slice(segment);
        }
        rest = after;
    }
    motion.extend_from_slice(rest);
    assert!(inspect(&motion, MAX_PIXELS).is_ok());
    assert!(decode(&motion, Format::Jpeg).is_some());
}

#[test]
fn a_jpeg_thumbnail_in_exif_does_not_end_the_picture() {
    let jpeg = jpeg(ColorType::Rgb, |encoder| {
        encoder.add_app_segment(1, [&b"Exif\0\0"[..], &baseline_jpeg()].concat()).unwrap();
    });
    assert!(inspect(&jpeg, MAX_PIXELS).is_ok());
    assert_eq!(error_of(&jpeg[..jpeg.len() - 2]), InspectError::CutShort(Format::Jpeg));
}

/// What inspecting and decoding both say to a change of the baseline JPEG.
fn assert_refused_like_the_decoder(what: &str, bytes: &[u8]) {
    assert!(inspect(bytes, MAX_PIXELS).is_err(), "{what} was taken");
    assert!(decode(bytes, Format::Jpeg).is_none(), "{what} can be decoded");
}
