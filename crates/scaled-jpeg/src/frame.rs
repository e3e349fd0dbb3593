//! The frame header (T.81, B.2.2).

use crate::cursor::{Cursor, nibbles};
use crate::error::{Damage, Error, Feature};

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) is_progressive: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) components: Vec<Component>,
    /// The largest sampling factors: the blocks of an MCU that the component with most of them has.
    pub(crate) max_sampling: Grid,
}

/// How many of something there are across and down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) across: u32,
    pub(crate) down: u32,
}

impl Grid {
    /// At most 67,108,864 blocks: a side has at most 65,535 samples.
    pub(crate) fn count(self) -> u32 {
        self.across * self.down
    }
}

/// One component of a picture: a kind of sample, such as luma.
#[derive(Clone, Debug)]
pub struct Component {
    /// The identifier by which scans name it.
    pub id: u8,
    /// Samples across in relation to the other components, 1 to 4.
    pub horizontal_sampling: u32,
    /// Samples down in relation to the other components, 1 to 4.
    pub vertical_sampling: u32,
    pub(crate) quantization_table: usize,
}

impl Frame {
    /// SOFn, of a process that is decoded.
    pub(crate) fn parse(
        is_progressive: bool,
        mut segment: Cursor<'_>,
        max_pixels: u64,
    ) -> Result<Frame, Error> {
        if segment.take_u8()? != 8 {
            return Err(Feature::SamplePrecision.into());
        }
        let height = u32::from(segment.take_u16()?);
        let width = u32::from(segment.take_u16()?);
        if width == 0 || height == 0 {
            return Err(Damage::EmptyPicture.into());
        }
        if u64::from(width) * u64::from(height) > max_pixels {
            return Err(Error::TooManyPixels { width, height, max_pixels });
        }
        let count = segment.take_u8()?;
        if !matches!(count, 1 | 3 | 4) {
            return Err(Feature::ComponentCount.into());
        }
        let mut components: Vec<Component> = Vec::new();
        for _ in 0..count {
            let component = Component::parse(segment.take_array()?)?;
            if components.iter().any(|before| before.id == component.id) {
                return Err(Damage::DuplicateComponent.into());
            }
            components.push(component);
        }
        segment.must_end()?;
        let max_sampling = find_max_sampling(&components)?;
        Ok(Frame { is_progressive, width, height, components, max_sampling })
    }

    /// The MCUs of a scan of several components (A.2.4).
    pub(crate) fn mcus(&self) -> Grid {
        Grid {
            across: self.width.div_ceil(8 * self.max_sampling.across),
            down: self.height.div_ceil(8 * self.max_sampling.down),
        }
    }

    /// A component's own samples (A.1.1).
    pub(crate) fn samples(&self, component: &Component) -> Grid {
        Grid {
            across: (self.width * component.horizontal_sampling).div_ceil(self.max_sampling.across),
            down: (self.height * component.vertical_sampling).div_ceil(self.max_sampling.down),
        }
    }

    /// A component's own blocks, without those that fill up the last MCUs (A.2.3).
    pub(crate) fn blocks(&self, component: &Component) -> Grid {
        let samples = self.samples(component);
        Grid { across: samples.across.div_ceil(8), down: samples.down.div_ceil(8) }
    }
}

fn find_max_sampling(components: &[Component]) -> Result<Grid, Error> {
    let max = |factor: fn(&Component) -> u32| components.iter().map(factor).max().unwrap_or(1);
    let across = max(|component| component.horizontal_sampling);
    let down = max(|component| component.vertical_sampling);
    let is_whole = |component: &Component| {
        across.is_multiple_of(component.horizontal_sampling)
            && down.is_multiple_of(component.vertical_sampling)
    };
    // We could scale such a picture, but libjpeg cannot, so no browser shows it.
    if !components.iter().all(is_whole) {
        return Err(Feature::SamplingFactors.into());
    }
    Ok(Grid { across, down })
}

impl Component {
    fn parse(&[id, sampling, quantization_table]: &[u8; 3]) -> Result<Component, Error> {
        let [horizontal_sampling, vertical_sampling] = nibbles(sampling).map(u32::from);
        let is_factor = |factor| (1..=4).contains(&factor);
        if !is_factor(horizontal_sampling) || !is_factor(vertical_sampling) || quantization_table > 3 {
            return Err(Damage::Component.into());
        }
        Ok(Component {
            id,
            horizontal_sampling,
            vertical_sampling,
            quantization_table: quantization_table.into(),
        })
    }

    /// Its blocks in an MCU.
    pub(crate) fn blocks_in_mcu(&self) -> Grid {
        Grid { across: self.horizontal_sampling, down: self.vertical_sampling }
    }
}
