//! Pictures to upload.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

use crate::pictures::png_chunk;

/// A gradient, with something of every colour in it.
fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + y) % 256) as u8])
    })
}

/// An opaque JPEG.
pub fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let pixels = gradient(width.into(), height.into());
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 85);
    encoder.encode(pixels.as_raw(), width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// A JPEG of exactly this many bytes: every decoder ignores what follows the end.
pub fn jpeg_of_bytes(bytes: usize) -> Vec<u8> {
    let mut jpeg = jpeg(64, 64);
    assert!(jpeg.len() < bytes);
    jpeg.resize(bytes, 0);
    jpeg
}

/// An opaque picture in a format of `image`'s.
pub fn opaque(format: ImageFormat) -> Vec<u8> {
    encode(DynamicImage::ImageRgb8(gradient(700, 400)), format)
}

/// A picture whose left half is transparent.
pub fn transparent(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbaImage::from_fn(400, 400, |x, _| Rgba([200, 40, 40, if x < 200 { 0 } else { 255 }]));
    encode(DynamicImage::ImageRgba8(pixels), format)
}

/// A PNG whose structure is whole and whose pixels are not: its compressed data is noise, under a right CRC.
pub fn undecodable_png() -> Vec<u8> {
    let header = [0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0];
    let noise: Vec<u8> = (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    png_chunk(&mut file, b"IHDR", &header);
    png_chunk(&mut file, b"IDAT", &noise);
    png_chunk(&mut file, b"IEND", &[]);
    file
}

fn encode(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
