//! Pictures for the tests to upload, and a look at those that come back.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// A gradient, with something of every colour in it.
fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, ((x + y) % 256) as u8])
    })
}

/// An opaque JPEG.
pub(crate) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let pixels = gradient(width.into(), height.into());
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 85);
    encoder.encode(pixels.as_raw(), width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// An opaque picture in a format of `image`'s.
pub(crate) fn opaque(format: ImageFormat) -> Vec<u8> {
    encode(DynamicImage::ImageRgb8(gradient(700, 400)), format)
}

/// A picture whose left half is transparent.
pub(crate) fn transparent(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbaImage::from_fn(400, 400, |x, _| Rgba([200, 40, 40, if x < 200 { 0 } else { 255 }]));
    encode(DynamicImage::ImageRgba8(pixels), format)
}

/// A PNG whose structure is whole and whose pixels are not: its compressed data is noise, under a right CRC.
pub(crate) fn undecodable_png() -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [kind.as_slice(), data].concat();
        [&(data.len() as u32).to_be_bytes(), named.as_slice(), &crc32fast::hash(&named).to_be_bytes()]
            .concat()
    };
    let header = [0, 0, 0, 64, 0, 0, 0, 64, 8, 2, 0, 0, 0];
    let noise: Vec<u8> = (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &noise), chunk(b"IEND", &[])]
        .concat()
}

fn encode(picture: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The format, width and height of a picture, all of which must decode.
pub(crate) fn look(bytes: &[u8]) -> (&'static str, u32, u32) {
    if bytes.starts_with(b"\xff\xd8") {
        let mut decoder = jpeg_decoder::Decoder::new(bytes);
        decoder.decode().expect("a JPEG");
        let info = decoder.info().expect("a header");
        return ("jpg", info.width.into(), info.height.into());
    }
    let format = image::guess_format(bytes).expect("a picture");
    let picture = image::load_from_memory(bytes).expect("a picture");
    (format.extensions_str()[0], picture.width(), picture.height())
}
