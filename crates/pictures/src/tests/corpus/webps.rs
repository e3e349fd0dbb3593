//! WebPs. The lossy ones are libwebp's.

use super::super::pictures::{Chunks, exif, webp, webp_extended, webp_frame};
use super::pngs::transparent;
use super::*;

const LOSSY_FILE: &[u8] = include_bytes!("fixtures/lossy.webp");
const LOSSY_ALPHA: &[u8] = include_bytes!("fixtures/lossy_alpha.webp");
const ANIMATED_LOSSY: &[u8] = include_bytes!("fixtures/animated_lossy.webp");
const LOSSLESS: &[u8] = include_bytes!("fixtures/lossless.webp");

/// RIFF, the length, WEBP; then the name and the length of the only chunk.
const BEFORE_CHUNK: usize = 12;
const BEFORE_DATA: usize = 20;

/// Flags of the extended header.
const ANIMATION: u8 = 0x02;
const EXIF: u8 = 0x08;
const ALPHA: u8 = 0x10;
const ICC: u8 = 0x20;

pub(super) fn pictures() -> Vec<Picture> {
    let kinds = [oriented(), still(), animated(), with_profiles(), of_unusual_sizes()];
    kinds.into_iter().flatten().collect()
}

fn oriented() -> Vec<Picture> {
    let upright = scene(USUAL);
    let lossless = (1..=8).map(|orientation| {
        let picture = stored(&upright, orientation);
        let chunks: Chunks =
            &[(b"VP8L", &webp(picture.clone())[BEFORE_DATA..]), (b"EXIF", &exif(orientation))];
        let file = webp_extended(EXIF, picture.dimensions(), chunks);
        shows(format!("WebP, orientation {orientation}"), file, USUAL, TILES, EXACT)
    });
    let lossy = (1..=8).map(|orientation| {
        let exif = [b"Exif\0\0", &exif(orientation)[..]].concat();
        let file = webp_extended(EXIF, USUAL, &[(b"VP8 ", &LOSSY_FILE[BEFORE_DATA..]), (b"EXIF", &exif)]);
        let (dimensions, tiles) = displayed(orientation);
        shows(format!("WebP, lossy, orientation {orientation}"), file, dimensions, tiles, LOSSY)
    });
    lossless.chain(lossy).collect()
}

/// What the scene looks like if it is shown by an orientation that it does not have. Undoing 6 is doing 8; each of the others
/// undoes itself.
fn displayed(orientation: u8) -> ((u32, u32), Tiles) {
    let undone = match orientation {
        6 => 8,
        8 => 6,
        other => other,
    };
    let turned = stored(&scene((4, 4)), undone);
    let tiles = std::array::from_fn(|i| {
        let Rgb([red, green, blue]) = *turned.get_pixel(i as u32 % 4, i as u32 / 4);
        opaque(red, green, blue)
    });
    (if orientation < 5 { USUAL } else { (USUAL.1, USUAL.0) }, tiles)
}

fn still() -> Vec<Picture> {
    vec![
        shows("WebP, lossless", webp(scene(USUAL)), USUAL, TILES, EXACT),
        shows(
            "WebP, lossless, transparent",
            webp(scene_of(USUAL, transparent())),
            USUAL,
            transparent(),
            EXACT,
        ),
        shows("WebP, libwebp's lossless with a palette", LOSSLESS.to_vec(), USUAL, TILES, EXACT),
        shows("WebP, lossy", LOSSY_FILE.to_vec(), USUAL, TILES, LOSSY),
        shows("WebP, lossy, transparent", LOSSY_ALPHA.to_vec(), USUAL, transparent(), LOSSY),
        shows("WebP, zeros behind it", [LOSSY_FILE, &[0; 5000]].concat(), USUAL, TILES, LOSSY),
        shows(
            "WebP, a chunk that nobody knows",
            webp_extended(0, USUAL, &[(b"VP8 ", &LOSSY_FILE[BEFORE_DATA..]), (b"abcd", &[9; 7001])]),
            USUAL,
            TILES,
            LOSSY,
        ),
    ]
}

fn animated() -> Vec<Picture> {
    let whole = webp_frame(&webp(scene(USUAL)), (0, 0), USUAL);
    let lossy = webp_frame(LOSSY_FILE, (0, 0), USUAL);
    let black = webp_frame(&webp(RgbImage::new(USUAL.0, USUAL.1)), (0, 0), USUAL);
    let of = |first: &[u8]| {
        let frames: Chunks = &[(b"ANIM", &[0; 6]), (b"ANMF", first), (b"ANMF", &black)];
        webp_extended(ANIMATION | ALPHA, USUAL, frames)
    };
    vec![
        shows("WebP, animated", of(&whole), USUAL, TILES, EXACT),
        shows("WebP, animated, lossy", of(&lossy), USUAL, TILES, LOSSY),
        shows("WebP, libwebp's animated", ANIMATED_LOSSY.to_vec(), USUAL, transparent(), LOSSY),
        lower_right(),
    ]
}

fn lower_right() -> Picture {
    let (canvas, half) = ((800, 800), 400);
    let mut tiles = [Rgba([0; 4]); 16];
    for i in [10, 11, 14, 15] {
        tiles[i] = TILES[i];
    }
    let part = imageops::crop_imm(&scene(canvas), half, half, half, half).to_image();
    let frame = webp_frame(&webp(part), (half, half), (half, half));
    let file = webp_extended(ANIMATION | ALPHA, canvas, &[(b"ANIM", &[0; 6]), (b"ANMF", &frame)]);
    shows("WebP, a frame on a part of its canvas", file, canvas, tiles, EXACT)
}

fn with_profiles() -> Vec<Picture> {
    let lossless = webp(scene(USUAL));
    let pictures = profiles().into_iter().flat_map(|(name, profile, tiles)| {
        let with = |still: &[u8]| {
            let chunk = still[BEFORE_CHUNK..].first_chunk().unwrap();
            webp_extended(ICC, USUAL, &[(b"ICCP", &profile), (chunk, &still[BEFORE_DATA..])])
        };
        [
            shows(format!("WebP in {name}"), with(&lossless), USUAL, tiles, EXACT),
            shows(format!("WebP, lossy, in {name}"), with(LOSSY_FILE), USUAL, tiles, LOSSY + 4),
        ]
    });
    pictures.collect()
}

/// The format ends at 16,383 a side.
fn of_unusual_sizes() -> Vec<Picture> {
    let sizes = [(1, 1), (2, 3), (8, 8), (1201, 601), (10_000, 10), (16_383, 8), (3, 16_383)];
    let sized = |dimensions: (u32, u32)| {
        let name = format!("WebP of {}x{}", dimensions.0, dimensions.1);
        shows(name, webp(scene(dimensions)), dimensions, TILES, EXACT)
    };
    sizes.map(sized).into()
}
