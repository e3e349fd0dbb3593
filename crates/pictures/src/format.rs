//! The image formats that are taken in, and the two that thumbnails are written in.
//!
//! A format is always read off the bytes. What a client says about them, in a file name or a Content-Type, is not asked.

/// A format that an upload may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// ITU-T T.81.
    Jpeg,
    /// RFC 2083 and its successors.
    Png,
    /// GIF87a and GIF89a.
    Gif,
    /// RFC 9649.
    WebP,
}

impl Format {
    /// All that are accepted; anything else is refused.
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

/// What an image's three thumbnails are written in. The server settles it from the original's header, before any pixel is
/// decoded, because the URLs that it answers with carry the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThumbnailFormat {
    /// The original cannot be transparent.
    Jpeg,
    /// The original can be transparent.
    Png,
}

impl ThumbnailFormat {
    /// Both.
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
