//! The Huffman tables of T.81's Annex K.3. A JPEG has to bring its tables along, and the standard calls these examples. But
//! single frames of Motion JPEG, as webcams give them, leave them out, and every browser fills them in.

use crate::tables::HuffmanCodes;

/// A table of `N` codes.
pub(crate) struct StandardTable<const N: usize> {
    counts: [u8; 16],
    symbols: [u8; N],
}

impl<const N: usize> StandardTable<N> {
    pub(crate) const fn codes(&'static self) -> HuffmanCodes<'static> {
        HuffmanCodes { counts: &self.counts, symbols: &self.symbols }
    }
}

const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// For luma and for chroma (tables K.3 and K.4).
pub(crate) static DC: [StandardTable<12>; 2] = [
    StandardTable { counts: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS },
    StandardTable { counts: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS },
];

/// For luma and for chroma (tables K.5 and K.6).
pub(crate) static AC: [StandardTable<162>; 2] = [
    StandardTable {
        counts: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
        symbols: with_long_codes(
            b"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\
              \xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82",
        ),
    },
    StandardTable {
        counts: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
        symbols: with_long_codes(
            b"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\
              \x09\x23\x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1",
        ),
    },
];

/// The symbols of the short codes, then those of 16 bits, which are most: they stand for all other symbols from the lowest to
/// the highest. A symbol is a run of up to 15 zeros and a coefficient of 1 to 10 bits.
const fn with_long_codes(short: &[u8]) -> [u8; 162] {
    let mut symbols = [0; 162];
    let mut is_short = [false; 256];
    let mut count = 0;
    while count < short.len() {
        symbols[count] = short[count];
        is_short[short[count] as usize] = true;
        count += 1;
    }
    let mut symbol = 0;
    while symbol < 256 {
        let bits = symbol % 16;
        if !is_short[symbol] && bits >= 1 && bits <= 10 {
            symbols[count] = symbol as u8;
            count += 1;
        }
        symbol += 1;
    }
    symbols
}
