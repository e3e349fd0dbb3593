//! What is no picture, or not all of one, or more of one than anyone should decode.

use super::super::pictures::{
    find_marker, gif_descriptor, gif_on_canvas, hidden_red, jpeg_with, noise, png, png_insert, png_of, webp,
    webp_extended,
};
use super::*;
use samples::mutate::Random;

pub(super) fn pictures() -> Vec<Picture> {
    let kinds = [no_pictures(), other_processes(), bombs(), cut_short(), corrupted()];
    kinds.into_iter().flatten().collect()
}

fn no_pictures() -> Vec<Picture> {
    let cases: [(&str, &[u8]); 7] = [
        ("nothing", b""),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("a page of HTML", b"<!doctype html><script>alert(1)</script>"),
        ("a BMP", b"BM\x1e\0\0\0\0\0\0\0\x1a\0\0\0\x0c\0\0\0\x01\0\x01\0\x01\0\x18\0\0\0\xff\0"),
        ("a TIFF", b"II*\0\x08\0\0\0\0\0"),
        ("a PDF", b"%PDF-1.7\n"),
        ("an AVIF", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"),
    ];
    cases.map(|(name, file)| refused(name, file.to_vec(), "send a JPEG, PNG, GIF or WebP")).into()
}

/// Processes of the JPEG standard that no browser has.
fn other_processes() -> Vec<Picture> {
    let plain = jpeg_with(&scene(USUAL), |_| {});
    let frame = find_marker(&plain, 0xc0);
    let with = |at: usize, value: u8| {
        let mut file = plain.clone();
        file[frame + at] = value;
        file
    };
    vec![
        refused("JPEG, arithmetic", with(1, 0xc9), "arithmetic"),
        refused("JPEG, 12 bits", with(4, 12), "8 bits"),
        refused("JPEG, lossless", with(1, 0xc3), "lossless"),
        refused("JPEG, hierarchical", with(1, 0xc5), "hierarchical"),
        refused("JPEG, no components", with(9, 0), "component"),
        refused("JPEG, two components", with(9, 2), "component"),
        refused("JPEG, sampling of 5", with(11, 0x51), "sampl"),
        refused("JPEG, a table that is not there", with(12, 3), "table"),
    ]
}

fn bombs() -> Vec<Picture> {
    let mut jpeg = jpeg_with(&scene((64, 64)), |_| {});
    let frame = find_marker(&jpeg, 0xc0);
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut progressive = jpeg_with(&scene((64, 64)), |encoder| encoder.set_progressive(true));
    let frame = find_marker(&progressive, 0xc2);
    progressive[frame + 5..frame + 9].fill(0xff);
    let scans = jpeg_with(&scene(USUAL), |encoder| encoder.set_progressive(true));
    let (first, end) = (find_marker(&scans, 0xda), scans.len() - 2);
    let scans = [&scans[..first], &scans[first..end].repeat(200), &scans[end..]].concat();
    let mut frame_of_a_gif = gif_on_canvas(hidden_red(40, 40), (0, 0), (40, 40));
    let descriptor = gif_descriptor(&frame_of_a_gif);
    frame_of_a_gif[descriptor + 5..descriptor + 9].fill(0xff);
    vec![
        refused("JPEG of 65535x65535", jpeg, "pixels"),
        refused("JPEG of 65535x65535, progressive", progressive, "pixels"),
        refused("JPEG of endless scans", scans, "scans"),
        refused("PNG of 30000x30000", png_of((30_000, 30_000), [8, 6, 0], &[], &[0; 1000]), "pixels"),
        refused("PNG of 1x65536", png_of((1, 65_536), [1, 0, 0], &[], &[0; 2 * 65_536]), "side"),
        refused("PNG of 0x5", png_of((0, 5), [8, 6, 0], &[], &[0; 5]), ""),
        refused("GIF of 65535x65535", gif_on_canvas(hidden_red(4, 4), (0, 0), (65_535, 65_535)), "pixels"),
        refused("GIF with a frame of 65535x65535", frame_of_a_gif, "4294836225 pixels"),
        refused(
            "WebP of 50000x50000",
            webp_extended(0, (50_000, 50_000), &[(b"VP8L", &webp(scene((4, 4)))[20..])]),
            "pixels",
        ),
    ]
}

/// Files of every format that end at many places.
fn cut_short() -> Vec<Picture> {
    let picture = noise(400, 300);
    let lossy = include_bytes!("fixtures/lossy.webp").to_vec();
    let alpha = include_bytes!("fixtures/lossy_alpha.webp").to_vec();
    let whole = [
        ("JPEG", jpeg_with(&picture, |_| {})),
        ("JPEG, progressive", jpeg_with(&picture, |encoder| encoder.set_progressive(true))),
        ("JPEG, restart markers", jpeg_with(&picture, |encoder| encoder.set_restart_interval(9))),
        ("PNG", png(picture.clone())),
        ("GIF", super::super::pictures::gif(DynamicImage::from(picture.clone()).into_rgba8())),
        ("WebP, lossless", webp(picture)),
        ("WebP, lossy", lossy),
        ("WebP, lossy, transparent", alpha),
    ];
    let cut = whole.into_iter().flat_map(|(name, whole)| {
        let n = whole.len();
        let mut lengths = vec![3, 12, 30, 64, n / 8, n / 4, n / 2, n * 3 / 4, n - n / 16];
        if name.starts_with("JPEG") {
            // Of the others the end may hold nothing that is needed.
            lengths.extend([n - 400, n - 10, n - 3, n - 2, n - 1]);
        }
        lengths.into_iter().map(move |length| {
            refused(format!("{name}, {length} of {n} bytes"), whole[..length].to_vec(), "")
        })
    });
    cut.collect()
}

fn corrupted() -> Vec<Picture> {
    let picture = noise(400, 300);
    let with_noise = |whole: Vec<u8>, at: usize| {
        let mut random = Random::new(at as u64 + 1);
        let mut file = whole;
        file[at..at + 300].fill_with(|| random.below(256) as u8);
        // In a JPEG, which takes nearly anything for coded data, a marker that does not exist.
        file[at + 150..at + 152].copy_from_slice(&[0xff, 0x02]);
        file
    };
    let [jpeg, progressive] =
        [false, true].map(|progressive| jpeg_with(&picture, |encoder| encoder.set_progressive(progressive)));
    let png = png(picture.clone());
    let wrong_checksum = |chunk: &[u8; 4]| {
        let mut file = png.clone();
        let name = file.windows(4).position(|name| name == chunk).unwrap();
        let length = u32::from_be_bytes(*file[name - 4..].first_chunk().unwrap()) as usize;
        file[name + 4 + length] ^= 1;
        file
    };
    let mut bad_text = png_insert(&png, b"tEXt", b"Comment\0harmless");
    bad_text[33 + 8 + 16] ^= 1;
    let middle = |file: &[u8]| file.len() / 2;
    vec![
        refused("JPEG, noise in the middle", with_noise(jpeg.clone(), middle(&jpeg)), ""),
        refused("JPEG, noise near the end", with_noise(jpeg.clone(), jpeg.len() - 400), ""),
        refused(
            "JPEG, progressive, noise in the middle",
            with_noise(progressive.clone(), middle(&progressive)),
            "",
        ),
        refused("PNG, noise in the middle", with_noise(png.clone(), middle(&png)), ""),
        refused("PNG, a bad checksum of the header", wrong_checksum(b"IHDR"), ""),
        refused("PNG, a bad checksum of the data", wrong_checksum(b"IDAT"), "checksum"),
        refused("PNG, a bad checksum of a text", bad_text, "checksum"),
    ]
}
