//! The rarer kinds of JPEG: RGB as it is, and inks (CMYK and YCCK). They become pixels of RGB before they are scaled.

use image::{Rgb, RgbImage};
use scaled_jpeg::Plane as JpegPlane;

use super::to_region;
use crate::picture::{Plane, ycbcr_to_rgb};

pub(super) fn from_rgb(planes: &[JpegPlane; 3]) -> Plane {
    to_rgb(planes, |rgb| rgb)
}

/// Four inks: three of colour and one that darkens all. They are stored inverted, as the light that is left. Adobe began with
/// it, and no other kind is known to be out there.
pub(super) fn from_cmyk(planes: &[JpegPlane; 4]) -> Plane {
    to_rgb(planes, |[c, m, y, k]| darken([c, m, y], k))
}

/// The same, with the three colours transformed like RGB to YCbCr. What the transform back gives is the ink, not inverted.
pub(super) fn from_ycck(planes: &[JpegPlane; 4]) -> Plane {
    to_rgb(planes, |[y, cb, cr, k]| darken(ycbcr_to_rgb([y, cb, cr]).map(|ink| 255 - ink), k))
}

fn darken(light: [u8; 3], k: u8) -> [u8; 3] {
    light.map(|light| ((u16::from(light) * u16::from(k) + 127) / 255) as u8)
}

/// At the dimensions of the first plane. A sample of a plane with fewer samples serves several pixels.
fn to_rgb<const N: usize>(planes: &[JpegPlane; N], convert: impl Fn([u8; N]) -> [u8; 3]) -> Plane {
    let first = &planes[0];
    let visible = to_region(first.region);
    let pixels = RgbImage::from_fn(first.width, first.height, |x, y| {
        Rgb(convert(planes.each_ref().map(|plane| {
            let region = plane.region;
            let x = region.left + (f64::from(x) + 0.5 - visible.left) * region.width / visible.width;
            let y = region.top + (f64::from(y) + 0.5 - visible.top) * region.height / visible.height;
            let (x, y) = ((x as u32).min(plane.width - 1), (y as u32).min(plane.height - 1));
            plane.samples[y as usize * plane.width as usize + x as usize]
        })))
    });
    Plane { pixels: pixels.into(), visible, limited_range: false }
}
