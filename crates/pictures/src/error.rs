//! Why bytes are not taken, and why a picture that was taken has no thumbnails.

use std::error::Error;
use std::fmt;

use crate::format::Format;
use crate::inspected::MAX_SIDE;

/// Why the bytes are not taken. `Display` is a sentence for the client; each is answered with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InspectError {
    /// The bytes begin like none of the formats.
    UnknownFormat,
    /// The bytes end before the format's end marker.
    CutShort(Format),
    /// The bytes break a rule of the format. The text goes on after "is damaged:".
    Damaged(Format, &'static str),
    /// The bytes use a part of the format that thumbnails cannot be made of. The text goes on after "uses".
    Unsupported(Format, &'static str),
    /// The picture, or a frame of it, has more pixels than are allowed.
    TooManyPixels {
        /// Width times height.
        pixels: u64,
        /// The most that is allowed.
        max: u64,
    },
    /// The picture, or a frame of it, is wider or higher than [`MAX_SIDE`]. This is the longer side.
    TooLong(u32),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            InspectError::UnknownFormat => f.write_str(
                "The image field does not hold a picture that is taken here: send a JPEG, PNG, GIF or WebP file.",
            ),
            InspectError::CutShort(format) => {
                let (name, end) = name_and_end(format);
                write!(f, "The {name} ends before its {end}: it was cut short, send the whole file.")
            }
            InspectError::Damaged(format, what) => {
                let (name, _) = name_and_end(format);
                write!(f, "The {name} is damaged: {what}; save the picture anew and send that.")
            }
            InspectError::Unsupported(format, what) => {
                let (name, _) = name_and_end(format);
                write!(f, "The {name} uses {what}, which is not supported: save it as an ordinary {name}.")
            }
            InspectError::TooManyPixels { pixels, max } => {
                write!(f, "The picture has {pixels} pixels and at most {max} are taken: send a smaller one.")
            }
            InspectError::TooLong(side) => {
                write!(f, "The picture has a side of {side} pixels and at most {MAX_SIDE} are taken: send a smaller one.")
            }
        }
    }
}

impl Error for InspectError {}

fn name_and_end(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Jpeg => ("JPEG", "end marker"),
        Format::Png => ("PNG", "IEND chunk"),
        Format::Gif => ("GIF", "trailer"),
        Format::WebP => ("WebP", "declared end"),
    }
}

/// Why a picture has no thumbnails. It will have none later either, and on no other machine.
#[derive(Debug)]
pub enum Undecodable {
    /// [`inspect`](crate::inspect) refuses the bytes for the same reason.
    Structure(InspectError),
    /// `inspect` accepts the bytes, but what the pixels are coded in is damaged, which only decoding can show. This is the
    /// decoder's error.
    CodedData(Box<dyn Error + Send + Sync>),
    /// The pixels were decoded, but could not be scaled or encoded. No picture is known that does this.
    Thumbnail(Box<dyn Error + Send + Sync>),
}

impl Undecodable {
    pub(crate) fn coded_data(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Undecodable {
        Undecodable::CodedData(cause.into())
    }

    pub(crate) fn thumbnail(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Undecodable {
        Undecodable::Thumbnail(cause.into())
    }
}

impl From<InspectError> for Undecodable {
    fn from(error: InspectError) -> Undecodable {
        Undecodable::Structure(error)
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::Structure(error) => write!(f, "cannot decode the picture: {error}"),
            Undecodable::CodedData(cause) => write!(f, "cannot decode the picture: {cause}"),
            Undecodable::Thumbnail(cause) => write!(f, "cannot make the thumbnails: {cause}"),
        }
    }
}

impl Error for Undecodable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Undecodable::Structure(error) => Some(error),
            Undecodable::CodedData(cause) | Undecodable::Thumbnail(cause) => Some(&**cause),
        }
    }
}
