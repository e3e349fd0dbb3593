//! The quantizers: what a coefficient is multiplied by (RFC 6386, sections 9.6 and 14.1).

use crate::bool_decoder::BoolDecoder;
use crate::header::{SEGMENTS, Segmentation};
use crate::tables::{AC_STEPS, DC_STEPS};

/// The steps of each kind of block.
#[derive(Clone, Copy, Default)]
pub(crate) struct Quantizers {
    pub(crate) luma: Steps,
    /// Of the block that holds the DCs of a macroblock's luma, "Y2" in the RFC.
    pub(crate) luma_dc: Steps,
    pub(crate) chroma: Steps,
}

/// The factor of a block's DC coefficient, and of each of the others.
#[derive(Clone, Copy, Default)]
pub(crate) struct Steps {
    pub(crate) dc: i16,
    pub(crate) ac: i16,
}

pub(crate) fn parse_quantizers(
    bits: &mut BoolDecoder,
    segmentation: &Segmentation,
) -> [Quantizers; SEGMENTS] {
    let base = i32::from(bits.read_number(7));
    let mut delta = || bits.read_optional(4).unwrap_or(0);
    let (y_dc, y2_dc, y2_ac, chroma_dc, chroma_ac) = (delta(), delta(), delta(), delta(), delta());
    let dc = |index: i32| DC_STEPS[index.clamp(0, 127) as usize];
    let ac = |index: i32| AC_STEPS[index.clamp(0, 127) as usize];
    std::array::from_fn(|segment| {
        let index = segmentation.quantizer(segment, base);
        let y2_ac = i32::from(ac(index + y2_ac)) * 155 / 100;
        Quantizers {
            luma: Steps { dc: dc(index + y_dc), ac: ac(index) },
            luma_dc: Steps { dc: dc(index + y2_dc) * 2, ac: y2_ac.max(8) as i16 },
            chroma: Steps { dc: dc(index + chroma_dc).min(132), ac: ac(index + chroma_ac) },
        }
    })
}
