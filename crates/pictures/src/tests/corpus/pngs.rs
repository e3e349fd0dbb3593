//! PNGs: every colour type at every depth, plain and interlaced, written here bit by bit.

use super::super::pictures::{Chunks, exif, iccp, iccp_of_zeros, png, png_chunk, png_insert, png_of, zlib};
use super::*;

/// Bytes at the end that are the chunk IEND.
const END_BYTES: usize = 12;

/// PNG's colour types.
const GREY: u8 = 0;
const RGB: u8 = 2;
const PALETTE: u8 = 3;
const GREY_ALPHA: u8 = 4;
const RGBA: u8 = 6;

/// How opaque each tile is where there is transparency: what is hidden is of a colour that would be seen if it bled.
const ALPHAS: [u8; 16] = [255, 255, 255, 255, 0, 255, 255, 255, 128, 128, 128, 128, 255, 255, 64, 255];

/// Adam7: the first column and row of each pass, and the steps from one to the next.
const PASSES: [[u32; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

pub(super) fn pictures() -> Vec<Picture> {
    let kinds = [
        oriented(),
        of_every_kind(),
        keyed(),
        animated(),
        with_profiles(),
        odd_structures(),
        of_unusual_sizes(),
    ];
    kinds.into_iter().flatten().collect()
}

fn oriented() -> Vec<Picture> {
    let upright = scene(USUAL);
    let turned = |orientation| {
        let file = png_insert(&png(stored(&upright, orientation)), b"eXIf", &exif(orientation));
        shows(format!("PNG, orientation {orientation}"), file, USUAL, TILES, EXACT)
    };
    (1..=8).map(turned).collect()
}

pub(super) fn transparent() -> Tiles {
    let mut tiles = TILES;
    for (tile, alpha) in tiles.iter_mut().zip(ALPHAS) {
        tile.0[3] = alpha;
    }
    tiles
}

fn of_every_kind() -> Vec<Picture> {
    let kinds = [
        (GREY, [1, 2, 4, 8, 16].as_slice()),
        (RGB, &[8, 16]),
        (PALETTE, &[1, 2, 4, 8]),
        (GREY_ALPHA, &[8, 16]),
    ];
    let kinds = kinds.into_iter().chain([(RGBA, [8, 16].as_slice())]);
    let kinds = kinds.flat_map(|(colour, depths)| depths.iter().map(move |&depth| (colour, depth)));
    let pictures = kinds.flat_map(|(colour, depth)| {
        let (samples, tiles) = samples(colour, depth);
        let palette: Vec<u8> = TILES.iter().flat_map(|tile| [tile.0[0], tile.0[1], tile.0[2]]).collect();
        let chunks: Chunks =
            if colour == PALETTE { &[(b"PLTE", &palette[..3 * tiles_in(depth)])] } else { &[] };
        [("", 0), (", interlaced", 1)].map(|(interlaced, interlace)| {
            let rows = rows(USUAL, &samples, depth, interlace == 1);
            let name = format!("PNG, colour type {colour}, depth {depth}{interlaced}");
            shows(name, png_of(USUAL, [depth, colour, interlace], chunks, &rows), USUAL, tiles, EXACT)
        })
    });
    pictures.collect()
}

fn tiles_in(depth: u8) -> usize {
    16.min(1 << depth)
}

/// The samples of each tile, and how it then looks.
fn samples(colour: u8, depth: u8) -> ([Vec<u16>; 16], Tiles) {
    let most = ((1_u32 << depth) - 1) as f64;
    let stored = |sample: u8| (f64::from(sample) / 255.0 * most).round() as u16;
    let seen = |sample: u8| (f64::from(stored(sample)) / most * 255.0).round() as u8;
    let tiles = transparent();
    let has_alpha = matches!(colour, GREY_ALPHA | RGBA);
    let of_tile = |i: usize| -> (Vec<u16>, Rgba<u8>) {
        let Rgba([red, green, blue, alpha]) = tiles[i];
        let channels = match colour {
            PALETTE => {
                let index = i % tiles_in(depth);
                return (vec![index as u16], TILES[index]);
            }
            GREY | GREY_ALPHA => grey([red, green, blue]),
            _ => [red, green, blue],
        };
        let kept = if matches!(colour, GREY | GREY_ALPHA) { 1 } else { 3 };
        let mut samples: Vec<u16> = channels[..kept].iter().map(|&sample| stored(sample)).collect();
        if has_alpha {
            samples.push(stored(alpha));
        }
        let [red, green, blue] = channels.map(seen);
        (samples, Rgba([red, green, blue, if has_alpha { alpha } else { 255 }]))
    };
    (std::array::from_fn(|i| of_tile(i).0), std::array::from_fn(|i| of_tile(i).1))
}

/// The rows as they are compressed, each behind the byte of a filter that does nothing.
fn rows(dimensions: (u32, u32), samples: &[Vec<u16>; 16], depth: u8, interlaced: bool) -> Vec<u8> {
    let passes: &[[u32; 4]] = if interlaced { &PASSES } else { &[[0, 0, 1, 1]] };
    let mut rows = Vec::new();
    for &[left, top, right, down] in passes {
        if left >= dimensions.0 {
            continue;
        }
        for y in (top..dimensions.1).step_by(down as usize) {
            rows.push(0);
            let (mut bits, mut filled) = (0_u32, 0);
            for x in (left..dimensions.0).step_by(right as usize) {
                for &sample in &samples[tile_at((x, y), dimensions)] {
                    bits = bits << depth | u32::from(sample);
                    filled += depth;
                    while filled >= 8 {
                        filled -= 8;
                        rows.push((bits >> filled) as u8);
                    }
                }
            }
            if filled > 0 {
                rows.push((bits << (8 - filled)) as u8);
            }
        }
    }
    rows
}

/// Transparency without a channel for it.
fn keyed() -> Vec<Picture> {
    let hides = |tile: usize| {
        let mut tiles = TILES;
        tiles[tile].0[3] = 0;
        tiles
    };
    let of = |colour: u8, chunks: Chunks| {
        png_of(USUAL, [8, colour, 0], chunks, &rows(USUAL, &samples(colour, 8).0, 8, false))
    };
    let palette: Vec<u8> = TILES.iter().flat_map(|tile| [tile.0[0], tile.0[1], tile.0[2]]).collect();
    let grey_of_5 = grey([TILES[5].0[0], TILES[5].0[1], TILES[5].0[2]])[0];
    let mut grey_tiles = map(TILES, grey);
    grey_tiles[5].0[3] = 0;
    vec![
        shows(
            "PNG, palette with transparency",
            of(PALETTE, &[(b"PLTE", &palette), (b"tRNS", &ALPHAS)]),
            USUAL,
            transparent(),
            EXACT,
        ),
        shows(
            "PNG, palette, the first entry transparent",
            of(PALETTE, &[(b"PLTE", &palette), (b"tRNS", &[0])]),
            USUAL,
            hides(0),
            EXACT,
        ),
        shows(
            "PNG, grey, one transparent",
            of(GREY, &[(b"tRNS", &[0, grey_of_5])]),
            USUAL,
            grey_tiles,
            EXACT,
        ),
        shows(
            "PNG, RGB, one transparent",
            of(RGB, &[(b"tRNS", &[0, 220, 0, 200, 0, 40])]),
            USUAL,
            hides(4),
            EXACT,
        ),
    ]
}

/// The second frame is black.
fn animated() -> Vec<Picture> {
    let plain = png(scene(USUAL));
    let control = |sequence: u32| {
        let mut control = [sequence, USUAL.0, USUAL.1, 0, 0].map(u32::to_be_bytes).concat();
        control.extend([0, 1, 0, 10, 0, 0]);
        control
    };
    let black = vec![0; (1 + 3 * USUAL.0 as usize) * USUAL.1 as usize];
    let with_second = |png: &[u8], sequence: u32| {
        let (before, end) = png.split_at(png.len() - END_BYTES);
        let mut file = before.to_vec();
        png_chunk(&mut file, b"fcTL", &control(sequence));
        png_chunk(&mut file, b"fdAT", &[&(sequence + 1).to_be_bytes()[..], &zlib(&black)].concat());
        [&file, end].concat()
    };
    let count = |frames: u32| [frames, 0].map(u32::to_be_bytes).concat();
    let part_of_it = png_insert(&png_insert(&plain, b"fcTL", &control(0)), b"acTL", &count(2));
    let beside_it = png_insert(&plain, b"acTL", &count(1));
    vec![
        shows("APNG, the default image its first frame", with_second(&part_of_it, 1), USUAL, TILES, EXACT),
        shows("APNG, the default image no frame", with_second(&beside_it, 0), USUAL, TILES, EXACT),
    ]
}

fn with_profiles() -> Vec<Picture> {
    let pictures = profiles().into_iter().flat_map(|(name, profile, tiles)| {
        let opaque = png_insert(&png(scene(USUAL)), b"iCCP", &iccp(&profile));
        let rgba = png_insert(&png(scene_of(USUAL, transparent())), b"iCCP", &iccp(&profile));
        let mut transparent = tiles;
        for (tile, alpha) in transparent.iter_mut().zip(ALPHAS) {
            tile.0[3] = alpha;
        }
        [
            shows(format!("PNG in {name}"), opaque, USUAL, tiles, EXACT),
            shows(format!("PNG in {name}, transparent"), rgba, USUAL, transparent, EXACT),
        ]
    });
    let grey = moxcms::ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
    let ignored =
        [("a profile of grey", grey), ("what is no profile", vec![0; 200])].map(|(name, profile)| {
            let file = png_insert(&png(scene(USUAL)), b"iCCP", &iccp(&profile));
            shows(format!("PNG in {name}"), file, USUAL, TILES, EXACT)
        });
    pictures.chain(ignored).collect()
}

fn odd_structures() -> Vec<Picture> {
    let plain = png(scene(USUAL));
    let text_of_zeros = [b"Comment\0\0".as_slice(), &iccp_of_zeros(400 << 20)[11..]].concat();
    let cases = [
        ("zeros behind it", [&plain[..], &[0; 5000]].concat()),
        ("data in chunks of three bytes", in_small_chunks(&plain)),
        ("a chunk that nobody knows", png_insert(&plain, b"abCd", &[9; 70_000])),
        ("a profile of 400 MB of zeros", png_insert(&plain, b"iCCP", &iccp_of_zeros(400 << 20))),
        ("a text of 400 MB of zeros", png_insert(&plain, b"zTXt", &text_of_zeros)),
    ];
    cases.map(|(name, file)| shows(format!("PNG, {name}"), file, USUAL, TILES, EXACT)).into()
}

fn in_small_chunks(png: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    let length = u32::from_be_bytes(*png[at..].first_chunk().unwrap()) as usize;
    let mut file = png[..at].to_vec();
    for part in png[at + 8..at + 8 + length].chunks(3) {
        png_chunk(&mut file, b"IDAT", part);
    }
    [&file, &png[at + 12 + length..]].concat()
}

fn of_unusual_sizes() -> Vec<Picture> {
    let sized = |dimensions: (u32, u32)| {
        let name = format!("PNG of {}x{}", dimensions.0, dimensions.1);
        let opaque = shows(name.clone(), png(scene(dimensions)), dimensions, TILES, EXACT);
        let rgba = png(scene_of(dimensions, transparent()));
        [opaque, shows(name + ", transparent", rgba, dimensions, transparent(), EXACT)]
    };
    UNUSUAL.into_iter().flat_map(sized).collect()
}
