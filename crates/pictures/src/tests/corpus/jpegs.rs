//! JPEGs.

use jpeg_encoder::{ColorType, SamplingFactor};

use super::super::pictures::{exif, find_marker, jfif_end, jpeg_of, jpeg_with};
use super::*;

/// The scene by libjpeg-turbo, whose ten progressive scans refine one another, and whose CMYK is inverted as Adobe's is.
const PEERS: [(&str, &[u8]); 4] = [
    ("libjpeg's progressive", include_bytes!("fixtures/progressive.jpg")),
    ("libjpeg's baseline, quality 60", include_bytes!("fixtures/quality_60.jpg")),
    ("libjpeg's restart markers by rows", include_bytes!("fixtures/restart.jpg")),
    ("libjpeg's CMYK", include_bytes!("fixtures/cmyk.jpg")),
];

pub(super) fn pictures() -> Vec<Picture> {
    let kinds = [
        oriented(),
        sampled(),
        of_other_colours(),
        with_profiles(),
        odd_structures(),
        of_unusual_sizes(),
        peers(),
    ];
    kinds.into_iter().flatten().collect()
}

fn oriented() -> Vec<Picture> {
    let upright = scene(USUAL);
    let turned = |orientation| {
        let picture = stored(&upright, orientation);
        let file = jpeg_with(&picture, |encoder| encoder.add_exif_metadata(&exif(orientation)).unwrap());
        shows(format!("JPEG, orientation {orientation}"), file, USUAL, TILES, LOSSY)
    };
    (1..=8).map(turned).collect()
}

fn sampled() -> Vec<Picture> {
    let factors = [
        ("4:4:4", SamplingFactor::R_4_4_4),
        ("4:2:2", SamplingFactor::R_4_2_2),
        ("4:4:0", SamplingFactor::R_4_4_0),
        ("4:2:0", SamplingFactor::R_4_2_0),
        ("4:1:1", SamplingFactor::R_4_1_1),
        ("4:1:0", SamplingFactor::R_4_1_0),
    ];
    let picture = scene((1500, 1300));
    let both = factors.iter().flat_map(|&(name, factor)| [(name, factor, false), (name, factor, true)]);
    let sampled = both.map(|(name, factor, progressive)| {
        let file = jpeg_with(&picture, |encoder| {
            encoder.set_sampling_factor(factor);
            encoder.set_progressive(progressive);
        });
        let name = format!("JPEG {name}{}", if progressive { ", progressive" } else { "" });
        shows(name, file, (1500, 1300), TILES, LOSSY)
    });
    sampled.collect()
}

fn of_other_colours() -> Vec<Picture> {
    let (width, height) = (USUAL.0 as u16, USUAL.1 as u16);
    let picture = scene(USUAL);
    let luma: Vec<u8> = picture.pixels().map(|pixel| grey(pixel.0)[0]).collect();
    // All of the black that can be taken out of the other inks.
    let ink = picture.pixels().flat_map(|pixel| {
        let most = pixel.0.into_iter().max().unwrap_or(0);
        let share =
            |sample: u8| if most == 0 { 0 } else { 255 - (u32::from(sample) * 255 / u32::from(most)) as u8 };
        let [red, green, blue] = pixel.0;
        [share(red), share(green), share(blue), 255 - most]
    });
    let ink: Vec<u8> = ink.collect();
    vec![
        shows("JPEG, grey", jpeg_of(&luma, width, height, ColorType::Luma), USUAL, map(TILES, grey), LOSSY),
        shows("JPEG, CMYK", jpeg_of(&ink, width, height, ColorType::Cmyk), USUAL, TILES, LOSSY),
        shows("JPEG, YCCK", jpeg_of(&ink, width, height, ColorType::CmykAsYcck), USUAL, TILES, LOSSY),
        shows("JPEG, RGB by Adobe's word", rgb(&picture, true), USUAL, TILES, LOSSY),
        shows("JPEG, RGB by its components' names", rgb(&picture, false), USUAL, TILES, LOSSY),
    ]
}

/// Components that are red, green and blue: said by an Adobe segment, or by names that are those letters.
fn rgb(picture: &RgbImage, adobe: bool) -> Vec<u8> {
    let as_is = jpeg_of(picture, picture.width() as u16, picture.height() as u16, ColorType::Ycbcr);
    let segment: &[u8] = if adobe { b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0" } else { b"" };
    let mut file = [&as_is[..2], segment, &as_is[jfif_end(&as_is)..]].concat();
    let (frame, scan) = (find_marker(&file, 0xc0), find_marker(&file, 0xda));
    for (i, name) in (if adobe { [1, 2, 3] } else { *b"RGB" }).into_iter().enumerate() {
        file[frame + 10 + 3 * i] = name;
        file[scan + 5 + 2 * i] = name;
    }
    file
}

fn with_profiles() -> Vec<Picture> {
    let picture = scene(USUAL);
    let with = |profile: &[u8]| jpeg_with(&picture, |encoder| encoder.add_icc_profile(profile).unwrap());
    let converted = profiles().map(|(name, profile, tiles)| {
        shows(format!("JPEG in {name}"), with(&profile), USUAL, tiles, LOSSY + 4)
    });
    let ignored = [
        ("sRGB", moxcms::ColorProfile::new_srgb().encode().unwrap()),
        ("a profile of grey", moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap()),
        ("what is no profile", b"not a profile".to_vec()),
        // More than a segment holds.
        ("a profile in three segments", vec![7; 150_000]),
    ];
    let ignored =
        ignored.map(|(name, profile)| shows(format!("JPEG in {name}"), with(&profile), USUAL, TILES, LOSSY));
    converted.into_iter().chain(ignored).collect()
}

fn odd_structures() -> Vec<Picture> {
    let picture = scene(USUAL);
    let plain = jpeg_with(&picture, |_| {});
    let inserted = |segment: &[u8]| [&plain[..2], segment, &plain[2..]].concat();
    let small = jpeg_with(&scene((16, 16)), |_| {});
    let exif_with_thumbnail = [b"Exif\0\0".as_slice(), &exif(1), &small].concat();
    let segment = |marker: u8, content: &[u8]| {
        [&[0xff, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
    };
    let mut extended = plain.clone();
    let frame = find_marker(&plain, 0xc0);
    extended[frame + 1] = 0xc1;
    let cases = [
        ("restart markers", jpeg_with(&picture, |encoder| encoder.set_restart_interval(7))),
        ("restart markers, progressive", {
            jpeg_with(&picture, |encoder| {
                encoder.set_restart_interval(5);
                encoder.set_progressive(true);
            })
        }),
        ("tables of its own", jpeg_with(&picture, |encoder| encoder.set_optimized_huffman_tables(true))),
        ("the extended process", extended),
        ("steps of 16 bits", with_deep_steps(&plain)),
        ("a comment that holds markers", inserted(&segment(0xfe, b"\xff\xd9\xff\xda\xff\xc0"))),
        ("a thumbnail of its own", inserted(&segment(0xe1, &exif_with_thumbnail))),
        ("fill bytes before a marker", [&plain[..frame], &[0xff; 5], &plain[frame..]].concat()),
        ("another picture behind it", [&plain[..], &small].concat()),
        ("zeros behind it", [&plain[..], &[0; 5000]].concat()),
        ("no JFIF segment", [&plain[..2], &plain[jfif_end(&plain)..]].concat()),
    ];
    cases.map(|(name, file)| shows(format!("JPEG, {name}"), file, USUAL, TILES, LOSSY)).into()
}

/// Each table of steps written again with two bytes a step.
fn with_deep_steps(jpeg: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut rest = jpeg;
    while let Some(at) = rest.windows(2).position(|pair| pair == [0xff, 0xdb]) {
        let (before, table) = rest.split_at(at);
        let length = 2 + usize::from(u16::from_be_bytes([table[2], table[3]]));
        assert_eq!(length, 2 + 2 + 65, "one table a segment");
        file.extend(before);
        file.extend([0xff, 0xdb, 0, 2 + 1 + 128, 0x10 | table[4]]);
        file.extend(table[5..length].iter().flat_map(|step| [0, *step]));
        rest = &table[length..];
    }
    [&file, rest].concat()
}

fn of_unusual_sizes() -> Vec<Picture> {
    let sized = |dimensions: (u32, u32)| {
        let file =
            jpeg_with(&scene(dimensions), |encoder| encoder.set_sampling_factor(SamplingFactor::R_4_4_4));
        shows(format!("JPEG of {}x{}", dimensions.0, dimensions.1), file, dimensions, TILES, LOSSY)
    };
    UNUSUAL.map(sized).into()
}

fn peers() -> Vec<Picture> {
    PEERS.map(|(name, file)| shows(format!("JPEG, {name}"), file.to_vec(), USUAL, TILES, LOSSY)).into()
}
