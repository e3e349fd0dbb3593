//! The one walk over a file's markers (T.81, Annex B, Table B.1).
//!
//! The walk checks every marker segment from SOI to EOI. What it accepts is what decoding starts from. It does not look at the
//! coded data beyond its markers and its length, nor at what is in the APPn segments. Bytes behind EOI are ignored:
//! telephones put films, depth maps and further pictures there.
//!
//! A JPEG that was cut short and then closed with an EOI is noticed here if it has restart markers, or if next to nothing of a
//! scan is left. Otherwise decoding notices it.

use crate::cursor::Cursor;
use crate::error::{Damage, Error, Feature};
use crate::frame::{Component, Frame};
use crate::metadata::Metadata;
use crate::scan::Scan;
use crate::tables::Tables;

/// The most scans that a file may have. A scan takes few bytes, and decoding it takes a walk over all blocks, so a small file
/// could cost minutes. Encoders write about ten.
pub const MAX_SCANS: usize = 100;

/// SOI and the first byte of the marker that must follow it.
const SIGNATURE: [u8; 3] = [0xff, 0xd8, 0xff];

const SOF0: u8 = 0xc0;
const SOF2: u8 = 0xc2;
const DHT: u8 = 0xc4;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const APP0: u8 = 0xe0;
const APP15: u8 = 0xef;
const COM: u8 = 0xfe;

/// What a file's markers say. Borrows from the file; made by [`read_structure`].
#[derive(Debug)]
pub struct Structure<'a> {
    pub(crate) frame: Frame,
    pub(crate) scans: Vec<Scan<'a>>,
    metadata: Metadata<'a>,
}

/// What the samples of a picture mean. The planes of [`Decoded`](crate::Decoded) are in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorModel {
    /// One plane of grey.
    Luma,
    /// Luma, blue difference and red difference, as JFIF defines them.
    YCbCr,
    /// Red, green, blue.
    Rgb,
    /// Cyan, magenta, yellow, black. Stored inverted, as Adobe does: 0 is all ink, 255 is none.
    Cmyk,
    /// The same, with the first three planes transformed as RGB is to YCbCr.
    Ycck,
}

/// Walks a whole file from SOI to EOI and decodes nothing.
///
/// The time grows with the length of `jpeg` alone. The structure takes under 128 KiB of memory, whatever the file says.
///
/// # Errors
///
/// Everything that the markers can prove, see [`Error`]. [`Error::TooManyPixels`] if width times height is over `max_pixels`;
/// it comes before any error that lies behind the frame header.
pub fn read_structure(jpeg: &[u8], max_pixels: u64) -> Result<Structure<'_>, Error> {
    if !jpeg.starts_with(&SIGNATURE) {
        return Err(Error::NotJpeg);
    }
    let mut cursor = Cursor::new(&jpeg[2..], Error::CutShort);
    let mut walk =
        Walk { frame: None, scans: Vec::new(), tables: Tables::default(), metadata: Metadata::default() };
    loop {
        match cursor.next_marker()? {
            EOI => return walk.finish(),
            marker @ SOF0..=SOF2 => walk.read_frame(marker == SOF2, cursor.segment()?, max_pixels)?,
            DQT => walk.tables.define_quantization(cursor.segment()?)?,
            DHT => walk.tables.define_huffman(cursor.segment()?)?,
            DRI => walk.tables.define_restart_interval(cursor.segment()?)?,
            SOS => walk.read_scan(&mut cursor)?,
            marker @ (APP0..=APP15 | COM) => walk.metadata.read(marker, cursor.segment()?.rest()),
            marker => return Err(refusal(marker)),
        }
    }
}

fn refusal(marker: u8) -> Error {
    match marker {
        0xc3 => Feature::Lossless.into(),
        0xc5..=0xc7 | 0xde | 0xdf => Feature::Hierarchical.into(),
        0xc9..=0xcf => Feature::ArithmeticCoding.into(),
        0xdc => Feature::HeightAfterScan.into(),
        0xf0..=0xfd => Feature::Extension.into(),
        SOI => Damage::SecondStart.into(),
        RST0..=RST7 => Damage::StrayRestart.into(),
        _ => Damage::UnknownMarker.into(),
    }
}

/// What has been read so far.
struct Walk<'a> {
    frame: Option<Frame>,
    scans: Vec<Scan<'a>>,
    tables: Tables<'a>,
    metadata: Metadata<'a>,
}

impl<'a> Walk<'a> {
    fn read_frame(
        &mut self,
        is_progressive: bool,
        segment: Cursor<'_>,
        max_pixels: u64,
    ) -> Result<(), Error> {
        if self.frame.is_some() {
            return Err(Damage::TwoFrames.into());
        }
        self.frame = Some(Frame::parse(is_progressive, segment, max_pixels)?);
        Ok(())
    }

    fn read_scan(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Error> {
        if self.scans.len() == MAX_SCANS {
            return Err(Feature::ManyScans.into());
        }
        let frame = self.frame.as_ref().ok_or(Damage::ScanBeforeFrame)?;
        self.scans.push(Scan::read(cursor, frame, &self.tables)?);
        Ok(())
    }

    fn finish(self) -> Result<Structure<'a>, Error> {
        let frame = self.frame.ok_or(Damage::NoFrame)?;
        let is_begun = |i| self.scans.iter().any(|scan| scan.begins_picture() && scan.names(i));
        if !(0..frame.components.len()).all(is_begun) {
            return Err(Damage::ComponentWithoutScan.into());
        }
        Ok(Structure { frame, scans: self.scans, metadata: self.metadata })
    }
}

impl<'a> Structure<'a> {
    /// In pixels, 1 to 65,535. An Exif orientation is not applied.
    pub fn width(&self) -> u32 {
        self.frame.width
    }

    /// In pixels, 1 to 65,535. An Exif orientation is not applied.
    pub fn height(&self) -> u32 {
        self.frame.height
    }

    /// Whether the coefficients come in several scans (SOF2). Decoding such a picture takes more memory.
    pub fn is_progressive(&self) -> bool {
        self.frame.is_progressive
    }

    /// The components in the frame's order: 1, 3 or 4.
    pub fn components(&self) -> &[Component] {
        &self.frame.components
    }

    /// How many scans there are, 1 to [`MAX_SCANS`].
    pub fn scan_count(&self) -> usize {
        self.scans.len()
    }

    /// What the components mean, as libjpeg and browsers decide it: by a JFIF segment, then by an Adobe segment, then
    /// by the components' identifiers.
    pub fn color_model(&self) -> ColorModel {
        let ids: Vec<u8> = self.frame.components.iter().map(|component| component.id).collect();
        let Metadata { has_jfif, adobe_transform, .. } = self.metadata;
        match (ids.len(), adobe_transform) {
            (1, _) => ColorModel::Luma,
            (4, None | Some(0)) => ColorModel::Cmyk,
            (4, _) => ColorModel::Ycck,
            (_, Some(0)) if !has_jfif => ColorModel::Rgb,
            (_, None) if !has_jfif && ids == b"RGB" => ColorModel::Rgb,
            _ => ColorModel::YCbCr,
        }
    }

    /// The first Exif block, from its TIFF header on.
    pub fn exif(&self) -> Option<&'a [u8]> {
        self.metadata.exif
    }

    /// The ICC profile, put together from its parts by their numbers (ICC.1, B.4). The profile itself is not checked.
    pub fn icc_profile(&self) -> Option<Vec<u8>> {
        self.metadata.icc_profile()
    }

    /// What the Adobe segment says of the colour transform: 0 for none, 1 for YCbCr, 2 for YCCK.
    pub fn adobe_transform(&self) -> Option<u8> {
        self.metadata.adobe_transform
    }
}
