//! Tests that break good input in random ways and expect no panic.
//!
//! Everything that parses a stranger's bytes is run through this. A plain `cargo test` tries some thousands of cases a
//! target; `FUZZ_CASES=2000000 cargo test --release --lib fuzz` is the run that counts. A case depends on its number
//! alone, so one that fails is repeated, by itself, with `FUZZ_CASE=number`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const DEFAULT_CASES: u64 = 20_000;

/// Most cases change the input in a few places; one that is broken everywhere fails at its first byte.
const MAX_CHANGES: usize = 6;

/// Bytes at which parsers turn: ends of ranges, and the characters and markers that the formats are built of.
const TELLING_BYTES: &[u8] = b"\x00\x01\x02\x7F\x80\xFE\xFF\r\n \t\"\\;:=-,!<\xC0\xD9\xDA";

/// Values for length fields: ends of ranges and what lies beside them.
const TELLING_LENGTHS: [u32; 12] =
    [0, 1, 2, 3, 7, 8, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];

/// Runs `check` on every seed as it is, and then on mutations of them. It must return, not panic; it may assert what it
/// likes about its result.
pub fn run(target: &str, seeds: &[Vec<u8>], check: impl Fn(&[u8])) {
    for seed in seeds {
        check(seed);
    }
    let cases = match number_from("FUZZ_CASE") {
        Some(case) => case..case.saturating_add(1),
        None => 0..number_from("FUZZ_CASES").unwrap_or(DEFAULT_CASES),
    };
    for case in cases {
        let bytes = mutation(seeds, &mut Random::new(case));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&bytes))) {
            eprintln!("{target}: FUZZ_CASE={case} repeats this failure, whose input is {bytes:02x?}");
            resume_unwind(panic);
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

/// One of the seeds, changed in a few places.
pub fn mutation(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.choose(seeds).cloned().unwrap_or_default();
    for _ in 0..=random.below(MAX_CHANGES) {
        change(&mut bytes, seeds, random);
    }
    bytes
}

/// Changes the bytes in one way out of eight.
fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = at + random.below((bytes.len() - at).min(64));
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.extend_from_within(at..end),
        3 => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        4 => {
            let other = random.choose(seeds).map_or(&[][..], Vec::as_slice);
            let from = random.below(other.len());
            let to = from + random.below(other.len() - from);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        5 => change_length(bytes, at, random),
        6 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        _ => {
            if let (Some(byte), Some(telling)) = (bytes.get_mut(at), random.choose(TELLING_BYTES)) {
                *byte = *telling;
            }
        }
    }
}

/// Takes two or four bytes for a number, in either order, and puts a neighbour of it or a telling one in its place.
fn change_length(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = 2 + 2 * random.below(2);
    let Some(field) = bytes.get_mut(at..at + width) else { return };
    let big_endian = random.below(2) == 0;
    let mut number = [0; 4];
    number[4 - width..].copy_from_slice(field);
    if !big_endian {
        number[4 - width..].reverse();
    }
    let old = u32::from_be_bytes(number);
    let new = match random.below(4) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        _ => random.choose(&TELLING_LENGTHS).copied().unwrap_or(old),
    };
    field.copy_from_slice(&new.to_be_bytes()[4 - width..]);
    if !big_endian {
        field.reverse();
    }
}

/// SplitMix64: small, and good enough from any seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
