//! The tables that segments define (T.81, B.2.4): checked here, and kept as they lie in the file until a scan is decoded.

use crate::cursor::{Cursor, nibbles};
use crate::error::{Damage, Error};
use crate::standard;

/// As many bits as the decoder's arithmetic is made for. Samples of 8 bits need 11 (T.81, F.1.2.1).
const MAX_DC_BITS: u8 = 15;

/// The tables in force, by their destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables<'a> {
    pub(crate) quantization: [Option<QuantizationTable<'a>>; 4],
    pub(crate) dc: [Option<HuffmanCodes<'a>>; 4],
    pub(crate) ac: [Option<HuffmanCodes<'a>>; 4],
    /// MCUs from one restart marker to the next; 0 for none.
    pub(crate) restart_interval: u16,
}

/// Single frames of Motion JPEG leave out the Huffman tables of T.81's Annex K.3. Decoders fill them in.
impl Default for Tables<'_> {
    fn default() -> Self {
        let [dc_luma, dc_chroma] = &standard::DC;
        let [ac_luma, ac_chroma] = &standard::AC;
        Tables {
            quantization: [None; 4],
            dc: [Some(dc_luma.codes()), Some(dc_chroma.codes()), None, None],
            ac: [Some(ac_luma.codes()), Some(ac_chroma.codes()), None, None],
            restart_interval: 0,
        }
    }
}

/// 64 steps in coded order, of one byte or of two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum QuantizationTable<'a> {
    Bytes(&'a [u8; 64]),
    Words(&'a [u8; 128]),
}

impl QuantizationTable<'_> {
    /// The steps in coded order.
    pub(crate) fn steps(self) -> [f32; 64] {
        match self {
            QuantizationTable::Bytes(steps) => steps.map(f32::from),
            QuantizationTable::Words(steps) => {
                let (words, _) = steps.as_chunks::<2>();
                let mut table = [0.0; 64];
                for (step, word) in table.iter_mut().zip(words) {
                    *step = u16::from_be_bytes(*word).into();
                }
                table
            }
        }
    }
}

/// A Huffman table as the file gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HuffmanCodes<'a> {
    /// How many codes there are of 1 to 16 bits.
    pub(crate) counts: &'a [u8; 16],
    /// What the codes stand for, from the shortest code to the longest.
    pub(crate) symbols: &'a [u8],
}

impl HuffmanCodes<'_> {
    /// The bits of the shortest code, if there is any code.
    pub(crate) fn shortest(&self) -> Option<u64> {
        self.counts.iter().zip(1..).find(|(count, _)| **count > 0).map(|(_, bits)| bits)
    }
}

impl<'a> Tables<'a> {
    /// DQT (B.2.4.1).
    pub(crate) fn define_quantization(&mut self, mut segment: Cursor<'a>) -> Result<(), Error> {
        while !segment.is_empty() {
            let [precision, destination] = nibbles(segment.take_u8()?);
            let defined = self.quantization.get_mut(usize::from(destination));
            let Some(defined) = defined.filter(|_| precision <= 1) else {
                return Err(Damage::QuantizationTable.into());
            };
            *defined = Some(match precision {
                0 => QuantizationTable::Bytes(segment.take_array()?),
                _ => QuantizationTable::Words(segment.take_array()?),
            });
        }
        Ok(())
    }

    /// DHT (B.2.4.2).
    pub(crate) fn define_huffman(&mut self, mut segment: Cursor<'a>) -> Result<(), Error> {
        while !segment.is_empty() {
            let [class, destination] = nibbles(segment.take_u8()?);
            let tables = if class == 0 { &mut self.dc } else { &mut self.ac };
            let defined = tables.get_mut(usize::from(destination));
            let Some(defined) = defined.filter(|_| class <= 1) else {
                return Err(Damage::HuffmanTable.into());
            };
            let counts = segment.take_array::<16>()?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let code_space: u32 =
                counts.iter().zip(1..).map(|(&count, bits)| u32::from(count) << (16 - bits)).sum();
            if count > 256 || code_space > 1 << 16 {
                return Err(Damage::TooManyCodes.into());
            }
            let symbols = segment.take(count)?;
            if class == 0 && symbols.iter().any(|&bits| bits > MAX_DC_BITS) {
                return Err(Damage::DcTooLong.into());
            }
            *defined = Some(HuffmanCodes { counts, symbols });
        }
        Ok(())
    }

    /// DRI (B.2.4.4).
    pub(crate) fn define_restart_interval(&mut self, mut segment: Cursor<'a>) -> Result<(), Error> {
        self.restart_interval = segment.take_u16()?;
        segment.must_end()
    }
}
