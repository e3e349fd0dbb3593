//! What one picture takes: the resident memory of a real server at its peak, for photographs and for the worst that is let in.
//!
//! A worker admits jobs by what [`cost`] says they will hold, so what is measured here is held to that as well. The pictures
//! are all under 1 MiB, and there is little in them: it is the dimensions that take memory.

use std::fs;

use ::pictures::cost;
use image_sharer::domain::format::MAX_IMAGE_BYTES;
use jpeg_encoder::JpegColorType;
use samples::largest;

use crate::curl::{curl, upload};
use crate::program::{LocalServer, wait_until};

/// `MAX_PIXELS`, as it is unless set.
const MAX_PIXELS: u64 = 40_000_000;

/// What the picture is, how it is made, and the limit in MiB.
type Case = (&'static str, fn() -> Vec<u8>, u64);

/// The limit is the most that the whole server may have had resident once the thumbnails are made. It is a quarter more than the
/// figure that was measured, which is in the comment; 5 MiB of that are the idle server's. For the widest PNG, GIF and WebP what
/// [`cost`] promised is the tighter limit.
const CASES: [Case; 11] = [
    ("JPEG, 24 megapixels", largest::photograph, 14), // 9
    ("JPEG, 24 megapixels, progressive", largest::progressive_photograph, 14), // 10
    ("JPEG, 4:4:4", || largest::largest_jpeg(JpegColorType::Ycbcr, false), 14), // 9
    ("JPEG, 4:4:4, progressive", || largest::largest_jpeg(JpegColorType::Ycbcr, true), 14), // 9
    ("JPEG, CMYK, progressive", || largest::largest_jpeg(JpegColorType::Cmyk, true), 14), // 11
    ("PNG, RGBA of 8 bits", || largest::png(8, 0), 215), // 172
    ("PNG, RGBA of 16 bits", || largest::png(16, 0), 580), // 464
    ("PNG, RGBA of 16 bits, interlaced", || largest::png(16, 1), 580), // 465
    ("GIF, a frame that leaves its canvas", largest::gif, 436), // 349
    ("WebP, lossless", largest::webp, 341),           // 273
    ("WebP, lossless, animated", largest::animated_webp, 580), // 464
];

#[test]
fn one_picture_takes_what_it_may() {
    let mut complaints = Vec::new();
    for (name, picture, limit) in CASES {
        let picture = picture();
        assert!(picture.len() <= MAX_IMAGE_BYTES, "{name} is of {} bytes", picture.len());
        let promised = cost(&picture, [100, 300, 600], MAX_PIXELS).unwrap();
        let server = LocalServer::start();
        let idle = resident_bytes(&server, "VmRSS:");
        let urls = upload(&server.url, &picture).urls();
        for (url, _) in urls.thumbnails() {
            wait_until(url, || (curl(&[url]).status == 200).then_some(()));
        }
        assert_eq!(server.program.count_lines_with(&["job", "outcome=done"]), 1, "{name} is no picture");
        let peak = resident_bytes(&server, "VmHWM:");
        let measured = format!(
            "{name}: {} MiB, {} of them before, {} promised, {} KiB of file",
            mib(peak),
            mib(idle),
            mib(promised),
            picture.len() / 1024
        );
        println!("{measured}");
        if peak > limit << 20 {
            complaints.push(format!("{measured}: over {limit} MiB"));
        }
        // The server holds the upload, and the worker what it fetched.
        if peak - idle > promised + 2 * picture.len() as u64 {
            complaints.push(format!("{measured}: over what was promised"));
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A line of /proc/PID/status (Linux).
fn resident_bytes(server: &LocalServer, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
