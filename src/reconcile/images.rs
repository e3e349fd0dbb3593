//! From a listing's objects to images: what belongs together, and what is missing.
//!
//! All keys of an image begin with its id, so they are neighbours in an ordered listing, also across pages. All of an image has
//! been listed once an object of another image follows, or the listing ends.

use std::error::Error;
use std::iter::Peekable;

use crate::domain::format::ThumbnailFormat;
use crate::domain::image_id::ImageId;
use crate::domain::key::{Key, Kind};
use crate::domain::size::Size;
use crate::domain::store::{Listed, Listing, StoreError};
use crate::support::shutdown::Shutdown;

/// The objects of an image. There are up to four, unless somebody has added others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) id: ImageId,
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

    /// The format of the thumbnails that are there. `None` if there are none, or some of each format.
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
pub(crate) struct Images(Peekable<Box<dyn Iterator<Item = Result<Listed, StoreError>>>>);

impl Images {
    /// When the process is to stop, the listing ends with the page that has been fetched, and the last image may not be whole.
    pub(crate) fn new(listing: Listing, shutdown: &Shutdown) -> Images {
        let shutdown = shutdown.clone();
        let pages = listing.take_while(move |_| !shutdown.is_requested());
        let objects = pages.flat_map(|page| match page {
            Ok(objects) => objects.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        Images((Box::new(objects) as Box<dyn Iterator<Item = _>>).peekable())
    }

    /// The next image. Fails if the store does, or lists an object of an earlier image after one of a later image.
    pub(crate) fn next(&mut self) -> Result<Option<Image>, Box<dyn Error>> {
        let Some(first) = self.0.next().transpose()? else { return Ok(None) };
        let id = first.key.id;
        let mut objects = vec![first];
        let begins_another = |next: &Result<Listed, _>| next.as_ref().is_ok_and(|next| next.key.id > id);
        while let Some(next) = self.0.next_if(|next| !begins_another(next)).transpose()? {
            if next.key.id < id {
                return Err(format!("the store does not list in order: {} comes after {id}", next.key).into());
            }
            objects.push(next);
        }
        Ok(Some(Image { id, objects }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::format::Format;
    use std::iter;
    use std::time::UNIX_EPOCH;

    fn object(id: u8, name: &str) -> Listed {
        Listed { key: format!("{id:032x}/{name}").parse().unwrap(), modified: UNIX_EPOCH }
    }

    fn image(id: u8, names: &[&str]) -> Image {
        let objects: Vec<Listed> = names.iter().map(|name| object(id, name)).collect();
        Image { id: objects[0].key.id, objects }
    }

    fn images_of(objects: &[Listed], page: usize) -> Images {
        let pages: Vec<_> = objects.chunks(page).map(|page| Ok(page.to_vec())).collect();
        Images::new(Box::new(pages.into_iter()), &Shutdown::default())
    }

    #[test]
    fn neighbours_are_one_image() {
        let (first, second) = (["large.jpg", "original.gif", "small.jpg"], ["original.jpg"]);
        let objects = first.map(|name| object(1, name)).into_iter().chain([object(2, second[0])]);
        let objects: Vec<Listed> = objects.collect();
        for page in 1..=objects.len() {
            let mut images = images_of(&objects, page);
            assert_eq!(images.next().unwrap(), Some(image(1, &first)));
            assert_eq!(images.next().unwrap(), Some(image(2, &second)));
            assert_eq!(images.next().unwrap(), None);
        }
    }

    #[test]
    fn a_listing_out_of_order() {
        let mut images = images_of(&[object(2, "original.jpg"), object(1, "small.png")], 1);
        assert!(images.next().unwrap_err().to_string().contains("does not list in order"));
    }

    /// Otherwise an image of which half is listed looks unfinished.
    #[test]
    fn an_error_in_the_middle_of_an_image_ends_the_listing() {
        let failed = StoreError::NotFound(object(1, "original.jpg").key);
        let pages = [Ok(vec![object(1, "original.jpg")]), Err(failed)];
        let mut images = Images::new(Box::new(pages.into_iter()), &Shutdown::default());
        assert!(images.next().is_err());
    }

    #[test]
    fn no_more_pages_are_looked_at_when_the_process_is_to_stop() {
        let shutdown = Shutdown::default();
        shutdown.request();
        let empty_pages = iter::repeat_with(|| Ok(Vec::new()));
        assert_eq!(Images::new(Box::new(empty_pages), &shutdown).next().unwrap(), None);
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
