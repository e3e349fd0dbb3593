//! From a listing's objects to images: what belongs together, and what is missing.
//!
//! All keys of an image begin with its id, so in an ordered listing they are neighbours, also across pages. An image is whole
//! once an object of another image has come, or the end.

use std::fmt;

use crate::domain::format::ThumbnailFormat;
use crate::domain::image_id::ImageId;
use crate::domain::key::{Key, Kind};
use crate::domain::size::Size;
use crate::domain::store::Listed;

/// The objects of an image: up to four, unless somebody has added others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub id: ImageId,
    objects: Vec<Listed>,
}

impl Image {
    pub(crate) fn original(&self) -> Option<Listed> {
        self.objects.iter().copied().find(|object| object.key.kind == Kind::Original)
    }

    /// Whether all three thumbnails are there, in one format.
    pub(crate) fn is_complete(&self) -> bool {
        ThumbnailFormat::ALL
            .into_iter()
            .any(|format| Size::ALL.into_iter().all(|size| self.has_thumbnail(size, format)))
    }

    /// The format that all thumbnails have that are there; `None` if there are none, or of both.
    pub(crate) fn thumbnail_format(&self) -> Option<ThumbnailFormat> {
        let has = |format| Size::ALL.into_iter().any(|size| self.has_thumbnail(size, format));
        let mut formats = ThumbnailFormat::ALL.into_iter().filter(|format| has(*format));
        formats.next().filter(|_| formats.next().is_none())
    }

    fn has_thumbnail(&self, size: Size, format: ThumbnailFormat) -> bool {
        let key = Key::thumbnail(self.id, size, format);
        self.objects.iter().any(|object| object.key == key)
    }
}

/// Puts images together from a listing's objects.
#[derive(Default)]
pub(crate) struct Images {
    last: Option<Image>,
}

impl Images {
    /// Takes the next object, and returns the image before it if that is over. Fails if the listing is not in order.
    pub(crate) fn add(&mut self, object: Listed) -> Result<Option<Image>, OutOfOrder> {
        let id = object.key.id;
        match &mut self.last {
            Some(image) if image.id == id => {
                image.objects.push(object);
                Ok(None)
            }
            Some(image) if image.id > id => Err(OutOfOrder { key: object.key, after: image.id }),
            _ => Ok(self.last.replace(Image { id, objects: vec![object] })),
        }
    }

    pub(crate) fn end(self) -> Option<Image> {
        self.last
    }
}

/// The store lists an object of an earlier image after one of a later image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    key: Key,
    after: ImageId,
}

impl fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store does not list in order: {} comes after {}", self.key, self.after)
    }
}

impl std::error::Error for OutOfOrder {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::format::Format;
    use std::time::UNIX_EPOCH;

    fn object(id: u8, name: &str) -> Listed {
        Listed { key: format!("{id:032x}/{name}").parse().unwrap(), modified: UNIX_EPOCH }
    }

    fn image(id: u8, names: &[&str]) -> Image {
        let objects: Vec<Listed> = names.iter().map(|name| object(id, name)).collect();
        Image { id: objects[0].key.id, objects }
    }

    #[test]
    fn neighbours_are_one_image() {
        let (first, second) = (["large.jpg", "original.gif", "small.jpg"], ["original.jpg"]);
        let mut images = Images::default();
        for name in first {
            assert_eq!(images.add(object(1, name)), Ok(None));
        }
        assert_eq!(images.add(object(2, second[0])), Ok(Some(image(1, &first))));
        assert!(
            images.add(object(1, "small.png")).unwrap_err().to_string().contains("does not list in order")
        );
        assert_eq!(images.end(), Some(image(2, &second)));
        assert_eq!(Images::default().end(), None);
    }

    #[test]
    fn what_is_missing() {
        let none = image(1, &["original.png"]);
        assert_eq!(none.original().unwrap().key.format, Format::Png);
        for (names, complete, format) in [
            (&["original.png"][..], false, None),
            (&["small.jpg", "medium.jpg", "large.jpg"], true, Some(ThumbnailFormat::Jpeg)),
            (&["small.png", "medium.png", "large.png"], true, Some(ThumbnailFormat::Png)),
            (&["small.png", "medium.png"], false, Some(ThumbnailFormat::Png)),
            (&["small.png", "medium.jpg", "large.jpg"], false, None),
            (&["small.gif", "medium.gif", "large.gif"], false, None),
        ] {
            let image = image(1, names);
            assert_eq!((image.is_complete(), image.thumbnail_format()), (complete, format), "{names:?}");
        }
        assert_eq!(image(1, &["small.jpg"]).original(), None);
    }
}
