//! Decodes frames to planes, next to image-webp's `Vp8Decoder::decode_frame`, and prints how long each takes.
//!
//!     python3 crates/vp8-keyframe/tests/fixtures/make.py --bench
//!     cargo bench --manifest-path crates/vp8-keyframe/benches/Cargo.toml
//!     cargo bench --manifest-path crates/vp8-keyframe/benches/Cargo.toml -- FILE.webp …
//!
//! The first line draws frames of 2 and 12 megapixels to `benches/frames`. Each file must be a WebP whose first chunk is `VP8 `.
//! Each decoder decodes on one thread, ROUNDS times in turn with the others, and its shortest time counts.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs};

use image_webp::vp8::Vp8Decoder;
use vp8_keyframe::{FrameHeader, LoopFilter, Options};

const ROUNDS: usize = 9;

/// RIFF, a length, WEBP, VP8, a length.
const BEFORE_FRAME: usize = 20;

fn main() {
    let files = env::args().skip(1).filter(|argument| !argument.starts_with("--")).map(PathBuf::from);
    let mut files: Vec<PathBuf> = files.collect();
    if files.is_empty() {
        let frames = concat!(env!("CARGO_MANIFEST_DIR"), "/frames");
        let found = fs::read_dir(frames).expect("there are no frames: run make.py --bench");
        files = found.map(|entry| entry.expect("cannot list the frames").path()).collect();
        files.sort();
    }
    println!(
        "{:28} {:>9} {:>9} {:>20} {:>16}",
        "", "pixels", "ours, ms", "ours without filter", "image-webp"
    );
    let mut logarithms = [0.0; 2];
    for file in &files {
        let webp = fs::read(file).expect("cannot read the frame");
        let vp8 = &webp[BEFORE_FRAME..];
        let header = FrameHeader::parse(vp8).expect("ours refuses the frame");
        let [ours, unfiltered, theirs] = measure(vp8).map(|time| time.as_secs_f64() * 1000.0);
        let ratios = [theirs / ours, theirs / unfiltered];
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let pixels = header.width() * header.height();
        println!(
            "{name:28} {pixels:9} {ours:9.2} {unfiltered:20.2} {theirs:10.2} ({:3.2}x, {:3.2}x)",
            ratios[0], ratios[1]
        );
        logarithms = [0, 1].map(|i| logarithms[i] + ratios[i].ln());
    }
    let [ours, unfiltered] = logarithms.map(|sum| (sum / files.len() as f64).exp());
    println!(
        "image-webp takes {ours:.2} times as long, {unfiltered:.2} times without our filter (geometric means)"
    );
}

/// The shortest time of each decoder.
fn measure(vp8: &[u8]) -> [Duration; 3] {
    let mut shortest = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (shortest, decode) in shortest.iter_mut().zip([decode_ours, decode_unfiltered, decode_theirs]) {
            let started = Instant::now();
            decode(black_box(vp8));
            *shortest = started.elapsed().min(*shortest);
        }
    }
    shortest
}

fn decode_ours(vp8: &[u8]) {
    black_box(vp8_keyframe::decode(vp8, Options::default()).expect("ours refuses the frame"));
}

fn decode_unfiltered(vp8: &[u8]) {
    let options = Options::default().with_loop_filter(LoopFilter::Skip);
    black_box(vp8_keyframe::decode(vp8, options).expect("ours refuses the frame"));
}

fn decode_theirs(vp8: &[u8]) {
    black_box(Vp8Decoder::decode_frame(vp8).expect("image-webp refuses the frame"));
}
