//! What a frame says of itself before its first macroblock (RFC 6386, section 9; the grammar is in section 19.2).
//!
//! Ten bytes in the clear give the size. The rest is coded: up to four *segments* of macroblocks that share a quantiser and a
//! filter strength, the loop filter, the number of partitions that the coefficients are spread over, quantisers, probabilities.

use super::LoopFilter;
use super::bool_decoder::BoolDecoder;
use super::probabilities::{COEFFICIENT_UPDATES, COEFFICIENTS};
use super::tables::{AC_STEPS, BANDS, DC_STEPS};
use crate::error::Undecodable;

const SEGMENTS: usize = 4;

/// The bytes before the first partition.
const CLEAR_BYTES: usize = 10;

/// What a key frame has behind its first three bytes.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

/// The probabilities of one kind of block, by position instead of by band. There is one position more than there are
/// coefficients, because what comes after the last one is looked up before it is known to be the last.
pub(super) type PositionProbabilities = [[[u8; 11]; 3]; 17];

pub(super) struct Header<'a> {
    pub width: u32,
    pub height: u32,
    /// What is left of the first partition: the macroblocks' modes.
    pub modes: BoolDecoder<'a>,
    /// The coefficients; the macroblocks' rows take turns.
    pub partitions: Vec<BoolDecoder<'a>>,
    /// How likely the decisions are that say which segment a macroblock is in; none if they are all in the first.
    pub segment_probabilities: Option<[u8; 3]>,
    /// How likely a macroblock is to have coefficients; none if they all have.
    pub coded_probability: Option<u8>,
    pub simple_filter: bool,
    pub segments: [Segment; SEGMENTS],
    /// By kind of block: luma without DC, the DCs of a macroblock's luma, chroma, luma with DC.
    pub coefficients: Box<[PositionProbabilities; 4]>,
}

/// What the macroblocks of a segment share.
#[derive(Clone, Copy, Default)]
pub(super) struct Segment {
    pub luma: Steps,
    pub luma_dc: Steps,
    pub chroma: Steps,
    /// The loop filter of a macroblock that is predicted as a whole, and of one in 4x4 blocks.
    pub filter: [FilterStrength; 2],
}

/// What a DC coefficient and every other one is multiplied by.
#[derive(Clone, Copy, Default)]
pub(super) struct Steps {
    pub dc: i16,
    pub ac: i16,
}

/// How much of a step between pixels is smoothed away (section 15).
#[derive(Clone, Copy, Default)]
pub(super) struct FilterStrength {
    /// A larger step across an edge is taken for part of the picture. It is 0 if there is no filter.
    pub edge_limit: u8,
    /// And so is a larger step beside the edge.
    pub interior_limit: u8,
    /// A larger step right beside the edge has only the two pixels at the edge changed.
    pub high_variance: u8,
}

pub(super) fn parse(vp8: &[u8], filter: LoopFilter) -> Result<Header<'_>, Undecodable> {
    let (width, height, first_bytes) = parse_clear(vp8)?;
    let after = &vp8[CLEAR_BYTES..];
    if first_bytes > after.len() {
        return Err(Undecodable::coded_data("the WebP ends in its first partition"));
    }
    let (first, after) = after.split_at(first_bytes);
    let mut bits = BoolDecoder::new(first);
    // The colour space has one value that is not reserved, and clamping what need not be clamped does no harm.
    bits.read_number(2);
    let segmentation = parse_segmentation(&mut bits);
    let (simple_filter, strengths) = parse_filter(&mut bits, &segmentation, filter);
    let partitions = split_partitions(after, 1 << bits.read_number(2))?;
    let mut segments = parse_quantisers(&mut bits, &segmentation);
    for (segment, filter) in segments.iter_mut().zip(strengths) {
        segment.filter = filter;
    }
    // Whether the probabilities outlive the frame is of no interest to a picture.
    bits.read_flag();
    let coefficients = parse_coefficients(&mut bits);
    let coded_probability = bits.read_flag().then(|| bits.read_number(8));
    if bits.ran_out() {
        return Err(Undecodable::coded_data("the WebP's first partition ends in its header"));
    }
    Ok(Header {
        width,
        height,
        modes: bits,
        partitions,
        segment_probabilities: segmentation.probabilities,
        coded_probability,
        simple_filter,
        segments,
        coefficients,
    })
}

/// Width, height and the length of the first partition. The two bits above each side ask a player to enlarge the picture;
/// WebP has no use for them.
pub(super) fn parse_clear(vp8: &[u8]) -> Result<(u32, u32, usize), Undecodable> {
    let &[t0, t1, t2, s0, s1, s2, w0, w1, h0, h1, ..] = vp8 else {
        return Err(Undecodable::coded_data("the WebP ends in its header"));
    };
    let tag = u32::from_le_bytes([t0, t1, t2, 0]);
    let (inter_frame, version, shown) = (tag & 1 == 1, tag >> 1 & 7, tag >> 4 & 1 == 1);
    if inter_frame || version > 3 || !shown {
        return Err(Undecodable::coded_data("the WebP does not begin with a frame of its own to show"));
    }
    if [s0, s1, s2] != START_CODE {
        return Err(Undecodable::coded_data("the WebP has no start code"));
    }
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    let (width, height) = (side(w0, w1), side(h0, h1));
    if width == 0 || height == 0 {
        return Err(Undecodable::coded_data("the WebP has no pixels"));
    }
    Ok((width, height, (tag >> 5) as usize))
}

/// Section 9.3.
#[derive(Default)]
struct Segmentation {
    probabilities: Option<[u8; 3]>,
    /// There are segments; each has its own quantiser and filter level.
    levels: Option<SegmentLevels>,
}

#[derive(Default)]
struct SegmentLevels {
    /// They stand for themselves, not for a difference from the frame's.
    absolute: bool,
    quantiser: [i32; SEGMENTS],
    filter: [i32; SEGMENTS],
}

impl Segmentation {
    fn quantiser(&self, segment: usize, base: i32) -> i32 {
        self.levels.as_ref().map_or(base, |own| own.quantiser[segment] + if own.absolute { 0 } else { base })
    }

    fn filter(&self, segment: usize, base: i32) -> i32 {
        self.levels.as_ref().map_or(base, |own| own.filter[segment] + if own.absolute { 0 } else { base })
    }
}

fn parse_segmentation(bits: &mut BoolDecoder) -> Segmentation {
    if !bits.read_flag() {
        return Segmentation::default();
    }
    let (update_map, update_levels) = (bits.read_flag(), bits.read_flag());
    // A key frame that has segments but no levels for them inherits "absolute", and levels of 0.
    let mut levels = SegmentLevels { absolute: true, ..SegmentLevels::default() };
    if update_levels {
        levels.absolute = bits.read_flag();
        levels.quantiser = std::array::from_fn(|_| bits.read_optional(7).unwrap_or(0));
        levels.filter = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
    }
    let mut probability = |_| if bits.read_flag() { bits.read_number(8) } else { 255 };
    let probabilities = update_map.then(|| std::array::from_fn(&mut probability));
    Segmentation { probabilities, levels: Some(levels) }
}

/// Whether the filter is the simple one, and how strong it is by segment (section 9.4).
fn parse_filter(
    bits: &mut BoolDecoder,
    segmentation: &Segmentation,
    wanted: LoopFilter,
) -> (bool, [[FilterStrength; 2]; SEGMENTS]) {
    let simple = bits.read_flag();
    let level = i32::from(bits.read_number(6));
    let sharpness = bits.read_number(3);
    // Of the levels' differences by reference frame and by mode, a key frame uses the first of each.
    let (mut intra_delta, mut subblock_delta) = (0, 0);
    if bits.read_flag() && bits.read_flag() {
        let mut first_of_four = || {
            let deltas: [_; 4] = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
            deltas[0]
        };
        (intra_delta, subblock_delta) = (first_of_four(), first_of_four());
    }
    let mut strengths = [[FilterStrength::default(); 2]; SEGMENTS];
    if level > 0 && wanted == LoopFilter::Full {
        for (segment, strengths) in strengths.iter_mut().enumerate() {
            let whole = segmentation.filter(segment, level) + intra_delta;
            *strengths = [whole, whole + subblock_delta].map(|level| strength(level, sharpness));
        }
    }
    (simple, strengths)
}

fn strength(level: i32, sharpness: u8) -> FilterStrength {
    let level = level.clamp(0, 63) as u8;
    if level == 0 {
        return FilterStrength::default();
    }
    let interior_limit = match sharpness {
        0 => level,
        1..=4 => (level >> 1).min(9 - sharpness),
        _ => (level >> 2).min(9 - sharpness),
    };
    let interior_limit = interior_limit.max(1);
    let high_variance = u8::from(level >= 15) + u8::from(level >= 40);
    FilterStrength { edge_limit: 2 * level + interior_limit, interior_limit, high_variance }
}

/// The partitions after the first: three bytes each for the length of all but the last, then the partitions (section 9.5).
fn split_partitions(bytes: &[u8], count: usize) -> Result<Vec<BoolDecoder<'_>>, Undecodable> {
    let too_short = || Undecodable::coded_data("the WebP ends before its last partition");
    let (lengths, mut rest) = bytes.split_at_checked(3 * (count - 1)).ok_or_else(too_short)?;
    let mut partitions = Vec::with_capacity(count);
    for length in lengths.chunks_exact(3) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], 0]) as usize;
        let (partition, after) = rest.split_at_checked(length).ok_or_else(too_short)?;
        partitions.push(BoolDecoder::new(partition));
        rest = after;
    }
    if rest.is_empty() {
        return Err(too_short());
    }
    partitions.push(BoolDecoder::new(rest));
    Ok(partitions)
}

/// The steps of each segment (sections 9.6 and 14.1).
fn parse_quantisers(bits: &mut BoolDecoder, segmentation: &Segmentation) -> [Segment; SEGMENTS] {
    let base = i32::from(bits.read_number(7));
    let mut delta = || bits.read_optional(4).unwrap_or(0);
    let (luma_dc, y2_dc, y2_ac, chroma_dc, chroma_ac) = (delta(), delta(), delta(), delta(), delta());
    let dc = |index: i32| DC_STEPS[index.clamp(0, 127) as usize];
    let ac = |index: i32| AC_STEPS[index.clamp(0, 127) as usize];
    std::array::from_fn(|segment| {
        let index = segmentation.quantiser(segment, base);
        let y2_ac = i32::from(ac(index + y2_ac)) * 155 / 100;
        Segment {
            luma: Steps { dc: dc(index + luma_dc), ac: ac(index) },
            luma_dc: Steps { dc: dc(index + y2_dc) * 2, ac: y2_ac.max(8) as i16 },
            chroma: Steps { dc: dc(index + chroma_dc).min(132), ac: ac(index + chroma_ac) },
            filter: Default::default(),
        }
    })
}

/// The probabilities, with the changes that the frame makes (section 13.4).
fn parse_coefficients(bits: &mut BoolDecoder) -> Box<[PositionProbabilities; 4]> {
    let mut by_position = Box::new([[[[0; 11]; 3]; 17]; 4]);
    for (kind, by_position) in by_position.iter_mut().enumerate() {
        let mut by_band = COEFFICIENTS[kind];
        let probabilities = by_band.as_flattened_mut().as_flattened_mut();
        let updates = COEFFICIENT_UPDATES[kind].as_flattened().as_flattened();
        for (probability, &update) in probabilities.iter_mut().zip(updates) {
            if bits.read(update) {
                *probability = bits.read_number(8);
            }
        }
        for (of_position, &band) in by_position.iter_mut().zip(&BANDS) {
            *of_position = by_band[usize::from(band)];
        }
    }
    by_position
}
