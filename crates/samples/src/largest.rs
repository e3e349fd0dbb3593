//! The pictures that take the most memory: as many pixels as are accepted by default, in files of under 1 MiB.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::pictures::{png_chunk, riff_chunk};

/// The width and height of all but the photographs: exactly 40 megapixels.
const LARGEST: (u32, u32) = (8000, 5000);

/// A photograph of 24 megapixels.
const PHOTOGRAPH: (u32, u32) = (6000, 4000);

pub fn photograph() -> Vec<u8> {
    jpeg(PHOTOGRAPH, JpegColorType::Ycbcr, SamplingFactor::R_4_2_0, None)
}

pub fn progressive_photograph() -> Vec<u8> {
    jpeg(PHOTOGRAPH, JpegColorType::Ycbcr, SamplingFactor::R_4_2_0, Some(4))
}

/// Without subsampling. With more scans a progressive one would be over 1 MiB.
pub fn largest_jpeg(color: JpegColorType, progressive: bool) -> Vec<u8> {
    jpeg(LARGEST, color, SamplingFactor::R_4_4_4, progressive.then_some(2))
}

/// A slope from a corner to the other in each component, made row by row.
struct Slopes {
    size: (u32, u32),
    color: JpegColorType,
}

impl ImageBuffer for Slopes {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        self.color
    }

    fn width(&self) -> u16 {
        self.size.0 as u16
    }

    fn height(&self) -> u16 {
        self.size.1 as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (width, height) = self.size;
        let across = (0..width).map(|x| ((x / 16 + u32::from(y) / 16) * 4080 / (width + height)) as u8);
        let components = if self.color == JpegColorType::Cmyk { 4 } else { 3 };
        for buffer in &mut buffers[..components] {
            buffer.extend(across.clone());
        }
    }
}

fn jpeg(size: (u32, u32), color: JpegColorType, sampling: SamplingFactor, scans: Option<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 50);
    encoder.set_sampling_factor(sampling);
    encoder.set_optimized_huffman_tables(true);
    if let Some(scans) = scans {
        encoder.set_progressive_scans(scans);
    }
    encoder.encode_image(Slopes { size, color }).unwrap();
    file
}

/// Every row is the one above (filter 2): what compresses best.
pub fn png(depth: u8, interlace: u8) -> Vec<u8> {
    let (width, height) = LARGEST;
    let bytes_per_pixel = 4 * usize::from(depth / 8);
    let mut rows = ZlibEncoder::new(Vec::new(), Compression::new(3));
    // Adam7 as the PNG specification has it: the first column and row, and the steps, of its seven small pictures.
    let passes: &[(u32, u32, u32, u32)] = match interlace {
        0 => &[(0, 0, 1, 1)],
        _ => &[
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ],
    };
    for (left, top, across, down) in passes {
        let columns = (width - left).div_ceil(*across) as usize;
        let mut row = vec![0; 1 + columns * bytes_per_pixel];
        row[0] = 2;
        for _ in 0..(height - top).div_ceil(*down) {
            rows.write_all(&row).unwrap();
        }
    }
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, 6, 0, 0, interlace]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", &header), (b"IDAT", &rows.finish().unwrap()), (b"IEND", &Vec::new())] {
        png_chunk(&mut file, name, data);
    }
    file
}

/// Of one colour. The frame lies a column to the right of its canvas, so that the decoder has to hold both.
pub fn gif() -> Vec<u8> {
    let (width, height) = LARGEST;
    let side = |side: u32| (side as u16).to_le_bytes();
    let mut file = b"GIF89a".to_vec();
    file.extend([side(width), side(height)].concat());
    file.extend([0x80, 0, 0, 200, 100, 50, 255, 255, 255]); // a colour table of two
    file.extend([0x2c, 1, 0, 0, 0]);
    file.extend([side(width), side(height)].concat());
    file.extend([0, 2]); // no table of its own; codes from 3 bits on
    for block in lzw_of_zeros(width * height).chunks(255) {
        file.push(block.len() as u8);
        file.extend(block);
    }
    file.extend([0, 0x3b]);
    file
}

/// GIF's LZW with codes from 3 bits on: each code stands for one zero more than the one before, until there are 4096.
fn lzw_of_zeros(mut left: u32) -> Vec<u8> {
    const CLEAR: u32 = 4;
    const END: u32 = 5;
    let (mut bytes, mut bits, mut filled) = (Vec::new(), 0u32, 0);
    let mut write = |code: u32, width: u32| {
        bits |= code << filled;
        filled += width;
        while filled >= 8 {
            bytes.push(bits as u8);
            bits >>= 8;
            filled -= 8;
        }
    };
    let mut width = 3;
    while left > 0 {
        write(CLEAR, width);
        width = 3;
        // A code enters the decoder's table when the next one is read: the first is the zero itself, the second is 6.
        for (code, zeros) in std::iter::once((0, 1)).chain((6..4096).map(|code| (code, code - 4))) {
            if zeros > left {
                break;
            }
            write(code, width);
            left -= zeros;
            if code + 1 == 1 << width && width < 12 {
                width += 1;
            }
        }
    }
    write(END, width);
    write(0, 8);
    bytes
}

/// Of one colour, without transparency: the decoder holds four bytes a pixel all the same.
pub fn webp() -> Vec<u8> {
    let (width, height) = LARGEST;
    let pixels = [200, 100, 50].repeat((width * height) as usize);
    let mut file = Vec::new();
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut file);
    encoder.encode(&pixels, width, height, image::ExtendedColorType::Rgb8).unwrap();
    file
}

/// The same as the only frame of an animation (RFC 9649, section 2.7.1.1), and transparent at that.
pub fn animated_webp() -> Vec<u8> {
    let still = webp();
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let mut chunk = Vec::new();
        riff_chunk(&mut chunk, name, data);
        chunk
    };
    let canvas = [side(LARGEST.0), side(LARGEST.1)].concat();
    let frame = [&[0; 6], canvas.as_slice(), &[100, 0, 0, 0], &still[12..]].concat();
    let header = chunk(b"VP8X", &[&[0x12, 0, 0, 0], canvas.as_slice()].concat());
    let body = [b"WEBP".as_slice(), &header, &chunk(b"ANIM", &[0; 6]), &chunk(b"ANMF", &frame)].concat();
    chunk(b"RIFF", &body)
}
