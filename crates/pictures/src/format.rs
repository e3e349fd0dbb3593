//! The image formats that are accepted, and the two that thumbnails are written in.
//!
//! The bytes alone decide which format a picture has. A file name and a Content-Type do not count.

/// A format that an upload may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// ITU-T T.81.
    Jpeg,
    /// The W3C's Portable Network Graphics Specification.
    Png,
    /// GIF87a and GIF89a.
    Gif,
    /// RFC 9649.
    WebP,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Jpeg, Format::Png, Format::Gif, Format::WebP];

    /// The extension in URLs and object keys, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Jpeg => "jpg",
            Format::Png => "png",
            Format::Gif => "gif",
            Format::WebP => "webp",
        }
    }

    /// The media type that objects of this format are served with.
    pub const fn content_type(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::Gif => "image/gif",
            Format::WebP => "image/webp",
        }
    }

    /// The format whose [extension](Format::extension) this is.
    pub fn from_extension(extension: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.extension() == extension)
    }
}

/// What an image's three thumbnails are written in. The server reads it off the original's structure, before any pixel is
/// decoded, because the URLs of its answer have the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThumbnailFormat {
    /// The original cannot be transparent.
    Jpeg,
    /// The original can be transparent.
    Png,
}

impl ThumbnailFormat {
    pub const ALL: [ThumbnailFormat; 2] = [ThumbnailFormat::Jpeg, ThumbnailFormat::Png];
}

impl From<ThumbnailFormat> for Format {
    fn from(format: ThumbnailFormat) -> Format {
        match format {
            ThumbnailFormat::Jpeg => Format::Jpeg,
            ThumbnailFormat::Png => Format::Png,
        }
    }
}
