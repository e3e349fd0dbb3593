//! The coefficients of a macroblock's 4x4 blocks (RFC 6386, section 13), multiplied by the quantizers' steps.
//!
//! Half of a decode's time is spent here: a frame of 1 MB has some ten million bools. So the bool decoder is copied to a local
//! variable that the compiler can keep in registers.

use crate::bool_decoder::BoolDecoder;
use crate::header::PositionProbabilities;
use crate::quantizers::{Quantizers, Steps};
use crate::tables::{EXTRA_BITS, ZIGZAG};
use crate::transform::{inverse_dct, inverse_dct_of_dc, inverse_wht};

/// The coefficients of a 4x4 block, row by row.
pub(crate) type Block = [i16; 16];

pub(crate) const LUMA_BLOCKS: usize = 16;

/// The kinds of block, as indices of the probabilities.
const LUMA_WITHOUT_DC: usize = 0;
const LUMA_DC: usize = 1;
const CHROMA: usize = 2;
const LUMA_WITH_DC: usize = 3;

/// What a block adds to its prediction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Nothing,
    OnlyDc,
    Full,
}

/// The blocks of a macroblock: sixteen of luma, four of U, four of V.
pub(crate) struct Coefficients {
    pub(crate) blocks: [Block; 24],
    pub(crate) contents: [Content; 24],
}

impl Coefficients {
    pub(crate) const fn new() -> Coefficients {
        Coefficients { blocks: [[0; 16]; 24], contents: [Content::Nothing; 24] }
    }

    /// Turns the coefficients of each block into the differences of its pixels.
    pub(crate) fn transform(&mut self) {
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

    pub(crate) fn are_zero(&self) -> bool {
        self.contents == [Content::Nothing; 24]
    }

    pub(crate) fn clear(&mut self) {
        if !self.are_zero() {
            *self = Coefficients::new();
        }
    }
}

/// Which blocks along one side of a macroblock have coefficients. The probabilities of its neighbour's blocks depend on it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Edge {
    /// Four of luma, two of U, two of V: 1 or 0.
    blocks: [u8; 8],
    /// The block of the luma's DCs, if there is one.
    luma_dc: u8,
}

/// The place of each block's flag in the edge above and in the edge to the left.
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
    /// Marks a macroblock without coefficients. If it has no block of DCs, the mark of the one before stays.
    pub(crate) fn skip(&mut self, has_luma_dc: bool) {
        *self = Edge { luma_dc: if has_luma_dc { 0 } else { self.luma_dc }, ..Edge::default() };
    }
}

/// Reads the coefficients of a macroblock into `out`, which must be clear. Not inlined, so that the registers are free for the
/// bool decoder.
#[inline(never)]
pub(crate) fn parse_coefficients(
    partition: &mut BoolDecoder,
    probabilities: &[PositionProbabilities; 4],
    quantizers: &Quantizers,
    has_luma_dc: bool,
    [above, left]: [&mut Edge; 2],
    out: &mut Coefficients,
) {
    let mut bits = *partition;
    let mut kind = (&probabilities[LUMA_WITH_DC], quantizers.luma, 0);
    if has_luma_dc {
        let mut dcs = [0; 16];
        let context = above.luma_dc + left.luma_dc;
        let end = parse_block(&mut bits, &probabilities[LUMA_DC], context, quantizers.luma_dc, 0, &mut dcs);
        above.luma_dc = u8::from(end > 0);
        left.luma_dc = above.luma_dc;
        if end > 0 {
            for (block, dc) in out.blocks.iter_mut().zip(inverse_wht(&dcs)) {
                block[0] = dc;
            }
        }
        kind = (&probabilities[LUMA_WITHOUT_DC], quantizers.luma, 1);
    }
    for (i, &(above_place, left_place)) in EDGE_PLACES.iter().enumerate() {
        if i == LUMA_BLOCKS {
            kind = (&probabilities[CHROMA], quantizers.chroma, 0);
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

/// Reads one block. Returns the position after the last coefficient that is not zero, or `first` if all are.
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
        // Only a made-up frame overflows here.
        block[usize::from(ZIGZAG[position])] = (bits.read_sign(magnitude) * i32::from(step)) as i16;
        step = steps.ac;
        position += 1;
        if position == 16 {
            return 16;
        }
    }
    position
}

/// Reads the magnitude of a coefficient that is at least 2 (section 13.2).
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
