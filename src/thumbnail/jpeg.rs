//! JPEG, by jpeg-decoder rather than image's own decoder, which takes a truncated file for a whole one and paints the
//! rest grey. This one refuses truncation and broken scans, and it decodes straight to a half, a quarter or an eighth of
//! the size, which a photograph's thumbnails gain most from. It leaves two things to us: CMYK, and Adobe's RGB.

use std::{io, iter};

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{CodingProcess, ColorTransform, Decoder, Error, ImageInfo, PixelFormat};
use memchr::memchr;

use super::decode::{Picture, count_pixels, orientation};
use super::{Fit, MakeError, Undecodable};
use crate::size::Size;

/// A scaled decode keeps at least this many times the pixels a side that the large thumbnail needs: decoded to just over
/// 600, photographs lost 6 points of SSIMULACRA2; from twice that, none.
const SCALE_MARGIN: u32 = 2;

/// Scans take hardly any bytes and each costs a walk over all coefficients, so a small file could ask for hours. Encoders
/// write about ten.
pub const MAX_SCANS: usize = 100;

/// The most that a picture's sides are padded to, for 4x4 blocks of 8 pixels.
const MAX_MCU_PIXELS: u64 = 32;

const SOF0: u8 = 0xc0;
const SOF2: u8 = 0xc2;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP14: u8 = 0xee;

/// Coefficients are 16 bits a sample. A progressive picture keeps all of them; and any picture's wait in a queue for the
/// threads that turn them to pixels. Eight decodes at once on two cores queued less than a quarter of them, so half are
/// counted. To that, the planes and the pixels at the scale of the decode. Measured as the growth of the resident set.
pub fn cost(jpeg: &[u8], max_pixels: u64) -> Result<u64, Undecodable> {
    let (mut decoder, full) = open(jpeg, max_pixels)?;
    let samples = count_samples(jpeg, full);
    let (width, height) = scale(&mut decoder, full, Fit::Cover)?;
    let scaled = u64::from(width) * u64::from(height);
    let coefficients =
        if full.coding_process == CodingProcess::DctProgressive { 3 * samples } else { samples };
    // With no cap on pixels to speak of, the product could pass 64 bits.
    let planes = samples.saturating_mul(scaled) / (u64::from(full.width) * u64::from(full.height));
    let pixels = scaled * (full.pixel_format.pixel_bytes() as u64 + 3);
    Ok(coefficients + planes + pixels)
}

pub fn decode(jpeg: &[u8], fit: Fit, max_pixels: u64) -> Result<Picture, MakeError> {
    let (mut decoder, full) = open(jpeg, max_pixels)?;
    if full.coding_process == CodingProcess::Lossless {
        return Err(Undecodable::new("lossless JPEG is not supported").into());
    }
    if segments(jpeg).filter(|(marker, _)| *marker == SOS).count() > MAX_SCANS {
        return Err(Undecodable::new("too many scans").into());
    }
    if let Some(transform) = color_transform(jpeg, full.pixel_format) {
        decoder.set_color_transform(transform);
    }
    let (width, height) = scale(&mut decoder, full, fit)?;
    let samples = decoder.decode().map_err(why)?;
    Ok(Picture {
        pixels: to_pixels(samples, width.into(), height.into(), full.pixel_format)?,
        dimensions: (full.width.into(), full.height.into()),
        orientation: orientation(decoder.exif_data()),
        icc_profile: decoder.icc_profile(),
    })
}

/// The decoder turns each component to pixels on a thread of its own, which the machine may refuse at a busy moment. It
/// reads from memory, so nothing else but the end of the bytes is an I/O error.
fn why(error: Error) -> MakeError {
    match error {
        Error::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            MakeError::Passing(error.to_string())
        }
        error => Undecodable::new(error).into(),
    }
}

fn open(jpeg: &[u8], max_pixels: u64) -> Result<(Decoder<&[u8]>, ImageInfo), Undecodable> {
    let mut decoder = Decoder::new(jpeg);
    decoder.read_info().map_err(Undecodable::new)?;
    let info = decoder.info().ok_or_else(|| Undecodable::new("the JPEG has no frame"))?;
    count_pixels((info.width.into(), info.height.into()), max_pixels)?;
    Ok((decoder, info))
}

/// Has the decoder scale by eighths, and answers with the dimensions it will decode to. The decoder stops at the first
/// scale that suits either side, so it is asked for the side that matters alone: the short one has to cover the square,
/// or the long one has to span it.
fn scale(decoder: &mut Decoder<&[u8]>, full: ImageInfo, fit: Fit) -> Result<(u16, u16), Undecodable> {
    let needed = (Size::Large.pixels() * SCALE_MARGIN) as u16;
    let by_width = (full.width <= full.height) == (fit == Fit::Cover);
    let (width, height) = if by_width { (needed, u16::MAX) } else { (u16::MAX, needed) };
    decoder.scale(width, height).map_err(Undecodable::new)
}

fn to_pixels(
    mut samples: Vec<u8>,
    width: u32,
    height: u32,
    format: PixelFormat,
) -> Result<DynamicImage, Undecodable> {
    let pixels = match format {
        PixelFormat::L8 => {
            GrayImage::from_raw(width, height, samples).map(|grey| DynamicImage::ImageLuma8(grey).into_rgb8())
        }
        PixelFormat::RGB24 => RgbImage::from_raw(width, height, samples),
        PixelFormat::CMYK32 => {
            cmyk_to_rgb(&mut samples);
            RgbImage::from_raw(width, height, samples)
        }
        PixelFormat::L16 => None,
    };
    pixels.map(DynamicImage::ImageRgb8).ok_or_else(|| Undecodable::new("the decoder gave too few samples"))
}

/// The decoder has already undone Adobe's inversion, which every CMYK JPEG in practice has: 255 is full ink.
fn cmyk_to_rgb(samples: &mut Vec<u8>) {
    let rgb = samples.chunks_exact(4).flat_map(|ink| {
        let light = |ink: u8, black: u8| (u16::from(255 - ink) * u16::from(255 - black) / 255) as u8;
        [light(ink[0], ink[3]), light(ink[1], ink[3]), light(ink[2], ink[3])]
    });
    *samples = rgb.collect();
}

/// How libjpeg, and so every browser, reads three and four components: by a JFIF header, then by an Adobe segment, and only
/// then by the components' names. jpeg-decoder begins with the names, and refuses what it finds odd.
fn color_transform(jpeg: &[u8], format: PixelFormat) -> Option<ColorTransform> {
    let find =
        |wanted, name: &[u8]| header(jpeg).find(|(marker, data)| *marker == wanted && data.starts_with(name));
    let adobe = find(APP14, b"Adobe").and_then(|(_, data)| data.get(11));
    match (format, adobe) {
        (PixelFormat::RGB24, _) if find(APP0, b"JFIF\0").is_some() => Some(ColorTransform::YCbCr),
        (PixelFormat::RGB24, Some(0)) => Some(ColorTransform::RGB),
        (PixelFormat::RGB24, Some(_)) => Some(ColorTransform::YCbCr),
        (PixelFormat::RGB24, None) if component_names(jpeg) == b"RGB" => Some(ColorTransform::RGB),
        (PixelFormat::RGB24, None) => Some(ColorTransform::YCbCr),
        (PixelFormat::CMYK32, Some(0) | None) => Some(ColorTransform::CMYK),
        (PixelFormat::CMYK32, Some(_)) => Some(ColorTransform::YCCK),
        (PixelFormat::L8 | PixelFormat::L16, _) => None,
    }
}

fn component_names(jpeg: &[u8]) -> Vec<u8> {
    components(jpeg).chunks_exact(3).map(|component| component[0]).collect()
}

/// The components in the frame header, 3 bytes each (T.81, B.2.2).
fn components(jpeg: &[u8]) -> &[u8] {
    let frame = header(jpeg).find(|(marker, _)| (SOF0..=SOF2).contains(marker));
    frame.and_then(|(_, data)| data.get(6..)).unwrap_or_default()
}

/// How many samples the components have together: 1.5 a pixel for 4:2:0, 3 for 4:4:4. Assumes the most if the frame
/// header cannot be found.
fn count_samples(jpeg: &[u8], full: ImageInfo) -> u64 {
    let padded = |side: u16| u64::from(side).next_multiple_of(MAX_MCU_PIXELS);
    let pixels = padded(full.width) * padded(full.height);
    let factors = components(jpeg).chunks_exact(3).map(|component| (component[1] >> 4, component[1] & 0x0f));
    let most = factors.clone().fold((1, 1), |(h, v), factor| (factor.0.max(h), factor.1.max(v)));
    let blocks: u64 = factors.map(|(h, v)| u64::from(h) * u64::from(v)).sum();
    if blocks == 0 { pixels * 4 } else { pixels * blocks / (u64::from(most.0) * u64::from(most.1)) }
}

/// The segments before the first scan.
fn header(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    segments(jpeg).take_while(|(marker, _)| *marker != SOS)
}

/// The marker and the data of each segment before the end marker. Whatever else stands between them, a scan's coded data
/// above all, is passed over, as the decoder does.
fn segments(jpeg: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = jpeg.get(2..).unwrap_or_default();
    iter::from_fn(move || {
        loop {
            rest = rest.get(memchr(0xff, rest)?..)?;
            match *rest {
                [_, 0 | RST0..=RST7, ..] => rest = rest.get(2..)?,
                [_, 0xff, ..] => rest = rest.get(1..)?,
                [_, EOI, ..] => return None,
                [_, marker, high, low, ..] => {
                    let end = 2 + usize::from(u16::from_be_bytes([high, low]));
                    let data = rest.get(4..end)?;
                    rest = rest.get(end..)?;
                    return Some((marker, data));
                }
                _ => return None,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_machine_refuses_is_passing() {
        let refused = why(Error::Io(io::ErrorKind::WouldBlock.into()));
        assert!(matches!(refused, MakeError::Passing(_)), "{refused}");
        for error in
            [Error::Io(io::ErrorKind::UnexpectedEof.into()), Error::Format("failed to decode".to_owned())]
        {
            let broken = why(error);
            assert!(matches!(broken, MakeError::Undecodable(_)), "{broken}");
        }
    }

    #[test]
    fn segments_are_found_behind_stray_bytes_and_scans() {
        let jpeg = [
            &[0xff, 0xd8, 0xff, 0xff, 0xe0, 0, 3, 7, 1, 2, 0xff, 0, 0xff, 0xda, 0, 2][..],
            &[3, 0xff, 0, 0xff, 0xd1, 4, 0xff, 0xda, 0, 3, 9, 5, 0xff, 0xd9, 0xff, 0xda, 0, 2],
        ];
        let found: Vec<(u8, Vec<u8>)> =
            segments(&jpeg.concat()).map(|(marker, data)| (marker, data.to_vec())).collect();
        assert_eq!(found, [(APP0, vec![7]), (SOS, vec![]), (SOS, vec![9])]);
    }
}
