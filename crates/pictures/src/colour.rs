//! Converts colours to sRGB, which a viewer assumes of a picture without a profile. A phone's Display P3 photograph whose profile
//! were dropped without converting it would have a washed-out thumbnail.

use std::array;

use fast_image_resize::Resizer;
use image::{DynamicImage, RgbImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::error::Undecodable;
use crate::picture::{Channels, Region, ycbcr_to_rgb};
use crate::scale::{Pixels, scale};

/// Converts by an RGB profile. A profile that is damaged, or of CMYK or grey, is ignored. So is one that changes next to
/// nothing: most profiles are sRGB's own, and without a conversion the channels can stay apart.
pub(crate) fn to_srgb(picture: Pixels, icc_profile: &[u8]) -> Result<Pixels, Undecodable> {
    let layout = match &picture {
        Channels::Together(DynamicImage::ImageLuma8(_)) => return Ok(picture),
        Channels::Together(DynamicImage::ImageRgba8(_)) => Layout::Rgba,
        _ => Layout::Rgb,
    };
    let profile = ColorProfile::new_from_slice(icc_profile).ok();
    let Some(profile) = profile.filter(|profile| profile.color_space == DataColorSpace::Rgb) else {
        return Ok(picture);
    };
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
    else {
        return Ok(picture);
    };
    let convert = |samples: &mut [u8]| {
        let source = samples.to_vec();
        if transform.transform(&source, samples).is_err() {
            samples.copy_from_slice(&source);
        }
    };
    let from = probe(layout);
    let mut to = from.clone();
    convert(&mut to);
    if to.iter().zip(from).all(|(to, from)| to.abs_diff(from) <= 1) {
        return Ok(picture);
    }
    let mut pixels = match picture {
        Channels::Together(pixels) => pixels,
        Channels::YCbCr(channels) => to_rgb(&channels)?,
    };
    match &mut pixels {
        DynamicImage::ImageRgba8(pixels) => convert(pixels),
        DynamicImage::ImageRgb8(pixels) => convert(pixels),
        _ => {}
    }
    Ok(Channels::Together(pixels))
}

/// Opaque colours from all over RGB, six steps a channel.
fn probe(layout: Layout) -> Vec<u8> {
    let step = |i: usize, unit: usize| (i / unit % 6 * 51) as u8;
    (0..6 * 6 * 6)
        .flat_map(|i| {
            let colour = [step(i, 36), step(i, 6), step(i, 1), 255];
            colour.into_iter().take(layout.channels())
        })
        .collect()
}

/// Makes RGB of three channels, whose two of colour are first scaled to the size of luma.
pub(crate) fn to_rgb(channels: &[DynamicImage; 3]) -> Result<DynamicImage, Undecodable> {
    let [y, colour @ ..] = channels;
    let (width, height) = (y.width(), y.height());
    let mut resizer = Resizer::new();
    let [cb, cr] = colour.each_ref().map(|channel| {
        let all = Region::whole(channel.width(), channel.height());
        scale(&mut resizer, channel.clone(), all, (width, height))
    });
    let (cb, cr) = (cb?, cr?);
    let samples = y.as_bytes().iter().zip(cb.as_bytes()).zip(cr.as_bytes());
    let pixels = samples.flat_map(|((y, cb), cr)| ycbcr_to_rgb([*y, *cb, *cr])).collect();
    let pixels = RgbImage::from_raw(width, height, pixels);
    pixels.map(DynamicImage::ImageRgb8).ok_or_else(|| Undecodable::thumbnail("the channels differ in size"))
}

/// From BT.601's limited range, which VP8 has, to the full range of JPEG: 16 to 235, or 240 for colour, become 0 to 255.
pub(crate) fn to_full_range(pixels: &mut DynamicImage, is_colour: bool) {
    let (zero, range, to) = if is_colour { (128.0, 224.0, 128.0) } else { (16.0, 219.0, 0.0) };
    let full: [u8; 256] =
        array::from_fn(|sample| ((sample as f64 - zero) * 255.0 / range + to).round() as u8);
    if let DynamicImage::ImageLuma8(samples) = pixels {
        samples.iter_mut().for_each(|sample| *sample = full[usize::from(*sample)]);
    }
}
