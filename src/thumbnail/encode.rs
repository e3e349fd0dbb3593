//! From a thumbnail's pixels to a file. Nothing but pixels goes in, so no GPS position and no profile can come out.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, RgbaImage};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::Undecodable;
use crate::format::ThumbnailFormat;

/// libjpeg's scale. Above it the files grow faster than anyone can see.
const JPEG_QUALITY: u8 = 82;

/// Encodes in the format that the URL promises, whatever the picture turned out to be.
pub fn encode(picture: &DynamicImage, format: ThumbnailFormat) -> Result<Vec<u8>, Undecodable> {
    match (format, picture) {
        (ThumbnailFormat::Png, _) => encode_png(picture),
        (ThumbnailFormat::Jpeg, DynamicImage::ImageRgba8(transparent)) => {
            encode_jpeg(&lay_on_white(transparent))
        }
        (ThumbnailFormat::Jpeg, _) => encode_jpeg(&picture.to_rgb8()),
    }
}

fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, Undecodable> {
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Default, FilterType::Adaptive)
        .write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
        .map_err(Undecodable::new)?;
    Ok(file)
}

fn encode_jpeg(picture: &RgbImage) -> Result<Vec<u8>, Undecodable> {
    let (width, height) = (picture.width() as u16, picture.height() as u16);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(picture, width, height, ColorType::Rgb).map_err(Undecodable::new)?;
    Ok(file)
}

fn lay_on_white(picture: &RgbaImage) -> RgbImage {
    let over_white = |sample: u8, alpha: u8| {
        let (sample, alpha) = (u32::from(sample), u32::from(alpha));
        ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (to, from) in opaque.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = from.0;
        *to = Rgb([over_white(red, alpha), over_white(green, alpha), over_white(blue, alpha)]);
    }
    opaque
}
