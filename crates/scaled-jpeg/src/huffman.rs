//! The bits of a scan, and the Huffman codes in them (T.81, annexes C and F).
//!
//! Decoding a large photograph to a small size is mostly this: two million codes for 24 megapixels, most of them 2 to 8 bits
//! long, with a magnitude of 1 to 3 bits behind. So one look into a table gives the code and its magnitude together.

use crate::tables::HuffmanCodes;

/// How far the table looks ahead: 4 KiB a table, and 19 of 20 codes of a photograph with their magnitudes.
const LOOKUP_BITS: u32 = 10;

/// The [`Symbol::advance`] of an end of block: further than any coefficient.
pub(crate) const END_OF_BLOCK: usize = 128;

/// A flag in [`Entry::bits`]: the code is known, and its magnitude is longer than the table looks ahead.
const MAGNITUDE_FOLLOWS: u8 = 0x40;

/// Takes bits off the front of coded data. Bits past its end read as zeros and make the data broken.
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    window: u64,
    count: u32,
    corrupt: bool,
}

impl<'a> Bits<'a> {
    /// `data` without stuffed bytes.
    pub(crate) fn new(data: &'a [u8]) -> Bits<'a> {
        Bits { data, at: 0, window: 0, count: 0, corrupt: false }
    }

    /// Fills the window up to at least 56 bits, which is more than a code and a magnitude can take.
    #[inline(always)]
    fn refill(&mut self) {
        let ahead = match self.data.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => self.last_bytes(),
        };
        self.window |= ahead >> self.count;
        let taken = (63 - self.count) >> 3;
        self.at += taken as usize;
        self.count += taken * 8;
    }

    #[cold]
    fn last_bytes(&self) -> u64 {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        u64::from_be_bytes(bytes)
    }

    /// The next bits as a number; none if there are none to take.
    #[inline(always)]
    fn peek(&self, bits: u32) -> usize {
        ((self.window >> 1) >> (63 - bits)) as usize
    }

    #[inline(always)]
    fn consume(&mut self, bits: u32) {
        self.window <<= bits;
        self.count -= bits;
    }

    /// Takes up to 16 bits.
    #[inline(always)]
    pub(crate) fn take(&mut self, bits: u32) -> usize {
        self.refill();
        let taken = self.peek(bits);
        self.consume(bits);
        taken
    }

    /// Whether an undefined code was read, or bits past the end.
    pub(crate) fn is_broken(&self) -> bool {
        self.corrupt || self.at * 8 > self.data.len() * 8 + self.count as usize
    }

    pub(crate) fn mark_corrupt(&mut self) {
        self.corrupt = true;
    }
}

/// A code with the value that it announces.
pub(crate) struct Symbol {
    /// Coefficients to move on by, this one included; [`END_OF_BLOCK`] at an end of block.
    pub(crate) advance: usize,
    /// The coefficient, or at an end of block the number of bits that say how many blocks end.
    pub(crate) value: i32,
}

/// What the table has for some next bits. Packed into four bytes, because looking it up is the hot loop.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// As [`Symbol::value`], or the bits of the magnitude that follows.
    value: i16,
    /// As [`Symbol::advance`].
    advance: u8,
    /// The bits to consume, and perhaps [`MAGNITUDE_FOLLOWS`]. 0 for a code that is too long for the table.
    bits: u8,
}

impl Entry {
    /// A code and its magnitude, of so many bits together; or an end of block.
    fn whole(advance: u8, value: i32, bits: u32) -> Entry {
        Entry { value: value as i16, advance, bits: bits as u8 }
    }

    /// A code whose magnitude of `size` bits is still to be read.
    fn before_magnitude(advance: u8, size: u32, length: u32) -> Entry {
        Entry { value: size as i16, advance, bits: length as u8 | MAGNITUDE_FOLLOWS }
    }
}

/// What the codes of a table stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A difference of DC coefficients.
    Dc,
    /// A run of zeros and an AC coefficient.
    Ac,
}

/// One Huffman table.
pub(crate) struct Table {
    class: Class,
    lookup: Box<[Entry; 1 << LOOKUP_BITS]>,
    symbols: Vec<u8>,
    /// For each length, the first code past all codes of that length or shorter, shifted to 16 bits.
    limits: [u32; 17],
    /// For each length, what to add to a code to get its symbol's place.
    offsets: [i32; 17],
}

impl Table {
    /// From codes that were checked when they were defined: they are not too many.
    pub(crate) fn new(class: Class, codes: &HuffmanCodes) -> Table {
        let mut table = Table {
            class,
            lookup: Box::new([Entry::default(); 1 << LOOKUP_BITS]),
            symbols: codes.symbols.to_vec(),
            limits: [0; 17],
            offsets: [0; 17],
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(codes.counts) {
            code <<= 1;
            table.offsets[length as usize] = place as i32 - code as i32;
            for &symbol in codes.symbols.iter().skip(place).take(count.into()) {
                table.fill_lookup(code, length, symbol);
                code += 1;
                place += 1;
            }
            table.limits[length as usize] = code << (16 - length);
        }
        table
    }

    fn fill_lookup(&mut self, code: u32, length: u32, symbol: u8) {
        let Some(spare) = LOOKUP_BITS.checked_sub(length) else { return };
        let (advance, size) = self.meaning(symbol);
        let first = (code << spare) as usize;
        for (low, entry) in self.lookup.iter_mut().skip(first).take(1 << spare).enumerate() {
            *entry = match spare.checked_sub(size) {
                _ if usize::from(advance) == END_OF_BLOCK => Entry::whole(advance, size as i32, length),
                Some(rest) => Entry::whole(advance, signed(low >> rest, size), length + size),
                None => Entry::before_magnitude(advance, size, length),
            };
        }
    }

    /// How far a symbol moves on, and the bits of its magnitude or, at an end of block, of the number of blocks.
    fn meaning(&self, symbol: u8) -> (u8, u32) {
        let (run, size) = (symbol >> 4, u32::from(symbol & 0x0f));
        match (self.class, run, size) {
            (Class::Dc, ..) => (1, u32::from(symbol)),
            (Class::Ac, 15, 0) => (16, 0),
            (Class::Ac, _, 0) => (END_OF_BLOCK as u8, run.into()),
            (Class::Ac, ..) => (run + 1, size),
        }
    }

    /// Reads a code and its magnitude.
    #[inline(always)]
    pub(crate) fn next(&self, bits: &mut Bits) -> Symbol {
        bits.refill();
        let entry = self.lookup[bits.peek(LOOKUP_BITS)];
        if (1..MAGNITUDE_FOLLOWS).contains(&entry.bits) {
            bits.consume(entry.bits.into());
            return Symbol { advance: entry.advance.into(), value: entry.value.into() };
        }
        self.next_long(entry, bits)
    }

    fn next_long(&self, entry: Entry, bits: &mut Bits) -> Symbol {
        let (advance, size) = match entry.bits {
            0 => self.meaning(self.long_code(bits)),
            with_flag => {
                bits.consume(u32::from(with_flag & !MAGNITUDE_FOLLOWS));
                (entry.advance, entry.value as u32)
            }
        };
        if usize::from(advance) == END_OF_BLOCK {
            return Symbol { advance: advance.into(), value: size as i32 };
        }
        let magnitude = bits.peek(size);
        bits.consume(size);
        Symbol { advance: advance.into(), value: signed(magnitude, size) }
    }

    fn long_code(&self, bits: &mut Bits) -> u8 {
        let ahead = bits.peek(16) as u32;
        let length = (LOOKUP_BITS + 1..=16).find(|&length| ahead < self.limits[length as usize]);
        let symbol = length.and_then(|length| {
            bits.consume(length);
            let place = (ahead >> (16 - length)) as i32 + self.offsets[length as usize];
            self.symbols.get(usize::try_from(place).ok()?).copied()
        });
        symbol.unwrap_or_else(|| {
            bits.mark_corrupt();
            0
        })
    }
}

/// The number that a magnitude stands for (T.81, figure F.12): the upper half of its range is positive.
#[inline(always)]
fn signed(magnitude: usize, size: u32) -> i32 {
    let magnitude = magnitude as i32;
    if magnitude < (1 << size) >> 1 { magnitude - (1 << size) + 1 } else { magnitude }
}
