//! Reads forward through a stranger's bytes.
//!
//! Every read is checked against what is left. A read beyond that gives the error that the cursor was made with: the file
//! was cut short, or, inside a segment or chunk of known length, the length is wrong.

use crate::error::InspectError;

pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    when_short: InspectError,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], when_short: InspectError) -> Cursor<'a> {
        Cursor { rest: bytes, when_short }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], InspectError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.when_short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], InspectError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.when_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, InspectError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16_le(&mut self) -> Result<u16, InspectError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u24_le(&mut self) -> Result<u32, InspectError> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    pub(crate) fn u32_be(&mut self) -> Result<u32, InspectError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u32_le(&mut self) -> Result<u32, InspectError> {
        self.array().map(u32::from_le_bytes)
    }
}
