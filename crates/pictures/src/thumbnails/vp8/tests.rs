//! Frames with every kind of header, decoded to what libwebp decodes; mutated ones; ones that are cut short.
//!
//! The fixtures are pieces of photographs of some free desktop backgrounds, each made by libwebp 1.2.4 with settings that
//! its name hints at: the filter's type, strength and sharpness, one to four segments, one to eight partitions, qualities of
//! 0 to 96. Their checksums are the CRC-32 of `dwebp -yuv` and of `dwebp -nofilter -yuv`, the three planes one after another.

use super::{Frame, LoopFilter, decode, dimensions};

/// A fixture's name, its bytes, its size, and the checksums with the loop filter and without it.
struct Fixture {
    webp: &'static [u8],
    size: (u32, u32),
    filtered: u32,
    unfiltered: u32,
}

macro_rules! fixture {
    ($name:literal, $size:expr, $filtered:literal, $unfiltered:literal) => {
        Fixture {
            webp: include_bytes!(concat!("fixtures/", $name, ".webp")),
            size: $size,
            filtered: $filtered,
            unfiltered: $unfiltered,
        }
    };
}

const FIXTURES: [Fixture; 9] = [
    fixture!("one_pixel", (1, 1), 0xebeba16f, 0xebeba16f),
    fixture!("normal_filter", (70, 53), 0xe6a63b17, 0xac8d907b),
    fixture!("simple_filter", (50, 66), 0x615f98af, 0x3633ab2a),
    fixture!("segments", (65, 47), 0x46f29637, 0xe24fc0d4),
    fixture!("partitions", (40, 150), 0xa2febdf7, 0x77fd4f35),
    fixture!("two_partitions_sharp", (48, 64), 0x2b0316e1, 0x2b0316e1),
    fixture!("wide", (260, 9), 0xf7345b83, 0x412d5635),
    fixture!("coarse", (80, 64), 0x0c0dd546, 0xd9571a15),
    fixture!("unfiltered", (33, 31), 0x39688a2a, 0x39688a2a),
];

impl Fixture {
    /// The content of the file's only chunk.
    fn vp8(&self) -> Vec<u8> {
        let length = u32::from_le_bytes(*self.webp[16..].first_chunk().unwrap()) as usize;
        self.webp[20..20 + length].to_vec()
    }
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
    for (i, fixture) in FIXTURES.iter().enumerate() {
        let (width, height) = fixture.size;
        assert_eq!(dimensions(&fixture.vp8()).unwrap(), fixture.size, "fixture {i}");
        for (filter, expected) in
            [(LoopFilter::Full, fixture.filtered), (LoopFilter::Skip, fixture.unfiltered)]
        {
            let frame = decode(&fixture.vp8(), filter).unwrap();
            let sizes = [&frame.y, &frame.u, &frame.v].map(|plane| (plane.width, plane.height));
            let chroma = (width.div_ceil(2), height.div_ceil(2));
            assert_eq!(sizes, [fixture.size, chroma, chroma], "fixture {i}");
            assert_eq!(checksum(&frame), expected, "fixture {i}, {filter:?}");
        }
    }
}

/// A coded picture ends with a few bits that no decoder looks at, so the last bytes may be missing unnoticed.
#[test]
fn truncated_frames_are_refused() {
    const UNREAD_BYTES: usize = 2;
    for (i, fixture) in FIXTURES.iter().enumerate() {
        let vp8 = fixture.vp8();
        for length in 0..vp8.len() - UNREAD_BYTES {
            let error = decode(&vp8[..length], LoopFilter::Skip).err();
            assert!(error.is_some_and(|e| e.to_string().contains("ends")), "fixture {i}, {length} bytes");
        }
    }
}

#[test]
fn what_is_not_a_shown_key_frame_is_refused() {
    let vp8 = FIXTURES[1].vp8();
    let with = |at: usize, byte: u8| {
        let mut vp8 = vp8.clone();
        vp8[at] = byte;
        decode(&vp8, LoopFilter::Full).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(with(0, vp8[0] | 1).contains("frame of its own"), "an inter frame");
    assert!(with(0, vp8[0] | 8).contains("frame of its own"), "a version of the future");
    assert!(with(0, vp8[0] & !16).contains("frame of its own"), "hidden");
    assert!(with(3, 0).contains("start code"));
    assert!(with(6, 0).contains("no pixels"));
    assert!(with(2, 0xff).contains("first partition"), "a first partition longer than the file");
}

/// The bits above each side ask for enlargement, and change nothing.
#[test]
fn scaling_bits_are_ignored() {
    let mut vp8 = FIXTURES[1].vp8();
    vp8[7] |= 0xc0;
    vp8[9] |= 0x40;
    let frame = decode(&vp8, LoopFilter::Full).unwrap();
    assert_eq!(checksum(&frame), FIXTURES[1].filtered);
}

#[test]
fn mutated_frames_do_not_panic() {
    const MAX_PIXELS: u64 = 20_000;
    let seeds: Vec<_> = FIXTURES.iter().map(Fixture::vp8).collect();
    samples::mutate::run("a VP8 frame", &seeds, |vp8| {
        let Ok((width, height)) = dimensions(vp8) else {
            assert!(decode(vp8, LoopFilter::Full).is_err());
            return;
        };
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return;
        }
        let (full, skip) = (decode(vp8, LoopFilter::Full), decode(vp8, LoopFilter::Skip));
        let error = |frame: &Result<Frame, _>| {
            frame.as_ref().err().map(|error: &crate::Undecodable| error.to_string())
        };
        assert_eq!(error(&full), error(&skip));
        if let (Ok(full), Ok(skip)) = (full, skip) {
            assert_eq!(full.y.samples.len() as u64, u64::from(width) * u64::from(height));
            assert_eq!(full.u.samples.len(), skip.v.samples.len());
        }
    });
}
