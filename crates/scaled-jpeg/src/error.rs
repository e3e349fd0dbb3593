//! Why a file is not decoded.

use std::error;
use std::fmt::{self, Display, Formatter};

/// Why a file is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes do not begin with a start marker (SOI) and another marker.
    NotJpeg,
    /// The bytes end before the end marker (EOI).
    CutShort,
    /// The bytes break a rule of the format.
    Damaged(Damage),
    /// The file uses a part of the format that this decoder does not have.
    Unsupported(Feature),
    /// The picture has more pixels than the caller allows.
    TooManyPixels {
        /// In pixels, 1 to 65,535.
        width: u32,
        /// In pixels, 1 to 65,535.
        height: u32,
        /// The most that the caller allows, width times height.
        max_pixels: u64,
    },
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotJpeg => f.write_str("not a JPEG"),
            Error::CutShort => f.write_str("the JPEG ends before its end marker"),
            Error::Damaged(what) => write!(f, "the JPEG is damaged: {what}"),
            Error::Unsupported(what) => write!(f, "the JPEG uses {what}, which is not supported"),
            Error::TooManyPixels { width, height, max_pixels } => {
                write!(f, "the JPEG has {width}x{height} pixels, and at most {max_pixels} are allowed")
            }
        }
    }
}

impl error::Error for Error {}

impl From<Damage> for Error {
    fn from(what: Damage) -> Error {
        Error::Damaged(what)
    }
}

impl From<Feature> for Error {
    fn from(what: Feature) -> Error {
        Error::Unsupported(what)
    }
}

/// A rule of the format that a file breaks. `Display` and [`Damage::as_str`] give a clause in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// There is no frame header (SOF).
    NoFrame,
    /// There are two frame headers.
    TwoFrames,
    /// A scan comes before the frame header.
    ScanBeforeFrame,
    /// No scan holds the DC coefficients of a component.
    ComponentWithoutScan,
    /// A second start marker (SOI) comes before the end marker.
    SecondStart,
    /// A restart marker stands outside a scan.
    StrayRestart,
    /// A marker has a code that T.81 reserves.
    UnknownMarker,
    /// A segment's length does not count its own two bytes.
    SegmentLength,
    /// A segment is shorter than its contents.
    SegmentTooShort,
    /// A segment is longer than its contents.
    SegmentTooLong,
    /// A quantization table has a precision or a destination that does not exist.
    QuantizationTable,
    /// A Huffman table has a class or a destination that does not exist.
    HuffmanTable,
    /// A Huffman table has more codes than its lengths leave room for, or more than 256.
    TooManyCodes,
    /// A Huffman table announces a DC difference of more than 15 bits.
    DcTooLong,
    /// The width or the height is zero. A height that follows the first scan (DNL) looks the same.
    EmptyPicture,
    /// A component has a sampling factor outside 1 to 4, or a quantization table over 3.
    Component,
    /// Two components have one identifier.
    DuplicateComponent,
    /// A scan has no components, or over four.
    ScanComponents,
    /// A scan names a component that the frame does not have, or one component twice.
    UnknownComponent,
    /// A scan needs a quantization table that is not defined.
    MissingQuantizationTable,
    /// A scan needs a Huffman table that is not defined or has no codes.
    MissingHuffmanTable,
    /// A scan has a spectral selection or a successive approximation that the process does not allow.
    Progression,
    /// An MCU has over ten blocks.
    McuTooLarge,
    /// A scan has no coded data.
    EmptyScan,
    /// A scan's coded data has fewer bits than the picture has codes.
    ScanTooShort,
    /// Restart markers are missing or out of order.
    RestartMarkers,
    /// The coded data has an undefined code, or ends too early. Only decoding finds this.
    CodedData,
}

impl Damage {
    /// What is wrong, as a clause that can follow "the JPEG is damaged: ".
    pub const fn as_str(self) -> &'static str {
        match self {
            Damage::NoFrame => "it has no frame header",
            Damage::TwoFrames => "it has two frame headers",
            Damage::ScanBeforeFrame => "a scan comes before the frame header",
            Damage::ComponentWithoutScan => "a colour component has no scan",
            Damage::SecondStart => "a second start marker comes before the end marker",
            Damage::StrayRestart => "a restart marker stands outside a scan",
            Damage::UnknownMarker => "it has a marker that does not exist",
            Damage::SegmentLength => "a segment's length is under 2",
            Damage::SegmentTooShort => "a segment is shorter than what it must hold",
            Damage::SegmentTooLong => "a segment is longer than what it may hold",
            Damage::QuantizationTable => "a quantization table has a wrong precision or number",
            Damage::HuffmanTable => "a Huffman table has a wrong class or number",
            Damage::TooManyCodes => "a Huffman table has more codes than there can be",
            Damage::DcTooLong => "a Huffman table has a difference of over 15 bits",
            Damage::EmptyPicture => "its width or height is zero",
            Damage::Component => "a colour component has a wrong sampling factor or table",
            Damage::DuplicateComponent => "two colour components have the same number",
            Damage::ScanComponents => "a scan has no colour components, or over four",
            Damage::UnknownComponent => "a scan names a colour component that is not there, or twice",
            Damage::MissingQuantizationTable => "a quantization table is missing",
            Damage::MissingHuffmanTable => "a Huffman table is missing",
            Damage::Progression => "a scan has a wrong spectral selection or approximation",
            Damage::McuTooLarge => "a scan has over ten blocks in a unit",
            Damage::EmptyScan => "a scan holds no data",
            Damage::ScanTooShort => "a scan holds too few data for the picture's size",
            Damage::RestartMarkers => "restart markers are missing from a scan, or out of order",
            Damage::CodedData => "the coded data of a scan is wrong, or ends too early",
        }
    }
}

impl Display for Damage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of the format that this decoder does not have. `Display` and [`Feature::as_str`] give a phrase in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feature {
    /// Lossless compression (SOF3).
    Lossless,
    /// The hierarchical mode (SOF5 to SOF7, DHP, EXP).
    Hierarchical,
    /// Arithmetic coding (SOF9 to SOF15, DAC).
    ArithmeticCoding,
    /// A height that follows the first scan (DNL).
    HeightAfterScan,
    /// One of the markers JPG0 to JPG13, which T.84 and T.87 use.
    Extension,
    /// More than [`MAX_SCANS`](crate::MAX_SCANS) scans.
    ManyScans,
    /// Samples of other than 8 bits.
    SamplePrecision,
    /// Other than 1, 3 or 4 components.
    ComponentCount,
    /// A sampling factor that does not divide the largest one of its direction.
    SamplingFactors,
}

impl Feature {
    /// What is not supported, as a phrase that can follow "the JPEG uses ".
    pub const fn as_str(self) -> &'static str {
        match self {
            Feature::Lossless => "lossless compression",
            Feature::Hierarchical => "the hierarchical mode",
            Feature::ArithmeticCoding => "arithmetic coding",
            Feature::HeightAfterScan => "a height that follows the first scan (DNL)",
            Feature::Extension => "an extension of the format (JPGn)",
            Feature::ManyScans => "over 100 scans",
            Feature::SamplePrecision => "other than 8 bits a sample",
            Feature::ComponentCount => "other than 1, 3 or 4 colour components",
            Feature::SamplingFactors => "sampling factors that do not divide each other",
        }
    }
}

impl Display for Feature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
