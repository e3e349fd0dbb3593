//! What `inspect` accepts and what `thumbnails` can do agree.
//!
//! Whatever happens to a picture's bytes: what `inspect` refuses, `thumbnails` and `cost` refuse with the same reason; and what
//! `inspect` accepts is made, or fails for a fault that only the coded data can show. The decoders' errors are told apart here,
//! so that a check which is missing from a walk is seen: then a decoder complains of the structure.

use std::error::Error;

use samples::mutate::Random;
use samples::{seeds, small};

use super::Png;
use crate::{Fit, Format, Undecodable, cost, format_of, inspect, thumbnails};

/// For mutations: small enough that a mutated header cannot ask for a slow decode.
const MAX_PIXELS: u64 = 100_000;

/// Small, since it is not the scaling that is tested.
const SIDES: [u32; 3] = [2, 4, 8];

/// The small pictures, the fuzzer's seeds, and the corpus: whole ones and those that are refused.
fn pictures() -> Vec<Vec<u8>> {
    let small = small::all().into_iter().map(|sample| sample.bytes);
    let seeds = seeds::all().into_iter().map(|seed| seed.bytes);
    small.chain(seeds).chain(super::corpus::files()).collect()
}

fn check(bytes: &[u8], max_pixels: u64) {
    check_as_is(bytes, max_pixels);
    if format_of(bytes) == Some(Format::Png) {
        check_as_is(&small::mend_checksums(bytes), max_pixels);
    }
}

fn check_as_is(bytes: &[u8], max_pixels: u64) {
    let fit = if bytes.len().is_multiple_of(2) { Fit::Cover } else { Fit::Contain };
    let made = thumbnails(bytes, Png, fit, SIDES, max_pixels);
    let admitted = cost(bytes, SIDES, max_pixels);
    match inspect(bytes, max_pixels) {
        Err(refused) => {
            assert_eq!(admitted, Err(refused));
            let made = made.expect_err("inspect refuses it");
            assert!(matches!(&made, Undecodable::Structure(same) if *same == refused), "{refused}: {made}");
        }
        Ok(accepted) => {
            assert!(admitted.is_ok());
            if let Err(error) = made {
                assert!(is_fault_of_coded_data(accepted.format, &error), "{accepted:?}: {error:?}");
            }
        }
    }
}

fn is_fault_of_coded_data(format: Format, error: &Undecodable) -> bool {
    let Undecodable::CodedData(cause) = error else { return false };
    match format {
        Format::Jpeg => is(&**cause, scaled_jpeg::Error::Damaged(scaled_jpeg::Damage::CodedData)),
        Format::Png => is_one_of(&**cause, PNG_CODED_DATA),
        Format::Gif => is_one_of(&**cause, &["LzwError", "image truncated"]),
        Format::WebP => match cause.downcast_ref() {
            Some(vp8_keyframe::Error::MacroblocksCutShort { .. }) => true,
            Some(_) => false,
            None => is_one_of(&**cause, WEBP_CODED_DATA),
        },
    }
}

/// The png crate's names for what is wrong in the compressed rows. The filter is a row's.
const PNG_CODED_DATA: &[&str] =
    &["CorruptFlateStream", "NoMoreImageData", "UnexpectedEof", "UnknownFilterMethod"];

/// image-webp's names for what is wrong in a bitstream behind its header.
const WEBP_CODED_DATA: &[&str] = &[
    "BitStreamError",
    "HuffmanError",
    "InvalidColorCacheBits",
    "TransformError",
    "LumaPredictionModeInvalid",
    "IntraPredictionModeInvalid",
    "ChromaPredictionModeInvalid",
    "NotEnoughInitData",
];

fn is<E: Error + PartialEq + 'static>(cause: &(dyn Error + Send + Sync + 'static), wanted: E) -> bool {
    cause.downcast_ref::<E>().is_some_and(|error| *error == wanted)
}

/// By the names of variants, which `image` hides in a boxed error.
fn is_one_of(cause: &(dyn Error + Send + Sync), names: &[&str]) -> bool {
    let text = format!("{cause:?}");
    names.iter().any(|name| text.contains(name))
}

#[test]
fn what_is_accepted_fails_by_its_coded_data_alone() {
    let pictures = pictures();
    for picture in &pictures {
        check(picture, 40_000_000);
    }
    let small: Vec<_> = pictures.into_iter().filter(|picture| picture.len() < 8192).collect();
    samples::mutate::run("agreement", &small, |bytes| check(bytes, MAX_PIXELS));
}

/// A picture whose parts are dropped, doubled, moved and cut, with its coded data as it is: it is refused, or it is made.
#[test]
fn what_is_accepted_with_sound_coded_data_is_made() {
    let pictures: Vec<_> = small::all().into_iter().map(|sample| sample.bytes).collect();
    for case in 0..2000 {
        let random = &mut Random::new(case);
        let Some(picture) = random.choose(&pictures) else { return };
        let changed = small::rearrange(picture, random);
        if inspect(&changed, MAX_PIXELS).is_ok() {
            let made = thumbnails(&changed, Png, Fit::Contain, SIDES, MAX_PIXELS);
            assert!(made.is_ok(), "case {case}: {:?} {changed:x?}", made.err());
        }
    }
}
