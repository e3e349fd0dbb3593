//! The pyramid: large from the picture, medium from large, small from medium.
//!
//! The crop comes before the scaling. The other order, which is the usual helper's, first blows a 65500x8 picture up to
//! 600 rows: 7.6 GB for a file of 195 KB.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x4};
use fast_image_resize::{MulDiv, PixelTrait, ResizeOptions, Resizer};
use image::metadata::Orientation::{self, Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

use crate::colour;
use crate::error::Undecodable;
use crate::picture::Picture;
use crate::picture::{Channels, Fit, Region, Target};
use crate::size::Size;

/// What the steps after a decode hold: the scaler's intermediate rows (at most 600 of the crop's width, for the widest square of
/// 40 megapixels 15 MB, and 11 in another form), the three thumbnails, their colour conversion and their encoders.
pub(crate) const WORKING_BYTES: u64 = 32 << 20;

/// A thumbnail's pixels: `ImageLuma8`, `ImageRgb8` or `ImageRgba8` together, or three of `ImageLuma8`, of which the two of
/// colour have half as many rows and columns as the thumbnail.
pub(crate) type Pixels = Channels<DynamicImage>;

/// The three thumbnails' pixels in the order of [`Size::ALL`], upright and in sRGB.
pub(crate) fn pyramid(picture: Picture, Target { fit, side }: Target) -> Result<[Pixels; 3], Undecodable> {
    let Picture { channels, dimensions, orientation, icc_profile } = picture;
    let mut resizer = Resizer::new();
    let target = dimensions_of(dimensions, side, fit);
    let mut large = channels.try_map(|plane, is_colour| {
        let mut pixels = scale(&mut resizer, plane.pixels, plane.visible, halved(target, is_colour))?;
        if plane.limited_range {
            colour::to_full_range(&mut pixels, is_colour);
        }
        pixels.apply_orientation(orientation);
        Ok::<_, Undecodable>(pixels)
    })?;
    if let Some(profile) = icc_profile {
        large = colour::to_srgb(large, &profile)?;
    }
    let upright = if is_turned(orientation) { (dimensions.1, dimensions.0) } else { dimensions };
    let mut next = |above: &Pixels, size| {
        let target = dimensions_of(upright, Size::pixels(size), fit);
        above.clone().try_map(|pixels, colour| {
            let all = Region::whole(pixels.width(), pixels.height());
            scale(&mut resizer, pixels, all, halved(target, colour))
        })
    };
    let medium = next(&large, Size::Medium)?;
    let small = next(&medium, Size::Small)?;
    Ok([small, medium, large])
}

fn is_turned(orientation: Orientation) -> bool {
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn halved((width, height): (u32, u32), colour: bool) -> (u32, u32) {
    if colour { (width.div_ceil(2), height.div_ceil(2)) } else { (width, height) }
}

/// The dimensions of a thumbnail.
fn dimensions_of((width, height): (u32, u32), square: u32, fit: Fit) -> (u32, u32) {
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

/// Scales the part that shows. Takes the pixels because transparency is multiplied into them where they lie: scaled apart
/// from its alpha, the colour that hides under a transparent pixel would bleed into its neighbours.
pub(crate) fn scale(
    resizer: &mut Resizer,
    pixels: DynamicImage,
    visible: Region,
    target: (u32, u32),
) -> Result<DynamicImage, Undecodable> {
    let size = (pixels.width(), pixels.height());
    let (width, height) = target;
    let scaled = match pixels {
        DynamicImage::ImageRgba8(mut source) => {
            let alpha = MulDiv::new();
            let mut view = rgba(&mut source, size)?;
            alpha.multiply_alpha_inplace_typed(&mut view).map_err(Undecodable::new)?;
            let mut scaled = resize::<U8x4>(resizer, &source, size, visible, target)?;
            let mut view = rgba(&mut scaled, target)?;
            alpha.divide_alpha_inplace_typed(&mut view).map_err(Undecodable::new)?;
            RgbaImage::from_raw(width, height, scaled).map(DynamicImage::ImageRgba8)
        }
        DynamicImage::ImageLuma8(source) => {
            let scaled = resize::<U8>(resizer, &source, size, visible, target)?;
            GrayImage::from_raw(width, height, scaled).map(DynamicImage::ImageLuma8)
        }
        opaque => {
            let scaled = scale_rgb(resizer, opaque.as_bytes(), size, visible, target)?;
            RgbImage::from_raw(width, height, scaled).map(DynamicImage::ImageRgb8)
        }
    };
    scaled.ok_or_else(|| Undecodable::new("the scaler gave too few samples"))
}

/// Scales pixels of three samples with the code for those of one and of four; its own would add 400 KB to each program. Along
/// the columns the three are scaled as if each were a pixel. Of the few rows that are left each pixel gets a fourth.
fn scale_rgb(
    resizer: &mut Resizer,
    source: &[u8],
    size: (u32, u32),
    visible: Region,
    target: (u32, u32),
) -> Result<Vec<u8>, Undecodable> {
    let left = visible.left.floor().max(0.0);
    // Whole pixels, so that nothing happens along the rows.
    let columns = ((visible.left + visible.width).ceil().min(size.0.into()) - left) as u32;
    let strip = Region { left: left * 3.0, width: (columns * 3).into(), ..visible };
    let rows = resize::<U8>(resizer, source, (size.0 * 3, size.1), strip, (columns * 3, target.1))?;
    let rows: Vec<[u8; 4]> =
        rows.as_chunks().0.iter().map(|&[red, green, blue]| [red, green, blue, 0]).collect();
    let along = Region { left: visible.left - left, top: 0.0, width: visible.width, height: target.1.into() };
    let along = along.within(columns, target.1);
    let scaled = resize::<U8x4>(resizer, rows.as_flattened(), (columns, target.1), along, target)?;
    Ok(scaled.as_chunks().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect())
}

fn rgba(pixels: &mut [u8], (width, height): (u32, u32)) -> Result<TypedImage<'_, U8x4>, Undecodable> {
    TypedImage::from_buffer(width, height, pixels).map_err(Undecodable::new)
}

fn resize<P: PixelTrait>(
    resizer: &mut Resizer,
    source: &[u8],
    (width, height): (u32, u32),
    visible: Region,
    target: (u32, u32),
) -> Result<Vec<u8>, Undecodable> {
    let options = ResizeOptions::new().use_alpha(false);
    let options = options.crop(visible.left, visible.top, visible.width, visible.height);
    let source = TypedImageRef::<P>::from_buffer(width, height, source).map_err(Undecodable::new)?;
    let mut scaled = vec![0; target.0 as usize * target.1 as usize * P::size()];
    let mut view = TypedImage::<P>::from_buffer(target.0, target.1, &mut scaled).map_err(Undecodable::new)?;
    resizer.resize_typed(&source, &mut view, &options).map_err(Undecodable::new)?;
    Ok(scaled)
}
