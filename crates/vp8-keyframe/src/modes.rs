//! The prediction modes of each macroblock, from the first partition (RFC 6386, sections 10 and 11).

use crate::bool_decoder::BoolDecoder;
use crate::tables::SUBBLOCK_MODES;

/// How a macroblock's luma or chroma is predicted as a whole (section 12.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WholeMode {
    /// The mean of the bordering pixels (DC_PRED).
    Dc,
    /// The row above, repeated (V_PRED).
    Vertical,
    /// The column to the left, repeated (H_PRED).
    Horizontal,
    /// The pixel above plus the pixel to the left minus the corner (TM_PRED).
    Gradient,
}

/// How a 4x4 block is predicted (section 12.3), in the order of [`SUBBLOCK_MODES`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubblockMode {
    Dc,
    Gradient,
    Vertical,
    Horizontal,
    DownLeft,
    DownRight,
    VerticalRight,
    VerticalLeft,
    HorizontalDown,
    HorizontalUp,
}

#[derive(Clone, Copy)]
pub(crate) enum LumaMode {
    Whole(WholeMode),
    /// The modes of the sixteen 4x4 blocks, row by row.
    Subblocks([SubblockMode; 16]),
}

pub(crate) struct MacroblockModes {
    pub(crate) segment: usize,
    /// It has no coefficients.
    pub(crate) skipped: bool,
    pub(crate) luma: LumaMode,
    pub(crate) chroma: WholeMode,
}

/// The modes of the 4x4 blocks that border on the macroblock. The probabilities of its own modes depend on them.
pub(crate) struct ModeContext<'a> {
    pub(crate) above: &'a mut [SubblockMode; 4],
    pub(crate) left: &'a mut [SubblockMode; 4],
}

/// Reads the modes of one macroblock. Not inlined, so that the registers are free for the bool decoder.
#[inline(never)]
pub(crate) fn parse_modes(
    partition: &mut BoolDecoder,
    segment_probabilities: Option<[u8; 3]>,
    coded_probability: Option<u8>,
    context: ModeContext,
) -> MacroblockModes {
    let mut bits = *partition;
    let segment = segment_probabilities.map_or(0, |probabilities| parse_segment(&mut bits, probabilities));
    let skipped = coded_probability.is_some_and(|probability| bits.read(probability));
    let luma = parse_luma(&mut bits, context);
    let chroma = parse_chroma(&mut bits);
    *partition = bits;
    MacroblockModes { segment, skipped, luma, chroma }
}

#[inline(always)]
fn parse_chroma(bits: &mut BoolDecoder) -> WholeMode {
    if !bits.read(142) {
        WholeMode::Dc
    } else if !bits.read(114) {
        WholeMode::Vertical
    } else if bits.read(183) {
        WholeMode::Gradient
    } else {
        WholeMode::Horizontal
    }
}

#[inline(always)]
fn parse_segment(bits: &mut BoolDecoder, probabilities: [u8; 3]) -> usize {
    if bits.read(probabilities[0]) {
        2 + usize::from(bits.read(probabilities[2]))
    } else {
        usize::from(bits.read(probabilities[1]))
    }
}

#[inline(always)]
fn parse_luma(bits: &mut BoolDecoder, context: ModeContext) -> LumaMode {
    let ModeContext { above, left } = context;
    if bits.read(145) {
        let mode = match bits.read(156) {
            true if bits.read(128) => WholeMode::Gradient,
            true => WholeMode::Horizontal,
            false if bits.read(163) => WholeMode::Vertical,
            false => WholeMode::Dc,
        };
        *above = [as_subblock(mode); 4];
        *left = [as_subblock(mode); 4];
        return LumaMode::Whole(mode);
    }
    let mut modes = [SubblockMode::Dc; 16];
    for (row, left) in modes.chunks_exact_mut(4).zip(left) {
        for (mode, above) in row.iter_mut().zip(above.iter_mut()) {
            *mode = parse_subblock(bits, &SUBBLOCK_MODES[*above as usize][*left as usize]);
            *above = *mode;
            *left = *mode;
        }
    }
    LumaMode::Subblocks(modes)
}

/// The mode that the blocks of a macroblock have in the eyes of its neighbours, if it is predicted as a whole.
fn as_subblock(mode: WholeMode) -> SubblockMode {
    match mode {
        WholeMode::Dc => SubblockMode::Dc,
        WholeMode::Vertical => SubblockMode::Vertical,
        WholeMode::Horizontal => SubblockMode::Horizontal,
        WholeMode::Gradient => SubblockMode::Gradient,
    }
}

/// The tree of section 11.2.
#[inline(always)]
fn parse_subblock(bits: &mut BoolDecoder, probabilities: &[u8; 9]) -> SubblockMode {
    let mut read = |node: usize| bits.read(probabilities[node]);
    if !read(0) {
        SubblockMode::Dc
    } else if !read(1) {
        SubblockMode::Gradient
    } else if !read(2) {
        SubblockMode::Vertical
    } else if !read(3) {
        if !read(4) {
            SubblockMode::Horizontal
        } else if !read(5) {
            SubblockMode::DownRight
        } else {
            SubblockMode::VerticalRight
        }
    } else if !read(6) {
        SubblockMode::DownLeft
    } else if !read(7) {
        SubblockMode::VerticalLeft
    } else if !read(8) {
        SubblockMode::HorizontalDown
    } else {
        SubblockMode::HorizontalUp
    }
}
