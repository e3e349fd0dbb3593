//! Images that lack thumbnails, for the tests of the search for such images.

use image_sharer::domain::format::{Format, ThumbnailFormat};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::key::Key;
use image_sharer::domain::size::Size;
use image_sharer::domain::store::Store;

/// The id that a listing has at this place in its order.
pub(crate) fn id(number: u32) -> ImageId {
    format!("{number:032x}").parse().unwrap()
}

/// Stores an image with some of its thumbnails, which are no pictures.
pub(crate) fn put(store: &dyn Store, original: Key, bytes: &[u8], thumbnails: &[(Size, ThumbnailFormat)]) {
    store.put(&original, bytes).unwrap();
    for (size, format) in thumbnails {
        store.put(&Key::thumbnail(original.id, *size, *format), b"x").unwrap();
    }
}

/// Stores an image that lacks two thumbnails.
pub(crate) fn put_unfinished(store: &dyn Store, id: ImageId, bytes: &[u8]) {
    put(store, Key::original(id, Format::Jpeg), bytes, &[(Size::Small, ThumbnailFormat::Jpeg)]);
}
