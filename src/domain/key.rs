//! The key of an object. It is a typed value and not a string, so that nothing a client sends can name an object, or a path,
//! that we did not make.

use std::fmt;
use std::str::FromStr;

use crate::domain::format::{Format, ThumbnailFormat};
use crate::domain::image_id::ImageId;
use crate::domain::size::Size;

/// Which of an image's four objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Original,
    Thumbnail(Size),
}

/// The key of an object: `{id}/{original|small|medium|large}.{ext}`. The object's URL is the setting `PUBLIC_URL`, a slash and
/// this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub id: ImageId,
    pub kind: Kind,
    /// Decides the extension and the Content-Type.
    pub format: Format,
}

impl Key {
    pub fn original(id: ImageId, format: Format) -> Key {
        Key { id, kind: Kind::Original, format }
    }

    pub fn thumbnail(id: ImageId, size: Size, format: ThumbnailFormat) -> Key {
        Key { id, kind: Kind::Thumbnail(size), format: format.into() }
    }

    /// The part of the key after the id, such as `small.jpg`.
    pub fn file_name(&self) -> String {
        let stem = match self.kind {
            Kind::Original => "original",
            Kind::Thumbnail(size) => size.name(),
        };
        format!("{stem}.{}", self.format.extension())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.id, self.file_name())
    }
}

impl FromStr for Key {
    type Err = ();

    /// Takes exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Key, ()> {
        let (id, file) = text.split_once('/').ok_or(())?;
        let (stem, extension) = file.split_once('.').ok_or(())?;
        let kind = if stem == "original" { Kind::Original } else { Kind::Thumbnail(stem.parse()?) };
        Ok(Key { id: id.parse().map_err(drop)?, kind, format: Format::from_extension(extension).ok_or(())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_their_text() {
        let id: ImageId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let original = Key::original(id, Format::WebP);
        assert_eq!(original.to_string(), "0123456789abcdef0123456789abcdef/original.webp");
        let small = Key::thumbnail(id, Size::Small, ThumbnailFormat::Jpeg);
        assert_eq!(small.to_string(), "0123456789abcdef0123456789abcdef/small.jpg");
        for key in [original, small] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn nothing_else_is_a_key() {
        let id = "0123456789abcdef0123456789abcdef";
        let bad = [
            "",
            "/",
            "../etc/passwd",
            "x/small.jpg",
            &format!("{id}/"),
            &format!("{id}/small"),
            &format!("{id}/huge.jpg"),
        ];
        let also_bad = [
            format!("{id}/small.jpeg"),
            format!("{id}/small.jpg/"),
            format!("{id}/../small.jpg"),
            format!("/{id}/small.jpg"),
        ];
        for text in bad.into_iter().chain(also_bad.iter().map(String::as_str)) {
            assert_eq!(text.parse::<Key>(), Err(()), "{text:?}");
        }
    }
}
