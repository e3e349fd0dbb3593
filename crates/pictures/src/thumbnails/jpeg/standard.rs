//! The Huffman tables of T.81's Annex K.3. A JPEG has to bring its tables along, and the standard calls these examples; but
//! single frames of Motion JPEG, as webcams give them, leave them out, and every browser fills them in.

use super::huffman::{Class, Table};
use super::scan::Tables;
use crate::error::Undecodable;

/// How many codes there are of each length, for luma and for colour (tables K.3 and K.4).
const DC_COUNTS: [[u8; 16]; 2] =
    [[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]];
const DC_SYMBOLS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

/// The same for AC (tables K.5 and K.6).
const AC_COUNTS: [[u8; 16]; 2] =
    [[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119]];
/// The symbols of the short codes. Those of 16 bits, which are most, stand for all others from the lowest to the highest.
const AC_SYMBOLS: [&[u8]; 2] = [
    b"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\
      \x52\xd1\xf0\x24\x33\x62\x72\x82",
    b"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\
      \x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1",
];

/// Puts them where no others are.
pub(super) fn fill_in(tables: &mut Tables) -> Result<(), Undecodable> {
    for number in 0..2 {
        if tables.dc[number].is_none() {
            tables.dc[number] = Some(Table::new(Class::Dc, &DC_COUNTS[number], &DC_SYMBOLS)?);
        }
        if tables.ac[number].is_none() {
            tables.ac[number] = Some(Table::new(Class::Ac, &AC_COUNTS[number], &ac_symbols(number))?);
        }
    }
    Ok(())
}

/// A run of up to 15 zeros and a coefficient of 1 to 10 bits make a symbol.
fn ac_symbols(number: usize) -> Vec<u8> {
    let short = AC_SYMBOLS[number];
    let others = (0..=0xff).filter(|symbol| (1..=10).contains(&(symbol & 0x0f)) && !short.contains(symbol));
    short.iter().copied().chain(others).collect()
}
