//! Frames with every kind of header, which must decode to libwebp's bytes; and frames that are mutated or cut short.
//!
//! `fixtures/make.py` draws the frames, encodes them with libwebp, and writes `fixtures/frames.txt`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to say so and end")]

use vp8_keyframe::{Error, Frame, FrameHeader, LoopFilter, Options, decode};

/// The payload of a WebP's first chunk begins behind RIFF, a length, WEBP, VP8, a length.
const BEFORE_FRAME: usize = 20;

const SKIP: LoopFilter = LoopFilter::Skip;
const APPLY: LoopFilter = LoopFilter::Apply;

struct Fixture {
    name: &'static str,
    vp8: Vec<u8>,
    width: u32,
    height: u32,
    partitions: usize,
    /// CRC-32 of libwebp's planes, with the loop filter and without.
    filtered: u32,
    unfiltered: u32,
}

fn fixtures() -> Vec<Fixture> {
    include_str!("fixtures/frames.txt").lines().map(fixture).collect()
}

fn fixture(line: &'static str) -> Fixture {
    let [name, width, height, partitions, filtered, unfiltered] =
        line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let file = format!("{}/tests/fixtures/{name}.webp", env!("CARGO_MANIFEST_DIR"));
    let webp = std::fs::read(file).unwrap();
    let length = u32::from_le_bytes(*webp[16..].first_chunk().unwrap()) as usize;
    Fixture {
        name,
        vp8: webp[BEFORE_FRAME..BEFORE_FRAME + length].to_vec(),
        width: width.parse().unwrap(),
        height: height.parse().unwrap(),
        partitions: partitions.parse().unwrap(),
        filtered: u32::from_str_radix(filtered, 16).unwrap(),
        unfiltered: u32::from_str_radix(unfiltered, 16).unwrap(),
    }
}

fn normal_filter() -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == "normal_filter").unwrap()
}

fn options(loop_filter: LoopFilter) -> Options {
    Options::default().with_loop_filter(loop_filter)
}

fn checksum(frame: &Frame) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for plane in [&frame.y, &frame.u, &frame.v] {
        crc.update(&plane.samples);
    }
    crc.finalize()
}

#[test]
fn fixtures_decode_to_the_bytes_that_libwebp_gives() {
    for fixture in fixtures() {
        let Fixture { name, width, height, .. } = fixture;
        let header = FrameHeader::parse(&fixture.vp8).unwrap();
        assert_eq!((header.width(), header.height()), (width, height), "{name}");
        assert_eq!(header.partition_count(), fixture.partitions, "{name}");
        for (filter, expected) in [(APPLY, fixture.filtered), (SKIP, fixture.unfiltered)] {
            let frame = header.decode(options(filter)).unwrap();
            let sizes = [&frame.y, &frame.u, &frame.v].map(|plane| (plane.width, plane.height));
            let chroma = (width.div_ceil(2), height.div_ceil(2));
            assert_eq!(sizes, [(width, height), chroma, chroma], "{name}");
            assert_eq!(checksum(&frame), expected, "{name}, {filter:?}");
        }
    }
}

/// libwebp ends a partition with up to 17 zeros that no decoder needs, so the last three bytes may be missing unnoticed.
#[test]
fn truncated_frames_are_refused() {
    const UNREAD_BYTES: usize = 3;
    for Fixture { name, vp8, .. } in fixtures() {
        for length in 0..vp8.len() - UNREAD_BYTES {
            let error = decode(&vp8[..length], options(SKIP)).err();
            let is_cut_short = matches!(
                error,
                Some(
                    Error::TooShort
                        | Error::FirstPartitionCutShort
                        | Error::HeaderCutShort
                        | Error::PartitionsCutShort
                        | Error::MacroblocksCutShort { .. }
                )
            );
            assert!(is_cut_short, "{name}, {length} bytes: {error:?}");
        }
    }
}

#[test]
fn what_is_not_a_shown_key_frame_is_refused() {
    let vp8 = normal_filter().vp8;
    let error_with = |at: usize, byte: u8| {
        let mut vp8 = vp8.clone();
        vp8[at] = byte;
        let error = FrameHeader::parse(&vp8).err();
        assert_eq!(decode(&vp8, Options::default()).err(), error);
        error
    };
    assert_eq!(error_with(0, vp8[0] | 1), Some(Error::NotKeyFrame));
    assert_eq!(error_with(0, vp8[0] | 8), Some(Error::UnknownVersion(4)));
    assert_eq!(error_with(0, vp8[0] & !16), Some(Error::Hidden));
    assert_eq!(error_with(3, 0), Some(Error::NoStartCode));
    assert_eq!(error_with(6, 0), Some(Error::NoPixels));
    assert_eq!(error_with(2, 0xff), Some(Error::FirstPartitionCutShort));
    assert_eq!(error_with(2, vp8[2]), None);
}

/// The header without any data after it, which a server may have read from a file that lies.
#[test]
fn a_header_alone_is_refused_without_a_large_buffer() {
    let vp8 = normal_filter().vp8;
    assert_eq!(FrameHeader::parse(&vp8[..9]).err(), Some(Error::TooShort));
    assert_eq!(FrameHeader::parse(&vp8[..10]).err(), Some(Error::FirstPartitionCutShort));
    let mut no_first_partition = vp8.clone();
    no_first_partition[0] &= 0x1f;
    no_first_partition[1..3].fill(0);
    assert_eq!(FrameHeader::parse(&no_first_partition).err(), Some(Error::HeaderCutShort));
}

/// The bits above each side ask for enlargement. They are reported, and change nothing.
#[test]
fn scaling_bits_do_not_change_the_planes() {
    let Fixture { mut vp8, filtered, .. } = normal_filter();
    vp8[7] |= 0xc0;
    vp8[9] |= 0x40;
    let header = FrameHeader::parse(&vp8).unwrap();
    assert_eq!((header.horizontal_scale(), header.vertical_scale()), (3, 1));
    assert_eq!(checksum(&header.decode(Options::default()).unwrap()), filtered);
}

#[test]
fn memory_is_a_byte_and_a_half_a_pixel_and_little_more() {
    let vp8 = normal_filter().vp8;
    let memory = FrameHeader::parse(&vp8).unwrap().memory();
    let macroblocks = 70_u64.div_ceil(16) * 53_u64.div_ceil(16);
    assert!((macroblocks * 384..macroblocks * 384 + 5_000).contains(&memory), "{memory}");
}

#[test]
fn mutated_frames_do_not_panic() {
    const MAX_PIXELS: u32 = 20_000;
    let seeds: Vec<_> = fixtures().into_iter().map(|fixture| fixture.vp8).collect();
    samples::mutate::run("a VP8 frame", &seeds, |vp8| {
        let header = match FrameHeader::parse(vp8) {
            Ok(header) if header.width() * header.height() <= MAX_PIXELS => header,
            Ok(_) => return,
            Err(error) => {
                assert!(!matches!(error, Error::MacroblocksCutShort { .. }), "{error}");
                return;
            }
        };
        let (full, skip) = (header.decode(options(APPLY)), header.decode(options(SKIP)));
        assert_eq!(full.as_ref().err(), skip.as_ref().err());
        if let (Ok(full), Ok(skip)) = (full, skip) {
            assert_eq!(full.y.samples.len() as u64, u64::from(header.width()) * u64::from(header.height()));
            assert_eq!(full.u.samples.len(), skip.v.samples.len());
        }
    });
}
