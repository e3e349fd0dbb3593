//! The pyramid: large from the picture, medium from large, small from medium.
//!
//! The crop comes before the scaling. The other order, which is the usual helper's, first blows a 65500x8 picture up to
//! 600 rows: 7.6 GB for a file of 195 KB.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8x3, U8x4};
use fast_image_resize::{MulDiv, PixelTrait, ResizeOptions, Resizer};
use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
use image::{DynamicImage, RgbImage, RgbaImage};

use super::decode::Picture;
use super::{Fit, Undecodable, colour};
use crate::size::Size;

/// What the steps after a decode hold: the scaler's intermediate rows (at most 600 of the crop's width, 15 MB for the
/// widest square of 40 megapixels), the three thumbnails, their colour conversion and their encoders.
pub const WORKING_BYTES: u64 = 20 << 20;

/// The three thumbnails' pixels in the order of [`Size::ALL`], upright and in sRGB.
pub fn pyramid(picture: Picture, fit: Fit) -> Result<[DynamicImage; 3], Undecodable> {
    let Picture { pixels, dimensions, orientation, icc_profile } = picture;
    let mut resizer = Resizer::new();
    let mut large = scale(&mut resizer, pixels, target(dimensions, Size::Large, fit), fit)?;
    large.apply_orientation(orientation);
    if let Some(profile) = icc_profile {
        colour::to_srgb(&mut large, &profile);
    }
    let turned = matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    let upright = if turned { (dimensions.1, dimensions.0) } else { dimensions };
    let medium = scale(&mut resizer, large.clone(), target(upright, Size::Medium, fit), fit)?;
    let small = scale(&mut resizer, medium.clone(), target(upright, Size::Small, fit), fit)?;
    Ok([small, medium, large])
}

/// The dimensions of a thumbnail.
fn target((width, height): (u32, u32), size: Size, fit: Fit) -> (u32, u32) {
    let square = size.pixels();
    let long = width.max(height);
    if fit == Fit::Cover {
        return (square, square);
    }
    if long <= square {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(square) + u64::from(long) / 2) / u64::from(long);
        u32::try_from(rounded).unwrap_or(square).max(1)
    };
    (scaled(width), scaled(height))
}

/// Takes the pixels because transparency is multiplied into them where they lie: scaled apart from its alpha, the colour
/// that hides under a transparent pixel would bleed into its neighbours.
fn scale(
    resizer: &mut Resizer,
    pixels: DynamicImage,
    target: (u32, u32),
    fit: Fit,
) -> Result<DynamicImage, Undecodable> {
    let options = ResizeOptions::new().use_alpha(false);
    let options = if fit == Fit::Cover { options.fit_into_destination(None) } else { options };
    let (width, height) = (pixels.width(), pixels.height());
    let scaled = match pixels {
        DynamicImage::ImageRgba8(mut source) => {
            let alpha = MulDiv::new();
            let mut view =
                TypedImage::<U8x4>::from_buffer(width, height, &mut source).map_err(Undecodable::new)?;
            alpha.multiply_alpha_inplace_typed(&mut view).map_err(Undecodable::new)?;
            let mut scaled = resize::<U8x4>(resizer, &source, (width, height), target, &options)?;
            let mut view =
                TypedImage::<U8x4>::from_buffer(target.0, target.1, &mut scaled).map_err(Undecodable::new)?;
            alpha.divide_alpha_inplace_typed(&mut view).map_err(Undecodable::new)?;
            RgbaImage::from_raw(target.0, target.1, scaled).map(DynamicImage::ImageRgba8)
        }
        opaque => {
            let scaled = resize::<U8x3>(resizer, opaque.as_bytes(), (width, height), target, &options)?;
            RgbImage::from_raw(target.0, target.1, scaled).map(DynamicImage::ImageRgb8)
        }
    };
    scaled.ok_or_else(|| Undecodable::new("the scaler gave too few samples"))
}

fn resize<P: PixelTrait>(
    resizer: &mut Resizer,
    source: &[u8],
    (width, height): (u32, u32),
    target: (u32, u32),
    options: &ResizeOptions,
) -> Result<Vec<u8>, Undecodable> {
    let source = TypedImageRef::<P>::from_buffer(width, height, source).map_err(Undecodable::new)?;
    let mut scaled = vec![0; target.0 as usize * target.1 as usize * P::size()];
    let mut view = TypedImage::<P>::from_buffer(target.0, target.1, &mut scaled).map_err(Undecodable::new)?;
    resizer.resize_typed(&source, &mut view, options).map_err(Undecodable::new)?;
    Ok(scaled)
}
