//! To sRGB, which is what a viewer assumes of a picture without a profile. Dropping the profile of a phone's Display P3
//! photograph without converting it would leave a washed-out thumbnail.

use image::DynamicImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// Converts in place. A profile that is broken, or of CMYK or grey, leaves the picture as it is: it has been brought to
/// RGB by other means, so the profile no longer describes it.
pub fn to_srgb(picture: &mut DynamicImage, icc_profile: &[u8]) {
    let Ok(profile) = ColorProfile::new_from_slice(icc_profile) else { return };
    if profile.color_space != DataColorSpace::Rgb {
        return;
    }
    let (samples, layout): (&mut [u8], Layout) = match picture {
        DynamicImage::ImageRgb8(picture) => (picture, Layout::Rgb),
        DynamicImage::ImageRgba8(picture) => (picture, Layout::Rgba),
        _ => return,
    };
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
    else {
        return;
    };
    let source = samples.to_vec();
    if transform.transform(&source, samples).is_err() {
        samples.copy_from_slice(&source);
    }
}
