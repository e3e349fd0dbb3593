//! JPEG. The structure and the decoding are [`scaled_jpeg`]'s; here is what is about pictures and thumbnails.
//!
//! The thumbnail of a large photograph is cheap because the decoder decodes at an eighth of the size or some more, and only what
//! the thumbnail shows. docs/EVIDENCE.md has what that saves.

mod rgb;
#[cfg(test)]
mod tests;

use image::GrayImage;
use scaled_jpeg::{ColorModel, Decoded, Error, Request, read_structure};

use crate::error::{InspectError, Undecodable};
use crate::format::Format;
use crate::inspected::Inspected;
use crate::picture::{Channels, Fit, Picture, Plane, Region, Target, find_visible, orientation};

/// SOI and the first byte of the marker that must follow it.
pub(crate) const SIGNATURE: [u8; 3] = [0xff, 0xd8, 0xff];

/// What one walk over the markers found.
pub(crate) struct Structure<'a> {
    jpeg: scaled_jpeg::Structure<'a>,
    file_length: u64,
}

pub(crate) fn read(bytes: &[u8], max_pixels: u64) -> Result<Structure<'_>, InspectError> {
    let jpeg = read_structure(bytes, max_pixels).map_err(to_inspect_error)?;
    Ok(Structure { jpeg, file_length: bytes.len() as u64 })
}

fn to_inspect_error(error: Error) -> InspectError {
    match error {
        Error::NotJpeg => InspectError::UnknownFormat,
        Error::CutShort => InspectError::CutShort(Format::Jpeg),
        Error::Damaged(what) => InspectError::Damaged(Format::Jpeg, what.as_str()),
        Error::Unsupported(what) => InspectError::Unsupported(Format::Jpeg, what.as_str()),
        Error::TooManyPixels { width, height, max_pixels } => {
            let pixels = u64::from(width) * u64::from(height);
            InspectError::TooManyPixels { pixels, max: max_pixels }
        }
    }
}

impl Structure<'_> {
    pub(crate) fn inspected(&self) -> Inspected {
        let (width, height) = self.dimensions();
        Inspected { format: Format::Jpeg, width, height, alpha: false }
    }

    fn dimensions(&self) -> (u32, u32) {
        (self.jpeg.width(), self.jpeg.height())
    }

    /// The bytes that [`Structure::decode`] holds at its peak for a thumbnail of this side, whichever the fit. A profile is at
    /// most as long as the file.
    pub(crate) fn memory(&self, side: u32) -> u64 {
        let of_fit = [Fit::Cover, Fit::Contain].map(|fit| {
            let request = self.request(Target { fit, side });
            self.jpeg.memory(&request) + self.rgb_bytes(&request)
        });
        of_fit.into_iter().max().unwrap_or(0) + self.file_length
    }

    /// RGB and inks become pixels of three bytes before they are scaled.
    fn rgb_bytes(&self, request: &Request) -> u64 {
        match (self.jpeg.color_model(), self.jpeg.plane_sizes(request).first()) {
            (ColorModel::Luma | ColorModel::YCbCr, _) | (_, None) => 0,
            (_, Some(&(width, height))) => 3 * u64::from(width) * u64::from(height),
        }
    }

    pub(crate) fn decode(&self, target: Target) -> Result<Picture, Undecodable> {
        let decoded = self.jpeg.decode(&self.request(target)).map_err(Undecodable::coded_data)?;
        let channels = to_channels(decoded).ok_or_else(|| Undecodable::coded_data("a plane is missing"))?;
        Ok(Picture {
            channels,
            dimensions: self.dimensions(),
            orientation: orientation(self.jpeg.exif()),
            icc_profile: self.jpeg.icc_profile(),
        })
    }

    /// The part that shows, with at least a sample for each pixel of the thumbnail, and half as many across and down in the two
    /// channels of colour.
    fn request(&self, Target { fit, side }: Target) -> Request {
        let (width, height) = self.dimensions();
        let request = match fit {
            Fit::Cover => Request::at_least(side, side),
            // The longer side becomes the thumbnail's side, and the shorter one follows.
            Fit::Contain if width >= height => Request::at_least(side, 0),
            Fit::Contain => Request::at_least(0, side),
        };
        let Region { left, top, width, height } = find_visible((width, height), fit);
        request.with_region(scaled_jpeg::Region { left, top, width, height })
    }
}

fn to_channels(decoded: Decoded) -> Option<Channels<Plane>> {
    let Decoded { color_model, planes, .. } = decoded;
    Some(match color_model {
        ColorModel::Luma => Channels::Together(to_plane(planes.into_iter().next()?)?),
        ColorModel::YCbCr => {
            let [y, cb, cr] = planes.try_into().ok()?;
            Channels::YCbCr([to_plane(y)?, to_plane(cb)?, to_plane(cr)?])
        }
        ColorModel::Rgb => Channels::Together(rgb::from_rgb(&planes.try_into().ok()?)),
        ColorModel::Cmyk => Channels::Together(rgb::from_cmyk(&planes.try_into().ok()?)),
        ColorModel::Ycck => Channels::Together(rgb::from_ycck(&planes.try_into().ok()?)),
    })
}

fn to_plane(plane: scaled_jpeg::Plane) -> Option<Plane> {
    let visible = to_region(plane.region);
    let pixels = GrayImage::from_raw(plane.width, plane.height, plane.samples)?;
    Some(Plane { pixels: pixels.into(), visible, limited_range: false })
}

fn to_region(region: scaled_jpeg::Region) -> Region {
    let scaled_jpeg::Region { left, top, width, height } = region;
    Region { left, top, width, height }
}
