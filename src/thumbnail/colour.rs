//! To sRGB, which is what a viewer assumes of a picture without a profile. Dropping the profile of a phone's Display P3
//! photograph without converting it would leave a washed-out thumbnail.

use fast_image_resize::Resizer;
use image::{DynamicImage, RgbImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::Undecodable;
use super::plane::{Channels, Region, ycbcr_to_rgb};
use super::scale::{Pixels, scale};

/// Converts. A profile that is broken, or of CMYK or grey, leaves the picture as it is: it has been brought to RGB by other
/// means, so the profile no longer describes it.
pub fn to_srgb(picture: Pixels, icc_profile: &[u8]) -> Result<Pixels, Undecodable> {
    let Ok(profile) = ColorProfile::new_from_slice(icc_profile) else { return Ok(picture) };
    if profile.color_space != DataColorSpace::Rgb
        || matches!(picture, Channels::Together(DynamicImage::ImageLuma8(_)))
    {
        return Ok(picture);
    }
    let srgb = ColorProfile::new_srgb();
    let transform =
        |layout| profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default());
    // Most profiles out there are sRGB's own: no need to leave the channels as they are stored for those.
    let same = transform(Layout::Rgb).is_ok_and(|transform| {
        let mut converted = vec![0; probe().len()];
        transform.transform(&probe(), &mut converted).is_ok()
            && converted.iter().zip(probe()).all(|(to, from)| to.abs_diff(from) <= 1)
    });
    if same {
        return Ok(picture);
    }
    let mut pixels = to_rgb(&picture)?;
    let layout = if pixels.color().has_alpha() { Layout::Rgba } else { Layout::Rgb };
    let mut converted = pixels.as_bytes().to_vec();
    if transform(layout).is_ok_and(|transform| transform.transform(pixels.as_bytes(), &mut converted).is_ok())
    {
        match &mut pixels {
            DynamicImage::ImageRgba8(pixels) => pixels.copy_from_slice(&converted),
            DynamicImage::ImageRgb8(pixels) => pixels.copy_from_slice(&converted),
            _ => {}
        }
    }
    Ok(Channels::Together(pixels))
}

/// Colours from all over RGB, six steps a channel.
fn probe() -> Vec<u8> {
    let step = |i: u32, unit: u32| (i / unit % 6 * 51) as u8;
    (0..216).flat_map(|i| [step(i, 36), step(i, 6), step(i, 1)]).collect()
}

/// Pixels that lie together.
pub fn to_rgb(picture: &Pixels) -> Result<DynamicImage, Undecodable> {
    let channels = match picture {
        Channels::Together(pixels) => return Ok(pixels.clone()),
        Channels::YCbCr(channels) => channels,
    };
    let (width, height) = (channels[0].width(), channels[0].height());
    let mut resizer = Resizer::new();
    let full = |channel: &DynamicImage| {
        let all = Region::whole(channel.width(), channel.height());
        scale(&mut resizer, channel.clone(), all, (width, height))
    };
    let [y, cb, cr] = [&channels[0], &channels[1], &channels[2]].map(full);
    let (y, cb, cr) = (y?, cb?, cr?);
    let samples = y.as_bytes().iter().zip(cb.as_bytes()).zip(cr.as_bytes());
    let pixels: Vec<u8> = samples.flat_map(|((y, cb), cr)| ycbcr_to_rgb([*y, *cb, *cr])).collect();
    let pixels = RgbImage::from_raw(width, height, pixels);
    pixels.map(DynamicImage::ImageRgb8).ok_or_else(|| Undecodable::new("the channels differ in size"))
}
