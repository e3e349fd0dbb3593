//! From a thumbnail's pixels to a file. Nothing but pixels goes in, so no GPS position and no profile can come out.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage, RgbaImage};
use jpeg_encoder::{
    ChromaSubsamplingMethod, ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor, rgb_to_ycbcr,
};

use super::plane::Channels;
use super::scale::Pixels;
use super::{Undecodable, colour};
use crate::format::ThumbnailFormat;

/// libjpeg's scale. Above it the files grow faster than anyone can see.
const JPEG_QUALITY: u8 = 82;

/// Encodes in the format that the URL promises, whatever the picture turned out to be.
pub fn encode(picture: &Pixels, format: ThumbnailFormat) -> Result<Vec<u8>, Undecodable> {
    match (format, picture) {
        (ThumbnailFormat::Png, Channels::Together(pixels)) => encode_png(pixels),
        (ThumbnailFormat::Png, Channels::YCbCr(_)) => encode_png(&colour::to_rgb(picture)?),
        (ThumbnailFormat::Jpeg, Channels::YCbCr(channels)) => encode_jpeg(YCbCr(channels)),
        (ThumbnailFormat::Jpeg, Channels::Together(DynamicImage::ImageLuma8(grey))) => {
            let (width, height) = (grey.width() as u16, grey.height() as u16);
            let mut file = Vec::new();
            Encoder::new(&mut file, JPEG_QUALITY)
                .encode(grey, width, height, ColorType::Luma)
                .map_err(Undecodable::new)?;
            Ok(file)
        }
        (ThumbnailFormat::Jpeg, Channels::Together(DynamicImage::ImageRgba8(transparent))) => {
            encode_jpeg(Interleaved(&lay_on_white(transparent)))
        }
        (ThumbnailFormat::Jpeg, Channels::Together(pixels)) => encode_jpeg(Interleaved(&pixels.to_rgb8())),
    }
}

fn encode_png(picture: &DynamicImage) -> Result<Vec<u8>, Undecodable> {
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive)
        .write_image(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
        .map_err(Undecodable::new)?;
    Ok(file)
}

fn encode_jpeg(picture: impl ImageBuffer) -> Result<Vec<u8>, Undecodable> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode_image(picture).map_err(Undecodable::new)?;
    Ok(file)
}

/// RGB, as the encoder reads it.
struct Interleaved<'a>(&'a RgbImage);

impl ImageBuffer for Interleaved<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.0.width() as u16
    }

    fn height(&self) -> u16 {
        self.0.height() as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let row = self.0.rows().nth(y.into()).into_iter().flatten();
        for Rgb([red, green, blue]) in row {
            let (y, cb, cr) = rgb_to_ycbcr(*red, *green, *blue);
            buffers[0].push(y);
            buffers[1].push(cb);
            buffers[2].push(cr);
        }
    }
}

/// Three channels, as the encoder reads them: of those of colour it wants a sample for each pixel, to average again four at a
/// time. Of four that are the same, that is the one they came from.
struct YCbCr<'a>(&'a [DynamicImage; 3]);

impl ImageBuffer for YCbCr<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.0[0].width() as u16
    }

    fn height(&self) -> u16 {
        self.0[0].height() as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let row = |channel: &'_ DynamicImage, y: u16| {
            let width = channel.width() as usize;
            let from = usize::from(y) * width;
            channel.as_bytes()[from..from + width].to_vec()
        };
        let width = usize::from(self.width());
        buffers[0].extend(row(&self.0[0], y));
        for (channel, buffer) in self.0.iter().zip(buffers).skip(1) {
            buffer.extend(row(channel, y / 2).into_iter().flat_map(|sample| [sample, sample]).take(width));
        }
    }
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
