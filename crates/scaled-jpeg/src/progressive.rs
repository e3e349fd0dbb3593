//! Progressive scans of AC coefficients (T.81, G.1.2): a band of each block, first roughly, then a bit at a time.

use crate::channel::{Channel, kept};
use crate::decode::Interval;
use crate::huffman::{Bits, END_OF_BLOCK, Table};
use crate::scan::Band;

/// A progressive scan of AC coefficients of one component.
pub(crate) struct AcScan<'a> {
    pub(crate) band: Band,
    pub(crate) codes: &'a Table,
}

impl AcScan<'_> {
    /// The first scan of a band (T.81, G.1.2.2).
    pub(crate) fn begin(&self, channel: &mut Channel, bits: &mut Bits, interval: Interval) {
        let (first, last, low, n) = (self.band.first, self.band.last, self.band.low, channel.layout.n);
        let mut unit = interval.from;
        while unit < interval.to && !bits.is_broken() {
            let (column, row) = (unit % interval.columns, unit / interval.columns);
            let place = channel.layout.place(column, row);
            let mut nonzero = 0;
            let mut k = first - 1;
            let mut ended = 0;
            while k < last {
                let symbol = self.codes.next(bits);
                k += symbol.advance;
                if k >= END_OF_BLOCK {
                    ended = end_of_band(symbol.value, bits) - 1;
                    break;
                }
                if k > last {
                    bits.mark_corrupt();
                    break;
                }
                if symbol.value == 0 {
                    continue;
                }
                nonzero |= 1_u64 << k;
                if let (Some(place), 1) = (place, channel.used >> k & 1) {
                    channel.coefficients[place * n * n + kept(k, n)] = (symbol.value << low) as i16;
                }
            }
            if nonzero != 0 {
                let block = channel.block(column, row);
                channel.nonzero[block] |= nonzero;
            }
            // The blocks whose band ends with this one's have no bits at all.
            unit = unit.saturating_add(1).saturating_add(ended);
        }
        if unit > interval.to {
            bits.mark_corrupt();
        }
    }

    /// A further bit for the coefficients of a band (T.81, G.1.2.3).
    pub(crate) fn refine(&self, channel: &mut Channel, bits: &mut Bits, interval: Interval) {
        let (first, last) = (self.band.first, self.band.last);
        let mut ended = 0;
        for unit in interval.from..interval.to {
            if bits.is_broken() {
                return;
            }
            let (column, row) = (unit % interval.columns, unit / interval.columns);
            let block = channel.block(column, row);
            let mut k = first;
            if ended == 0 {
                ended = self.refine_block(channel, bits, block, channel.layout.place(column, row), &mut k);
            }
            if ended > 0 {
                ended -= 1;
                let rest = channel.nonzero[block] & mask(k, last);
                if rest != 0 {
                    self.correct(channel, bits, channel.layout.place(column, row), rest);
                }
            }
        }
        if ended > 0 {
            bits.mark_corrupt();
        }
    }

    /// Reads new coefficients between corrections of the old ones, up to the band's end or an end of band: then answers
    /// with the number of blocks that it ends, and leaves `k` where it came to.
    fn refine_block(
        &self,
        channel: &mut Channel,
        bits: &mut Bits,
        block: usize,
        place: Option<usize>,
        k: &mut usize,
    ) -> u32 {
        let (last, low) = (self.band.last, self.band.low);
        let n = channel.layout.n;
        while *k <= last {
            let symbol = self.codes.next(bits);
            if symbol.advance >= END_OF_BLOCK {
                return end_of_band(symbol.value, bits);
            }
            // A run counts the coefficients that were zero before; those that were not are corrected on the way.
            let old = channel.nonzero[block];
            let Some(end) = nth_zero(old, *k, symbol.advance) else {
                bits.mark_corrupt();
                return 0;
            };
            if end > last {
                // A run of 16 zeros may reach the band's end.
                bits.mark_corrupt();
                return 0;
            }
            let between = old & mask(*k, end);
            if between != 0 {
                self.correct(channel, bits, place, between);
            }
            if symbol.value != 0 {
                channel.nonzero[block] |= 1 << end;
                if let (Some(place), 1) = (place, channel.used >> end & 1) {
                    channel.coefficients[place * n * n + kept(end, n)] =
                        (symbol.value.signum() << low) as i16;
                }
            }
            *k = end + 1;
        }
        0
    }

    /// Reads a bit for each coefficient of a mask, and adds it to the size of those that are kept.
    fn correct(&self, channel: &mut Channel, bits: &mut Bits, place: Option<usize>, mut old: u64) {
        let n = channel.layout.n;
        let Some(place) = place.filter(|_| old & channel.used != 0) else {
            let mut left = old.count_ones();
            while left > 0 {
                let taken = left.min(16);
                bits.take(taken);
                left -= taken;
            }
            return;
        };
        while old != 0 {
            let k = old.trailing_zeros() as usize;
            old &= old - 1;
            let bit = bits.take(1) as i16;
            if channel.used >> k & 1 == 1 {
                let coefficient = &mut channel.coefficients[place * n * n + kept(k, n)];
                *coefficient = coefficient.wrapping_add((bit << self.band.low) * coefficient.signum());
            }
        }
    }
}

/// The number of blocks that an end of band ends, this one included (T.81, G.1.2.2).
fn end_of_band(size: i32, bits: &mut Bits) -> u32 {
    let size = size as u32;
    (1 << size) + bits.take(size) as u32
}

/// The bits from `first` to `last`.
fn mask(first: usize, last: usize) -> u64 {
    (u64::MAX >> (63 - last)) & (u64::MAX << first)
}

/// The place of the `count`th bit that is not set, from `first` on.
fn nth_zero(bits: u64, first: usize, count: usize) -> Option<usize> {
    let mut zeros = !bits & (u64::MAX << first);
    for _ in 1..count {
        zeros &= zeros.wrapping_sub(1);
    }
    (zeros != 0).then(|| zeros.trailing_zeros() as usize)
}
