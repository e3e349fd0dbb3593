//! A scan: its header, and the least that its data must be.
//!
//! A picture costs its sender at least a bit or two for each block of 8x8 samples. Holding a scan to that refuses what was
//! cut down to almost nothing, and headers of a few bytes that announce 40 million pixels and would cost the worker a
//! decode of them. Whatever an encoder writes for a picture is at least this long.

use super::{CUT_SHORT, Component, Frame, RST0, RST7, Tables, damaged, must_end, nibbles};
use crate::cursor::Cursor;
use crate::error::InspectError;

/// B.2.3: the most blocks that a unit of interleaved components may have. We could do with more, but libjpeg cannot, and so no
/// browser would show the original.
const MAX_BLOCKS_PER_MCU: u32 = 10;

/// What a scan's data must hold.
pub(super) struct Least {
    /// The minimum coded units, between which restart markers are counted.
    mcus: u64,
    bits: u64,
}

/// The data that follow a scan's header.
pub(super) struct Data {
    /// Without stuffed zeros, fill bytes and markers.
    bytes: u64,
    /// The restart markers, up to the first that is not the next in turn.
    restarts: u64,
}

impl Data {
    /// Before the last interval, each ends in a restart marker (B.2.1).
    pub(super) fn check(&self, least: &Least, restart_interval: u64) -> Result<(), InspectError> {
        if self.bytes == 0 {
            return Err(damaged("a scan holds no data"));
        }
        if self.bytes * 8 < least.bits {
            return Err(damaged("a scan holds too few data for the picture's size"));
        }
        if restart_interval > 0 && self.restarts < least.mcus.div_ceil(restart_interval) - 1 {
            return Err(damaged("restart markers are missing from a scan, or out of order"));
        }
        Ok(())
    }
}

/// What a scan carries.
struct Pass {
    dc: bool,
    ac: bool,
    /// One more bit of coefficients that an earlier scan began.
    refines: bool,
}

/// SOS, B.2.3. Marks the components that the scan starts, and says what its data must hold.
pub(super) fn header(
    mut segment: Cursor<'_>,
    frame: &mut Frame,
    tables: &Tables,
) -> Result<Least, InspectError> {
    let count = usize::from(segment.u8()?);
    if !(1..=4).contains(&count) {
        return Err(damaged("a scan has no colour components, or over four"));
    }
    let (selectors, _) = segment.take(2 * count)?.as_chunks::<2>();
    let pass = pass(frame.is_progressive(), count, segment.array()?)?;
    must_end(&segment)?;
    let mut components: Vec<(&Component, u64)> = Vec::new();
    for [id, destinations] in selectors {
        let component = frame.components.iter().find(|component| component.id == *id);
        let component = component.filter(|_| components.iter().all(|(before, _)| before.id != *id));
        let component =
            component.ok_or(damaged("a scan names a colour component that is not there, or twice"))?;
        if tables.quantization.get(component.quantization_table) != Some(&true) {
            return Err(damaged("a quantization table is missing"));
        }
        components.push((component, bits_per_block(&pass, frame, tables, nibbles(*destinations))?));
    }
    let least = least(frame, &components)?;
    for component in &mut frame.components {
        let named = selectors.iter().any(|[id, _]| *id == component.id);
        component.scanned |= named && pass.dc && !pass.refines;
    }
    Ok(least)
}

/// Table B.3. A sequential scan has everything; some encoders write 0 for its end, and decoders ask only where it begins.
fn pass(progressive: bool, components: usize, bytes: [u8; 3]) -> Result<Pass, InspectError> {
    let [start, end, approximation] = bytes;
    let [high, low] = nibbles(approximation);
    let valid = if progressive {
        let band = if start == 0 { end == 0 } else { (start..=63).contains(&end) && components == 1 };
        band && low <= 13 && (high == 0 || high == low + 1)
    } else {
        start == 0 && high == 0
    };
    if !valid {
        return Err(damaged("a scan has a wrong spectral selection or approximation"));
    }
    Ok(Pass { dc: start == 0, ac: start > 0 || !progressive, refines: high > 0 })
}

/// The least that a block of 8x8 samples takes: the shortest code for its DC coefficient and, where the scan is sequential,
/// the shortest for AC, since even "no AC coefficients" is a code. A progressive scan has one code for up to 32,767 blocks
/// without any.
fn bits_per_block(
    pass: &Pass,
    frame: &Frame,
    tables: &Tables,
    [dc, ac]: [u8; 2],
) -> Result<u64, InspectError> {
    let shortest = |needed: bool, tables: &[Option<u64>; 4], destination: u8| {
        if !needed {
            return Ok(0);
        }
        let table = tables.get(usize::from(destination)).copied().flatten();
        table.ok_or(damaged("a Huffman table is missing"))
    };
    let dc_bits = shortest(pass.dc && !pass.refines, &tables.dc, dc)?;
    let ac_bits = shortest(pass.ac, &tables.ac, ac)?;
    Ok(match (pass.refines, frame.is_progressive()) {
        (true, _) => u64::from(pass.dc),
        (false, true) => dc_bits,
        (false, false) => dc_bits + ac_bits,
    })
}

/// A.2: a scan of one component has its blocks one by one, as many as cover it; one of several has units that hold as many
/// blocks of each as its sampling factors say, and cover the picture together.
fn least(frame: &Frame, components: &[(&Component, u64)]) -> Result<Least, InspectError> {
    let [horizontal, vertical] = frame.most();
    if let [(component, bits)] = components {
        let blocks =
            |side: u32, factor: u32, most: u32| u64::from((side * factor).div_ceil(most).div_ceil(8));
        let mcus = blocks(frame.width, component.horizontal, horizontal)
            * blocks(frame.height, component.vertical, vertical);
        return Ok(Least { mcus, bits: mcus * bits });
    }
    let blocks = |component: &Component| component.horizontal * component.vertical;
    if components.iter().map(|(component, _)| blocks(component)).sum::<u32>() > MAX_BLOCKS_PER_MCU {
        return Err(damaged("a scan has over ten blocks in a unit"));
    }
    let mcus =
        u64::from(frame.width.div_ceil(8 * horizontal)) * u64::from(frame.height.div_ceil(8 * vertical));
    let bits: u64 = components.iter().map(|(component, bits)| u64::from(blocks(component)) * bits).sum();
    Ok(Least { mcus, bits: mcus * bits })
}

/// Reads the entropy-coded data up to the marker that ends them. Stuffed zeros and restart markers belong to the data
/// (B.1.1.5, B.2.1).
pub(super) fn data(cursor: &mut Cursor<'_>) -> Result<Data, InspectError> {
    let mut data = Data { bytes: 0, restarts: 0 };
    let mut markers = 0;
    loop {
        let rest = cursor.rest();
        let ahead = match rest.first() {
            Some(0xFF) => 0,
            _ => memchr::memchr(0xFF, rest).ok_or(CUT_SHORT)?,
        };
        cursor.take(ahead)?;
        data.bytes += ahead as u64;
        match *cursor.rest().get(1).ok_or(CUT_SHORT)? {
            0x00 => {
                cursor.take(2)?;
                data.bytes += 1;
            }
            marker @ RST0..=RST7 => {
                cursor.take(2)?;
                let in_turn = data.restarts == markers && u64::from(marker - RST0) == markers % 8;
                data.restarts += u64::from(in_turn);
                markers += 1;
            }
            0xFF => {
                cursor.u8()?;
            }
            _ => return Ok(data),
        }
    }
}
