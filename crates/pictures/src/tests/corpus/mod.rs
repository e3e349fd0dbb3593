//! A corpus: pictures of every kind that is out there, each with its right answer.
//!
//! All but the refused show one scene: sixteen tiles, four by four, no two alike, so that a picture which is turned,
//! mirrored, shifted, cropped at the wrong place, mixed up in its channels or decoded from the wrong bytes is not what was
//! drawn. What is expected of each pixel of each thumbnail is computed from the scene, never by the code under test.

mod gifs;
mod jpegs;
mod pngs;
mod refused;
mod webps;

use std::thread;

use image::{DynamicImage, GenericImageView, Pixel, Rgb, RgbImage, Rgba, RgbaImage, imageops};

use super::{Jpeg, MAX_PIXELS, Png, SIDES, SQUARES, dimensions, read};
use crate::Fit;
use crate::format::ThumbnailFormat;
use crate::tests::{cost, make};

/// The sixteen colours of the scene, row by row.
type Tiles = [Rgba<u8>; 16];

const TILES: Tiles = [
    opaque(220, 30, 30),
    opaque(30, 180, 30),
    opaque(30, 30, 220),
    opaque(240, 240, 240),
    opaque(220, 200, 40),
    opaque(40, 200, 200),
    opaque(200, 40, 200),
    opaque(20, 20, 20),
    opaque(250, 140, 100),
    opaque(130, 130, 130),
    opaque(110, 50, 30),
    opaque(100, 140, 250),
    opaque(30, 90, 70),
    opaque(160, 230, 120),
    opaque(120, 60, 150),
    opaque(190, 170, 210),
];

/// The size of a picture of which nothing in particular is to be shown: not square, and no multiple of a block.
const USUAL: (u32, u32) = (731, 645);

/// The sizes at the ends of what there can be.
const UNUSUAL: [(u32, u32); 12] = [
    (1, 1),
    (2, 3),
    (8, 8),
    (100, 100),
    (599, 601),
    (600, 600),
    (601, 600),
    (1201, 601),
    (2725, 2225),
    (10_000, 10),
    (65_500, 8),
    (3, 65_500),
];

struct Picture {
    name: String,
    file: Vec<u8>,
    answer: Answer,
}

enum Answer {
    Scene(Scene),
    /// An error, with a word of why.
    Refused(&'static str),
}

/// The scene in full, as it is to be seen.
struct Scene {
    dimensions: (u32, u32),
    tiles: Tiles,
    /// How far a pixel may be off because of the original's compression.
    tolerance: u8,
}

/// For a picture that was stored without loss: what rounding takes.
const EXACT: u8 = 3;
/// For one that was not.
const LOSSY: u8 = 32;
/// And more for one whose pixels run into each other because they are enlarged.
const ENLARGED: u8 = 64;

const fn opaque(red: u8, green: u8, blue: u8) -> Rgba<u8> {
    Rgba([red, green, blue, 255])
}

fn shows(
    name: impl Into<String>,
    file: Vec<u8>,
    dimensions: (u32, u32),
    tiles: Tiles,
    tolerance: u8,
) -> Picture {
    Picture { name: name.into(), file, answer: Answer::Scene(Scene { dimensions, tiles, tolerance }) }
}

fn refused(name: impl Into<String>, file: Vec<u8>, why: &'static str) -> Picture {
    Picture { name: name.into(), file, answer: Answer::Refused(why) }
}

/// Which tile a pixel of a picture of these dimensions is in.
fn tile_at((x, y): (u32, u32), (width, height): (u32, u32)) -> usize {
    let part = |at: u32, side: u32| ((2 * at + 1) * 2 / side).min(3) as usize;
    part(y, height) * 4 + part(x, width)
}

fn scene_of(dimensions: (u32, u32), tiles: Tiles) -> RgbaImage {
    RgbaImage::from_fn(dimensions.0, dimensions.1, |x, y| tiles[tile_at((x, y), dimensions)])
}

fn scene(dimensions: (u32, u32)) -> RgbImage {
    DynamicImage::from(scene_of(dimensions, TILES)).into_rgb8()
}

fn map(tiles: Tiles, change: impl Fn([u8; 3]) -> [u8; 3]) -> Tiles {
    tiles.map(|Rgba([red, green, blue, alpha])| {
        let [red, green, blue] = change([red, green, blue]);
        Rgba([red, green, blue, alpha])
    })
}

/// BT.601's luma, as JPEG has it.
fn grey([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let luma = 0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue);
    [luma.round() as u8; 3]
}

/// How the scene is stored so that this orientation of Exif makes it upright.
fn stored(upright: &RgbImage, orientation: u8) -> RgbImage {
    let (width, height) = upright.dimensions();
    match orientation {
        1 => upright.clone(),
        2 => imageops::flip_horizontal(upright),
        3 => imageops::rotate180(upright),
        4 => imageops::flip_vertical(upright),
        5 => RgbImage::from_fn(height, width, |x, y| *upright.get_pixel(y, x)),
        6 => imageops::rotate270(upright),
        7 => RgbImage::from_fn(height, width, |x, y| *upright.get_pixel(width - 1 - y, height - 1 - x)),
        8 => imageops::rotate90(upright),
        _ => unreachable!("Exif has eight"),
    }
}

/// Two profiles, with what the scene's numbers mean in each.
fn profiles() -> [(&'static str, Vec<u8>, Tiles); 2] {
    [
        ("Display P3", moxcms::ColorProfile::new_display_p3(), map(TILES, display_p3_to_srgb)),
        ("Adobe RGB", moxcms::ColorProfile::new_adobe_rgb(), map(TILES, adobe_rgb_to_srgb)),
    ]
    .map(|(name, profile, tiles)| (name, profile.encode().unwrap(), tiles))
}

/// By the definition: sRGB's curve, and the matrix between the two sets of primaries.
fn display_p3_to_srgb(p3: [u8; 3]) -> [u8; 3] {
    let curve =
        |value: f64| if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
    let matrix = [
        [1.224_940_2, -0.224_940_2, 0.0],
        [-0.042_056_9, 1.042_056_9, 0.0],
        [-0.019_637_6, -0.078_636_1, 1.098_273_6],
    ];
    to_srgb(p3.map(|sample| curve(f64::from(sample) / 255.0)), matrix)
}

/// By the definition: a power of 563/256, and primaries of which the green one alone is not sRGB's.
fn adobe_rgb_to_srgb(adobe: [u8; 3]) -> [u8; 3] {
    let matrix = [[1.398_283_2, -0.398_283_1, 0.0], [0.0, 1.0, 0.0], [0.0, -0.042_938_3, 1.042_938_3]];
    to_srgb(adobe.map(|sample| (f64::from(sample) / 255.0).powf(563.0 / 256.0)), matrix)
}

fn to_srgb(linear: [f64; 3], matrix: [[f64; 3]; 3]) -> [u8; 3] {
    matrix.map(|row| {
        let value: f64 = row.iter().zip(linear).map(|(factor, value)| factor * value).sum();
        let encoded =
            if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round().clamp(0.0, 255.0) as u8
    })
}

/// The corpus's files, for other tests.
pub(super) fn files() -> impl Iterator<Item = Vec<u8>> {
    corpus().into_iter().map(|picture| picture.file)
}

fn corpus() -> Vec<Picture> {
    let kinds =
        [jpegs::pictures(), pngs::pictures(), gifs::pictures(), webps::pictures(), refused::pictures()];
    kinds.into_iter().flatten().collect()
}

#[test]
fn every_picture_gives_its_right_answer() {
    let pictures = corpus();
    let wrong: Vec<String> = thread::scope(|scope| {
        let parts: Vec<_> = pictures
            .chunks(50)
            .map(|part| scope.spawn(|| part.iter().flat_map(complaints).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("no picture makes it panic")).collect()
    });
    let (wrong, of) = (wrong.join("\n"), pictures.len());
    assert!(wrong.is_empty(), "of {of} pictures:\n{wrong}");
    let mut names: Vec<&str> = pictures.iter().map(|picture| picture.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), pictures.len(), "two pictures have one name");
    assert!(names.len() >= 80, "{}", names.len());
}

fn complaints(picture: &Picture) -> Vec<String> {
    let admitted = cost(&picture.file, MAX_PIXELS);
    let mut complaints = Vec::new();
    for (format, fit) in [(Jpeg, Fit::Cover), (Png, Fit::Cover), (Png, Fit::Contain)] {
        let complaint = match (&picture.answer, make(&picture.file, format, fit, MAX_PIXELS)) {
            (Answer::Refused(why), Err(error)) => {
                (!error.to_string().contains(why)).then(|| error.to_string())
            }
            (Answer::Refused(_), Ok(_)) => Some("is not refused".to_string()),
            (Answer::Scene(_), Err(error)) => Some(error.to_string()),
            (Answer::Scene(_), Ok(_)) if admitted.is_err() => Some("is made but not admitted".to_string()),
            (Answer::Scene(scene), Ok(thumbnails)) => {
                complaint(scene, read(&thumbnails, format), format, fit)
            }
        };
        complaints.extend(complaint.map(|text| format!("{}, {fit:?} {format:?}: {text}", picture.name)));
    }
    complaints
}

fn complaint(
    scene: &Scene,
    thumbnails: [DynamicImage; 3],
    format: ThumbnailFormat,
    fit: Fit,
) -> Option<String> {
    let wanted = match fit {
        Fit::Cover => SQUARES,
        Fit::Contain => SIDES.map(|side| contained(scene.dimensions, side)),
    };
    let delivered = dimensions(&thumbnails);
    if delivered != wanted {
        return Some(format!("{delivered:?} in place of {wanted:?}"));
    }
    thumbnails.iter().find_map(|thumbnail| first_wrong_pixel(scene, thumbnail, format, fit))
}

fn contained((width, height): (u32, u32), square: u32) -> (u32, u32) {
    let scale = (f64::from(square) / f64::from(width.max(height))).min(1.0);
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    (scaled(width), scaled(height))
}

/// Looks at some 10,000 pixels of each size.
fn first_wrong_pixel(
    scene: &Scene,
    thumbnail: &DynamicImage,
    format: ThumbnailFormat,
    fit: Fit,
) -> Option<String> {
    let (width, height) = scene.dimensions;
    let shown = if fit == Fit::Cover { [width.min(height); 2] } else { [width, height] };
    let mut tolerance = scene.tolerance + if format == Jpeg { LOSSY } else { 0 };
    if shown[0] < thumbnail.width() {
        tolerance += ENLARGED;
    }
    let step = thumbnail.width().div_ceil(100);
    let every = |side: u32| (step / 2..side).step_by(step as usize);
    let (mut seen, mut off) = (0, 0);
    for (x, y) in every(thumbnail.height()).flat_map(|y| every(thumbnail.width()).map(move |x| (x, y))) {
        let Some(tile) = sure_tile((x, y), thumbnail.dimensions(), scene.dimensions, shown) else { continue };
        let (is, wanted) = (thumbnail.get_pixel(x, y), scene.tiles[tile]);
        let distance = distance(is, wanted, format);
        if distance > tolerance {
            let size = thumbnail.dimensions();
            return Some(format!("{:?} in place of {:?} at {x},{y} of {size:?}", is.0, wanted.0));
        }
        seen += 1;
        off += u32::from(distance);
    }
    // What is contained may be too thin to be sure of any pixel.
    if fit == Fit::Cover && seen < 100 {
        return Some(format!("only {seen} pixels are far from an edge"));
    }
    // Beside an edge it rings, but not all over a tile.
    let average = f64::from(off) / f64::from(seen.max(1));
    (average > average_tolerance(tolerance)).then(|| format!("the pixels are off by {average:.1}"))
}

fn average_tolerance(tolerance: u8) -> f64 {
    1.0 + f64::from(tolerance) / 8.0
}

/// The tile that a thumbnail's pixel shows, unless another one is so near that it shows too: as far as the filter of a
/// scaling down reaches. A picture that is enlarged is looked at only about the centres of its pixels, where it is as it was.
fn sure_tile(
    (x, y): (u32, u32),
    (width, height): (u32, u32),
    dimensions: (u32, u32),
    shown: [u32; 2],
) -> Option<usize> {
    let span = |at: u32, side: u32, whole: u32, shown: u32| {
        let step = f64::from(shown) / f64::from(side);
        let centre = f64::from(whole - shown) / 2.0 + (f64::from(at) + 0.5) * step;
        if step < 1.0 {
            return ((centre.fract() - 0.5).abs() < 0.1).then_some([centre as u32; 2]);
        }
        let pixel = |at: f64| at.clamp(0.0, f64::from(whole - 1)) as u32;
        Some([pixel(centre - 4.0 * step), pixel(centre + 4.0 * step)])
    };
    let [left, right] = span(x, width, dimensions.0, shown[0])?;
    let [top, bottom] = span(y, height, dimensions.1, shown[1])?;
    let first = tile_at((left, top), dimensions);
    (first == tile_at((right, bottom), dimensions)).then_some(first)
}

/// In the channel that is farthest off. A JPEG has white behind what is transparent.
fn distance(is: Rgba<u8>, wanted: Rgba<u8>, format: ThumbnailFormat) -> u8 {
    let Rgba([.., alpha]) = wanted;
    let over_white = |sample: u8| (u32::from(sample) * u32::from(alpha) + 255 * u32::from(255 - alpha)) / 255;
    let Rgba(wanted) = match format {
        Jpeg => wanted.map_with_alpha(|sample| over_white(sample) as u8, |_| 255),
        // What cannot be seen has any colour.
        Png if alpha == 0 => return is.0[3],
        Png => wanted,
    };
    is.0.iter().zip(wanted).map(|(is, wanted)| is.abs_diff(wanted)).max().unwrap_or(0)
}

#[test]
fn the_scene_tells_every_orientation_and_profile_apart() {
    let upright = scene((40, 30));
    let turned: Vec<_> = (1..=8).map(|orientation| stored(&upright, orientation)).collect();
    for (i, one) in turned.iter().enumerate() {
        assert!(turned[i + 1..].iter().all(|other| one != other), "{}", i + 1);
    }
    for (name, _, tiles) in profiles() {
        let off: u32 =
            tiles.iter().zip(TILES).map(|(there, here)| u32::from(distance(*there, here, Png))).sum();
        let average = f64::from(off) / 16.0;
        assert!(average > 1.5 * average_tolerance(LOSSY), "{name} changes the colours by {average}");
    }
    assert_eq!(adobe_rgb_to_srgb([255; 3]), [255; 3]);
    assert_eq!(stored(&upright, 6).get_pixel(0, 0), upright.get_pixel(39, 0));
}
