//! The bits of a scan, and the Huffman codes in them (T.81, annexes C and F).
//!
//! A thumbnail of a large photograph is mostly this: two million codes for 24 megapixels, most of them 2 to 8 bits long
//! with a magnitude of 1 to 3 bits behind. So one look into a table answers with the code and its magnitude together.

use crate::error::Undecodable;

/// How far the table looks ahead: 4 KiB a table, and 19 of 20 codes of a photograph with their magnitudes.
const LOOKUP_BITS: u32 = 10;

/// What [`Symbol::advance`] is, or more, at the end of a block.
pub(super) const END_OF_BLOCK: usize = 128;

/// The entry's code is known, and its magnitude is longer than the table looks ahead.
const MAGNITUDE_FOLLOWS: u8 = 0x40;

/// Takes bits off the front of a stretch of coded data. What lies past its end reads as zeros and counts as a fault.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    window: u64,
    count: u32,
    corrupt: bool,
}

impl<'a> Bits<'a> {
    /// `data` without stuffed bytes.
    pub(super) fn new(data: &'a [u8]) -> Bits<'a> {
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
    pub(super) fn take(&mut self, bits: u32) -> usize {
        self.refill();
        let taken = self.peek(bits);
        self.consume(bits);
        taken
    }

    /// Whether anything was read that cannot be: an undefined code, or past the end.
    pub(super) fn is_broken(&self) -> bool {
        self.corrupt || self.at * 8 > self.data.len() * 8 + self.count as usize
    }

    pub(super) fn mark_corrupt(&mut self) {
        self.corrupt = true;
    }
}

/// A code with the value that it announces.
pub(super) struct Symbol {
    /// Coefficients to move on by, this one included; [`END_OF_BLOCK`] or more at an end of block.
    pub advance: usize,
    /// The coefficient, or at an end of block the number of bits that say how many blocks end.
    pub value: i32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    value: i16,
    advance: u8,
    /// The bits to consume, and perhaps [`MAGNITUDE_FOLLOWS`], with the magnitude's bits as the value. 0 for a code that is
    /// too long for the table.
    bits: u8,
}

/// What a table's codes stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A difference of DC coefficients.
    Dc,
    /// A run of zeros and an AC coefficient.
    Ac,
}

/// One Huffman table.
pub(super) struct Table {
    class: Class,
    lookup: Box<[Entry; 1 << LOOKUP_BITS]>,
    symbols: Vec<u8>,
    /// For each length, the first code past those of that length or shorter, brought to 16 bits.
    limits: [u32; 17],
    /// For each length, what to add to a code to get its symbol's place.
    offsets: [i32; 17],
}

impl Table {
    /// From the 16 counts of codes of each length and the symbols (T.81, B.2.4.2).
    pub(super) fn new(class: Class, counts: &[u8; 16], symbols: &[u8]) -> Result<Table, Undecodable> {
        if class == Class::Dc && symbols.iter().any(|&size| size > 15) {
            return Err(Undecodable::new("a Huffman table has a DC difference of over 15 bits"));
        }
        let mut table = Table {
            class,
            lookup: Box::new([Entry::default(); 1 << LOOKUP_BITS]),
            symbols: symbols.to_vec(),
            limits: [0; 17],
            offsets: [0; 17],
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for length in 1..=16 {
            code <<= 1;
            table.offsets[length as usize] = place as i32 - code as i32;
            for &symbol in symbols.iter().skip(place).take(counts[length as usize - 1].into()) {
                table.fill_lookup(code, length, symbol);
                code += 1;
                place += 1;
            }
            if code > 1 << length {
                return Err(Undecodable::new("a Huffman table has too many codes"));
            }
            table.limits[length as usize] = code << (16 - length);
        }
        Ok(table)
    }

    fn fill_lookup(&mut self, code: u32, length: u32, symbol: u8) {
        let Some(spare) = LOOKUP_BITS.checked_sub(length) else { return };
        let (advance, size) = self.meaning(symbol);
        let first = (code << spare) as usize;
        for (low, entry) in self.lookup.iter_mut().skip(first).take(1 << spare).enumerate() {
            *entry = match spare.checked_sub(size) {
                _ if usize::from(advance) >= END_OF_BLOCK => {
                    Entry { value: size as i16, advance, bits: length as u8 }
                }
                Some(rest) => {
                    let value = signed(low >> rest, size) as i16;
                    Entry { value, advance, bits: (length + size) as u8 }
                }
                None => Entry { value: size as i16, advance, bits: length as u8 | MAGNITUDE_FOLLOWS },
            };
        }
    }

    /// How far a symbol moves on, and the bits of its magnitude.
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
    pub(super) fn next(&self, bits: &mut Bits) -> Symbol {
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
        if usize::from(advance) >= END_OF_BLOCK {
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
