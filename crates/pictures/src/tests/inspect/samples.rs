//! Small whole pictures of every kind, 5 pixels wide and 3 high unless they say otherwise.

use image::codecs::gif::GifEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, Frame, ImageEncoder, Rgba, RgbaImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::format::Format;

pub(crate) const WIDTH: u32 = 5;
pub(crate) const HEIGHT: u32 = 3;

/// A picture, and what inspecting it must find.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) format: Format,
    pub(crate) width: u32,
    pub(crate) alpha: bool,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn all() -> Vec<Sample> {
    let mut samples = jpegs();
    samples.extend(pngs());
    samples.extend(gifs());
    samples.extend(webps());
    samples
}

fn sample(name: &'static str, format: Format, alpha: bool, bytes: Vec<u8>) -> Sample {
    Sample { name, format, width: WIDTH, alpha, bytes }
}

/// Colours in all directions, and with `alpha` one corner transparent.
pub(crate) fn picture(alpha: bool) -> DynamicImage {
    DynamicImage::ImageRgba8(RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgba([x as u8 * 50, y as u8 * 80, 128, if alpha && x == 0 { 0 } else { 255 }])
    }))
}

pub(crate) fn jpeg(color: ColorType, configure: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
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

pub(crate) fn baseline_jpeg() -> Vec<u8> {
    jpeg(ColorType::Rgb, |_| {})
}

fn jpegs() -> Vec<Sample> {
    let of = |name, color, configure: fn(&mut Encoder<&mut Vec<u8>>)| {
        sample(name, Format::Jpeg, false, jpeg(color, configure))
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

pub(crate) fn png(color: ExtendedColorType) -> Vec<u8> {
    let bits = usize::from(color.bits_per_pixel());
    let pixels: Vec<u8> = (0..(WIDTH * HEIGHT) as usize * bits / 8).map(|n| n as u8).collect();
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(&pixels, WIDTH, HEIGHT, color).unwrap();
    bytes
}

/// The chunks of a PNG, types and data.
pub(crate) fn png_chunks(png: &[u8]) -> Vec<([u8; 4], Vec<u8>)> {
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
pub(crate) fn png_of(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let start = bytes.len();
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(data);
        let crc = crc32fast::hash(&bytes[start..]);
        bytes.extend_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// A greyscale PNG made into another kind: its rows of 5 bytes are also 5 palette indices, or 40 pixels of a bit each.
pub(crate) fn recast_png(ihdr: impl FnOnce(&mut [u8]), inserted: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut chunks = png_chunks(&png(ExtendedColorType::L8));
    ihdr(&mut chunks[0].1);
    chunks.splice(1..1, inserted.iter().cloned());
    png_of(&chunks)
}

pub(crate) fn palette_png(inserted: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    recast_png(|ihdr| ihdr[9] = 3, inserted)
}

fn pngs() -> Vec<Sample> {
    let of = |name, alpha, bytes| sample(name, Format::Png, alpha, bytes);
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
pub(crate) fn gif(frames: &[bool]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for &alpha in frames {
        encoder.encode_frame(Frame::new(picture(alpha).into_rgba8())).unwrap();
    }
    drop(encoder);
    bytes
}

fn gifs() -> Vec<Sample> {
    let of = |name, alpha, frames: &[bool]| sample(name, Format::Gif, alpha, gif(frames));
    let mut moved = gif(&[false]);
    let descriptor =
        memchr::memmem::find(&moved, &[0x2C, 0, 0, 0, 0, WIDTH as u8, 0, HEIGHT as u8, 0]).unwrap();
    moved[descriptor + 1] = 2;
    let mut larger_screen = gif(&[false]);
    larger_screen[6] = 7;
    vec![
        of("GIF", false, &[false]),
        of("GIF with a transparent colour", true, &[true]),
        of("GIF whose second frame is transparent", false, &[false, true]),
        sample("GIF whose first frame is moved", Format::Gif, true, moved),
        Sample { width: 7, ..sample("GIF with a larger screen", Format::Gif, true, larger_screen) },
    ]
}

/// A lossy bitstream of 5x3 pixels, made by libwebp.
const VP8: [u8; 46] = [
    0xF0, 0x01, 0x00, 0x9D, 0x01, 0x2A, 0x05, 0x00, 0x03, 0x00, 0x07, 0x40, 0x96, 0x25, 0xB0, 0x02, 0x74,
    0x7F, 0x00, 0x18, 0x07, 0x61, 0xC4, 0x00, 0x00, 0xFD, 0x9D, 0x00, 0x9E, 0x90, 0x02, 0xBF, 0xDB, 0x2D,
    0x0E, 0x37, 0xED, 0x0D, 0x68, 0x7E, 0x98, 0x56, 0xD1, 0x40, 0x00, 0x00,
];

pub(crate) fn riff_chunk(fourcc: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = fourcc.to_vec();
    chunk.extend_from_slice(&(data.len() as u32).to_le_bytes());
    chunk.extend_from_slice(data);
    if data.len() % 2 == 1 {
        chunk.push(0);
    }
    chunk
}

/// The WebP of these chunks, in a RIFF of the right size.
pub(crate) fn webp_of(chunks: &[Vec<u8>]) -> Vec<u8> {
    riff_chunk(b"RIFF", &[&b"WEBP"[..], &chunks.concat()].concat())
}

pub(crate) fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let [width, height] = [width - 1, height - 1].map(u32::to_le_bytes);
    riff_chunk(b"VP8X", &[&[flags, 0, 0, 0], &width[..3], &height[..3]].concat())
}

pub(crate) fn vp8() -> Vec<u8> {
    riff_chunk(b"VP8 ", &VP8)
}

/// A VP8L chunk as the encoder writes it.
pub(crate) fn vp8l(alpha: bool) -> Vec<u8> {
    lossless_webp(alpha).split_off(12)
}

fn lossless_webp(alpha: bool) -> Vec<u8> {
    let picture = if alpha { picture(true) } else { DynamicImage::ImageRgb8(picture(false).into_rgb8()) };
    let mut bytes = Vec::new();
    picture.write_with_encoder(WebPEncoder::new_lossless(&mut bytes)).unwrap();
    bytes
}

/// An uncompressed ALPH chunk, half transparent.
pub(crate) fn alph() -> Vec<u8> {
    riff_chunk(b"ALPH", &[&[0][..], &[127; (WIDTH * HEIGHT) as usize]].concat())
}

/// An ANMF chunk of 5x3 pixels at `x`, which is even.
pub(crate) fn anmf(x: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let header = [x / 2, 0, 0, 0, 0, 0, WIDTH as u8 - 1, 0, 0, HEIGHT as u8 - 1, 0, 0, 100, 0, 0, 0];
    riff_chunk(b"ANMF", &[&header[..], &chunks.concat()].concat())
}

pub(crate) fn anim() -> Vec<u8> {
    riff_chunk(b"ANIM", &[0; 6])
}

fn webps() -> Vec<Sample> {
    let of = |name, alpha, bytes| sample(name, Format::WebP, alpha, bytes);
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
