//! The coefficients of a macroblock's 4x4 blocks (RFC 6386, section 13), multiplied by their quantiser's steps.
//!
//! Half of a decode's time goes here: a file of 1 MB has some ten million bools. So the decoder's state is copied into a
//! variable that the compiler can keep in registers.

use super::bool_decoder::BoolDecoder;
use super::header::{PositionProbabilities, Segment, Steps};
use super::tables::{EXTRA_BITS, ZIGZAG};
use super::transform::{inverse_dct, inverse_dct_of_dc, inverse_wht};

/// The coefficients of a 4x4 block, row by row.
pub(super) type Block = [i16; 16];

pub(super) const LUMA_BLOCKS: usize = 16;

/// Kinds of block, as the probabilities are sorted.
const LUMA_WITHOUT_DC: usize = 0;
const LUMA_DC: usize = 1;
const CHROMA: usize = 2;
const LUMA_WITH_DC: usize = 3;

/// What there is to add to a block's prediction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Nothing,
    OnlyDc,
    Full,
}

/// The blocks of a macroblock: sixteen of luma, four of U, four of V.
pub(super) struct Coefficients {
    pub blocks: [Block; 24],
    pub contents: [Content; 24],
}

impl Coefficients {
    pub(super) const fn new() -> Coefficients {
        Coefficients { blocks: [[0; 16]; 24], contents: [Content::Nothing; 24] }
    }

    /// Makes of every block's coefficients what there is to add to its pixels.
    pub(super) fn transform(&mut self) {
        let (fours, _) = self.blocks.as_chunks_mut::<4>();
        for (four, contents) in fours.iter_mut().zip(self.contents.chunks_exact(4)) {
            if contents.contains(&Content::Full) {
                inverse_dct(four);
            } else {
                for (block, content) in four.iter_mut().zip(contents) {
                    if *content == Content::OnlyDc {
                        *block = inverse_dct_of_dc(block[0]);
                    }
                }
            }
        }
    }

    pub(super) fn are_zero(&self) -> bool {
        self.contents == [Content::Nothing; 24]
    }

    pub(super) fn clear(&mut self) {
        if !self.are_zero() {
            *self = Coefficients::new();
        }
    }
}

/// Which blocks along one side of a macroblock have coefficients: how its neighbour's blocks begin is coded by that.
#[derive(Clone, Copy, Default)]
pub(super) struct Edge {
    /// Four of luma, two of U, two of V: 1 or 0.
    blocks: [u8; 8],
    /// The luma's DCs, where they are coded apart.
    luma_dc: u8,
}

/// Where in the two edges each block's flags are.
const EDGE_PLACES: [(u8, u8); 24] = {
    let mut places = [(0, 0); 24];
    let mut i = 0;
    while i < 24 {
        let (first, width, block) = if i < 16 { (0, 4, i) } else { (4 + (i - 16) / 4 * 2, 2, i % 4) };
        places[i] = ((first + block % width) as u8, (first + block / width) as u8);
        i += 1;
    }
    places
};

impl Edge {
    /// What a macroblock without coefficients leaves. One that has no DCs apart does not say anything about them.
    pub(super) fn skip(&mut self, has_luma_dc: bool) {
        *self = Edge { luma_dc: if has_luma_dc { 0 } else { self.luma_dc }, ..Edge::default() };
    }
}

/// Reads into `out`, which is clear, what a macroblock has. By itself, so that the registers are for the decoder's state.
#[inline(never)]
pub(super) fn parse(
    partition: &mut BoolDecoder,
    probabilities: &[PositionProbabilities; 4],
    segment: &Segment,
    has_luma_dc: bool,
    [above, left]: [&mut Edge; 2],
    out: &mut Coefficients,
) {
    let mut bits = *partition;
    let mut kind = (&probabilities[LUMA_WITH_DC], segment.luma, 0);
    if has_luma_dc {
        let mut dcs = [0; 16];
        let context = above.luma_dc + left.luma_dc;
        let end = parse_block(&mut bits, &probabilities[LUMA_DC], context, segment.luma_dc, 0, &mut dcs);
        above.luma_dc = u8::from(end > 0);
        left.luma_dc = above.luma_dc;
        if end > 0 {
            for (block, dc) in out.blocks.iter_mut().zip(inverse_wht(&dcs)) {
                block[0] = dc;
            }
        }
        kind = (&probabilities[LUMA_WITHOUT_DC], segment.luma, 1);
    }
    for (i, &(above_place, left_place)) in EDGE_PLACES.iter().enumerate() {
        if i == LUMA_BLOCKS {
            kind = (&probabilities[CHROMA], segment.chroma, 0);
        }
        let (probabilities, steps, first) = kind;
        let above = &mut above.blocks[usize::from(above_place)];
        let left = &mut left.blocks[usize::from(left_place)];
        let block = &mut out.blocks[i];
        let end = parse_block(&mut bits, probabilities, *above + *left, steps, first, block);
        *above = u8::from(end > first);
        *left = *above;
        out.contents[i] = match end {
            0 | 1 if block[0] == 0 => Content::Nothing,
            0 | 1 => Content::OnlyDc,
            _ => Content::Full,
        };
    }
    *partition = bits;
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
#[inline(always)]
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
