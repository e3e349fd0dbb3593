//! The coefficients of a macroblock's 4x4 blocks (RFC 6386, section 13), multiplied by their quantiser's steps.
//!
//! Here is where most of a decode's time goes: a dozen million bools for a file of 1 MB. So the decoder's state is copied into
//! a variable that the compiler can keep in registers.

use super::bool_decoder::BoolDecoder;
use super::header::{PositionProbabilities, Segment, Steps};
use super::tables::{EXTRA_BITS, ZIGZAG};
use super::transform::inverse_wht;

/// The coefficients of a 4x4 block, row by row.
pub type Block = [i16; 16];

pub const LUMA_BLOCKS: usize = 16;

/// Kinds of block, as the probabilities are sorted.
const LUMA_WITHOUT_DC: usize = 0;
const LUMA_DC: usize = 1;
const CHROMA: usize = 2;
const LUMA_WITH_DC: usize = 3;

/// What there is to add to a block's prediction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Nothing,
    OnlyDc,
    Full,
}

/// The blocks of a macroblock: sixteen of luma, four of U, four of V.
pub struct Coefficients {
    pub blocks: [Block; 24],
    pub contents: [Content; 24],
}

impl Coefficients {
    pub const fn new() -> Coefficients {
        Coefficients { blocks: [[0; 16]; 24], contents: [Content::Nothing; 24] }
    }

    pub fn are_zero(&self) -> bool {
        self.contents.iter().all(|content| *content == Content::Nothing)
    }

    pub fn clear(&mut self) {
        for (block, content) in self.blocks.iter_mut().zip(&mut self.contents) {
            if *content != Content::Nothing {
                *block = [0; 16];
                *content = Content::Nothing;
            }
        }
    }
}

/// Which blocks along one side of a macroblock have coefficients: how its neighbour's blocks begin is coded by that.
#[derive(Clone, Copy, Default)]
pub struct Edge {
    luma: [u8; 4],
    /// Of U, then of V.
    chroma: [[u8; 2]; 2],
    /// The luma's DCs, where they are coded apart.
    luma_dc: u8,
}

impl Edge {
    /// What a macroblock without coefficients leaves. One that has no DCs apart does not say anything about them.
    pub fn skip(&mut self, has_luma_dc: bool) {
        *self = Edge { luma_dc: if has_luma_dc { 0 } else { self.luma_dc }, ..Edge::default() };
    }
}

/// Reads into `out`, which is clear, what a macroblock has.
pub fn parse(
    partition: &mut BoolDecoder,
    probabilities: &[PositionProbabilities; 4],
    segment: &Segment,
    has_luma_dc: bool,
    [above, left]: [&mut Edge; 2],
    out: &mut Coefficients,
) {
    let mut bits = *partition;
    let (luma_blocks, chroma_blocks) = out.blocks.split_at_mut(LUMA_BLOCKS);
    let (luma_contents, chroma_contents) = out.contents.split_at_mut(LUMA_BLOCKS);
    let kind = if has_luma_dc { LUMA_WITHOUT_DC } else { LUMA_WITH_DC };
    if has_luma_dc {
        let mut dcs = [0; 16];
        let context = above.luma_dc + left.luma_dc;
        let end = parse_block(&mut bits, &probabilities[LUMA_DC], context, segment.luma_dc, 0, &mut dcs);
        above.luma_dc = u8::from(end > 0);
        left.luma_dc = above.luma_dc;
        if end > 0 {
            for (block, dc) in luma_blocks.iter_mut().zip(inverse_wht(&dcs)) {
                block[0] = dc;
            }
        }
    }
    let first = usize::from(has_luma_dc);
    let luma = (&mut above.luma[..], &mut left.luma[..]);
    parse_plane(&mut bits, &probabilities[kind], segment.luma, first, luma, (luma_blocks, luma_contents));
    for (plane, (above, left)) in above.chroma.iter_mut().zip(&mut left.chroma).enumerate() {
        let blocks = &mut chroma_blocks[4 * plane..4 * plane + 4];
        let contents = &mut chroma_contents[4 * plane..4 * plane + 4];
        let edges = (&mut above[..], &mut left[..]);
        parse_plane(&mut bits, &probabilities[CHROMA], segment.chroma, 0, edges, (blocks, contents));
    }
    *partition = bits;
}

/// The blocks of one plane of a macroblock, row by row, from coefficient number `first` on.
#[inline(always)]
fn parse_plane(
    bits: &mut BoolDecoder,
    probabilities: &PositionProbabilities,
    steps: Steps,
    first: usize,
    (above, left): (&mut [u8], &mut [u8]),
    (blocks, contents): (&mut [Block], &mut [Content]),
) {
    let mut blocks = blocks.iter_mut().zip(contents);
    for left in left {
        for (above, (block, content)) in above.iter_mut().zip(&mut blocks) {
            let end = parse_block(bits, probabilities, *above + *left, steps, first, block);
            *above = u8::from(end > first);
            *left = *above;
            *content = match end {
                0 | 1 if block[0] == 0 => Content::Nothing,
                0 | 1 => Content::OnlyDc,
                _ => Content::Full,
            };
        }
    }
}

/// One block. Gives the number of the coefficient after the last that is not zero, or `first` if all are.
#[inline(always)]
fn parse_block(
    bits: &mut BoolDecoder,
    probabilities: &PositionProbabilities,
    context: u8,
    steps: Steps,
    first: usize,
    block: &mut Block,
) -> usize {
    let mut position = first;
    let mut decisions = &probabilities[first][usize::from(context.min(2))];
    let mut step = if first == 0 { steps.dc } else { steps.ac };
    while bits.read(decisions[0]) {
        while !bits.read(decisions[1]) {
            position += 1;
            step = steps.ac;
            if position == 16 {
                return 16;
            }
            decisions = &probabilities[position][0];
        }
        let next = &probabilities[position + 1];
        let magnitude = if bits.read(decisions[2]) {
            let magnitude = parse_magnitude(bits, decisions);
            decisions = &next[2];
            magnitude
        } else {
            decisions = &next[1];
            1
        };
        // Only a hostile file overflows here.
        block[usize::from(ZIGZAG[position])] = (bits.read_sign(magnitude) * i32::from(step)) as i16;
        step = steps.ac;
        position += 1;
        if position == 16 {
            return 16;
        }
    }
    position
}

/// A coefficient that is neither 0 nor 1 nor -1, without its sign (section 13.2).
#[inline(never)]
fn parse_magnitude(bits: &mut BoolDecoder, decisions: &[u8; 11]) -> i32 {
    if !bits.read(decisions[3]) {
        if !bits.read(decisions[4]) {
            return 2;
        }
        return 3 + i32::from(bits.read(decisions[5]));
    }
    if !bits.read(decisions[6]) {
        if !bits.read(decisions[7]) {
            return 5 + i32::from(bits.read(159));
        }
        let high = i32::from(bits.read(165));
        return 7 + 2 * high + i32::from(bits.read(145));
    }
    let high = usize::from(bits.read(decisions[8]));
    let category = 2 * high + usize::from(bits.read(decisions[9 + high]));
    let extra = EXTRA_BITS[category].iter().fold(0, |extra, &p| 2 * extra + i32::from(bits.read(p)));
    3 + (8 << category) + extra
}
