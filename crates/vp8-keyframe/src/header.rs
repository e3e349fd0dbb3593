//! The frame header (RFC 6386, section 9; section 19.2 has its grammar).
//!
//! Its first ten bytes are in the clear. The rest is coded, at the start of the first partition: up to four *segments* of
//! macroblocks that share quantizers and a filter level, the loop filter, the number of partitions that hold the coefficients,
//! the quantizers, and probabilities.

use std::fmt;

use crate::bool_decoder::BoolDecoder;
use crate::decoder;
use crate::filter::{FilterStrength, parse_filter};
use crate::probabilities::{COEFFICIENT_UPDATES, COEFFICIENTS};
use crate::quantizers::{Quantizers, parse_quantizers};
use crate::tables::BANDS;
use crate::{Error, Frame, Options};

pub(crate) const SEGMENTS: usize = 4;

/// The bytes before the first partition.
const CLEAR_BYTES: usize = 10;

/// The bytes 3 to 5 of a key frame.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

/// The probabilities of one kind of block, by position instead of by band. There is one position more than coefficients,
/// because the decoder looks up the next position before it knows whether this one was the last.
pub(crate) type PositionProbabilities = [[[u8; 11]; 3]; 17];

/// The header of a key frame (RFC 6386, section 9), read but for the macroblocks.
///
/// It borrows the frame's bytes. To read it takes microseconds whatever the frame's size, and some 3 KB of memory.
///
/// Whatever can be wrong with a frame [`FrameHeader::parse`] finds, but for coded data that end too early. VP8 has no checksums
/// and no forbidden codes, so nothing else can be wrong with the data.
pub struct FrameHeader<'a> {
    clear: ClearHeader,
    color_space: u8,
    /// What is left of the first partition: the macroblocks' modes.
    pub(crate) modes: BoolDecoder<'a>,
    /// The coefficients. The rows of macroblocks take turns.
    pub(crate) partitions: Vec<BoolDecoder<'a>>,
    /// The probabilities of the decisions that select a macroblock's segment. Without them all are in the first.
    pub(crate) segment_probabilities: Option<[u8; 3]>,
    /// The probability that a macroblock has coefficients. Without it all have.
    pub(crate) coded_probability: Option<u8>,
    pub(crate) has_simple_filter: bool,
    pub(crate) segments: [Segment; SEGMENTS],
    /// By kind of block: luma without DC, the DCs of a macroblock's luma, chroma, luma with DC.
    pub(crate) coefficients: Box<[PositionProbabilities; 4]>,
}

/// What the macroblocks of a segment share.
#[derive(Clone, Copy, Default)]
pub(crate) struct Segment {
    pub(crate) quantizers: Quantizers,
    /// The loop filter of a macroblock that is predicted as a whole, and of one that is predicted in 4x4 blocks.
    pub(crate) filter: [FilterStrength; 2],
}

impl<'a> FrameHeader<'a> {
    /// Reads the header of a key frame, and where its partitions lie.
    ///
    /// # Errors
    ///
    /// All of [`Error`] but [`Error::MacroblocksCutShort`]. What this accepts, [`FrameHeader::decode`] can start to decode.
    pub fn parse(bytes: &'a [u8]) -> Result<FrameHeader<'a>, Error> {
        let (clear, partitions) = ClearHeader::parse(bytes)?;
        let (first, coefficient_partitions) = partitions
            .split_at_checked(clear.first_partition_size as usize)
            .ok_or(Error::FirstPartitionCutShort)?;
        let mut bits = BoolDecoder::new(first);
        let color_space = bits.read_number(1);
        // The clamping type: clamping what need not be clamped does no harm.
        bits.read_flag();
        let segmentation = parse_segmentation(&mut bits);
        let (has_simple_filter, filters) = parse_filter(&mut bits, &segmentation);
        let partition_count = 1 << bits.read_number(2);
        let quantizers = parse_quantizers(&mut bits, &segmentation);
        // Whether the probabilities outlive the frame does not matter to a single frame.
        bits.read_flag();
        let coefficients = parse_coefficient_probabilities(&mut bits);
        let coded_probability = bits.read_flag().then(|| bits.read_number(8));
        if bits.ran_out() {
            return Err(Error::HeaderCutShort);
        }
        Ok(FrameHeader {
            clear,
            color_space,
            modes: bits,
            partitions: split_partitions(coefficient_partitions, partition_count)?,
            segment_probabilities: segmentation.probabilities,
            coded_probability,
            has_simple_filter,
            segments: std::array::from_fn(|i| Segment { quantizers: quantizers[i], filter: filters[i] }),
            coefficients,
        })
    }

    /// In pixels, 1 to 16383.
    pub fn width(&self) -> u32 {
        self.clear.width.into()
    }

    /// In pixels, 1 to 16383.
    pub fn height(&self) -> u32 {
        self.clear.height.into()
    }

    /// How much a player is asked to enlarge the picture: 0 not at all, 1 by 5/4, 2 by 5/3, 3 by 2 (section 9.1). WebP has no
    /// use for it. The planes that [`FrameHeader::decode`] returns are never enlarged.
    pub fn horizontal_scale(&self) -> u8 {
        self.clear.horizontal_scale
    }

    /// The same for the height.
    pub fn vertical_scale(&self) -> u8 {
        self.clear.vertical_scale
    }

    /// 0 to 3 (section 9.1). It selects what inter frames are predicted with, and changes nothing in a key frame.
    pub fn version(&self) -> u8 {
        self.clear.version
    }

    /// 0 for Y'CbCr of BT.601. 1 is reserved (section 9.2): libwebp and this decoder take it for 0, others refuse it.
    pub fn color_space(&self) -> u8 {
        self.color_space
    }

    /// In bytes: the partition with this header and the macroblocks' modes.
    pub fn first_partition_size(&self) -> u32 {
        self.clear.first_partition_size
    }

    /// How many partitions hold the coefficients: 1, 2, 4 or 8 (section 9.5).
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// The bytes of memory that [`FrameHeader::decode`] holds at its peak, this header and the frame that it returns included:
    /// a byte and a half for each pixel of whole macroblocks of 16x16 pixels, and some 60 bytes for each column of them.
    pub fn memory(&self) -> u64 {
        (size_of::<Self>() + size_of_val(&*self.coefficients)) as u64
            + 2 * size_of_val(&*self.partitions) as u64
            + decoder::memory(self)
    }

    /// Decodes the macroblocks.
    ///
    /// # Errors
    ///
    /// [`Error::MacroblocksCutShort`] if the coded data end too early.
    pub fn decode(&self, options: Options) -> Result<Frame, Error> {
        decoder::decode(self, options.loop_filter)
    }
}

impl fmt::Debug for FrameHeader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameHeader")
            .field("clear", &self.clear)
            .field("color_space", &self.color_space)
            .field("partition_count", &self.partition_count())
            .finish_non_exhaustive()
    }
}

/// The part of the header that is not coded (section 9.1).
#[derive(Debug)]
struct ClearHeader {
    version: u8,
    first_partition_size: u32,
    width: u16,
    height: u16,
    horizontal_scale: u8,
    vertical_scale: u8,
}

impl ClearHeader {
    /// Gives what comes after it too.
    fn parse(bytes: &[u8]) -> Result<(ClearHeader, &[u8]), Error> {
        let (clear, rest) = bytes.split_first_chunk::<CLEAR_BYTES>().ok_or(Error::TooShort)?;
        let [t0, t1, t2, s0, s1, s2, w0, w1, h0, h1] = *clear;
        let tag = u32::from_le_bytes([t0, t1, t2, 0]);
        let version = (tag >> 1 & 7) as u8;
        if tag & 1 == 1 {
            return Err(Error::NotKeyFrame);
        }
        if version > 3 {
            return Err(Error::UnknownVersion(version));
        }
        if tag >> 4 & 1 == 0 {
            return Err(Error::Hidden);
        }
        if [s0, s1, s2] != START_CODE {
            return Err(Error::NoStartCode);
        }
        let (width, height) = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
        let header = ClearHeader {
            version,
            first_partition_size: tag >> 5,
            width: width & 0x3fff,
            height: height & 0x3fff,
            horizontal_scale: (width >> 14) as u8,
            vertical_scale: (height >> 14) as u8,
        };
        if header.width == 0 || header.height == 0 {
            return Err(Error::NoPixels);
        }
        Ok((header, rest))
    }
}

/// Section 9.3.
#[derive(Default)]
pub(crate) struct Segmentation {
    probabilities: Option<[u8; 3]>,
    /// Each segment's own levels, if there are segments.
    levels: Option<SegmentLevels>,
}

#[derive(Default)]
struct SegmentLevels {
    /// Whether the levels replace the frame's. Otherwise they are added to it.
    are_absolute: bool,
    quantizers: [i32; SEGMENTS],
    filters: [i32; SEGMENTS],
}

impl Segmentation {
    /// The quantizer index of a segment, where the frame's is `base`.
    pub(crate) fn quantizer(&self, segment: usize, base: i32) -> i32 {
        self.levels.as_ref().map_or(base, |own| own.quantizers[segment] + own.base(base))
    }

    /// The filter level of a segment, where the frame's is `base`.
    pub(crate) fn filter(&self, segment: usize, base: i32) -> i32 {
        self.levels.as_ref().map_or(base, |own| own.filters[segment] + own.base(base))
    }
}

impl SegmentLevels {
    fn base(&self, base: i32) -> i32 {
        if self.are_absolute { 0 } else { base }
    }
}

fn parse_segmentation(bits: &mut BoolDecoder) -> Segmentation {
    if !bits.read_flag() {
        return Segmentation::default();
    }
    let (has_map, has_levels) = (bits.read_flag(), bits.read_flag());
    // A key frame that has segments but no levels for them starts from absolute levels of 0.
    let mut levels = SegmentLevels { are_absolute: true, ..SegmentLevels::default() };
    if has_levels {
        levels.are_absolute = bits.read_flag();
        levels.quantizers = std::array::from_fn(|_| bits.read_optional(7).unwrap_or(0));
        levels.filters = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
    }
    let mut probability = |_| if bits.read_flag() { bits.read_number(8) } else { 255 };
    let probabilities = has_map.then(|| std::array::from_fn(&mut probability));
    Segmentation { probabilities, levels: Some(levels) }
}

/// The partitions after the first: three bytes each for the length of all but the last, then the partitions (section 9.5).
fn split_partitions(bytes: &[u8], count: usize) -> Result<Vec<BoolDecoder<'_>>, Error> {
    let (lengths, mut rest) = bytes.split_at_checked(3 * (count - 1)).ok_or(Error::PartitionsCutShort)?;
    let mut partitions = Vec::with_capacity(count);
    for length in lengths.chunks_exact(3) {
        let length = u32::from_le_bytes([length[0], length[1], length[2], 0]) as usize;
        let (partition, after) = rest.split_at_checked(length).ok_or(Error::PartitionsCutShort)?;
        partitions.push(BoolDecoder::new(partition));
        rest = after;
    }
    if rest.is_empty() {
        return Err(Error::PartitionsCutShort);
    }
    partitions.push(BoolDecoder::new(rest));
    Ok(partitions)
}

/// The probabilities of coefficients, with the changes that the frame makes (section 13.4).
fn parse_coefficient_probabilities(bits: &mut BoolDecoder) -> Box<[PositionProbabilities; 4]> {
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
