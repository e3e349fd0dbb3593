//! The arithmetic decoder (RFC 6386, section 7). Everything in a frame but its first ten bytes is coded for it.
//!
//! A *bool* is coded with the probability, out of 256, that it is false. The decoder holds a range and a value below it. A
//! probability splits the range in two. The part that the value lies in is the answer, and the next range. This decoder
//! loads up to 56 bits of the value at a time, so it loads once in some fifty bools.

/// The value of [`BoolDecoder::spare`] once there is nothing more to load. It stands for more zeros than are read before a
/// caller asks [`BoolDecoder::ran_out`].
const RAN_OUT: i32 = 1 << 30;

/// How often a range doubles until it is at least 128 again, by the range less 1. A table, because the instruction that counts
/// zeros is slow on some machines and every bool waits for it.
const SHIFTS: [u8; 256] = {
    let mut shifts = [0; 256];
    let mut range = 1;
    while range < 128 {
        shifts[range - 1] = (range as u8).leading_zeros() as u8;
        range += 1;
    }
    shifts
};

/// Reads bools from one partition. Past the partition's end it reads zeros, and [`BoolDecoder::ran_out`] is true.
#[derive(Clone, Copy)]
pub(crate) struct BoolDecoder<'a> {
    rest: &'a [u8],
    /// The bits that are not used up, from the top. The first eight are compared with the range.
    value: u64,
    /// The range less 1: 127 to 254.
    range: u32,
    /// How many bits of `value` are loaded beyond those eight. Below zero it is time to load.
    spare: i32,
}

impl<'a> BoolDecoder<'a> {
    pub(crate) fn new(partition: &'a [u8]) -> BoolDecoder<'a> {
        BoolDecoder { rest: partition, value: 0, range: 254, spare: -8 }
    }

    /// Whether a bool needed bits from past the partition's end. Encoders write every bit that a decoder looks at, so the
    /// partition is cut short then; libwebp and every browser see it so. Callers ask once in a row of macroblocks.
    pub(crate) fn ran_out(&self) -> bool {
        self.spare > 64
    }

    /// A bool that is false with the probability `probability / 256`.
    #[inline(always)]
    pub(crate) fn read(&mut self, probability: u8) -> bool {
        if self.spare < 0 {
            self.load();
        }
        // `split` is the last number of the lower part.
        let split = (self.range * u32::from(probability)) >> 8;
        let above = self.range - split - 1;
        // Both shifts are looked up before it is known which one is used, so that the look-up need not wait.
        let (shift_below, shift_above) = (SHIFTS[split as usize & 0xff], SHIFTS[above as usize & 0xff]);
        let threshold = u64::from(split + 1) << 56;
        let answer = self.value >= threshold;
        let shift = if answer { shift_above } else { shift_below };
        self.range = ((if answer { above } else { split } + 1) << shift) - 1;
        self.value = (if answer { self.value - threshold } else { self.value }) << shift;
        self.spare -= i32::from(shift);
        answer
    }

    /// `magnitude` or its negative, with equal probability. A branch could not be predicted, so there is none.
    #[inline(always)]
    pub(crate) fn read_sign(&mut self, magnitude: i32) -> i32 {
        if self.spare < 0 {
            self.load();
        }
        let split = self.range >> 1;
        let threshold = u64::from(split + 1) << 56;
        let mask = u64::from(self.value >= threshold).wrapping_neg();
        self.value = (self.value - (threshold & mask)) << 1;
        // Either part doubles once.
        self.range = (self.range.wrapping_add(mask as u32)) | 1;
        self.spare -= 1;
        (magnitude ^ mask as i32) - mask as i32
    }

    /// A bool that is true or false with equal probability. It is not inlined, since headers have so many that they would be
    /// 40 KB of the binary.
    #[inline(never)]
    pub(crate) fn read_flag(&mut self) -> bool {
        self.read(128)
    }

    /// A number of `bits` bits, the most significant first.
    pub(crate) fn read_number(&mut self, bits: u32) -> u8 {
        (0..bits).fold(0, |number, _| number << 1 | u8::from(self.read_flag()))
    }

    /// A number of `bits` bits, then its sign.
    pub(crate) fn read_signed(&mut self, bits: u32) -> i32 {
        let magnitude = i32::from(self.read_number(bits));
        if self.read_flag() { -magnitude } else { magnitude }
    }

    /// A flag, and if it is set a signed number.
    pub(crate) fn read_optional(&mut self, bits: u32) -> Option<i32> {
        self.read_flag().then(|| self.read_signed(bits))
    }

    #[inline(always)]
    fn load(&mut self) {
        if let Some((bytes, _)) = self.rest.split_first_chunk::<8>() {
            let bits = u64::from_be_bytes(*bytes) >> 8;
            self.value |= bits << -self.spare;
            self.spare += 56;
            self.rest = &self.rest[7..];
        } else {
            *self = self.load_last();
        }
    }

    /// Takes and returns the decoder by value, so that a caller's copy can stay in registers.
    #[cold]
    #[inline(never)]
    fn load_last(mut self) -> BoolDecoder<'a> {
        if let Some((byte, rest)) = self.rest.split_first() {
            self.value |= u64::from(*byte) << (48 - self.spare);
            self.spare += 8;
            self.rest = rest;
        } else {
            self.spare = RAN_OUT;
        }
        self
    }
}
