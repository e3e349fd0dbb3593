//! What the frame header says (T.81, B.2.2), and how much of it a thumbnail needs: the scale and the blocks of each
//! component that are turned to samples.

use super::super::Undecodable;
use super::super::plane::{Region, visible};
use super::super::{Fit, decode::count_pixels};
use crate::size::Size;

/// A frame header.
pub struct Frame {
    pub progressive: bool,
    pub width: u32,
    pub height: u32,
    pub components: Vec<Component>,
}

/// One component: how it is sampled, and where its table is.
pub struct Component {
    pub name: u8,
    /// Blocks in an MCU, across and down.
    pub h: u32,
    pub v: u32,
    pub quantization_table: usize,
}

impl Frame {
    pub fn read(marker: u8, data: &[u8], max_pixels: u64) -> Result<Frame, Undecodable> {
        let kind = match marker {
            0xc0 | 0xc1 => Ok(false),
            0xc2 => Ok(true),
            0xc3 | 0xc7 => Err("lossless JPEG is not supported"),
            0xc5 | 0xc6 => Err("hierarchical JPEG is not supported"),
            _ => Err("arithmetic coding is not supported"),
        };
        let progressive = kind.map_err(Undecodable::new)?;
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = data else {
            return Err(Undecodable::new("the frame header is cut short"));
        };
        if precision != 8 {
            return Err(Undecodable::new(format!("samples of {precision} bits are not supported")));
        }
        let (width, height) = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
        count_pixels((width, height), max_pixels)?;
        if !matches!(count, 1 | 3 | 4) || rest.len() != usize::from(count) * 3 {
            return Err(Undecodable::new("the frame has other than 1, 3 or 4 components"));
        }
        let components: Vec<_> = rest.chunks_exact(3).map(Component::read).collect::<Result<_, _>>()?;
        let names = components.iter().map(|component| component.name);
        if names.clone().enumerate().any(|(i, name)| names.clone().take(i).any(|before| before == name)) {
            return Err(Undecodable::new("two components have the same name"));
        }
        Ok(Frame { progressive, width, height, components })
    }

    /// The most blocks that any component has in an MCU, across and down.
    pub fn most_blocks(&self) -> (u32, u32) {
        let most = |of: fn(&Component) -> u32| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.h), most(|component| component.v))
    }

    /// MCUs across and down.
    pub fn mcus(&self) -> (u32, u32) {
        let (h, v) = self.most_blocks();
        (self.width.div_ceil(8 * h), self.height.div_ceil(8 * v))
    }
}

impl Component {
    fn read(data: &[u8]) -> Result<Component, Undecodable> {
        let (h, v, table) = (u32::from(data[1] >> 4), u32::from(data[1] & 0x0f), usize::from(data[2]));
        if !(1..=4).contains(&h) || !(1..=4).contains(&v) || table > 3 {
            return Err(Undecodable::new(
                "a component has impossible sampling factors or an impossible table",
            ));
        }
        Ok(Component { name: data[0], h, v, quantization_table: table })
    }
}

/// How one component is decoded: at `n` eighths of its size, and only the blocks which show.
#[derive(Clone, Debug)]
pub struct Layout {
    pub n: usize,
    /// The component's own blocks, without those that fill up the last MCUs.
    pub blocks: (u32, u32),
    /// The first block that shows and the first past those that do, across and down.
    pub from: (u32, u32),
    pub to: (u32, u32),
    /// The component's own width and height at this scale, from the first block that shows.
    pub width: u32,
    pub height: u32,
    /// What shows, in samples of the plane.
    pub visible: Region,
}

impl Layout {
    /// For a thumbnail that needs `side` samples of this component where the large thumbnail has `Size::Large`.
    pub fn new(frame: &Frame, component: &Component, fit: Fit, side: f64) -> Layout {
        let (most_h, most_v) = frame.most_blocks();
        let ratio = (f64::from(component.h) / f64::from(most_h), f64::from(component.v) / f64::from(most_v));
        let own =
            ((frame.width * component.h).div_ceil(most_h), (frame.height * component.v).div_ceil(most_v));
        let shown = visible((frame.width, frame.height), fit).scaled(ratio.0, ratio.1);
        let needed = |n: usize| {
            let scaled = shown.scaled(n as f64 / 8.0, n as f64 / 8.0);
            match fit {
                Fit::Cover => scaled.width.min(scaled.height) >= side,
                // The shorter side is needed at the ratio of the longer.
                Fit::Contain => scaled.width.max(scaled.height) >= side,
            }
        };
        let n = (1..8).find(|&n| needed(n)).unwrap_or(8);
        let blocks = (own.0.div_ceil(8), own.1.div_ceil(8));
        let block_at = |at: f64| (at / 8.0) as u32;
        let from = (block_at(shown.left).min(blocks.0 - 1), block_at(shown.top).min(blocks.1 - 1));
        let end = (shown.left + shown.width, shown.top + shown.height);
        let to = (
            ((end.0 / 8.0).ceil() as u32).clamp(from.0 + 1, blocks.0),
            ((end.1 / 8.0).ceil() as u32).clamp(from.1 + 1, blocks.1),
        );
        let scale = n as f64 / 8.0;
        let origin = (f64::from(from.0 * n as u32), f64::from(from.1 * n as u32));
        let length = |own: u32, from: u32, to: u32| {
            (own * n as u32).div_ceil(8).saturating_sub(from * n as u32).clamp(1, (to - from) * n as u32)
        };
        let (width, height) = (length(own.0, from.0, to.0), length(own.1, from.1, to.1));
        let scaled = shown.scaled(scale, scale).moved(-origin.0, -origin.1);
        Layout { n, blocks, from, to, width, height, visible: scaled.within(width, height) }
    }

    /// The blocks that show, across and down.
    pub fn shown(&self) -> (u32, u32) {
        (self.to.0 - self.from.0, self.to.1 - self.from.1)
    }

    /// The samples of the plane: whole blocks.
    pub fn stride(&self) -> usize {
        self.shown().0 as usize * self.n
    }

    /// Where among the blocks that show this one is, if it is one.
    #[inline(always)]
    pub fn place(&self, column: u32, row: u32) -> Option<usize> {
        let (across, down) = (column.wrapping_sub(self.from.0), row.wrapping_sub(self.from.1));
        let (columns, rows) = self.shown();
        (across < columns && down < rows).then(|| down as usize * columns as usize + across as usize)
    }
}

/// The samples a side that the large thumbnail has.
pub fn large() -> f64 {
    f64::from(Size::Large.pixels())
}
