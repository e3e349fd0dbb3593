//! Decoding against libjpeg-turbo, which made the fixtures, and against another decoder in Rust, sample by sample.

#![allow(clippy::unwrap_used)]

mod pictures;

use jpeg_decoder::ColorTransform;
use jpeg_encoder::{ColorType, SamplingFactor};
use pictures::{Fixture, encode, find_marker, fixtures, noise};
use scaled_jpeg::{ColorModel, Damage, Decoded, Error, Region, Request, read_structure};

const MAX_PIXELS: u64 = 40_000_000;

fn decode(jpeg: &[u8], request: &Request) -> Result<Decoded, Error> {
    read_structure(jpeg, MAX_PIXELS)?.decode(request)
}

fn decode_whole(jpeg: &[u8]) -> Decoded {
    decode(jpeg, &Request::full_size()).unwrap()
}

#[test]
fn samples_are_those_of_libjpeg() {
    for Fixture { name, jpeg, samples, color_model } in fixtures() {
        let structure = read_structure(jpeg, MAX_PIXELS).unwrap();
        let (width, height) = (structure.width() as usize, structure.height() as usize);
        let decoded = structure.decode(&Request::full_size()).unwrap();
        assert_eq!(decoded.color_model, color_model, "{name}");
        for (plane, wanted) in decoded.planes.iter().zip(samples.chunks_exact(width * height)) {
            let rows = plane.samples.chunks_exact(plane.width as usize).zip(wanted.chunks_exact(width));
            let pairs: Vec<(u8, u8)> =
                rows.flat_map(|(row, wanted)| row.iter().copied().zip(wanted.iter().copied())).collect();
            assert_eq!(pairs.len(), width * height, "{name}");
            let off: Vec<u8> = pairs.iter().map(|(is, wanted)| is.abs_diff(*wanted)).collect();
            assert!(off.iter().all(|&off| off <= 1), "{name}: off by {:?}", off.iter().max());
            let sum: usize = off.iter().map(|&off| usize::from(off)).sum();
            assert!(sum * 10 <= off.len(), "{name}: {sum} samples of {} are rounded otherwise", off.len());
        }
    }
}

#[test]
fn samples_are_those_of_another_decoder() {
    let picture = noise(75, 53);
    let cases = [
        ("4:4:4", picture.encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_4_4))),
        ("4:2:2", picture.encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_2_2))),
        ("4:4:0", picture.encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_4_0))),
        ("4:2:0", picture.encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_2_0))),
        ("4:1:1", picture.encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_1_1))),
        ("restart markers", picture.encode(|encoder| encoder.set_restart_interval(2))),
        ("tables of its own", picture.encode(|encoder| encoder.set_optimized_huffman_tables(true))),
        ("a scan for each band", picture.encode(|encoder| encoder.set_progressive(true))),
        ("grey", encode(&[7, 200, 90, 33, 250].repeat(30 * 11), (50, 33), ColorType::Luma, |_| {})),
    ];
    for (name, jpeg) in cases {
        let mut other = jpeg_decoder::Decoder::new(jpeg.as_slice());
        let planes = decode_whole(&jpeg).planes;
        if planes.len() == 3 {
            // As if they were RGB already, so that nothing is converted.
            other.set_color_transform(ColorTransform::RGB);
        }
        let theirs = other.decode().unwrap();
        let info = other.info().unwrap();
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        // The other decoder gives subsampled planes only as it enlarges them.
        let whole: Vec<_> = planes.iter().filter(|plane| plane.width == planes[0].width).collect();
        let whole = whole.into_iter().filter(|plane| plane.height == planes[0].height);
        for (i, plane) in whole.enumerate() {
            for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
                let theirs = theirs[(y * width + x) * planes.len() + i];
                let off = plane.samples[y * plane.width as usize + x].abs_diff(theirs);
                assert!(off <= 2, "{name}: plane {i} is off by {off} at {x},{y}");
            }
        }
    }
}

/// Nearly: the average has a little of the detail that is finer than the smaller scale can show.
#[test]
fn a_scaled_plane_is_the_average_of_the_full_one() {
    for Fixture { name, jpeg, .. } in fixtures() {
        let structure = read_structure(jpeg, MAX_PIXELS).unwrap();
        let full = structure.decode(&Request::full_size()).unwrap();
        for n in [1, 2, 4] {
            let least = (structure.width() * n / 8, structure.height() * n / 8);
            let request = Request { region: None, at_least: least, chroma_at_least: (0, 0) };
            let scaled = structure.decode(&request).unwrap();
            let (full, scaled) = (&full.planes[0], &scaled.planes[0]);
            assert_eq!(scaled.eighths, n, "{name}");
            assert_eq!((scaled.width * 8, scaled.height * 8), (full.width * n, full.height * n), "{name}");
            let step = 8 / n;
            let mut off = 0;
            let inside = structure.width() / 8 * n * (structure.height() / 8 * n);
            for y in 0..structure.height() / 8 * n {
                for x in 0..structure.width() / 8 * n {
                    let covered = (0..step * step)
                        .map(|i| (y * step + i / step) * full.width + x * step + i % step)
                        .map(|at| u32::from(full.samples[at as usize]));
                    let average = covered.sum::<u32>() / (step * step);
                    off += average.abs_diff(scaled.samples[(y * scaled.width + x) as usize].into());
                }
            }
            assert!(off <= inside * 4, "{name} at {n}/8: off by {off} over {inside} samples");
        }
    }
}

#[test]
fn a_request_gives_the_least_scale_that_is_enough() {
    let jpeg = noise(803, 401).encode(|encoder| encoder.set_sampling_factor(SamplingFactor::R_4_2_0));
    let structure = read_structure(&jpeg, MAX_PIXELS).unwrap();
    for (at_least, luma, chroma) in [
        ((0, 0), 1, 1),
        ((100, 50), 1, 1),
        ((101, 0), 2, 2),
        ((0, 101), 3, 3),
        ((401, 200), 4, 5),
        ((803, 401), 8, 8),
        ((5000, 5000), 8, 8),
    ] {
        let (width, height) = at_least;
        let decoded = structure.decode(&Request::at_least(width, height)).unwrap();
        let eighths = decoded.planes.iter().map(|plane| plane.eighths).collect::<Vec<_>>();
        assert_eq!(eighths, [luma, chroma, chroma], "{at_least:?}");
        let region = decoded.planes[0].region;
        let scale = f64::from(luma) / 8.0;
        assert!((region.width - 803.0 * scale).abs() < 1.0 && (region.height - 401.0 * scale).abs() < 1.0);
    }
}

#[test]
fn only_the_region_is_decoded() {
    for Fixture { name, jpeg, .. } in fixtures() {
        let full = decode_whole(jpeg);
        let region = Region { left: 17.5, top: 9.0, width: 22.0, height: 30.5 };
        let part = decode(jpeg, &Request::full_size().with_region(region)).unwrap();
        let (full, part) = (&full.planes[0], &part.planes[0]);
        assert_eq!((part.width, part.height), (24, 32), "{name}");
        assert_eq!((part.region.left, part.region.top), (1.5, 1.0), "{name}");
        assert_eq!((part.region.width, part.region.height), (22.0, 30.5), "{name}");
        for (y, row) in part.samples.chunks_exact(24).enumerate() {
            let at = (y + 8) * full.width as usize + 16;
            assert_eq!(row, &full.samples[at..at + 24], "{name}");
        }
    }
}

#[test]
fn odd_regions_are_cut_off() {
    for region in [
        Region { left: -50.0, top: -50.0, width: 1000.0, height: 1000.0 },
        Region { left: 1e9, top: 0.0, width: 5.0, height: -5.0 },
        Region { left: f64::NAN, top: f64::INFINITY, width: f64::NAN, height: f64::INFINITY },
    ] {
        for Fixture { name, jpeg, .. } in fixtures() {
            let decoded = decode(jpeg, &Request::at_least(10, 10).with_region(region)).unwrap();
            for plane in decoded.planes {
                assert_eq!(plane.samples.len(), (plane.width * plane.height) as usize, "{name}");
            }
        }
    }
}

/// An encoder fills up the last blocks as it likes.
#[test]
fn the_last_column_and_row_are_repeated_beyond_the_picture() {
    for Fixture { name, jpeg, .. } in fixtures() {
        let structure = read_structure(jpeg, MAX_PIXELS).unwrap();
        let (width, height) = (structure.width() as usize, structure.height() as usize);
        let planes = structure.decode(&Request::full_size()).unwrap().planes;
        let rows: Vec<&[u8]> = planes[0].samples.chunks_exact(planes[0].width as usize).collect();
        assert!(rows.iter().all(|row| row[width..].iter().all(|&sample| sample == row[width - 1])), "{name}");
        assert!(rows[height..].iter().all(|row| *row == rows[height - 1]), "{name}");
    }
}

#[test]
fn missing_data_is_noticed_though_the_file_ends_as_it_should() {
    let picture = noise(200, 150);
    let whole = picture.encode(|_| {});
    let request = Request::at_least(60, 60);
    for share in [30, 50, 70, 90, 98] {
        let cut = [&whole[..whole.len() * share / 100], &[0xff, 0xd9]].concat();
        assert!(decode(&cut, &request).is_err(), "{share} % of it");
    }
    let mut restarts = picture.encode(|encoder| encoder.set_restart_interval(2));
    let marker = find_marker(&restarts, 0xd3);
    restarts[marker + 1] = 0xd5;
    let out_of_turn = decode(&restarts, &request).unwrap_err();
    assert_eq!(out_of_turn, Error::Damaged(Damage::RestartMarkers));
    restarts.drain(marker..marker + 2);
    assert_eq!(decode(&restarts, &request).unwrap_err(), Error::Damaged(Damage::RestartMarkers));
    let progressive = pictures::fixture("progressive_444").jpeg;
    let first = find_marker(progressive, 0xda);
    let is_marker = |pair: &[u8]| pair[0] == 0xff && pair[1] != 0;
    let length = 2 + progressive[first + 2..].windows(2).position(is_marker).unwrap();
    let headless = [&progressive[..first], &progressive[first + length..]].concat();
    assert_eq!(decode(&headless, &request).unwrap_err(), Error::Damaged(Damage::ComponentWithoutScan));
}

#[test]
fn every_proper_prefix_is_refused() {
    for Fixture { name, jpeg, .. } in fixtures() {
        for length in 0..jpeg.len() {
            let error = read_structure(&jpeg[..length], MAX_PIXELS).unwrap_err();
            assert!(matches!(error, Error::CutShort | Error::NotJpeg), "{name} at {length}: {error}");
        }
    }
}

#[test]
fn memory_grows_with_the_samples_asked_for_and_does_not_overflow() {
    let sequential = noise(640, 480).encode(|_| {});
    let progressive = noise(640, 480).encode(|encoder| encoder.set_progressive(true));
    let memory = |jpeg: &[u8], request| read_structure(jpeg, u64::MAX).unwrap().memory(&request);
    let full = memory(&sequential, Request::full_size());
    assert!(full >= 640 * 480 * 3 / 2);
    assert!(memory(&sequential, Request::at_least(80, 60)) < full);
    // A bit for each coefficient of each block.
    assert!(memory(&progressive, Request::at_least(80, 60)) >= 640 * 480 * 3 / 2 / 8);
    // One code of a progressive scan can stand for thousands of blocks, so the largest picture needs few bytes.
    let mut largest = pictures::flat_progressive();
    let frame = find_marker(&largest, 0xc2);
    largest[frame + 5..frame + 9].fill(0xff);
    let scan = find_marker(&largest, 0xda);
    largest.splice(scan + 10..scan + 10, vec![0; 9 << 20]);
    assert!(memory(&largest, Request::full_size()) > 65_535 * 65_535 * 3);
}

#[test]
fn inks_are_told_apart() {
    let inks = [90; 30 * 20 * 4];
    let model = |color| decode_whole(&encode(&inks, (30, 20), color, |_| {})).color_model;
    assert_eq!(model(ColorType::Cmyk), ColorModel::Cmyk);
    assert_eq!(model(ColorType::CmykAsYcck), ColorModel::Ycck);
}

#[test]
fn mutated_files_are_decoded_or_refused() {
    let mut seeds: Vec<Vec<u8>> = fixtures().map(|fixture| fixture.jpeg.to_vec()).collect();
    seeds.push(pictures::flat_progressive());
    samples::mutate::run("scaled-jpeg", &seeds, |jpeg| {
        let Ok(structure) = read_structure(jpeg, 100_000) else { return };
        let region = Region { left: 20.0, top: 10.0, width: 30.0, height: 30.0 };
        for request in [Request::full_size(), Request::at_least(9, 9).with_region(region)] {
            let Ok(decoded) = structure.decode(&request) else { continue };
            let held: u64 = decoded.planes.iter().map(|plane| plane.samples.len() as u64).sum();
            assert!(held <= structure.memory(&request));
        }
    });
}
