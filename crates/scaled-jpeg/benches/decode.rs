//! Decodes pictures to at least 600 samples a side, next to two other decoders in Rust, and prints how long each takes.
//!
//!     cargo bench --manifest-path crates/scaled-jpeg/benches/Cargo.toml
//!     cargo bench --manifest-path crates/scaled-jpeg/benches/Cargo.toml -- FILE.jpg …
//!
//! Without files it draws pictures of 2 to 24 megapixels and encodes them. Each decoder decodes on one thread, ROUNDS times in
//! turn with the others, and its shortest time counts. zune-jpeg decodes the full size, because it has no scaled decode.
//! jpeg-decoder decodes the least of 1/8, 1/4, 1/2 and 1 that is enough.

use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, fs};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use scaled_jpeg::{Request, read_structure};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

const SIDE: u32 = 600;
const ROUNDS: usize = 9;
const SIZES: [(u16, u16); 4] = [(1600, 1200), (3000, 2000), (4000, 3000), (6000, 4000)];

fn main() {
    let files: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let pictures: Vec<(String, Vec<u8>)> = if files.is_empty() {
        SIZES.iter().flat_map(|&size| [false, true].map(|progressive| draw(size, progressive))).collect()
    } else {
        files.into_iter().map(|file| (file.clone(), fs::read(&file).expect("cannot read the file"))).collect()
    };
    println!("{:36} {:>10} {:>16} {:>16}", "", "ours, ms", "jpeg-decoder", "zune-jpeg");
    let mut logarithms = [0.0; 2];
    for (name, jpeg) in &pictures {
        let [ours, scaled, full] = measure(jpeg).map(|time| time.as_secs_f64() * 1000.0);
        let ratios = [scaled / ours, full / ours];
        println!("{name:36} {ours:10.2} {scaled:8.2} ({:4.1}x) {full:8.2} ({:4.1}x)", ratios[0], ratios[1]);
        logarithms = [0, 1].map(|i| logarithms[i] + ratios[i].ln());
    }
    let [scaled, full] = logarithms.map(|sum| (sum / pictures.len() as f64).exp());
    println!("geometric mean of the ratios: jpeg-decoder {scaled:.2}, zune-jpeg {full:.2}");
}

/// The shortest time of each decoder.
fn measure(jpeg: &[u8]) -> [Duration; 3] {
    let mut shortest = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (shortest, decode) in shortest.iter_mut().zip([decode_ours, decode_scaled, decode_full]) {
            let started = Instant::now();
            decode(black_box(jpeg));
            *shortest = started.elapsed().min(*shortest);
        }
    }
    shortest
}

fn decode_ours(jpeg: &[u8]) {
    let structure = read_structure(jpeg, 100_000_000).expect("ours refuses the picture");
    black_box(structure.decode(&Request::at_least(SIDE, SIDE)).expect("ours refuses the picture"));
}

fn decode_scaled(jpeg: &[u8]) {
    let mut decoder = jpeg_decoder::Decoder::new(jpeg);
    decoder.read_info().expect("jpeg-decoder refuses the picture");
    let info = decoder.info().expect("jpeg-decoder has read the header");
    // The decoder may give less than it is asked for on one side, so this asks in proportion.
    let scale = f64::from(SIDE) / f64::from(info.width.min(info.height));
    let scaled = |side: u16| (f64::from(side) * scale).ceil() as u16;
    decoder.scale(scaled(info.width), scaled(info.height)).expect("jpeg-decoder scales");
    black_box(decoder.decode().expect("jpeg-decoder refuses the picture"));
}

fn decode_full(jpeg: &[u8]) {
    black_box(JpegDecoder::new(ZCursor::new(jpeg)).decode().expect("zune-jpeg refuses the picture"));
}

/// Something like a photograph: smooth areas, edges, and fine detail in places.
fn draw((width, height): (u16, u16), progressive: bool) -> (String, Vec<u8>) {
    let mut random = 1_u32;
    let mut noise = |most: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % most
    };
    let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(height) * 3);
    for y in 0..u32::from(height) {
        for x in 0..u32::from(width) {
            let (across, down) = (x * 256 / u32::from(width), y * 256 / u32::from(height));
            let is_detailed = (across / 32 + down / 32) % 3 == 0;
            let edge = if (x / 97 + y / 61) % 5 == 0 { 60 } else { 0 };
            let grain = if is_detailed { noise(24) } else { noise(4) };
            let tone = (across + edge) / 2 + grain;
            pixels.extend([tone + down / 4, tone + 20, 200 - tone / 2].map(|sample| sample.min(255) as u8));
        }
    }
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 80);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_progressive(progressive);
    encoder.encode(&pixels, width, height, ColorType::Rgb).expect("the encoder takes the picture");
    let megapixels = pixels.len() as f64 / 3e6;
    let kind = if progressive { "progressive" } else { "baseline" };
    (format!("{megapixels:4.1} Mpx, {kind}, {} KiB", jpeg.len() / 1024), jpeg)
}
