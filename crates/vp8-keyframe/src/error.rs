//! Why a frame is not decoded.

use std::fmt;

/// Why a frame is not decoded. Each kind is a rule of RFC 6386 that the bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There are fewer bytes than the ten that come before the first partition (section 9.1).
    TooShort,
    /// It is an inter frame, which needs the frames before it (section 9.1).
    NotKeyFrame,
    /// The version is over 3 (section 9.1).
    UnknownVersion(u8),
    /// The frame is not to be shown (section 9.1).
    Hidden,
    /// The bytes 9D 01 2A are missing (section 9.1).
    NoStartCode,
    /// The width or the height is 0 (section 9.1).
    NoPixels,
    /// The first partition is longer than the bytes that are there (section 9.1).
    FirstPartitionCutShort,
    /// The first partition ends before the header that it begins with (section 9.2).
    HeaderCutShort,
    /// The bytes end before the last partition begins (section 9.5).
    PartitionsCutShort,
    /// The coded data end in a row of macroblocks. Only [`decode`](crate::decode) can find this out.
    MacroblocksCutShort {
        /// The row in which the data end, from 0.
        row: u32,
        /// How many rows the frame has.
        rows: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooShort => f.write_str("the frame ends in its first ten bytes"),
            Error::NotKeyFrame => f.write_str("the frame is not a key frame"),
            Error::UnknownVersion(version) => write!(f, "the frame has the unknown version {version}"),
            Error::Hidden => f.write_str("the frame is not to be shown"),
            Error::NoStartCode => f.write_str("the frame has no start code"),
            Error::NoPixels => f.write_str("the frame has no pixels"),
            Error::FirstPartitionCutShort => f.write_str("the frame ends in its first partition"),
            Error::HeaderCutShort => f.write_str("the frame's first partition ends in its header"),
            Error::PartitionsCutShort => f.write_str("the frame ends before its last partition"),
            Error::MacroblocksCutShort { row, rows } => {
                write!(f, "the frame's data end in row {row} of its {rows} rows of macroblocks")
            }
        }
    }
}

impl std::error::Error for Error {}
