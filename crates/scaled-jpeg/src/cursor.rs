//! Reading forward through bytes. A read past their end is the error that the cursor was made with.

use crate::error::{Damage, Error};

pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    when_short: Error,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], when_short: Error) -> Cursor<'a> {
        Cursor { rest: bytes, when_short }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(self.when_short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.when_short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn take_u8(&mut self) -> Result<u8, Error> {
        self.take_array().map(|[byte]| *byte)
    }

    pub(crate) fn take_u16(&mut self) -> Result<u16, Error> {
        self.take_array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// The code of the next marker. Passes over fill bytes (T.81, B.1.1.2) and stray bytes: some cameras leave bytes between
    /// their segments.
    pub(crate) fn next_marker(&mut self) -> Result<u8, Error> {
        loop {
            let stray = memchr::memchr(0xff, self.rest).ok_or(self.when_short)?;
            self.take(stray)?;
            let mut code = 0xff;
            while code == 0xff {
                code = self.take_u8()?;
            }
            if code != 0 {
                return Ok(code);
            }
        }
    }

    /// The contents of the segment whose marker was just read.
    pub(crate) fn segment(&mut self) -> Result<Cursor<'a>, Error> {
        let length = usize::from(self.take_u16()?).checked_sub(2).ok_or(Damage::SegmentLength)?;
        Ok(Cursor::new(self.take(length)?, Damage::SegmentTooShort.into()))
    }

    /// Refuses a segment that holds more than was read.
    pub(crate) fn must_end(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Damage::SegmentTooLong.into()) }
    }
}

pub(crate) fn nibbles(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0x0f]
}
