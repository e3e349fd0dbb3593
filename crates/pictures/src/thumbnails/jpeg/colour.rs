//! The rarer kinds of JPEG: RGB as it is, and inks. They become RGB before they are scaled.

use image::{GrayImage, Luma, Rgb, RgbImage};

use crate::picture::{Region, ycbcr_to_rgb};

pub(super) fn rgb(planes: [(GrayImage, Region); 3]) -> (RgbImage, Region) {
    to_rgb(&planes, |rgb| rgb)
}

/// Four inks, which are three of colour and one that darkens all. They are stored inverted, as the light that is left:
/// Adobe began with it, and no other kind is known to be out there.
pub(super) fn cmyk(planes: [(GrayImage, Region); 4], transformed: bool) -> (RgbImage, Region) {
    to_rgb(&planes, |[c, m, y, k]| {
        let light = if transformed { ycbcr_to_rgb([c, m, y]).map(|ink| 255 - ink) } else { [c, m, y] };
        light.map(|light| ((u16::from(light) * u16::from(k) + 127) / 255) as u8)
    })
}

/// At the dimensions of the first plane. One with fewer samples lends each to several pixels.
fn to_rgb<const N: usize>(
    planes: &[(GrayImage, Region); N],
    convert: impl Fn([u8; N]) -> [u8; 3],
) -> (RgbImage, Region) {
    let (first, visible) = &planes[0];
    let pixels = RgbImage::from_fn(first.width(), first.height(), |x, y| {
        Rgb(convert(planes.each_ref().map(|(plane, region)| {
            let x = region.left + (f64::from(x) + 0.5 - visible.left) * region.width / visible.width;
            let y = region.top + (f64::from(y) + 0.5 - visible.top) * region.height / visible.height;
            let Luma([sample]) =
                plane[((x as u32).min(plane.width() - 1), (y as u32).min(plane.height() - 1))];
            sample
        })))
    });
    (pixels, *visible)
}
