//! The factory of test pictures, and what a test looks at in a thumbnail.

use image::{DynamicImage, GenericImageView, Rgb, RgbImage, Rgba};

pub(crate) use samples::pictures::*;

pub(crate) fn assert_near(picture: &DynamicImage, (x, y): (u32, u32), wanted: Rgb<u8>, tolerance: u8) {
    let Rgba([red, green, blue, _]) = picture.get_pixel(x, y);
    let off = [red, green, blue].iter().zip(wanted.0).any(|(is, wanted)| is.abs_diff(wanted) > tolerance);
    assert!(!off, "{:?} at {x},{y} is not near {wanted:?}", [red, green, blue]);
}

/// The four corners, as one reads.
pub(crate) fn assert_corners(picture: &DynamicImage, wanted: [Rgb<u8>; 4]) {
    let (right, bottom) = (picture.width() * 7 / 8, picture.height() * 7 / 8);
    let (left, top) = (picture.width() / 8, picture.height() / 8);
    for (at, wanted) in [(left, top), (right, top), (left, bottom), (right, bottom)].into_iter().zip(wanted) {
        assert_near(picture, at, wanted, 12);
    }
}

/// How far two pictures are apart on average, in steps of 255.
pub(crate) fn distance(one: &RgbImage, other: &RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let off: u64 = one.iter().zip(other.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    off as f64 / one.len() as f64
}
