//! A look at all four objects of an upload, through its URLs.

use crate::curl::{Urls, curl};
use crate::pictures::look;
use crate::program::wait_until;

/// Waits until all four URLs answer, and checks the answers.
pub(crate) fn all_answer(urls: &Urls, original: &[u8], thumbnails: &str) {
    let reply = curl(&[&urls.original]);
    assert_eq!((reply.status, reply.body.as_slice()), (200, original));
    for (url, side) in urls.thumbnails() {
        let reply = wait_until(url, || Some(curl(&[url])).filter(|reply| reply.status == 200));
        assert_eq!(look(&reply.body), (thumbnails, side, side), "{url}");
        assert!(url.ends_with(thumbnails));
        let content_type = if thumbnails == "jpg" { "image/jpeg" } else { "image/png" };
        assert_eq!(reply.header("Content-Type"), Some(content_type));
    }
}
