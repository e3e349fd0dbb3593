#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bool_decoder;
mod coefficients;
mod decoder;
mod error;
mod filter;
mod filter_edges;
mod header;
mod modes;
mod predict;
mod probabilities;
mod quantizers;
mod tables;
mod transform;

use std::fmt;

pub use error::Error;
pub use header::FrameHeader;

/// Decodes a key frame: the payload of a WebP's `VP8 ` chunk, or one frame of a VP8 video.
///
/// The planes are as large as the header says, up to 16383x16383 pixels. If the bytes are not yours, read
/// [`FrameHeader::parse`] first, look at the size or at [`FrameHeader::memory`], and then call [`FrameHeader::decode`].
///
/// # Errors
///
/// Those of [`FrameHeader::parse`], and [`Error::MacroblocksCutShort`] if the coded data end too early.
pub fn decode(bytes: &[u8], options: Options) -> Result<Frame, Error> {
    FrameHeader::parse(bytes)?.decode(options)
}

/// How to decode. The default is what the format defines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Whether the edges of blocks are smoothed.
    pub loop_filter: LoopFilter,
}

impl Options {
    /// The same with another [`LoopFilter`].
    #[must_use]
    pub fn with_loop_filter(mut self, loop_filter: LoopFilter) -> Options {
        self.loop_filter = loop_filter;
        self
    }
}

/// Whether the loop filter runs (RFC 6386, section 15). It smooths the steps between blocks.
///
/// In a key frame no pixel is predicted from a filtered one, so an error that `Skip` leaves does not spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopFilter {
    /// As the frame's header says.
    #[default]
    Apply,
    /// Not at all. This saves 5 to 25 % of the time: the most where the quality is low. The difference hardly shows in a picture
    /// that is scaled down by four or more.
    Skip,
}

/// A decoded frame: Y'CbCr of BT.601 with 4:2:0 chroma, in the limited range (Y 16 to 235, U and V 16 to 240).
///
/// Samples outside of the limited range are possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Luma, one sample a pixel.
    pub y: Plane,
    /// Cb, one sample for 2x2 pixels. An odd side is rounded up.
    pub u: Plane,
    /// Cr, of the same size as `u`.
    pub v: Plane,
}

/// The samples of one channel.
#[derive(Clone, PartialEq, Eq)]
pub struct Plane {
    /// Samples in a row, 1 to 16383.
    pub width: u32,
    /// Rows, 1 to 16383.
    pub height: u32,
    /// `width * height` samples, row by row from the top, without gaps.
    pub samples: Vec<u8>,
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Plane");
        debug.field("width", &self.width).field("height", &self.height).finish_non_exhaustive()
    }
}
