//! Small whole pictures of every kind, 5 pixels wide and 3 high unless they say otherwise.

use image::codecs::gif::GifEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, Frame, ImageEncoder, Rgba, RgbaImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::mutate::Random;
use crate::pictures::{self, png_chunk};

pub const WIDTH: u32 = 5;
pub const HEIGHT: u32 = 3;

/// A picture, and what inspecting it must find.
pub struct Sample {
    pub name: &'static str,
    /// The usual extension.
    pub format: &'static str,
    pub width: u32,
    pub alpha: bool,
    pub bytes: Vec<u8>,
}

pub fn all() -> Vec<Sample> {
    let mut samples = jpegs();
    samples.extend(pngs());
    samples.extend(gifs());
    samples.extend(webps());
    samples
}

fn sample(name: &'static str, format: &'static str, alpha: bool, bytes: Vec<u8>) -> Sample {
    Sample { name, format, width: WIDTH, alpha, bytes }
}

/// Colours in all directions, and with `alpha` one corner transparent.
pub fn picture(alpha: bool) -> DynamicImage {
    DynamicImage::ImageRgba8(RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgba([x as u8 * 50, y as u8 * 80, 128, if alpha && x == 0 { 0 } else { 255 }])
    }))
}

pub fn jpeg(color: ColorType, configure: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let samples = match color {
        ColorType::Luma => 1,
        ColorType::Cmyk => 4,
        _ => 3,
    };
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT * samples).map(|n| n as u8 * 3).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 70);
    configure(&mut encoder);
    encoder.encode(&pixels, WIDTH as u16, HEIGHT as u16, color).unwrap();
    bytes
}

pub fn baseline_jpeg() -> Vec<u8> {
    jpeg(ColorType::Rgb, |_| {})
}

fn jpegs() -> Vec<Sample> {
    let of = |name, color, configure: fn(&mut Encoder<&mut Vec<u8>>)| {
        sample(name, "jpg", false, jpeg(color, configure))
    };
    vec![
        of("baseline JPEG", ColorType::Rgb, |_| {}),
        of("greyscale JPEG", ColorType::Luma, |_| {}),
        of("CMYK JPEG", ColorType::Cmyk, |_| {}),
        of("progressive JPEG", ColorType::Rgb, |encoder| encoder.set_progressive(true)),
        of("JPEG with restart markers", ColorType::Rgb, |encoder| encoder.set_restart_interval(1)),
        of("JPEG 4:2:0", ColorType::Rgb, |encoder| {
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            encoder.set_optimized_huffman_tables(true);
        }),
    ]
}

pub fn png(color: ExtendedColorType) -> Vec<u8> {
    let bits = usize::from(color.bits_per_pixel());
    let pixels: Vec<u8> = (0..(WIDTH * HEIGHT) as usize * bits / 8).map(|n| n as u8).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&pixels, WIDTH, HEIGHT, color).unwrap();
    bytes
}

/// The chunks of a PNG, types and data.
pub fn png_chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
    let mut rest = &png[8..];
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        chunks.push((rest[4..8].try_into().unwrap(), rest[8..8 + length].to_vec()));
        rest = &rest[12 + length..];
    }
    chunks
}

/// The PNG of these chunks, each with its length and CRC.
pub fn png_of(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        png_chunk(&mut bytes, kind, data);
    }
    bytes
}

/// A greyscale PNG made into another kind: its rows of 5 bytes are also 5 palette indices, or 40 pixels of a bit each.
pub fn recast_png(ihdr: impl FnOnce(&mut [u8]), inserted: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut chunks = png_chunks(&png(ExtendedColorType::L8));
    ihdr(&mut chunks[0].1);
    chunks.splice(1..1, inserted.iter().cloned());
    png_of(&chunks)
}

pub fn palette_png(inserted: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    recast_png(|ihdr| ihdr[9] = 3, inserted)
}

fn pngs() -> Vec<Sample> {
    let of = |name, alpha, bytes| sample(name, "png", alpha, bytes);
    let palette = (*b"PLTE", vec![90; 48]);
    let mut rgb_with_trns = png_chunks(&png(ExtendedColorType::Rgb8));
    rgb_with_trns.insert(1, (*b"tRNS", vec![0, 0, 0, 1, 0, 2]));
    vec![
        of("greyscale PNG", false, png(ExtendedColorType::L8)),
        of("greyscale PNG with alpha", true, png(ExtendedColorType::La8)),
        of("truecolour PNG", false, png(ExtendedColorType::Rgb8)),
        of("truecolour PNG with alpha", true, png(ExtendedColorType::Rgba8)),
        of("truecolour PNG of 16 bits", false, png(ExtendedColorType::Rgb16)),
        of("truecolour PNG with alpha of 16 bits", true, png(ExtendedColorType::Rgba16)),
        of("palette PNG", false, palette_png(std::slice::from_ref(&palette))),
        of("palette PNG with tRNS", true, palette_png(&[palette, (*b"tRNS", vec![0, 255])])),
        of("greyscale PNG with tRNS", true, recast_png(|_| {}, &[(*b"tRNS", vec![0, 0])])),
        of("truecolour PNG with tRNS", true, png_of(&rgb_with_trns)),
        Sample {
            width: 40,
            ..of("PNG of 1 bit", false, recast_png(|ihdr| (ihdr[3], ihdr[8]) = (40, 1), &[]))
        },
    ]
}

/// A GIF with a frame of the whole screen for each item, which says whether it has a transparent colour.
pub fn gif(frames: &[bool]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for &alpha in frames {
        encoder.encode_frame(Frame::new(picture(alpha).into_rgba8())).unwrap();
    }
    drop(encoder);
    bytes
}

fn gifs() -> Vec<Sample> {
    let of = |name, alpha, frames: &[bool]| sample(name, "gif", alpha, gif(frames));
    let mut moved = gif(&[false]);
    let descriptor = pictures::gif_descriptor(&moved);
    moved[descriptor + 1] = 2;
    let mut larger_screen = gif(&[false]);
    larger_screen[6] = 7;
    vec![
        of("GIF", false, &[false]),
        of("GIF with a transparent colour", true, &[true]),
        of("GIF whose second frame is transparent", false, &[false, true]),
        sample("GIF whose first frame is moved", "gif", true, moved),
        Sample { width: 7, ..sample("GIF with a larger screen", "gif", true, larger_screen) },
    ]
}

/// A lossy bitstream of 5x3 pixels, made by libwebp.
const VP8: [u8; 46] = [
    0xF0, 0x01, 0x00, 0x9D, 0x01, 0x2A, 0x05, 0x00, 0x03, 0x00, 0x07, 0x40, 0x96, 0x25, 0xB0, 0x02, 0x74,
    0x7F, 0x00, 0x18, 0x07, 0x61, 0xC4, 0x00, 0x00, 0xFD, 0x9D, 0x00, 0x9E, 0x90, 0x02, 0xBF, 0xDB, 0x2D,
    0x0E, 0x37, 0xED, 0x0D, 0x68, 0x7E, 0x98, 0x56, 0xD1, 0x40, 0x00, 0x00,
];

pub fn riff_chunk(fourcc: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::new();
    pictures::riff_chunk(&mut chunk, fourcc, data);
    chunk
}

/// The WebP of these chunks, in a RIFF of the right size.
pub fn webp_of(chunks: &[Vec<u8>]) -> Vec<u8> {
    riff_chunk(b"RIFF", &[&b"WEBP"[..], &chunks.concat()].concat())
}

pub fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let [width, height] = [width - 1, height - 1].map(u32::to_le_bytes);
    riff_chunk(b"VP8X", &[&[flags, 0, 0, 0], &width[..3], &height[..3]].concat())
}

pub fn vp8() -> Vec<u8> {
    riff_chunk(b"VP8 ", &VP8)
}

/// A VP8L chunk as the encoder writes it.
pub fn vp8l(alpha: bool) -> Vec<u8> {
    lossless_webp(alpha).split_off(12)
}

fn lossless_webp(alpha: bool) -> Vec<u8> {
    let picture = if alpha { picture(true) } else { DynamicImage::ImageRgb8(picture(false).into_rgb8()) };
    let mut bytes = Vec::new();
    picture.write_with_encoder(WebPEncoder::new_lossless(&mut bytes)).unwrap();
    bytes
}

/// An uncompressed ALPH chunk, half transparent.
pub fn alph() -> Vec<u8> {
    riff_chunk(b"ALPH", &[&[0][..], &[127; (WIDTH * HEIGHT) as usize]].concat())
}

/// An ANMF chunk of 5x3 pixels at `x`, which is even.
pub fn anmf(x: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [x / 2, 0, 0, 0, 0, 0, WIDTH as u8 - 1, 0, 0, HEIGHT as u8 - 1, 0, 0, 100, 0, 0, 0];
    riff_chunk(b"ANMF", &[&header[..], &chunks.concat()].concat())
}

pub fn anim() -> Vec<u8> {
    riff_chunk(b"ANIM", &[0; 6])
}

fn webps() -> Vec<Sample> {
    let of = |name, alpha, bytes| sample(name, "webp", alpha, bytes);
    let still = |flags| vp8x(flags, WIDTH, HEIGHT);
    vec![
        of("lossless WebP", false, lossless_webp(false)),
        of("lossless WebP with alpha", true, lossless_webp(true)),
        of("lossy WebP", false, webp_of(&[vp8()])),
        of("extended WebP", false, webp_of(&[still(0x08), vp8(), riff_chunk(b"EXIF", b"Exif")])),
        of("extended WebP with alpha", true, webp_of(&[still(0x10), alph(), vp8()])),
        of("extended lossless WebP with alpha", true, webp_of(&[still(0x10), vp8l(true)])),
        of("animated WebP", false, webp_of(&[still(0x02), anim(), anmf(0, &[vp8()]), anmf(0, &[vp8()])])),
        of("animated WebP with alpha", true, webp_of(&[still(0x12), anim(), anmf(0, &[alph(), vp8()])])),
        Sample {
            width: 9,
            ..of("animated WebP with a moved frame", true, {
                webp_of(&[vp8x(0x02, 9, HEIGHT), anim(), anmf(4, &[vp8l(false)])])
            })
        },
    ]
}

/// Gives every chunk of a PNG that is whole its right CRC, so that changes get past it.
pub fn mend_checksums(png: &[u8]) -> Vec<u8> {
    let mut mended = png.to_vec();
    let mut at = 8;
    while let Some(length) = mended.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(kind_and_data) = mended.get(at + 4..end) else { break };
        let mut crc = flate2::Crc::new();
        crc.update(kind_and_data);
        let Some(field) = mended.get_mut(end..end + 4) else { break };
        field.copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
    mended
}

/// Drops, doubles, moves and invents parts of a picture, or cuts it, and leaves its coded data as it is.
pub fn rearrange(picture: &[u8], random: &mut Random) -> Vec<u8> {
    let (head, mut parts) = split(picture);
    for _ in 0..=random.below(3) {
        let at = random.below(parts.len());
        match random.below(5) {
            0 if !parts.is_empty() => drop(parts.remove(at)),
            1 if !parts.is_empty() => parts.insert(at, parts[random.below(parts.len())].clone()),
            2 if !parts.is_empty() => {
                let other = random.below(parts.len());
                parts.swap(at, other);
            }
            3 => parts.insert(at, invented(picture, random)),
            _ => {}
        }
    }
    let mut changed = [head, parts.concat()].concat();
    if picture.starts_with(b"RIFF") {
        let size = changed.len() as u32 - 8;
        changed[4..8].copy_from_slice(&size.to_le_bytes());
    }
    if random.below(8) == 0 {
        changed.truncate(random.below(changed.len()));
    }
    changed
}

/// A part that changes no pixel, of a few random bytes.
fn invented(picture: &[u8], random: &mut Random) -> Vec<u8> {
    let data: Vec<u8> = (0..1 + random.below(20)).map(|_| random.below(256) as u8).collect();
    let length = data.len() as u8;
    let mut part = Vec::new();
    match picture {
        [0x89, ..] => {
            let kinds = [b"tEXt", b"iCCP", b"eXIf", b"tRNS", b"gAMA", b"fcTL", b"acTL", b"cICP"];
            png_chunk(&mut part, kinds[random.below(kinds.len())], &data);
        }
        [b'R', ..] => {
            let kinds = [b"EXIF", b"XMP ", b"ICCP", b"ABCD", b"ANIM", b"ANMF"];
            pictures::riff_chunk(&mut part, kinds[random.below(kinds.len())], &data);
        }
        [b'G', ..] => part = [&[0x21, [0xFE, 0xFF, 0x01][random.below(3)], length][..], &data, &[0]].concat(),
        _ => part = [&[0xFF, 0xE0 + random.below(16) as u8, 0, 2 + length][..], &data].concat(),
    }
    part
}

/// What a picture begins with, and its parts: chunks, segments or blocks. A part with coded data is whole.
fn split(picture: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let length_at = |at: usize| -> Option<usize> {
        let rest = picture.get(at..)?;
        Some(match picture[0] {
            0x89 => 12 + u32::from_be_bytes(rest.get(..4)?.try_into().unwrap()) as usize,
            b'R' => {
                8 + (u32::from_le_bytes(rest.get(4..8)?.try_into().unwrap()) as usize).next_multiple_of(2)
            }
            b'G' => gif_block_length(rest)?,
            // From the frame header or the first table on, a JPEG is one part.
            _ => match rest.get(1)? {
                0xE0..=0xEF | 0xFE => 2 + usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?])),
                _ => rest.len(),
            },
        })
    };
    let mut at = match picture[0] {
        0x89 => 8,
        b'R' => 12,
        b'G' if picture[10] & 0x80 != 0 => 13 + (3 << ((picture[10] & 7) + 1)),
        b'G' => 13,
        _ => 2,
    };
    let head = picture[..at].to_vec();
    let mut parts = Vec::new();
    while let Some(part) = length_at(at).and_then(|length| picture.get(at..at + length)) {
        if part.is_empty() {
            break;
        }
        parts.push(part.to_vec());
        at += part.len();
    }
    (head, parts)
}

fn gif_block_length(rest: &[u8]) -> Option<usize> {
    let mut at = match rest.first()? {
        0x21 => 2,
        0x2C if rest.get(9)? & 0x80 != 0 => 11 + (3 << ((rest[9] & 7) + 1)),
        0x2C => 11,
        _ => return Some(1),
    };
    while *rest.get(at)? != 0 {
        at += 1 + usize::from(rest[at]);
    }
    Some(at + 1)
}
