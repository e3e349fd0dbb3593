//! A decoded picture: its samples, and which part of them a thumbnail shows.
//!
//! A JPEG or a lossy WebP has three planes, of which the two of colour are often smaller. Each is scaled by itself, since scaling
//! treats all channels alike. Colours are converted afterwards, if at all, when 360,000 pixels are left of 24 million.

use image::metadata::Orientation;
use image::{ColorType, DynamicImage};

/// How a picture is fitted to a thumbnail's square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Exactly the square: scaled to cover it, cropped about the centre. Small pictures are enlarged.
    Cover,
    /// Inside the square with the picture's own aspect ratio, at least 1x1, never enlarged.
    Contain,
}

/// What a picture is decoded for. A decoder may reduce it, and leave out what does not show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) fit: Fit,
    /// The side of the largest thumbnail's square, in pixels.
    pub(crate) side: u32,
}

/// A decoded original.
pub(crate) struct Picture {
    /// A JPEG's may be reduced, though not so far that it shows in a thumbnail, and lack what does not show.
    pub channels: Channels<Plane>,
    /// The header's width and height.
    pub dimensions: (u32, u32),
    /// What makes it upright.
    pub orientation: Orientation,
    pub icc_profile: Option<Vec<u8>>,
}

/// A rectangle in pixels, with fractions. A pixel's centre lies half a pixel from its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Region {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Region {
    pub(crate) fn whole(width: u32, height: u32) -> Region {
        Region { left: 0.0, top: 0.0, width: width.into(), height: height.into() }
    }

    pub(crate) fn scaled(self, x: f64, y: f64) -> Region {
        Region { left: self.left * x, top: self.top * y, width: self.width * x, height: self.height * y }
    }

    /// The part that lies on a plane of this size.
    pub(crate) fn within(self, width: u32, height: u32) -> Region {
        let clip = |start: f64, length: f64, limit: u32| {
            let limit = f64::from(limit);
            let start = start.clamp(0.0, limit);
            (start, length.min(limit - start))
        };
        let (left, width) = clip(self.left, self.width, width);
        let (top, height) = clip(self.top, self.height, height);
        Region { left, top, width, height }
    }
}

/// The part of a picture that a thumbnail shows: for [`Fit::Cover`] the largest square about its centre.
pub(crate) fn find_visible((width, height): (u32, u32), fit: Fit) -> Region {
    if fit == Fit::Contain {
        return Region::whole(width, height);
    }
    let (width, height) = (f64::from(width), f64::from(height));
    let side = width.min(height);
    Region { left: (width - side) / 2.0, top: (height - side) / 2.0, width: side, height: side }
}

/// Pixels of one channel or of several, and the part of them that shows.
#[derive(Clone, Debug)]
pub(crate) struct Plane {
    /// `ImageLuma8`, `ImageRgb8` or, with straight alpha, `ImageRgba8`.
    pub pixels: DynamicImage,
    pub visible: Region,
    /// A channel of YCbCr that does not use all of 0 to 255, see [`to_full_range`](crate::colour::to_full_range).
    pub limited_range: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Channels<T> {
    /// Grey, RGB or RGBA.
    Together(T),
    /// As JFIF defines them, each in a plane of its own. The two of colour may have fewer samples.
    YCbCr([T; 3]),
}

impl<T> Channels<T> {
    /// Makes the same of each channel. `make` is told whether it is one of the two of colour.
    pub(crate) fn try_map<U, E>(
        self,
        mut make: impl FnMut(T, bool) -> Result<U, E>,
    ) -> Result<Channels<U>, E> {
        Ok(match self {
            Channels::Together(all) => Channels::Together(make(all, false)?),
            Channels::YCbCr([y, cb, cr]) => {
                Channels::YCbCr([make(y, false)?, make(cb, true)?, make(cr, true)?])
            }
        })
    }
}

/// Converts a pixel of a JPEG's three channels (JFIF 1.02).
pub(crate) fn ycbcr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y) << 16, i32::from(cb) - 128, i32::from(cr) - 128);
    let sample = |value: i32| ((value + (1 << 15)) >> 16).clamp(0, 255) as u8;
    [sample(y + 91_881 * cr), sample(y - 22_554 * cb - 46_802 * cr), sample(y + 116_130 * cb)]
}

/// The orientation in an Exif block. A picture whose block says nothing sensible is upright.
pub(crate) fn orientation(exif: Option<&[u8]>) -> Orientation {
    // Some writers of PNG and WebP keep the prefix that only JPEG requires.
    let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// A whole picture, in one of the kinds of pixel that a [`Plane`] has.
pub(crate) fn together(pixels: DynamicImage, fit: Fit) -> Channels<Plane> {
    let visible = find_visible((pixels.width(), pixels.height()), fit);
    let pixels = match pixels.color() {
        ColorType::L8 | ColorType::Rgb8 | ColorType::Rgba8 => pixels,
        color if color.has_alpha() => pixels.into_rgba8().into(),
        color if color.has_color() => pixels.into_rgb8().into(),
        _ => pixels.into_luma8().into(),
    };
    Channels::Together(Plane { pixels, visible, limited_range: false })
}
