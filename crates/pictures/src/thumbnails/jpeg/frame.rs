//! What the frame header says (T.81, B.2.2), and how much of it a thumbnail needs: the scale and the blocks of each
//! component that are turned to samples.

use crate::error::Undecodable;
use crate::picture::{Region, visible};
use crate::size::Size;
use crate::{decode::count_pixels, picture::Fit};

/// A frame header.
pub(super) struct Frame {
    pub progressive: bool,
    pub width: u32,
    pub height: u32,
    pub components: Vec<Component>,
}

/// One component: how it is sampled, and where its table is.
pub(super) struct Component {
    pub name: u8,
    /// Blocks in an MCU, across and down.
    pub h: u32,
    pub v: u32,
    pub quantization_table: usize,
}

impl Frame {
    pub(super) fn read(marker: u8, data: &[u8], max_pixels: u64) -> Result<Frame, Undecodable> {
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
    pub(super) fn most_blocks(&self) -> (u32, u32) {
        let most = |of: fn(&Component) -> u32| self.components.iter().map(of).max().unwrap_or(1);
        (most(|component| component.h), most(|component| component.v))
    }

    /// MCUs across and down.
    pub(super) fn mcus(&self) -> (u32, u32) {
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
pub(super) struct Layout {
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
    /// At the least number of eighths that leaves a sample for each that the large thumbnail has, which is half as many a
    /// side for the two channels of colour. That is within half a point of SSIMULACRA2 of sharp. What is said to cost six
    /// points so near to the thumbnail's size is the crop: eighths of an odd side are a fraction, and here it stays one.
    pub(super) fn new(frame: &Frame, component: &Component, fit: Fit, is_colour: bool) -> Layout {
        let (most_h, most_v) = frame.most_blocks();
        let ratio = (f64::from(component.h) / f64::from(most_h), f64::from(component.v) / f64::from(most_v));
        let own =
            ((frame.width * component.h).div_ceil(most_h), (frame.height * component.v).div_ceil(most_v));
        let shown = visible((frame.width, frame.height), fit).scaled(ratio.0, ratio.1);
        let across = Extent::new(own.0, shown.left, shown.width);
        let down = Extent::new(own.1, shown.top, shown.height);
        // One side of what shows has to be as long as the thumbnail's. In a square it is the one with fewer samples.
        let side = match fit {
            Fit::Cover => shown.width.min(shown.height),
            Fit::Contain => shown.width.max(shown.height),
        };
        let needed = f64::from(Size::Large.pixels()) / if is_colour { 2.0 } else { 1.0 };
        let n = (1..8).find(|&n| side * n as f64 / 8.0 >= needed).unwrap_or(8);
        let (width, height) = (across.samples(own.0, n), down.samples(own.1, n));
        let scale = n as f64 / 8.0;
        let origin = (f64::from(across.from) * n as f64, f64::from(down.from) * n as f64);
        Layout {
            n,
            blocks: (own.0.div_ceil(8), own.1.div_ceil(8)),
            from: (across.from, down.from),
            to: (across.to, down.to),
            width,
            height,
            visible: shown.scaled(scale, scale).moved(-origin.0, -origin.1).within(width, height),
        }
    }

    /// The blocks that show, across and down.
    pub(super) fn shown(&self) -> (u32, u32) {
        (self.to.0 - self.from.0, self.to.1 - self.from.1)
    }

    /// The width and height of the plane that they make.
    pub(super) fn plane(&self) -> (u32, u32) {
        let (across, down) = self.shown();
        (across * self.n as u32, down * self.n as u32)
    }

    pub(super) fn samples(&self) -> usize {
        let (width, height) = self.plane();
        width as usize * height as usize
    }

    /// From one row of the plane to the next.
    pub(super) fn stride(&self) -> usize {
        self.plane().0 as usize
    }

    /// Where among the blocks that show this one is, if it is one.
    #[inline(always)]
    pub(super) fn place(&self, column: u32, row: u32) -> Option<usize> {
        let (across, down) = (column.wrapping_sub(self.from.0), row.wrapping_sub(self.from.1));
        let (columns, rows) = self.shown();
        (across < columns && down < rows).then(|| down as usize * columns as usize + across as usize)
    }
}

/// The blocks that show in one direction: the first, and the first past the last.
struct Extent {
    from: u32,
    to: u32,
}

impl Extent {
    /// Of a component with `own` samples, of which those from `start` show.
    fn new(own: u32, start: f64, length: f64) -> Extent {
        let blocks = own.div_ceil(8);
        let from = ((start / 8.0) as u32).min(blocks - 1);
        let to = (((start + length) / 8.0).ceil() as u32).clamp(from + 1, blocks);
        Extent { from, to }
    }

    /// How many of the samples of these blocks, n to a block, are the component's own.
    fn samples(&self, own: u32, n: usize) -> u32 {
        let n = n as u32;
        (own * n).div_ceil(8).saturating_sub(self.from * n).clamp(1, (self.to - self.from) * n)
    }
}
