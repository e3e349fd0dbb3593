//! Pictures in which a test can see what became of them, and the parts to build odd ones of.

use std::io::{Read, Write};

use image::codecs::gif::GifEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::mutate::Random;

pub const RED: Rgb<u8> = Rgb([220, 30, 30]);
pub const GREEN: Rgb<u8> = Rgb([30, 180, 30]);
pub const BLUE: Rgb<u8> = Rgb([30, 30, 220]);
pub const WHITE: Rgb<u8> = Rgb([250, 250, 250]);

/// Chunks of a PNG or WebP: name and data.
pub type Chunks<'a> = &'a [(&'a [u8; 4], &'a [u8])];

/// One pixel, lossy.
pub const WEBP_LOSSY: &[u8] =
    b"RIFF\"\0\0\0WEBPVP8 \x16\0\0\x000\x01\0\x9d\x01*\x01\0\x01\0\x0e\xc0\xfe%\xa4\0\x03p\0\0\0\0";
/// One pixel, lossy with transparency.
pub const WEBP_LOSSY_ALPHA: &[u8] = b"RIFFJ\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\0\0\0\0\0\0ALPH\x0c\0\0\0\x11\x07\x10\x11\
    \xfd\x0fDD\xff\x03\0\0VP8 \x18\0\0\0\x14\x01\0\x9d\x01*\x01\0\x01\0\0\0\xfe\0\0\x0d\xc0\0\xfe\xe6\xb5\0\0\0";

/// Red, green, blue and white in the four corners, as one reads.
pub fn quadrants(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => WHITE,
    })
}

/// Compresses badly, so that a cut anywhere loses something.
pub fn noise(width: u32, height: u32) -> RgbImage {
    let mut random = Random::new(0x9e37_79b9);
    RgbImage::from_fn(width, height, |x, y| {
        let wave = (x / 3 + y / 5) as u8;
        Rgb([wave.wrapping_add(random.below(40) as u8), random.below(256) as u8, wave])
    })
}

pub fn jpeg(picture: &RgbImage) -> Vec<u8> {
    jpeg_with(picture, |_| {})
}

pub fn jpeg_with(picture: &RgbImage, change: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 95);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    change(&mut encoder);
    encoder.encode(picture, picture.width() as u16, picture.height() as u16, ColorType::Rgb).unwrap();
    file
}

pub fn jpeg_of(samples: &[u8], width: u16, height: u16, color: ColorType) -> Vec<u8> {
    let mut file = Vec::new();
    Encoder::new(&mut file, 95).encode(samples, width, height, color).unwrap();
    file
}

/// Where the first such marker of a JPEG is.
pub fn find_marker(jpeg: &[u8], marker: u8) -> usize {
    jpeg.windows(2).position(|pair| pair == [0xff, marker]).unwrap()
}

/// Where its JFIF segment ends, which is the first.
pub fn jfif_end(jpeg: &[u8]) -> usize {
    4 + usize::from(u16::from_be_bytes([jpeg[4], jpeg[5]]))
}

pub fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture.into().write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// A PNG out of its parts: the bit depth, the color type, whether it is interlaced, the chunks between IHDR and IDAT, and
/// the rows with their filter bytes.
pub fn png_of(
    (width, height): (u32, u32),
    [depth, color, interlace]: [u8; 3],
    chunks: Chunks,
    rows: &[u8],
) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, color, 0, 0, interlace]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    png_chunk(&mut file, b"IHDR", &header);
    for (name, data) in chunks {
        png_chunk(&mut file, name, data);
    }
    png_chunk(&mut file, b"IDAT", &zlib(rows));
    png_chunk(&mut file, b"IEND", &[]);
    file
}

/// Puts a chunk behind IHDR.
pub fn png_insert(png: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(33);
    let mut file = header.to_vec();
    png_chunk(&mut file, name, data);
    [&file, rest].concat()
}

pub fn png_chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(data);
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(data);
    file.extend(crc.sum().to_be_bytes());
}

pub fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The data of an iCCP chunk.
pub fn iccp(profile: &[u8]) -> Vec<u8> {
    [b"a profile\0\0".as_slice(), &zlib(profile)].concat()
}

/// The same for a profile of so many zeros.
pub fn iccp_of_zeros(length: u64) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(length), &mut encoder).unwrap();
    [b"a profile\0\0".as_slice(), &encoder.finish().unwrap()].concat()
}

/// A TIFF block with an orientation and a GPS position.
pub fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x02\0".to_vec();
    block.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    block.extend([0x0e, 0x01, 2, 0, 16, 0, 0, 0, 38, 0, 0, 0]);
    block.extend(b"\0\0\0\0LAT 52.5200 N \0");
    block
}

/// A GIF with one frame at a place on a larger canvas.
pub fn gif_on_canvas(frame: RgbaImage, (left, top): (u16, u16), (width, height): (u16, u16)) -> Vec<u8> {
    let mut file = Vec::new();
    GifEncoder::new(&mut file).encode_frame(image::Frame::new(frame)).unwrap();
    file[6..8].copy_from_slice(&width.to_le_bytes());
    file[8..10].copy_from_slice(&height.to_le_bytes());
    let descriptor = gif_descriptor(&file);
    file[descriptor + 1..][..2].copy_from_slice(&left.to_le_bytes());
    file[descriptor + 3..][..2].copy_from_slice(&top.to_le_bytes());
    file
}

/// Where the image descriptor is: behind the graphic control extension, which ends in a zero.
pub fn gif_descriptor(gif: &[u8]) -> usize {
    gif.windows(2).position(|pair| pair == [0, 0x2c]).unwrap() + 1
}

pub fn gif(picture: RgbaImage) -> Vec<u8> {
    let size = (picture.width() as u16, picture.height() as u16);
    gif_on_canvas(picture, (0, 0), size)
}

pub fn webp(picture: impl Into<DynamicImage>) -> Vec<u8> {
    let picture = picture.into();
    let mut file = Vec::new();
    WebPEncoder::new_lossless(&mut file)
        .encode(picture.as_bytes(), picture.width(), picture.height(), picture.color().into())
        .unwrap();
    file
}

/// A WebP with the extended header: the flags, the canvas, and the chunks behind it.
pub fn webp_extended(flags: u8, (width, height): (u32, u32), chunks: Chunks) -> Vec<u8> {
    let mut header = vec![flags, 0, 0, 0];
    header.extend(&(width - 1).to_le_bytes()[..3]);
    header.extend(&(height - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    riff_chunk(&mut body, b"VP8X", &header);
    for (name, data) in chunks {
        riff_chunk(&mut body, name, data);
    }
    let mut file = Vec::new();
    riff_chunk(&mut file, b"RIFF", &body);
    file
}

/// A frame of an animation that holds the only chunk of a plain WebP.
pub fn webp_frame(webp: &[u8], (left, top): (u32, u32), (width, height): (u32, u32)) -> Vec<u8> {
    let mut frame = Vec::new();
    for value in [left / 2, top / 2, width - 1, height - 1, 100] {
        frame.extend(&value.to_le_bytes()[..3]);
    }
    frame.push(0);
    frame.extend(&webp[12..]);
    frame
}

pub(crate) fn riff_chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    file.extend(name);
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file.extend(vec![0; data.len() % 2]);
}

/// Opaque blue on the left; on the right red that nobody should see.
pub fn hidden_red(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, _| {
        if x < width / 2 { Rgba([0, 0, 255, 255]) } else { Rgba([255, 0, 0, 0]) }
    })
}
